"""Changes of people, whichever door they come through: the row, the event and the command in one transaction."""

from dataclasses import replace

from services.users import person as rules
from services.users.context import SOURCE
from services.users.domain import Fact, status_of
from services.users.person import Cause, Person, Revision, Tenant
from services.users.store import people as store
from services.users.store import seats as seats_store
from shared import ids
from shared.database import UnitOfWork
from shared.schemas.base import Actor
from shared.schemas.envelope import Envelope
from shared.schemas.seats_v1 import PersonEvent

SEATS_ACTOR = Actor(kind="system", id="seats")


async def take_fact(
    tenant: Tenant, uow: UnitOfWork, source: str, external_id: str, fact: Fact, cause: Cause, envelope: Envelope | None
) -> Person:
    """Add one fact about a person and work out what follows; the same fact again changes nothing."""
    unknown = Person(ids.person_id(tenant.tenant, source, external_id), source, external_id, created_at=tenant.now)
    added = await add_person(tenant, uow, unknown, fact, cause, envelope)
    if added is not None:
        return added
    before = await store.lock(tenant.tenant, uow.connection, unknown.user, tenant.today)
    assert before is not None, "people are never deleted"
    return await add_fact(tenant, uow, before, fact, source, cause, envelope)


async def add_person(
    tenant: Tenant, uow: UnitOfWork, unknown: Person, fact: Fact, cause: Cause, envelope: Envelope | None
) -> Person | None:
    """A person with their first fact; None, and nothing done, when there is one already. `unknown`: ids and account, no record yet."""
    revision = rules.revise(unknown, rules.as_of(unknown, [fact], tenant), at=tenant.now, cause=cause)
    added = _with_command(revision)
    if not await store.insert(tenant.tenant, uow.connection, added, fact, unknown.source):
        return None
    _publish(tenant, uow, replace(revision, person=added), envelope)
    return added


async def add_fact(
    tenant: Tenant, uow: UnitOfWork, before: Person, fact: Fact, source: str, cause: Cause, envelope: Envelope | None
) -> Person:
    """The same for a person whose row is locked."""
    facts = (await store.facts(tenant.tenant, uow.connection, [before.user]))[before.user]
    if any(known.id == fact.id for known in facts):
        return before
    await store.add_fact(tenant.tenant, uow.connection, before.user, fact, source)
    after = rules.as_of(before, [*facts, fact], tenant)
    return await save(tenant, uow, rules.revise(before, after, at=tenant.now, cause=cause), envelope)


async def save(tenant: Tenant, uow: UnitOfWork, revision: Revision, envelope: Envelope | None) -> Person:
    """Store and publish what `revise` made. Call under the person's lock."""
    if not revision.changed:
        return revision.person
    person = _with_command(revision)
    await store.update(tenant.tenant, uow.connection, person)
    _publish(tenant, uow, replace(revision, person=person), envelope)
    return person


def _with_command(revision: Revision) -> Person:
    return replace(revision.person, command_id=ids.new_id()) if revision.command is not None else revision.person


def _publish(tenant: Tenant, uow: UnitOfWork, revision: Revision, envelope: Envelope | None) -> None:
    person = revision.person
    if revision.event is not None:
        uow.publish(revision.event, source=SOURCE, tenant=tenant.tenant, time=tenant.now, subject=person.user, cause=envelope)
    if revision.command is not None:
        uow.publish(
            revision.command,
            source=SOURCE,
            tenant=tenant.tenant,
            time=tenant.now,
            subject=person.user,
            cause=envelope,
            id=person.command_id,
        )


async def recheck_deactivation(tenant: Tenant, uow: UnitOfWork, event: PersonEvent, envelope: Envelope) -> None:
    """A revocation in a base module deactivates, its end reactivates; seats has decided it, so nothing is sent (design, section 4)."""
    before = await store.lock(tenant.tenant, uow.connection, event.user, tenant.today)
    assert before is not None, "the projection has found this person in the same transaction"
    deactivated = await seats_store.is_revoked_in_base(tenant.tenant, uow.connection, event.user)
    if deactivated == before.account.deactivated or before.record is None:
        return
    account = replace(before.account, deactivated=deactivated)
    status, may_log_in = status_of(before.record, account, tenant.today)
    after = replace(before, account=account, standing=replace(before.standing, status=status, may_log_in=may_log_in))
    cause = Cause(SEATS_ACTOR, event.reason)
    await save(tenant, uow, rules.revise(before, after, at=event.at, cause=cause), envelope)
