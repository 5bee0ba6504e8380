"""What happens to a person's row. Each kind of change is one small value, and this module alone says what it does to the row.

`decide` makes a change, applies it and writes it into an event; `evolve` reads it from the event and applies it. `apply` computes the row
afterwards, `to_body` writes a change as fields of an event's body, and `from_body` reads the changes from an event.
"""

from collections.abc import Callable, Container, Iterable
from sys import intern
from typing import Any, NamedTuple

from services.seats.domain.instants import DAY_MS, from_instant, instant
from services.seats.domain.rows import (
    ACTIVE,
    FLAGGED,
    HELD,
    STATES,
    Flag,
    Number,
    Reduced,
    Release,
    Revocation,
    Scheduled,
    Seat,
    TenantRow,
    UserRow,
    shared_names,
)
from shared.schemas.seats_v1 import Reason

FLAG_REMEMBERED_MS = 30 * DAY_MS  # rules.md T6: asking again within 30 days of the flag, the thirtieth included, keeps its deadline

Body = dict[str, Any]
_new = tuple.__new__  # the constructor of a NamedTuple takes several times as long


class When(NamedTuple):
    """The header of an event, as far as rows need it: the id and the offset of its command, the tenant's time, and its log order."""

    command: str
    offset: int
    at: int
    seq: int


class Granted(NamedTuple):
    user: str
    module: str


class Flagged(NamedTuple):
    """`deadline`: None for the last administrator, whose flag has no end."""

    user: str
    module: str
    deadline: int | None


class Cleared(NamedTuple):
    user: str
    module: str


class Revoked(NamedTuple):
    user: str
    module: str


class Released(NamedTuple):
    """`reason` says what is remembered: a flag if a hold ends, what was lost with a base module, and nothing if the pool closes."""

    user: str
    module: str
    reason: str


class LeaverReduction(NamedTuple):
    """What a leaver reduced in one pool, as an event states it."""

    module: str
    licences: int
    next_period: int


class ReleasedAsDated(NamedTuple):
    """A dated release that fell due: the person requires only `required`, and gives up the seats in `released`."""

    user: str
    required: tuple[str, ...]
    released: tuple[str, ...]
    leaver: bool
    reduced: tuple[LeaverReduction, ...]


class Dated(NamedTuple):
    """A release as a command states it."""

    at: int
    modules: tuple[str, ...]
    leaver: bool


class Required(NamedTuple):
    """What a person requires from now on."""

    modules: tuple[str, ...]
    created_at: int
    administrator: bool
    priority: int
    partial: bool
    reactivate: tuple[str, ...]
    hold_until: int | None
    suspended: bool
    release: Dated | None


class Shown(NamedTuple):
    """One module in an answer. `order` and `again`: of a seat that moved, which keeps its log order."""

    module: str
    state: str
    reason: str | None
    since: int = 0
    deadline: int | None = None
    order: int | None = None
    again: int = 0


class Answered(NamedTuple):
    """The answer to `assign_seats`: the person has exactly the seats that it shows. `reduced`: what is remembered of a leaver."""

    user: str
    revision: int
    required: Required
    seats: tuple[Shown, ...]
    released: tuple[str, ...]
    reduced: tuple[LeaverReduction, ...] = ()


class GivenUp(NamedTuple):
    """The source user's part of a replacement: nothing is left. `released`: the modules that the target user does not require."""

    user: str
    revision: int
    released: tuple[str, ...]


class Moved(NamedTuple):
    """The target user's part of a replacement."""

    user: str
    revision: int
    required: Required
    seats: tuple[Shown, ...]
    moved: tuple[str, ...]
    released: tuple[str, ...]


class RevisionUsed(NamedTuple):
    user: str
    revision: int


Change = Granted | Flagged | Cleared | Revoked | Released | ReleasedAsDated | Answered | GivenUp | Moved | RevisionUsed


_OF_UNKNOWN_PEOPLE = (Answered, Moved, RevisionUsed, Granted)  # a target user may be granted a seat before the answer shows it


