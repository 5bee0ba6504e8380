"""Fixtures of the tests in a browser: Chromium, and the console with the REST of the other services in memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest_asyncio
import uvicorn
from playwright.async_api import Browser

from services.console.pages import make_app
from tests.support import chromium as installed
from tests.support.browsers import launched
from tests.support.console import ConsoleBench, console
from tests.support.console_pages import furnish
from tests.support.wait import wait_until

collect_ignore_glob = [] if installed.PATH else ["test_*.py"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with launched() as browser:
        yield browser


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
