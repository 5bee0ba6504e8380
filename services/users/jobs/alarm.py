"""The alarm of the background jobs: each repeats its work at its own interval, and at once after a call of `wake`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import stamina
import structlog

from shared.errors import Transient

log = structlog.get_logger(__name__)

Work = Callable[[], Awaitable[None]]
Chunk = Callable[[str | None], Awaitable[bool]]


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
            async for attempt in stamina.retry_context(on=_is_retried, attempts=None, timeout=None, wait_initial=0.05, wait_max=5.0):
                with attempt:
                    await work()
            await self._wait(every_seconds)

    async def repeat_chunks(self, run_chunk: Chunk, every_seconds: float) -> None:
        """Run until cancelled. Each look does one chunk after the other, of any tenant, until `run_chunk` returns False."""

        async def look() -> None:
            while await run_chunk(None):
                pass

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


async def chunks_of_each(tenants: Iterable[str], run_chunk: Callable[[str], Awaitable[bool]]) -> None:
    """Do all chunks of each tenant. An error of one tenant is raised after those of the others are done."""
    errors: list[Exception] = []
    for tenant in tenants:
        try:
            while await run_chunk(tenant):
                pass
        except MemoryError:
            raise
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0] if len(errors) == 1 else ExceptionGroup("the work for several tenants could not be done", errors)


def _is_retried(error: BaseException) -> bool:
    """Return whether to repeat the work. What one row causes would come again after every restart, so it must not end the process, which
    also gives out the access tokens of all services. A cancelled job ends: stamina asks about that as about any error."""
    if not isinstance(error, Exception) or isinstance(error, MemoryError):
        return False
    if not isinstance(error, Transient):
        log.error("job_failed", exc_info=error)
    return True
