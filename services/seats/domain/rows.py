"""The durable rows: all that is kept. Everything else (counts, heaps, queues) is a pure function of them.

The order of `seats` says nothing: a row read back from the changelog has another one than the row that was decided, and no decision may
tell.

Rows are immutable tuples, so the store and the working state share them and whoever holds one may keep it. `seats` is a dict for speed
and is
never changed in place. Times are milliseconds since 1970 UTC.
"""

from collections.abc import Container, Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from sys import intern
from typing import Any, NamedTuple

from shared.schemas.base import format_instant

ACTIVE, FLAGGED, HELD, WAITING, REFUSED, REVOKED = "active", "flagged", "held", "waiting", "refused", "revoked"
STATES = {state: state for state in (ACTIVE, FLAGGED, HELD, WAITING)}
DAY_MS = 24 * 60 * 60 * 1000
FLAG_REMEMBERED_MS = 30 * DAY_MS  # rules.md T6: asking again within 30 days of the flag, the thirtieth included, keeps its deadline
WARN_AGAIN_MS = DAY_MS
EVENTS_BITS = 24  # a decision has at most 16 million events
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INSTANT_MAX = 7_258_118_400_000  # 2200-01-01: later ones are a slip of the sender, and a deadline after them must still be a date


def to_ms(value: datetime) -> int:
    delta = value - EPOCH
    return delta.days * DAY_MS + delta.seconds * 1000 + delta.microseconds // 1000


def instant(ms: int) -> str:
    """RFC 3339 in UTC with milliseconds, as every message writes an instant (`format_instant`, said once for each second)."""
    second, millis = divmod(ms, 1000)
    return _second(second) + _MILLIS[millis]


@lru_cache(maxsize=16_384)
def _second(second: int) -> str:
    return format_instant(EPOCH + timedelta(seconds=second))[:-4]


_MILLIS = [f"{millis:03d}Z" for millis in range(1000)]


@lru_cache(maxsize=65_536)
def from_instant(text: str) -> int:
    return to_ms(datetime.fromisoformat(text))


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


class Revoked(NamedTuple):
    """Remembered until it is reactivated or no longer needed: a grace that ended, or a seat that was released with its base module."""

    module: str
    at: int
    seq: int


class UserRow(NamedTuple):
    """A person in a tenant. `revision` is kept when the last seat goes: a late duplicate would bring a leaver back."""

    need: tuple[str, ...]
    seats: dict[str, Seat]
    revision: int
    command: str  # id of the last assign_seats or replace_user: tells a duplicate from a stale one
    offset: int  # of the command whose decision touched this person last
    created_at: int
    administrator: bool = False
    priority: int = 0
    partial: bool = False
    revoked: tuple[Revoked, ...] = ()
    flags: tuple[Flag, ...] = ()
    lost: tuple[Revoked, ...] = ()  # released with a base module that was revoked: a purchase restores them with it


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


def to_json(key: str, row: Row) -> dict[str, Any]:
    """The canonical form, equal for equal rows: what stands in the changelog, and what `verify` compares. Short names: rows are many."""
    if isinstance(row, UserRow):
        return _user_to_json(row)
    if isinstance(row, TenantRow):
        lists = {name: [list(entry) for entry in getattr(row, name)] for name in ("scheduled", "numbers")}
        return {**row._asdict(), **lists}
    return row._asdict()


def _user_to_json(row: UserRow) -> dict[str, Any]:
    need, seats, revision, command, offset, created_at, administrator, priority, partial, revoked, flags, lost = row
    modules = sorted(seats) if len(seats) > 1 else seats
    shown = {module: [*(seat if (seat := seats[module]).again else seat[:4])] for module in modules}
    data = {"n": need, "s": shown, "r": revision, "c": command, "o": offset, "t": created_at}
    if administrator:
        data["a"] = True
    if priority:
        data["p"] = priority
    if partial:
        data["x"] = True
    if revoked:
        data["v"] = [[*entry] for entry in revoked]
    if flags:
        data["f"] = [[*entry] for entry in flags]
    if lost:
        data["l"] = [[*entry] for entry in lost]
    return data


