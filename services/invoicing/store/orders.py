"""Orders and how seats decided them."""

from datetime import datetime

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.queries import insert, row
from shared.schemas.base import Actor
from shared.schemas.invoicing_v1 import QuoteApproved


async def add(c: AsyncConnection, tenant_id: str, event: QuoteApproved) -> None:
    await insert(
        c,
        tenant_id,
        "orders",
        order=event.order,
        quote=event.quote,
        status="pending",
        approved_at=event.at,
        approved_by=event.actor.model_dump_json(),
    )


async def find(c: AsyncConnection, tenant_id: str, order_id: str) -> RowMapping | None:
    return await row(c, 'SELECT * FROM orders WHERE tenant_id = :t AND "order" = :o', t=tenant_id, o=order_id)


async def of_quote(c: AsyncConnection, tenant_id: str, quote_id: str) -> RowMapping | None:
    return await row(c, "SELECT * FROM orders WHERE tenant_id = :t AND quote = :q", t=tenant_id, q=quote_id)


async def decide(
    c: AsyncConnection, tenant_id: str, order_id: str, status: str, reason: str, detail: str, at: datetime
) -> tuple[str, Actor] | None:
    """(quote, who approved it) if the order was still pending: the first answer counts."""
    found = await row(
        c,
        """UPDATE orders SET status = :s, reason = :r, detail = :d, decided_at = :at
           WHERE tenant_id = :t AND "order" = :o AND status = 'pending' RETURNING quote, approved_by""",
        t=tenant_id,
        o=order_id,
        s=status,
        r=reason,
        d=detail,
        at=at,
    )
    return (found["quote"], Actor.model_validate_json(found["approved_by"])) if found else None
