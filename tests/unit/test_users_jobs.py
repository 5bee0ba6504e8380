"""The background jobs of users."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from services.users.jobs.alarm import Alarm, work_in_turn
from services.users.jobs.test_clock import Coordinator
from shared.errors import Transient


async def test_a_job_goes_on_after_any_error() -> None:
    """One row that cannot be applied ended users at every start, and without users no service gets an access token."""
    errors = [Transient("the broker is away"), ValueError("a row"), AssertionError("a bug")]
    done = asyncio.Event()

    async def work() -> None:
        if errors:
            raise errors.pop(0)
        done.set()

    job = asyncio.create_task(Alarm().repeat(work, every_seconds=60))
    await asyncio.wait_for(done.wait(), timeout=10)
    job.cancel()


async def test_a_job_ends_when_the_memory_does() -> None:
    async def work() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        await Alarm().repeat(work, every_seconds=60)


async def test_a_job_ends_when_it_is_cancelled_during_its_work() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    job = asyncio.create_task(Alarm().repeat(work, every_seconds=60))
    await begun.wait()
    job.cancel()
    done, _ = await asyncio.wait([job], timeout=5)
    assert done, "a process that is stopped would wait for its job"
    assert job.cancelled()


async def test_an_error_in_the_advance_of_one_test_clock_does_not_end_users(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [ValueError("a row of one tenant"), Transient("seats is away")]

    async def step(_: str) -> bool:
        if errors:
            raise errors.pop(0)
        return False

    nothing: Any = None
    parts: Any = SimpleNamespace(run_chunk=None)
    coordinator = Coordinator(nothing, parts, parts, parts, parts, {}, nothing)
    monkeypatch.setattr(coordinator, "_step", step)
    coordinator._tasks["acme"] = nothing
    await asyncio.wait_for(coordinator._drive("acme"), timeout=10)
    assert errors == []


class Work:
    """Chunks of work by tenant: an error is raised each time, and a number is how many chunks are left."""

    def __init__(self, **chunks: int | Exception) -> None:
        self.chunks: dict[str, int | Exception] = chunks
        self.done: list[str] = []

    async def tenants(self, _connection: object) -> list[str]:
        return [tenant for tenant, left in self.chunks.items() if left != 0]

    async def run_chunk(self, tenant: str) -> bool:
        left = self.chunks[tenant]
        self.done.append(tenant)
        if isinstance(left, Exception):
            raise left
        self.chunks[tenant] = left - 1
        return True

    @asynccontextmanager
    async def unit_of_work(self, _: object) -> Any:
        yield SimpleNamespace(connection=None)

    async def look(self) -> None:
        database: Any = self
        await work_in_turn(database, self.tenants, self.run_chunk)


async def test_work_of_one_tenant_that_fails_keeps_no_other_tenant_waiting() -> None:
    work = Work(acme=ValueError("a row"), globex=2, initech=Transient("a lock"), umbrella=1)
    with pytest.raises(ValueError, match="a row"):
        await work.look()
    assert work.done == ["acme", "globex", "initech", "umbrella", "globex"], "in turn, and those that fail once in each look"
    with pytest.raises(ValueError, match="a row"):
        await work.look()
    work.chunks["acme"] = 0
    with pytest.raises(Transient, match="a lock"):
        await work.look()
    work.chunks = {"acme": ValueError("one"), "globex": ValueError("two")}
    with pytest.raises(ExceptionGroup) as several:
        await work.look()
    assert len(several.value.exceptions) == 2


async def test_work_that_fails_for_lack_of_memory_ends_the_job() -> None:
    with pytest.raises(MemoryError):
        await Work(acme=MemoryError(), globex=1).look()
