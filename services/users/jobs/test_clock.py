"""The coordinator of test clocks: it advances a tenant's time in steps, each to the next instant at which a service
has something to do. A step ends when all four services have answered twice in a row, without a change, that they are idle.

The state of an advance is in the database, so that another process continues after a crash: `advancing_to` (its end; null: the clock is
ready), `step` (compared before each change, so that two coordinators never take the same step), `sent_to` (the last instant that was sent
to seats; null: none in this advance) and `ready_sent` (ClockReady is published, and the other services may not have read it yet).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import stamina
import structlog

from services.users.domain.test_clock import has_come, next_instant
from services.users.jobs.alarm import is_retried
from services.users.jobs.bulk_reevaluation import BulkReevaluation
from services.users.jobs.due_instants import DueInstants
from services.users.jobs.due_people import DuePeople
from services.users.jobs.retention import Retention
from services.users.store import tenants as store
from services.users.store.tenants import Lock, StoredTenant
from shared.clock import Clock
from shared.database import Database
from shared.errors import Transient
from shared.idle import IdleCheck
from shared.schemas.base import Actor
from shared.schemas.registry import USERS
from shared.schemas.seats_v1 import ClockAdvanced
from shared.schemas.users_v1 import ClockReady

log = structlog.get_logger(__name__)

POLL_SECONDS = 0.05  # between two looks at a step that has not ended
IDLE_POLL_SECONDS = 0.5  # for an advance that another process has begun
REPEAT_AFTER_SECONDS = 20.0  # all services are idle before that time: the command failed in seats, so it is sent again
ACTOR = Actor(kind="system", id="users")

Probe = Callable[[str], Awaitable[IdleCheck]]


class Coordinator:
    """Advances test clocks step by step, and waits after each step until every service is idle."""

    def __init__(
        self,
        database: Database,
        due_people: DuePeople,
        due_instants: DueInstants,
        retention: Retention,
        reevaluation: BulkReevaluation,
        probes: Mapping[str, Probe],
        clock: Clock,
    ) -> None:
        self._database, self._probes, self._clock = database, probes, clock
        self._due = (due_people.run_chunk, due_instants.run_chunk, retention.run_chunk, reevaluation.run_chunk)
        self._awake = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        self._awake.set()

    async def next_due(self, tenant: str, now: datetime) -> datetime | None:
        """Return when the first service has something to do after `now`. Raises Transient if a service cannot be asked."""
        answers = await asyncio.gather(*(probe(tenant) for probe in self._probes.values()))
        return min((each.next_due for each in answers if each.next_due is not None and each.next_due > now), default=None)

    async def run(self) -> None:
        """Drive every advance in the database, each in a task of its own. Run until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=None, wait_initial=0.05, wait_max=5.0):
                    with attempt:
                        async with self._database.unit_of_work(None) as uow:
                            tenants = await store.advancing(uow.connection)
                for tenant in tenants:
                    if tenant not in self._tasks:
                        self._tasks[tenant] = group.create_task(self._drive(tenant), name=f"clock {tenant}")
                await self._wait(IDLE_POLL_SECONDS)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            return
        self._awake.clear()

    async def _drive(self, tenant: str) -> None:
        try:
            while True:
                async for attempt in stamina.retry_context(on=is_retried, attempts=None, timeout=None, wait_initial=0.1, wait_max=2.0):
                    with attempt:
                        if not await self._step(tenant):
                            return
        finally:
            del self._tasks[tenant]

    async def _step(self, tenant: str) -> bool:
        """Wait until all services are idle, then take the next step; return False if there is none left. Raises Transient."""
        async with self._database.unit_of_work(tenant) as uow:
            row = await store.get(uow.connection, tenant)
        if row is None or row.advancing_to is None:
            return False
        answers = await self._idle(tenant, row)
        if answers is None:
            assert row.sent_to is not None, "the services do not wait for a time that was not sent"
            await self._send(row, row.sent_to)
        elif row.ready_sent:
            await self._finish(row)
        elif row.sent_to == row.advancing_to:
            await self._publish_ready(row)
        else:
            assert row.at is not None
            due = (answer.next_due for answer in answers)
            await self._send(row, next_instant(due, at=row.at, sent_to=row.sent_to, to=row.advancing_to))
        return True

    async def _idle(self, tenant: str, row: StoredTenant) -> Sequence[IdleCheck] | None:
        """Return the answers of all four services when they are idle at the time that was sent, and the same in two rounds.

        Return None if they are idle and do not reach that time. Raises Transient if a service cannot be asked.
        """
        last: list[str] | None = None
        stuck_since: float | None = None
        while True:
            await self._catch_up(tenant)
            answers = await asyncio.gather(*(probe(tenant) for probe in self._probes.values()))
            idle = all(s.idle for s in answers)
            if idle and has_come((answer.time for answer in answers), row.sent_to):
                fingerprints = [s.fingerprint for s in answers]
                if fingerprints == last:
                    return answers
                last = fingerprints
                continue
            last = None
            now = self._clock.monotonic()
            stuck_since = (stuck_since or now) if idle else None
            if stuck_since is not None and now - stuck_since > REPEAT_AFTER_SECONDS:
                log.error("clock_answer_missing", tenant=tenant, sent_to=row.sent_to)
                return None
            await asyncio.sleep(POLL_SECONDS)

    async def _catch_up(self, tenant: str) -> None:
        """Apply everything of this tenant that is due now."""
        while [run_chunk for run_chunk in self._due if await run_chunk(tenant)]:
            pass

    async def _send(self, row: StoredTenant, instant: datetime) -> None:
        async with self._database.unit_of_work(row.tenant_id) as uow:
            if not await store.set_step(uow.connection, row.tenant_id, expected=row.step, sent_to=instant):
                return
            assert row.at is not None
            number = await store.draw_number(uow.connection, row.tenant_id)
            uow.publish(ClockAdvanced(number=number, to=instant), source=USERS, tenant=row.tenant_id, time=row.at)
        log.info("clock_step", tenant=row.tenant_id, to=instant.isoformat())

    async def _publish_ready(self, row: StoredTenant) -> None:
        async with self._database.unit_of_work(row.tenant_id) as uow:
            if not await store.set_step(uow.connection, row.tenant_id, expected=row.step, sent_to=row.sent_to, ready_sent=True):
                return
            assert row.advancing_to is not None
            uow.publish(ClockReady(at=row.advancing_to, actor=ACTOR), source=USERS, tenant=row.tenant_id, time=row.advancing_to)

    async def _finish(self, row: StoredTenant) -> None:
        """Make the clock ready. The other services have read ClockReady before: a client that sees `ready` writes to them next."""
        async with self._database.unit_of_work(row.tenant_id) as uow:
            current = await store.get(uow.connection, row.tenant_id, Lock.EXCLUSIVE)
            if current is None or not await store.set_step(uow.connection, row.tenant_id, expected=row.step, sent_to=None):
                return
            await store.save(uow.connection, replace(current, advancing_to=None))
        log.info("clock_ready", tenant=row.tenant_id, at=row.advancing_to.isoformat() if row.advancing_to else None)
