"""Statements of sources that wait: until no more follow, until somebody confirms them, or until those before them are applied."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ARRAY, BigInteger, Interval, Text, and_, any_, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, json_rows, many, names_of, one, recordset, table_of

COLLECTING, STOPPED, RELEASING = "collecting", "stopped", "releasing"
ALL: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class GuardNumbers:
    """What the guard has counted: people who would lose access, those who lost it within the hour before, and its limit for both."""

    would_end: int
    ended_before: int
    guard_limit: int


@dataclass(frozen=True, slots=True)
class HeldSource:
    """A source whose statements about people of the tenant wait. The numbers of the guard are known while it is stopped.

    While it is released, the statements up to `release_to` are applied. Those that came since then are evaluated afterwards.
    """

    source: str
    status: str
    would_end: int
    ended_before: int
    guard_limit: int
    release_to: int
    since: datetime
    last_at: datetime  # of the last statement
    evaluated_at: datetime | None

    @property
    def numbers(self) -> GuardNumbers:
        return GuardNumbers(self.would_end, self.ended_before, self.guard_limit)


@dataclass(frozen=True, slots=True)
class HeldStatement:
    """The message as it was received; `envelope` has its attributes."""

    source: str
    user_id: str
    external_id: str
    type: str
    body: Mapping[str, Any]
    envelope: Mapping[str, str | None]


HELD_SOURCES: Final = table_of("held_sources", HeldSource, tenant_id=str)
HELD: Final = table_of("held_statements", HeldStatement, tenant_id=str, arrival=int)

_S: Final = HELD_SOURCES.c
_H: Final = HELD.c
_TENANT: Final = bindparam("tenant", type_=Text)
_SOURCE: Final = bindparam("of_source", type_=Text)
_LIMIT: Final = bindparam("limit", type_=BigInteger)
_OF_SOURCE: Final = and_(_S.tenant_id == _TENANT, _S.source == _SOURCE)
_HELD_OF_SOURCE: Final = and_(_H.tenant_id == _TENANT, _H.source == _SOURCE)
_COLUMNS: Final = columns_of(HeldSource, HELD_SOURCES)
_NOW: Final = func.clock_timestamp()

_LOCK_MANY: Final = (
    select(*_COLUMNS)
    .where(_S.tenant_id == _TENANT, _S.source == any_(bindparam("sources", type_=ARRAY(Text))))
    .order_by(_S.source)
    .with_for_update()
)
_GET: Final = select(*_COLUMNS).where(_OF_SOURCE)
_PAGE: Final = (
    select(*_COLUMNS).where(_S.tenant_id == _TENANT, _S.source > bindparam("after", type_=Text)).order_by(_S.source).limit(_LIMIT)
)
_TOUCH: Final = (
    insert(HELD_SOURCES)
    .values(
        tenant_id=_TENANT,
        source=_SOURCE,
        status=COLLECTING,
        would_end=0,
        ended_before=0,
        guard_limit=0,
        release_to=0,
        since=_NOW,
        last_at=_NOW,
        evaluated_at=None,
    )
    .on_conflict_do_update(index_elements=["tenant_id", "source"], set_={"last_at": _NOW})
)
_SET: Final = (
    update(HELD_SOURCES)
    .where(_OF_SOURCE)
    .values(
        status=bindparam("new_status", type_=Text),
        **{name: bindparam(f"new_{name}", type_=BigInteger) for name in names_of(GuardNumbers)},
        release_to=select(func.coalesce(func.max(_H.arrival), 0)).where(_HELD_OF_SOURCE).scalar_subquery(),
        evaluated_at=_NOW,
    )
)
_COLLECT: Final = update(HELD_SOURCES).where(_OF_SOURCE).values(status=COLLECTING, evaluated_at=None)
_DELETE_SOURCE: Final = delete(HELD_SOURCES).where(_OF_SOURCE)
_DELETE_ALL: Final = delete(HELD).where(_HELD_OF_SOURCE)
_GIVEN: Final = recordset(HeldStatement)
_ADD: Final = insert(HELD).from_select(
    ["tenant_id", *names_of(HeldStatement)], select(_TENANT, *columns_of(HeldStatement, _GIVEN)).order_by(_GIVEN.c.place)
)
_UP_TO: Final = bindparam("up_to", type_=BigInteger)
_USERS: Final = any_(bindparam("users", type_=ARRAY(Text)))
# People in the order of their first statement.
_NEXT_USERS: Final = (
    select(_H.user_id, func.min(_H.arrival).label("first"))
    .where(_HELD_OF_SOURCE, _H.arrival <= _UP_TO)
    .group_by(_H.user_id)
    .having(func.min(_H.arrival) > bindparam("after", type_=BigInteger))
    .order_by(func.min(_H.arrival))
    .limit(_LIMIT)
)
_STATEMENTS: Final = (
    select(*columns_of(HeldStatement, HELD)).where(_HELD_OF_SOURCE, _H.user_id == _USERS, _H.arrival <= _UP_TO).order_by(_H.arrival)
)
_DELETE: Final = delete(HELD).where(_HELD_OF_SOURCE, _H.user_id == _USERS, _H.arrival <= _UP_TO)
_COUNT: Final = select(func.count()).where(_HELD_OF_SOURCE)
# Those that are to be looked at: no statement followed for a while, or one did since the last look, or they are released.
_IS_DUE: Final = or_(
    _S.status == RELEASING,
    and_(
        _S.evaluated_at.is_(None) | (_S.last_at > _S.evaluated_at),
        or_(
            _S.last_at < _NOW - bindparam("quiet", type_=Interval),
            and_(_S.status == COLLECTING, _S.since < _NOW - bindparam("longest", type_=Interval)),
        ),
    ),
)
_WITH_DUE: Final = select(_S.tenant_id).where(_IS_DUE).group_by(_S.tenant_id).order_by(func.min(_S.since))
_LOCK_DUE: Final = select(_S.source).where(_S.tenant_id == _TENANT, _IS_DUE).order_by(_S.since).limit(1).with_for_update(skip_locked=True)
_UNSETTLED: Final = select(func.count()).where(_S.tenant_id == _TENANT, _S.status != STOPPED)


async def lock(connection: AsyncConnection, tenant_id: str, sources: Sequence[str]) -> dict[str, HeldSource]:
    """Return those of the sources whose statements wait, locked: nobody adds to them or applies them meanwhile."""
    found = await many(connection, _LOCK_MANY, HeldSource, tenant=tenant_id, sources=list(sources))
    return {each.source: each for each in found}


async def get(connection: AsyncConnection, tenant_id: str, source: str) -> HeldSource | None:
    return await one(connection, _GET, HeldSource, tenant=tenant_id, of_source=source)


async def page(connection: AsyncConnection, tenant_id: str, after: str, limit: int) -> list[HeldSource]:
    return await many(connection, _PAGE, HeldSource, tenant=tenant_id, after=after, limit=limit)


async def add(connection: AsyncConnection, tenant_id: str, source: str, statements: Sequence[HeldStatement]) -> None:
    await connection.execute(_TOUCH, {"tenant": tenant_id, "of_source": source})
    await connection.execute(_ADD, {"tenant": tenant_id, "rows": json_rows(statements)})


async def save(connection: AsyncConnection, tenant_id: str, source: str, status: str, numbers: GuardNumbers) -> None:
    """Save what is known about all statements that the source has sent. Call under the source's lock."""
    given = {"new_status": status} | {f"new_{name}": number for name, number in asdict(numbers).items()}
    await connection.execute(_SET, {"tenant": tenant_id, "of_source": source} | given)


