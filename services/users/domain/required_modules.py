"""Which modules a person requires."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.users.domain.facts import Kind, Record
from shared.schemas.position import DecisionId


@dataclass(frozen=True, slots=True)
class Profile:
    modules: tuple[str, ...]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What of a tenant decides its people's needs."""

    profiles: Mapping[str, Profile]
    departments: Mapping[str, str | None]
    release_on_expiry: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """What users itself keeps of a person, beside the facts."""

    given_profile: str | None = None  # by REST; goes before the department's
    administrator: bool = False
    may_log_in: bool = True
    priority: int = 0
    hold_until: datetime | None = None
    deactivated: bool = False  # revoked in a base module


@dataclass(frozen=True, slots=True)
class Need:
    """What `assign_seats` says, but for the person and the revision. Without modules nothing else counts, so it is in its normal form."""

    modules: tuple[str, ...] = ()
    administrator: bool = False
    priority: int = 0
    partial: bool = False
    hold_until: datetime | None = None


NOTHING: Final = Need()


@dataclass(frozen=True, slots=True)
class Note:
    """Shown with the person: what kept something from being done, and why. Of what seats answered: `reason` in its words, and `place`."""

    type: str
    detail: str
    reason: str | None = None
    place: DecisionId | None = None


def profile_of(record: Record, account: Account, settings: Settings) -> tuple[str | None, tuple[Note, ...]]:
    if account.given_profile is not None:
        return account.given_profile, ()
    if record.department is None:
        return None, ()
    if record.department not in settings.departments:
        detail = f"Department {record.department!r} is not in the department mapping, so this person has no profile and takes no seat."
        return None, (Note("unknown_department", detail),)
    return settings.departments[record.department], ()


def need_of(record: Record, account: Account, profile: Profile | None, *, login_expired: bool, release_on_expiry: bool) -> Need:
    """The modules a person needs (A7, M4, E2): credentials exist, may log in, not terminated, and the profile has a module; external and
    service people need none (M6), nor does a profile without modules (A19). An expired `valid_to` takes the need away only where the
    tenant says so (A20, A21).

    A revocation changes nothing here: the module stays in the need, and seats, which remembers it, answers `revoked` until a reactivation
    names it.
    """
    blocked = not account.may_log_in or (login_expired and release_on_expiry)
    if not record.employed or not record.login or blocked or record.kind != Kind.EMPLOYEE or profile is None or not profile.modules:
        return NOTHING
    modules = tuple(sorted(set(profile.modules)))
    return Need(modules, account.administrator, account.priority, profile.partial, account.hold_until)


def must_send(need: Need, sent: Need | None) -> bool:
    """Design, section 5: sent when it differs from what was sent last. Who never needed anything is not spoken of at all (A19)."""
    return need != NOTHING if sent is None else need != sent
