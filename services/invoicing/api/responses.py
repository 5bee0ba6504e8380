"""The bodies of responses."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import orjson
from pydantic import BaseModel, Field

from services.invoicing.api.quote_notes import notes_of
from services.invoicing.domain.account import INVOICE
from services.invoicing.domain.approvals import requester_of
from services.invoicing.domain.balance import Balance
from services.invoicing.domain.formats import has_xml
from services.invoicing.domain.prices import NextStart, lowered, of_one_more, prices_of
from services.invoicing.domain.quote import Pool, TodaysPrice
from services.invoicing.store.billing_details import BillingDetails
from services.invoicing.store.contract_changes import ContractChange
from services.invoicing.store.orders import Order
from services.invoicing.store.overdue import Overdue as OverdueTerms
from services.invoicing.store.payments import Payment
from services.invoicing.store.purchase_requests import PurchaseRequest, TenantRequest
from services.invoicing.store.quotes import OPEN, QuoteStep, StoredQuote, detail_of
from services.invoicing.store.receivables import ListedInvoice, Overdue, Related
from services.invoicing.store.reductions import StoredReduction
from services.invoicing.store.subscriptions import Module, Subscription
from services.invoicing.store.tenants import Tenant
from shared.money import format_amount, minor_units
from shared.schemas.base import Actor, Change, Instant
from shared.schemas.invoicing_v1 import (
    Amounts,
    ChargeBooked,
    Discount,
    InvoiceIssued,
    InvoiceLine,
    ModuleLimits,
    NextPeriod,
    PlanDefined,
    PlanPrice,
    QuoteIssued,
    QuoteLine,
    ReductionItem,
    RequestItem,
    SubscriptionStarted,
    TaxLine,
    UnitPrice,
)
from shared.schemas.seats_v1 import WouldFlag


class ModuleView(BaseModel):
    module: str
    name: str
    base: bool
    requires: list[str]


class LaterListView(BaseModel):
    """A price list that is defined, and holds from a later day on."""

    version: int
    holds_from: date
    prices: tuple[UnitPrice, ...]
    limits: tuple[ModuleLimits, ...]

    @classmethod
    def of(cls, event: PlanDefined) -> "LaterListView":
        return cls(**{name: getattr(event, name) for name in cls.model_fields})


class PlanView(BaseModel):
    """A plan and its price list."""

    plan: str
    name: str
    currency: str
    allows_extra_licences: bool
    ordering: str = Field(description="self_service, or by_request: licences are added and reduced by requests to the vendor.")
    version: int = Field(description="The version of the price list. A quote names the version with which it was made.")
    holds_from: date | None = Field(
        description="New subscriptions take the list from this day on; null: since it was defined. A running one takes it at a renewal."
    )
    prices: tuple[UnitPrice, ...]
    limits: tuple[ModuleLimits, ...] = Field(description="How many licences of a module the plan allows; without limits, any number.")

    @classmethod
    def of(cls, event: PlanDefined) -> "PlanView":
        return cls(**{name: getattr(event, name) for name in cls.model_fields})


class ListedPlanView(PlanView):
    """A plan with the price list that is in force today. Of a plan that is not sold yet, it is the first one."""

    later: list[LaterListView] = Field(description="The lists that replace it on a later day, in the order of these days.")

    @classmethod
    def of_lists(cls, lists: Sequence[PlanDefined]) -> "ListedPlanView":
        first, *later = lists
        return cls(**{name: getattr(first, name) for name in PlanView.model_fields}, later=[LaterListView.of(each) for each in later])


class PlanVersionView(PlanView):
    """A version of a plan's price list, and who defined it."""

    at: Instant = Field(description="When it was defined.")
    actor: Actor
    changes: tuple[Change, ...] = Field(description="The prices that differ from the version before: `module.term`, before and after.")


