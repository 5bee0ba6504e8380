"""Every charge and every document that the events of a tenant call for.

`account` takes all events and returns what should exist; `missing` is what of it does not exist yet, so running it again is a no-op;
`rebuild` gives the documents' data once more from the two topics, byte for byte.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from fractions import Fraction
from typing import Final, assert_never

from services.invoicing.domain.calendar import Period, Term, add_days, local_day, period_at
from services.invoicing.domain.discounts import PeriodLine, discounted, left_of_price, percentages, trial_of
from services.invoicing.domain.history import Decision, Fact, History, decision_key, decision_order, fold, same_decision
from services.invoicing.domain.invoices import documents_of, is_needed, line_of, tax_of, taxes_of, turned
from services.invoicing.domain.ledger import NO_RATE, Change, ModuleLedger, Part, Rate, by_number
from services.invoicing.domain.money import Tax
from services.invoicing.domain.prices import prices_of
from services.invoicing.domain.tax import tax_on
from services.invoicing.domain.waiting import Key, Waiting, adjustments, sums_by_key, take_credits, waiting_for
from shared.schemas.base import Actor
from shared.schemas.invoicing_v1 import (
    ChargeBooked,
    ContractChanged,
    DayCharged,
    Discount,
    DiscountGranted,
    DiscountWithdrawn,
    InvoiceIssued,
    InvoiceLine,
    QuoteApproved,
    QuoteIssued,
    QuoteLine,
    SubscriptionEnded,
    SubscriptionStarted,
    TermsApplied,
    UnitPrice,
)
from shared.schemas.seats_v1 import (
    LicencesAdded,
    LicencesReduced,
    PeriodStarted,
    PoolClosed,
    PoolExpanded,
    PoolOpened,
    PoolReduced,
    PoolRestored,
    Role,
)

SYSTEM: Final = Actor(kind="system", id="invoicing")
NO_NUMBER: Final = ""  # drawn when the document is issued
INVOICE: Final = "invoice"
CREDIT_NOTE: Final = "credit_note"
NOW: Final = "now"
NEXT_INVOICE: Final = "next_invoice"
# Terms of a subscription that can change while it runs.
CHANGEABLE: Final = ("charge_when", "credit_when", "zero_invoices", "price_notice", "plan", "plan_version", "term", "anchor")
# More days than this to the next invoice: charged and credited at once (B8: exactly 30 counts as not more than 30).
THRESHOLD_DAYS: Final = 30


def due_when(policy: str, day: date, next_invoice: date) -> str:
    """Return when a change of `day` is charged or credited under the policy: `now` or `next_invoice` (B8, T10, M14)."""
    if policy == "threshold":
        return NOW if (next_invoice - day).days > THRESHOLD_DAYS else NEXT_INVOICE
    assert policy in (NOW, NEXT_INVOICE), policy
    return policy


@dataclass(slots=True)
class Account:
    """The result of the events: the ledgers of the current period, and every charge and document so far, in order."""

    period: Period | None = None  # none: not active yet
    ledgers: dict[str, ModuleLedger] = field(default_factory=dict)  # by module
    licences: dict[str, int] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)  # for the next document
    of_day: list[Waiting] = field(default_factory=list)  # credits of the open day that a purchase could use
    open_day: date | None = None  # the first day with changes that are not charged yet
    charges: list[ChargeBooked] = field(default_factory=list)
    invoices: list[InvoiceIssued] = field(default_factory=list)  # and credit notes, without numbers
    last_decision: str = ""  # that was read
    discounts: tuple[Discount, ...] = ()  # by the order in which they were granted; some hold later, or no more

    def day_to_charge(self, before: date) -> date | None:
        """Return the open day if it has ended before this day. Changes after the period's end wait for the next period to begin."""
        day = self.open_day
        return day if day is not None and day < before and self.period is not None and day < self.period.end else None

    def credited_when(self, policy: str, day: date, parts: Mapping[str, Iterable[Part]]) -> str:
        """Return when a credit of these parts of each module is credited. What undoes charges that wait for the next invoice waits with
        them."""
        assert self.period is not None
        given = sums_by_key(_amounts_of(parts))
        charged = sums_by_key((each.key, each.left_minor) for each in self.waiting)
        waits = bool(given) and all(-minor <= max(0, charged.get(key, 0)) for key, minor in given.items())
        return NEXT_INVOICE if waits else due_when(policy, day, self.period.end)

    def unbilled_minor(self, parts: Mapping[str, Iterable[Part]]) -> int:
        """Return how much of a credit of these parts undoes charges that no invoice has asked for yet, as a positive amount."""
        charged = [(each.key, each.left_minor) for each in self.waiting]
        charged += _amounts_of({module: copy(self.ledgers[module]).book() for module in parts if module in self.ledgers})
        sums = sums_by_key(charged)
        return sum(min(-minor, max(0, sums.get(key, 0))) for key, minor in sums_by_key(_amounts_of(parts)).items() if minor < 0)

    def credits_minor(self, tax: Tax) -> int:
        """Return the credits of a tax that a charge of this moment can use up, as a positive amount."""
        return sum(max(0, minor) for (_, of_tax), minor in self.usable().items() if of_tax == tax)

    def usable(self) -> dict[Key, int]:
        """Return the credits of each module and tax that a charge of this moment can use up, as positive amounts. What undoes charges that
        wait for the next invoice waits with them."""
        known = [(each.key, each.left_minor) for each in self.waiting]
        known += [(each.key, each.left_minor) for each in self.of_day if each.left_minor < 0]
        for module, ledger in self.ledgers.items():
            parts = copy(ledger).book() if ledger.open_minor() < 0 else []
            known += [((module, part.rate.tax), part.net_minor) for part in parts if part.net_minor < 0]
        return {key: -minor for key, minor in sums_by_key(known).items()}


