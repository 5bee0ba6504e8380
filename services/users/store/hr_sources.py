"""The allow-list of HR sources: the tenants about which each may send facts, and the topic of its own to which it may be bound."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import BigInteger, Text, any_, bindparam, cast, func, or_, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, one, table_of
from shared.database.tables import outbox
from shared.schemas.topics import HR_EVENTS, Topic, hr_topic


@dataclass(frozen=True, slots=True)
class HrSource:
    source: str
    tenants: tuple[str, ...] = ()
    topic: str | None = None  # the part after `hr.events.v1.` of the name of its own topic; without it, the source uses the shared topic


@dataclass(frozen=True, slots=True)
class Permission:
    """The entry of the allow-list about a source and one tenant."""

    topic: str | None
    allowed: bool


HR_SOURCES: Final = table_of("hr_sources", HrSource)

_S: Final = HR_SOURCES.c
_TENANT: Final = bindparam("tenant", type_=Text)
_SOURCE: Final = bindparam("of_source", type_=Text)
_TOPIC: Final = bindparam("of_topic", type_=Text)
_ALL: Final = select(*columns_of(HrSource, HR_SOURCES)).order_by(_S.source)
_TOPICS: Final = select(_S.topic).where(_S.topic.is_not(None)).order_by(_S.topic)
_OF_TOPIC: Final = _ALL.where(_S.topic == _TOPIC)
_GET: Final = _ALL.where(_S.source == _SOURCE)
_LOCK: Final = _GET.with_for_update()
_INSERT: Final = insert(HR_SOURCES)
_ADD: Final = _INSERT.on_conflict_do_nothing(index_elements=["source"])
_SAVE_TENANTS: Final = _INSERT.on_conflict_do_update(index_elements=["source"], set_={"tenants": _INSERT.excluded.tenants})
_BIND: Final = update(HR_SOURCES).where(_S.source == _SOURCE).values(topic=_TOPIC)
_PERMISSION: Final = select(_S.topic, (any_(_S.tenants) == _TENANT).label("allowed")).where(_S.source == _SOURCE)
_PERMISSION_FOR_SHARE: Final = _PERMISSION.with_for_update(read=True)
# A page also ends after the source with which its sources have so many tenants together.
_AFTER: Final = _ALL.where(_S.source > bindparam("after", type_=Text), or_(_TENANT.is_(None), any_(_S.tenants) == _TENANT))
_NEXT: Final = _AFTER.limit(bindparam("limit", type_=BigInteger)).subquery("next_sources")
_SIZE: Final = func.cardinality(_NEXT.c.tenants)
_COUNTED: Final = select(_NEXT, (func.sum(_SIZE).over(order_by=_NEXT.c.source) - _SIZE).label("tenants_before")).subquery("counted")
_PAGE: Final = (
    select(*columns_of(HrSource, _COUNTED))
    .where(_COUNTED.c.tenants_before < bindparam("tenants_max", type_=BigInteger))
    .order_by(_COUNTED.c.source)
)
_HEADERS: Final = cast(func.convert_from(outbox.c.headers, "UTF8"), JSONB)
_UNSENT: Final = (
    select(func.count())
    .select_from(outbox)
    .where(
        outbox.c.topic.like(f"{HR_EVENTS.name}%"),
        _HEADERS.contains(func.jsonb_build_array(func.jsonb_build_array(cast("ce_source", Text), _SOURCE))),
    )
)


def topic_of(name: str | None) -> Topic:
    return HR_EVENTS if name is None else hr_topic(name)


async def save_tenants(connection: AsyncConnection, source: str, tenants: Sequence[str]) -> None:
    """Replace the tenants of a source; add the source if it is not there."""
    await connection.execute(_SAVE_TENANTS, {"source": source, "tenants": list(tenants)})


async def page(
    connection: AsyncConnection, tenant_id: str | None, after: str, limit: int, tenants_max: int
) -> tuple[list[HrSource], str | None]:
    """Return sources in order of their names, all or those of one tenant, and the name after which the next page begins."""
    found = await many(connection, _PAGE, HrSource, tenant=tenant_id, after=after, limit=limit, tenants_max=tenants_max)
    is_last = len(found) < limit and sum(len(each.tenants) for each in found) < tenants_max
    return found, None if is_last else found[-1].source


async def topics(connection: AsyncConnection) -> list[str]:
    """Return the names of the topics to which sources are bound."""
    return list((await connection.execute(_TOPICS)).scalars())


async def of_topic(connection: AsyncConnection, topic: str) -> HrSource | None:
    return await one(connection, _OF_TOPIC, HrSource, of_topic=topic)


async def permission(connection: AsyncConnection, tenant_id: str, source: str, *, for_share: bool = False) -> Permission:
    """With `for_share`, nobody binds the source before this transaction ends."""
    statement = _PERMISSION_FOR_SHARE if for_share else _PERMISSION
    found = await one(connection, statement, Permission, tenant=tenant_id, of_source=source)
    return found or Permission(topic=None, allowed=False)


async def get(connection: AsyncConnection, source: str) -> HrSource | None:
    """Return a source on the allow-list, also one without tenants."""
    return await one(connection, _GET, HrSource, of_source=source)


async def lock(connection: AsyncConnection, source: str) -> HrSource:
    """Return the source, locked. A source that is not there is added without tenants."""
    await connection.execute(_ADD, {"source": source, "tenants": []})
    found = await one(connection, _LOCK, HrSource, of_source=source)
    assert found is not None
    return found


async def bind(connection: AsyncConnection, source: str, topic: str | None) -> None:
    """Bind the source to a topic; with None, end the binding."""
    await connection.execute(_BIND, {"of_source": source, "of_topic": topic})


async def unsent(connection: AsyncConnection, source: str) -> int:
    """Return the number of facts of the source that arrived by REST and are not on a topic yet."""
    return int((await connection.execute(_UNSENT, {"of_source": source})).scalar_one())
