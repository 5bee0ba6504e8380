"""The REST of users about people, in memory, for the console."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import httpx
import orjson

Answer = Callable[..., httpx.Response]
HOSTILE = "<script>alert(1)</script>\"'&\u202eevil"  # a name with a script and an override of the direction of writing
MADE_ID = "01a22251-1181-757f-942c-be7abfa3c1a1"  # an external id of somebody who was added without one


def reply(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, content=orjson.dumps(body), headers={"content-type": "application/json"} | headers)


def refusal(status: int, type_: str, detail: str, **extra: Any) -> httpx.Response:
    body = {"type": f"urn:seatpool:problem:{type_}", "title": "", "status": status, "detail": detail} | extra
    return httpx.Response(status, content=orjson.dumps(body), headers={"content-type": "application/problem+json"})


def module(name: str, state: str = "active", reason: str | None = None, **more: Any) -> dict[str, Any]:
    blank = {"deadline": None, "position": {"partition": 3, "offset": 17}, "pool": None, "warning": None}
    return {"module": name, "state": state, "reason": reason} | blank | more


def person(user: str, name: str, *modules: dict[str, Any], status: str = "active", **more: Any) -> dict[str, Any]:
    """Return a person as users shows it."""
    found: dict[str, Any] = {
        "user": user, "external_id": f"E-{user}", "source": "hr/acme", "timelines": [{"source": "hr/acme", "external_id": f"E-{user}"}],
        "conflict": None, "in_conflict": [], "in_conflict_hidden": 0, "overrides": {}, "values": None, "last_day": None,
        "login": user, "email": f"{user}@acme.example", "sign_in": None, "name": name, "job_title": "", "department": "Research",
        "profile": "staff", "kind": "employee", "administrator": False, "roles": [], "priority": 0, "valid_to": None, "status": status,
        "may_log_in": status in ("active", "over_limit"), "modules": list(modules), "invitation": None, "hand_over": None,
        "pending": False, "obstacle": None, "notes": [], "created_at": "2026-01-02T09:00:00.000Z", "erased_at": None, "version": 3,
    }  # fmt: skip
    return found | more


def _value(value: Any, source: str = "hr/acme", *hides: tuple[str, Any]) -> dict[str, Any]:
    return {"value": value, "source": source, "hides": [{"source": other, "value": hidden} for other, hidden in hides]}


VALUES = {
    "name": _value("Zora Schmid", "hr/acme", ("scim/okta", "Zora S.")),
    "login": _value("u1", "scim/okta"),
    "email": _value("u1@acme.example", "scim/okta"),
    "department": _value("Research", "override", ("hr/acme", "Sales <b>")),
    "kind": _value("employee"),
    "login_allowed": _value(True),
}
OWNED = {"heir": None, "heir_name": None, "items": [{"kind": "projects", "count": 4, "labels": ["Ålesund", "<b>Zug</b>"]}]}


def staff() -> dict[str, dict[str, Any]]:
    """Return the people of the company: each status, and names that try to break a page."""
    soon = {"deadline": "2026-03-09T09:00:00.000Z"}
    warning = "All 12 licences of planning are in use. Deactivate a person or buy licences."
    found = [
        person("ann", "Ann Müller", module("projects"), module("planning"), roles=["owner"]),
        person("u1", "Zora Schmid", module("lab", "flagged", "over_limit", **soon), module("projects"), status="over_limit",
               roles=["auditor"], values=VALUES, overrides={"department": "Research"},
               job_title="Analyst", last_day="2026-06-30", hand_over=OWNED),
        person("u2", "Bruno Jovanović", module("planning", "refused", "pool_full", warning=warning), module("projects", "refused",
               "other_module_refused"), status="refused", department=None),
        person("u3", HOSTILE, module("projects", "waiting", "pool_full"), status="waiting"),
        person("u4", "Ñ" * 200, module("projects", "pending"), login=None, email=""),
        person("u5", "Carla Rossi", module("projects", "held"), status="invited", timelines=[{"source": "rest", "external_id": "c"}],
               invitation={"state": "sent", "expires_at": "2026-03-10T09:00:00.000Z", "reserved": True}),
        person("u6", "Dora Left", status="left"),
        person("u7", "Anne Mueller", status="conflict", conflict={"reason": "login_in_use", "by": "login", "people": ["ann"], "hidden": 0}),
    ]  # fmt: skip
    return {each["user"]: each for each in found}


def profile(name: str, title: str, *modules: str) -> dict[str, Any]:
    return {"profile": name, "name": title, "modules": list(modules), "partial": False, "version": 1, "warnings": []}


SAVING = {"currency": "CHF", "term": "monthly", "net_minor": 600}
PREVIEW: dict[str, Any] = {
    "examined": 150, "complete": True, "changed": 31, "decided": True, "cost": None, "expansions": [],
    "modules": [{"module": "lab", "before": 27, "after": 58, "licences": 27, "available": 0}], "not_subscribed": [],
    "outcomes": [{"module": "lab", "state": "flagged", "people": 3}, {"module": "lab", "state": "refused", "people": 28}],
}  # fmt: skip


DIFFERENCES = {
    "text": "", "examined": 500, "employed": 500, "requiring": 498, "with_seat": 497, "differing": 1, "hidden": 2, "next": None,
    "sources": [{"source": "hr/acme", "kind": "hr", "employed": 500, "blocked": 0}],
    "items": [
        {
            "user": "u2", "name": "Bruno Jovanović", "login": "u2", "external_id": "2", "status": "refused", "required": ["projects"],
            "sources": [{"source": "hr/acme", "external_id": "2", "says": "ended"}],
            "differences": [
                {"kind": "ended", "reason": "still_employed", "text": "", "change": "", "modules": ["projects"], "would_require": []}
            ],
        }
    ],
}  # fmt: skip


IMPORT_CHANGES: list[dict[str, Any]] = [
    {
        "external_id": "9", "user": "n9", "kind": "new", "ends": False, "before": None, "errors": [],
        "after": {"name": "Eva <b>", "email": "", "status": "active", "department": "Research", "profile": "staff",
                  "upcoming": [{"on": "2026-07-01", "employed": False}]},
        "match": {"outcome": "linked"},
    },
    {
        "external_id": "7", "user": "n7", "kind": "changed", "ends": True, "match": None, "errors": [],
        "before": {"name": "Max", "status": "active", "upcoming": [{"on": "2026-08-01", "department": "Sales"}]},
        "after": {"name": "Max", "status": "left", "upcoming": []},
    },
    {"external_id": "8", "user": "n8", "kind": "invalid", "ends": False, "before": None, "after": None, "match": None,
     "errors": [{"field": "person.email", "expected": "value is not a valid email address: no @"}]},
    {"external_id": "10", "user": "n10", "kind": "new", "ends": False, "before": None, "match": None, "errors": [],
     "after": {"status": "expected", "employed": False,
               "upcoming": [{"on": "2026-12-01", "name": "Nora", "employed": True, "employee_number": None}]}},
]  # fmt: skip


@dataclass
class PeopleRest:
    """The people of one tenant."""

    people: dict[str, dict[str, Any]] = field(default_factory=staff)
    pools: list[dict[str, Any]] = field(
        default_factory=lambda: [
            {"module": "projects", "licences": 119, "in_use": 122, "flagged": 3, "waiting": 1, "available": 0},
            {"module": "planning", "licences": 12, "in_use": 9, "flagged": 0, "waiting": 0, "available": 3},
        ]
    )
    hidden: int | None = None
    seated: set[str] = field(default_factory=lambda: {"ann"})  # who cannot take over the seats of somebody else
    profiles: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {"staff": profile("staff", "Staff", "planning", "projects"), "guests": profile("guests", "Guests & <i>")}
    )
    departments: dict[str, str | None] = field(default_factory=lambda: {"Research": "staff", "Sales <b>": None})
    meanwhile: dict[str, str | None] = field(default_factory=dict)  # what somebody else maps after each look at the departments
    sources: list[dict[str, Any]] = field(default_factory=lambda: [{"source": "hr/acme", "kind": "hr", "duplicates_held": True}])
    held: list[dict[str, Any]] = field(
        default_factory=lambda: [{"source": "hr/acme", "status": "stopped", "events": 70, "would_end": 41, "ended_before": 0, "limit": 5}]
    )

    held_names: dict[str, str] = field(default_factory=lambda: {"4711-0": "Dora Left", "4811-1": "Emil New"})

    begun: dict[str, Any] = field(default_factory=dict)  # the body of an import that has begun
    uploaded: list[dict[str, Any]] = field(default_factory=list)
    import_status: str = "checked"
    import_running: str = ""  # an earlier import that nobody has applied or deleted
    would_end: int = 0
    lacking: int = 3  # people of the import without a profile, as the last check found
    lacking_now: int = 3
    check_refused: bool = False
    bulk_expansions: list[dict[str, Any]] = field(default_factory=list)  # licences that an activation adds by itself
    known_licences: int | None = 27  # of the module in a preview of a department; None: seats does not answer
    reductions: list[dict[str, Any]] = field(default_factory=list)  # licences that leavers give back
    person_expansions: list[dict[str, Any]] = field(default_factory=list)  # the same of another change of one person
    decides: bool = True  # seats answers what a change would lead to
    settings_expansions: list[dict[str, Any]] = field(default_factory=list)  # the same of a profile and a department
    import_expansions: list[dict[str, Any]] = field(default_factory=list)  # the same of an import
    differences_next: str | None = None
    import_reductions: list[dict[str, Any]] = field(default_factory=list)  # licences that its leavers give back (M9)
    lab_of_leaver: str = "reallocated"  # what becomes of the licence of Lab when its owner leaves
    expanding_profile: str = "makers"  # a person who gets it needs a licence that is added by itself

    def routes(self) -> Mapping[str, Answer]:
        own = "users /v1/tenants/acme"
        return {
            f"GET {own}/people": self._list,
            f"GET {own}/people/([^/]+)": self._one,
            f"GET {own}/people/([^/]+)/why": self._why,
            f"GET {own}/people/([^/]+)/timelines": self._timelines,
            f"GET {own}/people/([^/]+)/data": lambda user, request: reply({"person": self.people[user], "data": {}}),
            f"POST {own}/people": self._add,
            f"POST {own}/people/bulk-changes": self._bulk,
            f"POST {own}/people/reactivate-refused": self._announced(lambda request: reply({"total": 28}, 202)),
            f"PATCH {own}/people/([^/]+)": self._patch,
            f"DELETE {own}/people/([^/]+)/overrides/(.+)": self._announced(self._remove_override),
            f"POST {own}/people/([^/]+)/terminate": self._terminate,
            f"DELETE {own}/people/([^/]+)/terminate": self._announced(lambda user, _: self._set(user, status="active", last_day=None)),
            f"POST {own}/people/([^/]+)/reactivate": self._announced(lambda user, _: self._set(user, status="active")),
            f"POST {own}/people/([^/]+)/replace": self._announced(
                lambda user, request: self._set(user, status=orjson.loads(request.content)["afterwards"])
            ),
            f"PUT {own}/people/([^/]+)/heir": lambda user, request: self._set(user, hand_over=OWNED | orjson.loads(request.content)),
            f"POST {own}/people/([^/]+)/invite": lambda user, request: self._set(user, status="invited"),
            f"POST {own}/people/([^/]+)/erase": self._erase,
            f"POST {own}/people/([^/]+)/link": self._announced(self._link),
            f"POST {own}/people/([^/]+)/separate": self._announced(lambda user, _: self._set(user, status="active", conflict=None)),
            f"GET {own}/profiles": lambda request: reply({"items": list(self.profiles.values()), "next": None}),
            f"PUT {own}/profiles/(.+)": self._put_profile,
            f"GET {own}/department-mapping": self._mapping,
            f"PUT {own}/department-mapping": self._put_mapping,
            f"POST {own}/imports": self._begin_import,
            f"PUT {own}/imports/i1/people/([0-9]+)": self._upload,
            f"POST {own}/imports/i1/check": self._check_import,
            f"GET {own}/imports/i1": lambda request: reply(self._import()),
            f"GET {own}/imports/i1/changes": lambda request: reply({"items": IMPORT_CHANGES, "next": None}),
            f"POST {own}/imports/i1/apply": self._apply_import,
            f"DELETE {own}/imports/i1": self._discard_import,
            f"GET {own}/sources": lambda request: reply({"items": self.sources, "next": None}),
            f"GET {own}/held-events": lambda request: reply({"items": self.held, "next": None}),
            f"GET {own}/held-events/(.+)": self._held,
            f"POST {own}/held-events/(confirm|discard)": self._announced(self._decide_held),
            f"POST {own}/possible-duplicates/confirm": self._announced(self._confirm_duplicates),
            f"GET {own}/differences": lambda request: reply(DIFFERENCES | {"next": self.differences_next}),
            "GET invoicing /v1/modules": lambda request: reply({"items": self.modules(), "next": None}),
        }

    @staticmethod
    def modules() -> list[dict[str, Any]]:
        names = {"lab": ["projects"], "planning": [], "projects": []}
        return [{"module": name, "name": name.capitalize(), "base": name == "projects", "requires": needs} for name, needs in names.items()]

    def _list(self, request: httpx.Request) -> httpx.Response:
        query, limit = request.url.params, int(request.url.params.get("limit", "100"))
        hidden = ("left", "inactive") if "status" not in query and "can_replace" not in query else ()
        found = [each for each in self.people.values() if each["status"] not in hidden]
        if (status := query.get("status", "all")) != "all":
            found = [each for each in found if each["status"] == status]
        if users := query.get_list("user"):
            found = [each for each in found if each["user"] in users]
        if role := query.get("role"):
            found = [each for each in found if role in each["roles"]]
        if text := query.get("text"):
            found = [each for each in found if text.casefold() in each["name"].casefold()]
        begin = int(query.get("cursor", "0"))
        more = str(begin + limit) if begin + limit < len(found) else None
        hidden_count = self.hidden if not begin else None
        shown = found[begin : begin + limit]
        if source := query.get("can_replace"):
            shown = [each for each in shown if each["user"] not in {source, *self.seated}]
        return reply({"items": shown, "next": more, "pools": self.pools, "hidden": hidden_count})

    def _one(self, user: str, request: httpx.Request) -> httpx.Response:
        if user not in self.people:
            return refusal(404, "not-found", "The service found no person.")
        found = self.people[user]
        return reply(found, etag=f'"{found["version"]}"')

    @staticmethod
    def _why(user: str, request: httpx.Request) -> httpx.Response:
        if user != "u1":
            return refusal(404, "not-found", "The service found no decision about this person.")
        bought = {"at": "2026-03-02T09:00:00.000Z", "user": "u1", "reason": "over_limit", "pools": []}
        flagged = bought | {"module": "lab", "deadline": "2026-03-09T09:00:00.000Z"}
        answer: dict[str, Any] = {
            "user": "u1",
            "at": "2026-01-02T09:00:00.000Z",
            "reason": "licence_free",
            "asked": "hired",
            "released": ["planning"],
        }
        answer["modules"] = [{"module": "lab", "state": "active"}, {"module": "projects", "state": "active", "reason": "licence_free"}]
        chain = [
            {
                "partition": 3,
                "offset": 17,
                "command": {},
                "decisions": [{"id": "2", "type": "seatpool.seats.v1.seat_flagged", "data": flagged}],
            },
            {
                "partition": 3,
                "offset": 9,
                "command": {},
                "decisions": [{"id": "1", "type": "seatpool.seats.v1.seats_assigned", "data": answer}],
            },
        ]
        return reply({"user": user, "chain": chain, "complete": True})

    @staticmethod
    def _timelines(user: str, request: httpx.Request) -> httpx.Response:
        facts = [
            {"day": "2026-01-02", "type": "employed", "values": {}, "by_rest": False},
            {"day": "2026-01-02", "type": "changed", "values": {"name": "Zora Schmid", "department": "Sales <b>"}, "by_rest": False},
            {"day": "2026-07-01", "type": "left", "values": {}, "by_rest": True},
        ]
        begin, more = int(request.url.params.get("cursor", "0")), None
        if user == "u5":  # of whom more facts are known than a page shows
            facts, more = facts[begin : begin + 2], "2" if begin == 0 else None
        timelines: list[dict[str, Any]] = [{"source": "hr/acme", "kind": "hr", "external_id": f"E-{user}", "facts": facts}]
        if user == "u5":  # who was also added on a page: without an id of the company, the service makes one
            timelines.append({"source": "rest", "kind": "rest", "external_id": MADE_ID, "facts": []})
        return reply({"timelines": timelines, "next": more})

    # -------------------------------------------------------------------------------------------------------------- changes

    def _announced(self, change: Answer) -> Answer:
        """Return the answer to a change of a person that answers `dry_run` as users does."""

        def answer(*given: Any) -> httpx.Response:
            if "dry_run" not in given[-1].url.params:
                return change(*given)
            cost = {"currency": "CHF", "term": "monthly", "net_minor": 1200}
            more = self.person_expansions
            return reply(
                {"decided": self.decides, "status": "active", "modules": [], "not_subscribed": [], "expansions": more, "cost": cost}
                | {"reductions": self.reductions, "saving": SAVING if self.reductions else None}
            )

        return answer

    def _set(self, user: str, **values: Any) -> httpx.Response:
        self.people[user] |= values
        return reply(self.people[user])

    def _add(self, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        if any(each["login"] and each["login"] == body.get("login") for each in self.people.values()):
            return refusal(409, "login-in-use", "Another employed person has this login.")
        if "dry_run" in request.url.params:
            states = [{"module": name, "state": state, "deadline": None, "reason": reason, "warning": None} for name, state, reason in (
                ("planning", "active", None), ("projects", "refused", "pool_full"))]  # fmt: skip
            expansions = [{"module": "planning", "licences": 1}] if self.decides else []
            cost = {"currency": "CHF", "term": "monthly", "net_minor": 1200}
            return reply(
                {
                    "decided": self.decides,
                    "status": "refused",
                    "modules": states,
                    "not_subscribed": [],
                    "expansions": expansions,
                    "cost": cost,
                }
            )
        user = f"new{len(self.people)}"
        self.people[user] = person(user, body["name"]) | {name: body[name] for name in ("login", "email") if name in body}
        return reply(self.people[user], 201)

    def _bulk(self, request: httpx.Request) -> httpx.Response:
        """Change people as users does. A revision is the version here."""
        body, dry_run = orjson.loads(request.content), "dry_run" in request.url.params
        wanted = {"activate": "active", "deactivate": "inactive"}[body["action"]]
        found = []
        for each in body["people"]:
            known = self.people.get(each["user"])
            shown = {"user": each["user"], "name": known and known["name"], "detail": "", "modules": [], "revision": None}
            shown |= {"reason": None, "obstacle": known["obstacle"] if known and body["action"] == "activate" else None}
            if known is None or known["status"] == "left":
                reason = "person-has-left" if known else "not-found"
                shown |= {"outcome": "refused", "reason": reason, "detail": "The person has left.", "status": known and "left"}
            elif each.get("revision") not in (None, known["version"]):
                shown |= {"outcome": "changed_meanwhile", "status": known["status"]}
            elif known["status"] == wanted:
                shown |= {"outcome": "unchanged", "status": wanted}
            else:
                if not dry_run:
                    known |= {"status": wanted, "version": known["version"] + 1}
                shown |= {"outcome": "changed", "status": wanted, "revision": known["version"]}
            found.append(shown)
        pools = [{"module": "planning", "licences": 12, "before": 9, "after": 8}]
        changing = body["action"] == "activate" and any(each["outcome"] == "changed" for each in found)
        more = self.bulk_expansions if dry_run and changing else []
        cost = {"currency": "CHF", "term": "monthly", "net_minor": 1200} if more else None
        return reply({"people": found, "decided": self.decides if dry_run else None, "pools": pools, "expansions": more, "cost": cost})

    def _patch(self, user: str, request: httpx.Request) -> httpx.Response:
        if request.headers["if-match"] != f'"{self.people[user]["version"]}"':
            return refusal(412, "precondition-failed", "It was changed.")
        if "dry_run" in request.url.params:
            cost = {"currency": "CHF", "term": "monthly", "net_minor": 1200}
            more = (
                [{"module": "planning", "licences": 1}]
                if orjson.loads(request.content).get("profile") == self.expanding_profile
                else self.person_expansions
            )
            known = {"decided": self.decides, "modules": [], "not_subscribed": [], "expansions": more, "cost": cost}
            return reply(known | {"status": "active"})
        return self._set(user, **orjson.loads(request.content))

    def _remove_override(self, user: str, name: str, request: httpx.Request) -> httpx.Response:
        overrides = {field: value for field, value in self.people[user]["overrides"].items() if field != name}
        return self._set(user, overrides=overrides)

    def _terminate(self, user: str, request: httpx.Request) -> httpx.Response:
        day = orjson.loads(request.content)["last_day"]
        if "dry_run" not in request.url.params:
            self.people[user]["last_day"] = day
        licences = [{"module": "lab", "state": self.lab_of_leaver}, {"module": "projects", "state": "free"}]
        reduction = {"items": [{"module": "projects", "total": 118}]}
        return reply({"person": self.people[user], "last_day": day, "licences": licences, "reduction": reduction})

    def _erase(self, user: str, request: httpx.Request) -> httpx.Response:
        if self.people[user]["status"] != "left":
            return refusal(409, "person-not-left", "Only the data of people who have left can be erased.")
        return self._set(user, name="", login=None, email="", erased_at="2026-03-05T09:00:00.000Z")

    def _link(self, user: str, request: httpx.Request) -> httpx.Response:
        del self.people[user]
        return reply(self.people[orjson.loads(request.content)["to"]])

    def _put_profile(self, name: str, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        if "dry_run" in request.url.params:
            return reply(PREVIEW | {"decided": self.decides, "expansions": self.settings_expansions})
        known = self.profiles.get(name, {"version": 0})
        if request.headers["if-match"] != f'"{known["version"]}"':
            return refusal(412, "precondition-failed", "It was changed.")
        self.profiles[name] = profile(name, body["name"], *body["modules"]) | {"version": known["version"] + 1, "partial": body["partial"]}
        return reply(self.profiles[name])

    def _mapping(self, request: httpx.Request) -> httpx.Response:
        found = reply(self.departments, etag=self._mark())
        self.departments |= self.meanwhile
        return found

    def _mark(self) -> str:
        return f'"{crc32(orjson.dumps(self.departments, option=orjson.OPT_SORT_KEYS))}"'

    def _put_mapping(self, request: httpx.Request) -> httpx.Response:
        if "dry_run" in request.url.params:
            few = {"decided": False, "outcomes": [], "changed": 5000, "expansions": []}
            modules = [each | {"licences": self.known_licences} for each in PREVIEW["modules"]]
            return reply(PREVIEW | {"modules": modules} | ({"expansions": self.settings_expansions} if self.settings_expansions else few))
        if request.headers.get("if-match") != self._mark():
            return refusal(412, "precondition-failed", "It was changed.")
        self.departments = orjson.loads(request.content)
        return reply(self.departments)

    def _held(self, source: str, request: httpx.Request) -> httpx.Response:
        found = next((each for each in self.held if each["source"] == source), None)
        leavers, joiners = ([f"{first}-{number}" for number in range(count)] for first, count in (("4711", 41), ("4811", 22)))
        return (
            reply(found | {"external_ids": leavers, "would_begin": 22, "beginning": joiners, "names": self.held_names})
            if found
            else refusal(404, "not-found", "Nothing of this source waits.")
        )

    def _decide_held(self, decision: str, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        if decision == "confirm" and body["confirm"] != self.held[0]["would_end"]:
            return refusal(409, "import-needs-confirmation", "This would end the access of so many people.", would_end=41)
        self.held.clear()
        return httpx.Response(204)

    def _confirm_duplicates(self, request: httpx.Request) -> httpx.Response:
        self.sources[0]["duplicates_held"] = False
        return reply(self.sources[0], 202)

    def _begin_import(self, request: httpx.Request) -> httpx.Response:
        self.begun = orjson.loads(request.content)
        if self.import_running:
            return refusal(409, "import-running", "The import is still checked.", running=self.import_running)
        return reply({"import": "i1"}, 201)

    def _upload(self, first: str, request: httpx.Request) -> httpx.Response:
        self.uploaded += orjson.loads(request.content)["people"]
        return reply({"accepted": 1, "invalid": []})

    def _import(self) -> dict[str, Any]:
        counts = {"new": 1, "changed": 1, "unchanged": 3, "invalid": 1, "leaving": self.would_end, "absent": 0, "others": 1}
        modules = [{"module": "lab", "required_before": 27, "required": 28, "licences": 27, "available": 0}]
        guard = {"would_end": self.would_end, "limit": 5, "needs_confirmation": self.would_end > 5}
        flagged = {"module": "lab", "state": "flagged", "deadline": "2026-03-12T09:00:00.000Z", "reason": "pool_full"}
        decided = {"user": "u9", "external_id": "9", "status": "over_limit", "modules": [flagged]}
        seats = {
            "decided": self.decides,
            "detail": "",
            "people": [decided] if self.decides else [],
            "expansions": self.import_expansions,
            "cost": SAVING if self.import_expansions else None,
            "reductions": self.import_reductions,
            "saving": SAVING if self.import_reductions else None,
        }
        other = {"user": "u6", "external_id": "E-6", "source": "hr/acme", "before": "conflict", "after": "active"}
        departments = [{"department": "Lab & Co", "people": self.lacking - 1}, {"department": None, "people": 1}]
        lacking = {"people": self.lacking, "departments": departments}
        report = {"counts": counts, "absent": [], "others": [other], "invalid": [], "modules": modules, "seats": seats, "guard": guard}
        report["without_profile"] = lacking
        own = {"import": "i1", "source": "hr/acme", "status": self.import_status, "people": 5, "done": 1, "total": 2, "failure": None}
        return own | {"report": report}

    def _check_import(self, _: httpx.Request) -> httpx.Response:
        if self.check_refused:
            return refusal(409, "clock-advancing", "The test clock is being advanced.")
        self.lacking = self.lacking_now
        return reply(self._import()["report"])

    def _apply_import(self, request: httpx.Request) -> httpx.Response:
        given = orjson.loads(request.content) if request.content else {}
        if self.would_end > 5 and given.get("confirm") != self.would_end:
            return refusal(409, "import-needs-confirmation", "Too many people would lose access.")
        self.import_status = "applying"
        return reply(self._import(), 202)

    def _discard_import(self, request: httpx.Request) -> httpx.Response:
        self.import_status = "deleted"
        return httpx.Response(204)
