"""The states of modules per person, as the decisions of seats make them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from sqlalchemy import ARRAY, BigInteger, DateTime, Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.module_states import ModuleState, Seat
from shared.database.row_classes import columns_of, names_of, recordset, replacing, table_of
from shared.schemas.position import DecisionId

SEAT_STATES: Final = (ModuleState.ACTIVE, ModuleState.FLAGGED, ModuleState.HELD, ModuleState.WAITING)


@dataclass(frozen=True, slots=True)
class ModuleStateRow:
    user_id: str
    module: str
    state: str
    deadline: datetime | None
    reason: str | None
    revoked: bool
    refused: bool
    partition: int
    record_offset: int
    n: int
    remind_at: datetime | None


MODULE_STATES: Final = table_of("person_modules", ModuleStateRow, tenant_id=str)

_TENANT: Final = bindparam("tenant", type_=Text)
_GIVEN: Final = recordset(ModuleStateRow)
_INSERT: Final = insert(MODULE_STATES).from_select(
    ["tenant_id", *names_of(ModuleStateRow)], select(_TENANT, *columns_of(ModuleStateRow, _GIVEN))
)
_SAVE: Final = replacing(_INSERT, ModuleStateRow, "tenant_id", "user_id", "module")
_LOAD: Final = (
    select(*columns_of(ModuleStateRow, MODULE_STATES))
    .where(MODULE_STATES.c.tenant_id == _TENANT, MODULE_STATES.c.user_id == any_(bindparam("users", type_=ARRAY(Text))))
    .order_by(MODULE_STATES.c.user_id, MODULE_STATES.c.module)
)
_OWN: Final = MODULE_STATES.c.tenant_id == _TENANT
_DUE: Final = (
    select(MODULE_STATES.c.user_id)
    .where(_OWN, MODULE_STATES.c.remind_at <= bindparam("now", type_=DateTime(timezone=True)))
    .group_by(MODULE_STATES.c.user_id)
    .order_by(func.min(MODULE_STATES.c.remind_at), MODULE_STATES.c.user_id)
    .limit(bindparam("limit", type_=BigInteger))
)
_NEXT_REMINDER: Final = select(func.min(MODULE_STATES.c.remind_at)).where(_OWN, MODULE_STATES.c.remind_at.is_not(None))


async def load(connection: AsyncConnection, tenant_id: str, users: Sequence[str]) -> dict[str, dict[str, Seat]]:
    """Return the states for each person, by module. To change them, call under the people's locks: every writer holds them."""
    found: dict[str, dict[str, Seat]] = {user: {} for user in users}
    for given in await connection.execute(_LOAD, {"tenant": tenant_id, "users": list(users)}):
        row = ModuleStateRow(*given)
        decision_id = DecisionId(row.partition, row.record_offset, row.n)
        found[row.user_id][row.module] = Seat(
            ModuleState(row.state), row.deadline, row.reason, row.revoked, row.refused, decision_id, row.remind_at
        )
    return found


async def with_due_reminders(connection: AsyncConnection, tenant_id: str, now: datetime, limit: int) -> list[str]:
    """Return the people with reminders that are due, at most `limit`, the earliest first."""
    return list((await connection.execute(_DUE, {"tenant": tenant_id, "now": now, "limit": limit})).scalars())


async def next_reminder(connection: AsyncConnection, tenant_id: str) -> datetime | None:
    at: datetime | None = (await connection.execute(_NEXT_REMINDER, {"tenant": tenant_id})).scalar_one()
    return at


async def save(connection: AsyncConnection, tenant_id: str, seats: Mapping[tuple[str, str], Seat]) -> None:
    """Save states by (user, module)."""
    rows = [
        ModuleStateRow(
            user_id=user,
            module=module,
            state=seat.state,
            deadline=seat.deadline,
            reason=seat.reason,
            revoked=seat.revoked,
            refused=seat.refused,
            partition=seat.decision_id.partition,
            record_offset=seat.decision_id.offset,
            n=seat.decision_id.n,
            remind_at=seat.remind_at,
        )
        for (user, module), seat in seats.items()
    ]
    if rows:
        await connection.execute(_SAVE, {"tenant": tenant_id, "rows": orjson.dumps(rows).decode()})
