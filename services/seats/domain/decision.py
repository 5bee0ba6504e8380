"""A decision under construction: its events, and the rules that follow from every change of a pool (flags cleared, queue served,
thresholds crossed)."""

from collections.abc import Iterable
from heapq import heappop
from typing import Any, NamedTuple

from services.seats.domain.instants import instant
from services.seats.domain.rows import Changed, PoolRow, sequence
from services.seats.domain.state import Pool, QueueEntry, Tenant, Unit, check_invariants, pool_rank, pool_state
from services.seats.domain.transitions import Change, Cleared, Flagged, Granted, Released, When, apply, to_body
from shared.schemas.base import Payload
from shared.schemas.policies import duration_ms
from shared.schemas.seats_v1 import Reason, Role

PREFIX = "seatpool.seats.v1."
_new = tuple.__new__  # the constructor of a NamedTuple takes several times as long
DUE_ITEM, ANSWER, CONSEQUENCE = str(Role.DUE_ITEM), str(Role.ANSWER), str(Role.CONSEQUENCE)


class Command(NamedTuple):
    """A command as the engine read it: attributes of the envelope, the parsed body, and its position."""

    id: str
    source: str
    tenant: str
    payload: Payload | None  # None: it could not be understood; only `rejected` takes it
    partition: int
    offset: int


class Event(NamedTuple):
    """An event to publish. `body` holds JSON values only, `n` is the last part of its decision id, and `user` is the envelope's subject."""

    type: str
    body: dict[str, Any]
    n: int = 0
    user: str | None = None


class Decision(NamedTuple):
    """The events of a decision and the rows that it changed (None: removed)."""

    events: list[Event]
    changed: Changed


