"""The events that the account is computed from."""

from dataclasses import asdict, dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.domain.history import Fact
from services.invoicing.store.tables import facts
from shared.database.rows import columns, many
from shared.schemas import registry
from shared.schemas.base import Payload


@dataclass(frozen=True, slots=True)
class StoredFact:
    id: str
    type: str
    payload: str


_ADD = insert(facts).on_conflict_do_nothing()
_OF_TENANT = select(*columns(StoredFact, facts)).where(facts.c.tenant_id == bindparam("tenant")).order_by(facts.c.place)


async def add(c: AsyncConnection, tenant_id: str, event_id: str, event: Payload) -> None:
    row = StoredFact(event_id, registry.type_of(type(event)), event.model_dump_json())
    await c.execute(_ADD, {"tenant_id": tenant_id} | asdict(row))


async def of_tenant(c: AsyncConnection, tenant_id: str) -> list[Fact]:
    found = await many(c, _OF_TENANT, StoredFact, tenant=tenant_id)
    return [(fact.id, registry.parse(fact.type, fact.payload.encode())) for fact in found]
