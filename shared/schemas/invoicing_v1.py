"""Events of invoicing (`invoicing.events.v1`, kept without end): all data of invoices, with opaque ids only.

Amounts are integers in the currency's minor unit; exact fractions are (numerator, denominator). Days are local dates of the tenant.
"""

from datetime import date
from typing import Annotated

from pydantic import Field, StringConstraints

from shared.schemas.base import Actor, Change, Currency, Id, Instant, Items, ModuleName, Payload, Text
from shared.schemas.seats_v1 import Policies, WouldCancel, WouldFlag


class InvoicingEvent(Payload):
    at: Instant  # the tenant's time
    actor: Actor
    reason: Text = ""
    changes: Items[Change] = ()


class ModuleDefined(InvoicingEvent):
    module: ModuleName
    name: Text
    base: bool
    requires: Items[ModuleName] = ()


class PriceStep(Payload):
    """The price of the licences from the step before it up to this number."""

    up_to: int = Field(ge=1)
    amount_minor: int = Field(ge=0)


class UnitPrice(Payload):
    """The price of a licence of a module for a whole period.

    With steps it depends on the number of licences: each has the price of its step (`graduated`), or all have that of the whole number
    (`volume`). The first `included` licences cost nothing, and count for the steps.
    """

    module: ModuleName
    term: str  # monthly | annual
    amount_minor: int = Field(ge=0)  # above the last step
    steps: Items[PriceStep] = ()  # in ascending order
    pricing: str = "graduated"  # graduated | volume
    included: int = Field(default=0, ge=0)

    @property
    def is_flat(self) -> bool:
        """Return whether every licence has the same price, however many there are."""
        return not self.steps and not self.included

    def parts(self, licences: int, above: int = 0) -> list[tuple[int, int]]:
        """Return how many licences have which price, from the first one on: of those above a number, if there are so many in all."""
        of_all = next((step.amount_minor for step in self.steps if licences <= step.up_to), self.amount_minor)
        graduated = [(step.up_to, step.amount_minor) for step in self.steps] if self.pricing != "volume" else []
        ends = [*graduated, (licences, of_all if self.pricing == "volume" else self.amount_minor)]
        found, place = list[tuple[int, int]](), above
        for end, amount in [(self.included, 0), *ends]:
            count = min(end, licences) - place
            if count > 0:
                found.append((count, amount))
                place += count
        return found

    def total_minor(self, licences: int) -> int:
        """Return the price of so many licences for a whole period."""
        return sum(count * amount for count, amount in self.parts(licences))


class ModuleLimits(Payload):
    """How many licences of a module a plan allows."""

    module: ModuleName
    minimum: int = Field(default=1, ge=1)
    maximum: int | None = None


class Amounts(Payload):
    net_minor: int
    tax_minor: int
    gross_minor: int


class PlanDefined(InvoicingEvent):
    plan: Id
    name: Text
    currency: Currency
    prices: Items[UnitPrice]
    allows_extra_licences: bool
    version: int  # the price list a quote names
    limits: Items[ModuleLimits] = ()  # of the modules that have any
    holds_from: date | None = None  # for contracts from this day on; None: at once
    ordering: str = "self_service"  # self_service | by_request


class PriceChangeAnnounced(InvoicingEvent):
    """The price list of a running subscription will be another one from a renewal on, if nothing else changes.

    `changes` has each other price (`module.price`, of all licences) and condition, and each policy that is no longer allowed. The amounts
    are those of a whole period with the numbers of the next one, by the list before and by the new list.
    """

    subscription: Id
    plan: Id
    plan_version: int
    takes_effect_on: date  # the first day of the first period with the new list
    currency: Currency
    before: Amounts
    after: Amounts


class PriceChangeWithdrawn(InvoicingEvent):
    """A price list that was announced to a running subscription will not apply, because a later one takes it back.

    The fields are those of the announcement: `before` and `old` are what was announced, `after` and `new` what applies instead.
    """

    subscription: Id
    plan: Id
    plan_version: int
    takes_effect_on: date  # as announced
    currency: Currency
    before: Amounts
    after: Amounts


