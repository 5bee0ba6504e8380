"""The bodies of responses about purchase requests and the estimates of the vendor."""

from datetime import date

import orjson
from pydantic import BaseModel, Field

from services.invoicing.api.quote_notes import todays_price_of
from services.invoicing.api.responses.quotes import StepView
from services.invoicing.domain.quote import TodaysPrice
from services.invoicing.store.purchase_requests import PurchaseRequest, TenantRequest
from shared.schemas.base import Instant
from shared.schemas.invoicing_v1 import (
    Amounts,
    Discount,
    NextPeriod,
    RequestItem,
)


class OrderingView(BaseModel):
    """How a tenant buys."""

    ordering: str = Field(description="self_service or by_request, for the tenant or else by its plan")


class ContactView(BaseModel):
    """The person to contact about a request."""

    name: str
    email: str
    phone: str


class EstimatedDiscount(Discount):
    """A discount of an estimate."""

    periods: int | None = Field(None, description="The number of periods, counted from the approval; null: until `until_day`, or no end.")


class PurchaseRequestView(BaseModel):
    """A request for more or fewer licences, and the estimate of the vendor."""

    request: str
    state: str = Field(
        description="requested, estimated (the vendor has answered), approved (ordered), declined (by the vendor), withdrawn (by the "
        "customer) or expired (nobody approved the estimate until its date)"
    )
    company: str
    contact: ContactView
    message: str
    items: tuple[RequestItem, ...] = Field(description="What is requested; after the estimate, what the estimate fixes.")
    discounts: tuple[EstimatedDiscount, ...] = Field(
        description="What the estimate takes off, for the whole subscription from the approval on."
    )
    note: str = Field(description="What the vendor says about the estimate.")
    valid_until: date | None = Field(description="The last day on which the estimate can be approved.")
    currency: str | None = Field(None, description="The currency of the amounts below.")
    if_approved_today: Amounts | None = Field(
        None, description="The amount for the rest of the period, if the estimate is approved today; null in lists and without an estimate."
    )
    less_each_day_minor: int | None = Field(
        None, description="How much less it is net on the next day; null on the last day of the period."
    )
    price: str = Field("", description="The same as a sentence, in the format of the tenant's locale.")
    next_period: NextPeriod | None = Field(
        None, description="The price of the whole subscription for the next period, by the price list; null for several quotes."
    )
    next_before: Amounts | None = Field(None, description="The price of the whole subscription for the next period as it is now.")
    next_after: Amounts | None = Field(
        None, description="The same with all that the estimate adds, reduces and takes off, by the price list; null: there is none."
    )
    credit_net_minor: int = Field(0, description="What a reduction at once credits, net.")
    quotes: tuple[str, ...]
    orders: tuple[str, ...] = Field(description="The orders of the approval. A quote without an order waits for its second approver.")
    reductions: tuple[str, ...]
    history: list[StepView]
    approve_url: str

    @classmethod
    def of(cls, tenant: str, found: PurchaseRequest) -> "PurchaseRequestView":
        """Return the request without the price of today."""
        shown = {name: getattr(found, name) for name in ("request", "state", "company", "message", "note", "valid_until")}
        outcome = {name: tuple(found.ordered.get(name, ())) for name in ("quotes", "orders", "reductions")}
        contact = ContactView(name=found.contact_name, email=found.contact_email, phone=found.contact_phone)
        url = f"/v1/tenants/{tenant}/purchase-requests/{found.request}/approve"
        history = [StepView.model_validate_json(orjson.dumps(step)) for step in found.steps]
        discounts = tuple(EstimatedDiscount(**each.content.model_dump(), periods=each.periods) for each in found.offered_discounts)
        return cls(**shown, **outcome, contact=contact, items=found.wanted, discounts=discounts, history=history, approve_url=url)

    def with_price(self, found: TodaysPrice, currency: str, locale: str) -> "PurchaseRequestView":
        """Return the estimate with its price for today."""
        known = {"currency": currency, "credit_net_minor": found.credit_net_minor, "next_before": found.before, "next_after": found.after}
        if not found.quotes:
            return self.model_copy(update=known)
        today = Amounts(
            net_minor=sum(quote.net_minor for quote in found.quotes),
            tax_minor=sum(quote.tax_minor for quote in found.quotes),
            gross_minor=sum(quote.gross_minor for quote in found.quotes),
        )
        less = found.less_each_day_minor
        return self.model_copy(
            update=known
            | {
                "if_approved_today": today,
                "less_each_day_minor": less,
                "price": todays_price_of(today.net_minor, less, currency, locale),
                "next_period": found.quotes[0].next_period if len(found.quotes) == 1 else None,
            }
        )


class TenantRequestView(PurchaseRequestView):
    """A request of any tenant, without the price of today."""

    tenant: str
    tenant_name: str | None
    requested_at: Instant
    changed_at: Instant = Field(description="Since when the request has its state.")
    url: str

    @classmethod
    def of_tenant(cls, found: TenantRequest) -> "TenantRequestView":
        shown = PurchaseRequestView.of(found.tenant_id, found)
        return cls(
            **{name: getattr(shown, name) for name in PurchaseRequestView.model_fields},
            tenant=found.tenant_id,
            tenant_name=found.name,
            requested_at=shown.history[0].at,
            changed_at=shown.history[-1].at,
            url=f"/v1/tenants/{found.tenant_id}/purchase-requests/{found.request}",
        )
