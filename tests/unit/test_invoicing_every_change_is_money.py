"""Every change of a pool is money: what is charged, credited and issued (DKK 12.00 a month, 25 % tax, March with 31 days)."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.invoicing.api.quote_notes import notes_of
from services.invoicing.domain.money import round_half_up, share
from services.invoicing.domain.quote import Item
from services.invoicing.domain.reduction import Reduction, SubscribedModule, Wanted, reduction_of
from shared.schemas.invoicing_v1 import Amounts, InvoiceIssued, NextPeriod, QuoteIssued
from tests.support.invoicing_harness import InvoicingHarness


def march(**more: Any) -> InvoicingHarness:
    """A subscription with a licence of time, on the second day of its period."""
    at = datetime(2026, 3, 2, 8, tzinfo=UTC)
    given: dict[str, Any] = {"licences": {"time": 1}, "currency": "DKK", "start": date(2026, 3, 1), "at": at}
    return InvoicingHarness(**given | more)


def amounts(documents: list[InvoiceIssued]) -> list[tuple[str, int, int, int]]:
    return [(each.kind, each.net_minor, each.tax_minor, each.gross_minor) for each in documents]


def lines(document: InvoiceIssued) -> list[tuple[str, str, int, int]]:
    return [(line.text_key, line.module, line.quantity, line.net_minor) for line in document.lines]


def said(quote: QuoteIssued) -> list[str]:
    return [note.replace("\N{NO-BREAK SPACE}", " ") for note in notes_of(quote, "en")]


def offer(harness: InvoicingHarness, *items: Item) -> QuoteIssued:
    found = harness.offer(*items)
    assert isinstance(found, QuoteIssued), found
    return found


def test_a_licence_that_is_bought_given_up_and_bought_again_on_one_day_costs_once() -> None:
    harness = march()
    harness.buy(time=1)
    harness.reduce("time", 1)  # a person leaves, with immediate effect
    quote = offer(harness, Item("time", add=1))
    assert (quote.lines[0].net_minor, quote.credit_net_minor, quote.net_minor, quote.gross_minor) == (1161, 1161, 0, 0)
    assert said(quote) == ["DKK 0.00 now: DKK 11.61 less a credit of DKK 11.61."]
    harness.buy(time=1)
    harness.go(days=3)
    assert amounts(harness.invoices) == [("invoice", 1161, 290, 1451)]
    assert harness.found.waiting == []


def test_a_licence_given_up_from_the_next_day_on_counts_for_its_last_day() -> None:
    harness = march(credit_when="now")
    harness.buy(time=1)
    harness.buy(time=1)
    harness.go(to=datetime(2026, 3, 2, 23, tzinfo=UTC))  # midnight in Copenhagen: the person's last working day has ended
    harness.reduce("time", 1)
    harness.go(days=1)
    assert [charge.net_minor for charge in harness.found.charges] == [1161, 1162, -1123]
    assert sum(charge.net_minor for charge in harness.found.charges) == 1200
    assert amounts(harness.invoices)[-1] == ("credit_note", 1123, 281, 1404)


def test_M14_an_expansion_less_a_leaver_of_the_same_day_is_one_adjustment() -> None:
    harness = march(licences={"time": 2}, charge_when="next_invoice")
    harness.expand("time", 2)
    harness.reduce("time", 1)
    harness.go(to=datetime(2026, 4, 1, tzinfo=UTC))
    (renewal,) = harness.invoices
    assert lines(renewal) == [("recurring", "time", 3, 3600), ("adjustment", "time", 1, 1161)]
    assert renewal.net_minor == 4761


def test_an_expansion_that_is_given_back_on_its_day_costs_nothing() -> None:
    harness = march()
    harness.expand("time", 3)
    harness.reduce("time", 3)
    harness.go(days=1)
    assert (harness.found.charges, harness.invoices) == ([], [])


def test_M12_the_changes_of_a_day_are_one_document_with_a_line_for_each_module() -> None:
    harness = march(licences={"time": 1, "documents": 1})
    for _ in range(300):
        harness.expand("time", 1)
        harness.expand("documents", 1)
    harness.go(days=1)
    (invoice,) = harness.invoices
    assert lines(invoice) == [("proration", "documents", 300, 580_645), ("proration", "time", 300, 348_387)]
    assert (invoice.reason, invoice.issued_on) == ("day_charged", date(2026, 3, 2))
    charges = {charge.module: charge for charge in harness.found.charges}
    assert len(charges["time"].decisions) == 300


def test_M12_expansions_at_two_prices_of_one_day_are_two_lines() -> None:
    harness = march()
    harness.expand("time", 1)
    harness.define_plan(time=2400)
    harness.expand("time", 1)
    harness.go(days=1)
    (invoice,) = harness.invoices
    assert [(line.unit_price_minor, line.quantity) for line in invoice.lines] == [(1200, 1), (2400, 1)]
    assert invoice.net_minor == (3600 * 30 * 2 + 31) // 62  # rounded once


@pytest.mark.parametrize(("credit_when", "kinds"), [("now", ["invoice", "credit_note"]), ("next_invoice", ["invoice", "invoice"])])
def test_B8_a_credit_is_a_credit_note_at_once_or_less_on_the_next_invoice(credit_when: str, kinds: list[str]) -> None:
    harness = march(credit_when=credit_when)
    harness.buy(time=4)
    harness.go(days=7)
    harness.reduce("time", 2)
    harness.go(to=datetime(2026, 4, 1, 12, tzinfo=UTC))
    found = harness.invoices
    assert [each.kind for each in found[:2]] == kinds
    bought = found[0]
    if credit_when == "now":
        assert (found[1].net_minor, found[1].corrects, found[1].issued_on) == (1780, (bought.invoice,), date(2026, 3, 9))
        assert lines(found[1]) == [("credit", "time", 2, 1780)]
    else:
        assert lines(found[1]) == [("recurring", "time", 3, 3600), ("adjustment", "time", -2, -1780)]


def test_a_credit_above_the_renewal_makes_a_credit_note_with_positive_amounts() -> None:
    harness = march(licences={"time": 100}, credit_when="next_invoice", billed=False)
    harness.reduce("time", 99)
    harness.go(to=datetime(2026, 4, 1, 12, tzinfo=UTC))
    first, renewal = harness.invoices
    assert (renewal.kind, renewal.corrects) == ("credit_note", (first.invoice,))
    assert lines(renewal) == [("recurring", "time", -1, -1200), ("adjustment", "time", 99, 114_968)]
    assert (renewal.net_minor, renewal.tax_minor) == (113_768, 28_442)


def test_M14_licences_that_no_invoice_has_charged_yet_are_credited_on_the_invoice_that_charges_them() -> None:
    harness = march(term="annual", licences={"time": 5}, prices={"time": 1000}, charge_when="next_invoice", billed=False)
    harness.go(days=10)
    harness.buy(time=4)
    harness.go(days=20)
    pools = {"time": SubscribedModule(base=True, reduce_at="now")}
    four, six = (reduction_of(harness.situation, pools, [Wanted("time", total=total)]) for total in (5, 3))
    assert isinstance(four, Reduction)
    assert isinstance(six, Reduction)
    assert (four.credit, six.credit) == ("next_invoice", "now")
    assert four.unbilled_net_minor == four.credit_net_minor
    harness.reduce("time", 6)
    harness.go(to=datetime(2027, 3, 1, tzinfo=UTC))
    charged, credited = (charge.net_minor for charge in harness.found.charges)
    first, credit, renewal = harness.invoices
    assert -credited == six.credit_net_minor > charged > 0
    assert credit.net_minor == six.credit_net_minor - six.unbilled_net_minor
    assert (credit.kind, credit.net_minor, credit.corrects) == ("credit_note", -credited - charged, (first.invoice,))
    assert [line.net_minor for line in renewal.lines] == [3 * 10_000, 0]


def test_M14_only_charges_of_its_own_module_let_a_credit_wait_for_their_invoice() -> None:
    licences, prices = {"documents": 5, "time": 5}, {"documents": 1000, "time": 1000}
    harness = march(term="annual", licences=licences, prices=prices, charge_when="next_invoice", billed=False)
    harness.go(days=10)
    harness.buy(time=4)
    harness.go(days=20)
    pools = {module: SubscribedModule(base=True, reduce_at="now") for module in licences}
    invoiced, bought = (reduction_of(harness.situation, pools, [Wanted(module, total=3 + n)]) for n, module in enumerate(licences))
    assert isinstance(invoiced, Reduction)
    assert isinstance(bought, Reduction)
    harness.reduce("documents", 2)
    harness.reduce("time", 4)
    harness.go(days=1)
    first, credit = harness.invoices
    assert (invoiced.credit, bought.credit) == ("now", "now")
    assert (credit.kind, {line.module for line in credit.lines}) == ("credit_note", {"documents"})
    assert (credit.net_minor, credit.corrects) == (invoiced.credit_net_minor, (first.invoice,))


def test_B9_a_purchase_that_seats_decides_after_midnight_adds_up_with_the_expansion_and_the_leaver_of_its_day() -> None:
    """On the 2nd: 2 licences more, 1 less, 3 bought. The end of the day charges 1; the purchase is what it adds to them (46.45 in all)."""
    harness = march(licences={"time": 4}, credit_when="now")
    harness.expand("time", 2)
    harness.reduce("time", 1)
    quote, expects = harness.quote(Item("time", add=3))
    decide, harness.add = harness.add, lambda order, bought: None  # type: ignore[method-assign]
    assert harness.approve(quote, expects) is None
    harness.go(days=1)
    assert amounts(harness.invoices) == [("invoice", 1161, 290, 1451)]
    decide(f"o{quote.quote}", {"time": 3})
    harness.go(days=1)
    day, bought = harness.invoices
    assert (day.issued_on, bought.issued_on, bought.lines[0].from_day) == (date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 2))
    assert (quote.net_minor, amounts([bought])) == (3484, [("invoice", 3484, 871, 4355)])
    assert day.net_minor + bought.net_minor == round_half_up(4 * share(1, 1200, 30, 31)) == 4645
    assert (harness.found.waiting, harness.found.open_day) == ([], None)


def test_a_waiting_credit_is_used_up_by_the_next_charge_before_either_becomes_a_document() -> None:
    harness = march(licences={"time": 5, "documents": 1}, credit_when="next_invoice")
    harness.reduce("time", 4)  # 46.45 of credit
    harness.go(days=1)
    assert harness.invoices == []
    quote = offer(harness, Item("documents", add=1))  # 18.71
    assert (quote.credit_net_minor, quote.net_minor) == (1871, 0)
    harness.buy(documents=1)
    (settled,) = harness.invoices
    assert (settled.net_minor, lines(settled)) == (0, [("proration", "documents", 1, 1871), ("credit", "time", 0, -1871)])
    harness.go(to=datetime(2026, 4, 1, tzinfo=UTC))
    assert lines(harness.invoices[-1])[-1] == ("adjustment", "time", 0, -(4645 - 1871))


@pytest.mark.parametrize("credit_when", ["now", "next_invoice"])
@pytest.mark.parametrize("fate", ["completed", "refused", "expanded"])
def test_T8_a_credit_on_which_an_approved_purchase_counts_becomes_no_document_before_seats_decides(credit_when: str, fate: str) -> None:
    """Two of five licences are given back, and a licence of documents is bought before midnight. Seats decides after it."""
    prices = {"time": 1200, "documents": 2000, "archive": 900}
    harness = march(licences={"time": 5, "documents": 1, "archive": 1}, credit_when=credit_when, prices=prices)
    harness.reduce("time", 2)
    quote, expects = harness.quote(Item("documents", add=1))
    assert (quote.net_minor, quote.credit_net_minor) == (0, 1935)  # 30 of 31 days
    decide = harness.add
    harness.add = lambda order, bought: None  # type: ignore[method-assign]  # seats is slow
    assert harness.approve(quote, expects) is None
    if fate == "expanded":
        harness.expand("archive", 1)
    harness.go(days=1)
    charged = [(each.kind, each.net_minor) for each in harness.invoices]
    rest = [("credit_note", 2323 - 1935)] if credit_when == "now" else []
    assert charged == ([("invoice", 871 - (2323 - 1935))] if fate == "expanded" else rest), "the promised part waits"
    if fate == "refused":
        harness.refused.add(f"o{quote.quote}")
        harness.go(days=1)
        credited = sum(each.net_minor for each in harness.invoices)
        assert credited == (2323 if credit_when == "now" else 0), "it is given back at the end of the next day"
        return
    decide(f"o{quote.quote}", {"documents": 1})
    assert [each.net_minor for each in harness.invoices[len(charged) :] if each.net_minor] == [], "as approved"


def test_T8_a_purchase_leaves_the_credit_on_which_one_counts_that_was_approved_before_seats_decided_it() -> None:
    """Documents are bought; somebody leaves; two licences of the archive are bought for less. Seats decides both purchases then."""
    prices = {"time": 1200, "documents": 2000, "archive": 900}
    harness = march(licences={"time": 5, "documents": 1, "archive": 1}, credit_when="next_invoice", prices=prices)
    decide = harness.add
    harness.add = lambda order, bought: None  # type: ignore[method-assign]  # seats is slow
    first, expects = harness.quote(Item("documents", add=1))
    assert harness.approve(first, expects) is None
    harness.reduce("time", 1)
    second, expects = harness.quote(Item("archive", add=2))
    assert harness.approve(second, expects) is None
    assert [(each.net_minor, each.credit_net_minor) for each in (first, second)] == [(1935, 0), (581, 1161)]
    decide(f"o{first.quote}", {"documents": 1})
    decide(f"o{second.quote}", {"archive": 2})
    assert [each.net_minor for each in harness.invoices] == [1935, 581], "as approved"


@pytest.mark.parametrize("credit_when", ["now", "next_invoice"])
def test_B9_an_expansion_of_the_module_of_a_credit_leaves_it_for_the_purchase_that_counts_on_it(credit_when: str) -> None:
    """Two of five licences are given back, and a licence of documents is bought. Before seats decides, the pool expands again."""
    harness = march(licences={"time": 5, "documents": 1}, credit_when=credit_when)
    harness.reduce("time", 2)
    quote, expects = harness.quote(Item("documents", add=1))
    assert (quote.net_minor, quote.credit_net_minor) == (0, 1935)  # 30 of 31 days
    decide = harness.add
    harness.add = lambda order, bought: None  # type: ignore[method-assign]  # seats is slow
    assert harness.approve(quote, expects) is None
    harness.expand("time", 2)
    decide(f"o{quote.quote}", {"documents": 1})
    assert amounts(harness.invoices) == [], "0.00 as approved: a charge that a credit of its day covers in full needs no document"
    harness.go(days=1)
    assert amounts(harness.invoices) == [("invoice", 1935, 484, 2419)], "the expansion, less what is left of the credit"
    assert sorted(line[:3] for line in lines(harness.invoices[0])) == [("credit", "time", 0), ("proration", "time", 2)]


def test_a_credit_of_another_tax_rate_is_not_used_up() -> None:
    harness = march(licences={"time": 5}, credit_when="next_invoice")
    harness.reduce("time", 4)
    harness.go(days=1)
    harness.change_details(rate="19")
    quote = offer(harness, Item("time", add=1))
    assert quote.credit_net_minor == 0
    harness.buy(time=1)
    assert [(line.net_minor, line.tax_rate_percent) for line in harness.invoices[-1].lines] == [(1122, "19")]
    harness.go(to=datetime(2026, 4, 1, tzinfo=UTC))
    assert [(tax.rate_percent, tax.basis_minor) for tax in harness.invoices[-1].taxes] == [("19", -2400), ("25", 4645)]
    assert harness.invoices[-1].kind == "credit_note"


def test_a_document_with_two_taxes_is_a_credit_note_if_its_total_with_tax_is_negative() -> None:
    harness = march(licences={"time": 10}, charge_when="next_invoice", credit_when="next_invoice", billed=False)
    harness.reduce("time", 9)
    harness.go(days=1)
    harness.change_details(category="E", rate="0")
    harness.buy(time=10)
    harness.end()
    assert amounts(harness.invoices)[1:] == [("credit_note", -774, 2613, 1839)]
    assert sorted((tax.category, tax.basis_minor) for tax in harness.invoices[-1].taxes) == [("E", -11226), ("S", 10452)]


def test_licences_given_up_and_bought_again_on_a_day_on_which_the_tax_changes_are_credited_with_the_tax_of_each() -> None:
    harness = march(licences={"time": 3}, billed=False, credit_when="now")
    harness.reduce("time", 1)
    harness.change_details(category="AE", rate="0")
    harness.buy(time=1)
    harness.go(days=5)
    harness.reduce("time", 1)
    harness.go(days=1)
    taxed = [(each.kind, tax.category, tax.basis_minor) for each in harness.invoices for tax in each.taxes]
    at_start = ("invoice", "S", 3600)
    assert taxed == [at_start, ("invoice", "AE", 1161), ("credit_note", "S", 1161), ("credit_note", "AE", 968)]


def test_a_module_at_price_0_makes_no_document() -> None:
    harness = march(prices={"time": 0, "documents": 0}, billed=False)
    harness.buy(time=1)
    harness.go(to=datetime(2026, 5, 1, 12, tzinfo=UTC))
    assert harness.invoices == []
    assert [charge.net_minor for charge in harness.found.charges] == [0]


def test_zero_invoices_are_issued_if_the_subscription_wants_them() -> None:
    harness = march(prices={"time": 0, "documents": 0}, billed=False, zero_invoices=True)
    harness.buy(time=1)
    harness.go(to=datetime(2026, 4, 1, 12, tzinfo=UTC))
    assert amounts(harness.invoices) == [("invoice", 0, 0, 0)] * 3


def test_B5_T21_a_quote_shows_the_whole_next_period_and_what_it_cancels() -> None:
    harness = march(licences={"time": 3, "documents": 1}, prices={"time": 1200, "documents": 1200})
    assert offer(harness, Item("time", add=1)).next_period == NextPeriod(
        before=Amounts(net_minor=4800, tax_minor=1200, gross_minor=6000),
        after=Amounts(net_minor=6000, tax_minor=1500, gross_minor=7500),
        added_net_minor=1200,
        cancelled_reduction_net_minor=0,
    )
    harness.next_period["time"] = 2
    quote = offer(harness, Item("time", add=1))
    found = quote.next_period
    assert found is not None
    assert (found.before.net_minor, found.after.net_minor) == (3600, 6000)
    assert (found.added_net_minor, found.cancelled_reduction_net_minor) == (1200, 1200)
    more = "DKK 24.00 more for the next period: DKK 12.00 for the licence, DKK 12.00 because the purchase cancels"
    assert said(quote) == [f"{more} your reduction."]
    harness.next_period["time"] = 0
    assert said(offer(harness, Item("time", add=1)))[0].endswith("DKK 36.00 because the purchase cancels the closing.")
    german = [note.replace("\N{NO-BREAK SPACE}", " ") for note in notes_of(quote, "de-AT")]
    assert german == [
        "DKK 24,00 mehr für die nächste Periode: DKK 12,00 für die Lizenz, DKK 12,00, weil der Kauf Ihre Verringerung aufhebt."
    ]
    assert said(quote) == [note.replace("\N{NO-BREAK SPACE}", " ") for note in notes_of(quote, "ja")], "other languages get English"
    ending = quote.model_copy(update={"next_period": None, "ends_on": date(2026, 4, 1), "cancels_closing": ("docs",)})
    assert notes_of(ending, "fr") == [
        "docs devait fermer à la fin de la période. L’achat le conserve.",
        "L’abonnement se termine toujours le 1 avril 2026. Les licences restent utilisables jusque-là.",
    ]


def test_a_change_at_the_first_instant_of_a_period_is_part_of_its_opening() -> None:
    """A last working day on 31 March: the licence is given up at midnight, before the period begins."""
    harness = march(licences={"time": 4}, billed=False)
    harness.go(to=datetime(2026, 3, 31, 21, 59, tzinfo=UTC))
    harness.at = datetime(2026, 3, 31, 22, tzinfo=UTC)
    harness.reduce("time", 1)
    harness.go(to=datetime(2026, 4, 1, 12, tzinfo=UTC))
    assert lines(harness.invoices[-1]) == [("recurring", "time", 3, 3600)]
    assert sum(charge.net_minor for charge in harness.found.charges) == 0


def test_changes_before_a_period_that_begins_late_are_charged_from_their_day() -> None:
    """seats learns of the period three days after its start."""
    harness = march(licences={"time": 2})
    harness.at = datetime(2026, 4, 3, 8, tzinfo=UTC)
    harness.expand("time", 1)
    harness.go(to=datetime(2026, 4, 4, 8, tzinfo=UTC))  # the period of April begins at its own instant, in the log after the expansion
    assert [lines(each) for each in harness.invoices] == [[("recurring", "time", 2, 2400)], [("proration", "time", 1, 1120)]]


def test_a_decision_that_arrives_after_its_day_was_charged_is_charged_with_the_next_end() -> None:
    harness = march()
    harness.expand("time", 1)
    harness.go(days=1)
    harness.at = datetime(2026, 3, 2, 20, tzinfo=UTC)  # seats decided it on the day before; invoicing reads it now
    harness.expand("time", 1)
    harness.go(to=datetime(2026, 3, 3, 20, tzinfo=UTC))
    assert [invoice.net_minor for invoice in harness.invoices] == [1161, 1162]
    assert [charge.day for charge in harness.found.charges] == [date(2026, 3, 2)] * 2
