"""Bulk re-evaluations, which background jobs do in chunks (migration 0001, `reevaluations`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, Date, DateTime, Text, bindparam, case, delete, func, insert, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.store.people import PEOPLE
from services.users.store.tenants import TENANTS
from shared import ids
from shared.database.row_classes import columns_of, json_rows, names_of, one, recordset, table_of
from shared.schemas.base import Actor
from shared.schemas.envelope import Envelope


class ReevaluationKind(StrEnum):
    SETTINGS = "settings"  # compute the required modules of all people again
    POOL_OPENED = "pool_opened"  # the same, and send the modules of people again who have no seat of an opened module
    POOL_CLOSED = "pool_closed"
    CATALOGUE = "catalogue"  # another module is required by a module
    ROLE_CHANGED = "role_changed"  # compute the rights of people with this role again
    SOURCES = "sources"  # describe people of several sources by the changed order of these
    GROUPS = "groups"  # give people the profiles and roles of their groups
    REFUSED = "refused"  # request the seats of refused people again, the oldest refusal first
    SCIM_REMOVED = "scim_removed"  # end what a SCIM connection that was removed has stated
    REPUBLISH = "republish"  # publish all people again, for a reader that was rebuilt


Cause = Mapping[str, str | None]
KEPT: Final = timedelta(days=7)  # after its end, so that its progress can be read
BEFORE_ALL: Final = datetime(1, 1, 1, tzinfo=UTC)  # nobody was created earlier


def cause_of(actor: Actor, envelope: Envelope | None) -> Cause:
    """Return what is stored with a re-evaluation, so that its events name the actor and the message that caused it."""
    kept = {"actor_kind": actor.kind, "actor_id": actor.id, "message": None, "source": None, "type": None, "correlation": None}
    if envelope is not None:
        kept |= {"message": envelope.id, "source": envelope.source, "type": envelope.type, "correlation": envelope.correlation}
    return kept


@dataclass(frozen=True, slots=True)
class Reevaluation:
    """A bulk re-evaluation that is not finished."""

    reevaluation_id: str
    tenant_id: str
    kind: str
    module: str | None  # or the role, or the connection
    begun: bool  # or the subscribed modules have to be computed first
    after_created: datetime  # of the last person done
    after_arrival: int
    until: int
    total: int  # people; 0: not counted yet
    done: int
    cause: Cause
    created_at: datetime
    finished_at: datetime | None = None

    @property
    def actor(self) -> Actor:
        return Actor(kind=self.cause["actor_kind"] or "system", id=self.cause["actor_id"] or "users")

    @property
    def envelope(self) -> Envelope | None:
        """The envelope of the message that caused the re-evaluation; None if a request did."""
        id_, source, type_ = self.cause["message"], self.cause["source"], self.cause["type"]
        if id_ is None or source is None or type_ is None:
            return None
        correlation = self.cause["correlation"]
        return Envelope(id=id_, source=source, type=type_, time=self.created_at, tenant=self.tenant_id, correlation=correlation)


REEVALUATIONS: Final = table_of("reevaluations", Reevaluation)

_R: Final = REEVALUATIONS.c
_TENANT: Final = bindparam("tenant", type_=Text)
_GIVEN: Final = recordset(Reevaluation)
_ADD: Final = insert(REEVALUATIONS).from_select(
    [*names_of(Reevaluation, but=("created_at",)), "created_at"],
    select(*(_GIVEN.c[name] for name in names_of(Reevaluation, but=("created_at",))), func.now()),
)
_OPEN: Final = _R.finished_at.is_(None)
_WITH_WORK: Final = select(_R.tenant_id).where(_OPEN).group_by(_R.tenant_id).order_by(func.min(_R.reevaluation_id))
_OLDEST: Final = select(func.min(_R.reevaluation_id)).where(_R.tenant_id == _TENANT, _OPEN).scalar_subquery()
_LOCK_NEXT: Final = (
    select(*columns_of(Reevaluation, REEVALUATIONS))
    .where(_R.tenant_id == _TENANT, _R.reevaluation_id == _OLDEST)
    .with_for_update(skip_locked=True)
)
_OWN: Final = (_R.tenant_id == _TENANT) & (_R.reevaluation_id == bindparam("of_id", type_=Text))
_ADVANCE: Final = (
    update(REEVALUATIONS)
    .where(_OWN)
    .values(
        begun=True,
        after_created=bindparam("new_created", type_=DateTime(timezone=True)),
        after_arrival=bindparam("new_arrival", type_=BigInteger),
        done=_R.done + bindparam("more", type_=BigInteger),
    )
)
_FINISH: Final = update(REEVALUATIONS).where(_OWN).values(done=_R.done + bindparam("more", type_=BigInteger), finished_at=func.now())
_FORGET: Final = delete(REEVALUATIONS).where(_R.tenant_id == _TENANT, _R.finished_at < func.now() - KEPT)
_COUNT: Final = select(func.count()).where(_R.tenant_id == _TENANT, _OPEN)
_IS_OPEN: Final = select(func.count()).where(
    _R.tenant_id == _TENANT, _OPEN, _R.kind == bindparam("kind", type_=Text), _R.module == bindparam("module", type_=Text)
)
_GET: Final = select(*columns_of(Reevaluation, REEVALUATIONS)).where(_OWN)
_ALL_PEOPLE: Final = select(func.count()).where(PEOPLE.c.tenant_id == _TENANT, PEOPLE.c.status != literal_column("'expected'"))
_SET_TOTAL: Final = update(REEVALUATIONS).where(_OWN).values(total=_ALL_PEOPLE.scalar_subquery())

_DAY: Final = bindparam("day", type_=Date)
_PEOPLE: Final = select(_TENANT.label("tenant_id"), func.count().label("people")).where(PEOPLE.c.tenant_id == _TENANT).subquery("counted")
_SPENT: Final = case((TENANTS.c.reevaluations_on == _DAY, TENANTS.c.reevaluations), else_=0)
_TOTAL: Final = _SPENT + _PEOPLE.c.people
_SPEND: Final = (
    update(TENANTS)
    .where(
        TENANTS.c.tenant_id == _TENANT,
        TENANTS.c.tenant_id == _PEOPLE.c.tenant_id,
        (_SPENT == 0) | (bindparam("most", type_=BigInteger) >= _TOTAL),
    )
    .values(reevaluations_on=_DAY, reevaluations=_TOTAL)
)


async def add(
    connection: AsyncConnection,
    tenant_id: str,
    kind: ReevaluationKind,
    cause: Cause,
    module: str | None = None,
    *,
    until: int = 0,
    total: int = 0,
) -> str:
    """Add a re-evaluation; return its id."""
    (added,) = await add_many(connection, [tenant_id], kind, cause, module, until=until, total=total)
    return added


async def add_many(
    connection: AsyncConnection,
    tenant_ids: Sequence[str],
    kind: ReevaluationKind,
    cause: Cause,
    module: str | None = None,
    *,
    until: int = 0,
    total: int = 0,
) -> Sequence[str]:
    """Add one re-evaluation for each of these tenants; return their ids."""
    begun = kind not in (ReevaluationKind.POOL_OPENED, ReevaluationKind.POOL_CLOSED, ReevaluationKind.CATALOGUE)
    same: dict[str, Any] = {"kind": kind, "module": module, "begun": begun, "after_created": BEFORE_ALL, "after_arrival": 0, "cause": cause}
    same |= {"until": until, "total": total, "done": 0, "finished_at": None}
    rows = [{"reevaluation_id": ids.new_id(), "tenant_id": tenant_id} | same for tenant_id in tenant_ids]
    await connection.execute(_ADD, {"rows": json_rows(rows)})
    return [str(row["reevaluation_id"]) for row in rows]


async def spend(connection: AsyncConnection, tenant_id: str, day: date, most: int) -> bool:
    """Count one re-evaluation of all people of the tenant on this day.

    Return False, and count nothing, if the day would then have more than `most`; the first change of a day is always allowed, however many
    people there are. Call under the tenant's exclusive lock.
    """
    return (await connection.execute(_SPEND, {"tenant": tenant_id, "day": day, "most": most})).rowcount == 1


async def with_work(connection: AsyncConnection) -> list[str]:
    """Return the tenants with a re-evaluation that is not finished, the oldest first."""
    return list((await connection.execute(_WITH_WORK)).scalars())


async def lock_next(connection: AsyncConnection, tenant_id: str) -> Reevaluation | None:
    """Return the tenant's oldest re-evaluation, locked, unless another process works on it: a later one may depend on what it stores."""
    return await one(connection, _LOCK_NEXT, Reevaluation, tenant=tenant_id)


