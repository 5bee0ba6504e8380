"""Changes of people by REST: facts of people whom only REST knows, and overrides of what other sources state."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial
from typing import Any, Final, Self

from services.users.domain import person as rules
from services.users.domain.differences import said_about, why_nothing
from services.users.domain.facts import BEGINNINGS, RECORD_FIELDS, REST_SOURCE, SEQUENCE_MAX, Fact, FactType, Record
from services.users.domain.invitations import InvitationTerms
from services.users.domain.known_people import KnownPeople
from services.users.domain.matching import Matched
from services.users.domain.merging import Employment, Stated, sources_end, stated, takes_leaving_back
from services.users.domain.person import Cause, Person, Revision, Tenant
from services.users.domain.required_modules import NO_MODULES, Account
from services.users.domain.roles import with_shorthand
from services.users.domain.sources import Key
from services.users.domain.timelines import Timeline
from services.users.store import timelines
from services.users.store.timelines import Change
from services.users.use_cases import invitations, known_people, matching, owners, people, rights
from services.users.use_cases.seats_questions import SeatsQuestions
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid, NotFound
from shared.schemas.seats_v1 import Reason

EMPLOYED: Final = "employed"  # the override of the employment
_ACCOUNT: Final = {"profile": "given_profile", "priority": "priority", "may_log_in": "may_log_in"}


@dataclass(frozen=True, slots=True)
class AccountEdit:
    profile: str | None = None
    administrator: bool = False
    roles: tuple[str, ...] = ()
    priority: int = 0
    may_log_in: bool = True
    invitation: InvitationTerms | None = None


def _check_profile(tenant: Tenant, profile: str | None) -> None:
    if profile is not None and profile not in tenant.settings.profiles:
        raise Invalid("body.profile", profile, "a profile of this tenant, or null")


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of the record. An empty department means none, as in facts of HR systems; so does an empty login or
    e-mail address."""
    given = {name: fields[name] for name in RECORD_FIELDS if name in fields}
    given |= {name: given[name] or "" for name in ("login", "email") if name in given}
    if given.get("department") == "":
        given["department"] = None
    return given


async def create(
    tenant: Tenant,
    uow: UnitOfWork,
    seats: SeatsQuestions,
    external_id: str,
    fields: Mapping[str, Any],
    edit: AccountEdit,
    cause: Cause,
) -> Person:
    """Add a person. Raises Invalid, and Conflict if REST has added a person with this external id, the login is in use, or no licence is
    free for an invitation."""
    _check_profile(tenant, edit.profile)
    user = ids.person_id(tenant.tenant, REST_SOURCE, external_id)
    unknown = Person(user, REST_SOURCE, external_id, created_at=tenant.now)
    account = replace(
        unknown.account,
        given_profile=edit.profile,
        roles=with_shorthand(edit.roles, True, tenant.settings.roles) if edit.administrator else edit.roles,
        priority=edit.priority,
        may_log_in=edit.may_log_in,
    )
    given = replace(unknown, account=account, record=Record(employed=False, department=_given(fields).get("department")))
    rights.check_change(tenant, unknown, given, cause)
    fact = Fact(ids.new_id(), FactType.HIRED, tenant.today, 0, _given(fields), REST_SOURCE)
    cause = replace(cause, fact=FactType.HIRED)
    unknown = replace(unknown, account=account)
    if edit.invitation is None:
        return await people.add_person(tenant, uow, unknown, fact, cause)
    unknown = replace(unknown, account=edit.invitation.invited(unknown, tenant.now, cause.actor))
    person = await people.add_person(tenant, uow, unknown, fact, cause, check=partial(invitations.check, tenant, uow, seats))
    invitations.publish_unless_reserving(tenant, uow, person, cause.actor)
    return person


async def change(tenant: Tenant, uow: UnitOfWork, before: Person, given: Mapping[str, Any], cause: Cause) -> Person:
    """Change the person. Call under the person's lock. Raises Invalid, and Conflict if the login is in use."""
    _check_profile(tenant, given.get("profile"))
    account = replace(before.account, **{_ACCOUNT[name]: value for name, value in given.items() if name in _ACCOUNT})
    if "administrator" in given:
        account = replace(account, roles=with_shorthand(account.roles, given["administrator"], tenant.settings.roles))
    edit = await Edit.begin(tenant, uow, before)
    if record := _given(given):
        edit.set_values(record)
    if given.get("status") == "left":
        edit.set_employed(False)
    after = await edit.after(uow, account, cause)
    rights.check_change(tenant, before, after, cause)
    return await edit.save(uow, rules.revise(before, after, at=tenant.now, cause=replace(cause, fact=FactType.CHANGED)))


