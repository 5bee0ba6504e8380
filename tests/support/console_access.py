"""The REST about the action log, roles, access and settings, in memory, for the console."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.console_people import HOSTILE, Answer, refusal, reply

OWN = "/v1/tenants/acme"


def entry(type_: str, user: str | None = None, module: str | None = None, **more: Any) -> dict[str, Any]:
    """Return an entry of the action log as the notifier shows it."""
    at = "2026-03-05T08:30:00.000Z"
    blank = {
        "seq": 1, "id": "e#0", "at": at, "recorded_at": at, "actor": {"kind": "user", "id": "ann"}, "event": type_, "from": {}, "to": {},
        "reason": "changed", "details": {}, "decision": None, "position": None, "correlation": "c1",
    }  # fmt: skip
    return blank | {"type": type_, "user": user, "module": module} | more


def change(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {"from": before, "to": after}


def actions() -> list[dict[str, Any]]:
    rules = {"kind": "system", "id": "rules"}
    both = ("licences", "next_period")
    return [
        entry("licences_added", module="projects", **change(dict.fromkeys(both, "115"), dict.fromkeys(both, "119"))),
        entry("reduction_scheduled", module="lab", **change({"next_period": "27"}, {"next_period": "20"})),
        entry("pool_opened", module="planning", actor=rules, **change({"licences": None}, {"licences": "12"})),
        entry(
            "seat_flagged",
            "u1",
            "lab",
            actor=rules,
            reason="over_limit",
            at="2026-03-02T09:00:00.000Z",
            **change({"state": "none"}, {"state": "flagged"}),
        ),
        entry("person_changed", "u2", **change({"name": "Bruno", "roles": None}, {"name": HOSTILE, "roles": "owner,reader"})),
        entry("person_left", "gone", reason="left", actor={"kind": "source", "id": "hr/acme"}),
        entry("role_defined", details={"role": "auditor"}, **change({"rights": None}, {"rights": "account:read,log:read"})),
        entry(
            "tenant_opened_by_operator", reason="ticket 4711", actor={"kind": "operator", "id": "vera"}, details={"operator": "Vera Vogt"}
        ),
        entry("something_of_a_later_version"),
    ]


@dataclass
class AccessRest:
    """The log, roles and settings of `acme`."""

    entries: list[dict[str, Any]] = field(default_factory=actions)

    def routes(self) -> Mapping[str, Answer]:
        return {f"GET notifier {OWN}/actions": self._actions}

    def _actions(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params
        if query.get("format") == "csv":
            headers = {"content-type": "text/csv; charset=utf-8", "content-disposition": 'attachment; filename="actions.csv"'}
            return httpx.Response(200, text="at,type\r\n", headers=headers)
        if len(query.get_list("type")) > 30:
            return refusal(422, "invalid", "At most 30 types.")
        found = [
            each
            for each in self.entries
            if (each["type"] in query.get_list("type") or "type" not in query)
            and query.get("user", each["user"]) == each["user"]
            and query.get("actor", each["actor"]["id"]) == each["actor"]["id"]
            and query.get("module", each["module"]) == each["module"]
            and query.get("from", "") <= each["at"] < query.get("to", "9")
        ]
        first, limit = int(query.get("cursor", 0)), int(query.get("limit", 50))
        following = str(first + limit) if len(found) > first + limit else None
        return reply({"items": found[first : first + limit], "next": following})
