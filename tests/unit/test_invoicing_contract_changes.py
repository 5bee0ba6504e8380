"""A running subscription is changed: which terms count for which decision, and what an added module costs."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.invoicing.domain.account import account, contract_after
from services.invoicing.domain.calendar import Term, period_at, start_of_day
from services.invoicing.domain.plan_change import anchor_with, period_after
from services.invoicing.domain.prices import FollowingPlan
from services.invoicing.domain.quote import Item, NewModule, Refusal, Situation, expected, price, price_new_module
from shared.schemas.invoicing_v1 import (
    ContractChanged,
    ModuleAdded,
    ModuleLimits,
    QuoteApproved,
    QuoteIssued,
    ReductionItem,
    ReductionOrdered,
    UnitPrice,
)
from shared.schemas.seats_v1 import LicenceCount, LicencesReduced, PeriodStarted, Policies, PoolClosed, PoolOpened, ReductionRefused
from tests.support.invoicing_harness import ANN, DAY, ROOT, InvoicingHarness


def march(**more: Any) -> InvoicingHarness:
    """A subscription with a licence of time at 12.00, on the second day of its period."""
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    given: dict[str, Any] = {"licences": {"time": 1}, "currency": "DKK", "start": date(2026, 3, 1), "at": at}
    return InvoicingHarness(**given | more)


def test_T10_M14_a_changed_charge_when_counts_from_the_change_on() -> None:
    harness = march()
    harness.expand("time", 1)
    harness.go(days=1)
    harness.change_terms(charge_when="next_invoice")
    harness.expand("time", 1)
    harness.go(days=1)
    assert [each.reason for each in harness.invoices] == ["day_charged"]
    assert [each.left_minor for each in harness.found.waiting] == [1123]


def test_a_day_is_charged_with_the_terms_that_hold_at_its_end() -> None:
    harness = march()
    harness.expand("time", 1)
    harness.change_terms(charge_when="next_invoice")
    harness.go(days=1)
    assert harness.invoices == []


def test_two_days_that_end_after_one_decision_are_charged_apart() -> None:
    """The second one has no decision of its own: a plan changed on it, or terms did."""
    harness = march(zero_invoices=True)
    harness.expand("time", 1)
    harness.go(days=2)
    harness.change_terms(charge_when="now")
    harness.end_day(date(2026, 3, 4))
    names = [each.invoice for each in harness.invoices]
    assert len(set(names)) == len(names)
    assert len({charge.charge for charge in harness.found.charges}) == len(harness.found.charges)


def test_changed_terms_give_the_same_account_however_the_topics_interleave() -> None:
    harness = march()
    harness.expand("time", 1)
    harness.change_terms(charge_when="next_invoice")
    harness.change_terms(charge_when="now", zero_invoices=True)
    harness.go(days=1)
    harness.expand("time", 2)
    harness.go(days=40)
    seats = [fact for fact in harness.facts if fact[0].startswith("seats")]
    own = [fact for fact in harness.facts if not fact[0].startswith("seats")]
    assert account([*own, *seats]).invoices == account([*seats, *own]).invoices == harness.invoices


def new_module(harness: InvoicingHarness, licences: int = 3, requires: tuple[str, ...] = ()) -> QuoteIssued | Refusal:
    new = NewModule("documents", licences, Policies(), requires)
    return price_new_module(harness.situation, new, list(harness.licences), quote="q9", actor=ANN, valid=DAY)


def test_B7_E10_an_added_module_is_priced_for_the_rest_of_the_period() -> None:
    harness = march()
    quote = new_module(harness)
    assert isinstance(quote, QuoteIssued)
    assert (quote.net_minor, quote.new_module, quote.charge) == (5806, "documents", "now")  # 3 x 20.00, 30 of 31 days
    assert quote.next_period is not None
    assert (quote.next_period.before.net_minor, quote.next_period.after.net_minor) == (1200, 7200)
    assert expected(harness.situation, ["documents"]).pools == ()


@pytest.mark.parametrize("in_trial", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_an_added_module_is_charged_when_its_pool_opens(late: bool, in_trial: bool) -> None:
    """Late: seats opens the pool only after the period of the approval has ended, so the next one is charged whole, also after a trial."""
    harness = march(billed=False, trial_until=date(2026, 4, 1) if in_trial else None)
    harness.go(to=datetime(2026, 3, 31, 20, tzinfo=UTC))
    quote = new_module(harness)
    assert isinstance(quote, QuoteIssued)
    before = len(harness.invoices)
    harness.add_module(quote, after=DAY if late else 0 * DAY)
    harness.go(days=2)
    found = [(line.text_key, line.net_minor) for each in harness.invoices[before:] for line in each.lines if line.module == "documents"]
    of_march = [] if in_trial else [("proration", 194)]
    assert found == ([("proration", 6000)] if late else [*of_march, ("recurring", 6000)])


def test_T10_an_added_module_whose_pool_opens_after_another_term_began_has_the_price_of_that_term() -> None:
    """Approved on the last day of a monthly period, decided on the first day of an annual one: the new period is charged, not a month."""
    harness = march(billed=False)
    harness.go(to=datetime(2026, 3, 31, 20, tzinfo=UTC))
    quote = new_module(harness)
    assert isinstance(quote, QuoteIssued)
    harness.term = "annual"
    harness.define_plan()
    (line,) = quote.lines
    harness.say(quote)
    order: dict[str, Any] = {"quote": quote.quote, "order": "o9", "approved_on": quote.priced_for}
    harness.say(QuoteApproved(at=harness.at, actor=ANN, billing_details=harness.version, **order))
    begin = start_of_day(date(2026, 4, 1), harness.zone)
    harness.at, harness.period = begin, "2026-04-01"
    harness.change_terms(term="annual", plan="standard", plan_version=len(harness.plans), anchor=date(2026, 4, 1))
    licences = (LicenceCount(module="time", quantity=1),)
    harness.terms(harness.decide(PeriodStarted, starts_at=begin, licences=licences, pools=harness.states()))
    harness.licences["documents"] = harness.next_period["documents"] = line.quantity
    decision = harness.decide(PoolOpened, module="documents", base=False, policies=Policies(), pools=harness.states("documents"))
    added: dict[str, Any] = {"decision": decision, "order": "o9", "subscription": "sub", "module": "documents"}
    harness.say(ModuleAdded(at=harness.at, actor=ROOT, licences=line.quantity, **added))
    harness.go(days=1)
    assert lines(harness)[-2:] == [[("recurring", "time", 1, 12_000, 12_000)], [("proration", "documents", 3, 20_000, 60_000)]]


@pytest.mark.parametrize(("days", "credit"), [(0, 3871), (2, 3871), (33, 4000)])
def test_M8_a_module_that_is_closed_at_once_is_credited_from_the_day_of_its_approval(days: int, credit: int) -> None:
    """Seats may decide it on a later day, also in the next period, which charges nothing then. 2 x 20.00, 30 of 31 days."""
    harness = march(licences={"documents": 2, "time": 1}, credit_when="now")
    order_to_close(harness, "documents")
    harness.go(days=days)
    close(harness, "documents")
    harness.go(days=1)
    assert [each.net_minor for each in harness.found.charges] == [-credit]
    seats = [fact for fact in harness.facts if fact[0].startswith("seats")]
    own = [fact for fact in harness.facts if not fact[0].startswith("seats")]
    assert account([*own, *seats]).invoices == account([*seats, *own]).invoices == harness.invoices


def test_M8_a_module_that_grows_between_the_approval_of_its_closing_and_the_closing_is_credited_from_then_on() -> None:
    """Somebody is added just after midnight, before seats closes the module: no more can be given up on a day than there was."""
    harness = march(licences={"documents": 2, "time": 1}, credit_when="now")
    order_to_close(harness, "documents")
    harness.go(days=1)
    harness.expand("documents", 1)
    close(harness, "documents")
    harness.go(days=1)
    assert [(each.module, each.net_minor) for each in harness.found.charges] == [("documents", -3742)], "2 x 20.00, 29 of 31 days"


def test_a_pool_that_closes_by_itself_is_credited_from_its_own_day_after_an_earlier_closing() -> None:
    """The module was closed at once and added again; then the vendor ends the subscription at once."""
    harness = march(licences={"documents": 2, "time": 1}, credit_when="now")
    order_to_close(harness, "documents")
    close(harness, "documents")
    quote = new_module(harness, 2)
    assert isinstance(quote, QuoteIssued)
    harness.add_module(quote)
    harness.go(days=10)
    harness.end(at_once=True)
    assert {(each.module, each.net_minor) for each in harness.found.charges if each.reason == "reduced"} >= {
        ("documents", -2581),  # 2 x 20.00, 20 of 31 days
        ("time", -774),
    }


def test_a_module_that_seats_refused_to_close_is_credited_from_the_day_on_which_it_closes() -> None:
    """It was the last base module when seats decided. Ten days later, with a licence more, the vendor ends the subscription at once."""
    harness = march(licences={"documents": 2, "time": 1}, credit_when="now")
    order_to_close(harness, "documents")
    harness.decide(ReductionRefused, module="documents", instead="end_subscription")
    harness.go(days=5)
    harness.expand("documents", 1)
    harness.go(days=5)
    harness.end(at_once=True)
    credited = {(each.module, each.net_minor) for each in harness.found.charges if each.reason == "reduced"}
    assert credited == {("documents", -3871), ("time", -774)}, "3 x 20.00 and 1 x 12.00, 20 of 31 days"


def test_a_refusal_in_the_instant_of_a_closing_and_after_it_changes_nothing_that_the_closing_has_credited() -> None:
    """On a test clock many decisions have one time: the module was added again, and seats refuses to close it a second time."""
    harness = march(licences={"documents": 2, "time": 1}, credit_when="now")
    order_to_close(harness, "documents")
    harness.go(days=1)
    close(harness, "documents")
    harness.end_days()
    credited = harness.invoices
    assert [each.net_minor for each in credited] == [3871], "2 x 20.00, 30 of 31 days"
    harness.decide(ReductionRefused, module="documents", instead="end_subscription")
    assert harness.invoices == credited


def order_to_close(harness: InvoicingHarness, module: str) -> None:
    item = ReductionItem(module=module, before=harness.licences[module], total=0)
    about: dict[str, Any] = {"reduction": "r1", "subscription": "sub", "approved_on": harness.at.date()}
    harness.say(ReductionOrdered(at=harness.at, actor=ANN, takes_effect="now", items=(item,), **about))


def close(harness: InvoicingHarness, module: str) -> None:
    del harness.licences[module], harness.next_period[module]
    harness.decide(PoolClosed, module=module, pools=())


def test_a_module_that_requires_another_is_refused_without_it() -> None:
    harness = march()
    refusal = new_module(harness, requires=("planning",))
    assert isinstance(refusal, Refusal)
    assert (refusal.type, refusal.extra["requires"]) == ("module-required", ["planning"])


def lines(harness: InvoicingHarness) -> list[list[tuple[str, str, int, int, int]]]:
    return [
        [(line.text_key, line.module, line.quantity, line.unit_price_minor, line.net_minor) for line in each.lines]
        for each in harness.invoices
    ]


def test_B2_an_upgrade_charges_the_difference_of_the_prices_for_the_rest_of_the_period() -> None:
    harness = march(licences={"time": 10, "documents": 2})
    harness.change_plan("plus", time=1500, documents=2000)
    harness.go(days=1)
    (invoice,) = harness.invoices
    assert lines(harness) == [[("proration", "time", 10, 300, 2903)]]  # 10 x 3.00, 30 of 31 days
    assert (invoice.lines[0].days, str(invoice.lines[0].from_day)) == (30, "2026-03-02")
    assert {charge.reason for charge in harness.found.charges} == {"plan_changed"}
    harness.go(to=datetime(2026, 4, 1, 12, tzinfo=UTC))
    assert lines(harness)[-1] == [("recurring", "documents", 2, 2000, 4000), ("recurring", "time", 10, 1500, 15_000)]


def test_B2_licences_of_the_day_of_an_upgrade_have_its_price_and_rounding_is_cumulative() -> None:
    harness = march()
    harness.buy(time=1)
    harness.change_plan("plus", time=1500)
    harness.buy(time=1)
    harness.go(days=1)
    assert sum(charge.net_minor for charge in harness.found.charges) + 1200 == round((1200 * 1 + 1500 * 3 * 30) / 31)
    harness.reduce("time", 2)
    harness.go(days=1)
    (*_, credit) = harness.found.charges
    assert (credit.net_minor, credit.unit_price_minor) == (-2807, 1500), "credited at the price that they were charged with since"


def test_an_upgrade_with_another_tax_credits_the_former_price_and_charges_the_new_one() -> None:
    harness = march(credit_when="now")
    harness.change_details(rate="19")
    harness.change_plan("plus", time=1500)
    harness.go(days=1)
    charges = {charge.tax_rate_percent: charge.net_minor for charge in harness.found.charges}
    assert charges == {"25": -1161, "19": 1451}  # together 290, the difference of 3.00 for 30 of 31 days


def test_a_plan_that_begins_with_a_period_counts_the_licences_that_it_allows() -> None:
    """The invoice of the period has them, though seats takes the others away only after it began."""
    harness = march(licences={"time": 10, "documents": 4})
    harness.next_plan = "small", {"time": 6, "documents": 0}, {"time": 700}
    harness.go(to=datetime(2026, 4, 3, 12, tzinfo=UTC))
    assert lines(harness) == [[("recurring", "time", 6, 700, 4200)]]
    assert harness.found.charges == []
    assert harness.licences == {"time": 6}
    harness.buy(time=1)
    assert lines(harness)[-1] == [("proration", "time", 1, 700, 653)]


def test_licences_that_seats_does_not_take_away_with_a_plan_are_charged() -> None:
    """Somebody was added when the period began, so that under `block` one seat more is in use."""
    harness = march(licences={"time": 10})
    harness.next_plan = "small", {"time": 6}, {"time": 700}
    harness.apply_plan = lambda fewer: None  # type: ignore[method-assign]
    harness.go(to=datetime(2026, 4, 1, 12, tzinfo=UTC))
    harness.decide(LicencesReduced, order=f"change{harness.changes}", items=(LicenceCount(module="time", quantity=3),))
    harness.go(days=1)
    assert lines(harness)[-1] == [("proration", "time", 1, 700, 700)]


def following(harness: InvoicingHarness, maximum: int) -> Situation:
    """The situation with a plan at 7.00 that begins with the next period."""
    listed = (UnitPrice(module="time", term="monthly", amount_minor=700),)
    limits = (ModuleLimits(module="time", maximum=maximum),)
    plan = harness.plans[-1].model_copy(update={"plan": "small", "prices": listed, "limits": limits})
    return replace(harness.situation, following=FollowingPlan("c1", plan, "monthly"))


@pytest.mark.parametrize(("add", "amounts"), [(1, (1400, 2100, 700, 0, None)), (2, (1400, 8800, 2400, 5000, "c1"))])
def test_B5_a_quote_counts_the_plan_that_begins_with_the_next_period(add: int, amounts: tuple[object, ...]) -> None:
    """With four licences the plan does not fit any more: the purchase brings the present one back, with the documents."""
    harness = march(licences={"time": 2, "documents": 2})
    quote = price(following(harness, 3), [Item("time", add=add)], quote="q9", actor=ANN, valid=DAY)
    assert isinstance(quote, QuoteIssued)
    following_period = quote.next_period
    assert following_period is not None
    assert (
        following_period.before.net_minor,
        following_period.after.net_minor,
        following_period.added_net_minor,
        following_period.cancelled_reduction_net_minor,
        quote.cancels_plan_change,
    ) == amounts


@pytest.mark.parametrize(
    ("begins", "trial_until", "term", "following", "end"),
    [
        (date(2026, 1, 31), None, "monthly", None, date(2026, 3, 31)),
        (date(2026, 3, 1), date(2026, 3, 25), "monthly", None, date(2026, 4, 25)),
        (date(2026, 3, 1), date(2026, 3, 25), "annual", None, date(2027, 3, 25)),
        (date(2026, 1, 31), None, "monthly", "annual", date(2027, 2, 28)),
    ],
)
def test_the_period_after_the_present_one_keeps_the_day_of_the_contract(
    begins: date, trial_until: date | None, term: str, following: str | None, end: date
) -> None:
    contract = march(start=begins, trial_until=trial_until, term=term).contract
    plan = FollowingPlan("c1", march().plans[-1], following) if following else None
    assert period_after(contract, plan, contract.period_end).end == end


def test_B6_a_contract_from_the_31st_that_becomes_annual_and_monthly_again_keeps_the_31st() -> None:
    harness = march(start=date(2026, 1, 31), at=datetime(2026, 1, 31, 9, tzinfo=UTC))
    begin, found = harness.contract.period_end, list[tuple[date, date]]()
    for term in ("annual", "monthly", "monthly"):
        plan = FollowingPlan("c1", harness.plans[-1], term) if term != harness.contract.term else None
        period = period_after(harness.contract, plan, begin)
        if plan is not None:
            anchor = anchor_with(term, begin, harness.contract.begins_on_day)
            changed = ContractChanged(
                at=harness.at, actor=ANN, subscription="sub", change=term, number=1, after="d", changes=(), term=term, anchor=anchor
            )
            harness.contract = contract_after(harness.contract, changed)
        assert period == period_at(harness.contract.anchored_on, Term(term), begin)
        found.append((period.start, begin := period.end))
    assert [end for _, end in found] == [date(2027, 2, 28), date(2027, 3, 31), date(2027, 4, 30)]
