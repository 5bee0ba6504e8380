"""The background jobs of users."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from services.users.jobs.alarm import Alarm
from services.users.jobs.due_people import DuePeople
from services.users.store import tenants as tenants_store
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


async def test_people_of_one_tenant_who_cannot_be_changed_keep_no_other_tenant_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    async def due(*_: object) -> list[str]:
        return ["acme", "globex"]

    async def run_chunk(tenant: str) -> bool:
        looked.append(tenant)
        if tenant == "acme":
            raise ValueError("a row")
        return False

    @asynccontextmanager
    async def unit_of_work(_: object) -> Any:
        yield SimpleNamespace(connection=None)

    monkeypatch.setattr(tenants_store, "with_due_people", due)
    tenants: Any = SimpleNamespace(clock=SimpleNamespace(now=lambda: None))
    database: Any = SimpleNamespace(unit_of_work=unit_of_work)
    job = DuePeople(database, tenants, Alarm())
    monkeypatch.setattr(job, "run_chunk", run_chunk)
    with pytest.raises(ValueError, match="a row"):
        await job._look()
    assert looked == ["acme", "globex"]
