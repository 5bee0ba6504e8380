"""Discounts: what they take off the price of a period, of licences that are added, and of credits (12.00 a month, March with 31 days)."""

from datetime import UTC, date, datetime
from random import Random
from typing import Any

import pytest

from services.invoicing.domain.account import account, rebuild
from services.invoicing.domain.calendar import Period
from services.invoicing.domain.discounts import PeriodLine, discounted, spread
from services.invoicing.domain.ledger import NO_TAX, Change, ModuleLedger, Rate
from services.invoicing.domain.plan_change import PoolTerms, WantedPlan, plan_offer
from services.invoicing.domain.quote import Item, Refusal, approvable
from services.invoicing.domain.reduction import SubscribedModule, Wanted, reduction_of
from services.invoicing.domain.upcoming import upcoming
from shared.schemas.invoicing_v1 import Discount, PriceStep, QuoteIssued, UnitPrice
from shared.schemas.seats_v1 import Policies
from tests.support.invoicing_harness import InvoicingHarness

FIRST = date(2026, 3, 1)


def discount(percent: str | None = None, amount_minor: int | None = None, **fields: Any) -> Discount:
    given: dict[str, Any] = {"discount": "d1", "from_day": FIRST} | fields
    return Discount(percent=percent, amount_minor=amount_minor, **given)


def march(*discounts: Discount, **more: Any) -> InvoicingHarness:
    """A subscription with 10 licences of time, on the first day of its period, which is invoiced."""
    at = datetime(2026, 3, 1, 8, tzinfo=UTC)
    given: dict[str, Any] = {"licences": {"time": 10}, "start": FIRST, "at": at, "billed": False, "credit_when": "now"}
    return InvoicingHarness(**given | {"discounts": discounts} | more)


def shown(harness: InvoicingHarness) -> list[tuple[str, str, int, int, int]]:
    """Each line: kind of the document, text, quantity, discount, net."""
    return [
        (document.kind, line.text_key, line.quantity, line.discount_minor, line.net_minor)
        for document in harness.invoices
        for line in document.lines
    ]


def test_a_percentage_counts_for_the_period_and_for_what_is_added() -> None:
    harness = march(discount("10"))
    harness.buy(time=1)
    harness.go(days=1)
    harness.expand("time", 1)
    harness.go(days=1)
    assert shown(harness) == [
        ("invoice", "recurring", 10, 1200, 10800),
        ("invoice", "proration", 1, 120, 1080),
        ("invoice", "proration", 1, 116, 1045),  # 30 of 31 days of 10.80
    ]


@pytest.mark.parametrize("seed", range(4))
def test_the_lines_of_a_period_and_its_licences_cost_the_same_with_prices_of_cents_a_percentage_and_an_amount(seed: int) -> None:
    """The lines charge exactly what is left of the licences, so nothing is charged or credited before a licence changes, and all of it is
    given back with the last one."""
    random, period = Random(seed), Period(FIRST, date(2026, 4, 1))
    for _ in range(500):
        steps = tuple(PriceStep(up_to=end, amount_minor=random.randint(0, 4)) for end in sorted(random.sample(range(1, 6), 2)))
        included, pricing = random.choice([0, 0, 1]), random.choice(["graduated", "volume"])
        price = UnitPrice(module="time", term="monthly", amount_minor=random.randint(0, 3), steps=steps, pricing=pricing, included=included)
        other = PeriodLine("documents", random.randint(1, 3), random.randint(0, 5))
        discounts = [discount(random.choice(["10", "25", "33.3", "50"])), discount(amount_minor=random.randint(1, 9))]
        random.shuffle(discounts)
        lines = [PeriodLine("time", *part) for part in price.parts(random.randint(1, 8))]
        costs = discounted(discounts, FIRST, [other, *lines])[1:]
        rates = [Rate(line.unit_price_minor, NO_TAX, cost.left, cost.off(line)) for line, cost in zip(lines, costs, strict=True)]
        opening = [Change(FIRST, line.licences, rate, "opening", price=price) for line, rate in zip(lines, rates, strict=True)]
        ledger = ModuleLedger(period, opening)
        assert ledger.booked_minor == sum(cost.net_minor for cost in costs), (lines, discounts)
        ledger.changes.append(Change(FIRST, -sum(line.licences for line in lines), charge="gone"))
        assert ledger.open_minor() == -ledger.booked_minor


