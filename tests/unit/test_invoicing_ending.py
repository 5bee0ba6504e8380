"""The end of a subscription: its last document, its reminders, what quotes say, and a subscription after it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.invoicing.domain.account import CREDIT_NOTE, rebuild
from services.invoicing.domain.ending import next_reminder, reminder_of, restored
from services.invoicing.domain.quote import Item, NewModule, Pool, Refusal, price, price_new_module
from services.invoicing.domain.reduction import Reduction, SubscribedModule, Wanted, reduction_of
from shared.schemas.invoicing_v1 import InvoiceIssued, QuoteIssued
from shared.schemas.seats_v1 import Policies, PoolClosed, PoolOpened
from tests.support.invoicing_harness import ANN, InvoicingHarness

END = date(2026, 4, 1)


def march(**options: Any) -> InvoicingHarness:
    """Two licences at 12.00 a month, from 1 March."""
    given: dict[str, Any] = {
        "start": date(2026, 3, 1),
        "at": datetime(2026, 3, 1, 9, tzinfo=UTC),
        "licences": {"time": 2},
        "prices": {"time": 1200},
    }
    return InvoicingHarness(**given | options)


def last(harness: InvoicingHarness) -> InvoiceIssued:
    return harness.invoices[-1]


@pytest.mark.parametrize(("by", "net", "kind"), [(1, 1161, "invoice"), (-1, 1161, "credit_note")])
def test_T14_the_end_issues_one_last_document_for_what_waits_and_renews_nothing(by: int, net: int, kind: str) -> None:
    harness = march(charge_when="next_invoice", credit_when="next_invoice")
    harness.go(days=1)
    if by > 0:
        harness.buy(time=by)
    else:
        harness.reduce("time", -by)
    harness.end()
    assert (last(harness).reason, last(harness).kind, last(harness).net_minor) == ("subscription_ended", kind, net)
    assert [line.text_key for line in last(harness).lines] == ["adjustment"]
    found = harness.found
    assert (found.period, found.ledgers, found.licences, found.waiting, found.open_day) == (None, {}, {}, [], None)


def test_T14_a_waiting_credit_and_a_waiting_charge_are_on_the_last_document_together() -> None:
    harness = march(
        licences={"time": 2, "docs": 2}, prices={"time": 1200, "docs": 600}, charge_when="next_invoice", credit_when="next_invoice"
    )
    harness.go(days=1)
    harness.buy(time=1)
    harness.reduce("docs", 1)
    harness.end()
    assert {(line.module, line.net_minor) for line in last(harness).lines} == {("time", 1161), ("docs", -581)}
    assert last(harness).net_minor == 580


def test_T14_an_end_without_anything_that_waits_makes_no_document() -> None:
    harness = march(billed=True)
    harness.end()
    assert harness.invoices == []


@pytest.mark.parametrize("credit_when", ["now", "next_invoice", "threshold"])
def test_an_end_at_once_credits_the_days_that_are_left_at_once(credit_when: str) -> None:
    harness = march(credit_when=credit_when, billed=False)
    harness.go(days=10)
    harness.end(at_once=True)
    assert (last(harness).kind, last(harness).net_minor, last(harness).issued_on) == (CREDIT_NOTE, 1626, date(2026, 3, 11))
    assert last(harness).corrects == (harness.invoices[0].invoice,)


def test_after_the_end_no_document_follows_and_a_rebuild_gives_the_same_bytes() -> None:
    harness = march(charge_when="next_invoice")
    harness.buy(time=1)
    harness.end()
    issued = harness.invoices
    harness.at += timedelta(days=90)
    harness.end_days()
    assert harness.invoices == issued
    for number, invoice in enumerate(issued):
        harness.say(invoice.model_copy(update={"number": str(number)}))
    assert [invoice.model_dump_json() for invoice in rebuild(reversed(harness.facts))] == [
        event.model_dump_json() for _, event in harness.facts if isinstance(event, InvoiceIssued)
    ]


@pytest.mark.parametrize("at_once", [False, True])
def test_a_new_subscription_a_month_later_has_documents_of_its_own_beside_the_old_ones(at_once: bool) -> None:
    harness = march(charge_when="next_invoice")
    harness.buy(time=1)
    harness.end(at_once=at_once)
    before = harness.invoices
    harness.at, harness.start = datetime(2026, 5, 3, 9, tzinfo=UTC), date(2026, 5, 1)
    harness.licences = {"time": 5}
    harness.next_period, harness.billed = {"time": 5}, False
    harness.subscribe("later")
    harness.go(days=1)
    harness.buy(time=1)
    harness.go(days=30)
    first, renewal = harness.invoices[len(before) :]
    assert harness.invoices[: len(before)] == before
    assert (first.reason, first.net_minor, first.subscription) == ("first_period", 6000, "later")
    assert (renewal.reason, [line.net_minor for line in renewal.lines]) == ("renewal", [7200, 1084])


def test_T21_a_quote_for_a_subscription_that_ends_says_so_and_changes_nothing_of_the_next_period() -> None:
    harness = march()
    situation = harness.situation
    ending = {"time": Pool(licences=2, next_period=0, former_next_period=2)}
    quote = price(replace(situation, pools=ending, ends_on=END), [Item("time", add=1)], quote="q", actor=ANN, valid=timedelta(days=1))
    assert isinstance(quote, QuoteIssued)
    assert (quote.ends_on, quote.cancels_closing, quote.net_minor) == (END, (), 1200)
    assert quote.next_period is not None
    assert (quote.next_period.before.net_minor, quote.next_period.after.net_minor, quote.next_period.added_net_minor) == (0, 0, 0)


def test_T21_a_quote_for_a_module_that_is_to_close_says_that_it_cancels_the_closing() -> None:
    harness = march(licences={"time": 2, "docs": 2}, prices={"time": 1200, "docs": 600})
    closing = {"time": Pool(2, 2), "docs": Pool(2, 0)}
    quote = price(replace(harness.situation, pools=closing), [Item("docs", add=1)], quote="q", actor=ANN, valid=timedelta(days=1))
    assert isinstance(quote, QuoteIssued)
    assert (quote.ends_on, quote.cancels_closing) == (None, ("docs",))
    assert quote.next_period is not None
    assert (quote.next_period.before.net_minor, quote.next_period.after.net_minor) == (2400, 4200)


def test_a_pool_that_seats_opened_and_closed_after_the_end_is_no_pool_of_the_next_subscription() -> None:
    """The next subscription has the same module: its first period begins when both pools are open, not with the first one."""
    harness = march()
    harness.end()
    harness.licences["docs"] = harness.next_period["docs"] = 9
    harness.decide(PoolOpened, module="docs", base=False, policies=Policies(), pools=harness.states("docs"))
    harness.decide(PoolClosed, module="docs", pools=())
    harness.prices["docs"] = 600
    harness.define_plan()
    harness.licences, harness.next_period, harness.billed = {"docs": 3, "time": 2}, {"docs": 3, "time": 2}, False
    harness.at, harness.start = datetime(2026, 5, 3, 9, tzinfo=UTC), date(2026, 5, 1)
    harness.subscribe("later")
    (first_id, docs), (second_id, time) = harness.facts[-2:]
    harness.facts[-2:] = [(first_id, time), (second_id, docs)]  # seats opens the module of the former pool last
    first = harness.invoices[-1]
    assert (first.reason, {(line.module, line.net_minor) for line in first.lines}) == (
        "first_period",
        {("docs", 1800), ("time", 2400)},
    )


def test_E10_a_module_can_be_added_to_a_subscription_that_ends_and_ends_with_it() -> None:
    harness = march(prices={"time": 1200, "docs": 600})
    ending = replace(harness.situation, pools={"time": Pool(2, 0, 2)}, ends_on=END)
    new = NewModule("docs", 3, Policies(), ("time",))
    quote = price_new_module(ending, new, ["time"], quote="q", actor=ANN, valid=timedelta(days=1))
    assert isinstance(quote, QuoteIssued), quote
    assert (quote.ends_on, quote.cancels_closing, quote.net_minor) == (END, (), 1800)
    assert quote.next_period is not None
    assert quote.next_period.after.net_minor == 0
    running = price_new_module(harness.situation, new, ["time"], quote="q", actor=ANN, valid=timedelta(days=1))
    assert isinstance(running, QuoteIssued)
    assert running.cancels_closing == (), "a new module was not to close"


@pytest.mark.parametrize(("reduce_at", "refused"), [("period_end", True), ("now", False)])
def test_T12_a_subscription_that_ends_has_no_next_period_to_reduce(reduce_at: str, refused: bool) -> None:
    ending = {"time": Pool(licences=2, next_period=0, former_next_period=2)}
    situation = replace(march().situation, pools=ending, ends_on=END)
    found = reduction_of(situation, {"time": SubscribedModule(True, reduce_at)}, [Wanted("time", 1)])
    assert isinstance(found, Refusal) is refused
    if isinstance(found, Refusal):
        assert (found.type, found.extra) == ("subscription-ending", {"ends_on": "2026-04-01"})


def test_T13_a_reduction_that_was_scheduled_before_reductions_were_at_once_can_be_taken_back() -> None:
    harness = march(licences={"time": 9, "docs": 5}, prices={"time": 1200, "docs": 600})
    pools = {"time": Pool(licences=9, next_period=4), "docs": Pool(licences=5, next_period=0)}
    situation = replace(harness.situation, pools=pools)
    modules = {"time": SubscribedModule(True, "now"), "docs": SubscribedModule(False, "now")}
    back = reduction_of(situation, modules, [Wanted("time", 9), Wanted("docs", 5)])
    assert isinstance(back, Reduction)
    assert (back.takes_effect, [(each.module, each.before, each.total) for each in back.items]) == (
        "period_end",
        [("docs", 0, 5), ("time", 4, 9)],
    )
    assert back.before is not None
    assert back.after is not None
    assert (back.before.net_minor, back.after.net_minor, back.credit_net_minor) == (4 * 1200, 9 * 1200 + 5 * 600, 0)
    fewer = reduction_of(situation, modules, [Wanted("time", 8)])
    assert isinstance(fewer, Reduction)
    assert fewer.takes_effect == "now"
    same = reduction_of(replace(situation, pools=pools | {"time": Pool(9, 9)}), modules, [Wanted("time", 9)])
    assert isinstance(same, Refusal)
    assert same.type == "total-not-below-present", "nothing is to be taken back"


def test_a_module_that_was_to_close_is_kept_only_together_with_those_that_it_requires() -> None:
    harness = march(licences={"time": 9, "docs": 5, "lab": 3}, prices={"time": 1200, "docs": 600, "lab": 100})
    situation = replace(harness.situation, pools={"time": Pool(9, 9), "docs": Pool(5, 0), "lab": Pool(3, 0)})
    modules = {name: SubscribedModule(name == "time", "period_end", ("docs",) if name == "lab" else ()) for name in situation.pools}
    for wanted in ([Wanted("lab", 3)], [Wanted("lab", 3), Wanted("docs", 0)]):
        found = reduction_of(situation, modules, wanted)
        assert isinstance(found, Refusal), wanted
        assert (found.type, found.extra) == ("module-required", {"module": "lab", "requires": ["docs"]})
        assert "do not name it. Or keep docs too" in found.detail, "lab is at 0 already, so nobody can reduce it to 0"
    for wanted in ([Wanted("docs", 5)], [Wanted("lab", 3), Wanted("docs", 5)], [Wanted("time", 8)]):
        assert isinstance(reduction_of(situation, modules, wanted), Reduction), wanted


def test_T21_a_purchase_keeps_a_module_that_was_to_close_only_together_with_those_that_it_requires() -> None:
    harness = march(licences={"time": 9, "docs": 5, "lab": 3}, prices={"time": 1200, "docs": 600, "lab": 100})
    pools = {"time": Pool(9, 9), "docs": Pool(5, 0), "lab": Pool(3, 0)}
    situation = replace(harness.situation, pools=pools, requires={"lab": ("docs",)})
    options: dict[str, Any] = {"quote": "q", "actor": ANN, "valid": timedelta(days=1)}
    found = price(situation, [Item("lab", add=1)], **options)
    assert isinstance(found, Refusal)
    assert (found.type, found.extra) == ("module-required", {"module": "lab", "requires": ["docs"]})
    for items in ([Item("docs", add=1)], [Item("lab", add=1), Item("docs", add=1)], [Item("time", add=1)]):
        assert isinstance(price(situation, items, **options), QuoteIssued), items
    ending = replace(situation, pools={"time": Pool(9, 0, 9), "docs": Pool(5, 0, 5), "lab": Pool(3, 0, 3)}, ends_on=END)
    assert isinstance(price(ending, [Item("lab", add=1)], **options), QuoteIssued), "nothing is kept, as the subscription goes on ending"


def test_T14_the_refusal_of_the_last_base_module_says_how_to_end_the_subscription() -> None:
    found = reduction_of(march().situation, {"time": SubscribedModule(True, "period_end")}, [Wanted("time", 0)])
    assert isinstance(found, Refusal)
    assert (found.type, found.extra["instead"]) == ("last-base-module", "POST …/subscription/ending")


@pytest.mark.parametrize(
    ("ordered_on", "next_one"),
    [(date(2026, 3, 1), 30), (date(2026, 3, 2), 7), (date(2026, 3, 24), 7), (date(2026, 3, 25), 1), (date(2026, 3, 31), None)],
)
def test_the_reminders_30_7_and_1_days_before_are_those_that_lie_after_the_order(ordered_on: date, next_one: int | None) -> None:
    """The end is on 1 April. The e-mail about the ending itself takes the place of the reminder of its own day."""
    day = next_reminder(END, ordered_on)
    assert ((END - day).days if day is not None else None) == next_one


def test_of_reminders_that_are_late_only_the_last_is_sent() -> None:
    assert [reminder_of(END, date(2026, 3, day)) for day in (2, 24, 25, 26, 31)] == [30, 30, 7, 7, 1]


def test_an_ending_that_is_taken_back_restores_at_most_the_licences_that_are_left() -> None:
    pools = {"time": Pool(3, 0, 5), "docs": Pool(4, 0, 2), "cases": Pool(1, 0, 0)}
    assert restored(pools) == ({"time": 3, "docs": 2}, ["cases"])
