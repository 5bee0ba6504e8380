"""Random histories of a subscription: what is charged is what a deliberately naive calculation gives, day by day and licence by licence."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import zip_longest
from random import Random
from typing import Any, NamedTuple

import pytest

import services.invoicing.domain.account as account_module
from services.invoicing.domain.account import CREDIT_NOTE, INVOICE, NO_NUMBER, Account, account, missing, rebuild
from services.invoicing.domain.calendar import Term, local_day, period_at
from services.invoicing.domain.ending import document_of_end
from services.invoicing.domain.history import Fact
from services.invoicing.domain.money import round_half_up
from services.invoicing.domain.quote import Item, NewModule, price_new_module
from shared.schemas.base import Payload
from shared.schemas.invoicing_v1 import (
    ContractChanged,
    InvoiceIssued,
    ModuleAdded,
    PlanDefined,
    QuoteApproved,
    QuoteIssued,
    SubscriptionEnded,
    TermsApplied,
)
from shared.schemas.seats_v1 import (
    LicencesAdded,
    PeriodStarted,
    Policies,
    PoolClosed,
    PoolExpanded,
    PoolOpened,
    PoolReduced,
)
from tests.support.invoicing_harness import ANN, InvoicingHarness

CHANGES = 45
MODULES = ("documents", "time")
KINDS = ("go", "wait", "buy", "midnight", "expand", "reduce", "reduce", "next", "price", "tax", "plan", "next plan", "terms", "module")


def history(seed: int, more: tuple[str, ...] = (), *, runs: bool = False, **given: Any) -> InvoicingHarness:
    """`more`: further kinds of changes, which `given` may need. `runs`: it neither ends nor goes on after the last change."""
    random = Random(seed)
    harness = InvoicingHarness(
        licences=dict(zip(MODULES, (random.randint(1, 12), random.randint(1, 12)), strict=True)),
        prices={"time": random.randint(0, 5000), "documents": random.randint(0, 5000)},
        term=random.choice(["monthly", "monthly", "annual"]),
        charge_when=random.choice(["now", "next_invoice", "threshold"]),
        credit_when=random.choice(["now", "next_invoice", "threshold"]),
        zero_invoices=random.random() < 0.3,
        billed=random.random() < 0.5 and not more,
        start=date(2013, 1, random.randint(1, 31)),
        at=datetime(2013, 1, 31, 13, tzinfo=UTC),
        zone=random.choice(["Europe/Copenhagen", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu"]),
        **given,
    )
    for _ in range(CHANGES):
        module = random.choice(MODULES)
        match random.choice(KINDS + more):
            case "go":
                harness.go(days=random.randint(1, 25))
            case "wait":
                harness.go(to=harness.at + timedelta(minutes=random.randint(1, 300)))
            case "buy":
                names = sorted(harness.licences)
                harness.buy(**{name: random.randint(1, 5) for name in random.sample(names, random.randint(1, len(names)))})
            case "plan" | "next plan" | "terms" | "module" | "grant" | "withdraw" as kind:
                change_contract(harness, random, kind)
            case _ if module not in harness.licences:
                pass
            case "midnight":
                buy_at_midnight(harness, module, random.randint(1, 5))
            case "late":
                buy_late(harness, random, module)
            case "expand":
                harness.expand(module, random.randint(1, 4))
            case "reduce" if harness.licences[module] > 1:
                harness.reduce(module, random.randint(1, harness.licences[module] - 1))
            case "next":
                harness.next_period[module] = random.randint(1, harness.licences[module])
            case "price" if not harness.tariffs:  # a list with other prices waits for a renewal
                harness.define_plan(**{module: random.randint(0, 5000)})
            case "tax":
                harness.change_details(rate=random.choice(["25", "19", "8.1"]))
    if not runs:
        finish(harness, random)
    return harness


def finish(harness: InvoicingHarness, random: Random) -> None:
    match random.choice(["goes on", "goes on", "ends", "ends at once"]):
        case "goes on":
            harness.go(days=400 if harness.term == "annual" else 40)
        case how:
            harness.end(at_once=how == "ends at once")


def change_discounts(harness: InvoicingHarness, random: Random, kind: str) -> None:
    if kind == "withdraw":
        for discount in harness.found.discounts[:1]:
            harness.withdraw(discount)
        return
    percent, amount_minor = random.choice([("10", None), ("33.3333", None), ("100", None), (None, 100), (None, 50_000)])
    first = local_day(harness.at, harness.zone) + timedelta(days=random.choice([0, 0, 20]))
    until = random.choice([None, first + timedelta(days=random.randint(1, 200))])
    harness.grant(percent, amount_minor, module=random.choice([None, *MODULES]), from_day=first, until_day=until)


def change_contract(harness: InvoicingHarness, random: Random, kind: str) -> None:
    match kind:
        case "plan":
            harness.change_plan(f"plan{harness.changes}", **{name: random.randint(0, 5000) for name in sorted(harness.licences)})
        case "next plan":
            sold = ["time", "documents"][: random.randint(1, 2)]
            most = {name: random.randint(1, 8) if name in sold else 0 for name in MODULES}
            harness.next_plan = f"next{harness.changes}", most, {name: random.randint(0, 5000) for name in sold}
        case "terms":
            choices = ["now", "next_invoice", "threshold"]
            harness.change_terms(charge_when=random.choice(choices), credit_when=random.choice(choices))
        case "grant" | "withdraw":
            change_discounts(harness, random, kind)
        case _:
            change_module(harness, random.randint(1, 6))


def change_module(harness: InvoicingHarness, licences: int) -> None:
    """Let the documents close with the period, or add them again."""
    if "documents" in harness.licences:
        harness.next_period["documents"] = 0
    elif "documents" in harness.prices:
        new = NewModule("documents", licences, Policies())
        quote = price_new_module(harness.situation, new, (), quote=f"m{len(harness.facts)}", actor=ANN, valid=timedelta(days=1))
        assert isinstance(quote, QuoteIssued)
        harness.add_module(quote)


def buy_at_midnight(harness: InvoicingHarness, module: str, add: int) -> None:
    """An order that is approved on one day and decided on the next one, within the period."""
    day = local_day(harness.at, harness.zone)
    period = harness.found.period
    assert period is not None
    if (period.end - day).days <= 1:
        return
    quote, expects = harness.quote(Item(module, add=add))
    decide = harness.add
    harness.add = lambda order, bought: None  # type: ignore[method-assign]
    assert harness.approve(quote, expects) is None
    harness.go(days=1)
    harness.add = decide  # type: ignore[method-assign]
    harness.add(f"o{quote.quote}", {module: add})


def buy_late(harness: InvoicingHarness, random: Random, module: str) -> None:
    """Reduce the other module and order licences; before seats decides, that module expands and is reduced, and the day may end. The price
    is the approved one."""
    period, others = harness.found.period, [name for name in harness.licences if name != module]
    assert period is not None
    for other in others:
        if (gone := random.randint(0, 3)) < harness.licences[other]:
            harness.reduce(other, gone)
    quote, expects = harness.quote(Item(module, add=random.randint(1, 5)))
    decide = harness.add
    harness.add = lambda order, bought: None  # type: ignore[method-assign]
    assert harness.approve(quote, expects) is None
    for other in random.choices(others, k=random.randint(0, 4)) if others else ():
        by = random.randint(1, 4)
        if random.random() < 0.5:
            harness.expand(other, by)
        elif by < harness.licences[other]:
            harness.reduce(other, by)
    if random.random() < 0.3 and (period.end - local_day(harness.at, harness.zone)).days > 1:
        harness.go(days=1)
    harness.add = decide  # type: ignore[method-assign]
    harness.add(order := f"o{quote.quote}", {line.module: line.quantity for line in quote.lines})
    documents = [each for each in harness.invoices if order in each.orders]
    if quote.charge == "now":
        assert sum(signed_minor(each, each.net_minor) for each in documents) <= quote.net_minor, (quote, documents)


@dataclass
class Said:
    """What invoicing said, by its keys."""

    prices: dict[int, dict[str, int]] = field(default_factory=dict)  # by version of the price list
    approved: dict[str, tuple[date, dict[str, int]]] = field(default_factory=dict)  # by order: the day, and the price of each module
    versions: dict[str, int] = field(default_factory=dict)  # by decision
    added: dict[str, ModuleAdded] = field(default_factory=dict)  # by decision


def said(harness: InvoicingHarness) -> Said:
    found, quotes = Said(), dict[str, dict[str, int]]()
    for _, event in harness.facts:
        match event:
            case PlanDefined():
                found.prices[event.version] = {price.module: price.amount_minor for price in event.prices}
            case QuoteIssued():
                quotes[event.quote] = {line.module: line.unit_price_minor for line in event.lines}
            case QuoteApproved():
                found.approved[event.order] = (event.approved_on, quotes[event.quote])
            case TermsApplied():
                found.versions[event.decision] = event.plan_version
            case ModuleAdded():
                found.added[event.decision] = event
            case _:
                pass
    return found


class Step(NamedTuple):
    """A change by one licence: `bought`, `added` (by an expansion) or `gone`; or all licences get another price (`repriced`)."""

    kind: str
    price: Fraction | int = 0


@dataclass
class Naive:
    """The licences of each module, as prices of single licences."""

    said: Said
    changes: dict[str, dict[date, list[Step]]] = field(default_factory=lambda: {module: defaultdict(list) for module in MODULES})
    openings: dict[date, dict[str, list[Fraction | int]]] = field(default_factory=dict)
    opened: dict[str, list[Fraction | int]] = field(default_factory=dict)
    licences: dict[str, int] = field(default_factory=dict)
    fewer: dict[str, int] = field(default_factory=dict)  # licences with which a plan begins
    closed: set[str] = field(default_factory=set)  # pools that are not in force since a plan began

    def price(self, module: str, price: int, day: date) -> Fraction | int:
        """Return the price of a licence that begins on a day."""
        return price

    def off(self, module: str, start: date) -> Fraction | int:
        """Return what comes off the price of each licence with which the period begins."""
        return 0

    def read(self, event_id: str, event: Payload, day: date, first: date) -> None:
        prices, versions, changes = self.said.prices, self.said.versions, self.changes
        match event:
            case PoolOpened() if event_id in self.said.added:
                order, number = self.said.added[event_id].order, self.said.added[event_id].licences
                self.add(order, event.module, number)
            case PoolOpened():
                self.opened[event.module] = [self.price(event.module, prices[1][event.module], first)] * event.pools[0].licences
                self.openings[first] = self.opened
            case LicencesAdded():
                for item in event.items:
                    self.add(event.order, item.module, item.quantity)
            case PoolExpanded():
                price = self.price(event.module, prices[versions[event_id]][event.module], day)
                changes[event.module][day] += [Step("added", price)] * event.by
            case PoolReduced():
                changes[event.module][day] += [Step("gone")] * event.by
            case PoolClosed() if event.module in self.closed:
                self.closed.remove(event.module)
            case PoolClosed():
                changes[event.module][day] += [Step("gone")] * self.licences[event.module]
            case ContractChanged():
                self.change(event)
            case PeriodStarted() if event_id in versions:
                listed = prices[versions[event_id]]
                numbers = {item.module: self.fewer.get(item.module, item.quantity) for item in event.licences}
                opened = {module: number for module, number in numbers.items() if number}
                self.openings[day] = {module: [self.price(module, listed[module], day)] * number for module, number in opened.items()}
                self.closed, self.fewer = {module for module, number in numbers.items() if not number}, {}
            case _:
                pass  # also licences that a plan takes away: they are not in force since the period began
        self.licences |= {pool.module: pool.licences for pool in getattr(event, "pools", ())}

    def add(self, order: str, module: str, quantity: int) -> None:
        on, unit = self.said.approved[order]
        self.changes[module][on] += [Step("bought", self.price(module, unit[module], on))] * quantity

    def change(self, event: ContractChanged) -> None:
        self.fewer = {each.module: each.licences for each in event.licences}
        if event.day is not None and event.plan_version is not None:
            for module, price in self.said.prices[event.plan_version].items():
                self.changes[module][event.day].append(Step("repriced", self.price(module, price, event.day)))


def naive(harness: InvoicingHarness, reading: Naive | None = None) -> dict[tuple[str, date], Fraction]:
    """Return the exact price of each module and period: for each day and licence in force at its end, the licence's price ÷ days."""
    reading = reading or Naive(said(harness))
    for event_id, event in harness.facts:
        day = local_day(event.at, harness.zone) if hasattr(event, "at") else date.min
        reading.read(event_id, event, day, harness.contract.period_start)
    return dict(_sums(harness, reading))


