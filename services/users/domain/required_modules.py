"""Which modules a person requires."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from services.users.domain.facts import Kind, Record
from services.users.domain.roles import Roles
from services.users.domain.subscription import requested
from shared.schemas.position import DecisionId


@dataclass(frozen=True, slots=True)
class Profile:
    modules: tuple[str, ...]
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a tenant that decide which modules its people require, and which rights they have."""

    profiles: Mapping[str, Profile]
    departments: Mapping[str, str | None]
    release_on_expiry: bool = False
    roles: Roles = field(default_factory=dict)
    subscribed: Mapping[str, Collection[str]] = field(default_factory=dict)  # each with the modules that it requires


class SeatStatus(StrEnum):
    """This is what the decisions of seats about the required modules mean for the person as a whole."""

    GRANTED = "granted"  # or not decided yet
    OVER_LIMIT = "over_limit"
    WAITING = "waiting"
    REFUSED = "refused"
    NOT_SUBSCRIBED = "not_subscribed"
    DEACTIVATED = "deactivated"


class Invitation(StrEnum):
    """Whether the person still has to accept an invitation."""

    NONE = "none"  # never invited, or accepted
    OPEN = "open"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Account:
    """The data of a person that is not part of the facts. `hold_until` is `invited_until` while an invitation reserves licences."""

    given_profile: str | None = None  # by REST; goes before those of groups, and these before the department's
    group_profiles: tuple[str, ...] = ()  # of the mapped groups of identity systems, sorted
    roles: tuple[str, ...] = ()  # given by REST
    group_roles: tuple[str, ...] = ()  # of the groups that sources report
    own_department: bool = False  # the viewset is the person's present department
    departments: tuple[str, ...] | None = None  # the viewset is this list; None: there is none
    digests: bool = True  # the person wants e-mails that are no deadlines
    may_log_in: bool = True
    priority: int = 0
    hold_until: datetime | None = None
    seat_status: SeatStatus = SeatStatus.GRANTED
    invitation: str = Invitation.NONE
    invited_until: datetime | None = None
    invited_by: str | None = None  # the person of the tenant who sent the last invitation; None: a program, or the vendor

    @property
    def all_roles(self) -> tuple[str, ...]:
        return tuple(sorted({*self.roles, *self.group_roles}))


@dataclass(frozen=True, slots=True)
class Release:
    """From the instant `at` on, the person requires only `modules` of those required now: none after a leaving (`leaver`)."""

    at: datetime
    modules: tuple[str, ...]
    leaver: bool


@dataclass(frozen=True, slots=True)
class RequiredModules:
    """The content of `assign_seats` but for the person and the revision. Without modules, all other fields have their defaults."""

    modules: tuple[str, ...] = ()
    administrator: bool = False
    priority: int = 0
    partial: bool = False
    hold_until: datetime | None = None
    suspended: bool = False
    release: Release | None = None


NO_MODULES: Final = RequiredModules()
PROFILES_SEPARATOR: Final = ":"  # between the profiles of several groups, in the text that names them
NAMES_MAX: Final = 100  # characters of that text, as of an id


@dataclass(frozen=True, slots=True)
class Note:
    """A text shown with the person: what was not done, and why. A note about an answer of seats has its `reason` and `decision_id`."""

    type: str
    detail: str
    reason: str | None = None
    decision_id: DecisionId | None = None


def profile_of(record: Record, account: Account, settings: Settings) -> tuple[str | None, Profile | None, tuple[Note, ...]]:
    """Return the names of the profiles, what they require together, and what to show with the person.

    A person of several groups requires the modules of all their profiles, all or none, unless each of these profiles is partial.
    """
    if account.given_profile is not None:
        names: tuple[str, ...] = (account.given_profile,)
    elif account.group_profiles:
        names = account.group_profiles
    elif record.department is None:
        return None, None, ()
    elif record.department not in settings.departments:
        detail = f"Department {record.department!r} is not in the department mapping, so this person has no profile and takes no seat."
        return None, None, (Note("unknown_department", detail),)
    elif (mapped := settings.departments[record.department]) is None:
        return None, None, ()
    else:
        names = (mapped,)
    known = [settings.profiles[name] for name in names if name in settings.profiles]
    unknown = [name for name in names if name not in settings.profiles]
    seat = "" if known else ", so this person takes no seat"
    notes = tuple(Note("unknown_profile", f"Profile {name!r} is not defined{seat}.") for name in unknown)
    return PROFILES_SEPARATOR.join(names)[:NAMES_MAX], _union(known), notes


def _union(profiles: Sequence[Profile]) -> Profile | None:
    if len(profiles) < 2:
        return next(iter(profiles), None)
    modules = sorted({module for profile in profiles for module in profile.modules})
    return Profile(tuple(modules), partial=all(profile.partial for profile in profiles))


def required_modules(
    record: Record,
    account: Account,
    profile: Profile | None,
    settings: Settings,
    *,
    login_expired: bool,
    administrator: bool = False,
) -> tuple[RequiredModules, tuple[str, ...]]:
    """Return the modules that a person requires (A7, M4, E2): those of the profile, if the person has a login, may log in and has not left.
    Of these, only those are required that are subscribed; the others are returned beside them.

    External and service people require none (M6), nor does a profile without modules (A19). After `valid_to`, the person still requires
    them and is `suspended`, unless the tenant has set `release_on_expiry` (A20, A21).

    A person who has not accepted an invitation requires them only while the invitation reserves licences.

    A revocation changes nothing here: the person still requires the module, and seats answers `revoked` until a reactivation names it.
    """
    blocked = not account.may_log_in or not record.login_allowed or (login_expired and settings.release_on_expiry)
    blocked = blocked or (account.invitation != Invitation.NONE and account.hold_until is None)
    if not record.employed or not record.login or blocked or record.kind != Kind.EMPLOYEE or profile is None or not profile.modules:
        return NO_MODULES, ()
    modules = requested(profile.modules, settings.subscribed)
    others = tuple(sorted(set(profile.modules) - set(modules)))
    if not modules:
        return NO_MODULES, others
    return RequiredModules(modules, administrator, account.priority, profile.partial, account.hold_until, login_expired), others


def must_send(required: RequiredModules, sent: RequiredModules | None) -> bool:
    """Return whether these differ from those sent last.

    Nothing is sent about a person who never required a module (A19).
    """
    return required != NO_MODULES if sent is None else required != sent
