"""The decider joins the engine and the domain: it calls a decision, and turns an error inside it into its answer. It contains no rule."""

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import structlog

from services.seats import domain
from services.seats.engine.commands import Command, Rejected
from services.seats.engine.decider import At, Decided, InvariantViolation, Published
from services.seats.engine.frames import Row
from shared.schemas import seats_v1
from shared.schemas.position import DecisionId, Position
from shared.schemas.seats_v1 import Reason

_log = structlog.get_logger("seats")

TICK_EVENTS_MAX = 10_000  # of one tick; the next tick continues
_new = tuple.__new__  # the constructor of a NamedTuple takes more than twice as long
NO_PAYLOAD = seats_v1.Tick()  # for a command that cannot be understood
BACKOFF_MS_MIN, BACKOFF_MS_MAX = 1_000, 10 * 60 * 1_000


class RowCodec:
    """Encode rows as canonical JSON: equal rows give equal bytes."""

    def encode(self, key: str, row: Row) -> bytes:
        return orjson.dumps(domain.to_json(key, row))

    def decode(self, key: str, value: bytes) -> Row:
        return domain.from_json(key, orjson.loads(value))


def error_id(partition: int, offset: int) -> str:
    """Return an id made from the position, so that a repeated decision is the same bytes. The log has the details under this id."""
    return f"error-{Position(partition=partition, offset=offset)}"