def after_day(licences: list[Fraction | int], steps: list[Step]) -> tuple[list[Fraction | int], list[Fraction | int]]:
    """Return the earlier licences that are left, and those of the day: the last that came go first, and an expansion brings them back."""
    today, away = list[Fraction | int](), list[Fraction | int]()
    for step in steps:
        match step.kind:
            case "gone" if today:
                today.pop()
            case "gone":
                away.append(licences.pop())
            case "added" if away:
                licences.append(away.pop())
            case "repriced":
                licences, today, away = [step.price] * len(licences), [step.price] * len(today), [step.price] * len(away)
            case _:
                today.append(step.price)
    return licences, today


def _sums(harness: InvoicingHarness, reading: Naive) -> Iterator[tuple[tuple[str, date], Fraction]]:
    changes, openings = reading.changes, reading.openings
    for start, at_start in openings.items():
        period = period_at(harness.contract.period_start, Term(harness.contract.term), start)
        for module in MODULES:
            licences, total = list(at_start.get(module, [])), Fraction(0)
            first, off = len(licences), reading.off(module, start)
            for offset in range(period.days):
                licences, today = after_day(licences, changes[module][period.start + timedelta(days=offset)])
                first = min(first, len(licences))  # of the licences with which the period began
                licences += today
                total += Fraction(sum(max(price - off, 0) for price in licences[:first]) + sum(licences[first:]), period.days)
            yield (module, period.start), total