class BillingDetailsChanged(InvoicingEvent):
    """The version of billing details that is in force, and its tax. The details themselves stay in invoicing's database."""

    version: Id
    tax_category: str = "S"  # UNCL5305: S standard rate, Z zero, E exempt, AE reverse charge, O outside
    tax_rate_percent: str  # decimal, "25" or "8.1"
    rate_country: str | None = None  # the rate is the standard rate of this country on the day of the supply; None: `tax_rate_percent`
    tax_rule: str = ""  # why it is taxed so, for example domestic, reverse_charge or operator


class Discount(Payload):
    """A lower price for what is supplied on a day from `from_day` on and before `until_day`: by a percentage, or by an amount per period.

    A percentage counts for the licences of a period that begins on such a day, and for licences that are added on such a day. An amount
    counts once for each period that begins on such a day.
    """

    discount: Id
    module: ModuleName | None = None  # None: the whole subscription
    percent: str | None = None  # decimal, "12.5"; or else:
    amount_minor: int | None = Field(default=None, ge=1)  # for each period
    from_day: date
    until_day: date | None = None  # not included; None: without end
    text: Text = ""  # why it is given


class SubscriptionModule(Payload):
    module: ModuleName
    licences: int = Field(ge=1)


class SubscriptionStarted(InvoicingEvent):
    """The contract: plan, term, first period, and the licences of each module at its start."""

    subscription: Id
    plan: Id
    plan_version: int
    term: str  # monthly | annual
    currency: Currency
    period_start: date
    period_end: date  # not included
    billed_until: date  # not included
    charge_when: str  # threshold | now | next_invoice
    billing_details: Id
    modules: Items[SubscriptionModule]
    credit_when: str = "threshold"  # threshold | next_invoice | now
    zero_invoices: bool = False  # also issue documents whose lines are all zero
    anchor: date | None = None  # the day from which the starts of the periods are counted; None: `period_start`
    time_zone: str = "UTC"  # IANA; the local days of this subscription, so that they can be rebuilt without the tenant's record
    payment_days: int = Field(default=14, ge=0)  # from the day of an invoice to the day it is due
    test: bool = False  # the tenant is on a test clock: its invoices have a number series of their own and are no tax documents
    price_notice: str = "P30D"  # days between the announcement of another price list and the renewal that takes it
    discounts: Items[Discount] = ()  # that were granted with the start
    trial_until: date | None = None  # the first period is a trial and costs nothing; the first charged period begins on this day
    billing_day: int | None = None  # the day of the month with which the contract began; None: that of the anchor

    @property
    def anchored_on(self) -> date:
        return self.anchor or self.period_start

    @property
    def begins_on_day(self) -> int:
        """Return the day of the month on which periods begin, also after a change to a term whose months lack it."""
        return self.billing_day or self.anchored_on.day


class TrialEndingSoon(InvoicingEvent):
    """A reminder, so many days before the first charged period of a subscription begins."""

    subscription: Id
    ends_on: date  # the first charged day
    days: int
    currency: Currency
    first_period: Amounts | None = None  # what it costs, if nothing else changes


class DiscountGranted(InvoicingEvent):
    """The subscription has a discount from now on. `number` and `after`: as those of `contract_changed`."""

    subscription: Id
    number: int = Field(ge=1)
    after: str  # id of the seats event
    currency: Currency
    discount: Discount
    next_before: Amounts | None = None  # the price of the next period without it, and with it
    next_after: Amounts | None = None


class DiscountWithdrawn(InvoicingEvent):
    """A discount no longer counts for licences that are added, nor for periods that begin. What was charged with it stays."""

    subscription: Id
    number: int = Field(ge=1)
    after: str  # id of the seats event
    currency: Currency
    discount: Discount
    next_before: Amounts | None = None
    next_after: Amounts | None = None


class SubscriptionActivated(InvoicingEvent):
    """All pools of a new subscription are open: its modules can be used from now on."""

    subscription: Id
    decision: Text  # id of the seats event that opened the last of them