def _amounts_of(parts: Mapping[str, Iterable[Part]]) -> list[tuple[Key, int]]:
    return [((module, part.rate.tax), part.net_minor) for module, of_module in parts.items() for part in of_module]


def account(facts: Iterable[Fact]) -> Account:
    """Compute all that should exist. Raises KeyError or AssertionError if the events contradict each other (they become a dead letter)."""
    history, found = fold(facts), Account()
    for contract, decisions in history.subscriptions():
        before, found = found, _Reading(history, contract, decisions).account
        found.charges, found.invoices = before.charges + found.charges, before.invoices + found.invoices
    return found


def contract_after(contract: SubscriptionStarted, event: ContractChanged) -> SubscriptionStarted:
    """Return the contract with the terms that a change gives it."""
    changed = {name: getattr(event, name) for name in CHANGEABLE}
    kept = {"billing_day": contract.begins_on_day} if event.anchor is not None else {}
    return contract.model_copy(update=kept | {name: value for name, value in changed.items() if value is not None})


def missing(found: Account, charges: Collection[str], invoices: Collection[str]) -> tuple[list[ChargeBooked], list[InvoiceIssued]]:
    """Return what should exist and does not: the charges, and the documents still without a number, each in order."""
    return (
        [charge for charge in found.charges if charge.charge not in charges],
        [invoice for invoice in found.invoices if invoice.invoice not in invoices],
    )


def rebuild(facts: Iterable[Fact]) -> list[InvoiceIssued]:
    """Compute the data of one tenant's documents from the events. The numbers come from the issued ones: a series has all tenants."""
    known = list(facts)
    numbers = {invoice: issued.number for invoice, issued in fold(known).issued.items()}
    return [invoice.model_copy(update={"number": numbers[invoice.invoice]}) for invoice in account(known).invoices]


