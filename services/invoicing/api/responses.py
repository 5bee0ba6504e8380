"""The bodies of responses."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import orjson
from pydantic import BaseModel, Field

from services.invoicing.domain.quote import Pool
from services.invoicing.store.billing_details import BillingDetails
from services.invoicing.store.orders import Order
from services.invoicing.store.subscriptions import Module, Subscription
from services.invoicing.store.tenants import Tenant
from shared.money import format_amount
from shared.schemas.base import Instant
from shared.schemas.invoicing_v1 import (
    ChargeBooked,
    InvoiceIssued,
    InvoiceLine,
    PlanDefined,
    QuoteIssued,
    QuoteLine,
    SubscriptionStarted,
    TaxLine,
    UnitPrice,
)


class ModuleView(BaseModel):
    module: str
    name: str
    base: bool
    requires: list[str]


class PlanView(BaseModel):
    plan: str
    name: str
    currency: str
    allows_extra_licences: bool
    version: int = Field(description="Of the price list; a quote names the one it was priced with.")
    prices: tuple[UnitPrice, ...]

    @classmethod
    def of(cls, event: PlanDefined) -> "PlanView":
        return cls(**{name: getattr(event, name) for name in cls.model_fields})


class BillingDetailsView(BaseModel):
    version: str
    company: str
    street: str
    postcode: str
    city: str
    country: str
    vat_id: str | None
    email: str
    tax_category: str
    tax_rate_percent: str
    changed_at: Instant

    @classmethod
    def of(cls, found: BillingDetails) -> "BillingDetailsView":
        return cls(**{name: getattr(found, name) for name in cls.model_fields})


class PeriodView(BaseModel):
    start: date
    end: date = Field(description="Not included.")


class SubscribedModuleView(BaseModel):
    module: str
    base: bool
    licences: int = Field(description="Bought, as seats reported it last; before the pool is open, as ordered.")
    next_period: int = Field(description="In the next period.")
    opened: bool
    unit_price_minor: int | None = Field(description="For one licence and a whole period, by the price list in force.")
    policies: dict[str, Any]


class SubscriptionView(BaseModel):
    subscription: str
    status: str = Field(description="pending: seats has not opened every pool yet; active; failed.")
    reason: str
    plan: str
    term: str
    currency: str
    period: PeriodView
    billed_until: date
    next_invoice_on: date
    charge_when: str
    next_period_net_minor: int | None = Field(description="What the next period costs by the price list in force.")
    modules: list[SubscribedModuleView]


def subscription_view(
    found: Subscription, contract: SubscriptionStarted, modules: Sequence[Module], pools: Mapping[str, Pool], plan: PlanDefined
) -> SubscriptionView:
    prices = {price.module: price.amount_minor for price in plan.prices if price.term == contract.term}
    shown = []
    for module in modules:
        pool = pools.get(module.module, Pool(module.licences, module.licences))
        shown.append(
            SubscribedModuleView(
                module=module.module,
                base=module.base,
                licences=pool.licences,
                next_period=pool.next_period,
                opened=module.opened,
                unit_price_minor=prices.get(module.module),
                policies={name: value for name, value in orjson.loads(module.policies).items() if value is not None},
            )
        )
    costs = [module.unit_price_minor * module.next_period for module in shown if module.unit_price_minor is not None]
    return SubscriptionView(
        subscription=found.subscription,
        status=found.status,
        reason=found.reason,
        plan=contract.plan,
        term=contract.term,
        currency=contract.currency,
        period=PeriodView(start=found.period_start, end=found.period_end),
        billed_until=found.billed_until,
        next_invoice_on=found.period_end,
        charge_when=contract.charge_when,
        next_period_net_minor=sum(costs) if len(costs) == len(shown) else None,
        modules=shown,
    )


class ResumedView(BaseModel):
    sent: list[str] = Field(description="Commands, each with what it is about; empty: seats has done everything, or has not answered yet.")


class QuoteView(BaseModel):
    quote: str
    currency: str
    lines: tuple[QuoteLine, ...]
    taxes: tuple[TaxLine, ...]
    net_minor: int
    tax_minor: int
    gross_minor: int
    gross: str = Field(description="As the tenant's locale writes it.")
    charge: str = Field(description="now: invoiced when the order is completed; next_invoice: on the invoice of the next period.")
    priced_for: date
    plan_version: int
    recurring_now_minor: int = Field(description="Net, for each whole period, of the ordered modules as they are.")
    recurring_then_minor: int = Field(description="The same with what is ordered.")
    expires_at: Instant
    approve_url: str
    order: str | None = Field(description="Made of it by approval.")

    @classmethod
    def of(cls, tenant: Tenant, event: QuoteIssued, order: str | None) -> "QuoteView":
        return cls(
            **{name: getattr(event, name) for name in cls.model_fields if name in QuoteIssued.model_fields},
            gross=format_amount(event.gross_minor, event.currency, tenant.locale),
            recurring_now_minor=sum(line.recurring_now_minor for line in event.lines),
            recurring_then_minor=sum(line.recurring_then_minor for line in event.lines),
            approve_url=f"/v1/tenants/{tenant.tenant_id}/quotes/{event.quote}/approve",
            order=order,
        )


class OrderView(BaseModel):
    order: str
    quote: str
    status: str = Field(description="pending: seats has not decided yet; completed; refused.")
    reason: str
    detail: dict[str, Any] = Field(description="Of a refusal: what was expected and what is.")
    invoice: str | None = Field(description="On which the order is charged, once it is issued.")
    approved_at: Instant
    decided_at: Instant | None
    status_url: str

    @classmethod
    def of(cls, tenant: str, found: Order, invoice: str | None) -> "OrderView":
        return cls(
            order=found.order,
            quote=found.quote,
            status=found.status,
            reason=found.reason,
            detail=orjson.loads(found.detail),
            invoice=invoice,
            approved_at=found.approved_at,
            decided_at=found.decided_at,
            status_url=f"/v1/tenants/{tenant}/orders/{found.order}",
        )


class InvoiceView(BaseModel):
    invoice: str
    number: str
    issued_on: date
    due_on: date
    reason: str
    orders: tuple[str, ...]
    currency: str
    lines: tuple[InvoiceLine, ...]
    taxes: tuple[TaxLine, ...]
    net_minor: int
    tax_minor: int
    gross_minor: int
    billing_details: str
    test: bool = Field(description="Of a test clock: no tax document.")
    pdf_url: str

    @classmethod
    def of(cls, tenant: str, event: InvoiceIssued) -> "InvoiceView":
        shown = {name: getattr(event, name) for name in cls.model_fields if name != "pdf_url"}
        return cls(**shown, pdf_url=f"/v1/tenants/{tenant}/invoices/{event.invoice}/pdf")


class ChargeView(BaseModel):
    charge: str
    order: str | None
    decision: str
    at: Instant
    reason: str
    currency: str
    module: str
    quantity: int
    unit_price_minor: int
    day: date
    days: int
    days_of_period: int
    net_minor: int
    invoice: str | None = Field(description="None: it waits for the next invoice.")

    @classmethod
    def of(cls, event: ChargeBooked, invoice: str | None) -> "ChargeView":
        return cls(**{name: getattr(event, name) for name in cls.model_fields if name != "invoice"}, invoice=invoice)


class StatisticsView(BaseModel):
    invoices: int
    net_minor: int
    tax_minor: int
    gross_minor: int
    currency: str | None
    charges: int
    quotes: int
    orders_pending: int
    orders_completed: int
    orders_refused: int
