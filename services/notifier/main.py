"""How the parts of notifier are put together, and its roles."""

import asyncio

import structlog
from fastapi import FastAPI

from services.notifier import mail_store
from services.notifier.api import tenant_router
from services.notifier.context import Context, make_consumers
from services.notifier.rejected import DeadLettersWithRejected
from services.notifier.sending import Sender
from services.notifier.settings import Settings
from shared.clock import SystemClock
from shared.database import Database
from shared.database.migrate import upgrade
from shared.runtime import serve, together
from shared.web import ServiceClient, Verifier, create_app
from shared.web.dead_letters import dead_letters_router

log = structlog.get_logger(__name__)

ROLES = ("api", "consumer", "sender", "migrate", "all")


def make_app(context: Context, verifier: Verifier | None = None) -> FastAPI:
    async def support_contact(tenant: str) -> str | None:
        async with context.database.unit_of_work(tenant) as uow:
            found = await mail_store.tenant_of(uow, tenant)
        return found.support_contact if found is not None else None

    app = create_app(
        title="Seatpool notifier",
        settings=context.settings,
        ready=context.database.ready,
        verifier=verifier,
        support_contact=support_contact,
    )
    app.include_router(tenant_router(context))
    app.include_router(dead_letters_router(DeadLettersWithRejected(context.database, context.consumers)))
    return app


async def start(settings: Settings, role: str) -> None:
    """Until cancelled; `migrate` returns."""
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
                mark, _ = await mail_store.start(uow, clock.now())
            context = Context(settings, clock, database, make_consumers(settings, database, clock, mark))
            sender = Sender(database, settings, clock, client)
            log.info("notifier_started", role=role, first_start=mark.isoformat())
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
