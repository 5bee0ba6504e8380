"""The demo's closing statistics: those of every service, and each difference between them by name."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from cli.demo.plan import Plan, Statistics, money_words
from cli.demo.stage import Snapshot, Stage
from cli.names import SERVICES

# Which services count what. The first one's number is printed.
COUNTED_BY = {
    "hired": ("users",),
    "active": ("users",),
    "flagged": ("users", "seats", "notifier"),
    "revoked": ("users", "seats", "notifier"),
    "refused": ("users", "seats", "notifier"),
    "invoices": ("invoicing",),
    "net_minor": ("invoicing",),
    "emails": ("notifier",),
    "decisions": ("seats",),
}


@dataclass(frozen=True, slots=True)
class Closing:
    by_service: Mapping[str, Mapping[str, Any]]
    values: Mapping[str, int]
    differences: tuple[str, ...]

    def with_difference(self, difference: str | None) -> "Closing":
        return self if difference is None else replace(self, differences=(*self.differences, difference))

    def line(self) -> str:
        words = {name: str(value) for name, value in self.values.items() if name != "net_minor"}
        words |= {"net": money_words(self.values["net_minor"]), "mails": words["emails"]}
        order = ("hired", "active", "flagged", "revoked", "refused", "invoices", "net", "mails", "decisions")
        return "demo: " + " ".join(f"{name}={words[name]}" for name in order)


async def ask_everybody(stage: Stage) -> dict[str, dict[str, Any]]:
    return {service: await stage.statistics(service) for service in SERVICES}


def close(by_service: Mapping[str, Mapping[str, Any]], last: Snapshot, plan: Plan, delivered_mails: int | None) -> Closing:
    """Return the statistics, and each difference between services, pools, plan and mailbox."""
    differences: list[str] = []
    values: dict[str, int] = {}
    for name, services in COUNTED_BY.items():
        found = {service: by_service[service].get(name) for service in services}
        values[name] = int(found[services[0]] or 0)
        if len(set(found.values())) > 1 or None in found.values():
            differences.append(f"{name}: " + ", ".join(f"{service} counts {value}" for service, value in found.items()))
    differences += _against_pools(last)
    if failed := by_service["notifier"].get("emails_failed"):
        differences.append(f"e-mails: {failed} could not be sent")
    differences += _against_plan(values, plan.expected)
    if delivered_mails is not None and delivered_mails != values["emails"]:
        differences.append(f"e-mails: notifier counts {values['emails']}, the mailbox contains {delivered_mails}")
    return Closing(by_service, values, tuple(differences))


def _against_pools(last: Snapshot) -> list[str]:
    """Compare the people of users with the pools of seats: both show the same seats."""
    return [
        f"{module}.{state}: seats counts {pool[state]}, users counts {last.states.get(module, {}).get(state, 0)}"
        for module, pool in last.pools.items()
        for state in ("active", "flagged", "waiting")
        if pool[state] != last.states.get(module, {}).get(state, 0)
    ]


def _against_plan(values: Mapping[str, int], expected: Statistics) -> list[str]:
    wanted = {name: value for name, value in expected.model_dump().items() if value is not None}
    found: dict[str, str] = {name: str(value) for name, value in values.items()} | {"net": money_words(values["net_minor"])}
    return [f"{name}: the plan expects {value}, the result is {found[name]}" for name, value in wanted.items() if found[name] != str(value)]