def charged(harness: InvoicingHarness, found: Account) -> dict[tuple[str, date], int]:
    """Return what was charged, the openings included, whether it is on a document, waits, or was covered on its day."""
    sums: dict[tuple[str, date], int] = defaultdict(int)
    term, anchor = Term(harness.contract.term), harness.contract.period_start
    for charge in found.charges:
        sums[charge.module, period_at(anchor, term, charge.day).start] += charge.net_minor
    begins, fewer = dict[tuple[str, str], int](), dict[str, int]()
    for event_id, event in harness.facts:
        if isinstance(event, ContractChanged):
            fewer = {each.module: each.licences for each in event.licences}
        if isinstance(event, PeriodStarted) and event.licences:
            begins |= {(event_id, module): number for module, number in fewer.items()}
            fewer = {}
            start = local_day(event.starts_at, harness.zone)
            terms = next(each for _, each in harness.facts if isinstance(each, TermsApplied) and each.decision == event_id)
            listed = next(each for _, each in harness.facts if isinstance(each, PlanDefined) and each.version == terms.plan_version)
            unit = {price.module: price.amount_minor for price in listed.prices}
            for item in event.licences:
                number = begins.get((event_id, item.module), item.quantity)
                sums[item.module, start] += number * unit[item.module] if number else 0
    first = {module.module: module.licences for module in harness.contract.modules}
    listed = next(each for _, each in harness.facts if isinstance(each, PlanDefined) and each.version == 1)
    for price in listed.prices:
        sums[price.module, anchor] += first.get(price.module, 0) * price.amount_minor
    return sums