async def reactivate(tenant: Tenant, uow: UnitOfWork, before: Person, modules: tuple[str, ...] | None, cause: Cause) -> Person:
    """Let the person log in again, hire a leaver again with the last known data, and send the modules whose revocations end.

    Without `modules`, these are all required modules. Call under the person's lock. Raises Invalid, Conflict.
    """
    edit = await Edit.begin(tenant, uow, before)
    assert before.record is not None
    before_edit = edit.stated
    if not before.record.employed:
        edit.set_employed(True)
    after = await edit.after(uow, replace(before.account, may_log_in=True), cause)
    required = after.standing.required.modules
    if modules is not None and (not_required := sorted(set(modules) - set(required))):
        raise Invalid("body.modules", not_required, "modules that the person requires: " + (", ".join(required) or "none"))
    if after.standing.required == NO_MODULES and after == before:
        _, why, change = why_nothing(after, said_about(edit.known, after.user, tenant), tenant)
        raise Conflict("nothing-to-reactivate", f"There is nothing to reactivate: the person requires no modules, because {why}. {change}")
    wanted = tuple(sorted(set(modules))) if modules is not None else required
    cause = replace(cause, reason=Reason.REACTIVATED.value)
    back = takes_leaving_back(before_edit, edit.stated, tenant.today)  # of somebody who left today
    revision = rules.revise(before, after, at=tenant.now, cause=cause, reactivate=wanted if required else None, leaving_withdrawn=back)
    return await edit.save(uow, revision)


async def remove_override(tenant: Tenant, uow: UnitOfWork, before: Person, name: str, cause: Cause) -> Person:
    """Let the sources state a value again that an administrator has set. Call under the person's lock. Raises NotFound, Conflict."""
    edit = await Edit.begin(tenant, uow, before)
    if not edit.remove_override(name):
        raise NotFound("override", "The fields that are overridden are in `overrides` of the person.")
    after = await edit.after(uow, before.account, cause)
    rights.check_change(tenant, before, after, cause)
    return await edit.save(uow, rules.revise(before, after, at=tenant.now, cause=replace(cause, fact=FactType.CHANGED)))


