"""A person, and the messages to publish when the person changes. Pure: state in, state and messages out."""

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from services.users.domain.confirmation import confirmed_email, confirmed_login, same_address
from services.users.domain.conflicts import Conflict
from services.users.domain.facts import FactType, Record
from services.users.domain.local_days import local_midnight, local_today
from services.users.domain.logins import login_key
from services.users.domain.merging import NO_OVERRIDES, Overrides, Stated, days_ahead, left_since, merged_by_day, reconsider_on
from services.users.domain.required_modules import NO_MODULES, Account, Invitation, Note, Release, RequiredModules, Settings, must_send
from services.users.domain.roles import OWNER, Authority, departments_of, is_administrator
from services.users.domain.status import Standing, Status, is_here, reason_of, standing
from shared.schemas.base import Actor, Change, as_id
from shared.schemas.seats_v1 import AssignSeats, DatedRelease
from shared.schemas.users_v1 import PersonAdded, PersonChanged, PersonLeft, PersonRepublished, PersonState, SignInUnconfirmed
from shared.text import join_list

PRIVILEGES: Final = frozenset({"account:buy", "users:manage", "settings:manage", "roles:manage"})
NOBODY: Final = Standing(Status.EXPECTED, may_log_in=False, profile=None, required=NO_MODULES)


@dataclass(frozen=True, slots=True)
class Tenant:
    """The part of a tenant that handlers use. `now` is the tenant's time (UTC); `settings` are those of `config_version`."""

    tenant: str
    zone: ZoneInfo
    now: datetime
    settings: Settings
    config_version: int
    advancing_to: datetime | None = None

    @property
    def today(self) -> date:
        return local_today(self.now, self.zone)


@dataclass(frozen=True, slots=True)
class Person:
    """A person as users stores it.

    `sent` is the content of the last `assign_seats` (None: none was sent), `revision` its number, `answered` the last revision that seats
    answered. `not_done` says why seats will never decide the last command. `version` rises with each change.
    """

    user: str
    source: str
    external_id: str
    created_at: datetime
    record: Record | None = None
    account: Account = field(default_factory=Account)
    standing: Standing = NOBODY
    reconsider_on: date | None = None
    version: int = 0
    revision: int = 0
    answered: int = 0
    sent: RequiredModules | None = None
    command_id: str | None = None
    not_done: Note | None = None
    arrival: int = 0
    overrides: Overrides = NO_OVERRIDES
    conflict: Conflict | None = None
    separated: tuple[str, ...] = ()  # people who are others, as an administrator has decided
    left_on: date | None = None  # the day from which on the person counts as one who has left
    erased_at: datetime | None = None
    confirmed_login: str | None = None  # counts for sign-in instead of the record's, as logins are compared (domain/confirmation)
    confirmed_email: str | None = None  # the same of the e-mail address
    confirmed_rights: tuple[str, ...] = ()  # those of the one who stated or confirmed what counts (domain/confirmation)
    never_employed: bool = False  # by what is stated now; not stored

    @property
    def notes(self) -> tuple[Note, ...]:
        return self.standing.notes if self.not_done is None else (*self.standing.notes, self.not_done)

    @property
    def sign_in_login(self) -> str:
        """Return the login with which the person is found at the first sign-in with an identity provider."""
        record = self.record or Record(employed=False)
        return record.login if self.confirmed_login is None else self.confirmed_login

    @property
    def sign_in_email(self) -> str:
        """Return the address to which sign-in links go."""
        record = self.record or Record(employed=False)
        return record.email if self.confirmed_email is None else self.confirmed_email

    @property
    def is_unconfirmed(self) -> bool:
        """Return whether the login or the e-mail address does not count for sign-in yet."""
        return self.confirmed_login is not None or self.confirmed_email is not None

    @property
    def department(self) -> str | None:
        return None if self.record is None else self.record.department

    @property
    def departments(self) -> frozenset[str] | None:
        """Return the departments whose people this person sees; None: all people."""
        return departments_of(self.account.departments, self.account.own_department, self.department)


@dataclass(frozen=True, slots=True)
class Cause:
    """Who or what made the change. Without `reason`, the reason that seats uses is derived from the change."""

    actor: Actor
    reason: str | None = None
    fact: FactType | None = None
    authority: Authority | None = None  # of the sender of a request; None: no request


@dataclass(frozen=True, slots=True)
class Revision:
    """A person after a change, and the messages to publish in the transaction that stores the person."""

    person: Person
    event: PersonState | None = None
    command: AssignSeats | None = None
    changed: bool = False
    lost_owner: bool = False  # the person was an owner who can sign in, and no longer is, or has no address for links any more
    requested: bool = False  # by a request
    unbinds: bool = False  # accounts at identity providers, which could be bound by anybody who stated the login or the address before
    ends_link: bool = False  # of an open invitation, which went to another address
    ends_sessions: bool = False  # the person may no longer sign in, or has lost a role
    loses_privileges: bool = False  # nobody is in conflict any more because the person has them
    unconfirmed: SignInUnconfirmed | None = None  # a new login or e-mail address does not count for sign-in yet


