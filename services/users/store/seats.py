"""The projection of seats' decisions, per person and module, each row guarded by the position that it reflects."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain import Decided, ModuleState


@dataclass(frozen=True, slots=True, order=True)
class DecisionId:
    """Where an event stands: the command's position, and which of its events it is."""

    partition: int
    offset: int
    n: int

    @classmethod
    def parse(cls, event_id: str) -> "DecisionId":
        """Of `<topic>/<partition>/<offset>/<n>`. Raises ValueError."""
        _, partition, offset, n = event_id.rsplit("/", 3)
        return cls(int(partition), int(offset), int(n))


_NEWER: Final = "(m.record_offset, m.n) < (excluded.record_offset, excluded.n)"
# One statement for one decision: the person's row (locked by the update; no row, nothing done), what is no longer needed, and the modules
# that the event speaks of. That something was ever revoked or refused is kept from an older decision too: it is counted over the whole run.
# An answer says `revoked` of a withdrawn module as well; it stays what the revocation made it.
_PROJECT: Final = f"""
WITH person AS (
    UPDATE people SET answered = GREATEST(answered, $3) WHERE tenant_id = $1 AND user_id = $2
    RETURNING tenant_id, user_id, deactivated
), gone AS (
    UPDATE person_modules m SET state = 'released', deadline = NULL, reason = 'no_longer_needed', record_offset = $6, n = $7
    WHERE m.tenant_id = $1 AND m.user_id = $2 AND m.state <> 'released' AND NOT (m.module = ANY($4::text[]))
      AND (m.record_offset, m.n) < ($6, $7)
), put AS (
    INSERT INTO person_modules AS m (tenant_id, user_id, module, state, deadline, reason, revoked, refused, partition, record_offset, n)
    SELECT p.tenant_id, p.user_id, d.module, d.state, d.deadline, d.reason, d.revoked, d.refused, $5, $6, $7
    FROM person p, unnest($8::text[], $9::text[], $10::timestamptz[], $11::text[], $12::boolean[], $13::boolean[])
                   AS d (module, state, deadline, reason, revoked, refused)
    ON CONFLICT (tenant_id, user_id, module) DO UPDATE SET
        state = CASE WHEN NOT {_NEWER} THEN m.state
                     WHEN excluded.state = 'revoked' AND m.state = 'withdrawn' THEN m.state ELSE excluded.state END,
        deadline = CASE WHEN {_NEWER} THEN excluded.deadline ELSE m.deadline END,
        reason = CASE WHEN {_NEWER} THEN excluded.reason ELSE m.reason END,
        revoked = m.revoked OR excluded.revoked,
        refused = m.refused OR excluded.refused,
        record_offset = GREATEST(m.record_offset, excluded.record_offset),
        n = CASE WHEN {_NEWER} THEN excluded.n ELSE m.n END
    WHERE {_NEWER} OR (excluded.revoked AND NOT m.revoked) OR (excluded.refused AND NOT m.refused)
)
SELECT deactivated FROM person
"""  # noqa: S608 - constants


async def project(
    tenant: str,
    connection: AsyncConnection,
    user: str,
    at: DecisionId,
    modules: Sequence[Decided],
    revision: int,
    need: Sequence[str] | None,
) -> bool | None:
    """Take in one decision. `need` given: it lists everything the person needs, so other modules are released. Returns whether the person
    is deactivated so far; None when there is no such person."""
    result = await connection.exec_driver_sql(
        _PROJECT,
        (
            tenant,
            user,
            revision,
            None if need is None else list(need),
            at.partition,
            at.offset,
            at.n,
            [d.module for d in modules],
            [d.state.value for d in modules],
            [d.deadline for d in modules],
            [d.reason for d in modules],
            [d.revoked for d in modules],
            [d.refused for d in modules],
        ),
    )
    deactivated: bool | None = result.scalar_one_or_none()
    return deactivated


async def is_revoked_in_base(tenant: str, connection: AsyncConnection, user: str) -> bool:
    result = await connection.exec_driver_sql(
        "SELECT EXISTS (SELECT FROM person_modules WHERE tenant_id = $1 AND user_id = $2 AND state = 'revoked')", (tenant, user)
    )
    return bool(result.scalar_one())


@dataclass(frozen=True, slots=True)
class ModuleRow:
    module: str
    state: ModuleState
    deadline: datetime | None
    reason: str | None
    partition: int
    offset: int


async def modules(tenant: str, connection: AsyncConnection, users: Sequence[str]) -> dict[str, list[ModuleRow]]:
    """Per person, by module."""
    result = await connection.exec_driver_sql(
        "SELECT user_id, module, state, deadline, reason, partition, record_offset FROM person_modules"
        " WHERE tenant_id = $1 AND user_id = ANY($2::text[]) ORDER BY user_id, module",
        (tenant, list(users)),
    )
    found: dict[str, list[ModuleRow]] = {user: [] for user in users}
    for row in result:
        found[row.user_id].append(ModuleRow(row.module, ModuleState(row.state), row.deadline, row.reason, row.partition, row.record_offset))
    return found


@dataclass(frozen=True, slots=True)
class Figures:
    """`hired` and `active` count persons; the others (person, module), `flagged` now, `revoked` and `refused` over the whole run."""

    hired: int
    active: int
    flagged: int
    revoked: int
    refused: int
    pending: int


async def figures(tenant: str, connection: AsyncConnection) -> Figures:
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
    return Figures(people.hired, people.active, seats.flagged, seats.revoked, seats.refused, people.pending)


async def unanswered(connection: AsyncConnection, seconds: float) -> int:
    """People of all tenants whose last command has had no answer for longer than this."""
    result = await connection.exec_driver_sql(
        "SELECT count(*) FROM people WHERE answered < revision AND sent_at < now() - make_interval(secs => $1)", (seconds,)
    )
    count: int = result.scalar_one()
    return count
