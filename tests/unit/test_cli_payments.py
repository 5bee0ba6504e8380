"""`seatpool payments` and `seatpool invoices` against a made-up deployment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import Deployment, made_up, seatpool

INVOICE = {"invoice": "inv-1", "number": "INV-000001", "kind": "invoice", "issued_on": "2026-03-01", "due_on": "2026-03-15"}
INVOICE |= {"gross_minor": 1451, "open_minor": 451, "currency": "DKK", "state": "part_paid", "overdue": True}  # type: ignore[dict-item]
OF_ACME = "/v1/tenants/acme"


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Deployment]:
    with made_up(monkeypatch, tmp_path) as deployment:
        yield deployment


def record(*amount: str, invoice: str = "inv-1") -> Any:
    return seatpool("payments", "record", *amount, "--tenant", "acme", "--invoice", invoice, "--on", "2026-03-31", "--reference", "b 17")


def test_a_payment_is_recorded_in_the_minor_units_of_the_document(deployment: Deployment) -> None:
    deployment.answers["GET", f"{OF_ACME}/invoices/inv-1"] = lambda _: (200, INVOICE)
    deployment.answers["POST", f"{OF_ACME}/payments"] = lambda _: (201, {"payment": "p1", "amount_minor": 1451, "currency": "DKK"})
    recorded = record("14.51")
    assert recorded.exit_code == 0, recorded.output
    assert "p1 of DKK\N{NO-BREAK SPACE}14.51 is recorded" in recorded.output
    body = {"invoice": "inv-1", "amount_minor": 1451, "currency": "DKK", "paid_on": "2026-03-31", "reference": "b 17"}
    assert deployment.asked[-1][2] == body
    deployment.answers["GET", f"{OF_ACME}/invoices"] = lambda _: (200, {"items": [INVOICE], "next": None})
    assert record("14.51", invoice="INV-000001").exit_code == 0
    assert deployment.asked[-1][2] == body, "a number names the document as well"
    assert "there is no document INV-000002" in str(record("14.51", invoice="INV-000002").output)


@pytest.mark.parametrize("amount", ["0", "1.234", "abc", "NaN", "1e400", "14,51"])
def test_an_amount_that_cannot_be_is_not_sent(deployment: Deployment, amount: str) -> None:
    deployment.answers["GET", f"{OF_ACME}/invoices/inv-1"] = lambda _: (200, INVOICE)
    refused = record(amount)
    assert refused.exit_code == 1
    assert "at most 2 decimals" in refused.output
    assert [method for method, *_ in deployment.asked] == ["GET"]


def test_invoices_balance_and_overdue_invoices_are_shown(deployment: Deployment) -> None:
    deployment.answers["GET", f"{OF_ACME}/invoices"] = lambda _: (200, {"items": [INVOICE], "next": None})
    listed = seatpool("invoices", "list", "--tenant", "acme", "--state", "overdue").output
    assert all(shown in listed for shown in ("inv-1", "INV-000001", "14.51", "4.51", "overdue"))
    blocked = {"overdue_action": "no_purchases", "purchases_blocked": True}
    balance = {"currency": "DKK", "on": "2026-03-20", "open_minor": 451, "overdue_minor": 451, "credit_minor": 0, "balance_minor": 451}
    deployment.answers["GET", f"{OF_ACME}/balance"] = lambda _: (200, balance | {"open_invoices": 1, "overdue_invoices": 1} | blocked)
    shown = seatpool("invoices", "balance", "--tenant", "acme").output
    assert "4.51" in shown
    assert "purchases are refused" in shown
    deployment.answers["PUT", f"{OF_ACME}/overdue-action"] = lambda _: (200, blocked)
    assert "Purchases are refused now" in seatpool("invoices", "overdue-action", "no_purchases", "--tenant", "acme").output
    row = {"tenant": "acme", "invoice": "inv-1", "number": "INV-000001", "due_on": "2026-03-15", "days_overdue": 5, "open_minor": 451}
    row |= {"reminders": 1, "currency": "DKK"}
    deployment.answers["GET", "/v1/overdue-invoices"] = lambda _: (200, {"items": [row], "next": None})
    overdue = seatpool("invoices", "overdue").output
    assert "INV-000001" in overdue
    assert "inv-1" in overdue, "seatpool payments record takes the id"


def test_payments_are_listed_and_taken_back_and_a_credit_is_kept(deployment: Deployment) -> None:
    row = {"payment": "p1", "invoice": "inv-1", "paid_on": "2026-03-31", "direction": "received", "amount_minor": 451, "currency": "DKK"}
    row |= {"reference": "b 17", "taken_back_because": None}
    deployment.answers["GET", f"{OF_ACME}/payments"] = lambda _: (200, {"items": [row], "next": None})
    assert "b 17" in seatpool("payments", "list", "--tenant", "acme").output
    deployment.answers["POST", f"{OF_ACME}/payments/p1/take-back"] = lambda _: (200, row)
    assert "no longer counts" in seatpool("payments", "take-back", "p1", "--tenant", "acme", "--reason", "wrong").output
    deployment.answers["POST", f"{OF_ACME}/invoices/inv-2/keep"] = lambda _: (200, INVOICE | {"number": "CN-000001"})
    assert "of CN-000001 are kept" in seatpool("invoices", "keep", "inv-2", "--tenant", "acme").output


def test_an_export_is_written_to_the_file_and_a_refused_one_leaves_none(deployment: Deployment, tmp_path: Path) -> None:
    file, days = tmp_path / "march.csv", ("--from", "2026-03-01", "--to", "2026-03-31", "--format", "csv")
    deployment.answers["GET", "/v1/exports/csv"] = lambda _: (200, {"rows": 3})
    written = seatpool("invoices", "export", str(file), *days)
    assert (written.exit_code, file.read_text()) == (0, '{"rows": 3}')
    refused = seatpool("invoices", "export", str(tmp_path / "other.csv"), *days, "--tenant", "acme")
    assert refused.exit_code == 1
    assert "404" in refused.output
    assert not (tmp_path / "other.csv").exists()


def test_verify_ends_with_1_if_a_document_differs(deployment: Deployment) -> None:
    deployment.answers["GET", "/v1/tenants"] = lambda _: (200, {"items": [{"tenant": "acme"}], "next": None})
    path = f"{OF_ACME}/verification"
    deployment.answers["GET", path] = lambda _: (200, {"documents": 3, "pdfs": 3, "different": 0, "differences": []})
    same = seatpool("invoices", "verify")
    assert (same.exit_code, "3 documents and 3 PDFs of 1 tenant were compared; 0 differ" in same.output) == (0, True)
    wrong = {"invoice": "inv-1", "number": "INV-000001", "what": "no event calls for it"}
    deployment.answers["GET", path] = lambda _: (200, {"documents": 3, "pdfs": 3, "different": 1, "differences": [wrong]})
    differs = seatpool("invoices", "verify", "--tenant", "acme")
    assert (differs.exit_code, "no event calls for it" in differs.output) == (1, True)
