"""The independent checker: says from the topics alone whether the decisions keep the laws. It imports nothing of the seats service.

It goes through the decisions in the order of the commands, rebuilds who holds what from them, and after every command compares that
with the pools the decisions show. Laws: one answer for every command, and never two that differ; never more seats than licences; nobody
flagged while a licence is free; no grace renewed; nobody served past somebody who waited longer.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson

SHOWN_MAX = 20
EVENTS = "seatpool.seats.v1."
UNANSWERED = {EVENTS + "tick", EVENTS + "rules_activated"}  # commands without an answer of their own
HELD_STATES = ("active", "flagged", "held", "waiting")
REMEMBERED = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Logged:
    """A record of either topic."""

    offset: int
    headers: tuple[tuple[str, bytes], ...]
    value: bytes | None

    def header(self, name: str) -> str:
        return next((value.decode() for key, value in self.headers if key == name), "")


@dataclass(slots=True)
class Findings:
    counts: Counter[str] = field(default_factory=Counter)
    shown: list[str] = field(default_factory=list)

    def add(self, law: str, what: str) -> None:
        self.counts[law] += 1
        if len(self.shown) < SHOWN_MAX:
            self.shown.append(f"{law}: {what}")


@dataclass(slots=True)
class _Seat:
    state: str
    deadline: str | None
    since: str | None


@dataclass(slots=True)
class _Person:
    seats: dict[str, _Seat] = field(default_factory=dict)
    need: dict[str, Any] = field(default_factory=dict)
    flags: dict[str, tuple[str, str]] = field(default_factory=dict)  # given up or run out: module -> (since, deadline)


Place = tuple[int, str, int, int]  # -priority, since, command offset, n


@dataclass(slots=True)
class _Tenant:
    people: dict[str, _Person] = field(default_factory=lambda: defaultdict(_Person))
    pools: dict[str, dict[str, Any]] = field(default_factory=dict)
    base: dict[str, bool] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    waiting: dict[str, dict[str, Place]] = field(default_factory=lambda: defaultdict(dict))  # module -> user -> place


def check_partition(commands: Sequence[Logged], events: Iterable[Logged], partition: int) -> Findings:
    """`events` may hold repeated decisions; `commands` are all of the partition, from offset 0."""
    findings = Findings()
    by_command = _unique(events, partition, findings)
    answers: dict[tuple[str, str, str], set[bytes]] = defaultdict(set)
    state: dict[str, _Tenant] = defaultdict(_Tenant)
    for command in commands:
        decided = by_command.pop(command.offset, [])
        _check_answer(command, decided, answers, findings)
        _Command(state, findings, f"{partition}/{command.offset}").check(decided)
    for offset, decided in by_command.items():
        findings.add("unknown", f"{partition}/{offset}: {len(decided)} decisions without a command")
    findings.counts["commands"] += len(commands)
    return findings


@dataclass(frozen=True, slots=True)
class _Event:
    n: int
    offset: int
    name: str
    tenant: str
    body: dict[str, Any]


def _unique(events: Iterable[Logged], partition: int, findings: Findings) -> dict[int, list[_Event]]:
    """Each decision once, by the offset of its command and in order. The same id with other bytes is a conflict."""
    seen: dict[str, tuple[Any, Any]] = {}
    found: dict[int, list[_Event]] = defaultdict(list)
    for record in events:
        id_ = record.header("ce_id")
        content = (record.headers, record.value)
        if id_ in seen:
            findings.counts["repeated"] += 1
            if seen[id_] != content:
                findings.add("conflicting", id_)
            continue
        seen[id_] = content
        _, where, offset, n = id_.split("/")
        if int(where) != partition:
            findings.add("conflicting", f"{id_} stands in partition {partition}")
        name = record.header("ce_type").removeprefix(EVENTS)
        found[int(offset)].append(_Event(int(n), int(offset), name, record.header("ce_tenantid"), orjson.loads(record.value or b"")))
        findings.counts["decisions"] += 1
    for decided in found.values():
        decided.sort(key=lambda event: event.n)
    return found


def _check_answer(command: Logged, decided: list[_Event], answers: dict[tuple[str, str, str], set[bytes]], findings: Findings) -> None:
    where, type_ = f"offset {command.offset}", command.header("ce_type")
    own = [event for event in decided if event.body["role"] == "answer"]
    if [event.n for event in decided] != list(range(len(decided))):
        findings.add("missing", f"{where}: decisions {[event.n for event in decided]}")
    if type_ in UNANSWERED:
        if own:
            findings.add("conflicting", f"{where}: a {type_} is answered")
        return
    if not own:
        findings.add("unanswered", f"{where}: {type_}")
    if len(own) > 1:
        findings.add("conflicting", f"{where}: {len(own)} answers")
    for event in own:
        id_ = command.header("ce_id")
        if id_ and event.body["command"] != id_:
            findings.add("conflicting", f"{where}: the answer names command {event.body['command']}")
        if event.name in ("command_ignored", "command_rejected"):
            continue
        kept = answers[command.header("ce_tenantid"), command.header("ce_source"), id_]
        kept.add(b"%d" % command.offset)
        if len(kept) > 1:
            findings.add("conflicting", f"{where}: command {id_} is answered twice, at offsets {sorted(kept)}")


class _Command:
    """All decisions about one command."""

    def __init__(self, state: dict[str, _Tenant], findings: Findings, where: str) -> None:
        self._state, self._findings, self._where = state, findings, where
        self._granted: set[tuple[str, str]] = set()  # tenant, user

    def check(self, decided: list[_Event]) -> None:
        served: list[tuple[str, str, str, Place]] = []
        tenants: dict[str, None] = {}
        # Whose need changes with the command: the queue is served by it before the answer says it.
        answers = [event.body for event in decided if event.body["role"] == "answer"]
        changing = {body[field] for body in answers for field in ("user", "from_user") if field in body}
        for event in decided:
            if not event.tenant:
                continue
            tenants[event.tenant] = None
            if served and event.name not in ("seat_granted", "seat_flag_cleared"):
                self._check_order(served, changing)  # what came free at once is served, before the next thing falls due
            self._apply(self._state[event.tenant], event, served)
        for tenant in tenants:
            shown = {pool["module"]: pool for event in decided if event.tenant == tenant for pool in event.body["pools"]}
            self._check_pools(tenant, shown)
        self._check_order(served, changing)

    # -- who holds what -------------------------------------------------------------------------------------------------

    def _apply(self, tenant: _Tenant, event: _Event, served: list[tuple[str, str, str, Place]]) -> None:
        body, name = event.body, event.name
        user, module = body.get("user", ""), body.get("module", "")
        if name == "pool_opened":
            tenant.base[module] = body["base"]
        elif name in ("seats_assigned", "seats_queued", "seats_refused"):
            self._answered(tenant, user, event)
        elif name == "seats_moved":
            self._moved(tenant, body["from_user"], user, event)
        elif name == "seat_flagged":
            person = tenant.people[user]
            person.flags.pop(module, None)  # set by a cut, or in somebody's place: a flag of its own, with its full grace
            self._put(tenant, user, module, _Seat("flagged", body.get("deadline"), body["at"]), event)
        elif name in ("seat_flag_cleared", "seat_granted"):
            if name == "seat_granted":
                self._note_served(tenant, event, served)
            tenant.people[user].flags.pop(module, None)
            self._put(tenant, user, module, _Seat("active", None, None), event)
        elif name == "seat_revoked":
            self._revoked(tenant, user, module, event)
        elif name == "seat_released" and body["reason"] == "pool_closed":
            self._take(tenant, user, module)  # nobody gave it up: a pool of that name that is opened later has no memory of it
        elif name == "seats_released":
            self._released_as_dated(tenant, user, event)
        elif name in ("seat_released", "hold_expired", "hold_cancelled"):
            self._give_up(tenant, user, module)

    def _note_served(self, tenant: _Tenant, event: _Event, served: list[tuple[str, str, str, Place]]) -> None:
        """Out of the queue, and waiting for this module alone, not with one granted just before: then nobody who waits for it alone may
        be before."""
        user, module = event.body["user"], event.body["module"]
        waits = [m for m, seat in tenant.people[user].seats.items() if seat.state == "waiting"]
        place = tenant.waiting[module].get(user)
        if waits == [module] and place is not None and (event.tenant, user) not in self._granted:
            served.append((event.tenant, user, module, place))
        self._granted.add((event.tenant, user))

    def _revoked(self, tenant: _Tenant, user: str, module: str, event: _Event) -> None:
        seat = tenant.people[user].seats.get(module)
        if seat is None or seat.state != "flagged" or seat.deadline is None or seat.deadline > event.body["at"]:
            self._findings.add("bound_broken", f"{self._where}: {user}/{module} is revoked at {event.body['at']}, was {seat}")
        self._give_up(tenant, user, module)

    def _answered(self, tenant: _Tenant, user: str, event: _Event) -> None:
        body = event.body
        person = tenant.people[user]
        person.need = body["need"]
        for module in body.get("released", ()):
            self._give_up(tenant, user, module)
        named = {entry["module"]: entry for entry in body["modules"]}
        for module in [module for module in person.seats if module not in named]:
            self._give_up(tenant, user, module)
        for module, entry in named.items():
            if entry["state"] not in HELD_STATES:
                self._give_up(tenant, user, module)
                continue
            seat = _Seat(entry["state"], entry.get("deadline"), entry.get("since"))
            if seat.state == "flagged":
                self._check_grace(person, user, module, seat, event)
            if seat.state in ("active", "flagged"):
                person.flags.pop(module, None)
            self._put(tenant, user, module, seat, event)

    def _released_as_dated(self, tenant: _Tenant, user: str, event: _Event) -> None:
        """It was set by the last command about this person, and it is not early. Each falls due once."""
        person, body = tenant.people[user], event.body
        release = person.need.get("release")
        if release is None or release["at"] > body["at"]:
            self._findings.add("bound_broken", f"{self._where}: {user} is released at {body['at']}, the release was {release}")
        for module in body["released"]:
            self._give_up(tenant, user, module)
        person.need = {field: value for field, value in person.need.items() if field != "release"} | {"modules": body["required"]}

    def _check_grace(self, person: _Person, user: str, module: str, seat: _Seat, event: _Event) -> None:
        """Not renewed: a flag that goes on, also after it was given up, keeps its deadline."""
        before = person.seats.get(module)
        if before is not None and before.state == "flagged" and before.deadline != seat.deadline:
            self._findings.add("grace_renewed", f"{self._where}: {user}/{module} had until {before.deadline}, now {seat.deadline}")
        kept = person.flags.get(module, ("", None))
        goes_on = before is None and None not in (kept[1], seat.deadline)
        if goes_on and kept[1] != seat.deadline and _instant(event.body["at"]) - _instant(kept[0]) <= REMEMBERED:
            self._findings.add("grace_renewed", f"{self._where}: {user}/{module} had until {kept[1]}, now {seat.deadline}")

    def _moved(self, tenant: _Tenant, source: str, target: str, event: _Event) -> None:
        given = tenant.people[source]
        moved = {module: given.seats[module] for module in event.body["moved"]}
        places = {module: place for module in moved if (place := tenant.waiting[module].get(source)) is not None}
        for module in event.body.get("from_released", ()):
            self._give_up(tenant, source, module)
        for module in moved:
            self._give_up(tenant, source, module)
            tenant.people[target].flags.pop(module, None)
        for module, seat in moved.items():
            shown = next(entry for entry in event.body["modules"] if entry["module"] == module)
            if seat.state == "flagged" and shown["state"] == "flagged" and shown.get("deadline") != seat.deadline:
                self._findings.add(
                    "grace_renewed", f"{self._where}: {module} moved with {shown.get('deadline')}, had until {seat.deadline}"
                )
            self._put(tenant, target, module, seat, event)
            if module in places:
                tenant.waiting[module][target] = places[module]  # a position in the queue moves as it is
        self._answered(tenant, target, event)

    def _put(self, tenant: _Tenant, user: str, module: str, seat: _Seat, event: _Event) -> None:
        old = tenant.people[user].seats.get(module)
        if old is not None:
            tenant.counts[module][old.state] -= 1
        tenant.counts[module][seat.state] += 1
        tenant.people[user].seats[module] = seat
        if seat.state == "waiting":
            before = tenant.waiting[module].get(user)
            priority = -tenant.people[user].need.get("priority", 0)
            order = before[2:] if before is not None and before[1] == seat.since else (event.offset, event.n)
            tenant.waiting[module][user] = (priority, seat.since or "", *order)
        else:
            tenant.waiting[module].pop(user, None)

    def _take(self, tenant: _Tenant, user: str, module: str) -> _Seat | None:
        seat = tenant.people[user].seats.pop(module, None)
        if seat is not None:
            tenant.counts[module][seat.state] -= 1
        tenant.waiting[module].pop(user, None)
        return seat

    def _give_up(self, tenant: _Tenant, user: str, module: str) -> None:
        seat = self._take(tenant, user, module)
        if seat is not None and seat.state == "flagged" and seat.deadline is not None and seat.since is not None:
            tenant.people[user].flags[module] = (seat.since, seat.deadline)

    # -- laws -----------------------------------------------------------------------------------------------------------

    def _check_pools(self, name: str, shown: dict[str, dict[str, Any]]) -> None:
        tenant = self._state[name]
        tenant.pools |= shown
        for module, pool in tenant.pools.items():  # all: a pool whose counts changed has to be shown
            counts = tenant.counts[module]
            for state in HELD_STATES:
                if counts[state] != pool[state]:
                    said = f"{self._where} {name}/{module}: {pool[state]} {state} said, the decisions make it {counts[state]}"
                    self._findings.add("bound_broken", said)
            if counts["active"] + counts["held"] > pool["licences"]:
                said = f"{self._where} {name}/{module}: {counts['active']} active, {counts['held']} held, {pool['licences']} licences"
                self._findings.add("bound_broken", said)
            if counts["flagged"] and pool["available"]:
                self._findings.add("bound_broken", f"{self._where} {name}/{module}: flagged while {pool['available']} are free")
            if pool["available"] and tenant.waiting[module]:
                self._check_unserved(name, module)

    def _check_unserved(self, name: str, module: str) -> None:
        tenant = self._state[name]
        for user in tenant.waiting[module]:
            waits = [m for m, seat in tenant.people[user].seats.items() if seat.state == "waiting"]
            if tenant.people[user].need.get("partial"):
                waits = [m for m in waits if tenant.base.get(m)] or waits[:0]
            if module in waits and all(tenant.pools[m]["available"] for m in waits):
                self._findings.add("bound_broken", f"{self._where} {name}/{module}: {user} waits and could be served")

    def _check_order(self, served: list[tuple[str, str, str, Place]], changing: set[str]) -> None:
        for name, first, module, place in served:
            tenant = self._state[name]
            for user, other in tenant.waiting[module].items():
                waits = [m for m, seat in tenant.people[user].seats.items() if seat.state == "waiting"]
                if waits == [module] and other < place and not {first, user} & changing:
                    self._findings.add("passed_over", f"{self._where} {name}/{module}: {first} is served before {user}")
        served.clear()


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
