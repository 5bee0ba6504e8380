"""Re-evaluations of many people, in chunks of one transaction each."""

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
POLL_S = 0.5  # for work whose wake-up came to another process


class BulkReevaluation:
    def __init__(self, database: Database, tenants: Tenants, alarm: Alarm) -> None:
        self._database, self._tenants, self._alarm = database, tenants, alarm

    async def run(self) -> None:
        """Until cancelled."""
        await self._alarm.repeat(self._look, POLL_S)

    async def _look(self) -> None:
        while await self.run_chunk(None):
            pass

    async def run_chunk(self, tenant: str | None) -> bool:
        """The next chunk of the oldest review; False when there is none that nobody else is at."""
        async with self._database.unit_of_work(tenant) as uow:
            review = await reevaluations.take(uow.connection, tenant)
            if review is None:
                return False
            await uow.scope(review.tenant)
            found = await self._tenants.load(review.tenant, uow)
            assert found is not None, "reviews belong to a tenant"
            chunk = await self._chunk(found, uow, review)
            if review.kind is ReevaluationKind.REPUBLISH:
                for person in chunk:
                    event = rules.republished(person, found.now, review.actor)
                    uow.publish(event, source=USERS, tenant=found.tenant, time=found.now, subject=person.user)
            else:
                await people.save_all(found, uow, [_reviewed(found, review, before) for before in chunk], review.envelope)
            if len(chunk) < CHUNK:
                await reevaluations.finish(review.tenant, uow.connection, review.review)
                log.info("reevaluation_done", tenant=review.tenant, kind=review.kind.value, module=review.module)
            else:
                await reevaluations.advance(review.tenant, uow.connection, review.review, chunk[-1].arrival)
            return True

    async def _chunk(self, tenant: Tenant, uow: UnitOfWork, review: Reevaluation) -> list[Person]:
        if review.kind is ReevaluationKind.POOL_OPENED:
            assert review.module is not None
            return await people_store.lock_without_seat(uow.connection, tenant.tenant, review.module, review.after, CHUNK, tenant.today)
        if review.kind is ReevaluationKind.REPUBLISH and review.after == 0:
            await republish_tenant(tenant, uow, review.actor)
        return await people_store.lock_after(uow.connection, tenant.tenant, review.after, CHUNK, tenant.today)


def _reviewed(tenant: Tenant, review: Reevaluation, before: Person) -> Revision:
    opened = review.kind is ReevaluationKind.POOL_OPENED
    after = rules.with_standing(before, tenant)
    # Since the pool was opened the person may have stopped needing the module: then their change has said so already.
    resend = opened and review.module in after.standing.required.modules
    cause = Cause(review.actor, Reason.POOL_OPENED.value if opened else None, FactType.CHANGED)
    return rules.revise(before, after, at=tenant.now, cause=cause, resend=resend)
