"""`seatpool quotes` and `seatpool orders` against a made-up deployment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import Deployment, made_up, seatpool

OF_ACME = "/v1/tenants/acme"
QUOTE: dict[str, Any] = {
    "quote": "q1",
    "state": "open",
    "requested_by": {"kind": "user", "id": "ann"},
    "currency": "EUR",
    "lines": [{"module": "time", "quantity": 6}],
    "gross": "€39.00",
    "charge": "now",
    "next_period": {"before": {"net_minor": 1000}, "after": {"net_minor": 8200}},
    "notes": [],
    "approvals": [],
    "expires_at": "2026-03-02T00:00:00Z",
    "history": [{"state": "open", "at": "2026-03-01T09:00:00Z", "by": {"kind": "user", "id": "ann"}, "detail": {}}],
}
ORDER: dict[str, Any] = {
    "order": "o1",
    "quote": "q1",
    "status": "completed",
    "reason": "",
    "invoice": "inv-1",
    "approved_at": "2026-03-01T09:00:00Z",
    "approved_by": {"kind": "user", "id": "ann"},
    "history": [{"state": "refused", "at": "2026-03-01T09:00:00Z", "by": {"kind": "user", "id": "ann"}, "detail": {"reason": "late"}}],
}


@pytest.fixture
def deployment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Deployment]:
    with made_up(monkeypatch, tmp_path) as deployment:
        yield deployment


def test_T8_a_quote_is_requested_shown_approved_and_withdrawn(deployment: Deployment) -> None:
    answers = deployment.answers
    answers["POST", f"{OF_ACME}/quotes"] = lambda _: (201, QUOTE)
    answers["GET", f"{OF_ACME}/quotes/q1"] = lambda _: (200, QUOTE)
    answers["POST", f"{OF_ACME}/quotes/q1/approve"] = lambda _: (200, ORDER)
    answers["POST", f"{OF_ACME}/quotes/q1/withdraw"] = lambda _: (200, QUOTE)
    requested = seatpool("quotes", "request", "time=6", "--tenant", "acme")
    assert deployment.asked[-1][2] == {"items": [{"module": "time", "add": 6}]}
    assert "Quote q1, open: time +6, €39.00 now" in requested.output
    assert "seatpool quotes approve q1 --tenant acme" in requested.output
    wrong = seatpool("quotes", "request", "time=0", "--tenant", "acme")
    assert (wrong.exit_code, len(deployment.asked)) == (2, 1)
    assert "2026-03-01T09:00:00Z  open  by ann" in seatpool("quotes", "show", "q1", "--tenant", "acme").output
    assert "The order o1 is completed." in seatpool("quotes", "approve", "q1", "--tenant", "acme", "--yes").output
    answers["POST", f"{OF_ACME}/quotes/q1/approve"] = lambda _: (200, ORDER | {"status": "refused", "reason": "expected_differs"})
    refused = seatpool("quotes", "approve", "q1", "--tenant", "acme", "--yes")
    assert (refused.exit_code, "seats refused the order: expected_differs" in refused.output) == (1, True)
    assert "The quote q1 is withdrawn." in seatpool("quotes", "withdraw", "q1", "--tenant", "acme").output


def test_a_first_approval_says_that_the_purchase_waits_for_a_second_one(deployment: Deployment) -> None:
    waiting = QUOTE | {"state": "waiting_for_approval", "order": None}
    waiting["approvals"] = [{"by": {"kind": "user", "id": "ann"}, "at": "2026-03-01T09:00:00Z", "gross_minor": 3900}]
    deployment.answers["GET", f"{OF_ACME}/quotes/q1"] = lambda _: (200, waiting)
    deployment.answers["POST", f"{OF_ACME}/quotes/q1/approve"] = lambda _: (202, waiting)
    assert "Approved by ann with €39.00" in seatpool("quotes", "show", "q1", "--tenant", "acme").output
    assert "waits for its second approver until" in seatpool("quotes", "approve", "q1", "--tenant", "acme", "--yes").output


def test_the_settings_of_purchases_are_shown_and_changed(deployment: Deployment) -> None:
    known = {"second_approver": "none", "monthly_budget_minor": None, "left_minor": None}
    path = f"{OF_ACME}/purchase-settings"
    deployment.answers["GET", path] = lambda _: (200, known)
    deployment.answers["GET", f"{OF_ACME}/subscription"] = lambda _: (200, {"currency": "EUR"})
    deployment.answers["PUT", path] = lambda body: (200, body | {"left_minor": 40000})
    assert "monthly budget: none" in seatpool("orders", "settings", "--tenant", "acme").output
    changed = seatpool("orders", "settings", "--tenant", "acme", "--second-approver", "above_budget", "--monthly-budget", "1000.00")
    assert deployment.asked[-1][2] == {"second_approver": "above_budget", "monthly_budget_minor": 100_000}
    assert "second approver: above budget" in changed.output
    assert "monthly budget: €1,000.00, of which €400.00 are left this month" in changed.output
    wrong = seatpool("orders", "settings", "--tenant", "acme", "--monthly-budget", "1.005")
    assert (wrong.exit_code, "is not an amount in EUR" in wrong.output) == (1, True)


def test_quotes_and_orders_are_listed_by_state(deployment: Deployment) -> None:
    deployment.answers["GET", f"{OF_ACME}/quotes"] = lambda _: (200, {"items": [QUOTE], "next": None})
    deployment.answers["GET", f"{OF_ACME}/orders"] = lambda _: (200, {"items": [ORDER], "next": None})
    deployment.answers["GET", f"{OF_ACME}/orders/o1"] = lambda _: (200, ORDER)
    listed = seatpool("quotes", "list", "--tenant", "acme", "--state", "open")
    assert (listed.exit_code, "q1" in listed.output, "time +6" in listed.output) == (0, True, True)
    assert "inv-1" in seatpool("orders", "list", "--tenant", "acme").output
    shown = seatpool("orders", "show", "o1", "--tenant", "acme").output
    assert "Order o1 of quote q1, completed, invoice inv-1" in shown
    assert "refused  by ann  reason late" in shown


REQUEST: dict[str, Any] = {
    "request": "r1",
    "state": "estimated",
    "company": "Acme A/S",
    "contact": {"name": "Ann Lund", "email": "ann@acme.example", "phone": ""},
    "message": "",
    "note": "",
    "discounts": [{"module": None, "percent": "10", "amount_minor": None, "until_day": None, "periods": 3}],
    "items": [{"module": "time", "add": 6, "reduce": 0}, {"module": "documents", "add": 0, "reduce": 2}],
    "valid_until": "2026-03-31",
    "currency": "EUR",
    "price": "If you approve it today, the rest of the period costs €11.61 net. With each later day, it costs €0.39 less.",
    "next_before": {"net_minor": 12_000},
    "next_after": {"net_minor": 12_960},
    "orders": [],
    "reductions": [],
    "history": [{"state": "requested", "at": "2026-03-01T09:00:00Z", "by": {"kind": "user", "id": "ann"}, "detail": {}}],
}


def test_A9_A11_a_request_is_made_estimated_and_approved(deployment: Deployment) -> None:
    path = f"{OF_ACME}/purchase-requests"
    answers = deployment.answers
    answers["POST", path] = lambda _: (201, REQUEST)
    answers["GET", path] = lambda _: (200, {"items": [REQUEST], "next": None})
    answers["GET", f"{path}/r1"] = lambda _: (200, REQUEST)
    answers["PUT", f"{path}/r1/estimate"] = lambda _: (200, REQUEST)
    answers["GET", f"{OF_ACME}/subscription"] = lambda _: (200, {"currency": "EUR"})
    for action in ("approve", "decline", "withdraw"):
        answers["POST", f"{path}/r1/{action}"] = lambda _: (200, REQUEST)
    answers["PUT", f"{OF_ACME}/ordering"] = lambda body: (200, {"ordering": body["ordering"] or "self_service"})
    of_acme = ("--tenant", "acme")
    asked = ("--company", "Acme A/S", "--name", "Ann Lund", "--email", "ann@acme.example")
    made = seatpool("requests", "make", "time+6", "documents-2", *of_acme, *asked)
    assert made.exit_code == 0, made.output
    assert deployment.asked[-1][2]["items"] == [{"module": "time", "add": 6}, {"module": "documents", "reduce": 2}]
    assert seatpool("requests", "make", "time=6", *of_acme, *asked).exit_code == 2
    assert "it costs €0.39 less." in " ".join(seatpool("requests", "show", "r1", *of_acme).output.split())
    assert "time +6, documents -2" in seatpool("requests", "list", *of_acme).output
    seatpool("requests", "estimate", "r1", *of_acme, "--price", "time=11.00", "--valid-until", "2026-03-31")
    assert deployment.asked[-1][2] == {
        "items": [{"module": "time", "add": 6, "unit_price_minor": 1100}, {"module": "documents", "reduce": 2}],
        "note": "",
        "valid_until": "2026-03-31",
    }
    given = ("--discount", "10%", "--discount", "time=12.5%x3", "--discount", "600x2", "--dry-run")
    priced = seatpool("requests", "estimate", "r1", *of_acme, *given).output
    assert "costs €129.60 net instead of €120.00" in " ".join(priced.split())
    assert "Discount: 10% on the whole subscription, for 3 periods" in priced
    assert deployment.asked[-1][2]["discounts"] == [
        {"percent": "10"},
        {"percent": "12.5", "module": "time", "periods": 3},
        {"amount_minor": 60_000, "periods": 2},
    ]
    assert "is no discount" in seatpool("requests", "estimate", "r1", *of_acme, "--discount", "ten").output
    answers["GET", "/v1/operator/requests"] = lambda _: (200, {"items": [REQUEST | {"tenant": "birch"}], "next": None})
    assert "birch" in seatpool("requests", "list").output
    wrong = seatpool("requests", "estimate", "r1", *of_acme, "--price", "documents=11.00")
    assert "the request adds no licences of documents" in wrong.output
    assert seatpool("requests", "approve", "r1", *of_acme, "--yes").exit_code == 0
    assert "declined" in seatpool("requests", "decline", "r1", *of_acme, "--reason", "no").output
    assert "withdrawn" in seatpool("requests", "withdraw", "r1", *of_acme).output
    assert "acme buys: by request" in seatpool("requests", "ordering", "by_request", *of_acme).output
