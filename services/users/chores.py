"""Work that nobody's message or request waits for: facts that fall due, and reviews of many people, in chunks of one transaction each."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import stamina
import structlog
from prometheus_client import Gauge

from services.users import configuration, people
from services.users import person as rules
from services.users.context import SOURCE, Tenants
from services.users.domain import Fact, FactType
from services.users.person import Cause, Person, Revision, Tenant
from services.users.store import people as people_store
from services.users.store import reviews, seats
from services.users.store import tenants as tenants_store
from services.users.store.reviews import Review, ReviewKind
from shared.database import Database, UnitOfWork
from shared.errors import Transient
from shared.schemas.base import Actor
from shared.schemas.seats_v1 import Reason
from shared.schemas.users_v1 import TenantRepublished

log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]

CHUNK = 500  # people in one transaction
POLL_S = 0.5  # for work whose wake-up came to another process
DUE_EVERY_S = 15  # on real clocks: how late a fact that falls due at midnight may be taken up
UNANSWERED_S = 60
DUE_ACTOR = Actor(kind="system", id="users")
UNANSWERED = Gauge("seatpool_users_unanswered_people", "People whose last command has had no answer for a minute")


class Chores:
    def __init__(self, database: Database, tenants: Tenants) -> None:
        self._database, self._tenants = database, tenants
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """There may be work. Called before its transaction has committed too, so the timers look again a little later in any case."""
        self._awake.set()

    async def run(self) -> None:
        """Until cancelled. Errors of the moment are waited out."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep(self._look, POLL_S), name="reviews")
            group.create_task(self._keep(self._look_for_due, DUE_EVERY_S), name="due facts")
            group.create_task(self._keep(self._count_unanswered, DUE_EVERY_S), name="unanswered")

    async def _keep(self, work: Work, every_s: float) -> None:
        while True:
            async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=None, wait_initial=0.05, wait_max=5.0):
                with attempt:
                    await work()
            await self._wait(every_s)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            return
        # The waker may not have committed yet; its work is found at the latest at the next look.
        await asyncio.sleep(0.02)
        self._awake.clear()

    async def _look(self) -> None:
        while await self.review_chunk(None):
            pass

    async def _look_for_due(self) -> None:
        async with self._database.unit_of_work(None) as uow:
            tenants = await tenants_store.with_due_work(uow.connection, self._tenants.clock.now())
        for tenant in tenants:
            while await self.due_chunk(tenant):
                pass

    async def _count_unanswered(self) -> None:
        async with self._database.unit_of_work(None) as uow:
            UNANSWERED.set(await seats.unanswered(uow.connection, UNANSWERED_S))

    async def catch_up(self, tenant: str) -> None:
        """All of this tenant that is due now."""
        while await self.due_chunk(tenant) or await self.review_chunk(tenant):
            pass

    async def due_chunk(self, tenant: str) -> bool:
        """Reconsider those whom time alone has changed; False when there was nobody."""
        async with self._database.unit_of_work(tenant) as uow:
            found = await self._tenants.load(tenant, uow)
            if found is None:
                return False
            due = await people_store.lock_due(tenant, uow.connection, found.today, CHUNK)
            facts = await people_store.facts(tenant, uow.connection, [person.user for person in due]) if due else {}
            await people.save_all(found, uow, [_after_time(found, before, facts[before.user]) for before in due], None)
            return bool(due)

    async def review_chunk(self, tenant: str | None) -> bool:
        """The next chunk of the oldest review; False when there is none that nobody else is at."""
        async with self._database.unit_of_work(tenant) as uow:
            review = await reviews.take(uow.connection, tenant)
            if review is None:
                return False
            await uow.scope(review.tenant)
            found = await self._tenants.load(review.tenant, uow)
            assert found is not None, "reviews belong to a tenant"
            chunk = await self._chunk(found, uow, review)
            if review.kind is ReviewKind.REPUBLISH:
                for person in chunk:
                    event = rules.republished(person, found.now, review.actor)
                    uow.publish(event, source=SOURCE, tenant=found.tenant, time=found.now, subject=person.user)
            else:
                await people.save_all(found, uow, [_reviewed(found, review, before) for before in chunk], review.envelope)
            if len(chunk) < CHUNK:
                await reviews.finish(review.tenant, uow.connection, review.review)
                log.info("reevaluation_done", tenant=review.tenant, kind=review.kind.value, module=review.module)
            else:
                await reviews.advance(review.tenant, uow.connection, review.review, chunk[-1].arrival)
            return True

    async def _chunk(self, tenant: Tenant, uow: UnitOfWork, review: Review) -> list[Person]:
        if review.kind is ReviewKind.POOL_OPENED:
            assert review.module is not None
            return await people_store.lock_without_seat(tenant.tenant, uow.connection, review.module, review.after, CHUNK, tenant.today)
        if review.kind is ReviewKind.REPUBLISH and review.after == 0:
            await republish_tenant(tenant, uow, review.actor)
        return await people_store.lock_after(tenant.tenant, uow.connection, review.after, CHUNK, tenant.today)


def _after_time(tenant: Tenant, before: Person, facts: list[Fact]) -> Revision:
    after = rules.as_of(before, facts, tenant)
    newest = max((fact for fact in facts if fact.effective_date <= tenant.today), key=lambda fact: fact.order, default=None)
    return rules.revise(before, after, at=tenant.now, cause=Cause(DUE_ACTOR, fact=newest.type if newest else None))


def _reviewed(tenant: Tenant, review: Review, before: Person) -> Revision:
    opened = review.kind is ReviewKind.POOL_OPENED
    after = rules.stand(before, tenant)
    # Since the pool was opened the person may have stopped needing the module: then their change has said so already.
    anew = opened and review.module in after.standing.need.modules
    cause = Cause(review.actor, Reason.POOL_OPENED.value if opened else None, FactType.CHANGED)
    return rules.revise(before, after, at=tenant.now, cause=cause, anew=anew)


async def republish_tenant(tenant: Tenant, uow: UnitOfWork, actor: Actor) -> None:
    row = await tenants_store.get(tenant.tenant, uow.connection)
    assert row is not None
    said = partial(uow.publish, source=SOURCE, tenant=tenant.tenant, time=tenant.now)
    said(configuration.tenant_event(TenantRepublished, row, tenant.now, actor, reason="republished"))
    for profile in await tenants_store.profiles(tenant.tenant, uow.connection):
        said(configuration.profile_event(profile, tenant.now, actor, reason="republished"))