def apply(row: UserRow | None, change: Change, when: When) -> UserRow:
    """Return the person's row after the change. None: a person who is not known yet. Raises KeyError for a change that cannot follow."""
    if row is None:
        if not isinstance(change, _OF_UNKNOWN_PEOPLE):
            raise KeyError(change.user)
        row = _unknown(when)
    return _APPLY[type(change)](row, change, when)


def to_body(change: Change) -> Body:
    """Write the change as fields of an event's body. The order of the fields is part of the recorded bytes."""
    return _TO_BODY[type(change)](change)


def from_body(name: str, body: Body) -> tuple[Change, ...]:
    """Read the changes of people from an event; none for an event of another kind."""
    read = EVENTS_OF_PEOPLE.get(name)
    return read(body) if read is not None else ()


# What a change does to the row -----------------------------------------------------------------------------------------


def _unknown(when: When) -> UserRow:
    return UserRow(
        required=(),
        seats={},
        revision=0,
        command="",
        offset=when.offset,
        created_at=when.at,
        administrator=False,
        priority=0,
        partial=False,
        revoked=(),
        flags=(),
        lost=(),
        suspended=False,
        release=None,
        reduced=(),
    )


def _granted(row: UserRow, change: Granted, when: When) -> UserRow:
    return seated(row, change.module, Seat(ACTIVE, when.seq), when.offset)


def _flagged(row: UserRow, change: Flagged, when: When) -> UserRow:
    seat = row.seats[change.module]
    # The last administrator's flag loses its deadline, not its age.
    flag = seat if seat.state == FLAGGED else Seat(FLAGGED, when.seq, when.at)
    return seated(row, change.module, flag._replace(deadline=change.deadline), when.offset)


def _cleared(row: UserRow, change: Cleared, when: When) -> UserRow:
    flag = row.seats[change.module]
    return seated(row, change.module, Seat(ACTIVE, flag.seq, again=flag.again), when.offset)


def _revoked(row: UserRow, change: Revoked, when: When) -> UserRow:
    others = (entry for entry in row.revoked if entry.module != change.module)
    revoked = tuple(sorted((*others, Revocation(change.module, when.at, when.seq))))
    return _unseated(row, (change.module,), when.offset)._replace(revoked=revoked)


def _released(row: UserRow, change: Released, when: When) -> UserRow:
    module = change.module
    left = _unseated(row, (module,), when.offset)
    if change.reason == Reason.POOL_CLOSED:
        return left._replace(flags=row.flags)
    if change.reason != Reason.BASE_MODULE_REVOKED:
        return left
    others = (entry for entry in row.lost if entry.module != module)
    return left._replace(lost=tuple(sorted((*others, Revocation(module, when.at, when.seq)))))


def _released_as_dated(row: UserRow, change: ReleasedAsDated, when: When) -> UserRow:
    left, modules = _unseated(row, change.released, when.offset), change.required
    revoked, lost = _still_revoked(row.revoked, modules, ()), _still_revoked(row.lost, modules, ())
    row = left._replace(required=modules, revoked=revoked, flags=_still_remembered(left.flags, when.at), lost=lost, release=None)
    return _reducing(row, change.reduced, when)


def _reducing(row: UserRow, reduced: Iterable[LeaverReduction], when: When) -> UserRow:
    entries = tuple(Reduced(*each, when.offset) for each in reduced)
    return row._replace(reduced=entries) if entries else row


def _answered(row: UserRow, change: Answered | Moved, when: When) -> UserRow:
    if row.command != when.command:  # `decide` has applied this part before it decided the seats
        row = with_required(row, change.required, change.revision, change.released, when)
    if isinstance(change, Answered) and change.reduced:
        row = _reducing(row, change.reduced, when)
    seats: dict[str, Seat] = {}
    new: list[str] = []
    for shown in change.seats:
        if shown.state in STATES:
            module, seat = shown.module, row.seats.get(shown.module)
            if seat is None or seat.state != shown.state or shown.order is not None:
                seat = _shown_seat(row, shown, seat, when)
                new.append(module)
            seats[module] = seat
    if row.flags or row.revoked or row.lost:
        for module in new:
            row = seated(row, module, seats[module], when.offset)
    return _new(UserRow, (row.required, seats, *row[2:])) if new else row  # `_replace` takes four times as long


