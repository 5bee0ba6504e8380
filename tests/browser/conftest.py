"""Fixtures of the tests in a browser: Chromium, and the console with the REST of the other services in memory."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
import uvicorn
from playwright.async_api import Browser

from services.console.pages import make_app
from tests.support import chromium as installed
from tests.support.browsers import HEIGHT, SIZES, THEMES, Window, launched
from tests.support.console import ConsoleBench, console
from tests.support.console_pages import furnish
from tests.support.wait import wait_until

SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
collect_ignore_glob = [] if installed.PATH else ["test_*.py"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


@dataclass(frozen=True, slots=True)
class Camera:
    """Photographs pages in both themes, on a wide screen and on a phone, for those who look at them after a change."""

    is_on: bool

    async def take(self, opened: Window, name: str) -> None:
        for width, theme in itertools.product(SIZES, THEMES) if self.is_on else ():
            await opened.page.set_viewport_size({"width": width, "height": HEIGHT})
            await opened.page.emulate_media(color_scheme=theme)
            await opened.page.screenshot(path=SCREENSHOTS / f"{name}-{theme}-{width}.png", full_page=True)


@pytest.fixture
def camera(request: pytest.FixtureRequest) -> Camera:
    return Camera(bool(request.config.getoption("--screenshots")))


@dataclass(frozen=True, slots=True)
class Served:
    """A console that a browser reaches."""

    bench: ConsoleBench
    origin: str


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served() -> AsyncIterator[Served]:
    """Return the console with a company in memory, at a free port."""
    async with console() as bench:
        furnish(bench.company)
        server = uvicorn.Server(uvicorn.Config(make_app(bench.wiring), host="127.0.0.1", port=0, log_config=None, access_log=False))
        running, live = asyncio.create_task(server.serve()), asyncio.create_task(bench.wiring.live.run())

        async def started() -> bool:
            return server.started

        await wait_until(started, what="the console")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Served(bench, f"http://127.0.0.1:{port}")
        live.cancel()
        await asyncio.wait({live})
        server.should_exit = True
        await running
