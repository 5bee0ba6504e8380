"""Live numbers: a page is told that the licences of its tenant have changed, and then asks for them again with its own reader's rights.

While pages of a tenant are open, one task per tenant reads the licences once a second, with the token of one of these readers.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Final

import orjson
import structlog

from services.console.rest.problems import SignedOut
from services.console.rest.services import Services
from shared.clock import Clock

log = structlog.get_logger(__name__)

EVERY_SECONDS: Final = 1.0
ALIVE_SECONDS: Final = 15.0
STREAM_SECONDS_MAX: Final = 600.0  # then the browser connects again, with the session that it has by then
STREAMS_MAX: Final = 500  # of one process: other requests need connections too
Token = Callable[[], Awaitable[str | None]]


class Live:
    """The open pages by tenant. `run` ends them when the process ends."""

    def __init__(self, services: Services, clock: Clock) -> None:
        self._services, self._clock = services, clock
        self._pages: dict[str, dict[asyncio.Queue[str | None], Token]] = defaultdict(dict)
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def is_full(self) -> bool:
        return sum(map(len, self._pages.values())) >= STREAMS_MAX

    async def run(self) -> None:
        """Wait until cancelled, and end all streams: otherwise the server would wait for them."""
        try:
            await asyncio.Event().wait()
        finally:
            for task in self._tasks.values():
                task.cancel()
            for pages in self._pages.values():
                for queue in pages:
                    queue.put_nowait(None)

    async def events(self, tenant: str, token: Token) -> AsyncGenerator[bytes, None]:
        """Yield the events of one page, as server-sent events."""
        queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._pages[tenant][queue] = token
        if tenant not in self._tasks:
            self._tasks[tenant] = asyncio.create_task(self._watch(tenant), name=f"live {tenant}")
        until = self._clock.monotonic() + STREAM_SECONDS_MAX
        try:
            yield b"retry: 2000\n\n"
            while self._clock.monotonic() < until:
                try:
                    event = await asyncio.wait_for(queue.get(), ALIVE_SECONDS)
                except TimeoutError:
                    yield b": alive\n\n"
                    continue
                if event is None:
                    return
                yield f"event: {event}\ndata: {event}\n\n".encode()
        finally:
            self._pages[tenant].pop(queue, None)
            if not self._pages[tenant]:
                del self._pages[tenant]
                if task := self._tasks.pop(tenant, None):
                    task.cancel()

    async def _watch(self, tenant: str) -> None:
        before: bytes | None = None
        while True:
            try:
                now = await self._state(tenant)
            except Exception as error:
                log.error("live_numbers_failed", exc_info=error)
                now = None
            if now is not None and before is not None and now != before:
                for queue in self._pages[tenant]:
                    queue.put_nowait("changed")
            before = now or before
            await asyncio.sleep(EVERY_SECONDS)

    async def _state(self, tenant: str) -> bytes | None:
        """Return a digest of the licences; None if nobody may or can read them now."""
        for queue, token in list(self._pages[tenant].items()):
            given = await token()
            if given is None:
                queue.put_nowait(None)
                continue
            try:
                part = await self._services.get(given, "invoicing", f"/v1/tenants/{tenant}/licences")
            except SignedOut:
                continue
            return _digest(part.value) if part.ok else None
        return None


def _digest(licences: Any) -> bytes:
    shown = {name: value for name, value in licences.items() if name != "position"}
    return hashlib.sha256(orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)).digest()