def is_privileged(person: Person) -> bool:
    """Return whether the person may manage people, settings, roles or purchases."""
    return not PRIVILEGES.isdisjoint(person.standing.rights)


def _is_owner(person: Person) -> bool:
    return OWNER in person.account.all_roles and person.standing.may_sign_in


def lost_owner(before: Person, after: Person) -> bool:
    """Return whether the person was an owner who can sign in and no longer is, or has no address for sign-in links any more, which are the
    emergency access of owners."""
    if not _is_owner(before):
        return False
    return not _is_owner(after) or bool(before.sign_in_email and not after.sign_in_email)


def owner_until(person: Person, of: Stated, today: date) -> date | None:
    """Return the first later day on which an owner can no longer sign in; None: no such day is stated, or the person is no such owner."""
    return here_until(person, of, today) if _is_owner(person) else None


def here_until(person: Person, of: Stated, today: date) -> date | None:
    """Return the first later day on which the person is not employed, or may not log in; None: no such day is stated."""
    days = days_ahead(of, today)
    stated = zip(days, merged_by_day(of, days), strict=True)
    return next((day for day, record in stated if record is None or not is_here(record, person.account, day)), None)


def with_settings_of(person: Person, gone: Person) -> Person:
    """Return the person with what administrators have set for somebody who turned out to be the same human, as far as nothing else is set
    for the person. If one of the two may not log in, the human may not. Nobody inherits a role, and nobody leaves by a link with somebody
    who has left."""
    account = replace(
        person.account,
        may_log_in=person.account.may_log_in and gone.account.may_log_in,
        given_profile=person.account.given_profile if person.account.given_profile is not None else gone.account.given_profile,
        priority=person.account.priority or gone.account.priority,
    )
    if gone.overrides is NO_OVERRIDES:
        return replace(person, account=account)
    employment = gone.overrides.employment if gone.record is not None and gone.record.employed else None
    values = {**gone.overrides.values, **person.overrides.values}
    return replace(person, account=account, overrides=Overrides(values, person.overrides.employment or employment))


def source_actor(source: str) -> Actor:
    return Actor(kind="source", id=as_id(source))


def as_of(person: Person, of: Stated, tenant: Tenant) -> Person:
    """Return the person as everything that is stated describes the person today."""
    record = of.on(tenant.today)
    day = reconsider_on(of, record, tenant.today)
    found = _standing(record, person, tenant)
    has_left = found.status is Status.LEFT
    after = replace(
        person,
        record=record,
        # A person is created on the day of the hire, however long before the fact arrived.
        created_at=tenant.now if person.record is None else person.created_at,
        standing=found,
        reconsider_on=day,
        overrides=of.overrides,
        left_on=left_since(of, tenant.today) or person.left_on or tenant.today if has_left else None,
        erased_at=person.erased_at if has_left or record is None else None,
        never_employed=has_left and of.never_employed,
    )
    release = next_release(after, of, tenant) if day is not None else None
    if release is None:
        return after
    return replace(after, standing=replace(after.standing, required=replace(after.standing.required, release=release)))


def next_release(person: Person, of: Stated, tenant: Tenant) -> Release | None:
    """Return when the person will no longer require all modules that are required now, as far as anybody has stated; None: never."""
    required = person.standing.required.modules
    if not required:
        return None
    days = days_ahead(of, tenant.today)
    for day, record in zip(days, merged_by_day(of, days), strict=True):
        then = standing(record, person.account, tenant.settings, day)
        kept = tuple(module for module in required if module in then.required.modules)
        if kept != required:
            return Release(local_midnight(day, tenant.zone), kept, leaver=then.status is Status.LEFT)
    return None


def with_standing(person: Person, tenant: Tenant) -> Person:
    """Return the person with status, profile and required modules computed again, of somebody whom no known future day will change.
    Use cases call `known_people.as_of_today`, which knows the others."""
    return replace(person, standing=_standing(person.record, person, tenant))


def _standing(record: Record | None, person: Person, tenant: Tenant) -> Standing:
    found = standing(record, person.account, tenant.settings, tenant.today)
    if person.conflict is None or found.status in (Status.EXPECTED, Status.LEFT):
        return found
    return replace(found, status=Status.CONFLICT, may_log_in=False, required=NO_MODULES, not_subscribed=())


