"""An administrator decides that two people are one human, or two."""

from dataclasses import replace

from services.users.domain import person as rules
from services.users.domain.conflicts import ConflictReason
from services.users.domain.person import Cause, Person, Tenant
from services.users.domain.sources import Key
from services.users.domain.timelines import with_statement
from services.users.store import people as store
from services.users.store import timelines as timelines_store
from services.users.store.timelines import Change
from services.users.use_cases import known_people, matching, people, rights, scim_copies, scim_groups
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid, NotFound
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import PersonLinked, PersonSeparated

BY_HAND = "administrator"


async def link(tenant: Tenant, uow: UnitOfWork, user: str, to: str, cause: Cause) -> Person:
    """Let everything that is stated about the person `user` belong to the person `to`, who keeps roles, seats and account. The first one is
    nobody then; what administrators have set for that one holds for `to` where nothing else is set.

    Raises NotFound, Invalid, Forbidden, and Conflict for somebody whose data were erased.
    """
    if user == to:
        raise Invalid("body.to", to, "another person")
    await uow.lock(store.CLAIMS, tenant.tenant)
    found = await store.lock_many(uow.connection, tenant.tenant, sorted((user, to)), tenant.today)
    gone, kept = found.get(user), found.get(to)
    if gone is None or gone.record is None:
        raise NotFound("person")
    if kept is None or kept.record is None:
        raise Invalid("body.to", to, "a person of this tenant")
    if gone.erased_at is not None or kept.erased_at is not None:
        raise Conflict("person-erased", "The data of one of the two people were erased, so they cannot be linked.")
    rights.check_same_human((gone, kept), cause)
    decided = _decided(kept)
    known = await known_people.of_users(tenant, uow, [gone, decided])
    moved = list(known.timelines[user])
    for key in moved:
        known.move(key, to)
    matched = await matching.match(tenant, uow, known, edited=to)
    change = people.Changing(tenant, uow, known, matched)
    nobody = rules.as_of(replace(gone, conflict=None), known.stated(user), tenant)
    change.revision(rules.revise(gone, nobody, at=tenant.now, cause=cause))
    after = change.described(replace(decided, created_at=min(gone.created_at, kept.created_at)))
    # The tenant's newest person is flagged first (T17), so seats must know the day of the older one.
    resend = after.created_at != kept.created_at and bool(after.standing.required.modules)
    person = change.revision(rules.revise(kept, after, at=tenant.now, cause=cause, resend=resend))
    for key in moved:
        event = PersonLinked(at=tenant.now, actor=cause.actor, user=to, source=key.source, external_id=key.external_id, by=BY_HAND)
        uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=to)
    await change.save([Change(key, to, known.timeline(key), known.timeline(key), moved=True) for key in moved])
    linked = (await scim_groups.people_changed(tenant, uow, (user, to), cause)).get(to, person)
    rights.check_change(tenant, kept, linked, cause)  # also of the roles that SCIM groups give
    return linked


async def separate(tenant: Tenant, uow: UnitOfWork, user: str, cause: Cause) -> Person:
    """End the conflict of the person, who is somebody else than those found. Raises NotFound, Conflict, Forbidden."""
    await uow.lock(store.CLAIMS, tenant.tenant)
    before = await store.lock(uow.connection, tenant.tenant, user, tenant.today)
    if before is None or before.record is None:
        raise NotFound("person")
    rights.check_same_human((before,), cause)
    conflict = before.conflict
    if conflict is None:
        raise Conflict(
            "no-conflict", "The person is in no conflict. To take out what one source states, name its `source` and `external_id`."
        )
    separated = tuple(sorted({*before.separated, *conflict.people}))
    ended = _decided(replace(before, separated=separated))
    known = await known_people.of_users(tenant, uow, [ended])
    matched = await matching.match(tenant, uow, known, edited=user)
    found = matched.conflicts.get(user)
    if found is not None and found.reason == ConflictReason.LOGIN_IN_USE:
        raise _in_use(found.people[0])
    change = people.Changing(tenant, uow, known, matched)
    person = change.revision(rules.revise(before, change.described(ended), at=tenant.now, cause=cause))
    await change.save()
    return person


def _decided(person: Person) -> Person:
    """Return the person, who no longer waits as a possible duplicate: an administrator has decided who that is."""
    waits = person.conflict is not None and person.conflict.reason == ConflictReason.POSSIBLE_DUPLICATE
    return replace(person, conflict=None) if waits else person


def _in_use(holder: str) -> Conflict:
    return Conflict(
        "login-in-use",
        f"The employed person {holder} has the same login. Change the login of one of them, or link them if they are one human.",
        user=holder,
    )


async def take_out(tenant: Tenant, uow: UnitOfWork, user: str, key: Key, cause: Cause) -> Person:
    """Make a person of their own of the one whom a source describes in one of the timelines of `user`. What SCIM connections of `user`
    have copied from the source that is taken out, they state from now on.

    Raises NotFound, Conflict, Forbidden.
    """
    own = ids.person_id(tenant.tenant, *key)
    await uow.lock(store.CLAIMS, tenant.tenant)
    found = await store.lock_many(uow.connection, tenant.tenant, sorted({user, own}), tenant.today)
    before = found.get(user)
    if before is None or before.record is None:
        raise NotFound("person")
    rights.check_same_human((before,), cause)
    known = await known_people.of_users(tenant, uow, list(found.values()))
    if known.users.get(key) != user:
        raise NotFound("external id of this person")
    if len(known.timelines[user]) == 1:
        raise Conflict(
            "only-source", "Nothing else is stated about the person. Name an external id with which another person was linked to this one."
        )
    copies = await scim_copies.of_keys(tenant, uow, [key], known)
    await copies.save(uow)
    stated = []
    for each in copies.received:
        other = Key(each.source, each.external_id)
        timeline, _ = with_statement(known.timeline(other), each.source, each.statement)
        stated.append(Change(other, user, known.timeline(other), timeline))
        known.put(other, timeline)
    created_at = await timelines_store.created_at(uow.connection, tenant.tenant, key)
    # A person who was linked before has the former id again, unless it is that of the person who stays.
    new = own if own != user and not known.timelines.get(own) else ids.new_id()
    known.edit(replace(found.get(new) or Person(new, *key, created_at=created_at), separated=(user,)))
    known.timelines.setdefault(new, {})
    known.move(key, new)
    rest = next(iter(known.timelines[user]))
    stays = replace(before, separated=(*before.separated, new), source=rest.source, external_id=rest.external_id)
    matched = await matching.match(tenant, uow, known, edited=new)
    change = people.Changing(tenant, uow, known, matched, new=frozenset({new}) - frozenset(found))
    change.revision(rules.revise(before, change.described(stays), at=tenant.now, cause=cause))
    newcomer = known.people[new]
    person = change.revision(rules.revise(newcomer, replace(change.described(newcomer), created_at=created_at), at=tenant.now, cause=cause))
    event = PersonSeparated(at=tenant.now, actor=cause.actor, user=new, source=key.source, external_id=key.external_id, from_user=user)
    uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now, subject=new)
    await change.save([*stated, Change(key, new, known.timeline(key), known.timeline(key), moved=True)])
    return (await scim_groups.people_changed(tenant, uow, (user, new), cause)).get(new, person)