class DecisionBuilder:
    """The builder collects the events of one decision. `at` is the tenant's time in ms, `role` that of the next events, and event numbers
    begin at `first`."""

    __slots__ = ("at", "at_text", "command", "events", "first", "offset", "partition", "position", "role", "rules", "states", "tenant")

    def __init__(self, tenant: Tenant, command: str, partition: int, offset: int, at: int, rules: int, first: int = 0) -> None:
        self.tenant, self.command, self.partition, self.offset, self.rules = tenant, command, partition, offset, rules
        self.position = {"partition": partition, "offset": offset}
        self.first, self.role = first, DUE_ITEM
        self.events: list[Event] = []
        self.states: dict[str, dict[str, Any]] = {}
        self.at, self.at_text = at, instant(at)

    def move_to(self, at: int) -> None:
        self.at, self.at_text = at, instant(at)

    @property
    def n(self) -> int:
        """Return the number of the next event."""
        return self.first + len(self.events)

    def next_seq(self) -> int:
        """Return the log order of the next event."""
        return sequence(self.offset, self.n)

    def state_of(self, module: str) -> dict[str, Any]:
        """Return the state of the pool that all events of the decision share. It is filled in at the end, so that they show the pool as it
        is afterwards."""
        state = self.states.get(module)
        if state is None:
            state = self.states[module] = {"module": module}
        return state

    def emit(self, name: str, reason: str, about: Iterable[str], user: str | None = None, **fields: Any) -> dict[str, Any]:
        """Append an event and return its body. Fields that are None are left out."""
        if self.tenant.budget is not None:
            self.tenant.budget.spend()
        body: dict[str, Any] = {
            "command": self.command,
            "position": self.position,
            "role": self.role,
            "at": self.at_text,
            "rules": self.rules,
            "reason": str(reason),
            "pools": [self.state_of(module) for module in about],
        }
        if self.tenant.row.period is not None:
            body["period"] = self.tenant.row.period
        if user is not None:
            body["user"] = user
            previous = self.tenant.before(user)
            if previous is not None:
                body["prev"] = {"partition": self.partition, "offset": previous.offset}
        body.update({field: value for field, value in fields.items() if value is not None})
        self.events.append(Event(PREFIX + name, body, self.first + len(self.events), user))
        return body

    def answer(self, name: str, reason: str, about: Iterable[str], user: str | None = None, **fields: Any) -> dict[str, Any]:
        """Append the one event that answers the command."""
        role, self.role = self.role, ANSWER
        body = self.emit(name, reason, about, user, **fields)
        self.role = role
        return body

    # -- changes of one person -----------------------------------------------------------------------------------------

    def when(self) -> When:
        """Return the header of the next event."""
        return _new(When, (self.command, self.offset, self.at, self.next_seq()))

    def put(self, change: Change) -> None:
        """Apply a change that the next event records."""
        self.tenant.put_user(change.user, apply(self.tenant.users.get(change.user), change, self.when()))

    def flag(self, user: str, module: str, reason: str) -> None:
        """Flag the seat with a full grace period from the tenant's time."""
        self.flag_until(user, module, self.at + grace_ms(self.tenant.pools[module].row), reason)

    def flag_until(self, user: str, module: str, deadline: int | None, reason: str) -> None:
        change = Flagged(user, module, deadline)
        self.put(change)
        self.emit("seat_flagged", reason, (module,), **to_body(change))

    def clear(self, user: str, module: str, reason: str) -> None:
        change = Cleared(user, module)
        self.put(change)
        self.emit("seat_flag_cleared", reason, (module,), **to_body(change))

    def grant(self, user: str, module: str, reason: str) -> None:
        change = Granted(user, module)
        self.put(change)
        self.emit("seat_granted", reason, (module,), **to_body(change))

    def release(self, name: str, user: str, module: str, reason: str) -> None:
        change = Released(user, module, str(reason))
        self.put(change)
        self.emit(name, about=(module,), **to_body(change))

    # -- what a free licence does ---------------------------------------------------------------------------------------

    def reallocate(self, reason: str) -> None:
        """Give free licences to the oldest flag (flagged since, then log order, then the log order of a renewal), then to the queue.

        Of two flags with the same log order, one moved to a target user and the other went on with its source user; the moved one is
        older. Modules are in order of their names only for the output: the flags of one pool do not affect another pool.
        """
        tenant, pools = self.tenant, self.tenant.pools
        for module in sorted(tenant.touched):
            pool = pools.get(module)
            if pool is not None and pool.flagged and pool.free > 0:
                self._clear_flags(pool, reason)
        if tenant.queues:
            self._serve(reason)

    def _clear_flags(self, pool: Pool, reason: str) -> None:
        heap = pool.flag_heap
        while pool.flagged and pool.free > 0:
            if self.tenant.is_flag(pool.module, heap[0]):
                self.clear(heap[0][3], pool.module, reason)
            heappop(heap)

    def _serve(self, reason: str) -> None:
        while (chosen := self._next_served()) is not None:
            user, unit = chosen
            for pool in sorted((self.tenant.pools[module] for module in unit), key=pool_rank):
                self.grant(user, pool.module, reason)

    def _next_served(self) -> tuple[str, Unit] | None:
        """Return the person who is first, among those who can be served, in the queue of each module of the unit. If every queue has
        another first person, the higher priority counts, then the longest wait, then log order."""
        tenant = self.tenant
        firsts: dict[str, tuple[QueueEntry, Unit]] = {}
        open_ = [pool for pool in tenant.pools.values() if pool.units and pool.free > 0]
        for pool in sorted(open_, key=pool_rank):
            found = tenant.first_servable(pool.module)
            if found is not None:
                firsts[pool.module] = found
        for entry, unit in firsts.values():
            if all(module in firsts and firsts[module][0][3] == entry[3] and firsts[module][1] == unit for module in unit):
                return entry[3], unit
        if not firsts:
            return None
        entry, unit = min(firsts.values())
        return entry[3], unit

    # -- thresholds and the end ----------------------------------------------------------------------------------------------

    def finish(self) -> Decision:
        """Emit the thresholds crossed, in order of module names, write the pools into the events, and check the invariants."""
        tenant = self.tenant
        touched, pools = tenant.touched, tenant.pools
        self.role = CONSEQUENCE
        for module in sorted(touched) if len(touched) > 1 else list(touched):
            pool = pools.get(module)
            if pool is None:
                continue
            if touched[module] and pool.row.licences <= pool.active + pool.held:
                self.emit("pool_at_limit", Reason.LIMIT_REACHED, (module,), module=module)
            if pool.row.warn_at is not None:
                self._check_threshold(pool)
        for module, state in self.states.items():
            pool = pools.get(module)
            state.update(pool_state(pool) if pool is not None else CLOSED)
        check_invariants(tenant, touched)
        return Decision(self.events, tenant.changed())

    def _check_threshold(self, pool: Pool) -> None:
        row = pool.row
        if past_threshold(pool):
            if not row.warned:
                self.tenant.put_pool(pool.module, row._replace(warned=True, free_since=None))
                self.emit("pool_near_limit", Reason.THRESHOLD_CROSSED, (pool.module,), module=pool.module)
            elif row.free_since is not None:
                self.tenant.put_pool(pool.module, row._replace(free_since=None))
        elif row.warned and row.free_since is None:
            self.tenant.put_pool(pool.module, row._replace(free_since=self.at))


CLOSED = {"licences": 0, "next_period": 0, "active": 0, "flagged": 0, "held": 0, "waiting": 0, "available": 0}
_GRACES: dict[str, int] = {}


def grace_ms(row: PoolRow) -> int:
    found = _GRACES.get(row.grace)
    if found is None:
        found = duration_ms(row.grace)
        assert found is not None, "a grace is checked before it is kept"
        _GRACES[row.grace] = found
    return found


def past_threshold(pool: Pool, more: int = 0) -> bool:
    """Is the pool past its threshold? `90%` is a share of the licences in use, `5` a number of licences left. `more` assumes so many more
    active seats."""
    threshold = pool.row.warn_at
    if threshold is None:
        return False
    if threshold.endswith("%"):
        return (pool.in_use + more) * 100 >= int(threshold[:-1]) * pool.row.licences
    return pool.free - more <= int(threshold)
