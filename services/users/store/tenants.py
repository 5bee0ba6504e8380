"""Tenants and their clocks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum, auto
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Select,
    Text,
    bindparam,
    cast,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.store.module_states import MODULE_STATES
from services.users.store.people import PEOPLE, comparable
from shared.database.row_classes import columns_of, many, names_of, one, table_of


@dataclass(frozen=True, slots=True)
class TenantRow:
    """The table `tenants`. Migration 0001 says what its columns mean."""

    tenant_id: str
    name: str
    time_zone: str
    locale: str
    clock: str
    contact_email: str
    support_contact: str
    release_on_expiry: bool
    config_version: int
    version: int
    advancing_to: datetime | None
    created_at: datetime
    subscribed: Mapping[str, Sequence[str]] = field(default_factory=dict)
    erase_after_months: int = 0  # 0: never


@dataclass(frozen=True, slots=True)
class StoredTenant(TenantRow):
    """A tenant with the row of its clock."""

    status: str = "opening"
    at: datetime | None = None  # the time of a test clock
    sent_to: datetime | None = None  # the last instant that was sent to a test clock
    step: int = 0
    ready_sent: bool = False


class Lock(Enum):
    """While required modules are computed from the configuration, the tenant's row is locked shared; to change the configuration, it is
    locked exclusively. So nobody computes with settings that are being replaced, and what was computed before is in the database when the
    re-evaluation of all people begins."""

    NONE = auto()
    SHARED = auto()
    EXCLUSIVE = auto()


TENANTS: Final = table_of("tenants", TenantRow, reevaluations_on=date, reevaluations=int)
CLOCKS: Final = table_of(
    "tenant_clocks", tenant_id=str, status=str, at=datetime, last_number=int, sent_to=datetime, step=int, ready_sent=bool
)
_COLUMNS: Final = names_of(TenantRow)

_TENANT: Final = bindparam("tenant", type_=Text)
_ADD: Final = postgresql.insert(TENANTS).on_conflict_do_nothing(index_elements=["tenant_id"])
_ADD_CLOCK: Final = insert(CLOCKS)
_SAVE: Final = update(TENANTS).where(TENANTS.c.tenant_id == _TENANT)
_STORED: Final = select(*columns_of(StoredTenant, TENANTS, CLOCKS)).join(CLOCKS, CLOCKS.c.tenant_id == TENANTS.c.tenant_id)
_GET: Final = _STORED.where(TENANTS.c.tenant_id == _TENANT)
_GET_LOCKED: Final[Mapping[Lock, Select[Any]]] = {
    Lock.NONE: _GET,
    Lock.SHARED: _GET.with_for_update(read=True, of=TENANTS),
    Lock.EXCLUSIVE: _GET.with_for_update(of=TENANTS),
}
_SEARCHED: Final = bindparam("text", type_=Text)
_FOLDED: Final = comparable(_SEARCHED)
_PAGE: Final = (
    _STORED.where(
        _TENANT.is_(None) | (TENANTS.c.tenant_id == _TENANT),
        TENANTS.c.tenant_id > bindparam("after", type_=Text),
        _SEARCHED.is_(None)
        | (func.strpos(comparable(func.concat_ws(" ", TENANTS.c.tenant_id, TENANTS.c.name, TENANTS.c.contact_email)), _FOLDED) > 0),
    )
    .order_by(TENANTS.c.tenant_id)
    .limit(bindparam("limit", type_=BigInteger))
)
# A day begins first in the zone UTC+14.
_TENANT_TIME: Final = func.coalesce(CLOCKS.c.at, bindparam("now", type_=DateTime(timezone=True)))
_LATEST_DAY: Final = cast(func.timezone("UTC", _TENANT_TIME, type_=DateTime()) + timedelta(hours=14), Date)
_WITH_DUE_PEOPLE: Final = (
    select(CLOCKS.c.tenant_id)
    .where(
        exists(
            select(PEOPLE.c.user_id)
            .where(PEOPLE.c.tenant_id == CLOCKS.c.tenant_id, PEOPLE.c.reconsider_on <= _LATEST_DAY)
            .correlate(CLOCKS)
        )
    )
    .order_by(CLOCKS.c.tenant_id)
)
_WITH_DUE_INSTANTS: Final = (
    select(CLOCKS.c.tenant_id)
    .where(
        exists(
            select(PEOPLE.c.user_id)
            .where(
                PEOPLE.c.tenant_id == CLOCKS.c.tenant_id,
                PEOPLE.c.invitation == literal_column("'open'"),
                PEOPLE.c.invited_until <= _TENANT_TIME,
            )
            .correlate(CLOCKS)
        )
        | exists(
            select(MODULE_STATES.c.user_id)
            .where(MODULE_STATES.c.tenant_id == CLOCKS.c.tenant_id, MODULE_STATES.c.remind_at <= _TENANT_TIME)
            .correlate(CLOCKS)
        )
    )
    .order_by(CLOCKS.c.tenant_id)
)
_WITH_RETENTION: Final = select(TENANTS.c.tenant_id).where(TENANTS.c.erase_after_months > 0).order_by(TENANTS.c.tenant_id)
_ADVANCING: Final = select(TENANTS.c.tenant_id).where(TENANTS.c.advancing_to.is_not(None)).order_by(TENANTS.c.tenant_id)

_OWN_CLOCK: Final = CLOCKS.c.tenant_id == _TENANT
_DRAW_NUMBER: Final = update(CLOCKS).where(_OWN_CLOCK).values(last_number=CLOCKS.c.last_number + 1).returning(CLOCKS.c.last_number)
_SET_OPEN: Final = update(CLOCKS).where(_OWN_CLOCK).values(status="open")
_NEW_TIME: Final = bindparam("new_time", type_=DateTime(timezone=True))
_SET_TIME: Final = update(CLOCKS).where(_OWN_CLOCK, CLOCKS.c.at < _NEW_TIME).values(at=_NEW_TIME)
_SET_STEP: Final = (
    update(CLOCKS)
    .where(_OWN_CLOCK, CLOCKS.c.step == bindparam("expected", type_=BigInteger))
    .values(
        step=CLOCKS.c.step + 1,
        sent_to=bindparam("new_sent_to", type_=DateTime(timezone=True)),
        ready_sent=bindparam("new_ready_sent", type_=Boolean),
    )
)


def _values(row: TenantRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _COLUMNS}


async def add(connection: AsyncConnection, tenant: StoredTenant) -> bool:
    """Add a tenant and its clock; return whether the tenant is new. An existing tenant stays as it is."""
    if (await connection.execute(_ADD, _values(tenant))).rowcount == 0:
        return False
    await connection.execute(_ADD_CLOCK, {"tenant_id": tenant.tenant_id, "at": tenant.at})
    return True


async def get(connection: AsyncConnection, tenant_id: str, lock: Lock = Lock.NONE) -> StoredTenant | None:
    return await one(connection, _GET_LOCKED[lock], StoredTenant, tenant=tenant_id)


async def page(connection: AsyncConnection, tenant_id: str | None, after: str, limit: int, text: str | None = None) -> list[StoredTenant]:
    """Return the next tenants in order of their ids; with `tenant_id`, only this one. `text` is part of the id, the name or the contact's
    e-mail address."""
    return await many(connection, _PAGE, StoredTenant, tenant=tenant_id, after=after, limit=limit, text=text or None)


async def save(connection: AsyncConnection, tenant: TenantRow) -> None:
    """Save a changed tenant, but not its clock. Call under the tenant's exclusive lock."""
    await connection.execute(_SAVE, {"tenant": tenant.tenant_id} | _values(tenant))


