"""The clock of the background jobs: each repeats its work at its own interval, and at once when somebody wakes them."""

import asyncio
from collections.abc import Awaitable, Callable

import stamina

from shared.errors import Transient

Work = Callable[[], Awaitable[None]]


class Alarm:
    def __init__(self) -> None:
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """There may be work. Called before its transaction has committed too, so the timers look again a little later in any case."""
        self._awake.set()

    async def repeat(self, work: Work, every_seconds: float) -> None:
        """Run until cancelled. Transient errors are retried."""
        while True:
            async for attempt in stamina.retry_context(on=Transient, attempts=None, timeout=None, wait_initial=0.05, wait_max=5.0):
                with attempt:
                    await work()
            await self._wait(every_seconds)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._awake.wait()
        except TimeoutError:
            return
        # The waker may not have committed yet; its work is found at the latest at the next look.
        await asyncio.sleep(0.02)
        self._awake.clear()