class SubscriptionEnding(InvoicingEvent):
    """Somebody ended the subscription: `ends_on` is the first day without it. `at_once`: the vendor ended it, for the given reason."""

    subscription: Id
    ends_on: date
    at_once: bool = False


class SubscriptionEndingSoon(InvoicingEvent):
    """A reminder, so many days before the subscription ends."""

    subscription: Id
    ends_on: date
    days: int


class RenewalForecast(InvoicingEvent):
    """The renewal would flag people or cancel reservations if nothing else changed: sent so many days before it, and again when it gets
    worse."""

    subscription: Id
    begins_on: date
    days: int
    would_flag: Items[WouldFlag]
    would_cancel: Items[WouldCancel] = ()


class KeptModule(Payload):
    module: ModuleName
    licences: int
    next_period: int  # the number that it had before the subscription was ended


class SubscriptionKept(InvoicingEvent):
    """The ending was taken back."""

    subscription: Id
    modules: Items[KeptModule]


class SubscriptionEnded(InvoicingEvent):
    """The subscription ended with a decision of seats, which closed its pools. What was not charged yet is on one last document."""

    subscription: Id
    decision: str  # id of the seats event; empty: it was never active, so it has no document
    ended_on: date  # the first day without it
    billing_details: Id
    at_once: bool = False


class TermsApplied(InvoicingEvent):
    """The price list and billing details that were in force when a decision without an approved price was read:
    an expansion, or the begin of a period."""

    decision: str  # id of the seats event
    subscription: Id
    plan: Id
    plan_version: int
    billing_details: Id
    module: ModuleName | None = None  # of an expansion, or of licences that came back; None: the begin of a period, or an earlier release


class DayCharged(InvoicingEvent):
    """The end of a local day on which licences changed: what is not charged yet of these changes is charged.

    `at` is the end of the day. `after` is the last decision of seats that counts.
    A later decision about the same day counts for the next end.
    """

    day: date
    after: str  # id of the seats event
    subscription: Id
    billing_details: Id
    undecided: Items[Id] = ()  # orders that seats has not decided yet: the credits that they count on wait for them


class QuoteStep(Payload):
    """Licences of a quote that have one price. A negative number: licences whose price changes with the order."""

    quantity: int
    unit_price_minor: int
    net_minor: int
    discount_minor: int = 0  # already deducted from `net_minor`


class QuoteLine(Payload):
    module: ModuleName
    quantity: int  # licences to add
    unit_price_minor: int  # for a whole period; 0 if the licences have several prices
    days: int  # that are charged
    days_of_period: int
    net_minor: int
    recurring_now_minor: int  # before discounts, as the next one
    recurring_then_minor: int
    discount_minor: int = 0  # already deducted from `net_minor`
    steps: Items[QuoteStep] = ()  # if the price depends on the number of licences


class TaxLine(Payload):
    category: str
    rate_percent: str
    basis_minor: int
    tax_minor: int


class NextPeriod(Payload):
    """The price of the whole subscription for the next period, before and after an order.

    `after` is `before` with what the order adds, and with what it brings back because it cancels scheduled reductions (T21).
    """

    before: Amounts
    after: Amounts
    added_net_minor: int
    cancelled_reduction_net_minor: int


class QuoteIssued(InvoicingEvent):
    quote: Id
    subscription: Id
    currency: Currency
    lines: Items[QuoteLine]
    taxes: Items[TaxLine]
    net_minor: int
    tax_minor: int
    gross_minor: int
    charge: str  # now | next_invoice: when the amount is invoiced
    priced_for: date
    plan_version: int
    expires_at: Instant
    plan: Id | None = None
    billing_details: Id | None = None  # that the taxes were computed with
    credit_net_minor: int = 0  # the credits that the amounts above are already less by
    credit_reserved_minor: int = 0  # the credits that the other quotes of its estimate count on
    next_period: NextPeriod | None = None
    ends_on: date | None = None  # the subscription ends then all the same
    cancels_closing: Items[ModuleName] = ()  # modules that were to close, and that the purchase keeps
    cancels_plan_change: Id | None = None  # a scheduled change of plan that does not fit any more after the order
    new_module: ModuleName | None = None  # the order adds this module to the subscription, with these policies
    policies: Policies | None = None
    discounts: Items[Discount] = ()  # the percentages that the lines are priced with
    replaces: Id | None = None  # the quote of the day before, which waited for a second approver
    estimate: Id | None = None  # the request whose estimate fixes the unit prices
    requested_by: Actor | None = None  # who sent that request; None: the actor requested the quote