def test_an_amount_counts_once_and_not_for_what_is_added() -> None:
    harness = march(discount(amount_minor=3000))
    harness.buy(time=1)
    harness.go(days=31)
    assert shown(harness) == [
        ("invoice", "recurring", 10, 3000, 9000),
        ("invoice", "proration", 1, 0, 1200),
        ("invoice", "recurring", 11, 3000, 10200),
    ]


def test_nothing_is_credited_of_a_period_that_an_amount_covers() -> None:
    """Two licences at 0.23 and two at 0.08, less a third: 0.4133, of which the amount takes all. The lines round to 0.31 and 0.10."""
    steps = {"steps": (PriceStep(up_to=2, amount_minor=23),), "pricing": "graduated"}
    covered = discount(amount_minor=64), discount("33.3333", discount="d2")
    harness = march(*covered, licences={"time": 4}, prices={"time": 8}, tariffs={"time": steps})
    harness.end(at_once=True)
    assert harness.invoices == []
    assert [charge.net_minor for charge in harness.found.charges] == [0, 0]


@pytest.mark.parametrize("whole", [True, False])
def test_an_amount_is_counted_once_when_the_number_changes_within_the_period(whole: bool) -> None:
    """A credit undoes its share of the amount, so that the licences that are left have theirs."""
    harness = march(
        discount(amount_minor=3100, module=None if whole else "time"), licences={"time": 10, "documents": 1} if whole else {"time": 10}
    )
    paid = harness.invoices[0].lines[-1]
    assert paid.module == "time"
    harness.go(days=16)
    harness.reduce("time", 10)
    harness.go(days=1)
    credited = harness.invoices[-1].lines[0]
    assert credited.net_minor == (paid.net_minor * 15 * 2 + 31) // 62
    assert credited.discount_minor == (paid.discount_minor * 15 * 2 + 31) // 62
    harness.buy(time=10)
    assert harness.invoices[-1].lines[0].discount_minor == 0


@pytest.mark.parametrize("price", [2400, 1000, 200])
def test_an_amount_is_counted_once_when_the_price_changes_within_the_period(price: int) -> None:
    """Neither charged too little (the amount taken off again for the rest of the period) nor too much (its rest taken back)."""
    harness = march(discount(amount_minor=3100))
    harness.go(days=16)
    harness.change_plan("other", time=price)
    harness.go(days=1)
    (charge,) = harness.found.charges
    rest = max(10 * price - 3100, 0)  # for a whole period at the new price; no document falls below zero
    assert charge.net_minor == ((rest - 8900) * 15 * 2 + 31) // 62
    assert charge.quantity == (10 if price > 1200 else -10)


def test_a_percentage_that_ended_shows_the_old_and_the_new_price_of_the_same_licences() -> None:
    harness = march(discount("50", until_day=date(2026, 3, 10)))
    harness.go(days=16)
    harness.change_plan("other", time=1200)
    harness.go(days=1)
    lines = [(charge.quantity, charge.net_minor, charge.discount_minor) for charge in harness.found.charges]
    assert lines == [(-10, -2903, -2903), (10, 5806, 0)]


@pytest.mark.parametrize("zero_invoices", [True, False])
def test_a_discount_of_100_percent_makes_no_document_and_no_error(zero_invoices: bool) -> None:
    harness = march(discount("100"), zero_invoices=zero_invoices)
    quote = harness.buy(time=2)
    assert (quote.net_minor, quote.lines[0].discount_minor) == (0, 2400)
    harness.expand("time", 1)
    harness.go(days=5)
    harness.reduce("time", 4)
    harness.go(days=30)
    assert {line[-1] for line in shown(harness)} == ({0} if zero_invoices else set())
    assert sum(charge.net_minor for charge in harness.found.charges) == 0


