"""What happens to a person's row, step by step."""

from collections.abc import Container, Iterable

from services.seats.domain.instants import DAY_MS
from services.seats.domain.rows import ACTIVE, FLAGGED, Flag, Revoked, Seat, UserRow

FLAG_REMEMBERED_MS = 30 * DAY_MS  # rules.md T6: asking again within 30 days of the flag, the thirtieth included, keeps its deadline


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
