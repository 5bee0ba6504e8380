"""How the parts of invoicing are put together, and its roles."""

import asyncio

import structlog
from fastapi import FastAPI

from services.invoicing import store
from services.invoicing.api import routers
from services.invoicing.chores import Chores
from services.invoicing.context import Context, make_context
from services.invoicing.settings import Settings
from shared.clock import SystemClock
from shared.database import Database
from shared.database.migrate import upgrade
from shared.messaging import DeadLetters, Relay
from shared.runtime import serve, together
from shared.web import Verifier, create_app
from shared.web.dead_letters import dead_letters_router

log = structlog.get_logger(__name__)

ROLES = ("api", "consumer", "relay", "migrate", "all")


def make_app(context: Context, verifier: Verifier | None = None) -> FastAPI:
    async def support_contact(tenant: str) -> str | None:
        async with context.database.unit_of_work(tenant) as uow:
            found = await store.tenant(uow.connection, tenant)
        return found.support_contact if found is not None else None

    app = create_app(
        title="Seatpool invoicing",
        settings=context.settings,
        ready=context.database.ready,
        verifier=verifier,
        support_contact=support_contact,
    )
    for router in routers(context):
        app.include_router(router)
    app.include_router(dead_letters_router(DeadLetters(context.database, [context.consumer])))
    return app


async def start(settings: Settings, role: str) -> None:
    """Until cancelled; `migrate` returns."""
    url = settings.database_url.get_secret_value()
    if role in ("migrate", "all"):
        await asyncio.to_thread(upgrade, "invoicing", settings)
        if role == "migrate":
            return
    database = Database(url, application_name=f"invoicing-{role}", pool_size=settings.database_pool_size)
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
        await context.consumer.close()  # `check_idle` asks it in processes that do not run it
        await database.dispose()
