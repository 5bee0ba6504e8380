"""The working state of a tenant: its rows, and the counts, heaps and queues that are derived from them.

Every change goes through a `put_*` method. It updates what is derived, and keeps the old row in an undo log, so that a decision that fails
can be undone row by row. Heaps are cleaned lazily: an entry counts only while the row still agrees with it, and a heap with mostly
outdated entries is rebuilt.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any, NamedTuple

from services.seats.domain.instants import DAY_MS, instant
from services.seats.domain.rows import (
    ACTIVE,
    FLAGGED,
    HELD,
    WAITING,
    Changed,
    OrderRow,
    PoolRow,
    Release,
    Row,
    Seat,
    TenantRow,
    UserRow,
    order_key,
    pool_key,
    tenant_key,
    user_key,
)

RELEASE, HOLD, GRACE, THRESHOLD_RESET, PERIOD = 0, 1, 2, 3, 4  # in this order at one instant
RUBBISH_MIN = 1000
THRESHOLD_RESET_MS = DAY_MS
Due = tuple[int, int, int, int, int, str, str]  # instant, kind, log order, log order of a renewal, pool's opening, user (or period), module
QueueEntry = tuple[int, int, int, str]  # -priority, waiting since, log order (unique in a pool), user
Unit = tuple[str, ...]  # modules served together, sorted


class InvariantViolation(Exception):
    """The state violates an invariant. It is a bug, and every further decision would build on it."""


class BudgetExceeded(Exception):
    """A what-if or forecast needs more than its budget."""


class Budget:
    """A budget limits how many rows a what-if or forecast may touch and how many events it may emit, repeated ones included. The live
    tenant has none."""

    __slots__ = ("left", "limit", "stopped")

    def __init__(self, limit: int) -> None:
        self.left = self.limit = limit
        self.stopped = False  # set by another thread when the caller no longer waits for the answer

    def spend(self, count: int = 1) -> None:
        self.left -= count
        if self.left < 0 or self.stopped:
            raise BudgetExceeded(f"The answer needs more than {self.limit} changes of rows and events, which is the limit.")


class Pool:
    """A pool is its row and the counts of its seats."""

    __slots__ = ("active", "flag_heap", "flagged", "held", "module", "row", "units", "waiting")

    def __init__(self, module: str, row: PoolRow) -> None:
        self.module, self.row = module, row
        self.active = self.flagged = self.held = self.waiting = 0
        self.flag_heap: list[tuple[int, int, int, str]] = []  # flagged since, log order, log order of a renewal, user
        self.units: set[Unit] = set()  # units in which people wait, with this module or before it

    @property
    def free(self) -> int:
        """Return the licences that nobody has. They are below 0 only while a reduction is carried out."""
        return self.row.licences - self.active - self.held

    @property
    def rank(self) -> tuple[bool, int]:
        """Return the sort key of pools: base modules first, then the order in which they were opened. Names do not matter."""
        return not self.row.base, self.row.opened

    @property
    def in_use(self) -> int:
        return self.active + self.flagged + self.held

    def count(self, state: str, by: int) -> None:
        if state == ACTIVE:
            self.active += by
        elif state == FLAGGED:
            self.flagged += by
        elif state == HELD:
            self.held += by
        else:
            self.waiting += by


pool_rank = attrgetter("rank")


class Tenant:
    """The working state of one tenant. It is not thread-safe: one worker owns it, and a decision is one synchronous call."""

    __slots__ = (
        *("_new", "_undo", "administrators", "budget", "due_heap", "id", "orders", "pools", "queues", "row", "timed", "touched"),
        "users",
    )

    def __init__(self, tenant: str, row: TenantRow) -> None:
        self.id, self.row = tenant, row
        self.users: dict[str, UserRow] = {}
        self.pools: dict[str, Pool] = {}
        self.orders: dict[str, OrderRow] = {}
        self.administrators: set[str] = set()  # with an active or flagged seat of a base module
        self.due_heap: list[Due] = []
        self.timed = 0  # number of valid entries of due_heap
        self.queues: dict[Unit, dict[str, list[QueueEntry]]] = {}  # a heap per module of the unit or after it: waits differ by module
        self.touched: dict[str, int] = {}  # pools of this decision -> available before it
        self._undo: dict[str, Row | None] = {}  # each row put since `begin`, as it was
        self._new: dict[str, Row | None] = {}  # the same rows, as they are
        self.budget: Budget | None = None  # only on the copy of a what-if or forecast

    # -- time ----------------------------------------------------------------------------------------------------------

    def now(self, clock_ms: int) -> int:
        return self.row.time if self.row.test_clock else clock_ms

    def due(self) -> int | None:
        """Return when the next item is due, or None if there is none."""
        heap = self.due_heap
        while heap:
            if self._counts(heap[0]):
                return heap[0][0]
            heappop(heap)
        return None

    def tick_due(self) -> int | None:
        """Return the same, but None for a test clock, which ticks do not move."""
        return None if self.row.test_clock else self.due()

    def _counts(self, entry: Due) -> bool:
        at, kind, seq, again, _, user, module = entry
        if kind == PERIOD:
            return any(s.seq == seq and s.starts_at == at for s in self.row.scheduled)
        if kind == THRESHOLD_RESET:
            pool = self.pools.get(module)
            return pool is not None and pool.row.free_since is not None and pool.row.free_since + THRESHOLD_RESET_MS == at
        row = self.users.get(user)
        if kind == RELEASE:
            return row is not None and row.release is not None and (row.release.at, row.release.offset) == (at, seq)
        seat = row.seats.get(module) if row is not None else None
        return seat is not None and (seat.deadline, seat.seq, seat.again) == (at, seq, again) and (seat.state == FLAGGED) == (kind == GRACE)

    def _push_due(self, entry: Due) -> None:
        heap = self.due_heap
        if len(heap) > RUBBISH_MIN and len(heap) > 2 * self.timed + RUBBISH_MIN:
            heap[:] = sorted({old for old in heap if self._counts(old)})
        heappush(heap, entry)

    # -- rows ----------------------------------------------------------------------------------------------------------

    def rows(self) -> Iterator[tuple[str, Row]]:
        yield tenant_key(self.id), self.row
        for module, pool in self.pools.items():
            yield pool_key(self.id, module), pool.row
        for order, row in self.orders.items():
            yield order_key(self.id, order), row
        for user, person in self.users.items():
            yield user_key(self.id, user), person

    def begin(self) -> None:
        self._undo = {}
        self._new = {}
        self.touched = {}

    def changed(self) -> Changed:
        """Return the rows changed since `begin`, as they are now."""
        undo = self._undo
        return {key: row for key, row in self._new.items() if row is not undo[key]}

    def before(self, user: str) -> UserRow | None:
        """Return the person's row as it was at `begin`."""
        key = user_key(self.id, user)
        if key in self._undo:
            row = self._undo[key]
            assert row is None or isinstance(row, UserRow)
            return row
        return self.users.get(user)

    def rollback(self) -> None:
        """Restore every row as it was at `begin`. Seats are counted in pools, so closed pools come back first and opened pools go last."""
        self._put_back(dict(self._undo))
        self.begin()

    @contextmanager
    def trial(self) -> Iterator[None]:
        """Undo what the block changes, and leave the rows that the decision changed before it. After an exception in the block, only
        `restore` helps."""
        undo, new, touched = dict(self._undo), dict(self._new), dict(self.touched)
        yield
        before = {key: new.get(key, old) for key, old in self._undo.items()}
        self._put_back({key: row for key, row in before.items() if row is not self._new[key]})
        self._undo, self._new, self.touched = undo, new, touched

    def _put_back(self, rows: Mapping[str, Row | None]) -> None:
        for key in sorted(rows, key=lambda key: 1 if "|#pool|" not in key else 0 if rows[key] is not None else 2):
            self._put(key, rows[key])

    def restore(self) -> None:
        """Restore the rows and derive everything else from them again. Use it after an error in the middle of a change, when nothing
        derived can be trusted."""
        rows = dict(self.rows())
        for key, old in self._undo.items():
            if old is None:
                rows.pop(key, None)
            else:
                rows[key] = old
        fresh = load(rows.items())[self.id]
        for name in self.__slots__:
            setattr(self, name, getattr(fresh, name))

    def _put(self, key: str, row: Row | None) -> None:
        rest = key[len(self.id) + 1 :]
        if isinstance(row, TenantRow):
            self.put_tenant(row)
        elif rest.startswith("#pool|"):
            assert row is None or isinstance(row, PoolRow)
            self.put_pool(rest[6:], row)
        elif rest.startswith("#order|"):
            assert row is None or isinstance(row, OrderRow)
            self.put_order(rest[7:], row)
        else:
            assert row is None or isinstance(row, UserRow)
            self.put_user(rest, row)

    def _remember(self, key: str, old: Row | None, row: Row | None) -> None:
        if self.budget is not None:
            self.budget.spend()
        if key not in self._undo:
            self._undo[key] = old
        self._new[key] = row

    def touch(self, pool: Pool) -> None:
        if pool.module not in self.touched:
            self.touched[pool.module] = max(0, pool.row.licences - pool.active - pool.held)

    def put_tenant(self, row: TenantRow) -> None:
        self._remember(tenant_key(self.id), self.row, row)
        if row.scheduled != self.row.scheduled:
            for entry in row.scheduled:
                self._push_due((entry.starts_at, PERIOD, entry.seq, 0, 0, entry.period, ""))
        self.row = row

    def put_order(self, order: str, row: OrderRow | None) -> None:
        self._remember(order_key(self.id, order), self.orders.get(order), row)
        if row is None:
            self.orders.pop(order, None)
        else:
            self.orders[order] = row

    def put_pool(self, module: str, row: PoolRow | None) -> None:
        """Replace the row of a pool, or remove the pool with None."""
        pool = self.pools.get(module)
        self._remember(pool_key(self.id, module), pool.row if pool is not None else None, row)
        if row is None:
            self.pools.pop(module, None)
            self.touched.pop(module, None)
            return
        if pool is None:
            pool = self.pools[module] = Pool(module, row)
            self.touched[module] = row.licences
        else:
            self.touch(pool)
            pool.row = row
        if row.free_since is not None:
            self._push_due((row.free_since + THRESHOLD_RESET_MS, THRESHOLD_RESET, row.opened, 0, 0, "", module))

    def put_user(self, user: str, row: UserRow | None) -> None:
        """Set the person's row and update counts, heaps and queues. The pools whose seats differ are marked as touched."""
        if self.budget is not None:
            self.budget.spend()
        key = f"{self.id}|{user}"
        old = self.users.get(user)
        if key not in self._undo:
            self._undo[key] = old
        self._new[key] = row
        self._set_user(user, old, row)

    def seat_new_person(self, user: str, old: UserRow | None, row: UserRow, pools: Iterable[Pool]) -> Changed:
        """Do what `put_user` does for the first change of a decision, if the old row has no seat and the new one has an active seat in
        each of these pools. Return the changed rows."""
        if self.budget is not None:
            self.budget.spend(2)  # the row and the one event
        key = f"{self.id}|{user}"
        self._undo[key] = old
        self._new[key] = self.users[user] = row
        for pool in pools:
            pool.active += 1
        if row.administrator:
            self._administers(user, row)
        if row.release is not None or (old is not None and old.release is not None):
            self._set_release(user, old.release if old is not None else None, row.release)
        return {key: row}

    def _set_user(self, user: str, old: UserRow | None, row: UserRow | None) -> None:
        if row is None:
            self.users.pop(user, None)
        else:
            self.users[user] = row
        before = old.seats if old is not None else _NOTHING
        after = row.seats if row is not None else _NOTHING
        waited = False
        if before is not after:
            for module, seat in before.items():
                if after.get(module) is not seat:
                    waited |= seat.state == WAITING
                    self._leave(module, seat)
            for module, seat in after.items():
                if before.get(module) is not seat:
                    waited |= seat.state == WAITING
                    self._enter(user, module, seat)
        if (row is not None and row.administrator) or (old is not None and old.administrator):
            self._administers(user, row)
        release, former = row.release if row is not None else None, old.release if old is not None else None
        if release is not former:
            self._set_release(user, former, release)
        if row is not None and (waited or (old is not None and old[7:9] != row[7:9])):  # priority, partial
            self._enqueue(user, row)

    def _set_release(self, user: str, former: Release | None, release: Release | None) -> None:
        self.timed += (release is not None) - (former is not None)
        if release is not None:
            self._push_due((release.at, RELEASE, release.offset, 0, 0, user, ""))

    def _leave(self, module: str, seat: Seat) -> None:
        if seat.deadline is not None:
            self.timed -= 1
        pool = self.pools.get(module)
        if pool is None:
            return  # the pool is closed; its seats are released one by one after it
        if module not in self.touched:
            self.touched[module] = max(0, pool.row.licences - pool.active - pool.held)
        pool.count(seat.state, -1)

    def _enter(self, user: str, module: str, seat: Seat) -> None:
        state = seat.state
        pool = self.pools.get(module)
        if pool is None:
            # This happens only in a table that ends within a command. Its remaining decisions release this seat.
            self.timed += seat.deadline is not None
            return
        if module not in self.touched:
            self.touched[module] = max(0, pool.row.licences - pool.active - pool.held)
        if state == ACTIVE:
            pool.active += 1
            return
        pool.count(state, 1)
        if state == FLAGGED:
            heap = pool.flag_heap
            if len(heap) > 2 * pool.flagged + RUBBISH_MIN:
                heap[:] = sorted({entry for entry in heap if self.is_flag(module, entry)})
            heappush(heap, (seat.since, seat.seq, seat.again, user))
        if seat.deadline is not None:
            self.timed += 1
            kind = GRACE if state == FLAGGED else HOLD
            self._push_due((seat.deadline, kind, seat.seq, seat.again, pool.row.opened, user, module))

    def is_flag(self, module: str, entry: tuple[int, int, int, str]) -> bool:
        row = self.users.get(entry[3])
        seat = row.seats.get(module) if row is not None else None
        return seat is not None and seat.state == FLAGGED and (seat.since, seat.seq, seat.again) == entry[:3]

    def _administers(self, user: str, row: UserRow | None) -> None:
        if row is not None and row.administrator and self._seated_in_base(row):
            self.administrators.add(user)
        else:
            self.administrators.discard(user)

    def _seated_in_base(self, row: UserRow) -> bool:
        for module, seat in row.seats.items():
            pool = self.pools.get(module)
            if pool is not None and pool.row.base and seat.state in (ACTIVE, FLAGGED):
                return True
        return False

    # -- the queue -----------------------------------------------------------------------------------------------------

    def units_of(self, row: UserRow) -> list[Unit]:
        """Return the waiting modules of a person in units that are served together: all of them; with `partial` the base modules first,
        then each module separately."""
        waiting = sorted(module for module, seat in row.seats.items() if seat.state == WAITING)
        if not waiting:
            return []
        if not row.partial:
            return [tuple(waiting)]
        base = tuple(module for module in waiting if module in self.pools and self.pools[module].row.base)
        return [base] if base else [(module,) for module in waiting]

    def _enqueue(self, user: str, row: UserRow) -> None:
        """Add the person to the queue of each module of each unit. A person who waits for base modules first keeps a position in the
        queues of the other modules."""
        units = self.units_of(row)
        for unit in units:
            heaps = self.queues.setdefault(unit, {})
            for module in unit if len(units) > 1 else [module for module, seat in row.seats.items() if seat.state == WAITING]:
                pool = self.pools.get(module)
                if pool is None:
                    continue
                self.touch(pool)
                pool.units.add(unit)
                heap = heaps.setdefault(module, [])
                if len(heap) > 2 * pool.waiting + RUBBISH_MIN:
                    heap[:] = sorted({entry for entry in heap if self._waits(unit, module, entry)})
                seat = row.seats[module]
                heappush(heap, (-row.priority, seat.since, seat.seq, user))

    def _waits(self, unit: Unit, module: str, entry: QueueEntry) -> bool:
        row = self.users.get(entry[3])
        seat = row.seats.get(module) if row is not None else None
        if row is None or seat is None or seat.state != WAITING or (-row.priority, seat.since, seat.seq) != entry[:3]:
            return False
        return unit in self.units_of(row)

    def first_servable(self, module: str) -> tuple[QueueEntry, Unit] | None:
        """Return the first person of this pool's queue (higher priority, then longer wait, then log order) for whom every module of the
        unit has a free licence. This module is in the unit or is served after it."""
        pool = self.pools[module]
        best: tuple[QueueEntry, Unit] | None = None
        for unit in list(pool.units):
            if any(self.pools[other].free <= 0 for other in unit if other in self.pools):
                continue
            heap = self.queues.get(unit, {}).get(module, [])
            while heap and not self._waits(unit, module, heap[0]):
                heappop(heap)
            if not heap:
                pool.units.discard(unit)
                if not any(self.queues.get(unit, {}).values()):
                    self.queues.pop(unit, None)
            elif best is None or (heap[0], unit) < best:
                best = (heap[0], unit)
        return best