def _shown_seat(row: UserRow, shown: Shown, seat: Seat | None, when: When) -> Seat:
    """Return the seat that an answer shows. A claimed hold and a remembered flag keep their log order."""
    state, seq, again = STATES[shown.state], when.seq, 0
    if shown.order is not None:
        seq, again = shown.order, shown.again
    elif seat is not None and seat.state == HELD and state == ACTIVE:
        seq = seat.seq
    elif state == FLAGGED and shown.deadline is not None:
        flag = next((flag for flag in row.flags if flag.module == shown.module and flag.since == shown.since), None)
        if flag is not None:
            seq, again = flag.seq, when.seq
    return Seat(state, seq, shown.since, shown.deadline, again)


def with_required(row: UserRow | None, required: Required, revision: int, released: Iterable[str], when: When) -> UserRow:
    """Return the row with what the person requires from now on, without the released seats. A revocation is forgotten when its module is
    no longer required, or is reactivated; a flag, 30 days after it was set."""
    row = row if row is not None else _unknown(when)
    if released:
        row = _unseated(row, [module for module in released if module in row.seats], when.offset)
    modules, reactivate, dated = required.modules, required.reactivate, required.release
    return UserRow(
        required=modules,
        seats=row.seats,
        revision=revision,
        command=when.command,
        offset=when.offset,
        created_at=required.created_at,
        administrator=required.administrator,
        priority=required.priority,
        partial=required.partial,
        revoked=_still_revoked(row.revoked, modules, reactivate),
        flags=_still_remembered(row.flags, when.at),
        lost=_still_revoked(row.lost, modules, reactivate),
        suspended=required.suspended,
        release=None if dated is None else _new(Release, (*dated, when.offset)),
        reduced=() if modules else row.reduced,
    )


def _given_up(row: UserRow, change: GivenUp, when: When) -> UserRow:
    left = _unseated(row, row.seats, when.offset)
    flags = _still_remembered(left.flags, when.at)
    left = left._replace(required=(), revision=change.revision, command=when.command, revoked=(), flags=flags, lost=())
    return left._replace(suspended=False, release=None)


def _revision_used(row: UserRow, change: RevisionUsed, when: When) -> UserRow:
    return row._replace(revision=change.revision, command=when.command, offset=when.offset)


def seated(row: UserRow, module: str, seat: Seat, offset: int) -> UserRow:
    """Return the row with that seat. A usable seat ends an old flag of the module; any seat ends the memory of its revocation."""
    flags, revoked, lost = row.flags, row.revoked, row.lost
    if flags and seat.state in (ACTIVE, FLAGGED):
        flags = tuple(flag for flag in flags if flag.module != module)
    if revoked:
        revoked = tuple(entry for entry in revoked if entry.module != module)
    if lost:
        lost = tuple(entry for entry in lost if entry.module != module)
    return row._replace(seats={**row.seats, module: seat}, offset=offset, flags=flags, revoked=revoked, lost=lost)


def _unseated(row: UserRow, modules: Iterable[str], offset: int) -> UserRow:
    """Return the row without those seats. A flag that is given up is remembered, unless it has no deadline to keep."""
    seats, flags = dict(row.seats), row.flags
    for module in modules:
        seat = seats.pop(module)
        if seat.state == FLAGGED and seat.deadline is not None:
            kept = (flag for flag in flags if flag.module != module)
            flags = tuple(sorted((*kept, Flag(module, seat.since, seat.seq, seat.deadline))))
    return row._replace(seats=seats, offset=offset, flags=flags)


def _still_revoked(entries: tuple[Revocation, ...], modules: Container[str], reactivated: Container[str]) -> tuple[Revocation, ...]:
    return tuple(entry for entry in entries if entry.module in modules and entry.module not in reactivated) if entries else entries


def _still_remembered(flags: tuple[Flag, ...], at: int) -> tuple[Flag, ...]:
    return tuple(flag for flag in flags if at - flag.since <= FLAG_REMEMBERED_MS) if flags else flags


