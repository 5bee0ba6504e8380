"""The REST of invoicing about documents, orders and the contract, in memory, for the console."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.console_people import Answer, refusal, reply

OWN = "invoicing /v1/tenants/acme"


def line(module: str, quantity: int, net_minor: int, key: str = "recurring", **more: Any) -> dict[str, Any]:
    period = {"from_day": "2026-03-01", "to_day": "2026-04-01", "days": 31, "days_of_period": 31}
    return {
        "text_key": key, "module": module, "quantity": quantity, "unit_price_minor": 1200, "net_minor": net_minor, "charges": [],
        "tax_category": "S", "tax_rate_percent": "8.1", "discount_minor": 0,
    } | period | more  # fmt: skip


def document(invoice: str, number: str, net_minor: int, **more: Any) -> dict[str, Any]:
    tax = (net_minor * 81 + 500) // 1000
    gross = net_minor + tax
    return {
        "invoice": invoice, "kind": "invoice", "corrects": [], "number": number, "issued_on": "2026-03-01", "due_on": "2026-03-31",
        "reason": "renewal", "orders": [], "currency": "CHF", "lines": [line("projects", net_minor // 1200, net_minor)],
        "taxes": [{"category": "S", "rate_percent": "8.1", "basis_minor": net_minor, "tax_minor": tax}],
        "net_minor": net_minor, "tax_minor": tax, "gross_minor": gross, "billing_details": "b1", "test": False,
        "pdf_url": f"/v1/tenants/acme/invoices/{invoice}/pdf", "xml_url": f"/v1/tenants/acme/invoices/{invoice}/xml",
        "state": "open", "open_minor": gross, "overdue": False, "set_off_minor": 0, "reminders": 0, "next_reminder_on": None, "related": [],
    } | more  # fmt: skip


def documents() -> dict[str, dict[str, Any]]:
    """Return an overdue invoice, one that is partly paid, one that is paid, and a credit note."""
    adjustment: dict[str, Any] = {"unit_price_minor": 0, "days": 0, "days_of_period": 0}
    march = [
        line("projects", 119, 142_800),
        line("lab", 27, 32_400, discount_minor=1_200),
        line("planning", 2, 1_045, "adjustment", **adjustment),
    ]
    credit = {
        "relation": "set_off",
        "invoice": "c1",
        "number": "C-0001",
        "kind": "credit_note",
        "amount_minor": 2_594,
        "at": "2026-03-02T09:00:00Z",
    }
    set_off = credit | {"invoice": "i3", "number": "R-0003", "kind": "invoice"}
    corrects = set_off | {"relation": "corrects", "invoice": "i2", "number": "R-0002", "amount_minor": None, "at": None}
    found = [
        document("i3", "R-0003", 176_245, lines=march, state="part_paid", open_minor=87_927, set_off_minor=2_594, related=[credit]),
        document("c1", "C-0001", 2_400, kind="credit_note", corrects=["i2"], issued_on="2026-03-02", state="paid", open_minor=0,
                 set_off_minor=2_594, lines=[line("lab", 2, 2_400, "credit")], related=[corrects, set_off]),
        document("i2", "R-0002", 142_800, issued_on="2026-02-01", due_on="2026-03-03", overdue=True, reminders=1,
                 next_reminder_on="2026-03-17", related=[credit | {"relation": "corrected_by", "amount_minor": None, "at": None}]),
        document("i1", "R-0001", 142_800, issued_on="2026-01-02", due_on="2026-02-01", state="paid", open_minor=0, xml_url=None),
    ]  # fmt: skip
    return {each["invoice"]: each for each in found}


@dataclass
class MoneyRest:
    """Documents and payments of one tenant."""

    documents: dict[str, dict[str, Any]] = field(default_factory=documents)
    blocked: bool = False
    upcoming_kind: str | None = "invoice"
    waits: dict[str, Any] = field(default_factory=lambda: {"waiting_quotes": 0, "estimates": 0, "overdue_invoices": 0, "overdue_minor": 0})
    ordering: str = "self_service"
    allows_extra_licences: bool = True

    def buying(self) -> dict[str, Any]:
        """Return how the company buys, as the licences name it."""
        own = {"ordering": self.ordering, "allows_extra_licences": self.allows_extra_licences, "purchases_blocked": self.blocked}
        return own | {"open_items": self.waits}

    def routes(self) -> Mapping[str, Answer]:
        return {
            f"GET {OWN}/invoices": self._invoices,
            f"GET {OWN}/invoices/upcoming": lambda request: reply(self.upcoming()),
            f"GET {OWN}/invoices/([^/]+)": self._invoice,
            f"GET {OWN}/invoices/i3/pdf": lambda request: self._file(
                "application/pdf", 'inline; filename="R-0003.pdf"', b"%PDF-1.7 invoice"
            ),
            f"GET {OWN}/invoices/i3/xml": lambda request: self._file("application/xml", 'attachment; filename="R-0003.xml"', b"<Invoice/>"),
            f"GET {OWN}/balance": lambda request: reply(self._balance()),
            f"GET {OWN}/payments": self._payments,
        }

    @staticmethod
    def _file(kind: str, name: str, content: bytes) -> httpx.Response:
        return httpx.Response(200, content=content, headers={"content-type": kind, "content-disposition": name, "etag": '"5ha"'})

    def _invoices(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params
        assert query["order"] == "newest_first"
        found = [each | {"related": None} for each in self.documents.values()]
        match query.get("state"):
            case "overdue":
                found = [each for each in found if each["overdue"]]
            case "open" | "paid" as state:
                found = [each for each in found if bool(each["open_minor"]) == (state == "open")]
        begin, limit = int(query.get("cursor", "0")), int(query["limit"])
        return reply({"items": found[begin : begin + limit], "next": str(begin + limit) if begin + limit < len(found) else None})

    def _invoice(self, invoice: str, request: httpx.Request) -> httpx.Response:
        found = self.documents.get(invoice)
        return reply(found) if found else refusal(404, "not-found", "The service found no invoice.")

    def upcoming(self) -> dict[str, Any]:
        next_period: dict[str, Any] = {"from_day": "2026-04-01", "to_day": "2026-05-01", "days": 30, "days_of_period": 30}
        kept = {
            name: value
            for name, value in document("", "", 176_400).items()
            if name in ("currency", "taxes", "net_minor", "tax_minor", "gross_minor")
        }
        lines = [
            line("projects", 119, 142_800, **next_period),
            line("lab", 20, 24_000, **next_period),
            line("planning", 8, 9_600, **next_period),
        ]
        return kept | {
            "issued_on": "2026-04-01",
            "due_on": "2026-05-01",
            "kind": self.upcoming_kind,
            "lines": lines,
            "billing_details": "b1",
        }

    def _balance(self) -> dict[str, Any]:
        owed = [each for each in self.documents.values() if each["kind"] == "invoice" and each["open_minor"]]
        overdue = [each for each in owed if each["overdue"]]
        open_minor, oldest = sum(each["open_minor"] for each in owed), min((each["due_on"] for each in owed), default=None)
        return {
            "currency": "CHF" if self.documents else None, "on": "2026-03-05", "open_minor": open_minor,
            "overdue_minor": sum(each["open_minor"] for each in overdue), "credit_minor": 0, "balance_minor": open_minor, "balance": "",
            "open_invoices": len(owed), "overdue_invoices": len(overdue), "oldest_due_on": oldest,
            "overdue_action": "none", "purchases_blocked": self.blocked,
        }  # fmt: skip

    @staticmethod
    def _payments(request: httpx.Request) -> httpx.Response:
        one = {
            "payment": "p1", "invoice": "i3", "direction": "received", "amount_minor": 100_000, "currency": "CHF", "paid_on": "2026-03-04",
            "reference": "Bank <17>", "taken_back_at": None, "taken_back_because": None,
        }  # fmt: skip
        wrong = one | {"payment": "p2", "taken_back_at": "2026-03-05T08:00:00Z", "taken_back_because": "another customer's money"}
        return reply({"items": [one, wrong] if request.url.params.get("invoice", "i3") == "i3" else [], "next": None})
