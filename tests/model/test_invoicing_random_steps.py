"""Random histories with prices that depend on the number of licences: each day costs what its licences cost in all, divided by the days."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from random import Random

import pytest

from services.invoicing.domain.account import rebuild
from services.invoicing.domain.calendar import Term, local_day, period_at
from services.invoicing.domain.money import round_half_up
from shared.schemas.base import Payload
from shared.schemas.invoicing_v1 import (
    ContractChanged,
    Discount,
    ModuleAdded,
    PlanDefined,
    PriceStep,
    QuoteApproved,
    TermsApplied,
    UnitPrice,
)
from shared.schemas.seats_v1 import LicencesAdded, PeriodStarted, PoolClosed, PoolExpanded, PoolOpened, PoolReduced
from tests.model.test_invoicing_random_discounts import charged
from tests.model.test_invoicing_random_histories import check_documents, check_end, history
from tests.support.invoicing_harness import InvoicingHarness


def costs(price: UnitPrice, licences: int) -> int:
    """Return the price of so many licences for a period, licence by licence."""
    total = 0
    for number in range(1, licences + 1):
        counted = licences if price.pricing == "volume" else number
        of_step = [step.amount_minor for step in price.steps if counted <= step.up_to]
        total += 0 if number <= price.included else (of_step or [price.amount_minor])[0]
    return total


@dataclass
class Counted:
    """The licences of a module by day, and the price list from a day on."""

    lists: dict[int, dict[str, UnitPrice]] = field(default_factory=dict)  # by version
    changes: dict[tuple[str, date], int] = field(default_factory=lambda: defaultdict(int))
    openings: dict[date, dict[str, int]] = field(default_factory=dict)
    versions: dict[date, int] = field(default_factory=dict)  # from this day on
    licences: dict[str, int] = field(default_factory=dict)
    fewer: dict[str, int] = field(default_factory=dict)
    closed: set[str] = field(default_factory=set)

    def read(self, event_id: str, event: Payload, day: date, told: "Told") -> None:
        match event:
            case PlanDefined():
                self.lists[event.version] = {price.module: price for price in event.prices}
            case PoolOpened() if event_id in told.added:
                self.changes[event.module, told.approved[told.added[event_id].order]] += told.added[event_id].licences
            case PoolOpened():
                self.openings.setdefault(told.first, {})[event.module] = event.pools[0].licences
                self.versions[told.first] = 1
            case LicencesAdded():
                for item in event.items:
                    self.changes[item.module, told.approved[event.order]] += item.quantity
            case PoolExpanded():
                self.changes[event.module, day] += event.by
            case PoolReduced():
                self.changes[event.module, day] -= event.by
            case PoolClosed() if event.module in self.closed:
                self.closed.remove(event.module)
            case PoolClosed():
                self.changes[event.module, day] -= self.licences[event.module]
            case ContractChanged():
                self.fewer = {each.module: each.licences for each in event.licences}
                if event.day is not None and event.plan_version is not None:
                    self.versions[event.day] = event.plan_version
            case PeriodStarted() if event_id in told.terms:
                numbers = {item.module: self.fewer.get(item.module, item.quantity) for item in event.licences}
                self.openings[day], self.versions[day] = numbers, told.terms[event_id]
                self.closed, self.fewer = {module for module, number in numbers.items() if not number}, {}
            case _:
                pass
        self.licences |= {pool.module: pool.licences for pool in getattr(event, "pools", ())}


@dataclass
class Told:
    first: date
    approved: dict[str, date] = field(default_factory=dict)  # by order
    added: dict[str, ModuleAdded] = field(default_factory=dict)  # by decision
    terms: dict[str, int] = field(default_factory=dict)  # by decision: the version of the list

    @classmethod
    def by(cls, harness: InvoicingHarness) -> "Told":
        found = cls(harness.contract.period_start)
        for _, event in harness.facts:
            match event:
                case QuoteApproved():
                    found.approved[event.order] = event.approved_on
                case ModuleAdded():
                    found.added[event.decision] = event
                case TermsApplied():
                    found.terms[event.decision] = event.plan_version
                case _:
                    pass
        return found


def exact(harness: InvoicingHarness) -> dict[tuple[str, date], Fraction]:
    counted, told = Counted(), Told.by(harness)
    for event_id, event in harness.facts:
        counted.read(event_id, event, local_day(event.at, harness.zone) if hasattr(event, "at") else date.min, told)
    found = dict[tuple[str, date], Fraction]()
    for start, opened in counted.openings.items():
        period = period_at(harness.contract.period_start, Term(harness.contract.term), start)
        days = [period.start + timedelta(days=n) for n in range(period.days)]
        for module in ("documents", "time"):
            number, total, version = opened.get(module, 0), Fraction(0), counted.versions[start]
            for day in days:
                number += counted.changes[module, day]
                version = counted.versions.get(day, version)
                total += Fraction(costs(counted.lists[version][module], number) if number else 0, period.days)
            found[module, start] = total
    return found


def price_with_steps(random: Random) -> dict[str, object]:
    ends = sorted(random.sample(range(1, 15), random.randint(0, 3)))
    steps = tuple(PriceStep(up_to=end, amount_minor=random.randint(0, 5000)) for end in ends)
    return {"steps": steps, "pricing": random.choice(["graduated", "volume"]), "included": random.choice([0, 0, 2, 5])}


@pytest.mark.parametrize("seed", range(15))
def test_each_day_costs_what_its_licences_cost_in_all(seed: int) -> None:
    """Invariants 1, 2, 4, 6, 9 and 10 of the rules, with graduated prices, volume prices and included licences."""
    print(f"seed {seed}: pytest -k 'licences_cost_in_all and {seed}'")
    random = Random(seed)
    quarter = Discount(discount="start", percent="25", from_day=date(2013, 1, 1))
    discounts = (quarter,) if seed % 3 == 0 else ()
    harness = history(seed, ("go",), tariffs={"time": price_with_steps(random), "documents": price_with_steps(random)}, discounts=discounts)
    found, left = harness.found, Fraction(3, 4) if discounts else 1
    expected = {key: round_half_up(amount * left) for key, amount in exact(harness).items()}
    assert {key: amount for key, amount in charged(harness, found).items() if amount} == {k: v for k, v in expected.items() if v}
    check_documents(found)
    if found.period is None:
        check_end(harness, found)
    numbered = [each.model_copy(update={"number": f"{n}"}) for n, each in enumerate(found.invoices)]
    assert rebuild([*reversed(harness.facts), *((each.invoice, each) for each in numbered)]) == numbered
