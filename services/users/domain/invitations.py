"""Invitations: for how long they last, and whether seats has reserved what they need."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.users.domain.module_states import ModuleState, Seat
from services.users.domain.person import Person
from services.users.domain.required_modules import Account, Invitation, SeatStatus
from shared.schemas.base import Actor
from shared.schemas.users_v1 import PersonInvited

_USABLE = (ModuleState.ACTIVE, ModuleState.FLAGGED)


class InvitationState(StrEnum):
    """How the invitation of a person is shown."""

    REQUESTED = "requested"  # seats has not reserved the licences yet, so no e-mail was sent
    SENT = "sent"
    REFUSED = "refused"  # seats reserved nothing, so no e-mail was sent
    EXPIRED = "expired"


class TokenState(StrEnum):
    """The state of the link of an invitation. The last four end it for good."""

    OPEN = "open"
    WITHDRAWN = "withdrawn"  # the person was blocked or has left
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    REPLACED = "replaced"  # the invitation was sent again, with another link
    READDRESSED = "readdressed"  # the person has another e-mail address since


@dataclass(frozen=True, slots=True)
class InvitationTerms:
    """For how long an invitation lasts, and whether it reserves licences."""

    days: int
    reserve: bool

    def invited(self, person: Person, now: datetime, actor: Actor) -> Account:
        """Return the account of a person who is invited now. Each invitation has an end of its own, also on a test clock that stands still:
        the end tells seats and notifier that it is another one. So the version of the person, which each invitation raises, is added in
        milliseconds."""
        until = now + timedelta(days=self.days, milliseconds=person.version)
        by, hold_until = actor.id if actor.kind == "user" else None, until if self.reserve else None
        return replace(person.account, invitation=Invitation.OPEN, invited_until=until, hold_until=hold_until, invited_by=by)


def accepted(account: Account) -> Account:
    return replace(account, invitation=Invitation.NONE, invited_until=None, hold_until=None, invited_by=None)


def expired(account: Account) -> Account:
    """Return the account after the end of its invitation. `invited_until` stays, to be shown."""
    return replace(account, invitation=Invitation.EXPIRED, hold_until=None)


def is_open(account: Account, now: datetime) -> bool:
    return account.invitation == Invitation.OPEN and account.invited_until is not None and now < account.invited_until


def is_reserved(person: Person, seats: Mapping[str, Seat]) -> bool:
    """Return whether the last answer of seats has reserved all that an open invitation reserves."""
    account, required = person.account, person.standing.required.modules
    if account.invitation != Invitation.OPEN or account.hold_until is None or person.answered != person.revision:
        return False
    return all(
        module in seats
        and (seats[module].state in _USABLE or (seats[module].state is ModuleState.HELD and seats[module].deadline == account.hold_until))
        for module in required
    )


def invited_event(person: Person, at: datetime, actor: Actor) -> PersonInvited:
    account = person.account
    assert account.invited_until is not None
    reserved = account.hold_until is not None and bool(person.standing.required.modules)
    return PersonInvited(at=at, actor=actor, user=person.user, expires_at=account.invited_until, reserved=reserved)


def shown_state(person: Person, now: datetime) -> InvitationState | None:
    """Return the state of the person's invitation; None if the person was not invited, or has accepted."""
    account = person.account
    if account.invitation == Invitation.NONE:
        return None
    if not is_open(account, now):
        return InvitationState.EXPIRED
    if account.hold_until is not None and person.answered < person.revision:
        return InvitationState.REQUESTED
    if account.seat_status in (SeatStatus.REFUSED, SeatStatus.NOT_SUBSCRIBED):
        return InvitationState.REFUSED
    return InvitationState.SENT
