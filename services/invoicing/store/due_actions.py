"""Actions that are due at an instant of a tenant's own time: reminders, notices, forecasts. An action that is done has no row."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import DateTime, bindparam, case, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.tenants import TENANTS
from shared.database.row_classes import columns_of, many, one, table_of


@dataclass(frozen=True, slots=True)
class DueAction:
    """`kind` says which handler does it, `reference` what it is about. Each of them is due once at a time."""

    tenant_id: str
    kind: str
    reference: str
    due_at: datetime


DUE_ACTIONS = table_of("due_actions", DueAction)

_D = DUE_ACTIONS.c
_OWN = _D.tenant_id == bindparam("tenant")
_ONE = (_D.kind == bindparam("of_kind")) & (_D.reference == bindparam("of_reference"))
_INSERT = insert(DUE_ACTIONS)
_SET = _INSERT.on_conflict_do_update(index_elements=["tenant_id", "kind", "reference"], set_={"due_at": _INSERT.excluded.due_at})
_CANCEL = delete(DUE_ACTIONS).where(_OWN, _ONE)
_FIND = select(*columns_of(DueAction, DUE_ACTIONS)).where(_OWN, _ONE)
_NEXT = select(func.min(_D.due_at)).where(_OWN)
_TENANT_NOW = case((TENANTS.c.clock == "test", TENANTS.c.test_time), else_=bindparam("now", type_=DateTime(timezone=True)))
_DUE = (
    select(*columns_of(DueAction, DUE_ACTIONS))
    .join(TENANTS, TENANTS.c.tenant_id == _D.tenant_id)
    .where(_D.due_at <= _TENANT_NOW)
    .order_by(_D.due_at, _D.tenant_id, _D.kind, _D.reference)
    .limit(bindparam("most"))
)
_TAKE = delete(DUE_ACTIONS).where(_OWN, _ONE, _D.due_at == bindparam("at")).returning(*columns_of(DueAction, DUE_ACTIONS))


async def set_due(connection: AsyncConnection, tenant_id: str, kind: str, reference: str, at: datetime) -> None:
    """Have the action done at this instant of the tenant's time; it replaces an earlier instant of the same action."""
    await connection.execute(_SET, {"tenant_id": tenant_id, "kind": kind, "reference": reference, "due_at": at})


async def cancel(connection: AsyncConnection, tenant_id: str, kind: str, reference: str) -> None:
    await connection.execute(_CANCEL, {"tenant": tenant_id, "of_kind": kind, "of_reference": reference})


async def find(connection: AsyncConnection, tenant_id: str, kind: str, reference: str) -> DueAction | None:
    return await one(connection, _FIND, DueAction, tenant=tenant_id, of_kind=kind, of_reference=reference)


async def next_due(connection: AsyncConnection, tenant_id: str) -> datetime | None:
    found: datetime | None = (await connection.execute(_NEXT, {"tenant": tenant_id})).scalar_one()
    return found


async def due(connection: AsyncConnection, now: datetime, most: int) -> list[DueAction]:
    """Return the actions of all tenants that are due by the time of each tenant, the oldest first. `now` is that of the real clock."""
    return await many(connection, _DUE, DueAction, now=now, most=most)


async def take(connection: AsyncConnection, action: DueAction) -> bool:
    """Remove the action, and return whether it was still there: of several processes, one does it. A rollback brings it back."""
    values = {"tenant": action.tenant_id, "of_kind": action.kind, "of_reference": action.reference, "at": action.due_at}
    return await one(connection, _TAKE, DueAction, **values) is not None
