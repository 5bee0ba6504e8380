"""The durable rows: all that is kept. Everything else (counts, heaps, queues) is a pure function of them.

The order of `seats` says nothing: a row read back from the changelog has another one than the row that was decided, and no decision may
tell.

Rows are immutable tuples, so the store and the working state share them and whoever holds one may keep it. `seats` is a dict for speed
and is
never changed in place. Times are milliseconds since 1970 UTC.
"""

from collections.abc import Iterable
from functools import lru_cache
from sys import intern
from typing import NamedTuple

ACTIVE, FLAGGED, HELD, WAITING, REFUSED, REVOKED = "active", "flagged", "held", "waiting", "refused", "revoked"
STATES = {state: state for state in (ACTIVE, FLAGGED, HELD, WAITING)}
EVENTS_BITS = 24  # a decision has at most 16 million events


def sequence(offset: int, n: int) -> int:
    """Log order as one number: the command's offset, then the event within its decision."""
    return offset << EVENTS_BITS | n


class Seat(NamedTuple):
    """`since`: flagged or waiting since, 0 else. `deadline`: revoked (flagged) or expiring (held) at; None for none.

    `again`: log order at which a remembered flag was asked for again, 0 else. It goes on with the log order of its first time, which the
    seat may have that `replace_user` moved meanwhile; with `again`, two seats of one pool never have the same place.
    """

    state: str
    seq: int
    since: int = 0
    deadline: int | None = None
    again: int = 0


class Flag(NamedTuple):
    """A flag that was given up or ran out: asked for again in time, it goes on where it was."""

    module: str
    since: int
    seq: int
    deadline: int


class Revocation(NamedTuple):
    """Remembered until it is reactivated or no longer needed: a grace that ended, or a seat that was released with its base module."""

    module: str
    at: int
    seq: int


class UserRow(NamedTuple):
    """A person in a tenant. `revision` is kept when the last seat goes: a late duplicate would bring a leaver back.

    No field has a default: to forget one is an error.
    """

    required: tuple[str, ...]
    seats: dict[str, Seat]
    revision: int
    command: str  # id of the last assign_seats or replace_user: tells a duplicate from a stale one
    offset: int  # of the command whose decision touched this person last
    created_at: int
    administrator: bool
    priority: int
    partial: bool
    revoked: tuple[Revocation, ...]
    flags: tuple[Flag, ...]
    lost: tuple[Revocation, ...]  # released with a base module that was revoked: a purchase restores them with it


class PoolRow(NamedTuple):
    base: bool
    licences: int
    next_period: int  # 1..licences; 0: closes when the period ends
    over_limit: str = "flag"
    flag_cap: int | None = None
    expand_cap: int | None = None
    grace: str = "P7D"
    reduce_below_use: str = "flag_newest"
    warn_at: str | None = None
    terminate_reduces_pool: bool = False
    reduce_at: str = "period_end"
    warned: bool = False  # the mark was crossed and is not armed again
    free_since: int | None = None  # since when a licence above the mark has been free
    opened: int = 0  # log order of its opening: the order of pools where one is needed, since names decide nothing


class Scheduled(NamedTuple):
    starts_at: int
    period: str
    seq: int


class Number(NamedTuple):
    """The last number of a sender, and the command that bore it."""

    source: str
    number: int
    command: str


class TenantRow(NamedTuple):
    test_clock: bool
    time: int  # a test clock's; at opening on a real one
    partition: int
    period: str | None = None
    scheduled: tuple[Scheduled, ...] = ()  # in order of time
    numbers: tuple[Number, ...] = ()


class OrderRow(NamedTuple):
    """An order that was applied: it is applied once, whatever its sender repeats."""

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
    """Each name once, in order; equal needs are one tuple in memory, as there are far fewer profiles than people."""
    return _shared(tuple(names))
