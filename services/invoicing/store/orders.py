"""Orders and how seats decided them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ARRAY, Text, any_, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.quotes import QUOTES
from shared.database.row_classes import columns_of, many, one, table_of
from shared.schemas.base import Actor
from shared.schemas.invoicing_v1 import QuoteApproved, QuoteIssued


@dataclass(frozen=True, slots=True)
class NewOrder:
    order: str
    quote: str
    status: str
    reason: str
    detail: str
    approved_at: datetime
    approved_by: str


@dataclass(frozen=True, slots=True)
class Order(NewOrder):
    place: int
    decided_at: datetime | None


PENDING_MAX = 100  # orders of a tenant that are shown; seats decides an order in milliseconds

ORDERS = table_of("orders", Order, tenant_id=str, created_at=datetime)

_OWN = ORDERS.c.tenant_id == bindparam("tenant")
_ADD = insert(ORDERS)
_FIND = select(*columns_of(Order, ORDERS)).where(_OWN, ORDERS.c.order == bindparam("order"))
_OF_QUOTE = select(*columns_of(Order, ORDERS)).where(_OWN, ORDERS.c.quote == bindparam("quote"))
_OF_QUOTES = select(ORDERS.c.quote, ORDERS.c.order).where(_OWN, ORDERS.c.quote == any_(bindparam("quotes", type_=ARRAY(Text))))
_PAGE = (
    select(*columns_of(Order, ORDERS))
    .where(_OWN, ORDERS.c.place < bindparam("before"))
    .order_by(ORDERS.c.place.desc())
    .limit(bindparam("limit"))
)
_IN_STATE = _PAGE.where(ORDERS.c.status == bindparam("of_status"))
_PENDING = (
    select(ORDERS.c.order, QUOTES.c.payload)
    .join(QUOTES, (QUOTES.c.tenant_id == ORDERS.c.tenant_id) & (QUOTES.c.quote == ORDERS.c.quote))
    .where(_OWN, ORDERS.c.status == "pending")
    .order_by(ORDERS.c.approved_at, ORDERS.c.order)
    .limit(PENDING_MAX)
)
_DECIDE = (
    update(ORDERS)
    .where(_OWN, ORDERS.c.order == bindparam("of_order"), ORDERS.c.status == "pending")
    .values(status=bindparam("new_status"), reason=bindparam("new_reason"), detail=bindparam("new_detail"), decided_at=bindparam("at"))
    .returning(*columns_of(Order, ORDERS))
)


async def add(connection: AsyncConnection, tenant_id: str, event: QuoteApproved) -> None:
    row = NewOrder(
        order=event.order,
        quote=event.quote,
        status="pending",
        reason="",
        detail="{}",
        approved_at=event.at,
        approved_by=event.actor.model_dump_json(),
    )
    await connection.execute(_ADD, {"tenant_id": tenant_id} | asdict(row))


async def find(connection: AsyncConnection, tenant_id: str, order_id: str) -> Order | None:
    return await one(connection, _FIND, Order, tenant=tenant_id, order=order_id)


async def page(connection: AsyncConnection, tenant_id: str, before: int, limit: int, status: str | None) -> list[Order]:
    """Return orders, the newest first."""
    statement, more = (_PAGE, {}) if status is None else (_IN_STATE, {"of_status": status})
    return await many(connection, statement, Order, tenant=tenant_id, before=before, limit=limit, **more)


async def of_quote(connection: AsyncConnection, tenant_id: str, quote_id: str) -> Order | None:
    return await one(connection, _OF_QUOTE, Order, tenant=tenant_id, quote=quote_id)


async def of_quotes(connection: AsyncConnection, tenant_id: str, quotes: Sequence[str]) -> dict[str, str]:
    """Return the order of each of these quotes that has one."""
    found = await connection.execute(_OF_QUOTES, {"tenant": tenant_id, "quotes": quotes})
    return {row.quote: row.order for row in found}


async def pending(connection: AsyncConnection, tenant_id: str) -> list[tuple[str, QuoteIssued]]:
    """Return the orders that seats has not decided yet, with their quotes, the oldest first."""
    found = await connection.execute(_PENDING, {"tenant": tenant_id})
    return [(row.order, QuoteIssued.model_validate_json(row.payload)) for row in found]


async def decide(
    connection: AsyncConnection, tenant_id: str, order_id: str, status: str, reason: str, detail: str, at: datetime
) -> tuple[str, Actor] | None:
    """Return the quote and who approved it if the order was still pending: the first answer counts."""
    values = {"new_status": status, "new_reason": reason, "new_detail": detail, "at": at}
    found = await one(connection, _DECIDE, Order, tenant=tenant_id, of_order=order_id, **values)
    return (found.quote, Actor.model_validate_json(found.approved_by)) if found else None
