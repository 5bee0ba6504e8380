"""The REST of invoicing about the money of a tenant, as the vendor's operators change it, in memory, for the console."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.support.console_money import MoneyRest
from tests.support.console_people import Answer, refusal, reply

OWN = "invoicing /v1/tenants/acme"
AMOUNTS: dict[str, Any] = {"net_minor": 205_200, "tax_minor": 16_621, "gross_minor": 221_821}
LESS: dict[str, Any] = {"net_minor": 184_680, "tax_minor": 14_959, "gross_minor": 199_639}


def discount(name: str, **more: Any) -> dict[str, Any]:
    """Return a discount as invoicing shows it."""
    found = {
        "discount": name, "subscription": "s1", "module": None, "percent": "10", "amount_minor": None, "currency": "CHF",
        "from_day": "2026-03-01", "until_day": None, "text": "", "status": "active", "granted_at": "2026-03-01T09:00:00.000Z",
        "withdrawn_at": None, "next_before": None, "next_after": None,
    }  # fmt: skip
    return found | more


@dataclass
class TenantMoneyRest:
    """What an operator records, takes back, grants, withdraws and ends is in `sent`."""

    money: MoneyRest
    discounts: list[dict[str, Any]]
    sent: list[tuple[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    taken_back: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    of_the_end: dict[str, int] = field(default_factory=lambda: {"credit_net_minor": 178_723, "charge_net_minor": 0})

    def routes(self) -> Mapping[str, Answer]:
        return {
            f"POST {OWN}/payments": self._pay,
            f"GET {OWN}/payments/([^/]+)": lambda payment, request: reply(self._payment(payment)),
            f"POST {OWN}/payments/([^/]+)/take-back": self._take_back,
            f"POST {OWN}/invoices/([^/]+)/keep": lambda invoice, request: self._noted("keep", {"invoice": invoice}),
            f"PUT {OWN}/overdue-action": lambda request: self._noted("overdue-action", orjson.loads(request.content)),
            f"POST {OWN}/subscription/discounts": self._grant,
            f"GET {OWN}/subscription/discounts/([^/]+)": lambda name, request: reply(self._discount(name)),
            f"DELETE {OWN}/subscription/discounts/([^/]+)": self._withdraw,
            f"GET {OWN}/subscription/end": lambda request: reply({"ends_on": "2026-03-05", "currency": "CHF"} | self.of_the_end),
            f"POST {OWN}/subscription/end": self._end,
        }

    def _noted(self, what: str, body: Any) -> httpx.Response:
        self.sent.append((what, body))
        return reply({})

    def _payment(self, payment: str) -> dict[str, Any]:
        found = {
            "payment": payment, "invoice": "i3", "direction": "received", "amount_minor": 100_000, "currency": "CHF",
            "paid_on": "2026-03-04", "reference": "Bank <17>", "taken_back_at": None, "taken_back_because": None,
        }  # fmt: skip
        reason = self.taken_back.get(payment)
        return found | ({"taken_back_at": "2026-03-05T09:00:00Z", "taken_back_because": reason} if reason else {})

    def _pay(self, request: httpx.Request) -> httpx.Response:
        body, key = orjson.loads(request.content), request.headers["idempotency-key"]
        found = self.money.documents[body["invoice"]]
        if key not in self.keys:
            if body["amount_minor"] > found["open_minor"]:
                fault = {"field": "body.amount_minor", "value": body["amount_minor"], "expected": "at most what is open"}
                return refusal(422, "invalid", "not valid", errors=[fault])
            if body["paid_on"] > "2026-03-05":
                return refusal(422, "invalid", "no", errors=[{"field": "body.paid_on", "value": body["paid_on"], "expected": "today"}])
            self.keys.add(key)
            self.sent.append(("payment", body))
            found["open_minor"] -= body["amount_minor"]
        return reply({"payment": "p9"} | body, 201)

    def _take_back(self, payment: str, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        self.taken_back[payment] = body["reason"]
        return self._noted("take-back", body)

    def _grant(self, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        if body.get("percent") == "0" or body.get("module") == "other":
            return refusal(422, "invalid", "no", errors=[{"field": "body.percent", "value": "0", "expected": "more than 0"}])
        made = discount("d9", **{name: value for name, value in body.items() if name != "periods"})
        if request.url.params.get("dry_run") == "true":
            return reply(made | {"next_before": AMOUNTS, "next_after": LESS, "granted_at": None})
        self.sent.append(("grant", body))
        self.discounts.append(made)
        return reply(made, 201)

    def _discount(self, name: str) -> dict[str, Any]:
        return next(each for each in self.discounts if each["discount"] == name)

    def _withdraw(self, name: str, request: httpx.Request) -> httpx.Response:
        self._discount(name)["status"] = "withdrawn"
        return self._noted("withdraw", {"discount": name})

    def _end(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(("end", orjson.loads(request.content)))
        return reply({"status": "ended" if self.ended else "active"}, 202)
