"""Run one command on the real domain, on a replica fed by its events alone, on a store fed by its rows alone, and on the reference model,
and compare all four. Also translate the model's plain commands into messages, and messages into the model's plain events."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from unittest import mock

import orjson

from services.seats import domain
from services.seats.domain.decision import DecisionBuilder
from shared.schemas import registry, seats_v1, topics
from tests.model.reference_model import RENEWAL_TAKES, Command, Event, ReferenceModel, took
from tests.model.renaming import Renamed
from tests.support.seats_harness import evolve

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TENANT = "acme"
SHOWN = ("user", "module", "field", "order", "must_free", "last_revision", "last_number", "base", "by", "reduce_at", "blocked_by")
INSTANTS = ("deadline", "flagged_at", "starts_at")
MODELS = {name.rpartition(".")[2]: entry.model for name, entry in registry.REGISTRY.items() if entry.topic is topics.SEATS_COMMANDS}


def at(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def ms(text: str | None) -> int | None:
    return None if text is None else round((datetime.fromisoformat(text) - EPOCH) / timedelta(milliseconds=1))


def iso(duration_ms: int | None) -> str:
    return "P1M" if duration_ms is None else f"PT{duration_ms // 1000}S"


def policies(plain: dict[str, Any]) -> seats_v1.Policies:
    return seats_v1.Policies(**plain | ({"grace": iso(plain["grace"])} if "grace" in plain else {}))


def need(c: Command) -> dict[str, Any]:
    hold = c["hold_until"]
    release = c.get("release")
    same = {k: c[k] for k in ("administrator", "priority", "partial", "suspended")}
    return {
        **same,
        "modules": tuple(c["modules"]),
        "created_at": at(c["created_at"]),
        "reactivate": tuple(c["reactivate"]),
        "hold_until": None if hold is None else at(hold),
        "release": None
        if release is None
        else seats_v1.DatedRelease(**release | {"at": at(release["at"]), "modules": tuple(release["modules"])}),
    }


def payload(c: Command) -> Any:
    """The message of a plain command."""
    rest = {k: v for k, v in c.items() if k != "type"}
    for field in ("to", "approved_at", "starts_at"):
        if field in rest and isinstance(rest[field], int):
            rest[field] = at(rest[field])
    match c["type"]:
        case "open_tenant":
            rest["at"] = at(c["at"])
        case "open_pool" | "set_policy":
            rest["policies"] = policies(c["policies"])
        case "assign_seats":
            rest |= need(c)
        case "replace_user":
            rest["to"] = seats_v1.Need(**need(c["to"]))
    if "items" in c:
        rest["items"] = tuple(seats_v1.LicenceCount(module=m, quantity=n) for m, n in c["items"])
        period, pools = c["expected"]
        named = tuple(seats_v1.ExpectedPool(module=m, licences=n, next_period=following) for m, n, following in pools)
        rest["expected"] = seats_v1.Expected(period=period, pools=named)
    return MODELS[c["type"]](**rest)


def plain(event: domain.Event) -> Event:
    """The event as the reference model says it."""
    body = event.body
    seen: Event = {"type": event.type.rpartition(".")[2], "role": body["role"], "reason": body["reason"]}
    seen |= {field: body[field] for field in SHOWN if field in body}
    seen |= {field: ms(body[field]) for field in INSTANTS if body.get(field) is not None}
    if "required" in body:
        seen["required"] = [*body["required"]]
    for field in ("released", "moved"):
        if field in body:
            seen[field] = sorted(body[field])
    if seen["type"] in ("seats_assigned", "seats_queued", "seats_refused", "seats_moved"):
        seen.setdefault("released", [])
        seen["modules"] = [(m["module"], m["state"], ms(m.get("deadline")), ms(m.get("since")), m.get("reason")) for m in body["modules"]]
    if seen["type"] == "period_started":
        seen["reduction_limited"] = body.get("reduction_limited", [])
    if seen["type"] == "reduction_scheduled":
        seen |= {field: [(w["module"], list(w["users"])) for w in body.get(field, [])] for field in RENEWAL_TAKES}
        assert all(w["count"] == len(w["users"]) for field in RENEWAL_TAKES for w in body.get(field, [])), "so few are all named"
    if seen["type"] == "command_rejected" and seen["field"].startswith("items"):
        seen["field"] = "items"
    return seen


Store = dict[str, domain.Row]
Live = dict[str, domain.Tenant]
Action = tuple[Any, ...]  # name of a method of Harness, and its arguments


class Harness:
    """`seen` counts (what, value) over all runs: event types, reasons, policy values."""

    last_log: ClassVar[list[Action]] = []

    def __init__(self, seen: Counter[tuple[str, str]]) -> None:
        self.log: list[Action] = []
        self.seen = seen
        self.reference = ReferenceModel()
        self.live: Live = {}
        self.replica: Live = {}
        self.store: Store = {}
        self._read_back: dict[int, tuple[domain.Row, domain.Row]] = {}  # id of a row -> the row, and what a table makes of it
        self.renamed: list[Renamed] = []
        self.offset = 0
        self.clock = 1_384_502_400_000  # 2013-11-15 08:00 UTC

    @property
    def tenant(self) -> domain.Tenant | None:
        return self.live.get(TENANT)

    def do(self, action: Action) -> None:
        getattr(self, action[0])(*action[1:])

    def _logged(self, *action: Any) -> None:
        self.log.append(action)
        Harness.last_log = self.log

    def through_json(self, store: Store) -> Store:
        """Return the rows that a worker restores from a table of these rows. Rows never change, so each is converted once."""
        for key, row in store.items():
            if id(row) not in self._read_back:
                self._read_back[id(row)] = (row, domain.from_json(key, orjson.loads(orjson.dumps(domain.to_json(key, row)))))
        return {key: self._read_back[id(row)][1] for key, row in store.items()}

    def rename(self, *names: dict[str, str]) -> None:
        """From the beginning of a history: decide it again under these names."""
        self._logged("rename", *names)
        self.renamed = [Renamed(each) for each in names]

    def run(
        self, c: Command, command: str, source: str = "seatpool/users", crash_after: float | None = None, fail_at: int = 0
    ) -> list[Event]:
        """`crash_after`: also restore from a table that got only this share of the decision's rows. `fail_at`: let it raise at that event
        first."""
        self._logged("run", c, command, source, crash_after, fail_at)
        self.offset += 1
        message = domain.Command(command, source, TENANT, payload(c), 0, self.offset)
        if fail_at:
            self._fail(fail_at, lambda: domain.decide(self.live, message, self.clock))
        twin = domain.load(self.through_json(self.store).items()) if crash_after is not None else None
        decision = domain.decide(self.live, message, self.clock)
        if twin is not None:
            self._same(decision, domain.decide(twin, message, self.clock))
        for other in self.renamed:
            again = message._replace(payload=payload(other.command(c)))

            def decide_again(live: Live, again: domain.Command = again) -> domain.Decision:
                return domain.decide(live, again, self.clock)

            other.same(decision, decide_again)
        expected = self.reference.decide(c, command, source, self.offset, self.clock)
        got = self._compare(decision, expected, crash_after)
        for answer in got:
            if answer["type"] == "reduction_scheduled":
                self._renewal_takes(answer, [module for module, _ in c["items"]])
        return got

    def tick(self, limit: int, crash_after: float | None = None, fail_at: int = 0, to: int = 0) -> list[Event]:
        """`to`: the clock moves there first."""
        self._logged("tick", limit, crash_after, fail_at, to)
        self.clock = max(self.clock, to)
        self.offset += 1

        def decide(live: Live) -> domain.Decision:
            return domain.decide_tick(live[TENANT], f"tick-{self.offset}", 0, self.offset, self.clock, 0, limit)

        if fail_at:
            self._fail(fail_at, lambda: decide(self.live))
        twin = domain.load(self.through_json(self.store).items()) if crash_after is not None else None
        decision = decide(self.live)
        if twin is not None:
            self._same(decision, decide(twin))
        for other in self.renamed:
            other.same(decision, decide)
        return self._compare(decision, self.reference.tick(self.offset, self.clock, limit), crash_after)

    def _renewal_takes(self, confirmed: Event, modules: list[str]) -> None:
        """T18: the forecast of the renewal flags those and cancels the holds of those whom the confirmation of the reduction names, and of
        nobody else."""
        scheduled = self.live[TENANT].row.scheduled
        if not scheduled:
            return
        budget = domain.Budget(100_000)
        rows = self.live[TENANT].rows()
        events = domain.forecast(rows, self.clock, scheduled[0].starts_at, budget, offset=self.offset + 1).events
        began = next(n for n, event in enumerate(events) if event.type.endswith(".period_started"))
        taken = [{"type": event.type.rpartition(".")[2], **event.body} for event in events[began:]]
        for field, type_ in RENEWAL_TAKES.items():
            assert confirmed[field] == took(taken, type_, modules)
            self.seen[("renewal", field if confirmed[field] else f"{field} nobody")] += 1

    def _fail(self, at_event: int, decide: Callable[[], domain.Decision]) -> None:
        """An error in the middle of a decision leaves everything as it was."""
        real, count = DecisionBuilder.emit, 0

        def emit(work: DecisionBuilder, *args: Any, **fields: Any) -> Any:
            nonlocal count
            count += 1
            if count == at_event:
                raise ZeroDivisionError
            return real(work, *args, **fields)

        if TENANT not in self.live:
            return
        with mock.patch.object(DecisionBuilder, "emit", emit):
            try:
                decide()
            except ZeroDivisionError:
                pass
            else:
                self.live = domain.load(self.through_json(self.store).items())  # it had fewer events: back to what is stored
        assert dict(self.live[TENANT].rows()) == self.store
        domain.check_all(self.live[TENANT])

    @staticmethod
    def _same(decision: domain.Decision, other: domain.Decision) -> None:
        """A worker that restored from the table repeats a decision byte for byte."""
        assert [(e.type, e.n, e.user, orjson.dumps(e.body)) for e in decision.events] == [
            (e.type, e.n, e.user, orjson.dumps(e.body)) for e in other.events
        ]
        assert decision.changed == other.changed

    def restart(self) -> None:
        """The worker dies; another restores from the table."""
        self._logged("restart")
        self.live = domain.load(self.through_json(self.store).items())

    def restart_from_events(self) -> None:
        """The worker dies; another has read the decisions alone."""
        self._logged("restart_from_events")
        self.live, self.replica = self.replica, domain.load(self.through_json(self.store).items())

    def ask(self, commands: list[domain.Command], later: int) -> None:
        """What if says what would be decided, a forecast what ticks would settle, and neither changes anything."""
        self._logged("ask", commands, later)
        budget = domain.Budget(100_000)
        answers = domain.what_if(self.live[TENANT].rows(), commands, self.clock, budget)
        seen = domain.forecast(self.live[TENANT].rows(), self.clock, later, budget, offset=self.offset + 1)
        assert dict(self.live[TENANT].rows()) == self.store
        domain.check_all(self.live[TENANT])
        twin = domain.load(self.through_json(self.store).items())
        assert answers == [domain.decide(twin, command, self.clock).events for command in commands]
        tenant = domain.load(self.through_json(self.store).items())[TENANT]
        now, settled = tenant.now(self.clock), list[domain.Event]()
        tenant.put_tenant(tenant.row._replace(test_clock=False))  # which ticks leave alone
        while (due := tenant.due()) is not None and due <= later:
            settled += domain.decide_tick(tenant, "forecast", 0, self.offset + 1, max(due, now), len(settled)).events
        assert seen.events == settled
        assert seen.pools == [domain.pool_state(tenant.pools[module]) for module in sorted(tenant.pools)]

    def _compare(self, decision: domain.Decision, expected: list[Event], crash_after: float | None) -> list[Event]:
        from_log = []  # as a reader gets them
        for n, event in enumerate(decision.events):
            assert event.n == n
            value = orjson.dumps(event.body)
            registry.REGISTRY[event.type].model.model_validate_json(value)  # as a writer: no unknown field
            from_log.append(domain.Event(event.type, orjson.loads(value), n))
            self.seen[("event", event.type.rpartition(".")[2])] += 1
            self.seen[("reason", event.body["reason"])] += 1
            self._chained(event)
            for shown in event.body.get("modules", []):
                self.seen[("reason", shown.get("reason") or "")] += 1
                self.seen[("state", shown["state"])] += 1
        got = [plain(event) for event in decision.events]
        assert got == expected, f"\ngot      {got}\nexpected {expected}"
        before = dict(self.store)
        self._write(self.store, decision.changed)
        for event in from_log:
            evolve(self.replica, TENANT, event)
        tenant = self.tenant
        if tenant is not None:
            assert dict(tenant.rows()) == self.store, "the changed rows are not all that changed"
            assert dict(self.replica[TENANT].rows()) == self.store, "evolve made other rows than decide"
            domain.take_changed(self.replica[TENANT])
            domain.check_all(tenant)
            self._same_state(tenant)
            if crash_after is not None:
                self._cut_off(before, decision, from_log, crash_after)
        return got

    def _chained(self, event: domain.Event) -> None:
        """`prev` is where the last command but this one touched the person."""
        if event.type.rpartition(".")[2] == "command_ignored":
            return
        for user, prev in ((event.body.get("user"), "prev"), (event.body.get("from_user"), "from_prev")):
            row = self.store.get(domain.user_key(TENANT, user)) if user else None
            offset = row.offset if isinstance(row, domain.UserRow) else None
            assert event.body.get(prev, {}).get("offset") == offset, f"{prev} of {user}: {event.body.get(prev)}, was at {offset}"

    @staticmethod
    def _write(store: Store, changed: domain.Changed) -> None:
        for key, row in changed.items():
            if row is None:
                del store[key]
            else:
                store[key] = row

    def _cut_off(self, before: Store, decision: domain.Decision, from_log: list[domain.Event], share: float) -> None:
        """The worker died between two frames of this decision: the rest is made from its published events."""
        items = list(decision.changed.items())
        table, written = dict(before), dict(items[: int(len(items) * share)])
        self._write(table, written)
        if domain.tenant_key(TENANT) not in table:
            return
        tenants = domain.load(self.through_json(table).items())
        rest = domain.complete(tenants, TENANT, from_log)
        assert dict(tenants[TENANT].rows()) == self.store, "the rows completed from the decisions differ"
        for key, row in rest.items():
            if row is None:
                table.pop(key, None)
            else:
                table[key] = row
        assert table == self.store
        domain.check_all(tenants[TENANT])

    def _same_state(self, tenant: domain.Tenant) -> None:
        reference = self.reference
        assert sorted(tenant.pools) == sorted(reference.pools)
        for module, pool in tenant.pools.items():
            theirs = reference.pools[module]
            counted = tuple(reference.count(module, state) for state in ("active", "flagged", "held", "waiting"))
            assert (pool.active, pool.flagged, pool.held, pool.waiting) == counted, module
            row = pool.row
            assert (row.licences, row.next_period, row.warned, row.free_since, row.numbered, row.former_next) == tuple(
                theirs[field] for field in ("licences", "next", "warned", "free_since", "numbered", "former")
            )
        assert [entry.period for entry in tenant.row.scheduled] == [period for _, period, _ in reference.scheduled]
        mine = {(u, m, s.state, s.since, s.deadline) for u, row in tenant.users.items() for m, s in row.seats.items()}
        assert mine == {(s["user"], s["module"], s["state"], s["since"], s["deadline"]) for s in reference.seats}
        suspended = {u for u, row in tenant.users.items() if row.suspended}
        assert suspended == {u for u, person in reference.people.items() if person["suspended"]}
        dated = {
            u: row.release._asdict() | {"modules": [*row.release.modules]} for u, row in tenant.users.items() if row.release is not None
        }
        assert dated == {u: person["release"] for u, person in reference.people.items() if person["release"] is not None}
        reduced = {u: [tuple(entry) for entry in row.reduced] for u, row in tenant.users.items() if row.reduced}
        assert reduced == {u: person["reduced"] for u, person in reference.people.items() if person["reduced"]}
        due = reference.due()
        assert tenant.due() == (due[0][0] if due else None)
        self._laws()

    def _laws(self) -> None:
        """Check the invariants of seats once more, on the reference state."""
        reference = self.reference
        for module in reference.pools:
            assert reference.count(module, "active", "held") <= reference.pools[module]["licences"]
            assert not (reference.free(module) > 0 and reference.count(module, "flagged"))
        assert reference.servable() == []
