"""The pure core of invoicing alone: a tenant's events in the order of its logs, made by quotes and decisions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from services.invoicing.domain.account import Account, account, contract_after
from services.invoicing.domain.calendar import Term, add_days, local_day, period_at, start_of_day
from services.invoicing.domain.history import Fact
from services.invoicing.domain.quote import Item, Pool, Refusal, Situation, approvable, expected, price
from shared.schemas.base import Actor, Payload
from shared.schemas.invoicing_v1 import (
    BillingDetailsChanged,
    ContractChanged,
    DayCharged,
    Discount,
    DiscountGranted,
    DiscountWithdrawn,
    InvoiceIssued,
    ModuleAdded,
    ModuleTotal,
    PlanDefined,
    QuoteApproved,
    QuoteIssued,
    SubscriptionEnded,
    SubscriptionModule,
    SubscriptionStarted,
    TermsApplied,
    UnitPrice,
)
from shared.schemas.position import Position
from shared.schemas.seats_v1 import (
    Expected,
    LicenceCount,
    LicencesAdded,
    LicencesReduced,
    PeriodStarted,
    Policies,
    PoolClosed,
    PoolExpanded,
    PoolOpened,
    PoolReduced,
    PoolRestored,
    PoolState,
)

ANN = Actor(kind="user", id="ann")
DAY = timedelta(days=1)
ROOT = Actor(kind="client", id="operator")


@dataclass
class InvoicingHarness:
    """One tenant. `at` is its time; move it with `go`."""

    zone: str = "Europe/Copenhagen"
    term: str = "monthly"
    start: date = date(2013, 11, 1)
    at: datetime = datetime(2013, 11, 1, 8, tzinfo=UTC)
    charge_when: str = "now"
    credit_when: str = "threshold"
    zero_invoices: bool = False
    licences: dict[str, int] = field(default_factory=lambda: {"time": 280})
    refused: set[str] = field(default_factory=set)  # orders that seats has refused
    prices: dict[str, int] = field(default_factory=lambda: {"time": 1200, "documents": 2000})
    tax: tuple[str, str] = ("S", "25")
    tariffs: dict[str, dict[str, Any]] = field(default_factory=dict)  # further fields of the price of a module
    currency: str = "EUR"
    extra: bool = True
    billed: bool = True
    discounts: tuple[Discount, ...] = ()  # granted with the start
    trial_until: date | None = None
    plan: str = "standard"
    facts: list[Fact] = field(default_factory=list)
    offset: int = 0
    period: str | None = None
    numbers: int = 0
    changes: int = 0
    next_plan: tuple[str, dict[str, int], dict[str, int]] | None = None  # with the next period: maximum and price of each module

    def __post_init__(self) -> None:
        self.next_period = dict(self.licences)
        self.plans: list[PlanDefined] = []
        self.details: BillingDetailsChanged | None = None
        self.define_plan()
        self.change_details()
        self.subscribe("sub")

    def subscribe(self, subscription: str) -> None:
        """Start a subscription with these licences, and open its pools."""
        period = period_at(self.start, Term(self.term), self.start)
        self.contract = SubscriptionStarted(
            at=self.at,
            actor=ROOT,
            subscription=subscription,
            plan="standard",
            plan_version=self.plans[-1].version,
            term=self.term,
            currency=self.currency,
            period_start=period.start,
            period_end=self.trial_until or period.end,
            billed_until=self.trial_until or (period.end if self.billed else period.start),
            trial_until=self.trial_until,
            anchor=self.trial_until,
            charge_when=self.charge_when,
            credit_when=self.credit_when,
            zero_invoices=self.zero_invoices,
            billing_details=self.version,
            modules=tuple(SubscriptionModule(module=module, licences=count) for module, count in sorted(self.licences.items())),
            time_zone=self.zone,
            discounts=self.discounts,
        )
        self.say(self.contract)
        for module in sorted(self.licences):
            self.decide(PoolOpened, module=module, base=module == "time", policies=Policies(), pools=self.states(module))

    # -- what invoicing says --------------------------------------------------------------------------------------------

    def say(self, event: Payload) -> None:
        self.facts.append((f"i{len(self.facts)}", event))

    @property
    def version(self) -> str:
        assert self.details is not None
        return self.details.version

    def define_plan(self, **prices: int) -> None:
        self.prices |= prices
        factor = 1 if self.term == "monthly" else 10
        listed = tuple(
            UnitPrice(module=m, term=self.term, amount_minor=n * factor, **self.tariffs.get(m, {})) for m, n in sorted(self.prices.items())
        )
        fields: dict[str, Any] = {"plan": self.plan, "name": "Standard", "currency": self.currency, "version": len(self.plans) + 1}
        self.plans.append(PlanDefined(at=self.at, actor=ROOT, prices=listed, allows_extra_licences=self.extra, **fields))
        self.say(self.plans[-1])

    def change_details(self, **tax: str) -> None:
        number = int(self.details.version[1:]) + 1 if self.details else 1
        category, rate = tax.get("category", self.tax[0]), tax.get("rate", self.tax[1])
        self.details = BillingDetailsChanged(at=self.at, actor=ANN, version=f"d{number}", tax_category=category, tax_rate_percent=rate)
        self.say(self.details)

    def change_terms(self, **terms: Any) -> None:
        """Let the subscription have other terms, as the service does: days that have ended are charged before."""
        self.end_days()
        self.changes += 1
        about: dict[str, Any] = {"change": f"change{self.changes}", "number": self.changes, "after": self.found.last_decision}
        event = ContractChanged(at=self.at, actor=ANN, subscription="sub", **about, **terms)
        self.contract = contract_after(self.contract, event)
        self.say(event)

    def change_plan(self, plan: str, **prices: int) -> None:
        """Let the licences have the prices of another plan from today on."""
        self.plan = plan
        self.define_plan(**prices)
        today = local_day(self.at, self.zone)
        about: dict[str, Any] = {"plan": plan, "plan_version": len(self.plans), "term": self.term}
        self.change_terms(day=today, billing_details=self.version, **about)

    def grant(self, percent: str | None = None, amount_minor: int | None = None, **fields: Any) -> Discount:
        """Give the subscription a discount, from today on unless `from_day` says otherwise."""
        self.end_days()
        self.changes += 1
        about: dict[str, Any] = {"from_day": local_day(self.at, self.zone)} | fields
        discount = Discount(discount=f"discount{self.changes}", percent=percent, amount_minor=amount_minor, **about)
        self._say_of(DiscountGranted, discount)
        return discount

    def withdraw(self, discount: Discount) -> None:
        self.end_days()
        self.changes += 1
        self._say_of(DiscountWithdrawn, discount)

    def _say_of(self, model: type[DiscountGranted | DiscountWithdrawn], discount: Discount) -> None:
        about: dict[str, Any] = {"number": self.changes, "after": self.found.last_decision, "currency": self.currency}
        self.say(model(at=self.at, actor=ROOT, subscription="sub", discount=discount, **about))

    # -- what seats decides ---------------------------------------------------------------------------------------------

    def end_days(self) -> None:
        """Charge the days that have ended, as the service does before it counts a decision."""
        before = local_day(self.at, self.zone)
        while (day := (found := self.found).day_to_charge(before)) is not None:
            self.end_day(day, found.last_decision)

    def end_day(self, day: date, after: str = "") -> None:
        end = start_of_day(add_days(day, 1), self.zone)
        last = after or self.found.last_decision
        fields: dict[str, Any] = {"day": day, "after": last, "subscription": "sub", "billing_details": self.version}
        self.say(DayCharged(at=end, actor=ROOT, undecided=self.undecided, **fields))

    @property
    def undecided(self) -> tuple[str, ...]:
        """The orders that seats has not decided yet."""
        approved = [event.order for _, event in self.facts if isinstance(event, QuoteApproved)]
        decided = {event.order for _, event in self.facts if isinstance(event, LicencesAdded | ModuleAdded)} | self.refused
        return tuple(each for each in approved if each not in decided)

    def decide(self, model: type[Payload], **fields: Any) -> str:
        self.end_days()
        event_id = f"seats.commands.v1/2/{self.offset}/0"
        common = {"command": f"c{self.offset}", "position": Position(partition=2, offset=self.offset), "role": "answer", "rules": 1}
        self.facts.append((event_id, model(**common | {"at": self.at, "reason": "test", "period": self.period} | fields)))
        self.offset += 3
        return event_id

    def states(self, *modules: str) -> tuple[PoolState, ...]:
        def state(module: str) -> PoolState:
            licences, following = self.licences[module], self.next_period[module]
            return PoolState(module=module, licences=licences, next_period=following, active=0, flagged=0, held=0, waiting=0, available=0)

        return tuple(state(module) for module in modules or sorted(self.licences))

    def terms(self, decision: str) -> None:
        fields: dict[str, Any] = {"decision": decision, "subscription": "sub", "plan": self.plan, "plan_version": len(self.plans)}
        self.say(TermsApplied(at=self.at, actor=ROOT, billing_details=self.version, **fields))

    def expand(self, module: str, by: int) -> None:
        self.licences[module] += by
        self.next_period[module] += by
        self.terms(self.decide(PoolExpanded, module=module, by=by, pools=self.states(module)))

    def reduce(self, module: str, by: int) -> None:
        self.licences[module] -= by
        self.next_period[module] = min(self.next_period[module], self.licences[module])
        self.decide(PoolReduced, module=module, by=by, reduce_at="now", pools=self.states(module))

    def restore(self, module: str, reduce_at: str = "now") -> None:
        """Take a leaving back that reduced the module."""
        self.licences[module] += reduce_at == "now"
        self.next_period[module] += 1
        decision = self.decide(PoolRestored, module=module, by=1, reduce_at=reduce_at, pools=self.states(module))
        if reduce_at == "now":
            self.terms(decision)

    def go(self, days: float = 0, *, to: datetime | None = None) -> None:
        """Move the time. A period that begins on the way is started."""
        target = to or self.at + timedelta(days=days)
        while (begin := start_of_day(self.found.period.end, self.zone)) <= target:  # type: ignore[union-attr]
            self.at, self.period = begin, local_day(begin, self.zone).isoformat()
            fewer = self.begin_plan() if self.next_plan else {}
            self.licences = {module: count for module, count in self.next_period.items() if count}
            self.next_period = dict(self.licences)
            licences = tuple(LicenceCount(module=m, quantity=n) for m, n in sorted(self.licences.items()))
            self.terms(self.decide(PeriodStarted, starts_at=begin, licences=licences, pools=self.states()))
            self.apply_plan(fewer)
        self.at = target
        self.end_days()

    def begin_plan(self) -> dict[str, int]:
        """Let the next plan take effect; return the licences with which the period begins, where seats has more."""
        assert self.next_plan is not None
        (self.plan, most, self.prices), self.next_plan = self.next_plan, None
        self.define_plan()
        fewer = {module: most[module] for module, number in self.next_period.items() if number and most.get(module, number) < number}
        about: dict[str, Any] = {"plan": self.plan, "plan_version": len(self.plans), "term": self.term}
        totals = tuple(ModuleTotal(module=module, licences=number) for module, number in sorted(fewer.items()))
        self.change_terms(licences=totals, **about)
        return fewer

    def apply_plan(self, fewer: Mapping[str, int]) -> None:
        """Let seats take away what the plan does not allow."""
        items = {module: self.licences[module] - number for module, number in fewer.items() if number}
        self.licences = {module: fewer.get(module, number) for module, number in self.licences.items() if fewer.get(module, number)}
        self.next_period = dict(self.licences)
        if items:
            counts = tuple(LicenceCount(module=module, quantity=gone) for module, gone in sorted(items.items()))
            self.decide(LicencesReduced, order=f"change{self.changes}", items=counts, pools=self.states(*items))
        for module in sorted(fewer.keys() - items.keys()):
            self.decide(PoolClosed, module=module, pools=())

    # -- ending ---------------------------------------------------------------------------------------------------------

    def end(self, *, at_once: bool = False) -> None:
        """End the subscription with its period, or at once."""
        if at_once:
            for module in sorted(self.licences):
                decision = self.decide(PoolClosed, module=module, pools=())
        else:
            assert self.found.period is not None
            self.go(to=start_of_day(self.found.period.end, self.zone) - timedelta(seconds=1))
            self.at += timedelta(seconds=1)
            self.period = local_day(self.at, self.zone).isoformat()
            decision = self.decide(PeriodStarted, starts_at=self.at, licences=(), pools=())
        self.licences, self.next_period = {}, {}
        fields: dict[str, Any] = {"subscription": self.contract.subscription, "decision": decision, "billing_details": self.version}
        self.say(SubscriptionEnded(at=self.at, actor=ANN, ended_on=local_day(self.at, self.zone), at_once=at_once, **fields))

    # -- buying -----------------------------------------------------------------------------------------------------------

    @property
    def found(self) -> Account:
        return account(self.facts)

    @property
    def situation(self) -> Situation:
        assert self.details is not None
        pools = {module: Pool(count, self.next_period[module]) for module, count in self.licences.items()}
        return Situation(self.contract, self.plans[-1], [self.plans[-1]], self.details, self.found, pools, self.period, self.at)

    def offer(self, *items: Item, valid: timedelta = timedelta(days=1)) -> QuoteIssued | Refusal:
        self.numbers += 1
        return price(self.situation, items, quote=f"q{self.numbers}", actor=ANN, valid=valid)

    def quote(self, *items: Item) -> tuple[QuoteIssued, Expected]:
        quote = self.offer(*items)
        assert isinstance(quote, QuoteIssued), quote
        self.say(quote)
        return quote, expected(self.situation, [line.module for line in quote.lines])

    def approve(self, quote: QuoteIssued, expects: Expected) -> Refusal | None:
        """Approve the quote. None: it was approved, and seats decided it."""
        refusal = approvable(self.situation, quote, expects)
        if refusal is None:
            order = f"o{quote.quote}"
            fields: dict[str, Any] = {
                "quote": quote.quote,
                "order": order,
                "approved_on": quote.priced_for,
                "billing_details": self.version,
            }
            if quote.credit_net_minor:
                self.changes += 1
                fields |= {"undecided": self.undecided, "after": self.found.last_decision, "number": self.changes}
            self.say(QuoteApproved(at=self.at, actor=ANN, **fields))
            self.add(order, {line.module: line.quantity for line in quote.lines})
        return refusal

    def add(self, order: str, bought: Mapping[str, int]) -> None:
        for module, count in bought.items():
            self.licences[module] += count
            self.next_period[module] = self.licences[module]
        items = tuple(LicenceCount(module=module, quantity=count) for module, count in bought.items())
        self.decide(LicencesAdded, order=order, items=items, approved_at=self.at, pools=self.states(*bought))

    def add_module(self, quote: QuoteIssued, after: timedelta = 0 * DAY) -> None:
        """Approve the quote of a module; seats opens the pool so much later."""
        (line,) = quote.lines
        self.say(quote)
        order: dict[str, Any] = {"quote": quote.quote, "order": f"o{quote.quote}", "approved_on": quote.priced_for}
        self.say(QuoteApproved(at=self.at, actor=ANN, billing_details=self.version, **order))
        self.go(to=self.at + after)
        self.licences[line.module] = self.next_period[line.module] = line.quantity
        decision = self.decide(PoolOpened, module=line.module, base=False, policies=Policies(), pools=self.states(line.module))
        added: dict[str, Any] = {"decision": decision, "order": order["order"], "subscription": "sub", "module": line.module}
        self.say(ModuleAdded(at=self.at, actor=ROOT, licences=line.quantity, **added))

    def buy(self, **add: int) -> QuoteIssued:
        quote, expects = self.quote(*(Item(module, add=count) for module, count in add.items()))
        assert self.approve(quote, expects) is None
        return quote

    @property
    def invoices(self) -> list[InvoiceIssued]:
        return self.found.invoices
