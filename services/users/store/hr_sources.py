"""The allow-list of upstream sources: of which tenants each may speak, and the topic of its own to which it may be bound."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.schemas.topics import HR_EVENTS, Topic, hr_topic


@dataclass(frozen=True, slots=True)
class HrSource:
    """`topic`: the name of its own topic behind `hr.events.v1.`; None: it writes to the shared one."""

    source: str
    tenants: tuple[str, ...] = ()
    topic: str | None = None


def topic_of(name: str | None) -> Topic:
    return HR_EVENTS if name is None else hr_topic(name)


_TOPICS = "SELECT topic FROM hr_sources WHERE topic IS NOT NULL ORDER BY topic"
_OF_TOPIC = "SELECT source, tenants, topic FROM hr_sources WHERE topic = $1"
_LOCKED = "SELECT source, tenants, topic FROM hr_sources WHERE source = $1 FOR UPDATE"
_ADD = "INSERT INTO hr_sources (source, tenants) VALUES ($1, '{}') ON CONFLICT DO NOTHING"
_BIND = "UPDATE hr_sources SET topic = $2 WHERE source = $1"
_PUT = "INSERT INTO hr_sources (source, tenants) VALUES ($1, $2) ON CONFLICT (source) DO UPDATE SET tenants = $2"
_FOR_TENANT = "SELECT topic, $2 = ANY(tenants) AS allowed FROM hr_sources WHERE source = $1"
# A page also ends after the source with which its sources have so many tenants together.
_PAGE = """
SELECT source, tenants, topic FROM (
    SELECT source, tenants, topic, sum(cardinality(tenants)) OVER (ORDER BY source) - cardinality(tenants) AS tenants_before
    FROM (SELECT source, tenants, topic FROM hr_sources WHERE source > $1 ORDER BY source LIMIT $2) AS next_sources
) AS counted
WHERE tenants_before < $3 ORDER BY source
"""
_UNSENT = """
SELECT count(*) FROM outbox
WHERE topic LIKE 'hr.events.v1%' AND convert_from(headers, 'UTF8')::jsonb @> jsonb_build_array(jsonb_build_array('ce_source', $1::text))
"""


@dataclass(frozen=True, slots=True)
class Permission:
    """What the allow-list says of a source and one tenant."""

    allowed: bool
    topic: str | None


async def put_source(connection: AsyncConnection, source: str, tenants: Sequence[str]) -> None:
    await connection.exec_driver_sql(_PUT, (source, list(tenants)))


async def page(connection: AsyncConnection, after: str, limit: int, tenants_max: int) -> tuple[list[HrSource], str | None]:
    """Return sources in order of their names, and the name after which the next page begins."""
    rows = await connection.exec_driver_sql(_PAGE, (after, limit, tenants_max))
    found = [HrSource(row.source, tuple(row.tenants), row.topic) for row in rows]
    is_last = len(found) < limit and sum(len(each.tenants) for each in found) < tenants_max
    return found, None if is_last else found[-1].source


async def topics(connection: AsyncConnection) -> list[str]:
    return list((await connection.exec_driver_sql(_TOPICS)).scalars())


async def of_topic(connection: AsyncConnection, topic: str) -> HrSource | None:
    row = (await connection.exec_driver_sql(_OF_TOPIC, (topic,))).one_or_none()
    return None if row is None else HrSource(row.source, tuple(row.tenants), row.topic)


async def permission(connection: AsyncConnection, tenant_id: str, source: str, *, for_share: bool = False) -> Permission:
    """`for_share`: nobody binds the source before this transaction ends."""
    statement = f"{_FOR_TENANT} FOR SHARE" if for_share else _FOR_TENANT
    row = (await connection.exec_driver_sql(statement, (source, tenant_id))).one_or_none()
    return Permission(allowed=False, topic=None) if row is None else Permission(row.allowed, row.topic)


async def lock(connection: AsyncConnection, source: str) -> HrSource:
    """Made when it is not there, for no tenant yet."""
    await connection.exec_driver_sql(_ADD, (source,))
    row = (await connection.exec_driver_sql(_LOCKED, (source,))).one()
    return HrSource(row.source, tuple(row.tenants), row.topic)


async def bind(connection: AsyncConnection, source: str, topic: str | None) -> None:
    await connection.exec_driver_sql(_BIND, (source, topic))


async def unsent(connection: AsyncConnection, source: str) -> int:
    """Facts of the source that came by REST and are not on a topic yet."""
    count: int = (await connection.exec_driver_sql(_UNSENT, (source,))).scalar_one()
    return count
