"""Random histories with discounts: each licence and day costs its own price less the discounts that it began with."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from services.invoicing.domain.account import Account, rebuild
from services.invoicing.domain.calendar import Term, period_at
from services.invoicing.domain.money import round_half_up
from shared.schemas.base import Payload
from shared.schemas.invoicing_v1 import Discount, DiscountGranted, DiscountWithdrawn
from tests.model.test_invoicing_random_histories import Naive, check_documents, check_end, history, naive, said, signed_minor
from tests.support.invoicing_harness import InvoicingHarness


@dataclass
class NaiveDiscounts(Naive):
    """The prices of single licences after percentages, and the shares of the amounts per period."""

    known: list[Discount] = field(default_factory=list)
    amounts: dict[date, list[Discount]] = field(default_factory=dict)  # that a period begins with

    def on(self, day: date) -> list[Discount]:
        return [each for each in self.known if each.from_day <= day and (each.until_day is None or each.until_day > day)]

    def price(self, module: str, price: int, day: date) -> Fraction:
        left = Fraction(price)
        for each in self.on(day):
            if each.percent is not None and each.module in (None, module):
                left -= left * Fraction(each.percent) / 100
        return left

    def read(self, event_id: str, event: Payload, day: date, first: date) -> None:
        if isinstance(event, DiscountGranted):
            self.known.append(event.discount)
        if isinstance(event, DiscountWithdrawn):
            self.known.remove(event.discount)
        super().read(event_id, event, day, first)
        for start in self.openings.keys() - self.amounts.keys():
            self.amounts[start] = [each for each in self.on(start) if each.amount_minor is not None]

    def off(self, module: str, start: date) -> Fraction:
        """Hand each amount out minor unit by minor unit: to the line that is furthest below its share, never above the line."""
        opened = self.openings[start]
        nets = {name: round_half_up(Fraction(sum(licences))) for name, licences in sorted(opened.items())}
        whole = dict(nets)
        for each in self.amounts[start]:
            of_lines = {name: net for name, net in nets.items() if each.module in (None, name)}
            amount, total = min(each.amount_minor or 0, sum(of_lines.values())), sum(of_lines.values())
            given = {name: amount * net // total if total else 0 for name, net in of_lines.items()}
            for name in sorted(given, key=lambda name: given[name] - Fraction(amount * of_lines[name], total or 1)):
                given[name] += sum(given.values()) < amount
            nets |= {name: nets[name] - share for name, share in given.items()}
        if module in opened and whole[module] and not nets[module]:
            return Fraction(opened[module][0])  # nothing is left, also no part of a minor unit
        return Fraction(whole[module] - nets[module], len(opened[module])) if module in opened else Fraction(0)


def charged(harness: InvoicingHarness, found: Account) -> dict[tuple[str, date], int]:
    """Return the sum of all lines of each module and period. A line of a period is on its invoice."""
    sums: dict[tuple[str, date], int] = defaultdict(int)
    for charge in found.charges:
        sums[charge.module, period_at(harness.contract.period_start, Term(harness.contract.term), charge.day).start] += charge.net_minor
    for document in found.invoices:
        for line in document.lines:
            if line.text_key == "recurring":
                sums[line.module, line.from_day] += signed_minor(document, line.net_minor)
    return sums


@pytest.mark.parametrize("seed", range(15))
def test_each_module_and_period_costs_the_prices_of_its_licences_less_their_discounts(seed: int) -> None:
    """Invariants 1, 2, 4, 5, 6, 9 and 10 of the rules, with discounts."""
    print(f"seed {seed}: pytest -k 'less_their_discounts and {seed}'")
    begin: dict[str, Any] = {"discount": "start", "from_day": date(2013, 1, 1)}
    given = [(), (Discount(percent="25", **begin),), (Discount(amount_minor=4321, **begin),)][seed % 3]
    harness = history(seed, ("grant",) * 4 + ("withdraw",), discounts=given)
    found, reading = harness.found, NaiveDiscounts(said(harness), known=list(given))
    expected = {key: round_half_up(amount) for key, amount in naive(harness, reading).items()}
    assert {key: amount for key, amount in charged(harness, found).items() if amount} == {k: v for k, v in expected.items() if v}
    check_documents(found)
    for document in found.invoices:
        for line in document.lines:
            assert line.discount_minor * line.net_minor >= 0
    if found.period is None:
        check_end(harness, found)
    numbered = [each.model_copy(update={"number": f"{n}"}) for n, each in enumerate(found.invoices)]
    assert rebuild([*reversed(harness.facts), *((each.invoice, each) for each in numbered)]) == numbered
