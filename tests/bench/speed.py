"""The speed of a measured run, and percentiles."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple


class Speed(NamedTuple):
    """`cpu_us`: microseconds of CPU time of the measured process, for each command."""

    commands: int
    per_second: int
    cpu_us: float

    @classmethod
    def of(cls, commands: int, seconds: float, cpu_seconds: float) -> "Speed":
        return cls(commands, round(commands / seconds), round(cpu_seconds / commands * 1e6, 1))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def at_rate(per_second: int, seconds: int, act: Callable[[int], Awaitable[object]]) -> list[float]:
    """Begin an act so many times a second, whether or not the ones before have ended; return the milliseconds that each took."""

    async def timed(number: int) -> float:
        began = time.perf_counter()
        await act(number)
        return round((time.perf_counter() - began) * 1000, 1)

    began, tasks = time.perf_counter(), []
    for number in range(per_second * seconds):
        await asyncio.sleep(max(0.0, began + number / per_second - time.perf_counter()))
        tasks.append(asyncio.create_task(timed(number)))
    return await asyncio.gather(*tasks)