class RequestItem(Payload):
    """More licences of a module, or fewer; in an estimate, with the price of one for a whole period."""

    module: ModuleName
    add: int = Field(default=0, ge=0)
    reduce: int = Field(default=0, ge=0)
    unit_price_minor: int | None = None


class PurchaseRequestChanged(InvoicingEvent):
    """A request for more or fewer licences took a new state. Its contact data stay in invoicing's database."""

    request: Id
    state: str  # requested | estimated | approved | declined | withdrawn | expired
    items: Items[RequestItem]
    valid_until: date | None = None  # of the estimate: the last day on which it can be approved
    currency: Currency | None = None  # of the unit prices
    discounts: Items[Discount] = ()  # that the estimate fixes
    note: Annotated[str, StringConstraints(max_length=1000)] = ""  # what the vendor says about the estimate
    quotes: Items[Id] = ()  # of the approval
    orders: Items[Id] = ()
    reductions: Items[Id] = ()


class SecondApprovalNeeded(InvoicingEvent):
    """Somebody approved a quote, and it waits for a second approver: until `expires_at`, and then again with the next day's amount."""

    quote: Id
    requested_by: Actor
    approved_by: Actor
    approved_gross_minor: int  # the amount that was approved
    replaces: Id | None = None  # the quote of the day before
    lines: Items[QuoteLine]
    currency: Currency
    net_minor: int
    tax_minor: int
    gross_minor: int
    charge: str  # now | next_invoice
    expires_at: Instant
    last_day: date | None = None  # the last one on which a quote that is issued again can be approved: then its period ends
    reminds: bool = False  # the last day is near. The quotes of the days between are no news for anybody


class QuoteExpired(InvoicingEvent):
    """A quote that waited for a second approver cannot be issued again, and expired. `reason` says why."""

    quote: Id
    requested_by: Actor


class PurchaseSettingsChanged(InvoicingEvent):
    """What a tenant decided about its purchases: who approves them, and their monthly budget."""

    second_approver: str  # none | above_budget | always
    currency: Currency | None = None  # of the subscription, if there is one
    monthly_budget_minor: int | None = None  # of the recurring net amount that purchases and expansions of a month add
    ordering: str | None = None  # self_service | by_request; None: as the plan says


class ExpansionLimited(InvoicingEvent):
    """Something keeps seats from expanding a module up to the tenant's own cap, or nothing does any more (empty)."""

    module: ModuleName
    limited_by: str  # monthly_budget | overdue_invoice | empty
    own_cap: int | None


class QuoteApproved(InvoicingEvent):
    quote: Id
    order: Id
    approved_on: date
    billing_details: Id | None = None  # the version the invoice is made out to
    first_approver: Actor | None = None  # if the purchase needed a second one, who is the actor
    undecided: Items[Id] = ()  # orders that seats had not decided yet: they leave the credit on which this purchase counts
    # If the purchase counts on a credit: the last decision of seats that counts, and the number as of a change of the subscription. The
    # credits of the open day are booked then, so that no later change of their module takes them away. Empty: at the purchase's decision.
    after: str = ""
    number: int = 0
    bought: Items[SubscriptionModule] = ()  # the licences that the quote adds


class QuoteWithdrawn(InvoicingEvent):
    """Somebody withdrew a quote: it cannot be approved any more."""

    quote: Id
    requested_by: Actor
    waited: bool = False  # for a second approver


class OrderCompleted(InvoicingEvent):
    order: Id
    quote: Id
    lines: Items[QuoteLine]


class OrderRefused(InvoicingEvent):
    order: Id
    quote: Id