def from_json(key: str, data: dict[str, Any]) -> Row:
    """Reads `to_json`'s form after a trip through JSON. Names are interned: a million rows share a few modules."""
    rest = key.partition("|")[2]
    if rest.startswith("#pool|"):
        return PoolRow(**data)
    if rest == "#tenant":
        scheduled = tuple(Scheduled(*entry) for entry in data["scheduled"])
        return TenantRow(**{**data, "scheduled": scheduled, "numbers": tuple(Number(*entry) for entry in data["numbers"])})
    if rest.startswith("#order|"):
        return OrderRow(**data)
    return _user_from_json(data)


def _user_from_json(data: dict[str, Any]) -> UserRow:
    get = data.get
    return UserRow(
        shared_names(data["n"]),
        {intern(module): Seat(STATES[seat[0]], *seat[1:]) for module, seat in data["s"].items()},
        data["r"],
        data["c"],
        data["o"],
        data["t"],
        get("a", False),
        get("p", 0),
        get("x", False),
        tuple(Revoked(*entry) for entry in get("v", ())),
        tuple(Flag(*entry) for entry in get("f", ())),
        tuple(Revoked(*entry) for entry in get("l", ())),
    )


@lru_cache(maxsize=4096)
def _shared(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(intern(name) for name in names))


def shared_names(names: Iterable[str]) -> tuple[str, ...]:
    """Each name once, in order; equal needs are one tuple in memory, as there are far fewer profiles than people."""
    return _shared(tuple(names))


# A person's row, step by step --------------------------------------------------------------------------------------------


def seated(row: UserRow, module: str, seat: Seat, offset: int) -> UserRow:
    """With that seat. Usable again, an old flag of the module is over; whoever sits is no longer remembered as revoked."""
    flags, revoked, lost = row.flags, row.revoked, row.lost
    if flags and seat.state in (ACTIVE, FLAGGED):
        flags = tuple(flag for flag in flags if flag.module != module)
    if revoked:
        revoked = tuple(entry for entry in revoked if entry.module != module)
    if lost:
        lost = tuple(entry for entry in lost if entry.module != module)
    return row._replace(seats={**row.seats, module: seat}, offset=offset, flags=flags, revoked=revoked, lost=lost)


def unseated(row: UserRow, modules: Iterable[str], offset: int) -> UserRow:
    """Without those seats; flags given up are remembered. A flag without a deadline has none to keep."""
    gone = set(modules)
    flags = row.flags
    for module in row.seats:
        seat = row.seats[module]
        if module in gone and seat.state == FLAGGED and seat.deadline is not None:
            kept = tuple(flag for flag in flags if flag.module != module)
            flags = (*kept, Flag(module, seat.since, seat.seq, seat.deadline))
    return row._replace(seats={m: s for m, s in row.seats.items() if m not in gone}, offset=offset, flags=tuple(sorted(flags)))


def lost_with_base(row: UserRow, module: str, at: int, seq: int, offset: int) -> UserRow:
    """Without that seat, which was released because a base module was revoked."""
    others = (entry for entry in row.lost if entry.module != module)
    return unseated(row, (module,), offset)._replace(lost=tuple(sorted((*others, Revoked(module, at, seq)))))


def still_out(entries: tuple[Revoked, ...], modules: Container[str], reactivated: Container[str]) -> tuple[Revoked, ...]:
    """The memory of revocations when a person needs these modules from now on."""
    return tuple(entry for entry in entries if entry.module in modules and entry.module not in reactivated) if entries else entries


def remembered(flags: tuple[Flag, ...], at: int) -> tuple[Flag, ...]:
    """Those set at most 30 days ago."""
    return tuple(flag for flag in flags if at - flag.since <= FLAG_REMEMBERED_MS) if flags else flags


def revised(row: UserRow | None, revision: int, command: str, offset: int, at: int) -> UserRow:
    """Nothing but the revision used up; for a person not known before, a row that says so."""
    if row is None:
        return UserRow((), {}, revision, command, offset, at)
    return row._replace(revision=revision, command=command, offset=offset)
