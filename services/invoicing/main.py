"""`python -m services.invoicing <role>`: api, consumer, relay, migrate, or all of them in one process."""

import asyncio
import sys

import structlog
from fastapi import FastAPI

from services.invoicing.api import routers
from services.invoicing.chores import Chores
from services.invoicing.context import Context, make_context
from services.invoicing.settings import Settings
from shared.clock import SystemClock
from shared.database import Database
from shared.database.migrate import upgrade
from shared.messaging import Parking, Relay
from shared.observability.logs import configure_logging
from shared.runtime import run, serve, together
from shared.settings import load
from shared.web import Verifier, create_app
from shared.web.parking import parking_router

log = structlog.get_logger(__name__)

ROLES = ("api", "consumer", "relay", "migrate", "all")
POOL_MIN = 8  # the consumer's transactions, the relay, the chores, and REST beside them


def make_app(context: Context, verifier: Verifier | None = None) -> FastAPI:
    app = create_app(title="Seatpool invoicing", settings=context.settings, ready=context.database.ready, verifier=verifier)
    for router in routers(context):
        app.include_router(router)
    app.include_router(parking_router(Parking(context.database, [context.consumer])))
    return app


async def start(settings: Settings, role: str) -> None:
    """Until cancelled; `migrate` returns."""
    url = settings.database_url.get_secret_value()
    if role in ("migrate", "all"):
        await asyncio.to_thread(upgrade, "invoicing", url)
        if role == "migrate":
            return
    database = Database(url, application_name=f"invoicing-{role}", pool_size=max(settings.database_pool_size, POOL_MIN))
    clock = SystemClock()
    context = make_context(settings, clock, database)
    try:
        log.info("invoicing-starts", role=role)
        running = [serve(make_app(context), settings)]  # probes and metrics are every process's
        if role in ("consumer", "all"):
            running += [context.consumer.run(), Chores(database, clock).run()]
        if role in ("relay", "all"):
            running.append(Relay(database=database, kafka=settings).run())
        await together(*running)
    finally:
        await database.dispose()


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] not in ROLES:
        sys.stderr.write(f"usage: python -m services.invoicing {{{'|'.join(ROLES)}}}\n")
        sys.exit(2)
    settings = load(Settings)
    configure_logging("invoicing", settings)
    run(lambda: start(settings, sys.argv[1]))
