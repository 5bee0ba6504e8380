"""What a quote costs, and when there is none."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.invoicing.domain.prices import FollowingPlan
from services.invoicing.domain.quote import Item, Refusal, approvable, price
from shared.schemas.invoicing_v1 import ModuleLimits, PlanDefined, QuoteIssued, UnitPrice
from shared.schemas.policies import LICENCES_MAX
from tests.support.invoicing_harness import ANN, ROOT, InvoicingHarness


def refused(offer: QuoteIssued | Refusal | None) -> Refusal:
    assert isinstance(offer, Refusal), offer
    return offer


def test_T8_T10_B7_B9_the_demo_s_quote_has_the_expected_amounts() -> None:
    harness = InvoicingHarness()
    harness.go(to=datetime(2013, 11, 18, 9, tzinfo=UTC))
    quote, expects = harness.quote(Item("time", add=6))
    (line,) = quote.lines
    assert (line.days, line.days_of_period, line.net_minor, line.unit_price_minor) == (13, 30, 3120, 1200)
    assert (line.recurring_now_minor, line.recurring_then_minor) == (280 * 1200, 286 * 1200)  # B9: previous plus additional
    assert (quote.net_minor, quote.tax_minor, quote.gross_minor, quote.charge) == (3120, 780, 3900, "now")
    assert (quote.priced_for, quote.plan_version) == (date(2013, 11, 18), 1)
    assert quote.expires_at == datetime(2013, 11, 18, 23, tzinfo=UTC)  # the local day's end
    assert expects.pools[0].licences == 280


def test_B1_B3_B4_T4_T7_M10_M11_a_quote_takes_a_number_to_add_or_a_new_total() -> None:
    harness = InvoicingHarness()
    by_total, by_number = harness.offer(Item("time", total=286)), harness.offer(Item("time", add=6))
    assert isinstance(by_total, QuoteIssued)
    assert isinstance(by_number, QuoteIssued)
    assert by_total.lines == by_number.lines


def test_a_total_that_is_the_present_one_is_refused() -> None:
    refusal = refused(InvoicingHarness().offer(Item("time", total=280)))
    assert refusal.type == "total-not-above-present"
    assert refusal.extra == {"module": "time", "licences": 280, "total": 280}


@pytest.mark.parametrize("total", [279, 0])
def test_M10_a_total_below_the_present_one_leads_to_the_reduction(total: int) -> None:
    refusal = refused(InvoicingHarness().offer(Item("time", total=total)))
    assert refusal.type == "use-a-reduction"
    assert refusal.extra["body"] == {"items": [{"module": "time", "total": total}]}


def test_T10_the_unit_price_depends_on_the_term() -> None:
    harness = InvoicingHarness(term="annual", start=date(2013, 1, 1), at=datetime(2013, 1, 1, 8, tzinfo=UTC))
    harness.go(to=datetime(2013, 12, 31, 8, tzinfo=UTC))
    quote, _ = harness.quote(Item("time", add=365))
    assert (quote.lines[0].unit_price_minor, quote.lines[0].days, quote.net_minor) == (12_000, 1, 12_000)


@pytest.mark.parametrize(
    ("day", "charge"),
    [(date(2013, 12, 1), "now"), (date(2013, 12, 2), "next_invoice"), (date(2013, 12, 3), "next_invoice")],
)
def test_B8_exactly_thirty_days_to_the_next_invoice_is_not_more_than_thirty(day: date, charge: str) -> None:
    """December has 31 days: on the 1st the next invoice is 31 days away, on the 2nd 30."""
    harness = InvoicingHarness(start=date(2013, 12, 1), at=datetime(2013, 12, 1, 8, tzinfo=UTC), charge_when="threshold")
    harness.go(to=datetime(day.year, day.month, day.day, 8, tzinfo=UTC))
    assert harness.quote(Item("time", add=1))[0].charge == charge


def test_A2_B2_a_plan_without_extra_licences_names_those_that_allow_them() -> None:
    harness = InvoicingHarness(extra=False)
    prices = (UnitPrice(module="time", term="monthly", amount_minor=1500),)
    common: dict[str, Any] = {"at": harness.at, "actor": ROOT, "currency": "EUR", "version": 1, "prices": prices}
    bigger = PlanDefined(plan="bigger", name="Bigger", allows_extra_licences=True, **common)
    other = PlanDefined(plan="other", name="Other", allows_extra_licences=True, **common | {"currency": "USD"})
    situation = harness.situation
    situation = type(situation)(
        **{name: getattr(situation, name) for name in situation.__slots__} | {"plans": [harness.plans[-1], bigger, other]}
    )
    from services.invoicing.domain.quote import price

    refusal = refused(price(situation, [Item("time", add=1)], quote="q", actor=ROOT, valid=timedelta(days=1)))
    assert (refusal.type, refusal.extra["plans"]) == ("plan-without-extra-licences", ["bigger"])
    assert "Bigger" in refusal.detail


def test_a_refusal_names_what_cannot_be_quoted() -> None:
    harness = InvoicingHarness()
    assert refused(harness.offer(Item("documents", add=1))).type == "module-not-subscribed"
    assert refused(harness.offer(Item("time", add=1), Item("time", add=2))).type == "module-repeated"
    assert refused(harness.offer(Item("time", add=LICENCES_MAX))).type == "too-many-licences"


def test_T8_a_quote_is_priced_for_one_local_day() -> None:
    harness = InvoicingHarness()
    quote, expects = harness.quote(Item("time", add=6))
    harness.go(to=datetime(2013, 11, 1, 22, 59, tzinfo=UTC))
    assert harness.situation.at < quote.expires_at
    harness.go(to=datetime(2013, 11, 1, 23, 0, tzinfo=UTC))
    refusal = refused(harness.approve(quote, expects))
    assert refusal.type == "quote-expired"
    assert "new quote" in refusal.detail


def test_a_quote_expires_before_its_day_ends_if_it_is_valid_for_less() -> None:
    offer = InvoicingHarness().offer(Item("time", add=6), valid=timedelta(minutes=10))
    assert isinstance(offer, QuoteIssued)
    assert offer.expires_at - offer.at == timedelta(minutes=10)


def test_T8_a_quote_holds_after_a_new_price_list_and_not_after_a_change_of_plan() -> None:
    harness = InvoicingHarness()
    quote, expects = harness.quote(Item("time", add=2))
    harness.define_plan(time=1300)
    assert harness.approve(quote, expects) is None
    assert harness.found.charges[-1].net_minor == 2 * 1200
    quote, expects = harness.quote(Item("time", add=6))
    harness.change_plan("plus", time=1300)
    assert refused(harness.approve(quote, expects)).type == "price-list-changed"
    again, expects = harness.quote(Item("time", add=6))
    assert again.net_minor == 6 * 1300
    assert harness.approve(again, expects) is None


def test_T8_a_quote_that_no_longer_fits_is_refused_not_repriced() -> None:
    harness = InvoicingHarness(licences={"time": 280, "documents": 5})
    first, expected_first = harness.quote(Item("time", add=6))
    other, expected_other = harness.quote(Item("documents", add=1))
    second, expected_second = harness.quote(Item("time", add=6))
    assert harness.approve(first, expected_first) is None
    refusal = refused(harness.approve(second, expected_second))
    assert refusal.type == "quote-outdated"
    assert refusal.extra["actual"]["pools"] == [{"module": "time", "licences": 286, "next_period": 286}]  # type: ignore[index]
    assert harness.approve(other, expected_other) is None  # another module's licences are no business of it


def test_T8_B9_a_credit_counts_for_one_approved_quote_only() -> None:
    harness = InvoicingHarness(licences={"time": 5, "documents": 2}, credit_when="next_invoice")
    harness.reduce("documents", 1)  # a credit of 20.00
    first, expected_first = harness.quote(Item("time", add=1))
    other, expected_other = harness.quote(Item("documents", add=1))
    assert [(quote.net_minor, quote.credit_net_minor) for quote in (first, other)] == [(0, 1200), (0, 2000)]
    undecided = replace(harness.situation, undecided=(first,))  # approved, and seats has not decided it
    assert refused(approvable(undecided, other, expected_other)).type == "quote-outdated"
    again = price(undecided, [Item("documents", add=1)], quote="again", actor=ANN, valid=timedelta(days=1))
    assert isinstance(again, QuoteIssued)
    assert (again.net_minor, again.credit_net_minor) == (1200, 800)
    assert approvable(undecided, again, expected_other) is None
    assert harness.approve(first, expected_first) is None
    refusal = refused(harness.approve(other, expected_other))
    assert (refusal.type, refusal.extra) == ("quote-outdated", {"credit_net_minor": 2000, "left_net_minor": 800})
    fresh, expects = harness.quote(Item("documents", add=1))
    assert harness.approve(fresh, expects) is None
    assert harness.invoices[-1].net_minor == fresh.net_minor == 1200


def test_T8_a_quote_of_the_former_subscription_is_refused() -> None:
    """The vendor ended it at once, and on the same day another one began with as many licences, for example with an annual term."""
    harness = InvoicingHarness(licences={"time": 5})
    quote, expects = harness.quote(Item("time", add=1))
    situation = harness.situation
    other = replace(situation, contract=situation.contract.model_copy(update={"subscription": "other", "term": "annual"}))
    assert refused(approvable(other, quote, expects)).type == "quote-outdated"


def test_T8_T21_a_quote_that_does_not_say_that_it_cancels_a_plan_change_is_refused() -> None:
    harness = InvoicingHarness(licences={"time": 5})
    quote, expects = harness.quote(Item("time", add=1))
    limits = (ModuleLimits(module="time", maximum=5),)
    small = FollowingPlan("change", harness.plans[0].model_copy(update={"plan": "small", "limits": limits}), "monthly")
    scheduled = replace(harness.situation, following=small)
    refusal = refused(approvable(scheduled, quote, expects))
    assert (refusal.type, refusal.extra) == ("quote-outdated", {"cancels_plan_change": "change"})
    again = price(scheduled, [Item("time", add=1)], quote="again", actor=ANN, valid=timedelta(days=1))
    assert isinstance(again, QuoteIssued)
    assert approvable(scheduled, again, expects) is None
    assert refused(approvable(harness.situation, again, expects)).extra == {"cancels_plan_change": None}  # it was withdrawn since
    wide = replace(harness.situation, following=replace(small, plan=harness.plans[0]))
    assert approvable(wide, quote, expects) is None


def test_new_billing_details_with_the_same_tax_keep_a_quote_valid() -> None:
    harness = InvoicingHarness()
    quote, expects = harness.quote(Item("time", add=6))
    harness.change_details()
    assert harness.approve(quote, expects) is None
    assert harness.invoices[-1].billing_details == "d2"
    quote, expects = harness.quote(Item("time", add=6))
    harness.change_details(rate="24")
    assert refused(harness.approve(quote, expects)).type == "tax-changed"


def test_a_quote_counts_what_was_bought_the_same_day() -> None:
    """One by one costs what all at once would: the second of two 0.5 rounds up, the first one's half is not rounded twice."""
    harness = InvoicingHarness(prices={"time": 15, "documents": 1})
    harness.go(to=datetime(2013, 11, 30, 9, tzinfo=UTC))
    assert [harness.buy(time=1).net_minor for _ in range(4)] == [1, 0, 1, 0]


def test_currencies_without_minor_units_round_to_whole_ones() -> None:
    harness = InvoicingHarness(currency="JPY", prices={"time": 1000, "documents": 1}, tax=("S", "10"))
    harness.go(to=datetime(2013, 11, 21, 9, tzinfo=UTC))
    quote = harness.buy(time=1)
    assert (quote.net_minor, quote.tax_minor) == (333, 33)
