"""The end of a tenant's subscription, from its order on."""

from dataclasses import asdict, dataclass
from datetime import date, datetime

from sqlalchemy import Date, Text, bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, names_of, one, table_of
from shared.schemas.base import Actor


@dataclass(frozen=True, slots=True)
class Ending:
    """`ends_on` is the first day without the subscription."""

    subscription: str
    ends_on: date
    at_once: bool  # the vendor ended it, and did not wait for the end of the period
    reason: str
    ordered_by: str  # the actor, as JSON
    ordered_at: datetime
    kept_by: str | None = None  # the actor who took it back, as JSON, until seats answers
    ended: bool = False

    @property
    def actor(self) -> Actor:
        return Actor.model_validate_json(self.ordered_by)


ENDINGS = table_of("endings", Ending, tenant_id=str)

_OWN = ENDINGS.c.tenant_id == bindparam("tenant")
_FIND = select(*columns_of(Ending, ENDINGS)).where(_OWN)
_ADD = insert(ENDINGS)
_PUT = _ADD.on_conflict_do_update(index_elements=["tenant_id"], set_={name: _ADD.excluded[name] for name in names_of(Ending)})
_REMOVE = delete(ENDINGS).where(_OWN)
_SET_KEPT_BY = update(ENDINGS).where(_OWN).values(kept_by=bindparam("actor", type_=Text))
_SET_ENDED = update(ENDINGS).where(_OWN).values(ended=True, kept_by=None, ends_on=bindparam("on_day", type_=Date))


async def find(connection: AsyncConnection, tenant_id: str) -> Ending | None:
    return await one(connection, _FIND, Ending, tenant=tenant_id)


async def put(connection: AsyncConnection, tenant_id: str, ending: Ending) -> None:
    await connection.execute(_PUT, {"tenant_id": tenant_id} | asdict(ending))


async def remove(connection: AsyncConnection, tenant_id: str) -> None:
    await connection.execute(_REMOVE, {"tenant": tenant_id})


async def set_kept_by(connection: AsyncConnection, tenant_id: str, actor: Actor | None) -> None:
    await connection.execute(_SET_KEPT_BY, {"tenant": tenant_id, "actor": actor.model_dump_json() if actor is not None else None})


async def set_ended(connection: AsyncConnection, tenant_id: str, ended_on: date) -> None:
    await connection.execute(_SET_ENDED, {"tenant": tenant_id, "on_day": ended_on})
