"""`python -m services.notifier <role>`: api, consumer, sender, migrate, or all of them in one process."""

import asyncio
import sys

import structlog
from fastapi import FastAPI

from services.notifier import mail_store
from services.notifier.api import tenant_router
from services.notifier.context import Context, make_consumers
from services.notifier.rejected import ParkingWithRejected
from services.notifier.sending import Sender
from services.notifier.settings import Settings
from shared.clock import SystemClock
from shared.database import Database
from shared.database.migrate import upgrade
from shared.observability.logs import configure_logging
from shared.runtime import run, serve, together
from shared.settings import load
from shared.web import ServiceClient, Verifier, create_app
from shared.web.parking import parking_router

log = structlog.get_logger(__name__)

ROLES = ("api", "consumer", "sender", "migrate", "all")


def make_app(context: Context, verifier: Verifier | None = None) -> FastAPI:
    app = create_app(title="Seatpool notifier", settings=context.settings, ready=context.database.ready, verifier=verifier)
    app.include_router(tenant_router(context))
    app.include_router(parking_router(ParkingWithRejected(context.database, context.consumers)))
    return app


async def start(settings: Settings, role: str) -> None:
    """Until cancelled; `migrate` returns."""
    if role in ("migrate", "all"):
        await asyncio.to_thread(upgrade, "notifier", settings.database_url.get_secret_value())
        if role == "migrate":
            return
    clock = SystemClock()
    # Two consumers, REST and the sender, whose lock keeps one connection for itself.
    database = Database(
        settings.database_url.get_secret_value(), application_name=f"notifier-{role}", pool_size=max(settings.database_pool_size, 8)
    )
    async with ServiceClient(settings) as client:
        try:
            async with database.unit_of_work(None) as uow:
                mark, _ = await mail_store.start(uow, clock.now())
            context = Context(settings, clock, database, make_consumers(settings, database, clock, mark))
            sender = Sender(database, settings, clock, client)
            log.info("notifier-starts", role=role, mark=mark.isoformat())
            running = [serve(make_app(context), settings)]  # probes and metrics are every process's
            if role in ("consumer", "all"):
                running += [consumer.run() for consumer in context.consumers]
            if role in ("sender", "all"):
                running.append(sender.run())
            try:
                await together(*running)
            finally:
                for consumer in context.consumers:  # `settlement` asks them in processes that run none
                    await consumer.close()
        finally:
            await database.dispose()


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in ROLES:
        sys.stderr.write(f"usage: python -m services.notifier {{{'|'.join(ROLES)}}}\n")
        sys.exit(2)
    settings = load(Settings)
    configure_logging("notifier", settings)
    run(lambda: start(settings, sys.argv[1]))
