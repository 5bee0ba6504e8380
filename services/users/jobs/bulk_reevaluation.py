"""Re-evaluate many people. Each chunk of people is one transaction."""

from collections.abc import Mapping, Sequence
from typing import Final

import structlog

from services.users.domain import person as rules
from services.users.domain.facts import FactType
from services.users.domain.module_states import Seat
from services.users.domain.person import Cause, Person, Revision, Tenant
from services.users.jobs.alarm import Alarm
from services.users.store import module_states, reevaluations, timelines
from services.users.store import people as people_store
from services.users.store.module_states import SEAT_STATES
from services.users.store.reevaluations import Reevaluation, ReevaluationKind
from services.users.use_cases import group_members, known_people, people, refused_people, remove_connection, subscription
from services.users.use_cases.locked_tenants import Tenants
from services.users.use_cases.republish import republish_tenant
from shared.database import Database, UnitOfWork
from shared.schemas.registry import USERS
from shared.schemas.seats_v1 import Reason

log = structlog.get_logger(__name__)

CHUNK = 500  # people in one transaction
POLL_SECONDS = 0.5  # for work whose wake-up came to another process


class BulkReevaluation:
    """Recomputes the people whom a change of a profile or mapping concerns, some in each transaction."""

    def __init__(self, database: Database, tenants: Tenants, alarm: Alarm) -> None:
        self._database, self._tenants, self._alarm = database, tenants, alarm

    async def run(self) -> None:
        """Run until cancelled."""
        await self._alarm.repeat_for_tenants(self._database, reevaluations.with_work, self.run_chunk, POLL_SECONDS)

    async def run_chunk(self, tenant: str) -> bool:
        """Do the next chunk of the tenant's oldest re-evaluation; return False if there is none that no other process works on."""
        async with self._database.unit_of_work(tenant) as uow:
            work = await reevaluations.lock_next(uow.connection, tenant)
            if work is None:
                return False
            if not work.begun:
                await subscription.apply(tenant, uow)
                await reevaluations.advance(uow.connection, tenant, work.reevaluation_id, work.after_created, work.after_arrival)
                return True
            found = await self._tenants.load(tenant, uow)
            assert found is not None, "a re-evaluation belongs to a tenant"
            if work.kind == ReevaluationKind.REPUBLISH and work.after_arrival == 0:
                await republish_tenant(found, uow, work.actor)
            if work.kind == ReevaluationKind.REFUSED:
                await self._reactivate(found, uow, work)
                return True
            if work.kind == ReevaluationKind.SCIM_REMOVED:
                await _end_connection(found, uow, work)
                return True
            if work.total == 0:
                await reevaluations.count_people(uow.connection, tenant, work.reevaluation_id)
            if work.kind == ReevaluationKind.SOURCES:
                await uow.lock(people_store.CLAIMS, tenant)  # it compares logins, and locks others who have them
            chunk = await self._chunk(found, uow, work)
            if work.kind == ReevaluationKind.REPUBLISH:
                for person in chunk:
                    event = rules.republished(person, found.now, work.actor)
                    uow.publish(event, source=USERS, tenant=found.tenant, time=found.now, subject=person.user)
            elif work.kind == ReevaluationKind.SOURCES:
                await people.describe_again(
                    found, uow, await _of_several_sources(found, uow, chunk), lambda _: Cause(work.actor), are_due=False
                )
            else:
                await self._reevaluate(found, uow, work, chunk)
            if len(chunk) < CHUNK:
                await reevaluations.finish(uow.connection, tenant, work.reevaluation_id, len(chunk))
                log.info("reevaluation_done", tenant=tenant, kind=work.kind, module=work.module)
            else:
                last = chunk[-1]
                await reevaluations.advance(uow.connection, tenant, work.reevaluation_id, last.created_at, last.arrival, len(chunk))
            return True

    async def _reactivate(self, tenant: Tenant, uow: UnitOfWork, work: Reevaluation) -> None:
        """Request the seats of the next refused people again."""
        places = await refused_people.request_again(
            tenant,
            uow,
            work.actor,
            CHUNK,
            include_revoked=work.module is not None,
            after=work.after_arrival,
            until=work.until,
            envelope=work.envelope,
        )
        if len(places) < CHUNK:
            await reevaluations.finish(uow.connection, tenant.tenant, work.reevaluation_id, len(places))
        else:
            await reevaluations.advance(uow.connection, tenant.tenant, work.reevaluation_id, work.after_created, places[-1], len(places))

    async def _chunk(self, tenant: Tenant, uow: UnitOfWork, work: Reevaluation) -> list[Person]:
        after = work.after_created, work.after_arrival
        if work.kind == ReevaluationKind.ROLE_CHANGED:
            assert work.module is not None
            return await people_store.lock_with_role(uow.connection, tenant.tenant, work.module, *after, CHUNK, tenant.today)
        # Those of several sources are locked together with others who have their logins.
        lock = work.kind != ReevaluationKind.SOURCES
        return await people_store.after(uow.connection, tenant.tenant, *after, CHUNK, tenant.today, lock=lock)

    async def _reevaluate(self, tenant: Tenant, uow: UnitOfWork, work: Reevaluation, chunk: Sequence[Person]) -> None:
        seats: Mapping[str, Mapping[str, Seat]] = {}
        if work.kind == ReevaluationKind.POOL_OPENED:
            seats = await module_states.load(uow.connection, tenant.tenant, [person.user for person in chunk])
        now = await group_members.with_groups(tenant, uow, chunk) if work.kind == ReevaluationKind.GROUPS else chunk
        people_after = zip(chunk, await known_people.as_of_today(tenant, uow, now), strict=True)
        revisions = [_reevaluated(tenant, work, before, after, seats.get(before.user, {})) for before, after in people_after]
        await people.save_all(tenant, uow, revisions, work.envelope)


async def _end_connection(tenant: Tenant, uow: UnitOfWork, work: Reevaluation) -> None:
    """End what a removed SCIM connection has stated about the next people."""
    assert work.module is not None
    done = await remove_connection.end_chunk(tenant, uow, work.module, work.actor)
    if done:
        await reevaluations.advance(uow.connection, tenant.tenant, work.reevaluation_id, work.after_created, work.after_arrival, done)
    else:
        await reevaluations.finish(uow.connection, tenant.tenant, work.reevaluation_id, 0)
        log.info("scim_connection_removed", tenant=tenant.tenant, connection=work.module, people=work.done)


async def _of_several_sources(tenant: Tenant, uow: UnitOfWork, chunk: Sequence[Person]) -> list[Person]:
    keys = await timelines.keys_of(uow.connection, tenant.tenant, [person.user for person in chunk])
    return [person for person in chunk if len(keys.get(person.user, ())) > 1]


_REASONS: Final = {
    ReevaluationKind.POOL_OPENED: Reason.POOL_OPENED.value,
    ReevaluationKind.POOL_CLOSED: Reason.POOL_CLOSED.value,
}


def _reevaluated(tenant: Tenant, work: Reevaluation, before: Person, after: Person, seats: Mapping[str, Seat]) -> Revision:
    """If a pool was closed and opened again before anybody was evaluated, the required modules are the same, and the seats are gone."""
    kind = ReevaluationKind(work.kind)
    resend = kind is ReevaluationKind.POOL_OPENED and any(
        work.module in (None, module) and (module not in seats or seats[module].state not in SEAT_STATES)
        for module in after.standing.required.modules
    )
    cause = Cause(work.actor, _REASONS.get(kind), FactType.CHANGED)
    return rules.revise(before, after, at=tenant.now, cause=cause, resend=resend)
