"""The roles of the notifier."""

import asyncio

import structlog

from services.notifier.api import make_app
from services.notifier.jobs.sender import Sender
from services.notifier.settings import Settings
from services.notifier.store.first_start import first_start
from services.notifier.wiring import Wiring, make_consumers
from shared.clock import SystemClock
from shared.database import Database
from shared.database.migrate import upgrade
from shared.runtime import serve, together
from shared.web import ServiceClient

log = structlog.get_logger(__name__)

ROLES = ("api", "consumer", "sender", "migrate", "all")


async def start(settings: Settings, role: str) -> None:
    """Run the role until it is cancelled; `migrate` returns."""
    url = settings.database_url.get_secret_value()
    if role in ("migrate", "all"):
        await asyncio.to_thread(upgrade, "notifier", settings)
        if role == "migrate":
            return
    clock = SystemClock()
    database = Database(url, application_name=f"notifier-{role}", pool_size=settings.database_pool_size)
    async with ServiceClient(settings) as client:
        try:
            async with database.unit_of_work(None) as uow:
                first = await first_start(uow.connection, clock.now())
            wiring = Wiring(settings, clock, database, make_consumers(settings, database, clock, first.started_at))
            sender = Sender(database, settings, clock, client)
            log.info("notifier_started", role=role, first_start=first.started_at.isoformat())
            running = [serve(make_app(wiring), settings)]  # each process serves probes and metrics
            if role in ("consumer", "all"):
                running += [consumer.run() for consumer in wiring.consumers]
            if role in ("sender", "all"):
                running.append(sender.run())
            try:
                await together(*running)
            finally:
                for consumer in wiring.consumers:  # the idle check uses them in processes that run none of them
                    await consumer.close()
        finally:
            await database.dispose()
