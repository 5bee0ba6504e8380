"""`Prefer: wait` (RFC 7240): the answer comes when something is decided, or after so many seconds."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Header

from shared.clock import Clock

WAIT_SECONDS_MAX = 10
LOOK_EVERY_SECONDS = 0.05
T = TypeVar("T")

Prefer = Annotated[str | None, Header(description="`wait=5`: the answer comes when seats has decided, or after 5 seconds (at most 10).")]


def wait_seconds(prefer: str | None) -> float:
    """Return the seconds of `wait` in a Prefer header, 0 without it."""
    match = re.search(r"(?:^|[,;\s])wait=(\d{1,4})(?:$|[,;\s])", prefer or "")
    return min(int(match[1]), WAIT_SECONDS_MAX) if match else 0


async def wait_for(clock: Clock, seconds: float, look: Callable[[], Awaitable[T | None]]) -> T | None:
    """Return the first answer of `look` that is not None, or None after so many seconds (one look at least)."""
    end = clock.monotonic() + seconds
    while True:
        found = await look()
        if found is not None or clock.monotonic() >= end:
            return found
        await asyncio.sleep(LOOK_EVERY_SECONDS)
