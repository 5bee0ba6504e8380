"""Quotes, with what seats has to find when they are ordered."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.queries import insert, row
from shared.schemas.invoicing_v1 import QuoteIssued
from shared.schemas.seats_v1 import Expected


async def add(c: AsyncConnection, tenant_id: str, event: QuoteIssued, expects: Expected) -> None:
    await insert(c, tenant_id, "quotes", quote=event.quote, payload=event.model_dump_json(), expected=expects.model_dump_json())


async def find(c: AsyncConnection, tenant_id: str, quote_id: str) -> tuple[QuoteIssued, Expected] | None:
    found = await row(c, "SELECT payload, expected FROM quotes WHERE tenant_id = :t AND quote = :q", t=tenant_id, q=quote_id)
    return (QuoteIssued.model_validate_json(found["payload"]), Expected.model_validate_json(found["expected"])) if found else None