async def advance(
    connection: AsyncConnection, tenant_id: str, reevaluation_id: str, created_at: datetime, arrival: int, more: int = 0
) -> None:
    """Save the last person done, after `more` people."""
    given = {"tenant": tenant_id, "of_id": reevaluation_id, "new_created": created_at, "new_arrival": arrival, "more": more}
    await connection.execute(_ADVANCE, given)


async def count_people(connection: AsyncConnection, tenant_id: str, reevaluation_id: str) -> None:
    """Save how many people there are, of whom all are evaluated."""
    await connection.execute(_SET_TOTAL, {"tenant": tenant_id, "of_id": reevaluation_id})


async def finish(connection: AsyncConnection, tenant_id: str, reevaluation_id: str, more: int) -> None:
    """Save that all people are done, the last `more` of them now. What was finished a week ago is deleted."""
    await connection.execute(_FINISH, {"tenant": tenant_id, "of_id": reevaluation_id, "more": more})
    await connection.execute(_FORGET, {"tenant": tenant_id})


async def get(connection: AsyncConnection, tenant_id: str, reevaluation_id: str) -> Reevaluation | None:
    return await one(connection, _GET, Reevaluation, tenant=tenant_id, of_id=reevaluation_id)


async def is_open(connection: AsyncConnection, tenant_id: str, kind: ReevaluationKind, module: str) -> bool:
    """Return whether a re-evaluation of this kind about the module, role or connection is not finished."""
    return bool((await connection.execute(_IS_OPEN, {"tenant": tenant_id, "kind": kind, "module": module})).scalar_one())


async def count(connection: AsyncConnection, tenant_id: str) -> int:
    return int((await connection.execute(_COUNT, {"tenant": tenant_id})).scalar_one())
