"""The state of each module of a person, as the decisions of seats make it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from services.users.domain.required_modules import Note, SeatStatus
from shared.schemas import seats_v1 as seats
from shared.schemas.position import DecisionId
from shared.schemas.seats_v1 import Reason, SeatState


class ModuleState(StrEnum):
    """How a module of a person is shown. The first four are seats; the others say why there is none."""

    ACTIVE = "active"
    FLAGGED = "flagged"
    HELD = "held"
    WAITING = "waiting"
    REFUSED = "refused"
    REVOKED = "revoked"  # a base module
    WITHDRAWN = "withdrawn"  # any other module; the person still requires it
    PENDING = "pending"  # requested, not answered yet
    RELEASED = "released"  # no longer required; kept for its decision id, shown nowhere
    NOT_SUBSCRIBED = "not_subscribed"  # of the profile, and not requested; never stored


@dataclass(frozen=True, slots=True)
class Decided:
    """The state that one event of seats gives to one module of a person. `revoked` and `refused` are counted over the whole run."""

    module: str
    state: ModuleState
    deadline: datetime | None = None
    reason: str | None = None
    revoked: bool = False
    refused: bool = False


_ANSWERED: Final[Mapping[str, ModuleState]] = {
    SeatState.ACTIVE: ModuleState.ACTIVE,
    SeatState.FLAGGED: ModuleState.FLAGGED,
    SeatState.HELD: ModuleState.HELD,
    SeatState.WAITING: ModuleState.WAITING,
    SeatState.REFUSED: ModuleState.REFUSED,
    SeatState.REVOKED: ModuleState.REVOKED,
}


def _answered(modules: Sequence[seats.ModuleSeat], reason: str) -> list[Decided]:
    """A state that this release does not know (an open enum) is shown as pending rather than guessed."""
    return [
        Decided(
            seat.module,
            _ANSWERED.get(seat.state, ModuleState.PENDING),
            seat.deadline,
            seat.reason or reason,
            revoked=seat.state == SeatState.REVOKED,
            refused=seat.state == SeatState.REFUSED,
        )
        for seat in modules
    ]


def decided(event: seats.PersonEvent) -> list[Decided]:
    """Return the states that the event gives to modules of `event.user`; an answer lists all required modules."""
    match event:
        case seats.NeedAnswered() | seats.SeatsMoved():
            return _answered(event.modules, event.reason)
        case seats.SeatFlagged():
            return [Decided(event.module, ModuleState.FLAGGED, event.deadline, event.reason)]
        case seats.SeatFlagCleared() | seats.SeatGranted():
            return [Decided(event.module, ModuleState.ACTIVE, None, event.reason)]
        case seats.SeatRevoked():
            state = ModuleState.REVOKED if event.base else ModuleState.WITHDRAWN
            return [Decided(event.module, state, None, event.reason, revoked=True)]
        case seats.SeatReleased() | seats.HoldExpired() | seats.HoldCancelled():
            return [Decided(event.module, ModuleState.WITHDRAWN, None, event.reason)]
        case _:
            return []


def not_done(event: seats.CommandRejected | seats.CommandFailed, decision_id: DecisionId) -> Note:
    """Return a note that says why the command that was sent last has no decision, for the administrator who sees the person as pending."""
    match event:
        case seats.CommandRejected():
            return Note("command_rejected", f"Seats rejected the request: {event.wrong()}.", event.reason, decision_id)
        case seats.CommandFailed():
            detail = f"An error occurred in seats at this request. The log of seats has the details under {event.error_id}."
            return Note("command_failed", detail, event.reason, decision_id)


@dataclass(frozen=True, slots=True)
class Seat:
    """The state of one module of a person as of the decision `decision_id`. `revoked` and `refused` say whether it ever was. `remind_at` is
    the time of the next reminder that a grace ends (domain/reminders)."""

    state: ModuleState
    deadline: datetime | None
    reason: str | None
    revoked: bool
    refused: bool
    decision_id: DecisionId
    remind_at: datetime | None = None


def project(
    seats_: Mapping[str, Seat], decision_id: DecisionId, decided_: Sequence[Decided], required: Collection[str] | None
) -> dict[str, Seat]:
    """Return the modules that one decision changes.

    A module that reflects a later decision keeps its state, but its revocation or refusal is counted all the same. If `required` is given,
    it lists all modules that the person requires, so the others are released; they are kept for their decision ids, without which an old
    decision that is handled again would bring them back.
    """
    changed: dict[str, Seat] = {}
    for module, seat in seats_.items():
        if required is not None and module not in required and seat.state is not ModuleState.RELEASED and seat.decision_id < decision_id:
            reason = Reason.NO_LONGER_REQUIRED.value
            changed[module] = replace(seat, state=ModuleState.RELEASED, deadline=None, reason=reason, decision_id=decision_id)
    for each in decided_:
        known = seats_.get(each.module)
        revoked, refused = each.revoked or (known is not None and known.revoked), each.refused or (known is not None and known.refused)
        if known is None or known.decision_id < decision_id:
            # An answer lists a withdrawn module as `revoked` too; it stays withdrawn.
            withdrawn = each.state is ModuleState.REVOKED and known is not None and known.state is ModuleState.WITHDRAWN
            state = ModuleState.WITHDRAWN if withdrawn else each.state
            changed[each.module] = Seat(state, each.deadline, each.reason, revoked, refused, decision_id)
        elif (revoked, refused) != (known.revoked, known.refused):
            changed[each.module] = replace(known, revoked=revoked, refused=refused)
    return changed


def seat_status(seats_: Mapping[str, Seat | Decided], add_ons: Collection[str]) -> SeatStatus:
    """Return what the states of the required modules mean for the person. Add-ons decide only if the person requires no base module.
    A module of which no pool is known counts as a base module."""
    found = {module: seat for module, seat in seats_.items() if seat.state is not ModuleState.RELEASED}
    base = [seat for module, seat in found.items() if module not in add_ons] or list(found.values())
    states = {seat.state for seat in base}
    if any(seat.state is ModuleState.REVOKED for seat in found.values()):
        return SeatStatus.DEACTIVATED
    if ModuleState.REFUSED in states:
        unknown = any(seat.state is ModuleState.REFUSED and seat.reason == Reason.UNKNOWN_MODULE for seat in found.values())
        return SeatStatus.NOT_SUBSCRIBED if unknown else SeatStatus.REFUSED
    if ModuleState.WAITING in states:
        return SeatStatus.WAITING
    flagged = any(seat.state is ModuleState.FLAGGED for seat in found.values())
    return SeatStatus.OVER_LIMIT if flagged else SeatStatus.GRANTED


def status_of_answer(answer: Sequence[Mapping[str, Any]], add_ons: Collection[str]) -> SeatStatus:
    """Return what an answer of seats to the question "What if?" would mean for the person; it lists all required modules."""
    states = [Decided(each["module"], _ANSWERED.get(each["state"], ModuleState.PENDING), None, each["reason"]) for each in answer]
    return seat_status({each.module: each for each in states}, add_ons)


def base_modules_are_usable(required: Collection[str], seats_: Mapping[str, Seat], add_ons: Collection[str]) -> bool:
    """Return whether the person has a usable seat in each required base module; without one, in each required module."""
    base = [module for module in required if module not in add_ons] or required
    return all(module in seats_ and seats_[module].state in (ModuleState.ACTIVE, ModuleState.FLAGGED) for module in base)
