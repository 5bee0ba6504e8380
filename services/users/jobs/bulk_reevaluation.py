"""Re-evaluate many people. Each chunk of people is one transaction."""

import structlog

from services.users.domain import person as rules
from services.users.domain.facts import FactType
from services.users.domain.person import Cause, Person, Revision, Tenant
from services.users.jobs.alarm import Alarm
from services.users.store import people as people_store
from services.users.store import reevaluations
from services.users.store.reevaluations import Reevaluation, ReevaluationKind
from services.users.use_cases import people
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
        await self._alarm.repeat_chunks(self.run_chunk, POLL_SECONDS)

    async def run_chunk(self, tenant: str | None) -> bool:
        """Do the next chunk of the oldest re-evaluation; return False if there is none that no other process works on."""
        async with self._database.unit_of_work(tenant) as uow:
            work = await reevaluations.lock_next(uow.connection, tenant)
            if work is None:
                return False
            await uow.scope(work.tenant_id)
            found = await self._tenants.load(work.tenant_id, uow)
            assert found is not None, "a re-evaluation belongs to a tenant"
            chunk = await self._chunk(found, uow, work)
            if work.kind == ReevaluationKind.REPUBLISH:
                for person in chunk:
                    event = rules.republished(person, found.now, work.actor)
                    uow.publish(event, source=USERS, tenant=found.tenant, time=found.now, subject=person.user)
            else:
                await people.save_all(found, uow, [_reevaluated(found, work, before) for before in chunk], work.envelope)
            if len(chunk) < CHUNK:
                await reevaluations.finish(uow.connection, work.tenant_id, work.reevaluation_id)
                log.info("reevaluation_done", tenant=work.tenant_id, kind=work.kind, module=work.module)
            else:
                await reevaluations.advance(uow.connection, work.tenant_id, work.reevaluation_id, chunk[-1].arrival)
            return True

    async def _chunk(self, tenant: Tenant, uow: UnitOfWork, work: Reevaluation) -> list[Person]:
        if work.kind == ReevaluationKind.POOL_OPENED:
            assert work.module is not None
            return await people_store.lock_without_seat(uow.connection, tenant.tenant, work.module, work.after_arrival, CHUNK, tenant.today)
        if work.kind == ReevaluationKind.ROLE_CHANGED:
            assert work.module is not None
            return await people_store.lock_with_role(uow.connection, tenant.tenant, work.module, work.after_arrival, CHUNK, tenant.today)
        if work.kind == ReevaluationKind.REPUBLISH and work.after_arrival == 0:
            await republish_tenant(tenant, uow, work.actor)
        return await people_store.lock_after(uow.connection, tenant.tenant, work.after_arrival, CHUNK, tenant.today)


def _reevaluated(tenant: Tenant, work: Reevaluation, before: Person) -> Revision:
    opened = work.kind == ReevaluationKind.POOL_OPENED
    after = rules.with_standing(before, tenant)
    # Since the pool was opened, the person may have stopped requiring the module: then that change has sent a command already.
    resend = opened and work.module in after.standing.required.modules
    cause = Cause(work.actor, Reason.POOL_OPENED.value if opened else None, FactType.CHANGED)
    return rules.revise(before, after, at=tenant.now, cause=cause, resend=resend)
