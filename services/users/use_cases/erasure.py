"""Erase the personal data of people who have left, and export what is known about a person.

The person's id stays: the log refers to it. Login, name, e-mail address and external ids are deleted here and, by the event, in the other
services. Of each erased timeline a hash is kept, so that a source that repeats what it said about the leaver does not bring the data back
(`erased_timelines`).
"""

from collections.abc import Callable, Collection
from dataclasses import replace

from services.users.domain.erasure import hires_known_until
from services.users.domain.facts import Record
from services.users.domain.merging import NO_OVERRIDES
from services.users.domain.person import Cause, Person, Tenant, with_standing
from services.users.domain.required_modules import Account
from services.users.domain.scim_connections import SOURCE_PREFIX
from services.users.domain.sources import Key
from services.users.domain.status import Status
from services.users.domain.timelines import Timeline
from services.users.store import erasures as store
from services.users.store import imports, scim_groups, scim_users
from services.users.store import people as people_store
from services.users.store import timelines as timelines_store
from services.users.store.scim_users import View
from services.users.use_cases import known_people
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.messaging.erasure import erase_kept
from shared.schemas.base import Actor
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import PersonErased

RETENTION_ACTOR = Actor(kind="system", id="users")


async def erase(tenant: Tenant, uow: UnitOfWork, before: Person, cause: Cause) -> Person:
    """Erase the data of a person who has left, and of those who were linked with the person; nothing happens if they are erased already.
    Call under CLAIMS and the person's lock.

    Raises Conflict if the person has not left, or while an import of the tenant is not finished.
    """
    if before.erased_at is not None:
        return before
    if before.standing.status is not Status.LEFT or before.left_on is None:
        raise Conflict("person-not-left", "Only the data of people who have left can be erased. End the employment first.")
    known = await known_people.of_users(tenant, uow, [before])
    timelines = known.timelines[before.user]
    own = Key(before.source, before.external_id)
    keys = {own, *timelines}
    if own not in timelines and await timelines_store.owners(uow.connection, tenant.tenant, [own]):
        keys.remove(own)  # another person's now
    if await imports.unfinished(uow.connection, tenant.tenant):
        raise Conflict("import-running", "An import of this tenant is not finished. Wait until it has ended or expired, and try again.")
    stated = _stated(before, timelines.values())
    identifiers = {before.user, *(key.external_id for key in keys), *stated("login"), *stated("email")}
    identifiers |= {value for value in (before.confirmed_login, before.confirmed_email) if value}
    linked = await people_store.lock_linked_away(uow.connection, tenant.tenant, keys, tenant.today)
    linked = [each for each in linked if each.user != before.user]
    await erase_kept(uow, tenant.tenant, identifiers | {each.user for each in linked}, stated("name"))
    after = with_standing(_without_data(replace(before, record=Record(employed=False)), tenant), tenant)
    await people_store.save(uow.connection, tenant.tenant, [after])
    until = hires_known_until(before.left_on, (fact for timeline in timelines.values() for fact in timeline.facts))
    await store.erase(uow.connection, tenant.tenant, before.user, keys, until)
    for view, resource_id in _resources(tenant.tenant, keys):
        await scim_groups.leave_all(uow.connection, view, resource_id)
        await scim_users.delete(uow.connection, view, [resource_id], tenant.now)
    _publish(tenant, uow, before.user, cause)
    await _erase_linked(tenant, uow, linked, cause)
    return replace(after, source="rest", external_id=before.user)


async def erase_linked_with_erased(tenant: Tenant, uow: UnitOfWork, people: Collection[Person]) -> set[str]:
    """Erase those of these people who were linked with somebody whose data were erased before: earlier releases have left them. Return who
    they are. Call under CLAIMS."""
    nobodies = {Key(person.source, person.external_id): person for person in people if person.record is None}
    erased = await store.find(uow.connection, tenant.tenant, nobodies.keys()) if nobodies else {}
    if not erased:
        return set()
    linked = await people_store.lock_linked_away(uow.connection, tenant.tenant, erased.keys(), tenant.today)
    identifiers = {word for each in linked for word in (each.user, each.external_id, each.confirmed_login, each.confirmed_email) if word}
    stated = [_stated(each, ()) for each in linked]
    identifiers |= {word for each in stated for name in ("login", "email") for word in each(name)}
    await erase_kept(uow, tenant.tenant, identifiers, {name for each in stated for name in each("name")})
    await _erase_linked(tenant, uow, linked, Cause(RETENTION_ACTOR))
    return {each.user for each in linked}


async def _erase_linked(tenant: Tenant, uow: UnitOfWork, linked: Collection[Person], cause: Cause) -> None:
    """Erase people who are nobody since they were linked with others: the timelines are those of the others."""
    await people_store.save(uow.connection, tenant.tenant, [_without_data(each, tenant) for each in linked])
    for each in linked:
        await store.erase(uow.connection, tenant.tenant, each.user, (), tenant.today)
        _publish(tenant, uow, each.user, cause)


def _publish(tenant: Tenant, uow: UnitOfWork, user: str, cause: Cause) -> None:
    event = PersonErased(at=tenant.now, actor=cause.actor, reason=cause.reason or "", user=user)
    uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=user)


def _without_data(person: Person, tenant: Tenant) -> Person:
    return replace(
        person,
        account=Account(),
        overrides=NO_OVERRIDES,
        conflict=None,
        separated=(),
        reconsider_on=None,
        not_done=None,
        version=person.version + 1,
        erased_at=tenant.now,
        confirmed_login=None,
        confirmed_email=None,
        confirmed_rights=(),
    )


def _resources(tenant: str, keys: Collection[Key]) -> list[tuple[View, str]]:
    """Return the SCIM resources of the person: each is a timeline of its connection."""
    of_scim = [key for key in keys if key.source.startswith(SOURCE_PREFIX)]
    return [(View(tenant, key.source.removeprefix(SOURCE_PREFIX), key.source), key.external_id) for key in of_scim]


def _stated(person: Person, timelines: Collection[Timeline]) -> Callable[[str], set[str]]:
    """Return a function that returns all values of an attribute that anybody has stated about the person, also those of the past."""
    given = [fact.given for timeline in timelines for fact in timeline.facts] + [person.overrides.values]
    return lambda name: {str(value) for value in (getattr(person.record, name, None), *(each.get(name) for each in given)) if value}
