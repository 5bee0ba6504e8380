"""The open amount of each document, as payments and set-offs leave it."""

from datetime import date
from typing import Any

import pytest

from services.invoicing.domain.balance import Balance, SetOff, State, balance_of, next_reminder, set_offs
from shared.schemas.base import Payload
from shared.schemas.invoicing_v1 import CreditKept, CreditSetOff, InvoiceIssued, PaymentRecorded, PaymentTakenBack
from tests.support.invoicing_harness import ROOT, InvoicingHarness
from tests.support.samples import NOON


def document(
    name: str, gross_minor: int, kind: str = "invoice", *, corrects: tuple[str, ...] = (), due_on: date = date(2026, 3, 15)
) -> Any:
    amounts: dict[str, Any] = {"net_minor": gross_minor, "tax_minor": 0, "gross_minor": gross_minor, "lines": (), "taxes": ()}
    fields: dict[str, Any] = {"invoice": name, "number": name.upper(), "kind": kind, "corrects": corrects, "subscription": "sub"}
    days: dict[str, Any] = {"issued_on": date(2026, 3, 1), "due_on": due_on}
    return InvoiceIssued(at=NOON, actor=ROOT, orders=(), currency="DKK", billing_details="d1", **amounts, **fields, **days)


def paid(invoice: str, amount_minor: int, payment: str = "p", direction: str = "received") -> PaymentRecorded:
    fields: dict[str, Any] = {"payment": payment, "invoice": invoice, "amount_minor": amount_minor, "direction": direction}
    return PaymentRecorded(at=NOON, actor=ROOT, currency="DKK", paid_on=date(2026, 3, 2), **fields)


def issue(*events: Payload) -> Balance:
    """Return the balance of these events, with a credit note set off when it is issued, as the service does."""
    balance = Balance()
    for event in events:
        balance.apply(event)
        new = event.invoice if isinstance(event, InvoiceIssued) else None
        for each in set_offs(balance, new):
            balance.apply(set_off(each))
    return balance


def set_off(each: SetOff) -> CreditSetOff:
    fields: dict[str, Any] = {"credit_note": each.credit_note, "invoice": each.invoice, "amount_minor": each.amount_minor}
    return CreditSetOff(at=NOON, actor=ROOT, currency=each.currency, **fields)


def opened(balance: Balance) -> dict[str, tuple[int, str]]:
    return {name: (each.open_minor, each.state) for name, each in balance.documents.items()}


def test_a_part_payment_and_the_rest_settle_an_invoice() -> None:
    events: list[Payload] = [document("a", 1451), paid("a", 1000)]
    assert opened(balance_of(events)) == {"a": (451, State.PART_PAID)}
    balance = balance_of([*events, paid("a", 451, "q")])
    assert (opened(balance), balance.balance_minor) == ({"a": (0, State.PAID)}, 0)


def test_a_payment_that_is_taken_back_is_open_again() -> None:
    back = PaymentTakenBack(at=NOON, actor=ROOT, payment="p", invoice="a", direction="received", amount_minor=1000, currency="DKK")
    assert opened(balance_of([document("a", 1451), paid("a", 1000), back])) == {"a": (1451, State.OPEN)}


def test_more_than_is_open_cannot_be_counted() -> None:
    with pytest.raises(AssertionError, match="open"):
        balance_of([document("a", 1451), paid("a", 1452)])


def test_a_credit_note_pays_the_invoice_that_it_corrects_and_then_the_oldest_open_one() -> None:
    old, corrected, new = document("old", 500), document("corrected", 300), document("new", 900)
    balance = issue(old, corrected, new, document("credit", 1000, "credit_note", corrects=("corrected",)))
    assert opened(balance) == {"old": (0, "paid"), "corrected": (0, "paid"), "new": (700, "part_paid"), "credit": (0, "paid")}


def test_the_rest_of_a_credit_note_waits_for_the_vendor_and_a_kept_one_pays_later_invoices() -> None:
    start = (document("a", 400), paid("a", 400), document("credit", 1000, "credit_note", corrects=("a",)))
    waits = issue(*start, document("b", 300))
    assert opened(waits)["b"] == (300, "open"), "the vendor may have promised to pay it out"
    assert (waits.open_minor, waits.credit_minor, waits.balance_minor) == (300, 1000, -700)
    kept = CreditKept(at=NOON, actor=ROOT, credit_note="credit", amount_minor=1000, currency="DKK")
    later = issue(*start, document("b", 300), kept, document("c", 900), document("d", 100))
    assert opened(later) == {
        "a": (0, "paid"),
        "credit": (0, "paid"),
        "b": (0, "paid"),
        "c": (200, "part_paid"),
        "d": (100, "open"),
    }
    paid_out = balance_of([*start, paid("credit", 1000, "out", "paid_out")])
    assert (paid_out.documents["credit"].state, paid_out.balance_minor) == ("paid", 0)


def test_an_invoice_that_credits_cover_is_settled_from_the_start() -> None:
    assert opened(balance_of([document("a", 0)])) == {"a": (0, State.PAID)}


def test_an_invoice_is_overdue_on_the_day_after_its_due_date() -> None:
    found = balance_of([document("a", 100, due_on=date(2026, 3, 15)), document("n", 50, "credit_note", due_on=date(2026, 3, 15))])
    assert [found.documents["a"].is_overdue(date(2026, 3, day)) for day in (15, 16)] == [False, True]
    assert not found.documents["n"].is_overdue(date(2026, 4, 1))


def test_the_documents_of_an_account_make_a_balance() -> None:
    harness = InvoicingHarness(credit_when="now", billed=False)
    harness.reduce("time", 80)
    harness.go(days=2)
    balance = issue(*harness.invoices)
    assert [each.kind for each in balance.documents.values()] == ["invoice", "credit_note"]
    invoice, credit = balance.documents.values()
    assert (credit.open_minor, invoice.open_minor) == (0, invoice.gross_minor - credit.gross_minor)


def test_reminders_follow_the_setting_and_never_each_other_faster_after_a_break() -> None:
    due, days = date(2026, 3, 15), (3, 14, 28)
    assert next_reminder(due, 0, None, days) == date(2026, 3, 18)
    assert next_reminder(due, 1, date(2026, 3, 18), days) == date(2026, 3, 29)
    assert next_reminder(due, 1, date(2026, 4, 20), days) == date(2026, 5, 1)
    assert next_reminder(due, 2, date(2026, 5, 1), days) == date(2026, 5, 15)
    assert next_reminder(due, 3, date(2026, 5, 15), days) is None
