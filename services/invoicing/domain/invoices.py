"""Every charge and every invoice that the events of a tenant call for.

`account` takes all events and returns what should exist; `missing` is what of it does not exist yet, so running it again is a no-op;
`rebuild` gives the invoices' data once more from the two topics, byte for byte.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import assert_never

from services.invoicing.domain.calendar import Period, Term, add_days, local_day, period_at
from services.invoicing.domain.history import Fact, History, decision_key, fold
from services.invoicing.domain.ledger import Change, cost_minor
from services.invoicing.domain.money import Tax, tax_lines
from shared.schemas.base import Actor
from shared.schemas.invoicing_v1 import ChargeBooked, InvoiceIssued, InvoiceLine, SubscriptionStarted
from shared.schemas.seats_v1 import LicencesAdded, PeriodStarted, PoolExpanded, PoolOpened

SYSTEM = Actor(kind="system", id="invoicing")
NO_NUMBER = ""  # drawn when the invoice is issued
# More days than this to the next invoice: charged at once (B8: exactly 30 counts as not more than 30).
THRESHOLD_DAYS = 30


def charged(charge_when: str, day: date, next_invoice: date) -> str:
    """When a change of `day` is invoiced: `now` or `next_invoice` (B8, T10, M14)."""
    if charge_when == "threshold":
        return "now" if (next_invoice - day).days > THRESHOLD_DAYS else "next_invoice"
    assert charge_when in ("now", "next_invoice"), charge_when
    return charge_when


@dataclass(slots=True)
class Account:
    """The result of the events: the ledger of the current period, and every charge and invoice so far, in order."""

    period: Period | None = None  # none: not active yet
    opening: dict[str, Change] = field(default_factory=dict)  # by module
    changes: dict[str, list[Change]] = field(default_factory=dict)
    licences: dict[str, int] = field(default_factory=dict)
    waiting: list[ChargeBooked] = field(default_factory=list)  # for the next invoice
    charges: list[ChargeBooked] = field(default_factory=list)
    invoices: list[InvoiceIssued] = field(default_factory=list)  # without numbers


def account(facts: Iterable[Fact]) -> Account:
    """Compute all that should exist. Raises KeyError or AssertionError if the events contradict each other (they become a dead letter)."""
    history = fold(facts)
    return _Reading(history, history.contract).account if history.contract else Account()


def missing(found: Account, charges: Collection[str], invoices: Collection[str]) -> tuple[list[ChargeBooked], list[InvoiceIssued]]:
    """What should exist and does not: the charges, and the invoices still without a number, each in order."""
    return (
        [charge for charge in found.charges if charge.charge not in charges],
        [invoice for invoice in found.invoices if invoice.invoice not in invoices],
    )


def rebuild(facts: Iterable[Fact]) -> list[InvoiceIssued]:
    """Compute the data of one tenant's invoices from the events. The numbers come from the issued invoices: the series has all tenants."""
    known = list(facts)
    numbers = {invoice: issued.number for invoice, issued in fold(known).issued.items()}
    return [invoice.model_copy(update={"number": numbers[invoice.invoice]}) for invoice in account(known).invoices]