class BillingDetailsView(BaseModel):
    """The billing details that are in force."""

    version: str
    company: str
    street: str
    postcode: str
    city: str
    country: str
    vat_id: str | None
    organisation_number: str | None
    email: str = Field(description="The invoice e-mail address.")
    copy_to_administrators: bool
    document_format: str
    buyer_reference: str
    purchase_order: str
    electronic_address: str
    tax_category: str
    tax_rate_percent: str = Field(description="The rate at the time of the change. The rate of a supply is that of its day.")
    tax_rule: str = Field(
        description="Why it is taxed so: domestic, reverse_charge, one_stop_shop (the rate of your country), seller_rate (no VAT ID), "
        "outside_the_vat_territory, export, or operator (set by the vendor)."
    )
    tax_reason: str = Field(description="The operator's reason for a tax that differs from the rules.")
    changed_at: Instant

    @classmethod
    def of(cls, found: BillingDetails) -> "BillingDetailsView":
        return cls(**{name: getattr(found, name) for name in BillingDetailsView.model_fields})


class BillingDetailsVersionView(BillingDetailsView):
    """A version of the billing details, and the one that it replaced."""

    before: BillingDetailsView | None = Field(description="null for the first version.")


class PeriodView(BaseModel):
    start: date
    end: date = Field(description="The first day after the period.")


class SubscribedModuleView(BaseModel):
    module: str
    base: bool
    licences: int = Field(description="The licences that were bought, as seats last reported; before the pool is open, as ordered.")
    next_period: int = Field(description="The licences in the next period.")
    opened: bool
    unit_price_minor: int | None = Field(
        description="The price of one more licence for a whole period, with the price list that the subscription has."
    )
    policies: dict[str, Any]


class ModulePriceView(BaseModel):
    module: str
    unit_price_minor: int | None = Field(description="The price of one more licence for a whole period; null: the list has none.")


class ComingPricesView(BaseModel):
    """Other prices of a running subscription, which were announced to it."""

    from_day: date = Field(description="The first day of the period from which they apply.")
    version: int = Field(description="The version of the plan's price list.")
    prices: list[ModulePriceView] = Field(description="Those of the subscription's modules, with the licences of the next period.")


class SubscriptionView(BaseModel):
    """The subscription of a tenant, its period, and its modules."""

    subscription: str
    status: str = Field(description="pending (seats has not opened all pools yet), active, failed or ended")
    reason: str
    plan: str
    term: str
    currency: str
    period: PeriodView
    billed_until: date
    trial_until: date | None = Field(description="The first charged day of a subscription that began with a trial.")
    next_invoice_on: date
    ends_on: date | None = Field(description="The first day without the subscription; null if nobody has ended it.")
    charge_when: str
    credit_when: str
    zero_invoices: bool
    price_notice: str = Field(description="The days between the announcement of another price list and the renewal that takes it.")
    next_period_net_minor: int | None = Field(
        description="The price of the next period, with the price list and the discounts that will hold then. null: the list lacks one of "
        "the modules."
    )
    scheduled_plan_change: str | None = Field(
        description="The change of plan or term that takes effect with the next period. The numbers of the next period count it."
    )
    coming_prices: list[ComingPricesView] = Field(description="Price lists that were announced and will apply, if the plan stays the same.")
    modules: list[SubscribedModuleView]


def subscription_view(
    found: Subscription,
    contract: SubscriptionStarted,
    modules: Sequence[Module],
    pools: Mapping[str, Pool],
    plan: PlanDefined,
    next_start: NextStart,
    coming: Sequence[tuple[date, PlanDefined]],
    ends_on: date | None,
) -> SubscriptionView:
    """Return the subscription as REST shows it."""
    prices, following = prices_of(plan, contract.term), next_start.following
    known = {each.module: pools.get(each.module, Pool(0, 0) if each.opened else Pool(each.licences, each.licences)) for each in modules}
    numbers = {module: pool.next_period for module, pool in known.items()}
    fewer = {} if following is None else lowered(following.plan, following.term, numbers)
    shown = []
    for module in modules:
        pool = known[module.module]
        shown.append(
            SubscribedModuleView(
                module=module.module,
                base=module.base,
                licences=pool.licences,
                next_period=fewer.get(module.module, pool.next_period),
                opened=module.opened,
                unit_price_minor=of_one_more(prices.get(module.module), pool.licences),
                policies={name: value for name, value in orjson.loads(module.policies).items() if value is not None},
            )
        )
    return SubscriptionView(
        subscription=found.subscription,
        status=found.status,
        reason=found.reason,
        plan=contract.plan,
        term=contract.term,
        currency=contract.currency,
        period=PeriodView(start=found.period_start, end=found.period_end),
        billed_until=found.billed_until,
        trial_until=contract.trial_until,
        next_invoice_on=found.period_end,
        ends_on=ends_on,
        charge_when=contract.charge_when,
        credit_when=contract.credit_when,
        zero_invoices=contract.zero_invoices,
        price_notice=contract.price_notice,
        next_period_net_minor=next_start.net_minor(numbers),
        scheduled_plan_change=following.change if following is not None else None,
        coming_prices=[_coming(day, listed, contract.term, numbers) for day, listed in coming],
        modules=shown,
    )


