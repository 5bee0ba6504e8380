"""The alarm of the background jobs: each repeats its work at its own interval, and at once after a call of `wake`."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import stamina
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import Database
from shared.errors import Transient

log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]
WithWork = Callable[[AsyncConnection], Awaitable[Sequence[str]]]
Chunk = Callable[[str], Awaitable[bool]]


class Alarm:
    """Wakes the background jobs when there may be work for them."""

    def __init__(self) -> None:
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Let all jobs look for work now. The caller's transaction may not have committed yet, so they look again a little later too."""
        self._awake.set()

    async def repeat(self, work: Work, every_seconds: float) -> None:
        """Run until cancelled. Errors are retried, and logged if they are not transient."""
        while True:
            async for attempt in stamina.retry_context(on=is_retried, attempts=None, timeout=None, wait_initial=0.05, wait_max=5.0):
                with attempt:
                    await work()
            await self._wait(every_seconds)

    async def repeat_for_tenants(self, database: Database, with_work: WithWork, run_chunk: Chunk, every_seconds: float) -> None:
        """Run until cancelled. Each look does the work of all tenants, chunk by chunk in turn."""

        async def look() -> None:
            await work_in_turn(database, with_work, run_chunk)

        await self.repeat(look, every_seconds)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            return
        # The caller of `wake` may not have committed yet; the job finds its work at the next look at the latest.
        await asyncio.sleep(0.02)
        self._awake.clear()


async def work_in_turn(database: Database, with_work: WithWork, run_chunk: Chunk) -> None:
    """Do the work of the tenants that `with_work` returns, one chunk of each in turn, until `run_chunk` returns False for all of them.

    A tenant whose chunk fails waits until the next call, and keeps no other tenant waiting. Then the errors are raised.
    """
    failed: dict[str, Exception] = {}
    is_busy = True
    while is_busy:
        is_busy = False
        async with database.unit_of_work(None) as uow:
            tenants = await with_work(uow.connection)
        for tenant in tenants:
            if tenant in failed:
                continue
            try:
                is_busy |= await run_chunk(tenant)
            except MemoryError:
                raise
            except Exception as error:
                failed[tenant] = error
    lasting = [error for error in failed.values() if not isinstance(error, Transient)]
    if len(lasting) > 1:
        raise ExceptionGroup("the work of several tenants failed", lasting)
    if failed:
        raise (*lasting, *failed.values())[0]


def is_retried(error: BaseException) -> bool:
    """Return whether to repeat the work. What one row causes would come again after every restart, so it must not end the process, which
    also gives out the access tokens of all services. A cancelled job ends: stamina asks about that as about any error."""
    if not isinstance(error, Exception) or isinstance(error, MemoryError):
        return False
    if not isinstance(error, Transient):
        log.error("job_failed", exc_info=error)
    return True