def _visible(person: Person) -> dict[str, Any]:
    """Return the fields that readers of users.events see, in the order of the schema; modules are one text, as a change shows them."""
    record, standing = person.record or Record(employed=False), person.standing
    return {
        "login": record.login,
        "email": record.email,
        "name": record.name,
        "job_title": record.job_title,
        "department": record.department,
        "profile": standing.profile,
        "kind": record.kind,
        "administrator": is_administrator(standing.rights),
        "status": str(standing.status),
        "modules": ",".join(standing.required.modules),
        "roles": ",".join(person.account.all_roles) or None,
        "rights": ",".join(standing.rights) or None,
        "departments": None if person.departments is None else join_list(sorted(person.departments)),
        "may_sign_in": standing.may_sign_in if standing.rights else None,
        "digests": None if person.account.digests else False,
        "confirmed_email": person.confirmed_email,
    }


def _shown(person: Person) -> tuple[object, ...]:
    confirmed = (person.confirmed_login, person.confirmed_email)
    return (person.record, person.account, person.standing, person.overrides, person.conflict, confirmed)


def _days(person: Person) -> tuple[object, ...]:
    """Return the days that are stored beside what is shown and sent. Somebody who is only expected is created later."""
    return (person.created_at if person.record is not None else None, person.reconsider_on, person.left_on)


def changes(before: Person, after: Person) -> tuple[Change, ...]:
    old = {} if before.record is None else _visible(before)
    new = _visible(after)
    return tuple(Change(field=name, old=old.get(name), new=value) for name, value in new.items() if old.get(name) != value)


def event_of(
    model: type[PersonState], person: Person, version: int, at: datetime, actor: Actor, reason: str, changed: tuple[Change, ...]
) -> PersonState:
    assert person.record is not None, "nothing is published about a person who is only expected"
    shown = _visible(person) | {"user": person.user, "external_id": person.external_id, "version": version}
    typed = {
        "modules": person.standing.required.modules,
        "roles": person.account.all_roles,
        "rights": person.standing.rights,
        "departments": None if person.departments is None else tuple(sorted(person.departments)),
        "may_sign_in": person.standing.may_sign_in,
        "digests": person.account.digests,
    }
    return model(at=at, actor=actor, reason=reason, changes=changed, **shown | typed)


def republished(person: Person, at: datetime, actor: Actor) -> PersonState:
    return event_of(PersonRepublished, person, person.version, at, actor, "republished", ())


def is_leaver(person: Person) -> bool:
    """Return whether seats may have released the person's seats because the person has left."""
    release = person.sent.release if person.sent is not None else None
    return person.standing.status is Status.LEFT or (release is not None and release.leaver)


def command_of(person: Person, reason: str, reactivate: tuple[str, ...], *, leaving_withdrawn: bool = False) -> AssignSeats:
    """Return the command that requests the person's required modules from seats."""
    required, release = person.standing.required, person.standing.required.release
    leaver = person.standing.status is Status.LEFT and not person.never_employed
    return AssignSeats(
        user=person.user,
        revision=person.revision,
        modules=required.modules,
        created_at=person.created_at,
        administrator=required.administrator,
        priority=required.priority,
        partial=required.partial,
        hold_until=required.hold_until,
        suspended=required.suspended,
        release=None if release is None else DatedRelease(at=release.at, modules=release.modules, leaver=release.leaver),
        reactivate=reactivate,
        reason=reason,
        leaver=leaver,
        reversible=leaver or (release is not None and release.leaver),
        leaving_withdrawn=leaving_withdrawn,
    )


def revise(
    before: Person,
    after: Person,
    *,
    at: datetime,
    cause: Cause,
    reactivate: tuple[str, ...] | None = None,
    resend: bool = False,
    above: int = 0,
    leaving_withdrawn: bool = False,
) -> Revision:
    """Return what follows from the change of `before` to `after`.

    The required modules are sent if they differ from those sent last, on every explicit reactivation (`reactivate` given) and if they must
    be sent again (`resend`), always with a new revision, which is higher than `above` too. A revocation in a base
    module sends nothing: it changes only the status. Call under the person's row lock, so that no revision is drawn twice.
    """
    after = _with_confirmed(before, after, cause.authority)
    # Of a person whose start was postponed or cancelled, readers see the last values with the status `expected`.
    shown = after if after.record is not None or before.record is None else replace(after, record=replace(before.record, employed=False))
    moved = changes(before, shown) if shown.record is not None else ()
    reason = cause.reason or reason_of(before.standing.status, after.standing.status, cause.fact)
    # The ETag covers all that the row holds about the person, but not the bookkeeping of messages.
    differs = _shown(before) != _shown(after)
    version = before.version + 1 if differs else after.version
    command = None
    if resend or reactivate is not None or must_send(after.standing.required, before.sent):
        after = replace(after, version=version, revision=max(before.revision, above) + 1, sent=after.standing.required)
        command = command_of(after, reason, reactivate or (), leaving_withdrawn=leaving_withdrawn)
    elif differs:
        after = replace(after, version=version)
    event = None
    if moved:
        if before.record is None:
            model: type[PersonState] = PersonAdded
        elif after.standing.status is Status.LEFT and before.standing.status is not Status.LEFT:
            model = PersonLeft
        else:
            model = PersonChanged
        event = event_of(model, shown, version, at, cause.actor, reason, moved)
    return Revision(
        after,
        event,
        command,
        lost_owner=lost_owner(before, after),
        requested=cause.authority is not None,
        unbinds=differs and (_has_first_role(before, after) or _is_withdrawn(before, after)),
        ends_link=differs and _is_readdressed(before, after),
        ends_sessions=differs and (_ends_sessions(before, after) or _is_withdrawn(before, after)),
        loses_privileges=is_privileged(before) and not is_privileged(after),
        unconfirmed=_unconfirmed(before, after, at, cause),
        changed=differs or command is not None or _days(before) != _days(after),
    )


