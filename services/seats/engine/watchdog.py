"""The watchdog ends a worker that should progress and does not. A timeout inside Faust's recovery ends the recovery silently, and
nothing is decided after it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog
from aiokafka.errors import KafkaError

from services.seats.engine.engine import Engine
from services.seats.engine.failstop import Exit, fail_stop
from shared.clock import Clock
from shared.errors import Transient

_log = structlog.get_logger("seats.engine")

LOOKS = 10  # within the time allowed
BESIDE_OTHERS_FACTOR = 2  # a partition may stand still for so many times the time allowed while others get on


class Watchdog:
    """Ends a worker whose commands wait while nothing moves."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        *,
        seconds_max: float,
        ready: Callable[[], bool],
        ends: Callable[[list[int]], Awaitable[Mapping[int, int]]],
        restored: Callable[[], int],
    ) -> None:
        """`ready`: neither rebalancing nor restoring. `ends`: asks the broker how far each partition of the command topic goes.
        `restored`: records read by restores, which grows while one works."""
        self._engine, self._clock, self._seconds_max = engine, clock, seconds_max
        self._ready, self._ends, self._restored = ready, ends, restored

    async def run(self) -> None:
        seen, since, standing = self._progress(), self._clock.monotonic(), dict[int, tuple[int, float]]()
        while True:
            await asyncio.sleep(self._seconds_max / LOOKS)
            now, progress = self._clock.monotonic(), self._progress()
            behind = await self._behind()
            standing = self._standing(behind if progress[:2] == seen[:2] else {}, standing, now)
            if progress != seen or (self._ready() and not behind):
                seen, since = progress, now
            longest = max((now - began for _, began in standing.values()), default=0.0)
            if now - since > self._seconds_max or longest > BESIDE_OTHERS_FACTOR * self._seconds_max:
                fail_stop(Exit.STALLED, "commands wait, or the worker is not ready, and nothing moves", ready=self._ready(), behind=behind)

    def _standing(self, behind: Mapping[int, int], before: Mapping[int, tuple[int, float]], now: float) -> dict[int, tuple[int, float]]:
        """Return for each partition with commands that wait where it stands, and since when."""
        places = {number: self._engine.position(number) for number in behind} if self._ready() else {}
        return {number: before[number] if number in before and before[number][0] == at else (at, now) for number, at in places.items()}

    def _progress(self) -> tuple[bool, int, int, list[int]]:
        return (self._ready(), self._restored(), self._engine.counters.frames, sorted(self._engine.live))

    async def _behind(self) -> dict[int, int]:
        """Return the number of commands that wait, by partition. It asks the broker, because the last fetch proves nothing if fetching
        stopped."""
        try:
            ends = await self._ends(list(self._engine.live))
        except (KafkaError, Transient, OSError) as error:
            _log.warning("watchdog_without_broker", error=repr(error))
            return {}
        lags = {number: end - self._engine.position(number) for number, end in ends.items()}
        return {number: lag for number, lag in lags.items() if lag > 0}
