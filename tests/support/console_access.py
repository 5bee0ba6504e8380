"""The REST about the action log, roles, access and settings, in memory, for the console."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

import httpx
import orjson

from shared.schemas.rights import TENANT_RIGHTS
from tests.support.console_people import HOSTILE, PREVIEW, Answer, refusal, reply

OWN = "/v1/tenants/acme"
AT = "2026-03-05T08:00:00.000Z"


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
        entry(
            "clock_advancing",
            actor={"kind": "client", "id": "users"},
            **change({"clock": "2026-03-01T08:00:00.000Z"}, {"clock": "2026-03-08T08:00:00.000Z"}),
        ),
        entry("role_defined", details={"role": "auditor"}, **change({"rights": None}, {"rights": "account:read,log:read"})),
        entry(
            "tenant_opened_by_operator", reason="ticket 4711", actor={"kind": "operator", "id": "vera"}, details={"operator": "Vera Vogt"}
        ),
        entry(
            "purchase_settings_changed",
            details={"currency": "CHF"},
            **change(
                {"monthly_budget_minor": None, "second_approver": "none"},
                {"monthly_budget_minor": 125_000, "second_approver": "above_budget"},
            ),
        ),
        entry(
            "policies_changed",
            **change(
                {"lab.grace": "P7D", "lab.over_limit": "reject", "zero_invoices": True},
                {"lab.grace": "PT36H", "lab.over_limit": "flag", "zero_invoices": False},
            ),
        ),
        entry("subscription_ending", **change({"subscription.ends_on": None}, {"subscription.ends_on": "2026-04-01"})),
        entry("something_of_a_later_version"),
    ]


def roles() -> dict[str, dict[str, Any]]:
    built_in = {
        "owner": list(TENANT_RIGHTS),
        "licence-manager": ["account:read", "account:buy", "users:read", "log:read"],
        "people-manager": ["users:read", "users:manage", "log:read"],
        "reader": ["account:read", "users:read"],
    }
    found = {role: {"role": role, "name": role, "rights": rights, "built_in": True, "version": 1} for role, rights in built_in.items()}
    own = {"role": "auditor", "name": "Auditor", "rights": ["account:read", "log:read"], "built_in": False, "version": 1}
    return found | {"auditor": own}


def clients() -> dict[str, dict[str, Any]]:
    secrets = [{"secret_id": "s1", "created_at": AT}]
    rights = ["account:read", "users:read"]
    return {"client-1": {"client": "client-1", "name": "Reporting", "rights": rights, "secrets": secrets, "created_at": AT, "version": 1}}


def connection(name: str, **more: Any) -> dict[str, Any]:
    return {
        "connection": name, "source": f"scim/{name}", "on_full": "create", "deactivation": "suspends", "user_types": {}, "version": 1,
        "tokens": [{"token": "t1", "created_at": AT, "expires_at": "2026-03-20T09:00:00.000Z"}], "would_end": 0, "people": 498,
        "last_request_at": AT, "last_error": {"at": AT, "detail": "409 uniqueness"},
    } | more  # fmt: skip


def connections() -> dict[str, dict[str, Any]]:
    return {
        "okta": connection("okta", would_end=12),
        "entra": connection("entra", tokens=[], last_request_at=None, last_error=None, people=0),
    }


def group(name: str, members: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "members": members, "profile": None, "role": None} | more


def groups() -> dict[str, dict[str, Any]]:
    return {
        "g1": group("Engineers", 212, profile="staff"),
        "g2": group(HOSTILE, 0),
        "g3": group("x" * 200, 3, role="auditor"),
    }


OF_REMOVAL: Final = {
    "decided": True,
    "expansions": [{"module": "planning", "licences": 3}],
    "cost": {"currency": "CHF", "term": "monthly", "net_minor": 3600},
    "reductions": [{"module": "planning", "licences": 1, "reduce_at": "now"}],
    "saving": {"currency": "CHF", "term": "annual", "net_minor": 14400},
}


@dataclass
class AccessRest:
    """The log, roles and settings of `acme`."""

    entries: list[dict[str, Any]] = field(default_factory=actions)
    roles: dict[str, dict[str, Any]] = field(default_factory=roles)
    held: dict[str, list[str]] = field(default_factory=lambda: {"ann": ["owner"], "u1": ["auditor"]})
    viewsets: dict[str, Any] = field(default_factory=dict)
    clients: dict[str, dict[str, Any]] = field(default_factory=clients)
    connections: dict[str, dict[str, Any]] = field(default_factory=connections)
    of_removal: dict[str, Any] = field(default_factory=lambda: dict(OF_REMOVAL))
    provider: dict[str, Any] = field(default_factory=lambda: {"draft": None, "effective": None})
    groups: dict[str, dict[str, Any]] = field(default_factory=groups)  # of the connection okta
    meanwhile: dict[str, Any] = field(default_factory=dict)  # what somebody else gives the members of a group during a look
    made: dict[str, str] = field(default_factory=dict)  # clients by Idempotency-Key
    _numbers: "count[int]" = field(default_factory=lambda: count(2))

    def routes(self) -> Mapping[str, Answer]:
        own = f"users {OWN}"
        return {
            f"GET notifier {OWN}/actions": self._actions,
            f"GET {own}/roles": lambda request: reply({"items": list(self.roles.values()), "next": None}),
            f"POST {own}/roles": self._add_role,
            f"GET {own}/roles/([^/]+)": self._role,
            f"PATCH {own}/roles/([^/]+)": self._change_role,
            f"DELETE {own}/roles/([^/]+)": self._delete_role,
            f"GET {own}/people/([^/]+)/roles": self._roles_of,
            f"PUT {own}/people/([^/]+)/roles": self._give_roles,
            f"GET {own}/clients": lambda request: reply({"items": list(self.clients.values()), "next": None}),
            f"POST {own}/clients": self._add_client,
            f"GET {own}/clients/([^/]+)": lambda client, request: self._one(self.clients, client),
            f"DELETE {own}/clients/([^/]+)": self._revoke_client,
            f"POST {own}/clients/([^/]+)/secrets": self._add_secret,
            f"DELETE {own}/clients/([^/]+)/secrets/([^/]+)": self._remove_secret,
            f"GET {own}/scim-connections": lambda request: reply({"items": list(self.connections.values()), "next": None}),
            f"GET {own}/scim-connections/([^/]+)": lambda name, request: self._one(self.connections, name),
            f"PUT {own}/scim-connections/([^/]+)": self._put_connection,
            f"DELETE {own}/scim-connections/([^/]+)": self._remove_connection,
            f"POST {own}/scim-connections/([^/]+)/tokens": self._create_token,
            f"DELETE {own}/scim-connections/([^/]+)/tokens/([^/]+)": self._revoke_token,
            f"GET {own}/scim-connections/([^/]+)/groups": self._list_groups,
            f"GET {own}/scim-connections/okta/groups/([^/]+)": self._one_group,
            f"PUT {own}/scim-connections/okta/groups/([^/]+)": self._one_group,
            f"GET {own}/stopped-scim-requests": self._stopped,
            f"POST {own}/scim-connections/([^/]+)/confirm": self._confirm_stopped,
            f"DELETE {own}/identity-provider": self._remove_provider,
            f"GET {own}/identity-provider": lambda request: reply(self.provider),
            f"PUT {own}/identity-provider": self._enter_provider,
            f"POST {own}/identity-provider/test": lambda request: reply(
                {"authorization_url": "https://login.acme.example/authorize?state=s1", "flow": "f1", "expires_at": AT}
            ),
            f"POST {own}/identity-provider/activate": self._activate,
        }

    @staticmethod
    def _one(found: Mapping[str, dict[str, Any]], name: str) -> httpx.Response:
        return reply(found[name], etag=f'"{found[name].get("version", 1)}"') if name in found else refusal(404, "not-found", "Unknown.")

    def _role(self, role: str, request: httpx.Request) -> httpx.Response:
        return self._one(self.roles, role)

    def _add_role(self, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        if "settings:manage" in body["rights"]:
            return refusal(403, "wider-than-own", "The change is about settings:manage, which you do not have.")
        self.roles["r1"] = {"role": "r1", "built_in": False, "version": 1} | body
        return reply(self.roles["r1"], 201)

    def _change_role(self, role: str, request: httpx.Request) -> httpx.Response:
        self.roles[role] |= orjson.loads(request.content) | {"version": 2}
        return reply(self.roles[role])

    def _delete_role(self, role: str, request: httpx.Request) -> httpx.Response:
        if any(role in each for each in self.held.values()):
            return refusal(409, "role-in-use", "So many people hold the role.", people=1)
        del self.roles[role]
        return httpx.Response(204)

    def _roles_of(self, user: str, request: httpx.Request) -> httpx.Response:
        view = {
            "user": user, "roles": self.held.get(user, []), "group_roles": [], "rights": [], "viewset": self.viewsets.get(user),
            "unknown_departments": [], "may_sign_in": True, "sign_in": {"login": user, "email": f"{user}@acme.example"}, "version": 3,
        }  # fmt: skip
        return reply(view, etag='"3"')

    def _give_roles(self, user: str, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        others = [each for name, each in self.held.items() if name != user]
        if "owner" in self.held.get(user, []) and "owner" not in body["roles"] and not any("owner" in each for each in others):
            return refusal(409, "last-owner", "This person is the last owner. Give the role to somebody else first.")
        self.held[user], self.viewsets[user] = body["roles"], body["viewset"]
        return self._roles_of(user, request)

    def _add_client(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["idempotency-key"]
        if key in self.made:
            return reply(self.clients[self.made[key]])
        client = f"client-{next(self._numbers)}"
        made = {"client": client, "secrets": [{"secret_id": "s1", "created_at": AT}], "created_at": AT, "version": 1}
        self.clients[client], self.made[key] = made | orjson.loads(request.content), client
        return reply(self.clients[client] | {"secret": f"secret-of-{client}"}, 201)

    def _revoke_client(self, client: str, request: httpx.Request) -> httpx.Response:
        del self.clients[client]
        return httpx.Response(204)

    def _add_secret(self, client: str, request: httpx.Request) -> httpx.Response:
        secrets, name = self.clients[client]["secrets"], f"s{next(self._numbers)}"
        if len(secrets) == 2:
            return refusal(409, "too-many-secrets", "The client has two secrets already.", secrets=[each["secret_id"] for each in secrets])
        self.clients[client]["secrets"] = [*secrets, {"secret_id": name, "created_at": AT}]
        return reply({"secret_id": name, "secret": f"secret-{name}"}, 201)

    def _remove_secret(self, client: str, secret: str, request: httpx.Request) -> httpx.Response:
        self.clients[client]["secrets"] = [each for each in self.clients[client]["secrets"] if each["secret_id"] != secret]
        return httpx.Response(204)

    def _put_connection(self, name: str, request: httpx.Request) -> httpx.Response:
        if request.headers.get("if-match") != ('"1"' if name in self.connections else '"0"'):
            return refusal(412, "precondition-failed", "It was changed.")
        self.connections[name] = connection(name, tokens=[]) | self.connections.get(name, {}) | orjson.loads(request.content)
        return reply(self.connections[name])

    def _remove_connection(self, name: str, request: httpx.Request) -> httpx.Response:
        found = {"people": 40, "groups": 2, "would_end": 12, "would_begin": 1, "limit": 5, "needs_confirmation": True}
        if request.url.params.get("dry_run") == "true":
            return reply(found | {"licences": self.of_removal})
        if request.url.params.get("confirm") != "12":
            return refusal(409, "import-needs-confirmation", "This would end the access of 12 people.")
        del self.connections[name]
        return reply(found, 202)

    def _create_token(self, name: str, request: httpx.Request) -> httpx.Response:
        made = {"token": f"t{next(self._numbers)}", "created_at": AT, "expires_at": "2027-03-05T09:00:00.000Z"}
        self.connections[name]["tokens"] = [*self.connections[name]["tokens"], made]
        return reply(made | {"secret": f"spscim_{made['token']}"}, 201)

    def _revoke_token(self, name: str, token: str, request: httpx.Request) -> httpx.Response:
        self.connections[name]["tokens"] = [each for each in self.connections[name]["tokens"] if each["token"] != token]
        return httpx.Response(204)

    def _list_groups(self, name: str, request: httpx.Request) -> httpx.Response:
        if name not in self.connections:
            return refusal(404, "not-found", "The service found no connection.")
        found = [{"group": group} | each for group, each in self.groups.items()] if name == "okta" else []
        return reply({"items": found, "next": None})

    def _one_group(self, group: str, request: httpx.Request) -> httpx.Response:
        if group not in self.groups:
            return refusal(404, "not-found", "The service found no group of this connection.")
        if request.method == "PUT":
            body = orjson.loads(request.content)
            if body["role"] == "people-manager":
                fault = {"field": "body.role", "value": body["role"], "expected": "the id of a role other than owner, or null"}
                return refusal(422, "invalid", "These fields are not valid: body.role.", errors=[fault])
            if "dry_run" in request.url.params:
                self.groups[group] |= self.meanwhile
                return reply(PREVIEW)
            if request.headers["if-match"] != self._mark_of(group):
                return refusal(412, "precondition-failed", "It was changed.")
            self.groups[group] |= body
        return reply({"group": group} | self.groups[group], etag=self._mark_of(group))

    def _mark_of(self, group: str) -> str:
        return f'"{self.groups[group]["profile"]}+{self.groups[group]["role"]}"'

    def _stopped(self, request: httpx.Request) -> httpx.Response:
        waiting = [each for each in self.connections.values() if each["would_end"]]
        people = ["u1", "u2"]
        items = [{"connection": each["connection"], "would_end": each["would_end"], "people": people, "since": AT} for each in waiting]
        return reply({"items": items, "next": None})

    def _confirm_stopped(self, name: str, request: httpx.Request) -> httpx.Response:
        waiting = self.connections[name]["would_end"]
        if orjson.loads(request.content)["confirm"] != waiting:
            return refusal(409, "import-needs-confirmation", "This would end the access of so many people.", would_end=waiting)
        self.connections[name]["would_end"] = 0
        return httpx.Response(204)

    def _remove_provider(self, request: httpx.Request) -> httpx.Response:
        self.provider = {"draft": None, "effective": None}
        return httpx.Response(204)

    def _enter_provider(self, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        if not body["issuer"].startswith("https://"):
            fault = {"field": "body.issuer", "value": body["issuer"], "expected": "an address that begins with https://"}
            return refusal(422, "invalid", "These fields are not valid: body.issuer.", errors=[fault])
        has_secret = body.pop("client_secret", None) is not None
        self.provider["draft"] = body | {"has_secret": has_secret, "entered_by": "ann", "entered_at": AT}
        return reply(self.provider["draft"])

    def _activate(self, request: httpx.Request) -> httpx.Response:
        if orjson.loads(request.content) != {"flow": "f1", "state": "s1", "code": "c1"}:
            return refusal(403, "identity-refused", "You cannot sign in with this account.")
        self.provider = {"draft": None, "effective": self.provider["draft"]}
        return reply(self.provider["effective"])

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
