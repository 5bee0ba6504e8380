"""The roles of the console."""

import structlog

from services.console.pages import make_app
from services.console.settings import Settings
from services.console.wiring import wired
from shared.runtime import serve, together

log = structlog.get_logger(__name__)

ROLES = ("web",)


async def start(settings: Settings, role: str) -> None:
    """Run the role until it is cancelled."""
    async with wired(settings) as wiring:
        log.info("console_started", role=role, url=settings.console_url)
        await together(serve(make_app(wiring), settings), wiring.live.run())
