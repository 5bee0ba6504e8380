"""The canonical form of rows: equal rows give equal JSON. The changelog, REST and `verify` use it."""

from sys import intern
from typing import Any

from services.seats.domain.rows import (
    STATES,
    Flag,
    Number,
    OrderRow,
    PoolRow,
    Reduced,
    Release,
    Revocation,
    Row,
    Scheduled,
    Seat,
    TenantRow,
    UserRow,
    shared_names,
)


def to_json(key: str, row: Row) -> dict[str, Any]:
    """Return the canonical form, which is equal for equal rows. The changelog holds it, and `verify` compares it. Names are short because
    there are many rows."""
    if isinstance(row, UserRow):
        return _user_to_json(row)
    if isinstance(row, TenantRow):
        lists = {name: [list(entry) for entry in getattr(row, name)] for name in ("scheduled", "numbers")}
        return {**row._asdict(), **lists}
    return row._asdict()


def _user_to_json(row: UserRow) -> dict[str, Any]:
    required, seats, revision, command, offset, created_at, administrator, priority, partial = row[:9]
    revoked, flags, lost, suspended, release, reduced = row[9:]
    modules = sorted(seats) if len(seats) > 1 else seats
    shown = {module: [*(seat if (seat := seats[module]).again else seat[:4])] for module in modules}
    data = {"n": required, "s": shown, "r": revision, "c": command, "o": offset, "t": created_at}
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
    if suspended:
        data["b"] = True
    if release is not None:
        data["d"] = [*release]
    if reduced:
        data["m"] = [[*entry] for entry in reduced]
    return data


def from_json(key: str, data: dict[str, Any]) -> Row:
    """Read the form of `to_json` after it went through JSON. Names are interned, because a million rows share a few modules."""
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
    dated = get("d")
    return UserRow(
        required=shared_names(data["n"]),
        seats={intern(module): Seat(STATES[seat[0]], *seat[1:]) for module, seat in data["s"].items()},
        revision=data["r"],
        command=data["c"],
        offset=data["o"],
        created_at=data["t"],
        administrator=get("a", False),
        priority=get("p", 0),
        partial=get("x", False),
        revoked=tuple(Revocation(*entry) for entry in get("v", ())),
        flags=tuple(Flag(*entry) for entry in get("f", ())),
        lost=tuple(Revocation(*entry) for entry in get("l", ())),
        suspended=get("b", False),
        release=None if dated is None else Release(dated[0], shared_names(dated[1]), *dated[2:]),
        reduced=tuple(Reduced(*entry) for entry in get("m", ())),
    )
