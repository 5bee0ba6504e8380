"""The coordinator of test clocks (design, section 2): a tenant's time goes on in steps to the next instant at which any service has
something to do, and a step ends when all four services are idle, twice in a row without change.

Where an advance stands is in the database, so that a killed process resumes: `advancing_to` (where to; null: ready), `step` (compared
before each change, so that two coordinators never take the same step twice), `sent_to` (the last instant seats was told; null: none of
this advance) and `ready_sent` (ClockReady is out, and the other services may still have to read it).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import stamina
import structlog

from services.users.chores import Chores
from services.users.context import SOURCE
from services.users.store import tenants as store
from services.users.store.tenants import TenantRow
from shared.clock import Clock
from shared.database import Database
from shared.errors import Conflict, Invalid, NotFound, Transient
from shared.idle import IdleCheck
from shared.schemas.base import Actor
from shared.schemas.seats_v1 import ClockAdvanced
from shared.schemas.users_v1 import ClockAdvancing, ClockReady

log = structlog.get_logger(__name__)

POLL_S = 0.05  # between two looks at a step that has not ended
IDLE_POLL_S = 0.5  # for an advance that another process has begun
REPEAT_AFTER_S = 20.0  # all services are idle and the time has not come: the command failed in seats, so it is sent once more
# An advance takes every period on the way, refuses writes meanwhile and cannot be called off: a slip in the year must not begin one.
ADVANCE_MAX = timedelta(days=3660)
ACTOR = Actor(kind="system", id="users")

Probe = Callable[[str], Awaitable[IdleCheck]]


def next_instant(answers: Sequence[IdleCheck], row: TenantRow) -> datetime:
    """The next instant at which a service has something to do, but never beyond the advance's end, and never one that was sent already:
    `row` was read before the wait for the last step, so its `at` may be the time before that step."""
    now, to = row.sent_to or row.at, row.advancing_to
    assert now is not None
    assert to is not None
    return min([to, *(s.next_due for s in answers if s.next_due is not None and s.next_due > now)])


def has_come(answers: Sequence[IdleCheck], sent_to: datetime | None) -> bool:
    """Have all services that keep a time for the tenant read that it is `sent_to`?"""
    return sent_to is None or all(s.time is None or s.time >= sent_to for s in answers)


async def begin(tenant: str, database: Database, to: datetime, actor: Actor) -> TenantRow:
    """Begin an advance. Raises NotFound, Conflict (a real clock, or an advance under way to another time), Invalid (not after
    now, or too far)."""
    async with database.unit_of_work(tenant) as uow:
        # Exclusive: writes that hold the row shared end first, later ones see that the clock is advancing.
        row = await store.get(tenant, uow.connection, "FOR UPDATE OF t")
        if row is None:
            raise NotFound("tenant")
        if row.clock != "test" or row.at is None:
            raise Conflict("not-a-test-clock", "Only the time of a tenant that was opened on a test clock can be advanced.")
        if row.status != "open":
            raise Conflict("tenant-opening", "The seats service has not opened this tenant yet.")
        if row.advancing_to == to:
            return row
        if row.advancing_to is not None:
            raise Conflict("clock-advancing", "The clock is advancing already.", to=row.advancing_to.isoformat())
        if to <= row.at:
            raise Invalid("body.to", to.isoformat(), f"a time after the tenant's own, {row.at.isoformat()}")
        if to - row.at > ADVANCE_MAX:
            raise Invalid("body.to", to.isoformat(), f"at most {ADVANCE_MAX.days} days after the tenant's own time, {row.at.isoformat()}")
        row = replace(row, advancing_to=to)
        await store.update(tenant, uow.connection, row)
        begun = await store.set_step(tenant, uow.connection, expected=row.step, sent_to=None)
        assert begun, "steps are taken only while advancing"
        assert row.at is not None
        uow.publish(ClockAdvancing(at=row.at, actor=actor, to=to), source=SOURCE, tenant=tenant, time=row.at)
    return row


class Coordinator:
    def __init__(self, database: Database, chores: Chores, probes: Mapping[str, Probe], clock: Clock) -> None:
        self._database, self._chores, self._probes, self._clock = database, chores, probes, clock
        self._awake = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        self._awake.set()

    async def run(self) -> None:
        """Until cancelled: every advance that the database knows of, each by itself."""
        async with asyncio.TaskGroup() as group:
            while True:
                async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=None, wait_initial=0.05, wait_max=5.0):
                    with attempt:
                        async with self._database.unit_of_work(None) as uow:
                            tenants = await store.advancing(uow.connection)
                for tenant in tenants:
                    if tenant not in self._tasks:
                        self._tasks[tenant] = group.create_task(self._drive(tenant), name=f"clock {tenant}")
                await self._wait(IDLE_POLL_S)

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
                async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=None, wait_initial=0.1, wait_max=2.0):
                    with attempt:
                        if not await self._step(tenant):
                            return
        finally:
            del self._tasks[tenant]

    async def _step(self, tenant: str) -> bool:
        """Wait until all services are idle, then take the next step; False when there is none left. Raises Transient."""
        async with self._database.unit_of_work(tenant) as uow:
            row = await store.get(tenant, uow.connection)
        if row is None or row.advancing_to is None:
            return False
        answers = await self._idle(tenant, row)
        if answers is None:
            assert row.sent_to is not None, "nothing to wait for has come by itself"
            await self._send(row, row.sent_to)
        elif row.ready_sent:
            await self._finish(row)
        elif row.sent_to == row.advancing_to:
            await self._publish_ready(row)
        else:
            await self._send(row, next_instant(answers, row))
        return True

    async def _idle(self, tenant: str, row: TenantRow) -> Sequence[IdleCheck] | None:
        """All four answers, idle at the time that was sent, and the same in two rounds. None: they are idle and the time does not
        come. Raises Transient when a service cannot be asked."""
        last: list[str] | None = None
        stuck_since: float | None = None
        while True:
            await self._chores.catch_up(tenant)
            answers = await asyncio.gather(*(probe(tenant) for probe in self._probes.values()))
            idle = all(s.idle for s in answers)
            if idle and has_come(answers, row.sent_to):
                fingerprints = [s.fingerprint for s in answers]
                if fingerprints == last:
                    return answers
                last = fingerprints
                continue
            last = None
            now = self._clock.monotonic()
            stuck_since = (stuck_since or now) if idle else None
            if stuck_since is not None and now - stuck_since > REPEAT_AFTER_S:
                log.error("clock_answer_missing", tenant=tenant, sent_to=row.sent_to)
                return None
            await asyncio.sleep(POLL_S)

    async def _send(self, row: TenantRow, instant: datetime) -> None:
        async with self._database.unit_of_work(row.tenant) as uow:
            if not await store.set_step(row.tenant, uow.connection, expected=row.step, sent_to=instant):
                return
            assert row.at is not None
            number = await store.draw_number(row.tenant, uow.connection)
            uow.publish(ClockAdvanced(number=number, to=instant), source=SOURCE, tenant=row.tenant, time=row.at)
        log.info("clock_step", tenant=row.tenant, to=instant.isoformat())

    async def _publish_ready(self, row: TenantRow) -> None:
        async with self._database.unit_of_work(row.tenant) as uow:
            if not await store.set_step(row.tenant, uow.connection, expected=row.step, sent_to=row.sent_to, ready_sent=True):
                return
            assert row.advancing_to is not None
            uow.publish(ClockReady(at=row.advancing_to, actor=ACTOR), source=SOURCE, tenant=row.tenant, time=row.advancing_to)

    async def _finish(self, row: TenantRow) -> None:
        """Ready only when the others have read it: a client that sees `ready` writes to them next."""
        async with self._database.unit_of_work(row.tenant) as uow:
            current = await store.get(row.tenant, uow.connection, "FOR UPDATE OF t")
            if current is None or not await store.set_step(row.tenant, uow.connection, expected=row.step, sent_to=None):
                return
            await store.update(row.tenant, uow.connection, replace(current, advancing_to=None))
        log.info("clock_ready", tenant=row.tenant, at=row.advancing_to.isoformat() if row.advancing_to else None)
