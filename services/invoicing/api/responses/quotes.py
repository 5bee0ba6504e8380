"""The bodies of responses about quotes."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field

from services.invoicing.api.quote_notes import notes_of
from services.invoicing.domain.approvals import requester_of
from services.invoicing.store.quotes import OPEN, QuoteStep, StoredQuote, detail_of
from services.invoicing.store.tenants import Tenant
from shared.money import format_amount
from shared.schemas.base import Actor, Instant
from shared.schemas.invoicing_v1 import (
    Discount,
    NextPeriod,
    QuoteIssued,
    QuoteLine,
    TaxLine,
)
from shared.schemas.seats_v1 import Policies


class StepView(BaseModel):
    """Something that happened to a quote or its order."""

    state: str = Field(description="The state of the quote after it; `open` when the quote was made.")
    at: Instant
    by: Actor
    detail: dict[str, Any] = Field(description="For example the order, or the reason of a refusal.")


def history_of(issued: QuoteIssued, steps: Sequence[QuoteStep]) -> list[StepView]:
    """Return what happened to a quote, in order."""
    made = StepView(state=OPEN, at=issued.at, by=issued.actor, detail={"gross_minor": issued.gross_minor, "currency": issued.currency})
    return [made, *(StepView(state=step.state, at=step.at, by=step.by, detail=dict(detail_of(step))) for step in steps)]


class ApprovalView(BaseModel):
    """Somebody approved a quote with this amount."""

    by: Actor
    at: Instant
    gross_minor: int


class QuoteView(BaseModel):
    """A quote: what it costs, what it assumes, and until when it is valid."""

    quote: str
    state: str = Field(
        description="open, waiting_for_approval (of a second approver), replaced (by the quote of the next day), approved (seats has not "
        "decided the order yet), activated (the licences can be used), refused (by seats), expired or withdrawn"
    )
    requested_by: Actor = Field(description="For the quote of an estimate, who sent the request.")
    approvals: list[ApprovalView] = Field(description="The first approval of a quote that needs a second one.")
    estimate: str | None = Field(description="The request whose estimate fixes the unit prices.")
    replaces: str | None = Field(description="The quote of the day before, which waited for its second approver.")
    currency: str
    lines: tuple[QuoteLine, ...]
    taxes: tuple[TaxLine, ...]
    net_minor: int
    tax_minor: int
    gross_minor: int
    gross: str = Field(description="The amount in the format of the tenant's locale.")
    credit_net_minor: int = Field(description="Credits that wait and are already deducted from the amounts above.")
    next_period: NextPeriod | None = Field(
        description="The price of the whole subscription for the next period, before and after the order."
    )
    charge: str = Field(description="now (invoiced when the order is completed) or next_invoice (on the invoice of the next period)")
    priced_for: date
    plan_version: int
    recurring_now_minor: int = Field(description="The present net price of the ordered modules for a whole period, before discounts.")
    recurring_then_minor: int = Field(description="The net price of these modules for a whole period after the order, before discounts.")
    discounts: tuple[Discount, ...] = Field(description="The percentages that the lines are priced with.")
    new_module: str | None = Field(description="The module that the order adds to the subscription.")
    policies: Policies | None = Field(description="The policies of the new module.")
    cancels_plan_change: str | None = Field(
        description="The scheduled change of plan that does not fit any more after the order: then the present plan goes on."
    )
    expires_at: Instant
    ends_on: date | None = Field(description="The first day without the subscription, if it is to end; the order does not change that.")
    cancels_closing: tuple[str, ...] = Field(description="Modules that were to close, and that the order keeps (T21).")
    notes: list[str] = Field(description="How the amounts come about, and what the order means for an end of a module or of everything.")
    approve_url: str
    withdraw_url: str
    order: str | None = Field(description="The order, after the quote was approved.")
    history: list[StepView] | None = Field(None, description="What happened to the quote; null in lists and answers to other requests.")
    replaced_by: str | None = Field(
        None, description="The quote of today that stands in place of one that is replaced; null in lists and answers to other requests."
    )
    your_approval: str | None = Field(
        None,
        description="What your approval would do: orders, waits (for a second approver), or not_possible (you requested or approved the "
        "quote, which needs another person, or it is above the budget). null: without the right account:buy, in lists and answers to "
        "changes of a quote, and when the quote can no longer be approved.",
    )

    @classmethod
    def of(cls, tenant: Tenant, found: StoredQuote, now: datetime, order: str | None) -> "QuoteView":
        """Return the quote as it is at a time of the tenant."""
        event, url = found.issued, f"/v1/tenants/{tenant.tenant_id}/quotes/{found.quote}"
        own = {name: getattr(event, name) for name in cls.model_fields if name in QuoteIssued.model_fields}
        return cls(
            **own | {"expires_at": found.expires_at, "requested_by": requester_of(event)},
            state=found.state_at(now),
            approvals=[ApprovalView(by=each.by, at=each.at, gross_minor=each.gross_minor) for each in found.given],
            withdraw_url=f"{url}/withdraw",
            gross=format_amount(event.gross_minor, event.currency, tenant.locale),
            recurring_now_minor=sum(line.recurring_now_minor for line in event.lines),
            recurring_then_minor=sum(line.recurring_then_minor for line in event.lines),
            notes=notes_of(event, tenant.locale),
            approve_url=f"{url}/approve",
            order=order,
        )