def _coming(day: date, listed: PlanDefined, term: str, numbers: Mapping[str, int]) -> ComingPricesView:
    prices = prices_of(listed, term)
    shown = [ModulePriceView(module=module, unit_price_minor=of_one_more(prices.get(module), number)) for module, number in numbers.items()]
    return ComingPricesView(from_day=day, version=listed.version, prices=shown)


class ResumedView(BaseModel):
    sent: list[str] = Field(
        description="The commands that were sent again. It is empty if seats has done everything, or has not answered yet."
    )


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


class PurchaseSettingsView(BaseModel):
    """What a tenant decided about its purchases."""

    second_approver: str = Field(description="none, above_budget or always: which purchases need the approval of a second person")
    monthly_budget_minor: int | None = Field(
        description="How much purchases and expansions of a calendar month may add to the recurring net amount; null: any amount"
    )
    ordering: str | None = Field(description="self_service or by_request, as the vendor set it for the tenant; null: as the plan says")
    ordering_in_force: str = Field(description="self_service or by_request: how the tenant buys now.")
    used_minor: int = Field(description="What they have added this month, without regard to reductions.")
    left_minor: int | None = Field(description="What is left of the budget; negative if a second approver approved more.")


class OrderingView(BaseModel):
    """How a tenant buys."""

    ordering: str = Field(description="self_service or by_request, for the tenant or else by its plan")