_APPLY: dict[type, Callable[[UserRow, Any, When], UserRow]] = {
    Granted: _granted,
    Flagged: _flagged,
    Cleared: _cleared,
    Revoked: _revoked,
    Released: _released,
    ReleasedAsDated: _released_as_dated,
    Answered: _answered,
    GivenUp: _given_up,
    Moved: _answered,
    RevisionUsed: _revision_used,
}


# A tenant's row --------------------------------------------------------------------------------------------------------


def numbered(row: TenantRow, source: str, number: int, command: str) -> TenantRow:
    """Return the row with that number as the last one of its sender."""
    others = (entry for entry in row.numbers if entry.source != source)
    return row._replace(numbers=tuple(sorted((*others, Number(source, number, command)))))


def period_scheduled(row: TenantRow, period: str, starts_at: int, seq: int) -> TenantRow:
    """Return the row with that period scheduled, or scheduled again."""
    others = (entry for entry in row.scheduled if entry.period != period)
    return row._replace(scheduled=tuple(sorted((*others, Scheduled(starts_at, period, seq)))))


def period_started(row: TenantRow, period: str) -> TenantRow:
    return row._replace(period=period, scheduled=tuple(entry for entry in row.scheduled if entry.period != period))


# A change in the body of an event --------------------------------------------------------------------------------------


def _module_body(change: Granted | Cleared | Revoked) -> Body:
    return {"user": change.user, "module": change.module}


def _flagged_body(change: Flagged) -> Body:
    body: Body = {"user": change.user, "module": change.module}
    if change.deadline is not None:
        body["deadline"] = instant(change.deadline)
    return body


def _released_body(change: Released) -> Body:
    return {"user": change.user, "reason": change.reason, "module": change.module}


def _released_as_dated_body(change: ReleasedAsDated) -> Body:
    body: Body = {"user": change.user, "required": change.required, "released": list(change.released)}
    if change.leaver:
        body["leaver"] = True
    if change.reduced:
        body["reduced"] = [each._asdict() for each in change.reduced]
    return body


def required_body(required: Required) -> Body:
    """Leave defaults out."""
    body: Body = {"modules": required.modules, "created_at": instant(required.created_at)}
    if required.administrator:
        body["administrator"] = True
    if required.priority:
        body["priority"] = required.priority
    if required.partial:
        body["partial"] = True
    if required.reactivate:
        body["reactivate"] = required.reactivate
    if required.hold_until is not None:
        body["hold_until"] = instant(required.hold_until)
    if required.suspended:
        body["suspended"] = True
    if required.release is not None:
        body["release"] = _dated_body(required.release)
    return body


def _dated_body(release: Dated) -> Body:
    body: Body = {"at": instant(release.at), "modules": release.modules}
    return body | {"leaver": True} if release.leaver else body


def _shown_body(shown: Shown) -> Body:
    module, state, reason, since, deadline, order, again = shown
    body: Body = {"module": module, "state": state}
    if deadline is not None:
        body["deadline"] = instant(deadline)
    if since:
        body["since"] = instant(since)
    if reason is not None:
        body["reason"] = reason
    if order is not None:
        body["order"] = order
    if again:
        body["again"] = again
    return body


def _answered_body(change: Answered) -> Body:
    body: Body = {"user": change.user, "revision": change.revision, "need": required_body(change.required)}
    body["modules"] = list(map(_shown_body, change.seats))
    if change.released:
        body["released"] = list(change.released)
    if change.reduced:
        body["reduced"] = [each._asdict() for each in change.reduced]
    return body


def _given_up_body(change: GivenUp) -> Body:
    return {"from_user": change.user, "from_revision": change.revision, "from_released": list(change.released)}


def _moved_body(change: Moved) -> Body:
    body: Body = {"user": change.user, "revision": change.revision, "need": required_body(change.required)}
    return body | {"moved": list(change.moved), "released": list(change.released), "modules": list(map(_shown_body, change.seats))}


def _revision_used_body(change: RevisionUsed) -> Body:
    return {"user": change.user, "revision": change.revision}