def test_percentages_come_before_amounts_whatever_was_granted_first() -> None:
    """12.00 x 10 = 120.00; less 50.00 after 10 % and then 20 % of the rest: 86.40 - 50.00."""
    harness = march(discount(amount_minor=5000), discount("10", discount="d2"), discount("20", discount="d3"))
    assert shown(harness) == [("invoice", "recurring", 10, 8360, 3640)]


def test_a_percentage_of_several_prices_is_rounded_once_for_a_module() -> None:
    lines = [PeriodLine("time", 1, 1201), PeriodLine("time", 1, 1051), PeriodLine("docs", 1, 1201)]
    costs = discounted([discount("50")], FIRST, lines)
    assert [each.net_minor for each in costs] == [601, 525, 601], "11.26 for both licences of time, not 6.01 and 5.26"


def test_an_amount_granted_earlier_is_taken_off_first() -> None:
    lines = [PeriodLine("documents", 1, 1000), PeriodLine("time", 1, 3000)]
    of_module, whole = discount(amount_minor=900, module="documents"), discount(amount_minor=2000, discount="d2")
    assert [each.net_minor for each in discounted([of_module, whole], FIRST, lines)] == [1000 - 900 - 65, 3000 - 1935]
    assert [each.net_minor for each in discounted([whole, of_module], FIRST, lines)] == [1000 - 500 - 500, 3000 - 1500]


def test_an_amount_is_spread_by_largest_remainder_and_never_above_a_line() -> None:
    assert spread(100, [333, 333, 334]) == [33, 33, 34]
    assert spread(1, [1, 1, 1]) == [1, 0, 0]
    assert spread(5, [0, 2, 1]) == [0, 2, 1]
    assert spread(10, [1, 10]) == [1, 9]
    assert spread(4, []) == []


def test_a_discount_holds_for_what_is_supplied_on_its_days() -> None:
    harness = march(discount("50", until_day=date(2026, 4, 1)), discount(amount_minor=100, discount="d2", from_day=date(2026, 4, 2)))
    harness.go(days=31)
    harness.buy(time=1)
    harness.go(days=30)
    assert [line.discount_minor for document in harness.invoices for line in document.lines] == [6000, 0, 0, 100]


def test_a_discount_counts_from_its_granting_and_no_more_after_it_is_withdrawn() -> None:
    harness = march()
    harness.expand("time", 1)
    granted = harness.grant("50")
    harness.expand("time", 1)
    harness.withdraw(granted)
    harness.expand("time", 1)
    harness.go(days=1)
    assert [charge.net_minor for charge in harness.found.charges] == [2400, 600]
    again = harness.grant(amount_minor=500)
    harness.go(days=31)
    assert harness.invoices[-1].lines[0].discount_minor == 500
    harness.withdraw(again)
    harness.go(days=1)
    harness.reduce("time", 13)
    harness.go(days=1)
    assert harness.found.charges[-1].discount_minor == -467  # what was charged with it is credited with it: 28 of 30 days


def test_a_quote_and_everything_that_shows_the_next_period_counts_the_discounts_that_hold_then() -> None:
    harness = march()
    harness.grant("10", from_day=date(2026, 4, 1))
    harness.grant(amount_minor=1000)
    quote = harness.offer(Item("time", add=2))
    assert isinstance(quote, QuoteIssued)
    assert (quote.net_minor, quote.lines[0].discount_minor) == (2400, 0)
    assert quote.next_period is not None
    after = quote.next_period.after
    assert (quote.next_period.before.net_minor, after.net_minor, after.tax_minor) == (9800, 11960, 2990)
    assert quote.next_period.added_net_minor == 2160
    document = upcoming(harness.facts, harness.contract, harness.next_period, 1, harness.version)
    assert document is not None
    assert (document.net_minor, document.lines[0].discount_minor) == (9800, 2200)
    found = reduction_of(harness.situation, {"time": SubscribedModule(True, "period_end")}, [Wanted("time", 5)])
    assert not isinstance(found, Refusal)
    assert found.after is not None
    assert found.after.net_minor == 4400
    plan = harness.plans[-1].model_copy(update={"plan": "other"})
    offer = plan_offer(harness.situation, {"time": PoolTerms(True, Policies())}, WantedPlan(plan, "monthly", "period_end"))
    assert not isinstance(offer, Refusal)
    assert (offer.price.next_before.net_minor, offer.price.next_after.net_minor) == (9800, 9800)


