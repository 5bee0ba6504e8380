"""The durable rows. Everything else (counts, heaps, queues) is a pure function of them.

The order of `seats` has no meaning: a row that is read from the changelog has another order than the row that was decided, and no decision
may depend on it.

Rows are immutable tuples, so the store and the working state share them and can keep them. `seats` is a dict for speed and is never
changed in place. Times are milliseconds since 1970 UTC.
"""

from collections.abc import Iterable
from functools import lru_cache
from sys import intern
from typing import NamedTuple

ACTIVE, FLAGGED, HELD, WAITING, REFUSED, REVOKED = "active", "flagged", "held", "waiting", "refused", "revoked"
STATES = {state: state for state in (ACTIVE, FLAGGED, HELD, WAITING)}
EVENTS_BITS = 24  # a decision has at most 16 million events


def sequence(offset: int, n: int) -> int:
    """Return the log order as one number: the command's offset, then the event within its decision."""
    return offset << EVENTS_BITS | n


class Seat(NamedTuple):
    """A seat of one person in one pool. `since` is when it was flagged or queued, or 0. `deadline` is when a flagged seat is revoked or a
    hold expires, or None.

    `again` is the log order at which a remembered flag was assigned again, or 0. Such a flag continues with the log order of its first
    time. A seat that `replace_user` moved can have the same one; with `again`, the log orders of two seats of one pool are never equal.
    """

    state: str
    seq: int
    since: int = 0
    deadline: int | None = None
    again: int = 0


class Flag(NamedTuple):
    """The memory of a flag that was given up or ran out. If it is assigned again in time, it continues."""

    module: str
    since: int
    seq: int
    deadline: int


class Revocation(NamedTuple):
    """The memory of a seat whose grace ended or that was released with its base module. It lasts until the module is reactivated or no
    longer required."""

    module: str
    at: int
    seq: int


class Release(NamedTuple):
    """A dated release: from `at` on, the person requires only `modules`. `offset` is that of the command that set it."""

    at: int
    modules: tuple[str, ...]
    leaver: bool
    offset: int


class Reduced(NamedTuple):
    """The memory of what a leaver reduced in a pool: its licences, the next period's number, or both. It lasts until the person requires
    modules again."""

    module: str
    licences: int
    next_period: int
    offset: int


class UserRow(NamedTuple):
    """A person in a tenant. `revision` is kept when the last seat is released, because a late duplicate would otherwise bring a leaver
    back.

    No field has a default: a row cannot be made without one of them.
    """

    required: tuple[str, ...]
    seats: dict[str, Seat]
    revision: int
    command: str  # id of the last assign_seats or replace_user: a duplicate has the same one, a stale command another one
    offset: int  # of the last command that changed this person
    created_at: int
    administrator: bool
    priority: int
    partial: bool
    revoked: tuple[Revocation, ...]
    flags: tuple[Flag, ...]
    lost: tuple[Revocation, ...]  # released with a revoked base module; a purchase restores them with it
    suspended: bool  # the login has ended: the seats stay and count, and the person has no access
    release: Release | None
    reduced: tuple[Reduced, ...]


class PoolRow(NamedTuple):
    """A pool of a tenant: the licences of one module, its policies, and the state of its threshold."""

    base: bool
    licences: int
    next_period: int  # 1..licences; 0: the pool closes when the period ends
    over_limit: str = "flag"
    flag_cap: int | None = None
    expand_cap: int | None = None
    grace: str = "P7D"
    reduce_below_use: str = "flag_newest"
    warn_at: str | None = None
    terminate_reduces_pool: bool = False
    reduce_at: str = "period_end"
    warned: bool = False  # the threshold was crossed and is not reset
    free_since: int | None = None  # since when a licence above the threshold has been free
    numbered: int = 0  # offset of the last command or period that set the numbers; leavers and expansions only change them
    opened: int = 0  # log order of its opening, which orders pools; names do not matter
    former_next: int | None = None  # while the pool is to close with the whole subscription: the number that comes back if it does not end

    @property
    def ending(self) -> bool:
        """Return whether the pool is to close with the whole subscription."""
        return self.former_next is not None


class Scheduled(NamedTuple):
    starts_at: int
    period: str
    seq: int


class Number(NamedTuple):
    """The last number of a sender, and the command that had it."""

    source: str
    number: int
    command: str


class TenantRow(NamedTuple):
    test_clock: bool
    time: int  # of the test clock; on a real clock when the tenant was opened
    partition: int
    period: str | None = None
    scheduled: tuple[Scheduled, ...] = ()  # in order of time
    numbers: tuple[Number, ...] = ()


class OrderRow(NamedTuple):
    """An order that was applied. It is applied once, also if its sender repeats it."""

    command: str
    offset: int


Row = UserRow | PoolRow | TenantRow | OrderRow
Changed = dict[str, "Row | None"]


def user_key(tenant: str, user: str) -> str:
    return f"{tenant}|{user}"


def pool_key(tenant: str, module: str) -> str:
    return f"{tenant}|#pool|{module}"


def tenant_key(tenant: str) -> str:
    return f"{tenant}|#tenant"


def order_key(tenant: str, order: str) -> str:
    return f"{tenant}|#order|{order}"


@lru_cache(maxsize=4096)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(intern(name) for name in names))


def shared_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return each name once, in order. Equal tuples are shared, because there are far fewer profiles than people."""
    return _shared(tuple(names))
