"""Live numbers: a page is told that the numbers of its tenant have changed, and then asks for them again with its own reader's rights.

While pages of a tenant are open, one task per tenant reads them once a second, with the token of one of these readers.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
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
DIGEST_LENGTH: Final = 16
STREAMS_MAX: Final = 500  # of one process: other requests need connections too
EVENTS: Final = "text/event-stream"
OVER: Final = "over"  # the event after which a page does not connect again
COUNTS: Final = "statistics/modules"  # of users: who is refused, and the deadlines
Token = Callable[[], Awaitable[str | None]]


@dataclass(slots=True)
class _OpenPage:
    """A page that hears of changes. `seen`: the digest of the numbers that it shows."""

    token: Token
    seen: str
    events: asyncio.Queue[str | None]


class Live:
    """The open pages by tenant. `run` ends them when the process ends."""

    def __init__(self, services: Services, clock: Clock) -> None:
        self._services, self._clock = services, clock
        self._pages: dict[str, list[_OpenPage]] = defaultdict(list)
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
                for page in pages:
                    page.events.put_nowait(None)

    async def events(self, tenant: str, token: Token, seen: str) -> AsyncGenerator[bytes, None]:
        """Yield the events of one page, as server-sent events. `seen`: the digest of what the page shows, because a number may have
        changed between the page and this request."""
        page = _OpenPage(token, seen, asyncio.Queue())
        self._pages[tenant].append(page)
        if tenant not in self._tasks:
            self._tasks[tenant] = asyncio.create_task(self._watch(tenant), name=f"live {tenant}")
        until = self._clock.monotonic() + STREAM_SECONDS_MAX
        try:
            yield b"retry: 2000\n\n"
            while self._clock.monotonic() < until:
                try:
                    event = await asyncio.wait_for(page.events.get(), ALIVE_SECONDS)
                except TimeoutError:
                    yield b": alive\n\n"
                    continue
                if event is None:
                    return
                yield as_event(event)
        finally:
            self._pages[tenant].remove(page)
            if not self._pages[tenant]:
                del self._pages[tenant]
                if task := self._tasks.pop(tenant, None):
                    task.cancel()

    async def _watch(self, tenant: str) -> None:
        while True:
            try:
                now = await self._state(tenant)
            except Exception as error:
                log.error("live_numbers_failed", exc_info=error)
                now = None
            for page in self._pages[tenant]:
                if now is not None and page.seen != now:
                    page.seen = now
                    page.events.put_nowait("changed")
            await asyncio.sleep(EVERY_SECONDS)

    async def _state(self, tenant: str) -> str | None:
        """Return the digest of the numbers; None if nobody may or can read them now."""
        for page in list(self._pages[tenant]):
            given = await page.token()
            if given is None:
                page.events.put_nowait(None)
                continue
            path = f"/v1/tenants/{tenant}"
            try:
                licences, counts = await asyncio.gather(
                    self._services.get(given, "invoicing", f"{path}/licences"), self._services.get(given, "users", f"{path}/{COUNTS}")
                )
            except SignedOut:
                continue
            if licences.problem is not None and licences.problem.status == HTTPStatus.FORBIDDEN:
                page.events.put_nowait(OVER)  # this reader's right was taken away; the others may see the numbers
                page.events.put_nowait(None)
                continue
            return digest_of(licences.value, counts.value) if licences.ok else None
        return None


def as_event(name: str) -> bytes:
    return f"event: {name}\ndata: {name}\n\n".encode()


def digest_of(licences: Any, counts: Any) -> str:
    """Return a short text that differs if any of the numbers does. The forecast does not count: it is not asked each second. `counts`: by
    module, those of users; None: it does not answer."""
    modules = [{name: value for name, value in each.items() if not name.endswith("_at_renewal")} for each in licences["modules"]]
    shown = {name: value for name, value in licences.items() if name != "position"} | {"modules": modules, "counts": counts}
    return hashlib.sha256(orjson.dumps(shown, option=orjson.OPT_SORT_KEYS)).hexdigest()[:DIGEST_LENGTH]
