"""Composition root: the parts of a console process. Tests replace any of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from services.console.rendering.environment import Renderer
from services.console.rest.live import Live
from services.console.rest.services import Services
from services.console.settings import Settings
from services.console.sign_in.seals import Seals
from services.console.sign_in.sessions import Sessions
from shared.clock import Clock, SystemClock
from shared.web.auth import Verifier


@dataclass(frozen=True, slots=True)
class Wiring:
    settings: Settings
    clock: Clock
    services: Services
    sessions: Sessions
    seals: Seals
    renderer: Renderer
    live: Live


@asynccontextmanager
async def wired(
    settings: Settings,
    *,
    clock: Clock | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    verifier: Verifier | None = None,
) -> AsyncIterator[Wiring]:
    """Give the parts, and end their connections afterwards."""
    clock = clock or SystemClock()
    async with Services(settings, clock, transport=transport) as services:
        sessions = Sessions(services, verifier or Verifier(settings.users_url, transport=transport), clock)
        yield Wiring(settings, clock, services, sessions, Seals(settings.keys), Renderer(), Live(services, clock))
