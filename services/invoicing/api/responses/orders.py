"""The bodies of responses about orders."""

from typing import Any

import orjson
from pydantic import BaseModel, Field

from services.invoicing.api.responses.quotes import StepView
from services.invoicing.store.orders import Order
from services.invoicing.store.quotes import StoredQuote
from shared.schemas.base import Actor, Instant


class OrderedView(BaseModel):
    """The licences of a module before and after an order."""

    module: str
    before: int = Field(description="0 for a module that the order adds to the subscription.")
    after: int


class OrderView(BaseModel):
    """An order: an approved quote, and the decision of seats about it."""

    order: str
    quote: str
    items: list[OrderedView] = Field(description="What the order changes; for a refused order, what it would have changed.")
    gross_minor: int = Field(description="The amount that was approved.")
    currency: str
    status: str = Field(description="pending (seats has not decided yet), completed or refused")
    reason: str
    detail: dict[str, Any] = Field(description="For a refused order: the expected and the actual situation.")
    invoice: str | None = Field(description="The invoice with the charge of the order, after it was issued.")
    approved_at: Instant
    approved_by: Actor
    decided_at: Instant | None
    status_url: str
    history: list[StepView] | None = Field(
        None, description="What happened to the order and its quote; null in lists and answers to other requests."
    )

    @classmethod
    def of(cls, tenant: str, found: Order, quote: StoredQuote, invoice: str | None) -> "OrderView":
        """Return the order with what its quote changes."""
        event, before = quote.issued, {pool.module: pool.licences for pool in quote.expects.pools}
        numbers = [(line.module, before.get(line.module, 0), line.quantity) for line in event.lines]
        return cls(
            order=found.order,
            quote=found.quote,
            items=[OrderedView(module=module, before=had, after=had + quantity) for module, had, quantity in numbers],
            gross_minor=event.gross_minor,
            currency=event.currency,
            status=found.status,
            reason=found.reason,
            detail=orjson.loads(found.detail),
            invoice=invoice,
            approved_at=found.approved_at,
            approved_by=Actor.model_validate_json(found.approved_by),
            decided_at=found.decided_at,
            status_url=f"/v1/tenants/{tenant}/orders/{found.order}",
        )
