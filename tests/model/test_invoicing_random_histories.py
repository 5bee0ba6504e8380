"""Random histories of a subscription: what is charged is what a deliberately naive calculation gives, day by day and licence by licence."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from random import Random

import pytest

from services.invoicing.domain.account import CREDIT_NOTE, Account
from services.invoicing.domain.calendar import Term, local_day, period_at
from services.invoicing.domain.money import round_half_up
from services.invoicing.domain.quote import Item
from shared.schemas.invoicing_v1 import InvoiceIssued, PlanDefined, QuoteApproved, QuoteIssued, TermsApplied
from shared.schemas.seats_v1 import LicencesAdded, PeriodStarted, PoolClosed, PoolExpanded, PoolOpened, PoolReduced
from tests.support.invoicing_harness import InvoicingHarness

CHANGES = 45
MODULES = ("documents", "time")


def history(seed: int) -> InvoicingHarness:
    random = Random(seed)
    harness = InvoicingHarness(
        licences=dict(zip(MODULES, (random.randint(1, 12), random.randint(1, 12)), strict=True)),
        prices={"time": random.randint(0, 5000), "documents": random.randint(0, 5000)},
        term=random.choice(["monthly", "monthly", "annual"]),
        charge_when=random.choice(["now", "next_invoice", "threshold"]),
        credit_when=random.choice(["now", "next_invoice", "threshold"]),
        zero_invoices=random.random() < 0.3,
        billed=random.random() < 0.5,
        start=date(2013, 1, random.randint(1, 31)),
        at=datetime(2013, 1, 31, 13, tzinfo=UTC),
        zone=random.choice(["Europe/Copenhagen", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu"]),
    )
    for _ in range(CHANGES):
        module = random.choice(MODULES)
        match random.choice(["go", "wait", "buy", "midnight", "expand", "reduce", "reduce", "next", "price", "tax"]):
            case "go":
                harness.go(days=random.randint(1, 25))
            case "wait":
                harness.go(to=harness.at + timedelta(minutes=random.randint(1, 300)))
            case "buy":
                harness.buy(**{name: random.randint(1, 5) for name in random.sample(MODULES, random.randint(1, 2))})
            case "midnight":
                buy_at_midnight(harness, module, random.randint(1, 5))
            case "expand":
                harness.expand(module, random.randint(1, 4))
            case "reduce" if harness.licences[module] > 1:
                harness.reduce(module, random.randint(1, harness.licences[module] - 1))
            case "next":
                harness.next_period[module] = random.randint(1, harness.licences[module])
            case "price":
                harness.define_plan(**{module: random.randint(0, 5000)})
            case "tax":
                harness.change_details(rate=random.choice(["25", "19", "8.1"]))
    match random.choice(["goes on", "goes on", "ends", "ends at once"]):
        case "goes on":
            harness.go(days=400 if harness.term == "annual" else 40)
        case how:
            harness.end(at_once=how == "ends at once")
    return harness


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


def naive(harness: InvoicingHarness) -> dict[tuple[str, date], Fraction]:
    """Return the exact price of each module and period: for each day and licence in force at its end, the licence's price ÷ days."""
    prices: dict[int, dict[str, int]] = {}
    approved: dict[str, tuple[date, dict[str, int]]] = {}
    quotes: dict[str, dict[str, int]] = {}
    versions: dict[str, int] = {}
    version = 0
    for _, event in harness.facts:
        match event:
            case PlanDefined():
                version = event.version
                prices[version] = {price.module: price.amount_minor for price in event.prices}
            case QuoteIssued():
                quotes[event.quote] = {line.module: line.unit_price_minor for line in event.lines}
            case QuoteApproved():
                approved[event.order] = (event.approved_on, quotes[event.quote])
            case TermsApplied():
                versions[event.decision] = event.plan_version
            case _:
                pass
    changes: dict[str, dict[date, list[int]]] = {module: defaultdict(list) for module in MODULES}  # prices of added ones, -1 for one gone
    openings: dict[date, dict[str, list[int]]] = {}
    opened: dict[str, list[int]] = {}
    licences: dict[str, int] = {}
    for event_id, event in harness.facts:
        day = local_day(event.at, harness.zone) if hasattr(event, "at") else date.min
        match event:
            case PoolOpened():
                opened[event.module] = [prices[1][event.module]] * event.pools[0].licences
                openings[harness.contract.period_start] = opened
            case LicencesAdded():
                on, unit = approved[event.order]
                for item in event.items:
                    changes[item.module][on] += [unit[item.module]] * item.quantity
            case PoolExpanded():
                changes[event.module][day] += [prices[versions[event_id]][event.module]] * event.by
            case PoolReduced():
                changes[event.module][day] += [-1] * event.by
            case PoolClosed():
                changes[event.module][day] += [-1] * licences[event.module]
            case PeriodStarted() if event_id not in versions:
                pass  # the subscription has ended
            case PeriodStarted():
                listed = prices[versions[event_id]]
                openings[day] = {item.module: [listed[item.module]] * item.quantity for item in event.licences}
            case _:
                pass
        licences |= {pool.module: pool.licences for pool in getattr(event, "pools", ())}
    return dict(_sums(harness, changes, openings))


