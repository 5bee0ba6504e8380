"""The status of a person: whether they work here, may log in, and with which profile and modules."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from services.users.domain.facts import FactType, Record
from services.users.domain.required_modules import NO_MODULES, Account, Note, RequiredModules, Settings, profile_of, required_modules
from shared.schemas.seats_v1 import Reason


class Status(StrEnum):
    EXPECTED = "expected"  # there are only facts of later days, or no hire yet; shown nowhere
    ACTIVE = "active"
    INACTIVE = "inactive"  # may not log in, or has no login
    DEACTIVATED = "deactivated"  # revoked in a base module
    LEFT = "left"


LISTED: Final = tuple(status for status in Status if status not in (Status.EXPECTED, Status.INACTIVE, Status.LEFT))  # by default (M5)


@dataclass(frozen=True, slots=True)
class Standing:
    status: Status
    may_log_in: bool
    profile: str | None
    required: RequiredModules
    notes: tuple[Note, ...] = ()


def status_of(record: Record, account: Account, today: date) -> tuple[Status, bool]:
    """Return the status, and whether the person may log in. After `valid_to` a person is inactive; that alone frees no seat (A20).
    Without a login, nobody can log in (A7)."""
    login_expired = record.valid_to is not None and record.valid_to < today
    allowed = bool(record.login) and account.may_log_in and record.login_allowed and not login_expired
    may_log_in = record.employed and allowed and not account.deactivated
    if not record.employed:
        return Status.LEFT, may_log_in
    if account.deactivated:
        return Status.DEACTIVATED, may_log_in
    return (Status.ACTIVE if may_log_in else Status.INACTIVE), may_log_in


def standing(record: Record | None, account: Account, settings: Settings, today: date) -> Standing:
    if record is None:
        return Standing(Status.EXPECTED, may_log_in=False, profile=None, required=NO_MODULES)
    login_expired = record.valid_to is not None and record.valid_to < today
    name, notes = profile_of(record, account, settings)
    profile = settings.profiles.get(name) if name is not None else None
    if name is not None and profile is None:
        notes = (*notes, Note("unknown_profile", f"Profile {name!r} is not defined, so this person takes no seat."))
    required = required_modules(record, account, profile, login_expired=login_expired, release_on_expiry=settings.release_on_expiry)
    status, may_log_in = status_of(record, account, today)
    return Standing(status, may_log_in, name, required, notes)


def reason_of(before: Status, after: Status, fact: FactType | None) -> Reason:
    """Return the reason that is sent with changed required modules."""
    if after is Status.LEFT:
        return Reason.LEFT
    if before in (Status.EXPECTED, Status.LEFT) and fact is not FactType.CHANGED:
        return Reason.HIRED
    return Reason.HIRED if before is Status.EXPECTED else Reason.CHANGED
