"""The status of a person: whether they work here, may log in, and with which profile and modules."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from services.users.domain.facts import FactType, Record
from services.users.domain.required_modules import (
    NO_MODULES,
    Account,
    Invitation,
    Note,
    RequiredModules,
    SeatStatus,
    Settings,
    profile_of,
    required_modules,
)
from services.users.domain.roles import is_administrator, rights_of_roles
from shared.schemas.seats_v1 import Reason


class Status(StrEnum):
    EXPECTED = "expected"  # starts on a later day, or is linked with another person now; shown nowhere
    INVITED = "invited"  # has not accepted the invitation
    ACTIVE = "active"
    INACTIVE = "inactive"  # may not log in, or has no login
    OVER_LIMIT = "over_limit"  # a seat is flagged
    WAITING = "waiting"  # in the queue for a base module
    REFUSED = "refused"  # no seat in a base module
    NOT_SUBSCRIBED = "not_subscribed"  # the profile has modules, and none of them is subscribed
    DEACTIVATED = "deactivated"  # revoked in a base module
    LEFT = "left"
    CONFLICT = "conflict"  # may be somebody whom the tenant has already


LISTED: Final = tuple(status for status in Status if status not in (Status.EXPECTED, Status.INACTIVE, Status.LEFT))  # by default (M5)


@dataclass(frozen=True, slots=True)
class Standing:
    status: Status
    may_log_in: bool
    profile: str | None
    required: RequiredModules
    notes: tuple[Note, ...] = ()
    rights: tuple[str, ...] = ()
    may_sign_in: bool = False  # to the console, whatever seats decided
    not_subscribed: tuple[str, ...] = ()  # the other modules of the profile


_BY_SEATS: Final = {
    SeatStatus.GRANTED: Status.ACTIVE,
    SeatStatus.OVER_LIMIT: Status.OVER_LIMIT,
    SeatStatus.WAITING: Status.WAITING,
    SeatStatus.REFUSED: Status.REFUSED,
    SeatStatus.NOT_SUBSCRIBED: Status.NOT_SUBSCRIBED,
    SeatStatus.DEACTIVATED: Status.DEACTIVATED,
}
USABLE: Final = (Status.ACTIVE, Status.OVER_LIMIT)


def status_of(record: Record, account: Account, today: date, *, requires_modules: bool, lacks_modules: bool = False) -> tuple[Status, bool]:
    """Return the status, and whether the person may log in. After `valid_to` a person is inactive; that alone frees no seat (A20).
    Without a login, nobody can log in (A7). `lacks_modules`: modules of the profile are not subscribed."""
    login_expired = record.valid_to is not None and record.valid_to < today
    allowed = bool(record.login) and account.may_log_in and record.login_allowed and not login_expired
    if not record.employed:
        return Status.LEFT, False
    by_seats = _BY_SEATS[SeatStatus(account.seat_status)] if requires_modules else Status.NOT_SUBSCRIBED if lacks_modules else Status.ACTIVE
    if not allowed and by_seats is not Status.DEACTIVATED:
        return Status.INACTIVE, False
    if account.invitation != Invitation.NONE and by_seats in (*USABLE, Status.WAITING, Status.NOT_SUBSCRIBED):
        return Status.INVITED, False
    return by_seats, allowed and by_seats in USABLE


def may_sign_in(record: Record, account: Account, rights: Collection[str], today: date) -> bool:
    """Return whether the person may sign in to the console: a holder of any right who is employed and not blocked, with or without a
    seat."""
    return bool(rights) and is_here(record, account, today)


def is_here(record: Record, account: Account, today: date) -> bool:
    """Return whether the person is employed and not blocked."""
    expired = record.valid_to is not None and record.valid_to < today
    return record.employed and account.may_log_in and record.login_allowed and not expired


def standing(record: Record | None, account: Account, settings: Settings, today: date) -> Standing:
    """Return what follows for the person today from what sources state and what REST has set."""
    if record is None:
        return Standing(Status.EXPECTED, may_log_in=False, profile=None, required=NO_MODULES)
    rights = rights_of_roles(account.all_roles, settings.roles)
    login_expired = record.valid_to is not None and record.valid_to < today
    name, profile, notes = profile_of(record, account, settings)
    administrator = is_administrator(rights)
    required, others = required_modules(record, account, profile, settings, login_expired=login_expired, administrator=administrator)
    status, may_log_in = status_of(record, account, today, requires_modules=required != NO_MODULES, lacks_modules=bool(others))
    return Standing(status, may_log_in, name, required, notes, rights, may_sign_in(record, account, rights, today), others)


def reason_of(before: Status, after: Status, fact: FactType | None) -> Reason:
    """Return the reason that is sent with changed required modules."""
    if after is Status.LEFT:
        return Reason.LEFT
    if before in (Status.EXPECTED, Status.LEFT) and fact is not FactType.CHANGED:
        return Reason.HIRED
    return Reason.HIRED if before is Status.EXPECTED else Reason.CHANGED