_TO_BODY: dict[type, Callable[[Any], Body]] = {
    Granted: _module_body,
    Flagged: _flagged_body,
    Cleared: _module_body,
    Revoked: _module_body,
    Released: _released_body,
    ReleasedAsDated: _released_as_dated_body,
    Answered: _answered_body,
    GivenUp: _given_up_body,
    Moved: _moved_body,
    RevisionUsed: _revision_used_body,
}


def _read_granted(body: Body) -> tuple[Change, ...]:
    return (Granted(body["user"], intern(body["module"])),)


def _read_flagged(body: Body) -> tuple[Change, ...]:
    return (Flagged(body["user"], intern(body["module"]), _time(body.get("deadline"))),)


def _read_cleared(body: Body) -> tuple[Change, ...]:
    return (Cleared(body["user"], intern(body["module"])),)


def _read_revoked(body: Body) -> tuple[Change, ...]:
    return (Revoked(body["user"], intern(body["module"])),)


def _read_released(body: Body) -> tuple[Change, ...]:
    return (Released(body["user"], intern(body["module"]), body["reason"]),)


def _read_released_as_dated(body: Body) -> tuple[Change, ...]:
    leaver = body.get("leaver", False)
    return (ReleasedAsDated(body["user"], shared_names(body["required"]), tuple(body.get("released", ())), leaver, _read_reduced(body)),)


def _read_reduced(body: Body) -> tuple[LeaverReduction, ...]:
    return tuple(LeaverReduction(intern(each["module"]), each["licences"], each["next_period"]) for each in body.get("reduced", ()))


def _read_answered(body: Body) -> tuple[Change, ...]:
    required, seats = _read_required(body["need"]), tuple(map(_read_shown, body["modules"]))
    released, reduced = tuple(body.get("released", ())), _read_reduced(body)
    return (Answered(body["user"], body["revision"], required, seats, released, reduced),)


def _read_moved(body: Body) -> tuple[Change, ...]:
    required, seats = _read_required(body["need"]), tuple(map(_read_shown, body["modules"]))
    source = GivenUp(body["from_user"], body["from_revision"], tuple(body.get("from_released", ())))
    moved, released = tuple(body.get("moved", ())), tuple(body.get("released", ()))
    return source, Moved(body["user"], body["revision"], required, seats, moved, released)


def _read_revisions_used(body: Body) -> tuple[Change, ...]:
    return RevisionUsed(body["from_user"], body["from_revision"]), RevisionUsed(body["user"], body["revision"])


def _read_required(need: Body) -> Required:
    return Required(
        modules=shared_names(need["modules"]),
        created_at=from_instant(need["created_at"]),
        administrator=need.get("administrator", False),
        priority=need.get("priority", 0),
        partial=need.get("partial", False),
        reactivate=tuple(need.get("reactivate", ())),
        hold_until=_time(need.get("hold_until")),
        suspended=need.get("suspended", False),
        release=_read_dated(need["release"]) if "release" in need else None,
    )


def _read_dated(release: Body) -> Dated:
    return Dated(from_instant(release["at"]), shared_names(release["modules"]), release.get("leaver", False))


def _read_shown(shown: Body) -> Shown:
    return Shown(
        module=intern(shown["module"]),
        state=shown["state"],
        reason=shown.get("reason"),
        since=_time(shown.get("since")) or 0,
        deadline=_time(shown.get("deadline")),
        order=shown.get("order"),
        again=shown.get("again", 0),
    )


def _time(text: str | None) -> int | None:
    return None if text is None else from_instant(text)


EVENTS_OF_PEOPLE: dict[str, Callable[[Body], tuple[Change, ...]]] = {
    "seat_granted": _read_granted,
    "seat_flagged": _read_flagged,
    "seat_flag_cleared": _read_cleared,
    "seat_revoked": _read_revoked,
    "seat_released": _read_released,
    "seats_released": _read_released_as_dated,
    "hold_expired": _read_released,
    "hold_cancelled": _read_released,
    "seats_assigned": _read_answered,
    "seats_queued": _read_answered,
    "seats_refused": _read_answered,
    "seats_moved": _read_moved,
    "replacement_refused": _read_revisions_used,
}