class ReductionItem(Payload):
    module: ModuleName
    before: int = Field(ge=0)  # licences, or the next period's number
    total: int = Field(ge=0)


class ReductionPrice(Payload):
    """What a reduction saves: the price of the next period, and the credit for the rest of this one (a positive amount)."""

    currency: Currency
    next_period_before: Amounts | None  # None: the price list lacks one of the modules
    next_period_after: Amounts | None
    credit_net_minor: int
    unbilled_net_minor: int  # the part for charges that are on no invoice yet: it is deducted from them
    credit: str  # when the rest is credited: now | next_invoice


class ReductionOrdered(InvoicingEvent):
    """Somebody approved that modules have fewer licences: `now`, or from the next period on (`period_end`)."""

    reduction: Id
    subscription: Id
    takes_effect: str  # now | period_end
    items: Items[ReductionItem]
    approved_on: date
    price: ReductionPrice | None = None  # None: an earlier release ordered it


class ModuleAdded(InvoicingEvent):
    """Seats opened the pool of a module that an approved order added to the running subscription."""

    decision: str  # id of the seats event
    order: Id
    subscription: Id
    module: ModuleName
    licences: int


class PoliciesChanged(InvoicingEvent):
    """Seats took over the policies of pools that somebody changed. `changes` has each policy as `module.policy`, before and after."""

    change: Id
    subscription: Id
    modules: Items[ModuleName]


class ModuleTotal(Payload):
    module: ModuleName
    licences: int = Field(ge=0)


class PlanPrice(Payload):
    """The price of a change of plan or term: for the rest of the period, and for the next one."""

    currency: Currency
    charge: str  # now | next_invoice: when the difference for the rest of the period is charged or credited
    now: Amounts
    next_before: Amounts
    next_after: Amounts


class ContractChanged(InvoicingEvent):
    """The subscription has other terms from now on. A field that is None keeps its value.

    `after` is the last decision of seats for which the former terms count, so that a rebuild reads each decision with the same terms.
    """

    change: Id
    subscription: Id
    number: int = Field(ge=1)  # of the changes of this subscription: 1, 2, …
    after: str  # id of the seats event
    charge_when: str | None = None
    credit_when: str | None = None
    zero_invoices: bool | None = None
    price_notice: str | None = None
    plan: Id | None = None  # of a change of plan: with its price list, and the billing details whose tax counts
    plan_version: int | None = None
    billing_details: Id | None = None
    day: date | None = None  # from this day on, the licences that the tenant has get the prices of the plan
    price: PlanPrice | None = None
    term: str | None = None  # of a change that takes effect with a period, as `anchor` and `licences`
    anchor: date | None = None
    licences: Items[ModuleTotal] = ()  # with how many licences of a module the period begins, if seats had more


class PlanChangeScheduled(InvoicingEvent):
    """Somebody ordered another plan or term from the next period on. It is checked again when the period begins."""

    change: Id
    subscription: Id
    takes_effect_on: date
    plan: Id
    term: str
    closes: Items[ModuleName] = ()  # modules that the plan does not sell
    reduces: Items[ReductionItem] = ()  # modules of which it allows fewer licences
    would_flag: Items[WouldFlag] = ()
    would_cancel: Items[WouldCancel] = ()
    price: PlanPrice


class PlanChangeWithdrawn(InvoicingEvent):
    """Somebody took a scheduled change of plan or term back."""

    change: Id
    subscription: Id
    plan: Id
    term: str


class PlanChangeDropped(InvoicingEvent):
    """A scheduled change of plan or term did not fit any more when its period began: the former plan, term and prices go on."""

    change: Id
    subscription: Id
    plan: Id
    term: str
    modules: Items[ModuleName]  # that did not fit; `reason` says why