class _Reading:
    """One pass over what seats decided about a subscription."""

    def __init__(self, history: History, contract: SubscriptionStarted, decisions: Iterable[tuple[str, Decision]]) -> None:
        self.history, self.contract, self.account = history, contract, Account(discounts=(*trial_of(contract), *contract.discounts))
        self.later: list[tuple[str, str, Change]] = []  # (decision, module, change) of days after the period, before the next one began
        self.decided: dict[str, list[str]] = {}  # by module: the decisions of the open day
        self.documents: dict[str, list[str]] = {}  # by decision: the documents with its charges
        self.fewer: dict[str, int] = {}  # by module: the licences with which a period of another plan begins
        self.plan_change = ""
        self.closed: dict[str, datetime] = {}  # by module: when its pool was closed last
        self.renewal: TermsApplied | None = None  # of the present period
        self.began: str | None = None  # the decision that began the present period; None: it is the first one
        self.overdue: set[str] = set()  # leavings that fell due in that decision
        self.bought: set[str] = set()  # orders
        self.ahead: dict[str, dict[str, int]] = {}  # by order: licences that are not counted any more before seats takes them away
        opened: set[str] = set()
        for event_id, event in decisions:
            self.account.last_decision = event_id
            if isinstance(event, PoolOpened) and self.account.period is None:
                opened.add(event.module)
                self.account.licences |= {pool.module: pool.licences for pool in event.pools if pool.module == event.module}
                if opened.issuperset(module.module for module in contract.modules):
                    self._begin(event_id, event)
            elif isinstance(event, PoolClosed) and self.account.period is None:  # of the subscription before, which ended meanwhile
                opened.discard(event.module)
                self.account.licences.pop(event.module, None)
            else:
                self._decided(event_id, event)
            days = 0
            for each in history.between.get(event_id, ()):
                match each:
                    case DayCharged():
                        self._end_day(event_id, f"{decision_key(event_id)}-day" + (f"-{days}" if days else ""), each)
                        days += 1
                    case DiscountGranted():
                        self.account.discounts += (each.discount,)
                    case DiscountWithdrawn():
                        kept = [known for known in self.account.discounts if known.discount != each.discount.discount]
                        self.account.discounts = tuple(kept)
                    case ContractChanged():
                        self._change_terms(each)
                    case QuoteApproved():
                        self._book_credits(each.order, event_id, each.at, each.approved_on)
            if (ended := history.ended.get(event_id)) is not None:
                self._end(event_id, ended)

    def _decided(self, event_id: str, event: Decision) -> None:
        match event:
            case LicencesAdded():
                self._buy(event_id, event.order, event.at, {item.module: item.quantity for item in event.items})
            case PoolOpened():
                if (added := self.history.added.get(event_id)) is not None:
                    self._buy(event_id, added.order, event.at, {added.module: added.licences})
            case PoolRestored() if event.reduce_at != "now":
                pass  # the number of the next period, which its invoice reads
            case PoolExpanded() | PoolRestored():
                terms = self.history.terms[event_id]
                price = self.history.price(terms.plan, terms.plan_version, event.module, self.contract.term)
                day = local_day(event.at, self.contract.time_zone)
                rate = Rate(price.amount_minor, self._tax(terms.billing_details, day), self._left(event.module, day))
                self._change(event_id, event.at, event.module, event.by, rate, price=price)
            case LicencesReduced():
                ordered, ahead = self.history.reductions.get(event.order), self.ahead.pop(event.order, {})
                for item in event.items:
                    gone = item.quantity - ahead.get(item.module, 0)
                    rate, listed = self._price_now(item.module) if gone < 0 else (NO_RATE, None)
                    self._change(event_id, event.at, item.module, -gone, rate, price=listed, day=ordered.approved_on if ordered else None)
            case PoolReduced():
                if event.reduce_at == "now":
                    if event.role == Role.DUE_ITEM and self.began is not None and same_decision(event_id, self.began):
                        self.overdue.add(event_id)
                    self._change(event_id, event.at, event.module, -event.by)
            case PoolClosed():
                gone = self.account.licences.get(event.module, 0)
                self._change(event_id, event.at, event.module, -gone, day=self._given_up_on(event_id, event))
            case PeriodStarted():
                if event_id not in self.history.ended:
                    self._renew(event_id, event)
            case _:
                assert_never(event)

    # ------------------------------------------------------------------------------------------------------------ periods

    def _begin(self, event_id: str, event: PoolOpened) -> None:
        """The last pool is open: the first period is invoiced unless it counts as billed."""
        contract = self.contract
        period = Period(contract.period_start, contract.period_end)
        lines = self._open_period(period, self.account.licences, contract.plan, contract.plan_version, contract.billing_details)
        if contract.billed_until == contract.period_start:
            self._issue(decision_key(event_id), event_id, event.at, contract.actor, "first_period", contract.billing_details, lines)

    def _renew(self, event_id: str, event: PeriodStarted) -> None:
        """T11 T16: one invoice for all licences of the new period; M14: with what changed since the last one summed per module."""
        terms = self.renewal = self.history.terms[event_id]
        start = local_day(event.starts_at, self.contract.time_zone)
        decided = {item.module: item.quantity for item in event.licences}
        self.account.licences = {module: min(number, self.fewer.get(module, number)) for module, number in decided.items()}
        self.ahead[self.plan_change] = {module: number - self.account.licences[module] for module, number in decided.items()}
        self.fewer = {}
        # A period that was scheduled late begins after changes of its own days: those are charged apart, from their day on. What one
        # decision changes before it begins the period was due before: seats was down meanwhile. So was what fell due in the decision that
        # began the period before, if seats was down over two renewals.
        later = [
            each for each in self.later if each[2].day > start and not same_decision(each[0], event_id) and each[0] not in self.overdue
        ]
        self.began, self.overdue = event_id, set()
        at_start = dict(self.account.licences)
        for _, module, change in later:
            at_start[module] = at_start.get(module, 0) - change.quantity
        period = period_at(self.contract.anchored_on, Term(self.contract.term), start)
        lines = self._open_period(period, at_start, terms.plan, terms.plan_version, terms.billing_details)
        self.later, self.account.open_day = [], None
        for decision, module, change in later:
            self._place(decision, module, change)
        lines += self._adjustments()
        self._issue(decision_key(event_id), event_id, event.at, SYSTEM, "renewal", terms.billing_details, lines)

    def _adjustments(self) -> list[InvoiceLine]:
        """Return the lines of all that waits for the next document. Nothing waits after it."""
        waiting, self.account.waiting = self.account.waiting, []
        return adjustments(each for each in waiting if not self._in_trial(each.charge.day))

    def _end(self, event_id: str, event: SubscriptionEnded) -> None:
        """The subscription has ended: one document for all that is not on one yet, and nothing after it."""
        account, key = self.account, f"{decision_key(event_id)}-end"
        assert account.period is not None, "only an active subscription ends"
        day = min(local_day(event.at, self.contract.time_zone), add_days(account.period.end, -1))
        booked = [charge for module in sorted(account.ledgers) for charge in self._book(key, event_id, event.at, day, module)]
        account.waiting += [*account.of_day, *waiting_for(booked)]
        self._issue(key, event_id, event.at, event.actor, "subscription_ended", event.billing_details, self._adjustments())
        account.period, account.ledgers, account.licences = None, {}, {}
        account.of_day, account.open_day = [], None

    def _open_period(self, period: Period, at_start: Mapping[str, int], plan: str, plan_version: int, details: str) -> list[InvoiceLine]:
        """Start the ledgers of a period with the licences at its start; return the lines of the whole period, one for each price."""
        self.account.period, lines = period, []
        tax = self._tax(details, period.start)
        numbers = {module: licences for module, licences in sorted(at_start.items()) if licences}
        prices = {module: self.history.price(plan, plan_version, module, self.contract.term) for module in numbers}
        gross = [PeriodLine(module, *part) for module, licences in numbers.items() for part in prices[module].parts(licences)]
        openings: dict[str, list[Change]] = {module: [] for module in numbers}
        for line, cost in zip(gross, discounted(self.account.discounts, period.start, gross), strict=True):
            rate = Rate(line.unit_price_minor, tax, cost.left, cost.off(line))
            opening = Change(period.start, line.licences, rate, _opening(period.start), price=by_number(prices[line.module]))
            openings[line.module].append(opening)
            lines.append(
                InvoiceLine(
                    text_key="recurring",
                    module=line.module,
                    quantity=line.licences,
                    unit_price_minor=line.unit_price_minor,
                    from_day=period.start,
                    to_day=period.end,
                    days=period.days,
                    days_of_period=period.days,
                    net_minor=cost.net_minor,
                    charges=(),
                    tax_category=tax.category,
                    tax_rate_percent=tax.rate_percent,
                    discount_minor=line.gross_minor - cost.net_minor,
                )
            )
        self.account.ledgers = {module: ModuleLedger(period, opening) for module, opening in openings.items()}
        return lines

    # ------------------------------------------------------------------------------------------------------------ changes

    def _change(
        self,
        event_id: str,
        at: datetime,
        module: str,
        quantity: int,
        rate: Rate = NO_RATE,
        *,
        price: UnitPrice | None = None,
        day: date | None = None,
    ) -> None:
        """Count a change that is charged at the end of its local day: that of its approval, or else that of the decision."""
        self._count(module, quantity)
        if self.account.period is not None and quantity:
            change = Change(day or local_day(at, self.contract.time_zone), quantity, rate, event_id, price=by_number(price))
            self._place(event_id, module, change)

    def _place(self, event_id: str, module: str, change: Change) -> None:
        account = self.account
        assert account.period is not None
        if change.day >= account.period.end:
            # The day belongs to a period that has not begun; at its first instant it is only part of the opening.
            self.later.append((event_id, module, change))
        else:
            account.ledgers.setdefault(module, ModuleLedger(account.period)).changes.append(change)
            self.decided.setdefault(module, []).append(event_id)
        if change.day != account.period.end:
            account.open_day = change.day if account.open_day is None else min(account.open_day, change.day)

    def _count(self, module: str, quantity: int) -> None:
        """Not read from the event's pools: those show the end of the whole decision, later changes in it included."""
        self.account.licences[module] = self.account.licences.get(module, 0) + quantity

    def _given_up_on(self, event_id: str, event: PoolClosed) -> date | None:
        """Return the day on which somebody approved that the pool closes at once; None: it closes for another reason."""
        period, since = self.account.period, self.closed.get(event.module)
        self.closed[event.module] = event.at
        refused = [
            each.at
            for refusal, each in self.history.refused
            if each.module == event.module and each.order is None and decision_order(refusal) < decision_order(event_id)
        ]
        ordered = [
            each
            for each in self.history.reductions.values()
            if each.takes_effect == NOW
            and each.subscription == self.contract.subscription
            and (since is None or each.at > since)
            and each.at <= event.at
            and not any(at >= each.at for at in refused)
            and any(item.module == event.module and not item.total for item in each.items)
        ]
        if period is None or not ordered:
            return None
        ledger = self.account.ledgers.get(event.module)
        changes = [*(ledger.changes if ledger is not None else ()), *(change for _, module, change in self.later if module == event.module)]
        # On a day, no more can be given up than there was.
        added = [change.day for change in changes if change.quantity > 0]
        days: list[date] = [period.start, *(each.approved_on for each in ordered), *added]
        return max(days)

    def _price_now(self, module: str) -> tuple[Rate, UnitPrice | None]:
        """Return the rate and the price of the period's begin."""
        opening = self.account.ledgers[module].opening[0]
        return replace(opening.rate, off=0), opening.price

    def _change_terms(self, event: ContractChanged) -> None:
        """Read the decisions from here on with other terms. A plan that changes within a period gives the licences other prices."""
        self.contract = contract_after(self.contract, event)
        self.fewer = {each.module: each.licences for each in event.licences}
        self.plan_change = event.change
        if event.day is None:
            return
        assert event.plan is not None
        assert event.plan_version is not None
        assert event.billing_details is not None
        name, tax = f"plan-{event.change}", self._tax(event.billing_details, event.day)
        for module, licences in sorted(self.account.licences.items()):
            if licences:
                price = self.history.price(event.plan, event.plan_version, module, self.contract.term)
                rate = Rate(price.amount_minor, tax, self._left(module, event.day))
                self._place(name, module, Change(event.day, 0, rate, name, reprice=True, price=by_number(price)))

    def _buy(self, event_id: str, order: str, at: datetime, bought: Mapping[str, int]) -> None:
        """A purchase: charged as approved, whatever midnight or price change came before the decision."""
        account, approval = self.account, self.history.approvals[order]
        quote = self.history.quotes[approval.quote]
        self.bought.add(order)
        assert bought == {line.module: line.quantity for line in quote.lines}, f"order {order} was decided with other items"
        assert account.period is not None, "a purchase before the subscription was active"
        if approval.approved_on < account.period.start:
            # A pool that opens when the period of its approval has ended: its licences are charged for the new period, by its prices.
            assert self.renewal is not None, "the first period does not follow another one"
            for line in quote.lines:
                rate, price = self._rate_of(approval, quote, line), self._price_of(quote, line)
                listed = prices_of(self.history.plans[self.renewal.plan, self.renewal.plan_version], self.contract.term).get(line.module)
                if listed is not None:
                    rate, price = replace(rate, unit_price_minor=listed.amount_minor), listed
                rate = replace(rate, left=self._left(line.module, account.period.start))
                self._change(event_id, at, line.module, line.quantity, rate, price=price, day=account.period.start)
            return
        if quote.charge == NOW:
            self._book_credits(decision_key(event_id), event_id, at, approval.approved_on)
        charges = []
        for line in quote.lines:
            self._count(line.module, line.quantity)
            rate = self._rate_of(approval, quote, line)
            ledger = account.ledgers.setdefault(line.module, ModuleLedger(account.period))
            price = self._price_of(quote, line)
            change = Change(approval.approved_on, line.quantity, rate, event_id, price=by_number(price), bought=True)
            ledger.buy(change, line.net_minor)
            for n, part in enumerate(_parts_of(line)):
                charge = self._bought(event_id, order, at, part, rate, approval.actor, approval.approved_on)
                charges.append(charge.model_copy(update={"charge": f"{charge.charge}-{n}"}) if n else charge)
        account.charges += charges
        if quote.charge != NOW:
            account.waiting += waiting_for(charges)
            return
        lines = [line_of("proration", charge.module, [charge]) for charge in charges]
        first = charges[0]
        lines += self._use_credits(lines, keep_minor=self._reserved(order, quote), at_least_minor=quote.credit_net_minor)
        details = approval.billing_details or self.contract.billing_details
        self._issue(decision_key(event_id), event_id, first.at, first.actor, first.reason, details, lines)

    def _reserved(self, order: str, quote: QuoteIssued) -> int:
        """Return the credits on which other purchases count: of the same estimate, or approved before seats decided this one."""
        others = [each for each in self.history.beside.get(order, ()) if each.order not in self.bought]
        apart = [each.order for each in others if quote.estimate is None or self.history.quotes[each.quote].estimate != quote.estimate]
        promised = self._promised(apart)
        return quote.credit_reserved_minor + sum(promised.get(Tax(each.category, each.rate_percent), 0) for each in quote.taxes)

    def _rate_of(self, approval: QuoteApproved, quote: QuoteIssued, line: QuoteLine) -> Rate:
        details = quote.billing_details or approval.billing_details or self.contract.billing_details
        left = left_of_price(quote.discounts, line.module)
        return Rate(line.unit_price_minor, self._tax(details, approval.approved_on), left)

    def _price_of(self, quote: QuoteIssued, line: QuoteLine) -> UnitPrice | None:
        """Return the price of the list that the quote was made with, if it depends on the number of licences."""
        if not line.steps:
            return None
        assert quote.plan is not None
        return self.history.price(quote.plan, quote.plan_version, line.module, self.contract.term)

    def _bought(self, event_id: str, order: str, at: datetime, line: QuoteLine, rate: Rate, actor: Actor, day: date) -> ChargeBooked:
        return ChargeBooked(
            at=at,
            actor=actor,
            reason="licences_bought",
            charge=f"chg-{decision_key(event_id)}-{line.module}",
            order=order,
            decision=event_id,
            currency=self.contract.currency,
            module=line.module,
            quantity=line.quantity,
            unit_price_minor=line.unit_price_minor,
            day=day,
            days=line.days,
            days_of_period=line.days_of_period,
            net_minor=line.net_minor,
            tax_category=rate.tax.category,
            tax_rate_percent=rate.tax.rate_percent,
            decisions=(event_id,),
            discount_minor=line.discount_minor,
        )

    # ----------------------------------------------------------------------------------------------------- the end of a day

    def _end_day(self, event_id: str, key: str, event: DayCharged) -> None:
        """Charge and credit the day's changes: one document for the tenant, with a line for each module and rate."""
        account = self.account
        assert account.period is not None
        booked = [charge for module in sorted(account.ledgers) for charge in self._book(key, event_id, event.at, event.day, module)]
        waiting = [*account.of_day, *waiting_for(booked)]
        account.open_day, self.decided = None, {}
        contract, end = self.contract, account.period.end
        charged, credited = due_when(contract.charge_when, event.day, end), due_when(contract.credit_when, event.day, end)
        now = [each for each in waiting if (credited if each.left_minor < 0 else charged) == NOW]
        account.waiting += [each for each in waiting if each not in now]
        promised = self._promised(event.undecided)
        account.of_day = now  # only credits that a purchase can use are left for one
        usable, account.of_day = account.usable(), []
        now, kept = take_credits(now, promised, usable)
        # Nobody gets money back that no invoice has asked for: credits wait as far as charges of their module and tax wait.
        now, with_charges = take_credits(now, by_key=sums_by_key((each.key, each.left_minor) for each in account.waiting))
        account.waiting += with_charges
        lines = [
            line_of("credit" if each.left_minor < 0 else "proration", each.charge.module, [each.charge], each.left_minor) for each in now
        ]
        lines += self._use_credits(lines, keep_minor=sum(promised.values()))
        self._issue(key, event_id, event.at, SYSTEM, "day_charged", event.billing_details, lines, event.day)
        following = add_days(event.day, 1)
        if following < end:
            account.of_day, account.open_day = kept, following if kept else None
        else:
            account.waiting += kept

    def _promised(self, orders: Iterable[str]) -> dict[Tax, int]:
        """Return the credits that these orders count on, which seats has not decided yet: what was approved stands, so the credits become
        no document before the charge."""
        found = dict[Tax, int]()
        for quote in (self.history.quotes[self.history.approvals[order].quote] for order in orders):
            for each in quote.taxes:
                tax = Tax(each.category, each.rate_percent)
                found[tax] = found.get(tax, 0) + quote.credit_net_minor
        return found

    def _book_credits(self, key: str, event_id: str, at: datetime, day: date) -> None:
        """Book what the open day owes to the tenant, so that a charge of this moment, or one that was approved now, can use it."""
        for module in sorted(self.account.ledgers):
            if self.account.ledgers[module].open_minor() < 0:
                booked = self._book(f"{key}-credit", event_id, at, day, module)
                self.account.of_day += waiting_for(booked)

    def _book(self, key: str, event_id: str, at: datetime, day: date, module: str) -> list[ChargeBooked]:
        assert self.account.period is not None
        decisions = self.decided.pop(module, [])
        parts = self.account.ledgers[module].book()
        charges = [self._part(f"chg-{key}-{module}-{n}", event_id, at, day, module, part, decisions) for n, part in enumerate(parts)]
        self.account.charges += charges
        return charges

    def _part(self, charge: str, event_id: str, at: datetime, day: date, module: str, part: Part, decisions: Sequence[str]) -> ChargeBooked:
        period = self.account.period
        assert period is not None
        return ChargeBooked(
            at=at,
            actor=SYSTEM,
            reason="plan_changed" if any(each.startswith("plan-") for each in decisions) else _reason_of(part),
            charge=charge,
            decision=event_id,
            currency=self.contract.currency,
            module=module,
            quantity=part.quantity,
            unit_price_minor=part.rate.unit_price_minor,
            day=day,
            days=period.remaining(day),
            days_of_period=period.days,
            net_minor=part.net_minor,
            tax_category=part.rate.tax.category,
            tax_rate_percent=part.rate.tax.rate_percent,
            decisions=tuple(decisions),
            undoes=part.undoes,
            discount_minor=part.discount_minor,
        )

    def _use_credits(self, lines: Sequence[InvoiceLine], *, keep_minor: int = 0, at_least_minor: int = 0) -> list[InvoiceLine]:
        """Return lines that use up credits, the oldest first, as far as these lines charge something: nobody pays while the vendor owes.

        Credits of `keep_minor` are left for the other quotes of an estimate, if `at_least_minor`, which this one counts on, is used.
        """
        due: dict[Tax, int] = {}
        for line in lines:
            due[tax_of(line)] = due.get(tax_of(line), 0) + line.net_minor
        if keep_minor:
            due = {tax: min(minor, max(at_least_minor, self.account.credits_minor(tax) - keep_minor)) for tax, minor in due.items()}
        usable = self.account.usable()
        self.account.waiting, used = take_credits(self.account.waiting, due, usable)
        self.account.of_day, used_of_day = take_credits(self.account.of_day, due, usable)
        return [line_of("credit", each.charge.module, [each.charge], each.left_minor) for each in used + used_of_day]

    # ---------------------------------------------------------------------------------------------------------- documents

    def _left(self, module: str, day: date) -> Fraction | int:
        """Return the part of the price that the discounts leave of licences that begin on this day."""
        return left_of_price(percentages(self.account.discounts, day), module)

    def _in_trial(self, day: date) -> bool:
        """Return whether the day costs nothing and is on no document."""
        return self.contract.trial_until is not None and day < self.contract.trial_until

    def _tax(self, details: str, supplied_on: date) -> Tax:
        return tax_on(self.history.details[details], supplied_on)

    def _issue(
        self,
        key: str,
        event_id: str,
        at: datetime,
        actor: Actor,
        reason: str,
        details: str,
        lines: Sequence[InvoiceLine],
        issued_on: date | None = None,
    ) -> None:
        """Issue the document of these lines: two if some are outside the scope of VAT, which must not stand beside others (BR-O-11)."""
        lines = [line for line in lines if not self._in_trial(line.from_day)]
        for n, part in enumerate(documents_of(lines)):
            if is_needed(part, zero_invoices=self.contract.zero_invoices):
                self._issue_one(f"inv-{key}" + (f"-{n + 1}" if n else ""), event_id, at, actor, reason, details, part, issued_on)

    def _issue_one(
        self,
        name: str,
        event_id: str,
        at: datetime,
        actor: Actor,
        reason: str,
        details: str,
        lines: Sequence[InvoiceLine],
        issued_on: date | None,
    ) -> None:
        contract, account = self.contract, self.account
        is_credit = sum(line.net_minor for line in lines) + sum(tax.tax_minor for tax in taxes_of(lines)) < 0
        charges = {charge.charge: charge for charge in account.charges}
        on_lines = [charges[name] for line in lines for name in line.charges]
        undone = [decision for charge in on_lines for decision in charge.undoes]
        corrects = dict.fromkeys(document for decision in undone for document in self.documents.get(decision, ()) if document != name)
        for decision in [
            *(_opening(line.from_day) for line in lines if not line.charges),
            *(each for charge in on_lines for each in charge.decisions),
        ]:
            self.documents.setdefault(decision, []).append(name)
        lines = [turned(line) for line in lines] if is_credit else lines
        taxes = taxes_of(lines)
        net_minor, tax_minor = sum(line.net_minor for line in lines), sum(tax.tax_minor for tax in taxes)
        issued_on = issued_on or local_day(at, contract.time_zone)
        account.invoices.append(
            InvoiceIssued(
                at=at,
                actor=actor,
                reason=reason,
                invoice=name,
                number=NO_NUMBER,
                issued_on=issued_on,
                due_on=add_days(issued_on, contract.payment_days),
                subscription=contract.subscription,
                orders=tuple(dict.fromkeys(charge.order for charge in on_lines if charge.order)),
                currency=contract.currency,
                billing_details=details,
                lines=tuple(lines),
                taxes=taxes,
                net_minor=net_minor,
                tax_minor=tax_minor,
                gross_minor=net_minor + tax_minor,
                decision=event_id,
                test=contract.test,
                kind=CREDIT_NOTE if is_credit else INVOICE,
                corrects=tuple(corrects) if is_credit else (),
            )
        )


def _parts_of(line: QuoteLine) -> list[QuoteLine]:
    """Return a line for each price of a quoted line."""
    return [line.model_copy(update=step.model_dump()) for step in line.steps] or [line]


def _reason_of(part: Part) -> str:
    return "expanded" if part.net_minor >= 0 else "reduced"


def _opening(start: date) -> str:
    """Return what a credit names if it undoes licences of the period's start, which are on the invoice of the period."""
    return f"opening-{start}"