_NOTHING: dict[str, Seat] = {}


class PoolCounts(NamedTuple):
    active: int
    flagged: int
    held: int
    waiting: int


def pool_state(pool: Pool) -> dict[str, Any]:
    """Return the pool as messages show it (PoolState)."""
    row = pool.row
    state: dict[str, Any] = {
        "module": pool.module,
        "licences": row.licences,
        "next_period": row.next_period,
        "active": pool.active,
        "flagged": pool.flagged,
        "held": pool.held,
        "waiting": pool.waiting,
        "available": max(0, row.licences - pool.active - pool.held),
    }
    if row.warned:
        state["warned"] = True
        if row.free_since is not None:
            state["free_since"] = instant(row.free_since)
    if row.former_next is not None:
        state["former_next_period"] = row.former_next
    return state


def load(rows: Iterable[tuple[str, Row]]) -> dict[str, Tenant]:
    """Return all tenants of a table from its rows, which can be in any order. Raises KeyError if a tenant row is missing: the table is
    broken."""
    tenants: dict[str, Tenant] = {}
    people: list[tuple[str, UserRow]] = []
    others: list[tuple[str, Row]] = []
    for entry in rows:
        key, row = entry
        if isinstance(row, UserRow):
            people.append(entry)  # type: ignore[arg-type]  # the same tuple: many new objects would start the garbage collector
        elif isinstance(row, TenantRow):
            tenant = key.partition("|")[0]
            tenants[tenant] = Tenant(tenant, row._replace(scheduled=()))
            tenants[tenant].put_tenant(row)
        else:
            others.append((key, row))
    for key, other in others:
        tenants[key.partition("|")[0]]._put(key, other)
    for key, person in people:  # last: seats are counted in pools
        tenant, _, user = key.partition("|")
        tenants[tenant]._set_user(user, None, person)
    for loaded in tenants.values():
        loaded.begin()
    return tenants


