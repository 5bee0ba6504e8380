"""Quotes, with the state of the pools that seats has to find when they are ordered."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, one, table_of
from shared.schemas.invoicing_v1 import QuoteIssued
from shared.schemas.seats_v1 import Expected


@dataclass(frozen=True, slots=True)
class Quote:
    quote: str
    payload: str
    expected: str


QUOTES = table_of("quotes", Quote, tenant_id=str, created_at=datetime)

_ADD = insert(QUOTES)
_FIND = select(*columns_of(Quote, QUOTES)).where(QUOTES.c.tenant_id == bindparam("tenant"), QUOTES.c.quote == bindparam("quote"))


async def add(connection: AsyncConnection, tenant_id: str, event: QuoteIssued, expects: Expected) -> None:
    row = Quote(event.quote, event.model_dump_json(), expects.model_dump_json())
    await connection.execute(_ADD, {"tenant_id": tenant_id} | asdict(row))


async def find(connection: AsyncConnection, tenant_id: str, quote_id: str) -> tuple[QuoteIssued, Expected] | None:
    found = await one(connection, _FIND, Quote, tenant=tenant_id, quote=quote_id)
    return (QuoteIssued.model_validate_json(found.payload), Expected.model_validate_json(found.expected)) if found else None
