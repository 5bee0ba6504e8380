"""Charges and invoices as a function of the events."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest

from services.invoicing.domain.account import CREDIT_NOTE, NO_NUMBER, account, missing, rebuild
from services.invoicing.domain.history import decision_key
from services.invoicing.domain.quote import Item
from shared.schemas.invoicing_v1 import InvoiceIssued
from tests.support.invoicing_harness import ANN, InvoicingHarness


def test_T10_an_order_charged_now_is_an_invoice_at_its_decision() -> None:
    harness = InvoicingHarness()
    harness.go(to=datetime(2013, 11, 18, 9, tzinfo=UTC))
    harness.buy(time=6)
    (invoice,) = harness.invoices
    (charge,) = harness.found.charges
    assert (invoice.net_minor, invoice.tax_minor, invoice.gross_minor) == (3120, 780, 3900)
    assert (invoice.issued_on, invoice.due_on, invoice.actor) == (date(2013, 11, 18), date(2013, 12, 2), ANN)
    assert (charge.order, charge.day, charge.decision) == ("oq1", date(2013, 11, 18), invoice.decision)
    assert invoice.lines[0].charges == (charge.charge,) == ("chg-2-3-0-time",)
    assert (invoice.lines[0].from_day, invoice.lines[0].to_day) == (date(2013, 11, 18), date(2013, 12, 1))


def test_the_first_period_is_invoiced_when_the_last_pool_is_open() -> None:
    harness = InvoicingHarness(licences={"time": 2, "documents": 1}, billed=False)
    (invoice,) = harness.invoices
    assert [(line.module, line.net_minor, line.days) for line in invoice.lines] == [("documents", 2000, 30), ("time", 2400, 30)]
    assert account(harness.facts[:-1]).invoices == []


def test_T8_once_approved_the_amount_stands_whatever_midnight_comes_before_the_decision() -> None:
    harness = InvoicingHarness()
    quote, expects = harness.quote(Item("time", add=6))
    decide = harness.add
    harness.add = lambda order, bought: None  # type: ignore[method-assign]  # seats is slow
    assert harness.approve(quote, expects) is None
    harness.define_plan(time=9999)
    harness.go(days=3)
    decide("oq1", {"time": 6})
    (invoice,) = harness.invoices
    assert invoice.net_minor == quote.net_minor == 6 * 1200
    assert (invoice.lines[0].from_day, invoice.issued_on) == (date(2013, 11, 1), date(2013, 11, 4))


def test_T11_T16_M14_the_renewal_sums_waiting_charges_by_module() -> None:
    harness = InvoicingHarness(licences={"time": 10, "documents": 2}, charge_when="next_invoice")
    harness.go(days=14)  # the 15th: 16 days are left
    harness.buy(time=2)
    harness.go(days=5)
    harness.buy(time=3, documents=1)
    assert harness.invoices == []
    harness.go(to=datetime(2013, 12, 1, tzinfo=UTC))
    (invoice,) = harness.invoices
    assert [(line.text_key, line.module, line.quantity, line.net_minor, line.days) for line in invoice.lines] == [
        ("recurring", "documents", 3, 6000, 31),
        ("recurring", "time", 15, 18000, 31),
        ("adjustment", "documents", 1, 733, 11),
        ("adjustment", "time", 5, 2 * 640 + 3 * 440, 0),
    ]
    assert [len(line.charges) for line in invoice.lines] == [0, 0, 1, 2]
    assert invoice.orders == ("oq1", "oq2") or set(invoice.orders) == {"oq1", "oq2"}
    assert harness.found.waiting == []
    harness.go(to=datetime(2014, 1, 15, tzinfo=UTC))
    assert [invoice.issued_on for invoice in harness.invoices] == [date(2013, 12, 1), date(2014, 1, 1)]
    assert all(line.text_key == "recurring" for line in harness.invoices[1].lines)


def test_T11_T16_a_reduction_takes_effect_before_the_renewal_is_invoiced() -> None:
    harness = InvoicingHarness(licences={"time": 10, "documents": 2})
    harness.next_period |= {"time": 7, "documents": 0}  # 0: the pool closes
    harness.go(to=datetime(2013, 12, 1, tzinfo=UTC))
    (invoice,) = harness.invoices
    assert [(line.module, line.quantity) for line in invoice.lines] == [("time", 7)]


def test_M12_an_expansion_takes_the_price_in_force_at_the_decision() -> None:
    harness = InvoicingHarness()
    harness.define_plan(time=1500)
    harness.go(to=datetime(2013, 11, 18, 9, tzinfo=UTC))
    harness.expand("time", 2)
    assert harness.invoices == []  # the day is charged when it has ended
    harness.go(days=1)
    (invoice,) = harness.invoices
    assert (invoice.reason, invoice.net_minor, invoice.orders) == ("day_charged", 2 * 650, ())
    assert invoice.issued_on == date(2013, 11, 18)


def test_M9_a_leaving_that_is_taken_back_costs_what_no_leaving_costs_but_for_the_days_between() -> None:
    def billed(days: int | None, reduce_at: str = "now") -> int:
        """Return the amount of the rest of the period and the renewal, with a leaving that is taken back after so many days."""
        harness = InvoicingHarness(licences={"time": 10})
        harness.go(days=1)
        if days is not None:
            if reduce_at == "now":
                harness.reduce("time", 1)
            else:
                harness.next_period["time"] = 9
            harness.go(days=days)
            harness.restore("time", reduce_at)
        harness.go(days=40)
        return sum(map(signed_minor, harness.invoices))

    assert billed(0) == billed(None) == billed(5, "period_end")
    assert billed(None) - billed(5) == 5 * 40, "a licence costs 12.00 in a month of 30 days"


def test_a_renewal_is_invoiced_by_its_own_licences_not_by_later_changes_in_the_same_decision() -> None:
    """The pools of an event show the end of the decision; an expansion in it has its own charge."""
    harness = InvoicingHarness(licences={"time": 10})
    harness.go(to=datetime(2013, 11, 30, 22, tzinfo=UTC))
    began = harness.facts.copy()
    harness.go(to=datetime(2013, 11, 30, 23, tzinfo=UTC))
    event_id, event = next(fact for fact in harness.facts[len(began) :] if fact[0].startswith("seats"))
    states = tuple(pool.model_copy(update={"licences": 12}) for pool in event.pools)  # type: ignore[attr-defined]
    harness.facts[harness.facts.index((event_id, event))] = (event_id, event.model_copy(update={"pools": states}))
    assert [(line.module, line.quantity) for line in harness.invoices[0].lines] == [("time", 10)]


def story(seed: int) -> InvoicingHarness:
    random = Random(seed)
    harness = InvoicingHarness(
        licences={"time": 10, "documents": 3},
        charge_when=random.choice(["now", "next_invoice", "threshold"]),
        credit_when=random.choice(["now", "next_invoice", "threshold"]),
        billed=random.random() < 0.5,
        start=date(2013, 1, random.randint(1, 31)),
        at=datetime(2013, 1, 31, 8, tzinfo=UTC),
        zone=random.choice(["Europe/Copenhagen", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu"]),
    )
    harness.go(to=harness.at + timedelta(hours=12))
    for _ in range(random.randint(3, 25)):
        match random.randint(0, 5):
            case 0:
                harness.go(days=random.randint(1, 40) / 2)
            case 1:
                harness.buy(**{module: random.randint(1, 5) for module in random.sample(["time", "documents"], random.randint(1, 2))})
            case 2:
                harness.expand(random.choice(["time", "documents"]), random.randint(1, 3))
            case 3:
                harness.define_plan(time=random.randint(0, 5000))
            case 4:
                harness.change_details(rate=random.choice(["25", "19", "8.1"]))
            case 5:
                module = random.choice(sorted(harness.licences))
                harness.reduce(module, random.randint(0, harness.licences[module] - 1))
    return harness


def signed_minor(invoice: InvoiceIssued) -> int:
    return -invoice.net_minor if invoice.kind == CREDIT_NOTE else invoice.net_minor


def issued(harness: InvoicingHarness) -> InvoicingHarness:
    """With what was issued among the events, numbered."""
    for number, invoice in enumerate(harness.invoices, 1):
        harness.say(invoice.model_copy(update={"number": f"INV-{number:06}"}))
    return harness


@pytest.mark.parametrize("seed", range(40))
def test_rebuilding_from_the_events_gives_the_same_invoices_byte_for_byte(seed: int) -> None:
    """Whatever order two topics are read in: each keeps its own, and where they interleave is open."""
    print(f"seed {seed}: pytest -k 'byte_for_byte and {seed}'")
    harness = issued(story(seed))
    expected = [event.model_dump_json() for _, event in harness.facts if event.__class__.__name__ == "InvoiceIssued"]
    assert expected or not harness.invoices
    said = [fact for fact in harness.facts if not fact[0].startswith("seats")]
    decided = [fact for fact in harness.facts if fact[0].startswith("seats")]
    for facts in (harness.facts, said + decided, decided + said, said + decided[::-1]):
        assert [invoice.model_dump_json() for invoice in rebuild(facts)] == expected


@pytest.mark.parametrize("seed", range(20))
def test_running_the_invoicing_again_issues_nothing_and_what_was_issued_never_changes(seed: int) -> None:
    """Event by event as a service would, and each time all over again."""
    print(f"seed {seed}: pytest -k 'issues_nothing and {seed}'")
    facts = story(seed).facts
    charges: dict[str, str] = {}
    invoices: dict[str, str] = {}
    for count in range(len(facts) + 1):
        if (
            count
            and facts[count - 1][0].startswith("seats")
            and facts[count - 1][1].__class__.__name__ in ("PoolExpanded", "PeriodStarted")
        ):
            continue  # stored together with the terms that come next
        found = account(facts[:count])
        new_charges, new_invoices = missing(found, charges, invoices)
        charges |= {charge.charge: charge.model_dump_json() for charge in new_charges}
        invoices |= {invoice.invoice: invoice.model_dump_json() for invoice in new_invoices}
        assert missing(found, charges, invoices) == ([], [])
        assert [charges[charge.charge] for charge in found.charges] == [charge.model_dump_json() for charge in found.charges]
        assert [invoices[invoice.invoice] for invoice in found.invoices] == [invoice.model_dump_json() for invoice in found.invoices]
    final = account(facts)
    assert list(invoices) == [invoice.invoice for invoice in final.invoices]
    assert all(invoice.number == NO_NUMBER for invoice in final.invoices)


@pytest.mark.parametrize("seed", range(40))
def test_every_charge_is_invoiced_once_or_waits_and_every_sum_holds(seed: int) -> None:
    print(f"seed {seed}: pytest -k 'every_sum_holds and {seed}'")
    found = account(story(seed).facts)
    recurring = sum(
        -line.net_minor if invoice.kind == CREDIT_NOTE else line.net_minor
        for invoice in found.invoices
        for line in invoice.lines
        if not line.charges
    )
    documents = sum(signed_minor(invoice) for invoice in found.invoices)
    left = sum(each.left_minor for each in (*found.waiting, *found.of_day))
    assert documents + left == recurring + sum(charge.net_minor for charge in found.charges)
    amounts = {charge.charge: charge.net_minor for charge in found.charges}
    for invoice in found.invoices:
        assert invoice.net_minor == sum(line.net_minor for line in invoice.lines) == sum(tax.basis_minor for tax in invoice.taxes)
        assert invoice.gross_minor == invoice.net_minor + sum(tax.tax_minor for tax in invoice.taxes)
        assert invoice.net_minor >= 0
        for line in invoice.lines:
            assert 0 not in {amounts[charge] for charge in line.charges} or line.net_minor == 0 or len(line.charges) > 1
    assert len({invoice.invoice for invoice in found.invoices}) == len(found.invoices)


def test_charges_and_invoices_are_named_after_the_decision_that_calls_for_them() -> None:
    assert decision_key("seats.commands.v1/3/1041/2") == "3-1041-2"
