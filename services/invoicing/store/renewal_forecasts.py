"""The last forecast of the next renewal that the administrators got: how many people it would flag, and how many reservations it would
cancel, by module.

The rows exist from 30 days before the renewal on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import ARRAY, Text, any_, bindparam, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.due_actions import DUE_ACTIONS
from services.invoicing.store.pool_days import POOL_DAYS
from services.invoicing.store.pools import POOLS
from shared.database.row_classes import columns_of, many, names_of, recordset, table_of


@dataclass(frozen=True, slots=True)
class Told:
    """`days`: how many days before the renewal the last forecast was due. `at_most`: the licences that the scheduled plan leaves, if it
    leaves fewer than there are."""

    tenant_id: str
    module: str
    would_flag: int
    would_cancel: int
    days: int
    at_most: int | None


@dataclass(frozen=True, slots=True)
class Excess:
    """A module whose next period has fewer licences than it has now, by how many seats that are not flagged yet it is below the use."""

    tenant_id: str
    module: str
    excess: int
    at: datetime


KIND, REFERENCE = "renewal_forecast", "next"  # of the due action: a tenant has one

TOLD = table_of("renewal_forecasts", Told)

_OWN = TOLD.c.tenant_id == bindparam("tenant")
_TOLD = select(*columns_of(Told, TOLD)).where(_OWN)
_LIMITED = select(*columns_of(Told, TOLD)).where(
    TOLD.c.tenant_id == any_(bindparam("tenants", type_=ARRAY(Text))), TOLD.c.at_most.is_not(None)
)
_GIVEN = recordset(Told)
_ADD = insert(TOLD).from_select(names_of(Told), select(*columns_of(Told, _GIVEN)))
_OF_MODULE = _OWN & (TOLD.c.module == _GIVEN.c.module)
_CONFIRM = update(TOLD).where(_OF_MODULE).values(would_flag=_GIVEN.c.would_flag, would_cancel=_GIVEN.c.would_cancel)
_LIMIT = update(TOLD).where(_OF_MODULE).values(at_most=_GIVEN.c.at_most)
_FORGET = delete(TOLD).where(_OWN)
_IN_USE = (
    select(POOL_DAYS.c.in_use)
    .where(POOL_DAYS.c.tenant_id == POOLS.c.tenant_id, POOL_DAYS.c.module == POOLS.c.module)
    .order_by(POOL_DAYS.c.day.desc())
    .limit(1)
    .scalar_subquery()
)
_IS_ABOVE = (
    select(literal(1))
    .where(POOLS.c.tenant_id == bindparam("tenant"), POOLS.c.next_period < POOLS.c.licences, POOLS.c.next_period < _IN_USE)
    .limit(1)
)
_EXCESS = recordset(Excess)
_WORSE = insert(DUE_ACTIONS).from_select(
    ["tenant_id", "kind", "reference", "due_at"],
    select(_EXCESS.c.tenant_id, literal(KIND), literal(REFERENCE), func.min(_EXCESS.c["at"]))
    .join(TOLD, (TOLD.c.tenant_id == _EXCESS.c.tenant_id) & (TOLD.c.module == _EXCESS.c.module))
    .where(TOLD.c.would_flag < _EXCESS.c.excess)
    .group_by(_EXCESS.c.tenant_id),
)
_DUE_NOW = _WORSE.on_conflict_do_update(
    index_elements=["tenant_id", "kind", "reference"],
    set_={"due_at": func.least(DUE_ACTIONS.c.due_at, _WORSE.excluded.due_at)},
)


async def told(connection: AsyncConnection, tenant_id: str) -> dict[str, Told]:
    return {row.module: row for row in await many(connection, _TOLD, Told, tenant=tenant_id)}


async def limits(connection: AsyncConnection, tenants: Sequence[str]) -> dict[tuple[str, str], int]:
    """Return what the scheduled plans of these tenants leave, by tenant and module."""
    found = await many(connection, _LIMITED, Told, tenants=list(tenants))
    return {(each.tenant_id, each.module): each.at_most for each in found if each.at_most is not None}


async def put(
    connection: AsyncConnection,
    tenant_id: str,
    would_flag: Mapping[str, int],
    would_cancel: Mapping[str, int],
    at_most: Mapping[str, int],
    days: int,
) -> None:
    """Replace the last forecast, by module. `would_flag` has every module."""
    await forget(connection, tenant_id)
    rows = [Told(tenant_id, module, count, would_cancel.get(module, 0), days, at_most.get(module)) for module, count in would_flag.items()]
    await connection.execute(_ADD, {"rows": orjson.dumps(rows).decode()})


async def confirm(connection: AsyncConnection, tenant_id: str, would_flag: Mapping[str, int], would_cancel: Mapping[str, int]) -> None:
    """Note how many people and reservations the confirmation of a reduction names: the next forecast is worse only if it names more.
    Without a forecast before, nothing is noted."""
    modules = would_flag.keys() | would_cancel.keys()
    rows = [Told(tenant_id, module, would_flag.get(module, 0), would_cancel.get(module, 0), 0, None) for module in modules]
    await connection.execute(_CONFIRM, {"tenant": tenant_id, "rows": orjson.dumps(rows).decode()})


async def limit(connection: AsyncConnection, tenant_id: str, at_most: Mapping[str, int | None]) -> None:
    """Note what a scheduled plan leaves of these modules; None: it is withdrawn."""
    rows = [Told(tenant_id, module, 0, 0, 0, number) for module, number in at_most.items()]
    await connection.execute(_LIMIT, {"tenant": tenant_id, "rows": orjson.dumps(rows).decode()})


async def forget(connection: AsyncConnection, tenant_id: str) -> None:
    """A new period: there is no forecast of its renewal yet."""
    await connection.execute(_FORGET, {"tenant": tenant_id})


async def is_above(connection: AsyncConnection, tenant_id: str) -> bool:
    """Tell whether a module will have fewer licences in the next period than now, and fewer than seats are in use."""
    return (await connection.execute(_IS_ABOVE, {"tenant": tenant_id})).first() is not None


async def note_excess(connection: AsyncConnection, excesses: Sequence[Excess]) -> None:
    """Have the forecast made now of each tenant for which it is worse than the last one."""
    await connection.execute(_DUE_NOW, {"rows": orjson.dumps(excesses).decode()})