def _sums(
    harness: InvoicingHarness, changes: dict[str, dict[date, list[int]]], openings: dict[date, dict[str, list[int]]]
) -> Iterator[tuple[tuple[str, date], Fraction]]:
    for start, at_start in openings.items():
        period = period_at(harness.contract.period_start, Term(harness.contract.term), start)
        for module in MODULES:
            licences, total = list(at_start.get(module, [])), Fraction(0)
            for offset in range(period.days):
                today: list[int] = []
                gone = 0
                for each in changes[module][period.start + timedelta(days=offset)]:
                    if each >= 0:
                        today.append(each)
                    else:
                        gone += 1
                both = licences + today  # the last that came go first
                licences = both[: len(both) - gone]
                total += Fraction(sum(licences), period.days)
            yield (module, period.start), total


def charged(harness: InvoicingHarness, found: Account) -> dict[tuple[str, date], int]:
    """Return what was charged, the openings included, whether it is on a document, waits, or was covered on its day."""
    sums: dict[tuple[str, date], int] = defaultdict(int)
    term, anchor = Term(harness.contract.term), harness.contract.period_start
    for charge in found.charges:
        sums[charge.module, period_at(anchor, term, charge.day).start] += charge.net_minor
    for event_id, event in harness.facts:
        if isinstance(event, PeriodStarted) and event.licences:
            start = local_day(event.starts_at, harness.zone)
            terms = next(each for _, each in harness.facts if isinstance(each, TermsApplied) and each.decision == event_id)
            listed = next(each for _, each in harness.facts if isinstance(each, PlanDefined) and each.version == terms.plan_version)
            unit = {price.module: price.amount_minor for price in listed.prices}
            for item in event.licences:
                sums[item.module, start] += item.quantity * unit[item.module]
    first = {module.module: module.licences for module in harness.contract.modules}
    listed = next(each for _, each in harness.facts if isinstance(each, PlanDefined) and each.version == 1)
    for price in listed.prices:
        sums[price.module, anchor] += first[price.module] * price.amount_minor
    return sums


def signed_minor(document: InvoiceIssued, amount: int) -> int:
    return -amount if document.kind == CREDIT_NOTE else amount


def check_documents(found: Account) -> None:
    """Every document adds up, and no charge or credit is on documents with more than its amount."""
    amounts = {charge.charge: charge.net_minor for charge in found.charges}
    on_documents: dict[str, int] = defaultdict(int)
    issued: set[str] = set()
    for document in found.invoices:
        assert document.net_minor >= 0
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
    """Invariants 1 to 6 and 9 of the rules."""
    print(f"seed {seed}: pytest -k 'naive_amount and {seed}'")
    harness = history(seed)
    found = harness.found
    assert found.open_day is None
    expected = {key: round_half_up(amount) for key, amount in naive(harness).items()}
    assert {key: amount for key, amount in charged(harness, found).items() if amount} == {k: v for k, v in expected.items() if v}
    check_documents(found)
    if found.period is None:
        check_end(harness, found)


def check_end(harness: InvoicingHarness, found: Account) -> None:
    """After the end nothing is left over: the documents have all that was charged and credited, and time adds nothing."""
    lines = [(document, line) for document in found.invoices for line in document.lines if line.charges]
    assert sum(signed_minor(document, line.net_minor) for document, line in lines) == sum(charge.net_minor for charge in found.charges)
    assert (found.waiting, found.of_day, found.ledgers) == ([], [], {})
    harness.at += timedelta(days=500)
    harness.end_days()
    assert harness.invoices == found.invoices
