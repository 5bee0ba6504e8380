"""The tenants as the events of users and seats describe them, and the number of the last command to seats."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Text, bindparam, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, one, table_of
from shared.errors import NotFound
from shared.fields import common_fields, common_names
from shared.schemas.users_v1 import TenantState


@dataclass(frozen=True, slots=True)
class Tenant:
    tenant_id: str
    name: str | None
    time_zone: str | None  # None: the event of users about it has not been read yet
    locale: str
    clock: str | None
    support_contact: str
    opened: bool
    test_time: datetime | None
    advancing_to: datetime | None
    period: str | None


TENANTS = table_of("tenants", Tenant, last_number=int, created_at=datetime)

_OWN = TENANTS.c.tenant_id == bindparam("tenant")
_FIND = select(*columns_of(Tenant, TENANTS)).where(_OWN)
_LOCK = _FIND.with_for_update()
_EXISTS = select(exists().where(_OWN))
_INSERT = insert(TENANTS)
_PUT = _INSERT.on_conflict_do_update(
    index_elements=["tenant_id"],
    set_={name: _INSERT.excluded[name] for name in common_names(Tenant, TenantState)}
    | {"test_time": func.coalesce(TENANTS.c.test_time, _INSERT.excluded.test_time)},
)
_NOTE_OPENED = _INSERT.on_conflict_do_update(
    index_elements=["tenant_id"],
    set_={"opened": _INSERT.excluded.opened, "test_time": func.greatest(TENANTS.c.test_time, _INSERT.excluded.test_time)},
)
_NOTE_ADVANCING = _INSERT.on_conflict_do_update(index_elements=["tenant_id"], set_={"advancing_to": _INSERT.excluded.advancing_to})
_NOTE_TIME = (
    update(TENANTS).where(_OWN).values(test_time=func.greatest(TENANTS.c.test_time, bindparam("at", type_=DateTime(timezone=True))))
)
_NEW_PERIOD = bindparam("new_period", type_=Text)
_NOTE_PERIOD = update(TENANTS).where(_OWN, TENANTS.c.period.is_distinct_from(_NEW_PERIOD)).values(period=_NEW_PERIOD)
_DRAW_NUMBER = (
    update(TENANTS)
    .where(_OWN)
    .values(last_number=func.greatest(TENANTS.c.last_number, bindparam("above", type_=BigInteger)) + 1)
    .returning(TENANTS.c.last_number)
)


async def find(connection: AsyncConnection, tenant_id: str, *, lock: bool = False) -> Tenant | None:
    """Return the tenant. With `lock`, others who draw a number, start a subscription or approve a quote wait until the transaction ends."""
    return await one(connection, _LOCK if lock else _FIND, Tenant, tenant=tenant_id)


async def is_known(connection: AsyncConnection, tenant_id: str) -> bool:
    """Return whether an event of seats or users about the tenant has been read."""
    return bool((await connection.execute(_EXISTS, {"tenant": tenant_id})).scalar_one())


async def put(connection: AsyncConnection, tenant_id: str, state: TenantState) -> None:
    """Save what an event of users says about the tenant. The row exists already if an event of seats was read first."""
    test_time = state.at if state.clock == "test" else None
    await connection.execute(_PUT, {"tenant_id": tenant_id, "test_time": test_time} | common_fields(state, TenantState, Tenant))


async def note_opened(connection: AsyncConnection, tenant_id: str, at: datetime, *, test: bool) -> None:
    """Save that seats knows the tenant."""
    await connection.execute(_NOTE_OPENED, {"tenant_id": tenant_id, "opened": True, "test_time": at if test else None})


async def note_time(connection: AsyncConnection, tenant_id: str, at: datetime) -> None:
    """Save the time of a test clock as seats answered it last; it never goes back."""
    await connection.execute(_NOTE_TIME, {"tenant": tenant_id, "at": at})


async def note_advancing(connection: AsyncConnection, tenant_id: str, to: datetime | None) -> None:
    await connection.execute(_NOTE_ADVANCING, {"tenant_id": tenant_id, "advancing_to": to})


async def note_period(connection: AsyncConnection, tenant_id: str, period: str | None) -> None:
    await connection.execute(_NOTE_PERIOD, {"tenant": tenant_id, "new_period": period})


async def draw_number(connection: AsyncConnection, tenant_id: str, *, above: int = 0) -> int:
    """Draw the number of the next command to seats. The row stays locked until the commit, so commands are sent in their order."""
    return int((await connection.execute(_DRAW_NUMBER, {"tenant": tenant_id, "above": above})).scalar_one())


async def check(connection: AsyncConnection, tenant_id: str) -> None:
    """Raise NotFound until an event about the tenant has been read: without this check, an unknown tenant would look like an empty one."""
    if not await is_known(connection, tenant_id):
        raise NotFound("tenant")