class ChargeBooked(InvoicingEvent):
    """A line of the ledger of changes, traceable to the decisions that caused it. A credit has a negative amount."""

    charge: Id
    order: Id | None = None
    decision: str  # id of the seats event, of the last one if there are several
    currency: Currency
    module: ModuleName
    quantity: int
    unit_price_minor: int
    day: date
    days: int
    days_of_period: int
    net_minor: int
    tax_category: str | None = None
    tax_rate_percent: str | None = None
    decisions: Items[str] = ()  # all decisions that a charge of a day sums up
    undoes: Items[str] = ()  # a credit: the decisions of which it takes charges back; `opening-<day>`: the licences at the period's start
    discount_minor: int = 0  # already deducted from `net_minor`


class InvoiceLine(Payload):
    """A line of a document.

    A line of several charges, or of a part of a charge, has only their sum: unit price and days are 0.
    """

    text_key: str  # proration | recurring | adjustment | credit
    module: ModuleName
    quantity: int
    unit_price_minor: int
    from_day: date
    to_day: date  # not included
    days: int
    days_of_period: int
    net_minor: int
    charges: Items[Id]
    tax_category: str | None = None
    tax_rate_percent: str | None = None
    discount_minor: int = 0  # already deducted from `net_minor`


class InvoiceIssued(InvoicingEvent):
    """An invoice or a credit note. The amounts of a credit note are positive; its lines that charge something are negative."""

    invoice: Id
    number: str
    issued_on: date
    due_on: date
    subscription: Id
    orders: Items[Id]
    currency: Currency
    billing_details: Id
    lines: Items[InvoiceLine]
    taxes: Items[TaxLine]
    net_minor: int
    tax_minor: int
    gross_minor: int
    decision: str | None = None  # id of the seats event that called for it
    test: bool = False  # as the subscription says
    kind: str = "invoice"  # invoice | credit_note
    corrects: Items[Id] = ()  # the invoices that a credit note takes charges back of


class PaymentRecorded(InvoicingEvent):
    """Money that was received for an invoice, or that the vendor paid out for a credit note. Its reference is not published."""

    payment: Id
    invoice: Id  # or the credit note
    direction: str  # received | paid_out
    amount_minor: int = Field(ge=1)
    currency: Currency
    paid_on: date


class PaymentTakenBack(InvoicingEvent):
    """A payment that was recorded by mistake no longer counts."""

    payment: Id
    invoice: Id
    direction: str  # received | paid_out
    amount_minor: int = Field(ge=1)
    currency: Currency


class CreditSetOff(InvoicingEvent):
    """A part of a credit note pays a part of an invoice."""

    credit_note: Id
    invoice: Id
    amount_minor: int = Field(ge=1)
    currency: Currency


class CreditKept(InvoicingEvent):
    """The rest of a credit note is kept for later invoices, and is not paid out."""

    credit_note: Id
    amount_minor: int = Field(ge=1)
    currency: Currency


class PaymentReminded(InvoicingEvent):
    """A reminder of an overdue invoice, which is sent to the invoice e-mail address with the invoice."""

    invoice: Id
    number: str
    step: int = Field(ge=1)  # of `steps` reminders
    steps: int = Field(ge=1)
    issued_on: date
    due_on: date
    currency: Currency
    gross_minor: int
    open_minor: int = Field(ge=1)
    overdue_action: str = "none"  # none | no_purchases | operator_decides: what the last reminder leads to

    @property
    def last(self) -> bool:
        return self.step >= self.steps


class OverdueActionChanged(InvoicingEvent):
    """The operator decided what the last reminder of an overdue invoice leads to: none, no_purchases or operator_decides."""

    action: str


class OverdueInvoice(Payload):
    invoice: Id
    number: str
    due_on: date
    open_minor: int


class OverdueDecisionDue(InvoicingEvent):
    """The last reminder of an invoice was sent, and the operator has to decide whether the tenant may still buy."""

    invoices: Items[OverdueInvoice]
    currency: Currency


class PurchasesBlocked(InvoicingEvent):
    """The tenant can buy nothing and no module is expanded until these invoices are paid. Seats that exist are not touched."""

    invoices: Items[OverdueInvoice]
    currency: Currency


class PurchasesUnblocked(InvoicingEvent):
    """The balance is settled, or the operator decided so: the tenant can buy again."""