@dataclass
class Edit:
    """An edit of a person: facts, if only REST knows the person, and else overrides of what other sources state."""

    tenant: Tenant
    before: Person
    known: KnownPeople
    stated: Stated
    stored: Mapping[Key, Timeline]
    owner_until: date | None = None  # the day from which the person, an owner, could not sign in before the edit
    matched: Matched = field(default_factory=Matched)
    _own: Key | None = None  # the timeline of REST, if only REST knows the person before the edit

    @classmethod
    async def begin(cls, tenant: Tenant, uow: UnitOfWork, before: Person) -> Self:
        known = await known_people.of_users(tenant, uow, [before])
        stated, stored = known.stated(before.user), dict(known.timelines[before.user])
        own = next(iter(stored)) if [key.source for key in stored] == [REST_SOURCE] else None
        return cls(tenant, before, known, stated, stored, rules.owner_until(before, stated, tenant.today), _own=own)

    def set_values(self, values: Mapping[str, Any]) -> None:
        if self._own is not None:
            self._add(FactType.CHANGED, values)
        else:
            overrides = self.stated.overrides
            self.stated = replace(self.stated, overrides=replace(overrides, values={**overrides.values, **values}))

    def set_employed(self, employed: bool, since: date | None = None) -> None:
        """Let the person be employed, or not, from that day on; default: today."""
        since = since or self.tenant.today
        if self._own is not None:
            record = self.before.record or Record(employed=False)
            given = {name: getattr(record, name) for name in RECORD_FIELDS} if employed else {}
            self._add(FactType.HIRED if employed else FactType.LEFT, given, since)
            return
        present = self.stated.overrides.employment
        if not employed and present is not None and present.employed and present.since <= since:
            # By the sources, the person may have left already.
            ended = replace(present, ends_on=since - timedelta(days=1))
            self.stated = replace(self.stated, overrides=replace(self.stated.overrides, employment=ended))
            return
        overrides = replace(self.stated.overrides, employment=None)
        by_sources = stated(self.known.timelines[self.before.user], self.known.sources, overrides).on(since)
        if by_sources is None or by_sources.employed is not employed:
            overrides = replace(overrides, employment=Employment(employed, since, sources_end(self.stated.parts)))
        self.stated = replace(self.stated, overrides=overrides)

    def remove_override(self, name: str) -> bool:
        """Remove what an administrator has set; return whether there was anything."""
        before = self.stated.overrides
        if name == EMPLOYED:
            after = replace(before, employment=None)
        else:
            after = replace(before, values={field: value for field, value in before.values.items() if field != name})
        self.stated = stated(self.known.timelines[self.before.user], self.known.sources, after)
        return after != before

    def take_leaving_back(self) -> bool:
        """Remove the leaving that REST has stated, if REST has stated no employment after it. Return whether there was one."""
        if self._own is not None:
            timeline = self.known.timeline(self._own)
            hired = max((fact.order for fact in timeline.facts if fact.type in BEGINNINGS), default=None)
            kept = tuple(fact for fact in timeline.singles if fact.type is not FactType.LEFT or (hired is not None and fact.order < hired))
            self.known.put(self._own, replace(timeline, singles=kept))
            self.stated = self.known.stated(self.before.user)
            return kept != timeline.singles
        employment = self.stated.overrides.employment
        if employment is None or (employment.employed and employment.ends_on is None):
            return False
        reopened = replace(employment, ends_on=None) if employment.employed else None
        self.stated = replace(self.stated, overrides=replace(self.stated.overrides, employment=reopened))
        return True

    def _add(self, type_: FactType, given: Mapping[str, Any], since: date | None = None) -> None:
        """Add one more fact, after all others of its day: what an administrator states holds now."""
        assert self._own is not None
        day = since or self.tenant.today
        timeline = self.known.timeline(self._own)
        last = max((fact.sequence for fact in timeline.facts if fact.effective_date == day), default=-1)
        fact = Fact(ids.new_id(), type_, day, min(last + 1, SEQUENCE_MAX), given, REST_SOURCE)
        self.known.put(self._own, replace(timeline, singles=(*timeline.singles, fact)))
        self.stated = self.known.stated(self.before.user)

    async def after(self, uow: UnitOfWork, account: Account, cause: Cause) -> Person:
        """Return the person after the edit. Raises Conflict if somebody else has the login."""
        edited = replace(self.before, account=account)
        await people.check_login(self.tenant, uow, self.before, rules.as_of(edited, self.stated, self.tenant), cause.authority)
        self.known.edit(replace(self.before, overrides=self.stated.overrides))
        self.matched = await matching.match(self.tenant, uow, self.known, edited=self.before.user)
        self.stated = self.known.stated(self.before.user)  # with the timelines of those whose conflict the edit ends
        conflict = self.matched.conflicts.get(self.before.user, self.before.conflict)
        return rules.as_of(replace(self.known.with_settings(edited), conflict=conflict), self.stated, self.tenant)

    async def save(self, uow: UnitOfWork, revision: Revision) -> Person:
        """Store and publish the revision, and the facts. Call under the person's lock; the overrides are stored with the person."""
        change = await self._change(uow)
        person = change.revision(revision)
        await change.save()
        until = rules.owner_until(person, self.stated, self.tenant.today)
        if revision.requested and until is not None and (self.owner_until is None or until < self.owner_until):
            await owners.check_later(self.tenant, uow, person.user, self.owner_until, until)
        return person

    async def save_others(self, uow: UnitOfWork) -> None:
        """Store the facts, and the people whose conflict ends; the caller stores the person."""
        change = await self._change(uow)
        change.skip(self.before.user)
        await change.save()

    async def _change(self, uow: UnitOfWork) -> people.Changing:
        if self._own is not None:
            after = self.known.timeline(self._own)
            edited = Change(self._own, self.before.user, self.stored[self._own], after)
            await timelines.save(uow.connection, self.tenant.tenant, [edited], self.tenant.now)
        return people.Changing(self.tenant, uow, self.known, self.matched)
