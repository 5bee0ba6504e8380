"""The state of each module of a person, as the decisions of seats make it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from services.users.domain.required_modules import Note
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
    WITHDRAWN = "withdrawn"  # any other; stays in the need
    PENDING = "pending"  # asked for, not answered yet
    RELEASED = "released"  # no longer needed; kept for its position, shown nowhere


@dataclass(frozen=True, slots=True)
class Decided:
    """What one event of seats says of one module of a person. `revoked` and `refused` are counted over the whole run."""

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
    """The states that the event gives to modules of `event.user`; an answer lists the whole need."""
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


def not_done(event: seats.CommandRejected | seats.CommandFailed, place: DecisionId) -> Note:
    """Why the need that was sent last has no decision, for whoever looks at the person and sees it pending."""
    match event:
        case seats.CommandRejected():
            return Note("command_rejected", f"Seats rejected what was asked for: {event.wrong()}.", event.reason, place)
        case seats.CommandFailed():
            detail = f"Seats met an error at what was asked for; its log has the rest under {event.error_id}."
            return Note("command_failed", detail, event.reason, place)


@dataclass(frozen=True, slots=True)
class Seat:
    """What seats decided of one module of a person, as of `place`. `revoked`, `refused`: ever."""

    state: ModuleState
    deadline: datetime | None
    reason: str | None
    revoked: bool
    refused: bool
    place: DecisionId


def project(seats_: Mapping[str, Seat], place: DecisionId, decided_: Sequence[Decided], need: Collection[str] | None) -> dict[str, Seat]:
    """The modules that one decision changes. An older decision than the one that a module reflects changes nothing of it, but that it was
    ever revoked or refused is counted all the same. `need` given: it lists all that is needed, so other modules are released; they are
    kept for their place, or an old decision that is handled again would bring them back."""
    changed: dict[str, Seat] = {}
    for module, seat in seats_.items():
        if need is not None and module not in need and seat.state is not ModuleState.RELEASED and seat.place < place:
            reason = Reason.NO_LONGER_NEEDED.value
            changed[module] = replace(seat, state=ModuleState.RELEASED, deadline=None, reason=reason, place=place)
    for said in decided_:
        known = seats_.get(said.module)
        revoked, refused = said.revoked or (known is not None and known.revoked), said.refused or (known is not None and known.refused)
        if known is None or known.place < place:
            # An answer says `revoked` of a withdrawn module as well; it stays what the revocation made it.
            withdrawn = said.state is ModuleState.REVOKED and known is not None and known.state is ModuleState.WITHDRAWN
            state = ModuleState.WITHDRAWN if withdrawn else said.state
            changed[said.module] = Seat(state, said.deadline, said.reason, revoked, refused, place)
        elif (revoked, refused) != (known.revoked, known.refused):
            changed[said.module] = replace(known, revoked=revoked, refused=refused)
    return changed


def is_deactivated(seats_: Mapping[str, Seat]) -> bool:
    return any(seat.state is ModuleState.REVOKED for seat in seats_.values())
