"""The REST of the services for the vendor's operators, in memory, for the console."""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.support.console_people import Answer, refusal, reply


def tenant(name: str, title: str, **more: Any) -> dict[str, Any]:
    """Return a tenant as users shows it."""
    found = {
        "tenant": name, "name": title, "clock": "real", "created_at": "2026-01-02T09:00:00.000Z", "status": "open",
        "time_zone": "Europe/Zurich", "locale": "de-CH", "contact_email": f"it@{name}.example", "support_contact": "help@vendor.example",
        "now": "2027-01-28T23:30:00.000Z",
    }  # fmt: skip
    return found | more


def letter(number: int, **more: Any) -> dict[str, Any]:
    """Return a dead letter as a service shows it."""
    found = {
        "id": number, "group": "users", "topic": "hr.events.v1", "partition": 2, "offset": 4711, "records": 1, "tenant": "acme",
        "type": "seatpool.hr.v1.person_hired", "source": "hr/acme", "message_id": "m1", "reason": "body",
        "detail": "body.email: not an e-mail address", "blocks": False, "status": "open", "attempts": 0,
        "created_at": "2026-03-05T08:00:00.000Z", "done_at": None, "discarded_at": None, "discarded_by": None, "discard_reason": None,
        "genuine": False, "note": None, "headers": [["ce_source", "hr/acme"], ["ce_id", "m1"]], "waiting_behind": 0,
        "key_base64": base64.b64encode(b"acme").decode(), "value_base64": base64.b64encode(b'{"login":"ada","email":"x"}').decode(),
    }  # fmt: skip
    return found | more


def status(service: str, behind: int | None = 0, oldest: str | None = None, dead: int = 0) -> dict[str, Any]:
    topics = {"seats.events.v1": behind} if behind else {}
    return {
        "service": service,
        "version": "0.1.0",
        "groups": [{"group": service, "messages_behind": behind, "topics_behind": topics}],
        "unsent": {"messages": 7 if oldest else 0, "oldest_at": oldest},
        "dead_letters": {"open": dead, "waiting": 2 * dead},
    }


def plan(name: str, title: str, *prices: tuple[str, str, int], **more: Any) -> dict[str, Any]:
    """Return a plan as invoicing shows it. `prices`: module, term, amount."""
    priced = [
        {"module": module, "term": term, "amount_minor": amount, "steps": [], "pricing": "graduated", "included": 0}
        for module, term, amount in prices
    ]
    found = {"plan": name, "name": title, "currency": "CHF", "allows_extra_licences": True, "ordering": "self_service", "version": 1}
    return found | {"holds_from": None, "prices": priced, "limits": []} | more


def request(number: str, company: str, *items: dict[str, Any], state: str = "requested", **more: Any) -> dict[str, Any]:
    """Return a request as invoicing shows it to the operator."""
    at = "2026-03-04T10:00:00.000Z"
    found = {
        "request": number, "state": state, "company": f"{company} AG", "message": "For the new team.", "items": list(items), "note": "",
        "contact": {"name": "Ann Müller", "email": "ann@acme.example", "phone": ""}, "valid_until": None, "currency": None, "quotes": [],
        "orders": [], "reductions": [], "history": [{"state": state, "at": at, "by": {"kind": "user", "id": "ann"}, "detail": {}}],
        "discounts": [], "if_approved_today": None, "less_each_day_minor": None, "next_before": None, "next_after": None,
        "credit_net_minor": 0, "approve_url": "", "tenant": "birch", "tenant_name": company, "requested_at": at, "changed_at": at,
        "url": "",
    }  # fmt: skip
    return found | more


def asked(module: str, *, add: int = 0, reduce: int = 0) -> dict[str, Any]:
    return {"module": module, "add": add, "reduce": reduce, "unit_price_minor": None}