class DomainDecider:
    """The tenants of one partition."""

    def __init__(self, partition: int) -> None:
        self._partition = partition
        self.tenants: dict[str, domain.Tenant] = {}
        self._dues: list[tuple[int, str]] = []  # a heap of (due time, tenant); entries can be outdated
        self._noted: dict[str, int] = {}  # the valid entry of each tenant
        self.last_offset: dict[str, int] = {}  # of the last decision about each tenant since this worker owns it
        self._again_ms: dict[str, tuple[int, int]] = {}  # tenants whose due items failed -> (no tick before, wait)

    def load(self, rows: Mapping[str, Row]) -> None:
        self.tenants = domain.load(rows.items())
        self._dues, self._noted = [], {}
        for name in self.tenants:
            self._note_due(name)

    def knows(self, rules: int) -> bool:
        return rules in domain.RULES

    def decide(self, command: Command, at: At) -> Decided:
        """Decide a command, after the items of its tenant that are due."""
        _, _, head, payload = command
        if type(payload) is seats_v1.Tick:
            return self._tick(command, at)
        tenant = head.tenant or ""
        decidable = _new(domain.Command, (head.id, head.source, tenant, payload, at.partition, at.offset))
        try:
            decision = domain.decide(self.tenants, decidable, at.clock_ms, at.rules)
        except domain.InvariantViolation as error:
            raise InvariantViolation(str(error)) from error
        except Exception:
            name = error_id(at.partition, at.offset)
            _log.exception("command_failed", alert=True, error_id=name, tenant=tenant, type=head.type)
            event = domain.failed(self.tenants.get(tenant), decidable, at.clock_ms, name, at.rules)
            return Decided([(tenant, event)])
        self._note_due(tenant)
        self.last_offset[tenant] = at.offset
        return Decided([(tenant, event) for event in decision.events], decision.changed)

    def take_back(self, command: Command, at: At) -> Decided:
        """Undo the decision just made and answer that it is too large. A tick never needs it: the number of pools limits the size of its
        events (a test checks it)."""
        head, name = command.head, error_id(at.partition, at.offset)
        assert head.tenant is not None, "a tick's events fit"
        tenant = self.tenants[head.tenant]
        tenant.rollback()
        self._note_due(head.tenant)
        _log.error("command_failed", alert=True, error_id=name, tenant=head.tenant, type=head.type, reason=str(Reason.TOO_LARGE))
        decidable = domain.Command(head.id, head.source, head.tenant, command.payload, at.partition, at.offset)
        return Decided([(head.tenant, domain.failed(tenant, decidable, at.clock_ms, name, at.rules, Reason.TOO_LARGE))])

    def _tick(self, command: Command, at: At) -> Decided:
        """Apply the due items tenant by tenant, in order of their oldest due time, then of their ids."""
        decided = Decided()
        for _, tenant in self._take_due(at.clock_ms):
            if len(decided.events) < TICK_EVENTS_MAX:
                self._apply_due_items(tenant, command.head.id, at, decided)
            self._note_due(tenant)
        return decided

    def _apply_due_items(self, tenant: str, tick: str, at: At, decided: Decided) -> None:
        state, n = self.tenants[tenant], len(decided.events)
        limit = TICK_EVENTS_MAX - n
        try:
            decision = domain.decide_tick(state, tick, at.partition, at.offset, at.clock_ms, n=n, limit=limit, rules=at.rules)
        except domain.InvariantViolation as error:
            raise InvariantViolation(str(error)) from error
        except Exception:
            self._due_items_failed(tenant, tick, at, decided)
            return
        self._again_ms.pop(tenant, None)
        self.last_offset[tenant] = at.offset
        decided.events += [(tenant, event) for event in decision.events]
        decided.rows |= decision.changed

    def _due_items_failed(self, tenant: str, tick: str, at: At, decided: Decided) -> None:
        """Try again at every tick, but record the failure only 1, 2, 4, … seconds after the due time. These times come from the log
        alone, so that a repeated decision records the same. How often this tenant is ticked is not in the log, and backs off as well."""
        state, name = self.tenants[tenant], error_id(at.partition, at.offset)
        _log.exception("due_items_failed", alert=True, error_id=name, tenant=tenant)
        _, wait = self._again_ms.get(tenant, (0, BACKOFF_MS_MIN // 2))
        wait = min(2 * wait, BACKOFF_MS_MAX)
        self._again_ms[tenant] = (at.clock_ms + wait, wait)
        if crosses_backoff(state.tick_due() or 0, at.previous_ms, at.clock_ms):
            n = len(decided.events)
            event = domain.due_items_failed(state, tick, at.partition, at.offset, at.clock_ms, n, name, at.rules)
            decided.events.append((tenant, event))

    def reject(self, rejected: Rejected, at: At) -> Decided:
        # A record whose envelope cannot be read has no id. Its position replaces it.
        head, tenant = rejected.head, rejected.tenant
        id_ = head.id if head else DecisionId.common(at.partition, at.offset)
        command = domain.Command(id_, head.source if head else "", tenant or "", NO_PAYLOAD, at.partition, at.offset)
        # In the wrong partition, this decider does not have the tenant's state.
        state = self.tenants.get(tenant) if tenant and rejected.reason is not Reason.WRONG_PARTITION else None
        reason, field, value, expected = rejected.reason, rejected.field, rejected.value, rejected.expected
        event = domain.rejected(command, state, at.clock_ms, str(reason), field, value, expected, at.rules)
        return Decided([(tenant, event)])

    def complete(self, events: Sequence[Published]) -> dict[str, Row | None]:
        rows: dict[str, Row | None] = {}
        by_tenant: dict[str, list[domain.Event]] = {}
        for envelope, body in events:
            if envelope.tenant is not None:
                by_tenant.setdefault(envelope.tenant, []).append(as_event(envelope.type, body, envelope.id))
        for tenant, its in sorted(by_tenant.items()):
            rows |= domain.complete(self.tenants, tenant, its)
        return rows

    def due(self, clock_ms: int) -> bool:
        """Is anything due? A tenant whose due items fail is skipped for a while, so that the others are found behind it."""
        for at, tenant in self._dues if self._again_ms else self._dues[:1]:
            if at <= clock_ms and self._again_ms.get(tenant, (0, 0))[0] <= clock_ms:
                return True
        return False

    def _note_due(self, tenant: str) -> None:
        state = self.tenants.get(tenant)
        at = None if state is None or not state.due_heap else state.tick_due()
        if at is None:
            self._noted.pop(tenant, None)
        elif self._noted.get(tenant) != at:
            self._noted[tenant] = at
            heapq.heappush(self._dues, (at, tenant))
        while self._dues and self._noted.get(self._dues[0][1]) != self._dues[0][0]:
            heapq.heappop(self._dues)

    def _take_due(self, clock_ms: int) -> list[tuple[int, str]]:
        taken = []
        while self._dues and self._dues[0][0] <= clock_ms:
            at, tenant = heapq.heappop(self._dues)
            if self._noted.get(tenant) == at:
                del self._noted[tenant]
                taken.append((at, tenant))
        return taken


def as_event(type_: str, body: dict[str, Any], id_: str) -> domain.Event:
    """Return a decision from the log in the form that `domain.evolve` takes."""
    return domain.Event(type_, body, DecisionId.parse(id_).n, body.get("user"))


def crosses_backoff(due_ms: int, previous_ms: int, clock_ms: int) -> bool:
    """Is one of due, due + 1 s, due + 2 s, due + 4 s, … (then every 10 minutes) in (previous, clock]?"""
    if previous_ms < due_ms:
        return clock_ms >= due_ms
    step = BACKOFF_MS_MIN
    while step < BACKOFF_MS_MAX and due_ms + step <= previous_ms:
        step = min(2 * step, BACKOFF_MS_MAX)
    if step < BACKOFF_MS_MAX:
        return due_ms + step <= clock_ms
    return (clock_ms - due_ms) // BACKOFF_MS_MAX > (previous_ms - due_ms) // BACKOFF_MS_MAX