async def with_due_people(connection: AsyncConnection, now: datetime) -> list[str]:
    """Return the tenants with people who change on a day that has begun somewhere on Earth, by the tenant's own time; `now` is that of the
    real clocks. The caller checks whether the day has begun in the tenant's zone."""
    return list((await connection.execute(_WITH_DUE_PEOPLE, {"now": now})).scalars())


async def with_retention(connection: AsyncConnection) -> list[str]:
    """Return the tenants whose leavers are erased after some time."""
    return list((await connection.execute(_WITH_RETENTION)).scalars())


async def with_due_instants(connection: AsyncConnection, now: datetime) -> list[str]:
    """Return the tenants with something that is due by their own time; `now` is that of the real clocks."""
    return list((await connection.execute(_WITH_DUE_INSTANTS, {"now": now})).scalars())


async def advancing(connection: AsyncConnection) -> list[str]:
    """Return the tenants whose test clock is advancing."""
    return list((await connection.execute(_ADVANCING)).scalars())


async def draw_number(connection: AsyncConnection, tenant_id: str) -> int:
    """Draw the next number of a command, under the lock of the clock's row: numbers commit in the order of their drawing."""
    return int((await connection.execute(_DRAW_NUMBER, {"tenant": tenant_id})).scalar_one())


async def set_open(connection: AsyncConnection, tenant_id: str) -> None:
    """Save that seats has opened the tenant."""
    await connection.execute(_SET_OPEN, {"tenant": tenant_id})


async def set_time(connection: AsyncConnection, tenant_id: str, at: datetime) -> None:
    """Save the time of a test clock. It never goes back: an old decision that is handled again changes nothing."""
    await connection.execute(_SET_TIME, {"tenant": tenant_id, "new_time": at})


async def set_step(
    connection: AsyncConnection, tenant_id: str, *, expected: int, sent_to: datetime | None, ready_sent: bool = False
) -> bool:
    """Count one step of an advance; return False if another coordinator has taken the step `expected` already."""
    given = {"tenant": tenant_id, "expected": expected, "new_sent_to": sent_to, "new_ready_sent": ready_sent}
    return (await connection.execute(_SET_STEP, given)).rowcount == 1
