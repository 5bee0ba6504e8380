"""The REST about policies, billing details, the company and its test clock, in memory, for the console."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.support.console_people import Answer, refusal, reply

OWN = "/v1/tenants/acme"


def tenant() -> dict[str, Any]:
    return {
        "tenant": "acme", "name": "Alpenrose AG", "time_zone": "Europe/Zurich", "locale": "de-CH", "contact_email": "it@acme.example",
        "support_contact": "help@vendor.example", "release_on_expiry": False, "erase_after_months": 24, "clock": "real",
        "now": "2026-03-05T09:00:00.000Z", "status": "open", "created_at": "2026-01-02T09:00:00.000Z", "version": 4,
    }  # fmt: skip


def billing() -> dict[str, Any]:
    return {
        "version": "b1", "company": "Alpenrose AG", "street": "Seestrasse 1", "postcode": "8000", "city": "Zürich", "country": "CH",
        "vat_id": "CHE-116.281.710 MWST", "organisation_number": None, "email": "invoices@alpenrose.example",
        "copy_to_administrators": True, "document_format": "factur_x",
        "buyer_reference": "", "purchase_order": "PO 17", "electronic_address": "", "tax_category": "S",
        "tax_rate_percent": "8.1", "tax_rule": "domestic", "tax_reason": "", "changed_at": "2026-01-02T09:00:00.000Z",
    }  # fmt: skip


def policies() -> dict[str, dict[str, Any]]:
    common = {"reduce_at": "period_end", "reduce_below_use": "flag_newest", "terminate_reduces_pool": False}
    return {
        "projects": common | {"over_limit": "flag", "grace": "P1W", "warn_at": "90%"},
        "lab": common | {"over_limit": "flag", "grace": "PT36H", "flag_cap": 5, "warn_at": "3"},
        "planning": common | {"over_limit": "reject", "grace": "P7D", "terminate_reduces_pool": True},
        "documents": common
        | {"over_limit": "expand", "expand_cap": 60, "grace": "P7D", "reduce_at": "now", "reduce_below_use": "block", "warn_at": "90%"},
    }


def preview(changed: int, *, added: int = 0) -> dict[str, Any]:
    """Return the answer to `dry_run` if so many people required Lab again, for which so many licences were added."""
    modules = [{"module": "lab", "before": 27, "after": 27 + changed, "licences": 27, "available": 0}] if changed else []
    outcomes = [{"module": "lab", "state": "active", "people": changed}] if changed else []
    price = {"currency": "CHF", "term": "monthly", "net_minor": 500 * added}
    return {
        "examined": 31, "complete": True, "changed": changed, "modules": modules, "not_subscribed": [],
        "decided": True, "outcomes": outcomes,
        "expansions": [{"module": "lab", "licences": added}] if added else [], "cost": price if added else None,
    }  # fmt: skip


@dataclass
class SettingsRest:
    """The settings of `acme`. `sent` has the bodies of the changes."""

    tenant: dict[str, Any] = field(default_factory=tenant)
    billing: dict[str, Any] | None = field(default_factory=billing)
    policies: dict[str, dict[str, Any]] = field(default_factory=policies)
    clock: dict[str, Any] = field(
        default_factory=lambda: {"clock": "test", "now": "2026-03-05T09:00:00.000Z", "state": "ready", "to": None}
    )
    next_due: str | None = "2026-03-09T09:00:00.000Z"
    charging: dict[str, Any] = field(
        default_factory=lambda: {"charge_when": "threshold", "credit_when": "threshold", "zero_invoices": False}
    )
    digests: bool = True
    preview: dict[str, Any] = field(default_factory=lambda: preview(0))  # of another `release_on_expiry`
    sent: list[dict[str, Any]] = field(default_factory=list)

    def routes(self) -> Mapping[str, Answer]:
        return {
            f"GET users {OWN}": lambda request: reply(self.tenant, etag=f'"{self.tenant["version"]}"'),
            f"PATCH users {OWN}": self._change_tenant,
            f"PUT users {OWN}/people/[^/]+/digests": self._set_digests,
            f"GET users {OWN}/clock": lambda request: reply(self.clock),
            f"GET users {OWN}/clock/next-due": lambda request: reply({"now": self.clock["now"], "next_due": self.next_due}),
            f"POST users {OWN}/clock": self._advance,
            f"PATCH invoicing {OWN}/subscription/policies": self._change_policies,
            f"GET invoicing {OWN}/subscription/policies": lambda request: reply(self._policies(), etag=self._etag(self._policies())),
            f"GET invoicing {OWN}/billing-details": lambda request: (
                refusal(404, "not-found", "The service found no billing details.")
                if self.billing is None
                else reply(self.billing, etag=self._etag(self.billing))
            ),
            f"PUT invoicing {OWN}/billing-details": self._change_billing,
        }

    def _change_tenant(self, request: httpx.Request) -> httpx.Response:
        if "dry_run" in request.url.params:
            return reply(self.preview)
        if request.headers["if-match"] != f'"{self.tenant["version"]}"':
            return refusal(412, "precondition-failed", "Somebody else has changed it.")
        self.tenant |= orjson.loads(request.content) | {"version": self.tenant["version"] + 1}
        return reply(self.tenant)

    def _set_digests(self, request: httpx.Request) -> httpx.Response:
        self.digests = orjson.loads(request.content)["digests"]
        return reply({"digests": self.digests})

    def _advance(self, request: httpx.Request) -> httpx.Response:
        self.clock |= {"state": "advancing", "to": orjson.loads(request.content)["to"]}
        return reply(self.clock, 202)

    def _policies(self) -> dict[str, Any]:
        of_modules = {module: self._etag(policies) for module, policies in self.policies.items()}
        own = self.charging | {"price_notice": "P30D"}
        return own | {"modules": self.policies, "own_etag": self._etag(own), "module_etags": of_modules}

    def _change_policies(self, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        present = self._policies()
        parts = [present["module_etags"][module] for module in body.get("modules", {})] or [present["own_etag"]]
        if request.headers["if-match"] not in parts:
            return refusal(412, "precondition-failed", "Somebody else has changed it.")
        self.sent.append(body)
        for module, given in body.get("modules", {}).items():
            after = {name: value for name, value in (self.policies[module] | given).items() if value is not None}
            if after["over_limit"] == "expand" and "expand_cap" not in after:
                fault = {
                    "field": f"body.modules.{module}.expand_cap",
                    "value": None,
                    "expected": "the largest number of licences, because over_limit is expand and each expansion is charged",
                }
                return refusal(422, "invalid", "These fields are not valid.", errors=[fault])
            self.policies[module] = after
        self.charging |= {name: value for name, value in body.items() if name in self.charging}
        return reply({"change": "c1", "status": "completed"})

    @staticmethod
    def _etag(found: Any) -> str:
        return f'"{zlib.crc32(orjson.dumps(found, option=orjson.OPT_SORT_KEYS))}"'

    def _change_billing(self, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        if request.headers["if-match"] != ('"0"' if self.billing is None else self._etag(self.billing)):
            return refusal(412, "precondition-failed", "Somebody else has changed it.")
        if body["vat_id"] == "wrong":
            fault = {"field": "body.vat_id", "value": "wrong", "expected": "'wrong' is not a VAT ID of CH: invalid"}
            return refusal(422, "invalid", "These fields are not valid: body.", errors=[fault])
        self.billing = billing() | body
        return reply(self.billing)