class ContactView(BaseModel):
    """The person to contact about a request."""

    name: str
    email: str
    phone: str


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
    discounts: tuple[Discount, ...] = Field(description="What the estimate takes off, for the whole subscription from the approval on.")
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
        discounts = tuple(each.content for each in found.offered_discounts)
        return cls(**shown, **outcome, contact=contact, items=found.wanted, discounts=discounts, history=history, approve_url=url)

    def with_price(self, found: TodaysPrice, currency: str, locale: str) -> "PurchaseRequestView":
        """Return the estimate with its price for today."""
        if not found.quotes:
            return self
        today = Amounts(
            net_minor=sum(quote.net_minor for quote in found.quotes),
            tax_minor=sum(quote.tax_minor for quote in found.quotes),
            gross_minor=sum(quote.gross_minor for quote in found.quotes),
        )
        less = found.less_each_day_minor
        shown = format_amount(today.net_minor, currency, locale)
        later = f" With each later day, it costs {format_amount(less, currency, locale)} less." if less is not None else ""
        return self.model_copy(
            update={
                "currency": currency,
                "if_approved_today": today,
                "less_each_day_minor": less,
                "price": f"If you approve it today, the rest of the period costs {shown} net.{later}",
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
    your_approval: str | None = Field(
        None,
        description="What your approval would do: orders, waits (for a second approver), or not_possible (you requested or approved the "
        "quote, which needs another person, or it is above the budget). null: without the right account:buy, in lists, and when the quote "
        "can no longer be approved.",
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


class ReductionView(BaseModel):
    """A reduction: what it changes, who would be flagged, and what seats decided."""

    reduction: str
    status: str = Field(description="offered (not approved yet), pending (seats has not decided yet), completed or refused")
    reason: str
    detail: dict[str, Any] = Field(description="For a refused reduction, for example how many seats have to be freed first.")
    takes_effect: str = Field(description="period_end, or now if the policy `reduce_at` of the pools is `now`")
    items: tuple[ReductionItem, ...]
    currency: str
    next_period_before: Amounts | None = Field(
        description="The price of the whole subscription for the next period, without the reduction."
    )
    next_period_after: Amounts | None
    credit_net_minor: int = Field(description="What is credited for the rest of the period, if the reduction takes effect now.")
    credit: str = Field(description="now (a credit note at the end of the day) or next_invoice")
    would_flag: tuple[WouldFlag, ...] | None = Field(
        description="The people who would be flagged if nothing else changed: deactivate those who no longer need access. "
        "null: seats could not answer."
    )
    expires_at: Instant
    approved_at: Instant | None
    decided_at: Instant | None
    approve_url: str
    status_url: str

    @classmethod
    def of(cls, tenant: str, found: StoredReduction, *, named: bool) -> "ReductionView":
        """`named`: the people who would be flagged are named. A caller who sees only some departments gets their number alone."""
        terms, detail = found.terms, orjson.loads(found.detail)
        url = f"/v1/tenants/{tenant}/reductions/{found.reduction}"
        shown = {name: getattr(found, name) for name in ("reduction", "status", "reason", "expires_at", "approved_at", "decided_at")}
        flagged = detail.pop("would_flag", terms["would_flag"])
        if flagged is not None and not named:
            flagged = [each | {"users": []} for each in flagged]
        own = {"would_flag": flagged, "detail": detail, "approve_url": f"{url}/approve", "status_url": url}
        return cls.model_validate_json(orjson.dumps(terms | shown | own))


class ContractChangeView(BaseModel):
    """A change of the running subscription, and what became of it."""

    change: str
    kind: str = Field(description="policies or plan")
    status: str = Field(description="offered, pending (seats has not decided yet), scheduled, completed, withdrawn or refused")
    reason: str
    detail: dict[str, Any] = Field(description="For a refused change: what seats answered.")
    changes: tuple[Change, ...] = Field(description="Each field that changes, before and after. A policy of a pool is `module.policy`.")
    by: Actor
    approved_at: Instant | None
    decided_at: Instant | None
    status_url: str

    @classmethod
    def of(cls, tenant: str, found: ContractChange) -> "ContractChangeView":
        shown = {name: getattr(found, name) for name in ("change", "kind", "status", "reason", "by", "approved_at", "decided_at")}
        url = f"/v1/tenants/{tenant}/subscription/changes/{found.change}"
        return cls.model_validate(shown | found.content | {"detail": orjson.loads(found.detail), "status_url": url})


class PlanChangeView(BaseModel):
    """Another plan or term: what it costs and changes, and what became of it."""

    change: str
    status: str = Field(
        description="offered (not approved yet), scheduled (for the next period), completed, withdrawn, or refused (it did not fit any "
        "more when its period began)"
    )
    reason: str
    detail: dict[str, Any] = Field(description="For a refused change: the modules that did not fit.")
    plan: str
    term: str
    takes_effect: str = Field(description="now or period_end")
    takes_effect_on: date
    price: PlanPrice = Field(description="The difference for the rest of the period, and the price of the next period before and after.")
    changes: tuple[Change, ...] = Field(description="Plan, term and the policies that the plan does not allow, before and after.")
    closes: tuple[str, ...] = Field(description="Modules that the plan does not sell. They close when the change takes effect.")
    reduces: tuple[ReductionItem, ...] = Field(description="Modules of which the plan allows fewer licences: `total` is its maximum.")
    would_flag: tuple[WouldFlag, ...] | None = Field(
        description="The people who would be flagged if nothing else changed. null: seats could not answer."
    )
    expires_at: Instant
    approved_at: Instant | None
    approve_url: str
    withdraw_url: str
    status_url: str

    @classmethod
    def of(cls, tenant: str, found: ContractChange, *, named: bool) -> "PlanChangeView":
        """`named`: the people who would be flagged are named. A caller who sees only some departments gets their number alone."""
        url = f"/v1/tenants/{tenant}/subscription/plan-changes/{found.change}"
        terms, shown = found.content, {name: getattr(found, name) for name in ("change", "status", "reason", "expires_at", "approved_at")}
        if terms["would_flag"] and not named:
            terms["would_flag"] = [each | {"users": []} for each in terms["would_flag"]]
        urls = {"approve_url": f"{url}/approve", "withdraw_url": f"{url}/withdraw", "status_url": url}
        return cls.model_validate_json(orjson.dumps(terms | shown | urls | {"detail": orjson.loads(found.detail)}))


class RelatedView(BaseModel):
    """Another document that an invoice or credit note has to do with."""

    relation: str = Field(description="corrects, corrected_by, or set_off (of the credit note against the invoice)")
    invoice: str
    number: str
    kind: str = Field(description="invoice or credit_note")
    amount_minor: int | None = Field(description="What was set off; null for the other relations.")
    at: Instant | None = Field(description="When it was set off.")

    @classmethod
    def of(cls, found: Related) -> "RelatedView":
        return cls.model_validate(asdict(found))


class InvoiceView(BaseModel):
    """An issued invoice or credit note. The amounts of a credit note are positive: they are given back."""

    invoice: str
    kind: str = Field(description="invoice or credit_note")
    corrects: tuple[str, ...] = Field(description="The invoices that a credit note corrects.")
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
    test: bool = Field(description="True if the tenant has a test clock: the invoice is not a tax document.")
    pdf_url: str
    xml_url: str | None = Field(description="null: the document is a PDF only, because EN 16931 cannot express it.")
    state: str = Field(
        description="open, part_paid or paid. A credit note: open (the vendor has not decided yet about the rest), kept (for later "
        "invoices) or paid (set off or paid out)."
    )
    open_minor: int = Field(description="What is still to be paid. A credit note: what is left of it.")
    overdue: bool = Field(description="True if an invoice is not completely paid after its due date.")
    set_off_minor: int = Field(description="What credit notes have paid of an invoice. A credit note: what it has paid of invoices.")
    reminders: int = Field(description="How many reminders of payment were sent.")
    next_reminder_on: date | None = Field(None, description="The day of the next reminder; null in lists, and if there is none.")
    related: list[RelatedView] | None = Field(
        None, description="The documents that it corrects, that correct it, and that it was set off against; null in lists."
    )

    @classmethod
    def of(cls, tenant: str, found: ListedInvoice, today: date, set_off_minor: int = 0) -> "InvoiceView":
        event, own = found.event, {"state": found.state, "open_minor": found.open_minor, "overdue": found.is_overdue(today)}
        own |= {"reminders": found.reminders, "set_off_minor": set_off_minor}
        shown = {name: getattr(event, name) for name in cls.model_fields if name in InvoiceIssued.model_fields}
        url = f"/v1/tenants/{tenant}/invoices/{event.invoice}"
        return cls(**shown | own, pdf_url=f"{url}/pdf", xml_url=f"{url}/xml" if has_xml(minor_units(event.currency)) else None)


class PaymentView(BaseModel):
    """A payment of an invoice, or a payout of a credit note."""

    payment: str
    invoice: str
    direction: str = Field(description="received (for an invoice) or paid_out (of a credit note)")
    amount_minor: int
    currency: str
    paid_on: date
    reference: str
    recorded_at: Instant
    recorded_by: Actor
    taken_back_at: Instant | None = Field(description="When the payment was taken back. It does not count since then.")
    taken_back_by: Actor | None
    taken_back_because: str | None

    @classmethod
    def of(cls, found: Payment) -> "PaymentView":
        return cls.model_validate(asdict(found) | {"recorded_by": _actor(found.recorded_by), "taken_back_by": _actor(found.taken_back_by)})


def _actor(text: str | None) -> Actor | None:
    return Actor.model_validate_json(text) if text is not None else None


class BalanceView(BaseModel):
    """What the tenant owes on a day. A negative balance is owed by the vendor."""

    currency: str | None = Field(description="null: there is no document yet.")
    on: date = Field(description="Today, in the tenant's time zone.")
    open_minor: int = Field(description="The unpaid amount of all invoices.")
    overdue_minor: int = Field(description="The part of it that is overdue.")
    credit_minor: int = Field(description="What is left of all credit notes.")
    balance_minor: int = Field(description="open_minor less credit_minor")
    balance: str | None = Field(description="The balance in the format of the tenant's locale.")
    open_invoices: int
    overdue_invoices: int
    oldest_due_on: date | None = Field(description="The due date of the invoice that is open for the longest time.")
    overdue_action: str = Field(description="What the last reminder of an invoice leads to: none, no_purchases or operator_decides.")
    purchases_blocked: bool = Field(description="True if nothing can be bought until overdue invoices are paid.")

    @classmethod
    def of(cls, balance: Balance, terms: OverdueTerms, today: date, currency: str | None, locale: str) -> "BalanceView":
        """Return the balance of the open documents. `today` is the tenant's local day."""
        invoices = list(balance.open_of(INVOICE))
        overdue = [each for each in invoices if each.is_overdue(today)]
        return cls(
            currency=currency,
            on=today,
            open_minor=balance.open_minor,
            overdue_minor=sum(each.open_minor for each in overdue),
            credit_minor=balance.credit_minor,
            balance_minor=balance.balance_minor,
            balance=format_amount(balance.balance_minor, currency, locale) if currency else None,
            open_invoices=len(invoices),
            overdue_invoices=len(overdue),
            oldest_due_on=min((each.due_on for each in invoices), default=None),
            overdue_action=terms.action,
            purchases_blocked=terms.blocked,
        )


class OverdueInvoiceView(BaseModel):
    """An overdue invoice of any tenant."""

    tenant: str
    name: str | None
    invoice: str
    number: str
    currency: str
    due_on: date
    days_overdue: int
    gross_minor: int
    open_minor: int
    reminders: int = Field(description="How many reminders were sent.")

    @classmethod
    def of(cls, found: Overdue) -> "OverdueInvoiceView":
        own = {"tenant": found.tenant_id, "days_overdue": (found.today - found.due_on).days}
        return cls(**{name: getattr(found, name) for name in cls.model_fields if name not in own} | own)


class UpcomingInvoiceView(BaseModel):
    """The next invoice, or credit note, as it would be today. It has no number yet."""

    issued_on: date = Field(description="The first day of the next period.")
    due_on: date | None = Field(description="null if nothing would have to be paid.")
    kind: str | None = Field(description="invoice or credit_note. null: no document would be issued, since nothing would be charged.")
    currency: str
    lines: tuple[InvoiceLine, ...]
    taxes: tuple[TaxLine, ...]
    net_minor: int
    tax_minor: int
    gross_minor: int
    billing_details: str | None

    @classmethod
    def of(cls, issued_on: date, currency: str, found: InvoiceIssued | None) -> "UpcomingInvoiceView":
        if found is None:
            nothing = dict.fromkeys(("net_minor", "tax_minor", "gross_minor"), 0)
            return cls(issued_on=issued_on, due_on=None, kind=None, currency=currency, lines=(), taxes=(), billing_details=None, **nothing)
        shown = {name: getattr(found, name) for name in cls.model_fields if name != "due_on"}
        return cls(**shown, due_on=found.due_on if found.kind == INVOICE and found.gross_minor else None)


class ChargeView(BaseModel):
    """A charge: what one decision of seats costs."""

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
    net_minor: int = Field(description="A credit is negative.")
    decisions: tuple[str, ...] = Field(description="All decisions that the charge sums up.")
    invoices: tuple[str, ...] = Field(
        description="The documents with this charge. None: it waits for the next document, or a credit of the same day covers it."
    )

    @classmethod
    def of(cls, event: ChargeBooked, invoices: tuple[str, ...]) -> "ChargeView":
        return cls(**{name: getattr(event, name) for name in cls.model_fields if name != "invoices"}, invoices=invoices)


class StatisticsView(BaseModel):
    """Sums are those of the invoices less those of the credit notes."""

    invoices: int
    credit_notes: int
    net_minor: int
    tax_minor: int
    gross_minor: int
    currency: str | None
    charges: int
    quotes: int
    orders_pending: int
    orders_completed: int
    orders_refused: int


class DifferenceView(BaseModel):
    invoice: str = Field(description="The document; empty if the difference concerns all of them.")
    number: str
    what: str


class VerificationView(BaseModel):
    """The stored documents compared with what the events call for."""

    documents: int = Field(description="How many documents were compared.")
    pdfs: int = Field(description="How many PDFs were compared with their checksums.")
    different: int = Field(description="How many differences there are. 0: all documents are what the events call for.")
    differences: list[DifferenceView] = Field(description="The first 100 of them.")
