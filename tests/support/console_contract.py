"""The REST of invoicing about the contract, in memory, for the console: plan, term, modules, discounts, and the end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from tests.support.console_people import Answer, refusal, reply

if TYPE_CHECKING:
    from tests.support.console import Company

OWN = "invoicing /v1/tenants/acme"
PERIOD_END = "2026-04-01"


def prices(**monthly: int) -> list[dict[str, Any]]:
    listed = [
        (module, term, amount) for module, amount in monthly.items() for term, amount in (("monthly", amount), ("annual", amount * 10))
    ]
    return [
        {"module": module, "term": term, "amount_minor": amount, "steps": [], "pricing": "graduated", "included": 0}
        for module, term, amount in listed
    ]


def plan(name: str, listed: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "plan": name, "name": name.capitalize(), "currency": "CHF", "allows_extra_licences": True, "ordering": "self_service", "version": 1,
        "holds_from": None, "prices": listed, "limits": [],
    } | more  # fmt: skip


def catalogue() -> list[dict[str, Any]]:
    """Return the plan of the company, a smaller one, one with steps, and one in another currency."""
    steps = [{"module": "projects", "term": "monthly", "amount_minor": 900, "steps": [{"up_to": 50, "amount_minor": 1_100}],
              "pricing": "graduated", "included": 5}]  # fmt: skip
    return [
        plan("standard", prices(projects=1_200, lab=1_200, planning=1_200, documents=1_200, time=800)),
        plan("small", prices(projects=900, lab=900), allows_extra_licences=False, limits=[{"module": "lab", "minimum": 1, "maximum": 10}]),
        plan("volume", steps, ordering="by_request"),
        plan("abroad", prices(projects=1_300), currency="EUR"),
    ]


@dataclass
class ContractRest:
    """The contract of one tenant. `refused` and `outdated` change what invoicing answers to an offer and to its approval."""

    plans: list[dict[str, Any]] = field(default_factory=catalogue)
    exists: bool = True
    scheduled: str | None = None
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    discounts: list[dict[str, Any]] = field(default_factory=list)
    coming: list[dict[str, Any]] = field(default_factory=list)
    trial_until: str | None = None
    by_request: bool = False
    monthly_budget_minor: int | None = None
    second_approver: str = "none"
    plan: str = "standard"
    reason: str = ""
    keeps_at_once: bool = True

    def routes(self, company: "Company") -> Mapping[str, Answer]:
        def ending(request: httpx.Request) -> httpx.Response:
            self.reason = orjson.loads(request.content)["reason"]
            company.ends_on = PERIOD_END
            return reply(self._subscription(company), 202)

        def kept(request: httpx.Request) -> httpx.Response:
            company.ends_on = None if self.keeps_at_once else company.ends_on
            return reply(self._subscription(company), 202)

        return {
            "GET invoicing /v1/plans": lambda request: reply({"items": self.plans, "next": None}),
            f"GET {OWN}/subscription": lambda request: (
                reply(self._subscription(company)) if self.exists else refusal(404, "not-found", "The service found no subscription.")
            ),
            f"GET {OWN}/subscription/discounts": lambda request: reply({"items": self.discounts, "next": None}),
            f"GET {OWN}/purchase-settings": lambda request: reply(self._settings()),
            f"PUT {OWN}/purchase-settings": self._set_rules,
            f"POST {OWN}/subscription/plan-changes": lambda request: self._offer(company, request),
            f"GET {OWN}/subscription/plan-changes/([^/]+)": lambda change, request: reply(self.changes[change]),
            f"POST {OWN}/subscription/plan-changes/([^/]+)/approve": self._approve,
            f"POST {OWN}/subscription/plan-changes/([^/]+)/withdraw": self._withdraw,
            f"POST {OWN}/subscription/ending": ending,
            f"DELETE {OWN}/subscription/ending": kept,
        }

    def _set_rules(self, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        self.second_approver, self.monthly_budget_minor = body["second_approver"], body["monthly_budget_minor"]
        return reply(self._settings())

    def _settings(self) -> dict[str, Any]:
        budget = self.monthly_budget_minor
        return {
            "second_approver": self.second_approver, "monthly_budget_minor": budget, "ordering": None, "used_minor": 36_000,
            "ordering_in_force": "by_request" if self.by_request else "self_service", "left_minor": budget - 36_000 if budget else None,
        }  # fmt: skip

    def _subscription(self, company: "Company") -> dict[str, Any]:
        listed = {each["module"]: each["amount_minor"] for each in self.plans[0]["prices"] if each["term"] == "monthly"}
        modules = [
            {
                "module": name, "base": module.base, "licences": module.bought, "next_period": module.view(name)["next_period"],
                "opened": True, "unit_price_minor": listed.get(name), "policies": company.settings.policies.get(name, {}),
            }
            for name, module in company.modules.items()
        ]  # fmt: skip
        return {
            "subscription": "s1", "status": company.status, "reason": "", "plan": self.plan, "term": "monthly", "currency": "CHF",
            "period": {"start": "2026-03-01", "end": PERIOD_END}, "billed_until": PERIOD_END, "trial_until": self.trial_until,
            "next_invoice_on": PERIOD_END, "ends_on": company.ends_on, **company.settings.charging,
            "price_notice": "P30D", "next_period_net_minor": 205_200, "scheduled_plan_change": self.scheduled,
            "coming_prices": self.coming, "modules": modules,
        }  # fmt: skip

    def _offer(self, company: "Company", request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        change = f"change-{len(self.changes) + 1}"
        takes_effect = body["takes_effect"] or ("now" if body["plan"] == "volume" else "period_end")
        amounts = {"net_minor": 205_200, "tax_minor": 16_621, "gross_minor": 221_821}
        small = body["plan"] == "small"
        term = [] if body["term"] == "monthly" else [{"field": "term", "old": "monthly", "new": body["term"]}]
        self.changes[change] = {
            "change": change, "status": "offered", "reason": "", "detail": {}, "plan": body["plan"], "term": body["term"],
            "takes_effect": takes_effect, "takes_effect_on": "2026-03-05" if takes_effect == "now" else PERIOD_END,
            "price": {
                "currency": "CHF", "charge": "now", "now": {"net_minor": 10_000, "tax_minor": 810, "gross_minor": 10_810},
                "next_before": amounts, "next_after": {"net_minor": 116_100, "tax_minor": 9_404, "gross_minor": 125_504},
            },
            "changes": [*term, *([{"field": "lab.over_limit", "old": "expand", "new": "reject"}] if small else [])],
            "closes": ["documents", "planning"] if small else [],
            "reduces": [{"module": "lab", "before": 20, "total": 10}] if small else [],
            "would_flag": [{"module": "lab", "users": ["u1", "u2"], "count": 40}] if small else [],
            "would_cancel": [{"module": "lab", "users": ["u2"], "count": 3}] if small else [],
        }  # fmt: skip
        return reply(self.changes[change], 201)

    def _approve(self, change: str, request: httpx.Request) -> httpx.Response:
        found = self.changes[change]
        found["status"] = "completed" if found["takes_effect"] == "now" else "scheduled"
        if found["status"] == "scheduled":
            self.scheduled = change
        else:
            self.plan = found["plan"]
        return reply(found)

    def _withdraw(self, change: str, request: httpx.Request) -> httpx.Response:
        if self.scheduled != change:
            return refusal(409, "plan-change-not-scheduled", "The change is completed. Only a scheduled change can be withdrawn.")
        self.scheduled = None
        self.changes[change]["status"] = "withdrawn"
        return reply(self.changes[change])
