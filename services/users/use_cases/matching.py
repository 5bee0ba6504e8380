"""Match new timelines to people, and compare the logins of people who change: what is needed for it is loaded in a few statements."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from services.users.domain.facts import Record
from services.users.domain.known_people import KnownPeople
from services.users.domain.logins import claimed_login, login_key
from services.users.domain.matching import HR_ID, NUMBER, Link, Mark, Matched, Matching, gives_up, shared_marks, wanted_marks
from services.users.domain.person import Person, Tenant, is_privileged
from services.users.domain.sources import Key, MatchBy, SourceKind
from services.users.store import people as store
from services.users.store import people_lookups
from services.users.use_cases import duplicates, known_people
from shared.database import UnitOfWork
from shared.errors import Transient

WAITING_MAX: Final = 100  # people in conflict who are compared at once when the cause may have ended; a background job compares the others


async def match(
    tenant: Tenant,
    uow: UnitOfWork,
    known: KnownPeople,
    first: Sequence[Key] = (),
    *,
    lock: bool = True,
    locked: bool = True,
    due: Collection[str] = (),
    edited: str | None = None,
    added: int = 0,
) -> Matched:
    """Return who is linked and who is in conflict when the statements about the people of `known` hold; others who are concerned are added
    to it. `known` has the people before the statements and the timelines after them; `first` are timelines that no person has had so far.
    With `lock`, call under CLAIMS, and all these people are locked afterwards; `locked`: those whom the caller gives are locked already,
    else `due` are those who were read because time passes. `edited` is somebody whom an administrator edits, and who stays the same
    person. `added` are new people who match nobody and are not stored, in an earlier step of a check.
    """
    given = set(known.people) if locked else set[str]()
    matched = await _match(tenant, uow, known, first, edited)
    if lock:
        privileged = _privileged(known)
        await known_people.lock(tenant, uow, known, set(known.people) - given, due)
        if _privileged(known) != privileged:
            # Groups give roles without CLAIMS: somebody may have been linked by an address alone who may buy or manage people now.
            raise Transient("a person who was compared was given privileges, or has lost them, meanwhile")
    if lock and matched.look_again:
        uow.gather(look_again_at, (tenant, tuple(matched.look_again)))
    if matched.new:
        await duplicates.hold(tenant, uow, known, matched, lock=lock, added=added)
    return matched


async def _match(tenant: Tenant, uow: UnitOfWork, known: KnownPeople, first: Sequence[Key], edited: str | None) -> Matched:
    changing = [person for person in known.people.values() if edited is not None or _changes(tenant, known, person)]
    if not first and not changing:
        return Matched()
    later = await _add_waiting(tenant, uow, known, [person.user for person in changing])
    marks = wanted_marks(known, first, tenant.today) | shared_marks(known, first, tenant.today)
    concerned = {person.user for person in changing}
    links: dict[Key, Link] = {}
    sharing = set[str]()
    while True:
        sharing |= await _add_meant(tenant, uow, known, marks, concerned)
        privileged = _privileged(known)
        linked = {link.user for link in links.values()}
        matched = Matching(known, tenant.today, privileged, edited, linked).run([key for key in first if key not in links])
        links |= matched.links
        # Those to whom a timeline belongs now may have given up by it what others are in conflict about.
        people = [known.people[link.user] for link in matched.links.values() if link.user in known.people]
        gave_up = [person.user for person in people if gives_up(person.record, known.stated(person.user).on(tenant.today))]
        # A link also changes who may be meant: a person has one timeline of a source, so another one is found alone now.
        if not gave_up and not (matched.links and any(matched.conflicts.values())):
            break
        later |= await _add_waiting(tenant, uow, known, gave_up)
    # Others in conflict who have the same as somebody who is in none: that one may be meant as well.
    gaining = (
        {known.users[key] for key in first} | {user for user, person in known.people.items() if person.conflict is not None} | concerned
    )
    if all(matched.conflicts.get(user) is not None for user in gaining):
        sharing = set()
    return replace(matched, links=links, look_again=sorted(sharing | later.difference(known.people)))


async def _add_waiting(tenant: Tenant, uow: UnitOfWork, known: KnownPeople, users: Collection[str]) -> set[str]:
    """Add those who are in conflict with these people. Return those who are too many for one transaction."""
    if not users:
        return set()
    waiting = sorted(await people_lookups.in_conflict_with(uow.connection, tenant.tenant, list(users)))
    await _add(tenant, uow, known, waiting[:WAITING_MAX])
    return set(waiting[WAITING_MAX:])


def _privileged(known: KnownPeople) -> set[str]:
    return {user for user, person in known.people.items() if is_privileged(person)}


async def _add_meant(tenant: Tenant, uow: UnitOfWork, known: KnownPeople, marks: set[Mark], concerned: Collection[str]) -> set[str]:
    """Add the people whom somebody may be, or whose login somebody wants. Return others in conflict who have the same."""
    for user, person in known.people.items():
        record = known.stated(user).on(tenant.today)
        if person.conflict is not None or _begins(person, record):
            marks |= wanted_marks(known, known.timelines[user], tenant.today)
        if (person.conflict is not None or user in concerned) and record is not None and record.employed and record.login:
            marks.add((MatchBy.LOGIN, login_key(record.login)))
        if user in concerned and record is not None and record.employed and record.email:
            marks.add((MatchBy.EMAIL, login_key(record.email)))
    found = await with_marks(tenant, uow, known, marks)
    await _add(tenant, uow, known, [user for user, in_conflict in found.items() if not in_conflict])
    return {user for user, in_conflict in found.items() if in_conflict}


async def look_again_at(uow: UnitOfWork, gathered: Sequence[tuple[Tenant, Sequence[str]]]) -> None:
    """Let the background job look at these people, as far as they are still in conflict. For `UnitOfWork.gather`."""
    for tenant in {each.tenant: each for each, _ in gathered}.values():
        users = sorted({user for each, found in gathered if each.tenant == tenant.tenant for user in found})
        await people_lookups.reconsider_people(uow.connection, tenant.tenant, users, tenant.today)


async def look_again_gathered(uow: UnitOfWork, gathered: Sequence[tuple[Tenant, str]]) -> None:
    """Let the background job look at those who are in conflict with these people only because these had privileges. For
    `UnitOfWork.gather`."""
    for tenant in {each.tenant: each for each, _ in gathered}.values():
        users = [user for each, user in gathered if each.tenant == tenant.tenant]
        await people_lookups.reconsider_privileged(uow.connection, tenant.tenant, users, tenant.today)


def _changes(tenant: Tenant, known: KnownPeople, person: Person) -> bool:
    """Return whether the person gains or gives up anything by which people are compared."""
    record = known.stated(person.user).on(tenant.today)
    if person.conflict is not None or _begins(person, record):
        return True
    return claimed_login(person.record, record) is not None or gives_up(person.record, record)


def _begins(person: Person, record: Record | None) -> bool:
    """Return whether the first employment of the person begins now, so that the person is matched as at a first report."""
    return (person.record is None or person.never_employed) and record is not None and record.employed


async def with_marks(tenant: Tenant, uow: UnitOfWork, known: KnownPeople, marks: Collection[Mark]) -> dict[str, bool]:
    """Return the employed people who have one of these marks and are not known, each with whether the person is in conflict."""
    if not marks:
        return {}
    by_kind: dict[str, list[str]] = {}
    for kind, value in sorted(marks):
        by_kind.setdefault(kind, []).append(value)
    hr_sources = [source.source for source in known.sources.values() if source.kind == SourceKind.HR]
    logins, emails, numbers, hr_ids = (by_kind.get(kind, []) for kind in (MatchBy.LOGIN, MatchBy.EMAIL, NUMBER, HR_ID))
    return await people_lookups.with_marks(uow.connection, tenant.tenant, known.people, logins, emails, numbers, hr_ids, hr_sources)


async def _add(tenant: Tenant, uow: UnitOfWork, known: KnownPeople, users: Collection[str]) -> None:
    if missing := sorted(set(users) - set(known.people)):
        people = await store.get_many(uow.connection, tenant.tenant, missing, tenant.today)
        known.add(await known_people.of_users(tenant, uow, list(people.values()), known.sources))