def check_invariants(tenant: Tenant, modules: Iterable[str]) -> None:
    """Check the invariants of these pools. It is cheap: counts, and the heads of the queues."""
    for module in modules:
        pool = tenant.pools.get(module)
        if pool is None:
            continue
        row, free = pool.row, pool.free
        if free < 0:
            raise InvariantViolation(f"{tenant.id}/{module}: {pool.active} active and {pool.held} held on {row.licences} licences")
        if free and pool.flagged:
            raise InvariantViolation(f"{tenant.id}/{module}: {pool.flagged} flagged while {free} licences are free")
        if free and pool.units and tenant.first_servable(module) is not None:
            raise InvariantViolation(f"{tenant.id}/{module}: a person waits who could be served")
        if row.ending and row.next_period:
            raise InvariantViolation(f"{tenant.id}/{module}: it ends with the subscription, and has {row.next_period} for the next period")
        if not 0 <= row.next_period <= row.licences or min(pool.active, pool.flagged, pool.held, pool.waiting) < 0:
            raise InvariantViolation(f"{tenant.id}/{module}: {row.next_period} of {row.licences} for the next period, {pool.in_use} in use")


def check_all(tenant: Tenant) -> None:
    """Check the invariants of all pools, and that everything derived agrees with the rows. Only tests and `verify` use it."""
    fresh = load(list(tenant.rows()))[tenant.id]
    for user, row in tenant.users.items():
        if not tenant.pools.keys() >= row.seats.keys():
            raise InvariantViolation(f"{tenant.id}/{user}: a seat without a pool")
    for module, pool in tenant.pools.items():
        other = fresh.pools[module]
        mine, theirs = (PoolCounts(p.active, p.flagged, p.held, p.waiting) for p in (pool, other))
        if mine != theirs:
            raise InvariantViolation(f"{tenant.id}/{module}: counted {mine}, the rows say {theirs}")
    if tenant.administrators != fresh.administrators:
        raise InvariantViolation(f"{tenant.id}: administrators {sorted(tenant.administrators ^ fresh.administrators)} counted wrongly")
    if tenant.due() != fresh.due():
        raise InvariantViolation(f"{tenant.id}: due at {tenant.due()}, the rows say {fresh.due()}")
    if tenant.timed != fresh.timed:
        raise InvariantViolation(f"{tenant.id}: {tenant.timed} deadlines counted, the rows say {fresh.timed}")
    check_invariants(tenant, tenant.pools)
    check_invariants(fresh, fresh.pools)
