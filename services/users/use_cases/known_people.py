"""Load the people whom statements of sources concern, with all that is stated about them."""

from collections.abc import Collection
from dataclasses import replace

from services.users.domain import differences
from services.users.domain.differences import Obstacle
from services.users.domain.known_people import KnownPeople
from services.users.domain.merging import Stated
from services.users.domain.person import Person, Tenant, as_of, with_standing
from services.users.domain.required_modules import NO_MODULES
from services.users.domain.sources import Key, Sources, source_of
from services.users.domain.status import Status
from services.users.store import people as people_store
from services.users.store import sources as sources_store
from services.users.store import timelines as store
from shared import ids
from shared.database import UnitOfWork


async def load(tenant: Tenant, uow: UnitOfWork, keys: Collection[Key], *, lock: bool = False, add_sources: bool = False) -> KnownPeople:
    """Return what is stored about the people of these timelines. With `lock`, the people are locked; with `add_sources`, new sources are
    added."""
    sources = await _sources(tenant, uow, keys if add_sources else ())
    found = await store.owners(uow.connection, tenant.tenant, keys)
    users = {key: found.get(key) or ids.person_id(tenant.tenant, *key) for key in keys}
    everybody = set(users.values())
    if lock:
        people = await people_store.lock_many(uow.connection, tenant.tenant, sorted(everybody), tenant.today)
    else:
        people = await people_store.get_many(uow.connection, tenant.tenant, sorted(everybody), tenant.today)
    timelines = await store.load(uow.connection, tenant.tenant, everybody)
    users |= {key: user for user, found_of in timelines.items() for key in found_of}
    return _with_never_employed(KnownPeople(sources, users, people, timelines))


def _with_never_employed(known: KnownPeople) -> KnownPeople:
    for person in [each for each in known.people.values() if each.record is not None and not each.record.employed]:
        known.people[person.user] = replace(person, never_employed=known.stated(person.user).never_employed)
    return known


async def of_nobody(tenant: Tenant, uow: UnitOfWork, keys: Collection[Key]) -> KnownPeople:
    """Return a new person for each of these timelines, about which nothing is stored. New sources are added."""
    users = {key: ids.person_id(tenant.tenant, *key) for key in keys}
    return KnownPeople(await _sources(tenant, uow, keys), users, {}, {user: {} for user in users.values()})


async def _sources(tenant: Tenant, uow: UnitOfWork, keys: Collection[Key]) -> Sources:
    """Return the sources of the tenant, after those of `keys` that are new were added."""
    sources = await sources_store.all_of(uow.connection, tenant.tenant)
    if new := [name for name in dict.fromkeys(key.source for key in keys) if name not in sources]:
        await sources_store.add(uow.connection, tenant.tenant, [source_of({}, name) for name in new])
        sources = await sources_store.all_of(uow.connection, tenant.tenant)
    return sources


async def lock(tenant: Tenant, uow: UnitOfWork, known: KnownPeople, users: Collection[str], due: Collection[str]) -> None:
    """Lock these people together, in order of their ids, and let `known` have them as they are then: seats may have decided since they were
    read. `due` were read because time passes. What is stated about people changes under CLAIMS only."""
    if users:
        known.people.update(await people_store.lock_many(uow.connection, tenant.tenant, sorted(users), tenant.today, due))


async def obstacle(tenant: Tenant, uow: UnitOfWork, person: Person) -> Obstacle | None:
    """Return what keeps an employed person from logging in, or from requiring modules."""
    if person.standing.status is not Status.INACTIVE and person.standing.required != NO_MODULES:
        return None  # before anything is read
    known = await of_users(tenant, uow, [person])
    return differences.obstacle(person, differences.said_about(known, person.user, tenant), tenant)


async def as_of_today(tenant: Tenant, uow: UnitOfWork, people: Collection[Person]) -> list[Person]:
    """Return the people by the present settings of the tenant. Call under their locks.

    Facts matter only for those whom a known future day will change: what they will give up then depends on the settings as well. The
    records of people whom time or another order of the sources has changed are left to `people.describe_again`, which compares logins,
    and so is everybody else whom a job is to describe again today.
    """
    known = await of_users(tenant, uow, [person for person in people if person.reconsider_on is not None])
    return [_by_settings(person, known.stated(person.user) if person.user in known.people else None, tenant) for person in people]


def _by_settings(person: Person, of: Stated | None, tenant: Tenant) -> Person:
    if of is None:
        return with_standing(person, tenant)
    is_due = person.reconsider_on is not None and person.reconsider_on <= tenant.today
    if not is_due and of.on(tenant.today) == person.record:
        return as_of(person, of, tenant)
    release, after = person.standing.required.release, with_standing(person, tenant)
    required = after.standing.required
    if release is None or not required.modules:
        return after
    release = replace(release, modules=tuple(module for module in required.modules if module in release.modules))
    return replace(after, standing=replace(after.standing, required=replace(required, release=release)))


async def of_users(tenant: Tenant, uow: UnitOfWork, people: Collection[Person], sources: Sources | None = None) -> KnownPeople:
    """Return what is stated about these people. To change them, call under their locks."""
    timelines = await store.load(uow.connection, tenant.tenant, [person.user for person in people])
    sources = await sources_store.all_of(uow.connection, tenant.tenant) if sources is None else sources
    users = {key: user for user, found in timelines.items() for key in found}
    return _with_never_employed(KnownPeople(sources, users, {person.user: person for person in people}, timelines))