class _Reading:
    """One pass over what seats decided."""

    def __init__(self, history: History, contract: SubscriptionStarted) -> None:
        self.history, self.contract, self.account = history, contract, Account()
        opened: set[str] = set()
        for event_id, event in history.decisions:
            match event:
                case PoolOpened():
                    opened.add(event.module)
                    self.account.licences |= {pool.module: pool.licences for pool in event.pools if pool.module == event.module}
                    if self.account.period is None and opened.issuperset(module.module for module in contract.modules):
                        self._begin(event_id, event)
                case LicencesAdded():
                    self._add(event_id, event)
                case PoolExpanded():
                    self._expand(event_id, event)
                case PeriodStarted():
                    self._renew(event_id, event)
                case _:
                    assert_never(event)

    def _begin(self, event_id: str, event: PoolOpened) -> None:
        """The last pool is open: the first period is invoiced unless it counts as billed."""
        contract = self.contract
        lines = self._open_period(Period(contract.period_start, contract.period_end), contract.plan_version)
        if contract.billed_until == contract.period_start:
            self._invoice(event_id, event.at, contract.actor, "first_period", contract.billing_details, lines)

    def _open_period(self, period: Period, plan_version: int) -> list[InvoiceLine]:
        """Starts the ledger of a period with the licences there are; returns the line of the whole period for each module."""
        self.account.period, self.account.opening, self.account.changes = period, {}, {}
        lines = []
        for module, licences in sorted(self.account.licences.items()):
            if licences == 0:
                continue
            price = self.history.price_minor(self.contract.plan, plan_version, module, self.contract.term)
            self.account.opening[module] = Change(period.start, licences, price)
            lines.append(
                InvoiceLine(
                    text_key="recurring",
                    module=module,
                    quantity=licences,
                    unit_price_minor=price,
                    from_day=period.start,
                    to_day=period.end,
                    days=period.days,
                    days_of_period=period.days,
                    net_minor=licences * price,
                    charges=(),
                )
            )
        return lines

    def _add(self, event_id: str, event: LicencesAdded) -> None:
        """A purchase: charged as approved, whatever midnight or price change came before the decision."""
        approval = self.history.approvals[event.order]
        quote = self.history.quotes[approval.quote]
        bought = {item.module: item.quantity for item in event.items}
        assert bought == {line.module: line.quantity for line in quote.lines}, f"order {event.order} was decided with other items"
        charges = []
        for line in quote.lines:
            self._count(line.module, line.quantity)
            change = Change(approval.approved_on, line.quantity, line.unit_price_minor)
            self.account.changes.setdefault(line.module, []).append(change)
            charge = self._charge(event_id, event.at, line.module, change, line.days, line.days_of_period, line.net_minor)
            charges.append(charge.model_copy(update={"order": event.order, "actor": approval.actor, "reason": "licences_bought"}))
        self._book(event_id, charges, quote.charge, approval.billing_details or self.contract.billing_details)

    def _expand(self, event_id: str, event: PoolExpanded) -> None:
        """An expansion takes the price in force at the decision (rules: Buying)."""
        terms, period, day = self.history.terms[event_id], self.account.period, local_day(event.at, self.contract.time_zone)
        assert period is not None, "an expansion before the subscription was active"
        price = self.history.price_minor(terms.plan, terms.plan_version, event.module, self.contract.term)
        change = Change(day, event.by, price)
        changes = self.account.changes.setdefault(event.module, [])
        net = cost_minor(period, changes, change, self.account.opening.get(event.module))
        changes.append(change)
        self._count(event.module, event.by)
        charge = self._charge(event_id, event.at, event.module, change, period.remaining(day), period.days, net)
        self._book(event_id, [charge], charged(self.contract.charge_when, day, period.end), terms.billing_details)

    def _count(self, module: str, quantity: int) -> None:
        """Not read from the event's pools: those show the end of the whole decision, later changes in it included."""
        self.account.licences[module] = self.account.licences.get(module, 0) + quantity

    def _charge(self, event_id: str, at: datetime, module: str, change: Change, days: int, days_of_period: int, net: int) -> ChargeBooked:
        return ChargeBooked(
            at=at,
            actor=SYSTEM,
            reason="expanded",
            charge=f"chg-{decision_key(event_id)}-{module}",
            decision=event_id,
            currency=self.contract.currency,
            module=module,
            quantity=change.quantity,
            unit_price_minor=change.unit_price_minor,
            day=change.day,
            days=days,
            days_of_period=days_of_period,
            net_minor=net,
        )

    def _book(self, event_id: str, charges: list[ChargeBooked], when: str, details: str) -> None:
        self.account.charges += charges
        if when == "next_invoice":
            self.account.waiting += charges
            return
        first = charges[0]
        self._invoice(
            event_id, first.at, first.actor, first.reason, details, [_line("proration", charge.module, [charge]) for charge in charges]
        )

    def _renew(self, event_id: str, event: PeriodStarted) -> None:
        """T11 T16: one invoice for all licences of the new period; M14: with what changed since the last one summed per module."""
        terms = self.history.terms[event_id]
        start = local_day(event.starts_at, self.contract.time_zone)
        self.account.licences = {item.module: item.quantity for item in event.licences}
        lines = self._open_period(period_at(self.contract.period_start, Term(self.contract.term), start), terms.plan_version)
        by_module: dict[str, list[ChargeBooked]] = {}
        for charge in self.account.waiting:
            by_module.setdefault(charge.module, []).append(charge)
        lines += [_line("adjustment", module, charges) for module, charges in sorted(by_module.items())]
        if lines:
            self._invoice(event_id, event.at, SYSTEM, "renewal", terms.billing_details, lines)
        self.account.waiting = []

    def _invoice(self, event_id: str, at: datetime, actor: Actor, reason: str, details: str, lines: Sequence[InvoiceLine]) -> None:
        contract, version = self.contract, self.history.details[details]
        tax = Tax(version.tax_category, version.tax_rate_percent)
        taxes = tax_lines((tax, line.net_minor) for line in lines)
        net_minor, tax_minor = sum(line.net_minor for line in lines), sum(line.tax_minor for line in taxes)
        orders = {charge.charge: charge.order for charge in self.account.charges}
        issued_on = local_day(at, contract.time_zone)
        self.account.invoices.append(
            InvoiceIssued(
                at=at,
                actor=actor,
                reason=reason,
                invoice=f"inv-{decision_key(event_id)}",
                number=NO_NUMBER,
                issued_on=issued_on,
                due_on=add_days(issued_on, contract.payment_days),
                subscription=contract.subscription,
                orders=tuple(dict.fromkeys(order for line in lines for charge in line.charges if (order := orders[charge]))),
                currency=contract.currency,
                billing_details=details,
                lines=tuple(lines),
                taxes=taxes,
                net_minor=net_minor,
                tax_minor=tax_minor,
                gross_minor=net_minor + tax_minor,
                decision=event_id,
                test=contract.test,
            )
        )


def _line(text_key: str, module: str, charges: Sequence[ChargeBooked]) -> InvoiceLine:
    """Return the line of these charges. A line of one charge has its fields; a line of several has only their sum and their names."""
    single = charges[0] if len(charges) == 1 else None
    return InvoiceLine(
        text_key=text_key,
        module=module,
        quantity=sum(charge.quantity for charge in charges),
        unit_price_minor=single.unit_price_minor if single else 0,
        from_day=min(charge.day for charge in charges),
        to_day=max(add_days(charge.day, charge.days) for charge in charges),
        days=single.days if single else 0,
        days_of_period=single.days_of_period if single else 0,
        net_minor=sum(charge.net_minor for charge in charges),
        charges=tuple(charge.charge for charge in charges),
    )
