"""The background jobs of users."""

import asyncio

import pytest

from services.users.jobs.alarm import Alarm
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
