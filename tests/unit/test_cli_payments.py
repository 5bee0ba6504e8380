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
    row = {"tenant": "acme", "number": "INV-000001", "due_on": "2026-03-15", "days_overdue": 5, "open_minor": 451, "currency": "DKK"}
    deployment.answers["GET", "/v1/overdue-invoices"] = lambda _: (200, {"items": [row | {"reminders": 1}], "next": None})
    assert "INV-000001" in seatpool("invoices", "overdue").output


def test_payments_are_listed_and_taken_back_and_a_credit_is_kept(deployment: Deployment) -> None:
    row = {"payment": "p1", "invoice": "inv-1", "paid_on": "2026-03-31", "direction": "received", "amount_minor": 451, "currency": "DKK"}
    row |= {"reference": "b 17", "taken_back_because": None}
    deployment.answers["GET", f"{OF_ACME}/payments"] = lambda _: (200, {"items": [row], "next": None})
    assert "b 17" in seatpool("payments", "list", "--tenant", "acme").output
    deployment.answers["POST", f"{OF_ACME}/payments/p1/take-back"] = lambda _: (200, row)
    assert "no longer counts" in seatpool("payments", "take-back", "p1", "--tenant", "acme", "--reason", "wrong").output
    deployment.answers["POST", f"{OF_ACME}/invoices/inv-2/keep"] = lambda _: (200, INVOICE | {"number": "CN-000001"})
    assert "of CN-000001 are kept" in seatpool("invoices", "keep", "inv-2", "--tenant", "acme").output
