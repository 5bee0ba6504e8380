"""Work over many people that one change asks for, done in chunks (migration 0001, `reevaluations`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from shared import ids
from shared.schemas.base import Actor
from shared.schemas.envelope import Envelope


class ReevaluationKind(StrEnum):
    SETTINGS = "settings"  # everybody's need is worked out anew
    POOL_OPENED = "pool_opened"  # who needs the module and has no seat of it asks again
    REPUBLISH = "republish"  # everybody is published once more, for a reader that was rebuilt


def cause_of(actor: Actor, envelope: Envelope | None) -> dict[str, str | None]:
    """Kept with a review, so that what it publishes names who and what began it."""
    kept = {"actor_kind": actor.kind, "actor_id": actor.id, "message": None, "source": None, "type": None, "correlation": None}
    if envelope is not None:
        kept |= {"message": envelope.id, "source": envelope.source, "type": envelope.type, "correlation": envelope.correlation}
    return kept


@dataclass(frozen=True, slots=True)
class Reevaluation:
    review: str
    tenant: str
    kind: ReevaluationKind
    module: str | None
    after: int  # arrival of the last person done
    cause: dict[str, str | None]
    created_at: datetime

    @property
    def actor(self) -> Actor:
        return Actor(kind=self.cause["actor_kind"] or "system", id=self.cause["actor_id"] or "users")

    @property
    def envelope(self) -> Envelope | None:
        """Of the message that asked for the review; None when a request did."""
        id_, source, type_ = self.cause["message"], self.cause["source"], self.cause["type"]
        if id_ is None or source is None or type_ is None:
            return None
        return Envelope(id=id_, source=source, type=type_, time=self.created_at, tenant=self.tenant, correlation=self.cause["correlation"])


async def add(
    tenant: str, connection: AsyncConnection, kind: ReevaluationKind, cause: dict[str, str | None], module: str | None = None
) -> None:
    await add_many([tenant], connection, kind, cause, module)


async def add_many(
    tenants: Sequence[str], connection: AsyncConnection, kind: ReevaluationKind, cause: dict[str, str | None], module: str | None = None
) -> None:
    """One for each of these tenants."""
    await connection.exec_driver_sql(
        "INSERT INTO reevaluations (reevaluation_id, tenant_id, kind, module, cause, created_at)"
        " SELECT id, tenant, $3, $4, $5::jsonb, now() FROM unnest($1::text[], $2::text[]) AS r (id, tenant)",
        ([ids.new_id() for _ in tenants], list(tenants), kind.value, module, orjson.dumps(cause).decode()),
    )


async def spend(tenant: str, connection: AsyncConnection, day: date, most: int) -> bool:
    """Count one re-evaluation of all people of the tenant on this day. False, and nothing counted, if the day would then have more than
    `most`; the first change of a day is always taken, however many people there are. Call under the tenant's exclusive lock."""
    result = await connection.exec_driver_sql(
        "UPDATE tenants t SET reevaluations_on = $2, reevaluations = s.spent + p.people"
        " FROM (SELECT count(*) AS people FROM people WHERE tenant_id = $1) AS p,"
        " (SELECT CASE WHEN reevaluations_on = $2 THEN reevaluations ELSE 0 END AS spent FROM tenants WHERE tenant_id = $1) AS s"
        " WHERE t.tenant_id = $1 AND (s.spent = 0 OR s.spent + p.people <= $3)",
        (tenant, day, most),
    )
    return result.rowcount == 1


async def take(connection: AsyncConnection, tenant: str | None = None) -> Reevaluation | None:
    """The oldest review that nobody else is at, locked: two processes never do the same chunk. The oldest of each tenant only, because a
    later one may rest on what the earlier one stores."""
    result = await connection.exec_driver_sql(
        "SELECT reevaluation_id, tenant_id, kind, module, after_arrival, cause, created_at FROM reevaluations r"
        " WHERE ($1::text IS NULL OR r.tenant_id = $1)"
        " AND NOT EXISTS (SELECT FROM reevaluations o WHERE o.tenant_id = r.tenant_id AND o.reevaluation_id < r.reevaluation_id)"
        " ORDER BY r.reevaluation_id LIMIT 1 FOR UPDATE SKIP LOCKED",
        (tenant,),
    )
    row = result.one_or_none()
    if row is None:
        return None
    return Reevaluation(
        row.reevaluation_id, row.tenant_id, ReevaluationKind(row.kind), row.module, row.after_arrival, row.cause, row.created_at
    )


async def advance(tenant: str, connection: AsyncConnection, review: str, after: int) -> None:
    await connection.exec_driver_sql(
        "UPDATE reevaluations SET after_arrival = $3 WHERE tenant_id = $1 AND reevaluation_id = $2", (tenant, review, after)
    )


async def finish(tenant: str, connection: AsyncConnection, review: str) -> None:
    await connection.exec_driver_sql("DELETE FROM reevaluations WHERE tenant_id = $1 AND reevaluation_id = $2", (tenant, review))


async def count(tenant: str, connection: AsyncConnection) -> int:
    result = await connection.exec_driver_sql("SELECT count(*) FROM reevaluations WHERE tenant_id = $1", (tenant,))
    number: int = result.scalar_one()
    return number
