"""Prices that depend on the number of licences: graduated, by volume, and with included licences."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.invoicing.domain.prices import dearest_minor
from services.invoicing.domain.quote import Item
from shared.schemas.invoicing_v1 import InvoiceIssued, PriceStep, QuoteLine, UnitPrice
from tests.support.invoicing_harness import InvoicingHarness

STEPS = (PriceStep(up_to=10, amount_minor=1200), PriceStep(up_to=20, amount_minor=1000))


def price(**fields: Any) -> UnitPrice:
    return UnitPrice(module="time", term="monthly", amount_minor=800, steps=STEPS, **fields)


@pytest.mark.parametrize(
    ("given", "licences", "parts"),
    [
        ({}, 10, [(10, 1200)]),
        ({}, 25, [(10, 1200), (10, 1000), (5, 800)]),
        ({"pricing": "volume"}, 10, [(10, 1200)]),
        ({"pricing": "volume"}, 11, [(11, 1000)]),
        ({"included": 3}, 12, [(3, 0), (7, 1200), (2, 1000)]),
        ({"included": 3, "pricing": "volume"}, 12, [(3, 0), (9, 1000)]),
        ({"included": 12}, 12, [(12, 0)]),
    ],
)
def test_a_number_of_licences_is_divided_into_parts_with_one_price(
    given: dict[str, Any], licences: int, parts: list[tuple[int, int]]
) -> None:
    assert price(**given).parts(licences) == parts
    assert price(**given).total_minor(licences) == sum(count * amount for count, amount in parts)


def march(licences: int, **tariff: Any) -> InvoicingHarness:
    """DKK, March has 31 days; the period of April begins with the licences of then."""
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    given: dict[str, Any] = {
        "licences": {"time": licences},
        "prices": {"time": 800},
        "currency": "DKK",
        "start": date(2026, 3, 1),
        "at": at,
    }
    return InvoicingHarness(**given, tariffs={"time": {"steps": STEPS, **tariff}}, credit_when="now")


def steps(line: QuoteLine) -> list[tuple[int, int, int]]:
    return [(step.quantity, step.unit_price_minor, step.net_minor) for step in line.steps]


def lines(issued: InvoiceIssued) -> list[tuple[str, int, int, int]]:
    return [(line.text_key, line.quantity, line.unit_price_minor, line.net_minor) for line in issued.lines]


def test_T8_a_quote_over_a_step_has_a_part_for_each_price_and_the_invoice_a_line_for_each() -> None:
    harness = march(8)
    quote = harness.buy(time=4)
    (line,) = quote.lines
    assert (line.quantity, line.unit_price_minor, line.net_minor) == (4, 0, 2 * 1200 + 2 * 1000)
    assert steps(line) == [(2, 1200, 2400), (2, 1000, 2000)]
    assert (line.recurring_now_minor, line.recurring_then_minor) == (9600, 14_000)
    assert quote.next_period is not None
    assert (quote.next_period.before.net_minor, quote.next_period.after.net_minor) == (9600, 14_000)
    assert lines(harness.invoices[-1]) == [("proration", 2, 1200, 2400), ("proration", 2, 1000, 2000)]
    harness.go(to=datetime(2026, 4, 1, 12, tzinfo=UTC))
    assert lines(harness.invoices[-1]) == [("recurring", 10, 1200, 12_000), ("recurring", 2, 1000, 2000)]


def test_a_reduction_gives_back_the_licences_of_the_highest_steps_first() -> None:
    harness = march(12)
    harness.reduce("time", 3)
    harness.go(days=1)
    credit = harness.invoices[-1]
    assert (credit.kind, lines(credit)) == ("credit_note", [("credit", 1, 1200, 1200), ("credit", 2, 1000, 2000)])


def test_with_volume_prices_a_purchase_over_a_step_changes_the_price_of_all_licences() -> None:
    harness = march(10, pricing="volume")
    quote = harness.buy(time=1)
    (line,) = quote.lines
    assert (line.net_minor, steps(line)) == (-1000, [(11, 1000, 11_000), (-10, 1200, -12_000)]), "11 x 10.00 cost less than 10 x 12.00"
    assert (quote.net_minor, quote.credit_net_minor, harness.invoices[-1].kind) == (-1000, 0, "credit_note")
    harness.go(days=1)
    harness.reduce("time", 1)
    harness.go(days=1)
    assert sum(charge.net_minor for charge in harness.found.charges) == round(-1000 + 1000 * 30 / 31)


def test_included_licences_cost_nothing_and_are_shown() -> None:
    harness = march(5, included=5)
    quote, _ = harness.quote(Item("time", add=2))
    assert steps(quote.lines[0]) == [(2, 1200, 2400)]
    assert quote.lines[0].unit_price_minor == 1200
    harness.buy(time=2)
    harness.go(to=datetime(2026, 4, 1, 12, tzinfo=UTC))
    assert lines(harness.invoices[-1]) == [("recurring", 5, 0, 0), ("recurring", 2, 1200, 2400)]


def test_a_budget_counts_each_further_licence_by_the_highest_price_that_one_can_have() -> None:
    dearer_later = UnitPrice(module="time", term="monthly", amount_minor=1500, steps=STEPS)
    assert [dearest_minor(dearer_later, 5, most) for most in (8, 20, 25)] == [1200, 1200, 1500]
    by_volume = UnitPrice(module="time", term="monthly", amount_minor=1100, steps=STEPS, pricing="volume")
    assert dearest_minor(by_volume, 15, 25) == 21 * 1100 - 20 * 1000, "the 21st makes all of them dearer"
