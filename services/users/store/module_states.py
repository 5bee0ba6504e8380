"""The projection of seats' decisions, per person and module, each row guarded by the position that it reflects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.module_states import ModuleState, Seat
from shared.schemas.position import DecisionId

_WRITE: Final = """
INSERT INTO person_modules (tenant_id, user_id, module, state, deadline, reason, revoked, refused, partition, record_offset, n)
SELECT $1, user_id, module, state, deadline, reason, revoked, refused, partition, record_offset, n
FROM jsonb_populate_recordset(null::person_modules, $2::jsonb)
ON CONFLICT (tenant_id, user_id, module) DO UPDATE SET
    state = excluded.state, deadline = excluded.deadline, reason = excluded.reason, revoked = excluded.revoked, refused = excluded.refused,
    partition = excluded.partition, record_offset = excluded.record_offset, n = excluded.n
"""


async def load(tenant: str, connection: AsyncConnection, users: Sequence[str]) -> dict[str, dict[str, Seat]]:
    """Per person, by module. To change them, call under the persons' locks: nobody writes them without."""
    result = await connection.exec_driver_sql(
        "SELECT user_id, module, state, deadline, reason, revoked, refused, partition, record_offset, n FROM person_modules"
        " WHERE tenant_id = $1 AND user_id = ANY($2::text[]) ORDER BY user_id, module",
        (tenant, list(users)),
    )
    found: dict[str, dict[str, Seat]] = {user: {} for user in users}
    for row in result:
        decision_id = DecisionId(row.partition, row.record_offset, row.n)
        found[row.user_id][row.module] = Seat(ModuleState(row.state), row.deadline, row.reason, row.revoked, row.refused, decision_id)
    return found


async def write(tenant: str, connection: AsyncConnection, seats: Mapping[tuple[str, str], Seat]) -> None:
    """By (user, module)."""
    rows = [
        {
            "user_id": user,
            "module": module,
            "state": seat.state.value,
            "deadline": seat.deadline,
            "reason": seat.reason,
            "revoked": seat.revoked,
            "refused": seat.refused,
            "partition": seat.decision_id.partition,
            "record_offset": seat.decision_id.offset,
            "n": seat.decision_id.n,
        }
        for (user, module), seat in seats.items()
    ]
    if rows:
        await connection.exec_driver_sql(_WRITE, (tenant, orjson.dumps(rows).decode()))


@dataclass(frozen=True, slots=True)
class Statistics:
    """`hired` and `active` count persons; the others (person, module), `flagged` now, `revoked` and `refused` over the whole run."""

    hired: int
    active: int
    flagged: int
    revoked: int
    refused: int
    pending: int


async def statistics(tenant: str, connection: AsyncConnection) -> Statistics:
    """An administrator who never needed a seat (A19) has an account with the vendor, and is not one of the people counted here."""
    people = (
        await connection.exec_driver_sql(
            "SELECT count(*) AS hired, count(*) FILTER (WHERE status = 'active') AS active,"
            " count(*) FILTER (WHERE answered < revision) AS pending"
            " FROM people WHERE tenant_id = $1 AND status <> 'expected' AND NOT (administrator AND revision = 0)",
            (tenant,),
        )
    ).one()
    seats = (
        await connection.exec_driver_sql(
            "SELECT count(*) FILTER (WHERE state = 'flagged') AS flagged, count(*) FILTER (WHERE revoked) AS revoked,"
            " count(*) FILTER (WHERE refused) AS refused"
            " FROM person_modules WHERE tenant_id = $1",
            (tenant,),
        )
    ).one()
    return Statistics(people.hired, people.active, seats.flagged, seats.revoked, seats.refused, people.pending)


async def unanswered(connection: AsyncConnection, seconds: float) -> int:
    """People of all tenants whose last command has had no answer for longer than this."""
    result = await connection.exec_driver_sql(
        "SELECT count(*) FROM people WHERE answered < revision AND sent_at < now() - make_interval(secs => $1)", (seconds,)
    )
    count: int = result.scalar_one()
    return count