@dataclass
class OperatorRest:
    """Tenants, dead letters and status; what the pages of the operator change is recorded in `sent`."""

    tenants: list[dict[str, Any]] = field(
        default_factory=lambda: [tenant("acme", "Alpenrose AG"), tenant("birch", "Birch & Sons", clock="test")]
    )
    letters: dict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: {
            "users": [letter(17), letter(18, type=None, reason="envelope", detail="no JSON", tenant=None, value_base64="AAH/")],
            "invoicing": [],
            "notifier": [letter(10**15 + 1, group="seats", topic="seats.commands.v1", note="answered", reason="invalid_value")],
        }
    )
    statuses: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            "users": status("users", behind=3, dead=2),
            "seats": status("seats"),
            "invoicing": status("invoicing", oldest="2026-03-05T08:55:00.000Z"),
            "notifier": status("notifier"),
        }
    )
    requests: list[dict[str, Any]] = field(
        default_factory=lambda: [
            request("r1", "Alpenrose", asked("lab", add=4), asked("planning", reduce=2)),
            request("r2", "Birch", asked("lab", add=1), state="declined"),
        ]
    )
    coming: list[dict[str, Any]] = field(default_factory=list)  # prices of later renewals
    version: str = "0123456789abcdef"  # of the catalogue
    fails: bool = False  # a retry fails again
    sent: list[tuple[str, str, Any]] = field(default_factory=list)
    plans: list[dict[str, Any]] = field(
        default_factory=lambda: [
            plan("standard", "Standard", ("projects", "monthly", 1200), ("projects", "annual", 12000), ("lab", "monthly", 700)),
            plan("starter", "Starter", ("projects", "monthly", 900), ordering="by_request"),
        ]
    )

    sources: dict[str, list[str]] = field(default_factory=lambda: {"hr/acme": ["acme"], "hr/group": ["acme", "cedar"]})
    bound: dict[str, str] = field(default_factory=lambda: {"hr/group": "hr.events.v1.group"})

    def routes(self) -> Mapping[str, Answer]:
        found: dict[str, Callable[..., httpx.Response]] = {
            "GET users /v1/tenants": self._tenants,
            "POST users /v1/tenants": self._create,
            "GET users /v1/tenants/([^/]+)": self._tenant,
            "PUT invoicing /v1/tenants/birch/(billing-details|ordering)": self._note,
            "POST invoicing /v1/tenants/birch/(subscription)": self._note,
            "PUT users /v1/tenants/birch/(profiles/everybody)": self._note,
        }
        found |= {
            "GET invoicing /v1/catalog": lambda request: reply({"version": self.version, "modules": {}, "plans": {}}),
            "PUT invoicing /v1/catalog": self._apply,
            "GET invoicing /v1/plans/standard/versions": lambda request: reply({"items": self._versions(), "next": None}),
            "GET users /v1/operators": lambda request: reply({"items": [{"operator": "op1", "name": "Vera Vind"}], "next": None}),
            "GET invoicing /v1/operator/requests": self._requests,
            "GET invoicing /v1/tenants/birch/licences": lambda request: reply({"currency": "CHF", "modules": self._bought()}),
            "GET invoicing /v1/tenants/birch/purchase-requests/([^/]+)": self._request,
            "GET invoicing /v1/tenants/birch/subscription": lambda request: (
                reply({"status": "active", "coming_prices": self.coming}) if self.coming else refusal(404, "not-found", "no subscription")
            ),
            "PUT invoicing /v1/tenants/birch/purchase-requests/r1/(estimate)": self._estimate,
            "POST invoicing /v1/tenants/birch/purchase-requests/r1/(decline)": self._note,
        }
        found |= {
            "GET users /v1/operator/sources": self._sources,
            "GET users /v1/operator/sources/(.+)": self._source,
            "PUT users /v1/operator/sources/(.+)": self._allow,
        }
        for service in ("users", "invoicing", "notifier"):
            found[f"GET {service} /v1/operator/dead-letters"] = lambda request, of=service: self._letters(of, request)
            found[f"GET {service} /v1/operator/dead-letters/([0-9]+)"] = lambda number, request, of=service: self._letter(of, number)
            found[f"POST {service} /v1/operator/dead-letters/([0-9]+)/(retry|discard)"] = lambda number, what, request, of=service: (
                self._resolve(of, number, what, request)
            )
        for service in self.statuses:
            found[f"GET {service} /v1/operator/status"] = lambda request, of=service: reply(self.statuses[of])
        return found

    def _tenants(self, request: httpx.Request) -> httpx.Response:
        text = request.url.params.get("text", "").lower()
        return reply({"items": [each for each in self.tenants if text in f"{each['tenant']} {each['name']}".lower()], "next": None})

    def _tenant(self, name: str, request: httpx.Request) -> httpx.Response:
        found = next((each for each in self.tenants if each["tenant"] == name), None)
        return reply(found) if found is not None else refusal(404, "not-found", "no tenant")

    def _create(self, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        if any(each["tenant"] == body.get("tenant") for each in self.tenants):
            return refusal(409, "tenant-exists", "A tenant with the id exists.")
        if not re.fullmatch(r"[^@]+@[^@]+", body["owner"]["email"]):
            fault = {"field": "body.owner.email", "value": body["owner"]["email"], "expected": "value is not a valid email address: no @"}
            return refusal(422, "invalid", "not valid", errors=[fault])
        self.sent.append((request.method, request.url.path, body))
        self.tenants.append(tenant(body.get("tenant", "made"), body["name"], status="opening"))
        return reply(self.tenants[-1], 201)

    def _apply(self, request: httpx.Request) -> httpx.Response:
        body, is_dry = orjson.loads(request.content), request.url.params.get("dry_run") == "true"
        if "plans" not in body:
            fault = {"field": "body.modules.lab.name", "value": "", "expected": "a text of at least 1 character"}
            return refusal(422, "invalid", "not valid", errors=[fault])
        if body.get("version", self.version) != self.version:
            return refusal(409, "catalog-changed", "The catalogue has changed meanwhile. Read it again.")
        self.sent.append(("PUT", "dry run" if is_dry else "catalogue", body))
        before = {"field": "plans.standard.modules.lab.monthly", "before": "7.00", "after": "7.50"}
        differences = [before, {"field": "modules.lab.base", "before": None, "after": False}] if body["plans"] else []
        applied, running = not is_dry and bool(differences), [{"plan": "standard", "running": 3}]
        return reply({"applied": applied, "version": self.version, "differences": differences, "subscriptions": running})

    def _versions(self) -> list[dict[str, Any]]:
        at = {"at": "2026-03-01T09:00:00.000Z"}
        first = self.plans[0]
        lab = first["prices"][-1] | {"amount_minor": 750, "steps": [{"up_to": 50, "amount_minor": 800}]}
        defined = [{"field": f"{price['module']}.{price['term']}", "old": None, "new": price["amount_minor"]} for price in first["prices"]]
        changes = [{"field": "lab.monthly", "old": 700, "new": "graduated; up to 50: 800; above: 750"}]
        later = {"version": 2, "holds_from": "2026-04-01", "prices": [*first["prices"][:-1], lab], "changes": changes}
        return [
            first | at | {"changes": defined, "actor": {"kind": "client", "id": "ci"}},
            first | at | later | {"actor": {"kind": "operator", "id": "op1"}},
        ]

    def _bought(self) -> list[dict[str, Any]]:
        return [{"module": name, "bought": 27, "unit_price_minor": 1200} for name in ("lab", "planning")]

    def _requests(self, request: httpx.Request) -> httpx.Response:
        state = request.url.params.get("state", "")
        return reply({"items": [each for each in self.requests if state in ("", each["state"])], "next": None})

    def _request(self, number: str, request: httpx.Request) -> httpx.Response:
        found = next((each for each in self.requests if each["request"] == number), None)
        return reply(found) if found is not None else refusal(404, "not-found", "no request")

    def _estimate(self, what: str, request: httpx.Request) -> httpx.Response:
        if request.url.params.get("dry_run") != "true":
            return self._note(what, request)
        if any(each.get("reduce") == 27 for each in orjson.loads(request.content)["items"]):
            return refusal(409, "last-base-module", "It is the last base module.", field="body.items.1.reduce")
        today = {"net_minor": 4800, "tax_minor": 389, "gross_minor": 5189}
        later = {"net_minor": 37_200, "tax_minor": 3013, "gross_minor": 40_213}
        priced = {"if_approved_today": today, "less_each_day_minor": 160, "next_before": later, "next_after": later | {"net_minor": 42_000}}
        return reply(self.requests[0] | priced | {"state": "estimated", "currency": "CHF"})

    def _note(self, what: str, request: httpx.Request) -> httpx.Response:
        self.sent.append((request.method, what, orjson.loads(request.content)))
        return reply({}, 202)

    def _shown(self, source: str) -> dict[str, Any]:
        return {"source": source, "tenants": self.sources[source], "topic": self.bound.get(source, "hr.events.v1")}

    def _mark(self, source: str) -> str:
        return f'"{"+".join(self.sources.get(source, [])) or 0}"'

    def _sources(self, request: httpx.Request) -> httpx.Response:
        of, after = request.url.params["tenant"], request.url.params.get("cursor", "")
        found = [self._shown(each) for each in sorted(self.sources) if of in self.sources[each] and each > after]
        limit = int(request.url.params["limit"])
        return reply({"items": found[:limit], "next": found[limit - 1]["source"] if len(found) > limit else None})

    def _source(self, source: str, request: httpx.Request) -> httpx.Response:
        if source not in self.sources:
            return refusal(404, "not-found", "no source")
        return reply(self._shown(source), etag=self._mark(source))

    def _allow(self, source: str, request: httpx.Request) -> httpx.Response:
        if source.startswith("scim/"):
            expected = "the name of an upstream system; this name is reserved for Seatpool itself"
            return refusal(422, "invalid", "not valid", errors=[{"field": "path.source", "value": source, "expected": expected}])
        if request.headers["if-match"] != self._mark(source):
            return refusal(412, "precondition-failed", "It has changed.")
        self.sources[source] = sorted(orjson.loads(request.content)["tenants"])
        return reply({"source": source, "tenants": self.sources[source]}, etag=self._mark(source))

    def _letters(self, service: str, request: httpx.Request) -> httpx.Response:
        wanted, of = request.url.params.get("status", "open"), request.url.params.get("tenant", "")
        found = [each for each in self.letters[service] if wanted in ("all", each["status"]) and of in ("", each["tenant"])]
        return reply({"items": found, "next": None})

    def _letter(self, service: str, number: str) -> httpx.Response:
        found = next((each for each in self.letters[service] if each["id"] == int(number)), None)
        return reply(found) if found is not None else refusal(404, "not-found", "no dead letter")

    def _resolve(self, service: str, number: str, what: str, request: httpx.Request) -> httpx.Response:
        found = next(each for each in self.letters[service] if each["id"] == int(number))
        if found["status"] != "open":
            return refusal(409, "not-parked", f"Dead letter {number} already has the status {found['status']}.")
        if what == "retry" and self.fails:
            found |= {"reason": "still-wrong", "detail": "it is still wrong", "attempts": 1}
        elif what == "retry":
            found["status"] = "done"
        else:
            body = orjson.loads(request.content)
            found |= {"status": "discarded", "discarded_by": "vera", "discard_reason": body["reason"]}
        return reply(found)