def signed_minor(document: InvoiceIssued, amount: int) -> int:
    return -amount if document.kind == CREDIT_NOTE else amount


def check_documents(found: Account) -> None:
    """Every document adds up, and no charge or credit is on documents with more than its amount."""
    amounts = {charge.charge: charge.net_minor for charge in found.charges}
    on_documents: dict[str, int] = defaultdict(int)
    issued: set[str] = set()
    for document in found.invoices:
        assert document.gross_minor >= 0
        assert document.net_minor == sum(line.net_minor for line in document.lines)
        for tax in document.taxes:
            taxed = [line for line in document.lines if (line.tax_category, line.tax_rate_percent) == (tax.category, tax.rate_percent)]
            basis = sum(line.net_minor for line in taxed)
            assert (tax.basis_minor, tax.tax_minor) == (basis, round_half_up(basis * Fraction(tax.rate_percent) / 100))
        assert set(document.corrects) <= issued
        issued.add(document.invoice)
        for line in document.lines:
            if len(line.charges) == 1:
                on_documents[line.charges[0]] += signed_minor(document, line.net_minor)
    for charge, amount in on_documents.items():
        assert min(0, amounts[charge]) <= amount <= max(0, amounts[charge])


@pytest.mark.parametrize("seed", range(40))
def test_the_charges_of_each_module_and_period_sum_to_the_naive_amount_rounded_once(seed: int) -> None:
    """Invariants 1 to 7, 9 and 10 of the rules."""
    print(f"seed {seed}: pytest -k 'naive_amount and {seed}'")
    harness = history(seed)
    found = harness.found
    assert found.open_day is None
    expected = {key: round_half_up(amount) for key, amount in naive(harness).items()}
    assert {key: amount for key, amount in charged(harness, found).items() if amount} == {k: v for k, v in expected.items() if v}
    check_documents(found)
    check_runs(harness.facts, Random(seed))
    if found.period is None:
        check_end(harness, found)