async def collect(connection: AsyncConnection, tenant_id: str, source: str) -> None:
    """Have the statements of the source evaluated again. Call under the source's lock."""
    await connection.execute(_COLLECT, {"tenant": tenant_id, "of_source": source})


async def remove(connection: AsyncConnection, tenant_id: str, source: str) -> None:
    """Forget the source and its statements. Call under the source's lock."""
    await connection.execute(_DELETE_ALL, {"tenant": tenant_id, "of_source": source})
    await connection.execute(_DELETE_SOURCE, {"tenant": tenant_id, "of_source": source})


async def next_users(
    connection: AsyncConnection, tenant_id: str, source: str, after: int, limit: int, up_to: int = ALL
) -> list[tuple[str, int]]:
    """Return people in the order of their first statements, each with the arrival of that."""
    given = {"tenant": tenant_id, "of_source": source, "after": after, "limit": limit, "up_to": up_to}
    return [(row.user_id, row.first) for row in await connection.execute(_NEXT_USERS, given)]


async def statements(
    connection: AsyncConnection, tenant_id: str, source: str, users: Sequence[str], up_to: int = ALL
) -> list[HeldStatement]:
    """Return all statements about these people, in order of arrival."""
    return await many(connection, _STATEMENTS, HeldStatement, tenant=tenant_id, of_source=source, users=list(users), up_to=up_to)


async def remove_statements(connection: AsyncConnection, tenant_id: str, source: str, users: Sequence[str], up_to: int) -> None:
    await connection.execute(_DELETE, {"tenant": tenant_id, "of_source": source, "users": list(users), "up_to": up_to})


async def count(connection: AsyncConnection, tenant_id: str, source: str) -> int:
    number: int = (await connection.execute(_COUNT, {"tenant": tenant_id, "of_source": source})).scalar_one()
    return number


async def with_due(connection: AsyncConnection, quiet: timedelta, longest: timedelta) -> list[str]:
    """Return the tenants with statements to look at, those that wait longest first."""
    return list((await connection.execute(_WITH_DUE, {"quiet": quiet, "longest": longest})).scalars())


async def lock_due(connection: AsyncConnection, tenant_id: str, quiet: timedelta, longest: timedelta) -> str | None:
    """Return the source of the next statements to look at, locked; None if there are none that no other process looks at."""
    found = await connection.execute(_LOCK_DUE, {"tenant": tenant_id, "quiet": quiet, "longest": longest})
    return found.scalar_one_or_none()


async def unsettled(connection: AsyncConnection, tenant_id: str) -> int:
    """Return the number of sources whose statements wait for this service, and not for somebody to confirm them."""
    number: int = (await connection.execute(_UNSETTLED, {"tenant": tenant_id})).scalar_one()
    return number
