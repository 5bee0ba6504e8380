"""Wait for a condition instead of for a time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")
POLL_SECONDS, POLL_SECONDS_MAX = 0.05, 0.25
SECONDS_MAX = 90  # for what usually takes one: the machine may be busy


@overload
async def wait_until(condition: Callable[[], Awaitable[T | None]], *, seconds: float = ..., what: str = ...) -> T: ...
@overload
async def wait_until(condition: Callable[[], T | None], *, seconds: float = ..., what: str = ...) -> T: ...
async def wait_until(condition: Callable[[], Any], *, seconds: float = SECONDS_MAX, what: str = "the condition") -> Any:
    """Return the first truthy answer of `condition`, which may be a coroutine function. Fail with the last answer after `seconds`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        asked_at = loop.time()
        answer = condition()
        value = await answer if inspect.isawaitable(answer) else answer
        if value:
            return value
        now = loop.time()
        if now > end:
            raise AssertionError(f"{what} did not come true in {seconds} s; the last answer was {value!r}")
        # What takes long to ask keeps those busy that are waited for.
        await asyncio.sleep(min(max(POLL_SECONDS, 2 * (now - asked_at)), POLL_SECONDS_MAX))