@pytest.mark.parametrize("seed", [*range(7), 100])
def test_B9_an_approved_purchase_costs_no_more_than_its_quote_said_whatever_changes_before_seats_decides(seed: int) -> None:
    """A credit on which the quote counts is left for it by an expansion of the credit's own module, too."""
    harness = history(seed, ("late",) * 14 + ("reduce",) * 7 + ("terms",))
    found = harness.found
    expected = {key: round_half_up(amount) for key, amount in naive(harness).items()}
    assert {key: amount for key, amount in charged(harness, found).items() if amount} == {k: v for k, v in expected.items() if v}
    check_documents(found)
    check_runs(harness.facts, Random(seed))


@pytest.mark.parametrize("seed", range(10, 16))
def test_no_document_gives_back_more_of_a_module_than_earlier_documents_have_charged(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A charge that a credit of the same day covers counts as charged: here it is issued as well."""
    monkeypatch.setattr(account_module, "is_needed", lambda lines, *, zero_invoices: bool(lines))
    charged: dict[str, int] = defaultdict(int)
    for document in history(seed, ("terms", "terms")).invoices:
        for line in document.lines:
            charged[line.module] += signed_minor(document, line.net_minor)
        assert min(charged.values()) >= 0, document


def check_runs(facts: list[Fact], random: Random) -> None:
    """Run the invoicing after each event: no document that was issued changes, a second run issues nothing, and the events in any order
    give the same documents, byte for byte."""
    known, issued, booked = list[Fact](), dict[str, InvoiceIssued](), set[str]()
    for fact, following in zip_longest(facts, facts[1:]):
        known.append(fact)
        if following is not None and isinstance(following[1], TermsApplied | ModuleAdded | SubscriptionEnded):
            continue  # the service says it together with the decision
        found = account(known)
        expected = {document.invoice: document for document in found.invoices}
        assert {name: expected[name].model_dump_json() for name in issued} == {
            name: document.model_copy(update={"number": NO_NUMBER}).model_dump_json() for name, document in issued.items()
        }
        charges, drafts = missing(found, booked, issued)
        booked |= {charge.charge for charge in charges}
        for draft in drafts:
            issued[draft.invoice] = draft.model_copy(update={"number": str(len(issued) + 1)})
            known.append((draft.invoice, issued[draft.invoice]))
        known += [(charge.charge, charge) for charge in charges]
        if charges or drafts:
            assert missing(account(known), booked, issued) == ([], [])
    random.shuffle(known)
    rebuilt = rebuild(known)
    assert [document.model_dump_json() for document in rebuilt] == [document.model_dump_json() for document in issued.values()]
    assert [document.number for document in rebuilt] == [str(number) for number in range(1, len(issued) + 1)]


def check_end(harness: InvoicingHarness, found: Account) -> None:
    """After the end nothing is left over: the documents have all that was charged and credited, and time adds nothing."""
    lines = [(document, line) for document in found.invoices for line in document.lines if line.charges]
    assert sum(signed_minor(document, line.net_minor) for document, line in lines) == sum(charge.net_minor for charge in found.charges)
    assert (found.waiting, found.of_day, found.ledgers) == ([], [], {})
    harness.at += timedelta(days=500)
    harness.end_days()
    assert harness.invoices == found.invoices


@pytest.mark.parametrize("seed", [*range(6), 7, 201, 267])
def test_an_end_at_once_is_shown_with_the_amounts_of_the_documents_that_follow(seed: int) -> None:
    """With several modules and taxes, credits and charges that wait, discounts, other terms and prices, and orders that are undecided."""
    harness = history(seed, (("terms",), ("grant", "grant", "withdraw"), ("late",) * 4)[seed % 3], runs=True)
    before = len(harness.invoices)
    shown = document_of_end(harness.facts, harness.situation)
    harness.end(at_once=True)
    documents = harness.invoices[before:]
    assert shown == tuple(sum(each.net_minor for each in documents if each.kind == kind) for kind in (CREDIT_NOTE, INVOICE))