def test_T8_a_quote_from_before_a_discount_is_refused() -> None:
    harness = march()
    quote, expects = harness.quote(Item("time", add=1))
    harness.grant("10", module="documents")
    assert approvable(harness.situation, quote, expects) is None
    harness.grant("10")
    refused = approvable(harness.situation, quote, expects)
    assert refused is not None
    assert refused.type == "discounts-changed"


def test_a_purchase_is_credited_with_the_discount_that_it_was_charged_with() -> None:
    harness = march()
    granted = harness.grant("50")
    harness.buy(time=2)
    harness.withdraw(granted)
    harness.go(days=1)
    harness.reduce("time", 2)
    harness.go(days=1)
    charge = harness.found.charges[-1]
    assert (charge.quantity, charge.net_minor, charge.discount_minor) == (-2, -1161, -1161)


def test_discounts_give_the_same_documents_however_the_topics_interleave() -> None:
    harness = march(discount("10"), discount(amount_minor=500, discount="d2"))
    harness.buy(time=2)
    harness.withdraw(harness.grant(amount_minor=200))
    harness.grant("33.3333", module="time")
    harness.go(days=3)
    harness.reduce("time", 5)
    harness.go(days=60)
    seats = [fact for fact in harness.facts if fact[0].startswith("seats")]
    own = [fact for fact in harness.facts if not fact[0].startswith("seats")]
    assert account([*own, *seats]).invoices == account([*reversed(seats), *own]).invoices == harness.invoices
    numbered = [each.model_copy(update={"number": str(n)}) for n, each in enumerate(harness.invoices)]
    assert rebuild([*own, *seats, *((each.invoice, each) for each in numbered)]) == numbered


@pytest.mark.parametrize("charge_when", ["now", "next_invoice"])
def test_nothing_in_a_trial_costs_or_credits_anything_and_none_of_it_is_on_a_document(charge_when: str) -> None:
    harness = march(discount("10"), trial_until=date(2026, 3, 20), charge_when=charge_when, zero_invoices=True)
    quote = harness.buy(time=2)
    assert quote.net_minor == 0
    assert quote.next_period is not None
    assert (quote.next_period.before.net_minor, quote.next_period.after.net_minor) == (10_800, 12_960)
    harness.expand("time", 3)
    harness.go(days=5)
    harness.reduce("time", 4)
    harness.change_plan("other", time=1000)
    harness.go(days=5)
    foreseen = upcoming(harness.facts, harness.contract, harness.next_period, 2, harness.version)
    assert harness.invoices == []
    harness.plan = "other"
    harness.go(to=datetime(2026, 3, 20, 8, tzinfo=UTC))
    (first,) = harness.invoices
    assert [(line.text_key, line.quantity, line.net_minor, line.from_day, line.to_day) for line in first.lines] == [
        ("recurring", 11, 9900, date(2026, 3, 20), date(2026, 4, 20))
    ]
    assert foreseen is not None
    assert foreseen.net_minor == first.net_minor
    assert sum(charge.net_minor for charge in harness.found.charges) == 0


@pytest.mark.parametrize("at_once", [True, False])
def test_a_subscription_that_ends_in_its_trial_has_no_document(at_once: bool) -> None:
    harness = march(trial_until=date(2026, 3, 20), zero_invoices=True)
    harness.buy(time=2)
    harness.go(days=3)
    harness.end(at_once=at_once)
    assert harness.invoices == []
    assert harness.found.waiting == []
