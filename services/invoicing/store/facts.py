"""The events that the account is computed from."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.domain.history import Fact
from services.invoicing.store.queries import rows, run
from shared.schemas import registry
from shared.schemas.base import Payload


async def add(c: AsyncConnection, tenant_id: str, event_id: str, event: Payload) -> None:
    await run(
        c,
        "INSERT INTO facts (tenant_id, id, type, payload) VALUES (:t, :id, :type, :payload) ON CONFLICT DO NOTHING",
        t=tenant_id,
        id=event_id,
        type=registry.type_of(type(event)),
        payload=event.model_dump_json(),
    )


async def of_tenant(c: AsyncConnection, tenant_id: str) -> list[Fact]:
    found = await rows(c, "SELECT id, type, payload FROM facts WHERE tenant_id = :t ORDER BY place", t=tenant_id)
    return [(fact["id"], registry.parse(fact["type"], fact["payload"].encode())) for fact in found]
