"""The events that the account is computed from."""

from dataclasses import asdict, dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.domain.history import Fact
from shared.database.row_classes import columns_of, many, table_of
from shared.schemas import registry
from shared.schemas.base import Payload


@dataclass(frozen=True, slots=True)
class StoredFact:
    id: str
    type: str
    payload: str


FACTS = table_of("facts", StoredFact, tenant_id=str, place=int)

_ADD = insert(FACTS).on_conflict_do_nothing()
_OF_TENANT = select(*columns_of(StoredFact, FACTS)).where(FACTS.c.tenant_id == bindparam("tenant")).order_by(FACTS.c.place)


async def add(connection: AsyncConnection, tenant_id: str, event_id: str, event: Payload) -> None:
    row = StoredFact(event_id, registry.type_of(type(event)), event.model_dump_json())
    await connection.execute(_ADD, {"tenant_id": tenant_id} | asdict(row))


async def of_tenant(connection: AsyncConnection, tenant_id: str) -> list[Fact]:
    found = await many(connection, _OF_TENANT, StoredFact, tenant=tenant_id)
    return [(fact.id, registry.parse(fact.type, fact.payload.encode())) for fact in found]