def _with_confirmed(before: Person, after: Person, authority: Authority | None) -> Person:
    """Return the person with the login and the e-mail address that count for sign-in after a change by somebody with this authority."""
    old, new = before.record, after.record
    stated = old is None or new is None or (old.login, old.email) != (new.login, new.email)
    if stated and (before.account.roles or before.account.group_roles or before.is_unconfirmed):
        covers = authority is not None and authority.covers({*before.standing.rights, *after.standing.rights})
        after = replace(
            after,
            confirmed_login=confirmed_login(before.confirmed_login, old, new, covers=covers),
            confirmed_email=confirmed_email(before.confirmed_email, old, new, covers=covers),
        )
    return _with_confirmed_rights(before, after, authority, stated=stated)


def _with_confirmed_rights(before: Person, after: Person, authority: Authority | None, *, stated: bool) -> Person:
    """Return the person with the rights for which the login and the e-mail address count. If the person gets others, by a role that is
    changed or a further group, nothing counts until it is confirmed."""
    kept = set(after.confirmed_rights)
    own = before.standing.rights if authority is not None and authority.user == before.user else ()
    given = set() if authority is None else {*authority.rights, *own}
    if stated and not after.is_unconfirmed and not _counts_alike(before, after):
        kept = given
    elif before.account.roles != after.account.roles or (before.is_unconfirmed and not after.is_unconfirmed):
        kept |= given
    if kept != set(after.confirmed_rights):
        after = replace(after, confirmed_rights=tuple(sorted(kept)))
    new = set(after.standing.rights) - set(before.standing.rights)
    if after.record is None or after.is_unconfirmed or not before.standing.rights or new <= kept:
        return after
    record = after.record
    return replace(after, confirmed_login="" if record.login else None, confirmed_email="" if record.email else None)


def _counts_alike(before: Person, after: Person) -> bool:
    """Return whether the same login and address count for sign-in."""
    old, new = before.sign_in_email, after.sign_in_email
    return login_key(before.sign_in_login) == login_key(after.sign_in_login) and (old == new or same_address(old, new))


def _has_first_role(before: Person, after: Person) -> bool:
    return not before.account.all_roles and bool(after.account.all_roles)


def _is_readdressed(before: Person, after: Person) -> bool:
    """Return whether somebody who was invited has another e-mail address now."""
    if before.account.invitation != Invitation.OPEN or not before.sign_in_email or before.sign_in_email == after.sign_in_email:
        return False
    return not same_address(before.sign_in_email, after.sign_in_email)


def _is_withdrawn(before: Person, after: Person) -> bool:
    """Return whether nothing counts for sign-in any more."""
    return after.is_unconfirmed and not before.is_unconfirmed and not (after.sign_in_login or after.sign_in_email)


def _unconfirmed(before: Person, after: Person, at: datetime, cause: Cause) -> SignInUnconfirmed | None:
    """Return the event about a new login or e-mail address that does not count for sign-in."""
    old, new = before.record or Record(employed=False), after.record
    if new is None or not after.is_unconfirmed:
        return None
    withdrawn = _is_withdrawn(before, after)
    login = new.login if after.confirmed_login is not None and (withdrawn or new.login not in ("", old.login)) else None
    email = new.email if after.confirmed_email is not None and (withdrawn or new.email not in ("", old.email)) else None
    if login is None and email is None:
        return None
    address = after.sign_in_email or None
    return SignInUnconfirmed(at=at, actor=cause.actor, user=after.user, email=address, new_login=login, new_email=email)


def _ends_sessions(before: Person, after: Person) -> bool:
    """Return whether the person may no longer sign in, or has lost a role. Only holders of a role have sessions."""
    held = before.account.all_roles
    return bool(held) and (not after.standing.may_sign_in or not set(held) <= set(after.account.all_roles))
