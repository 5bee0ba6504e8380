"""The REST of invoicing about orders, lists of quotes, and requests to the vendor, in memory, for the console."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from tests.support.console_people import Answer, refusal, reply

if TYPE_CHECKING:
    from tests.support.console import Company

OWN = "invoicing /v1/tenants/acme"
ANN = {"kind": "user", "id": "ann"}
BOT = {"kind": "client", "id": "erp"}
AMOUNTS = {"net_minor": 205_200, "tax_minor": 16_621, "gross_minor": 221_821}


def order(name: str, status: str, *items: tuple[str, int, int], **more: Any) -> dict[str, Any]:
    return {
        "order": name, "quote": f"q-{name}", "status": status, "reason": "", "detail": {}, "gross_minor": 12_345, "currency": "CHF",
        "items": [{"module": module, "before": before, "after": after} for module, before, after in items], "invoice": None,
        "approved_at": "2026-03-04T09:00:00.000Z", "approved_by": ANN, "decided_at": None,
    } | more  # fmt: skip


def request(name: str, state: str, *items: dict[str, Any], **more: Any) -> dict[str, Any]:
    step = {"state": "requested", "at": "2026-03-03T09:00:00.000Z", "by": ANN, "detail": {}}
    return {
        "request": name, "state": state, "company": "Alpenrose <AG>", "message": "As soon as possible, please.", "note": "",
        "contact": {"name": "Ann Müller", "email": "ann@acme.example", "phone": ""}, "items": list(items), "valid_until": None,
        "currency": None, "if_approved_today": None, "less_each_day_minor": None, "price": "", "next_period": None, "quotes": [],
        "discounts": [], "next_before": None, "next_after": None, "credit_net_minor": 0, "orders": [], "reductions": [], "history": [step],
    } | more  # fmt: skip


def requests() -> dict[str, dict[str, Any]]:
    item = {"module": "lab", "add": 5, "reduce": 0, "unit_price_minor": 1_000}
    less = {"module": "documents", "add": 0, "reduce": 10, "unit_price_minor": None}
    steps = [
        {"state": "requested", "at": "2026-03-03T09:00:00.000Z", "by": ANN, "detail": {}},
        {"state": "estimated", "at": "2026-03-04T09:00:00.000Z", "by": BOT, "detail": {}},
    ]
    days = {"from_day": "2026-03-04", "until_day": None, "periods": 3}
    discount = {"module": None, "percent": "10", "amount_minor": None, "text": "", **days}
    found = [
        request("r2", "estimated", item, less, valid_until="2026-04-03", note="A price for you.", currency="CHF", history=steps,
                if_approved_today={"net_minor": 4_355, "tax_minor": 353, "gross_minor": 4_708}, less_each_day_minor=161,
                discounts=[discount, discount | {"module": "lab", "percent": None, "amount_minor": 2_000, "until_day": "2026-07-01",
                                                 "periods": None, "text": "Thanks"}], next_before=AMOUNTS, credit_net_minor=900,
                next_after=AMOUNTS | {"net_minor": 210_200, "gross_minor": 227_226},
                next_period={"before": AMOUNTS | {"net_minor": 184_680}, "after": AMOUNTS | {"net_minor": 210_200},
                             "added_net_minor": 5_000, "cancelled_reduction_net_minor": 1_000}),
        request("r1", "requested", item | {"unit_price_minor": None}),
        request("r0", "declined", less, history=[steps[0], steps[1] | {"state": "declined", "detail": {"reason": "Not sold any more"}}]),
    ]  # fmt: skip
    return {each["request"]: each for each in found}


@dataclass
class OrdersRest:
    """Orders and requests of one tenant. Quotes are those of the company."""

    orders: list[dict[str, Any]] = field(
        default_factory=lambda: [
            order("o3", "pending", ("lab", 27, 30)),
            order("o2", "completed", ("projects", 115, 119), ("lab", 25, 27), invoice="i3"),
            order("o1", "refused", ("planning", 12, 13), approved_by=BOT),
        ]
    )
    requests: dict[str, dict[str, Any]] = field(default_factory=requests)
    needs_second: bool = False

    def routes(self, company: "Company") -> Mapping[str, Answer]:
        def quotes(asked: httpx.Request) -> httpx.Response:
            state = asked.url.params["state"]
            return reply({"items": [each for each in company.quotes.values() if each["state"] == state], "next": None})

        return {
            f"GET {OWN}/orders": self._orders,
            f"GET {OWN}/quotes": quotes,
            f"GET {OWN}/purchase-requests": lambda asked: _page(list(self.requests.values()), asked),
            f"POST {OWN}/purchase-requests": self._make,
            f"GET {OWN}/purchase-requests/([^/]+)": self._one,
            f"POST {OWN}/purchase-requests/([^/]+)/(approve|withdraw)": self._decide,
        }

    def _orders(self, asked: httpx.Request) -> httpx.Response:
        return _page(self.orders, asked)

    def _make(self, asked: httpx.Request) -> httpx.Response:
        body = orjson.loads(asked.content)
        if "@" not in body["contact"]["email"]:
            fault = {
                "field": "body.contact.email",
                "value": body["contact"]["email"],
                "expected": "a text of at most 500 characters",
            }
            return refusal(422, "invalid", "These fields are not valid: body.contact.email.", errors=[fault])
        items = [{"add": 0, "reduce": 0, "unit_price_minor": None} | each for each in body["items"]]
        made = request("r9", "requested", *items, company=body["company"], contact=body["contact"], message=body["message"])
        self.requests["r9"] = made
        return reply(made, 201)

    def _one(self, name: str, asked: httpx.Request) -> httpx.Response:
        return reply(self.requests[name]) if name in self.requests else refusal(404, "not-found", "The service found no request.")

    def _decide(self, name: str, what: str, asked: httpx.Request) -> httpx.Response:
        found = self.requests[name]
        if found["state"] not in ("requested", "estimated"):
            return refusal(409, "request-closed", f"The request is {found['state']}.")
        ordered = {"quotes": ["q-r2"], "orders": [] if self.needs_second else ["o-r2"]}
        self.requests[name] = found | ({"state": "approved"} | ordered if what == "approve" else {"state": "withdrawn"})
        return reply(self.requests[name])


def _page(items: list[dict[str, Any]], asked: httpx.Request) -> httpx.Response:
    begin, limit = int(asked.url.params.get("cursor", "0")), int(asked.url.params["limit"])
    return reply({"items": items[begin : begin + limit], "next": str(begin + limit) if begin + limit < len(items) else None})
