"""The roles of invoicing."""

import asyncio

import structlog

from services.invoicing.api.app import make_app
from services.invoicing.jobs.due_actions import DueActions
from services.invoicing.jobs.end_days import keep_ending_days
from services.invoicing.jobs.render_pdfs import PdfRenderer
from services.invoicing.jobs.unanswered_commands import keep_counting
from services.invoicing.settings import Settings
from services.invoicing.use_cases.seats_questions import SeatsQuestions
from services.invoicing.wiring import make_wiring
from shared.clock import SystemClock
from shared.database import Database
from shared.database.migrate import upgrade
from shared.messaging import Relay
from shared.runtime import serve, together
from shared.web import ServiceClient

log = structlog.get_logger(__name__)

ROLES = ("api", "consumer", "relay", "migrate", "all")


async def start(settings: Settings, role: str) -> None:
    """Run the role until it is cancelled; `migrate` returns."""
    url = settings.database_url.get_secret_value()
    if role in ("migrate", "all"):
        await asyncio.to_thread(upgrade, "invoicing", settings)
        if role == "migrate":
            return
    database = Database(url, application_name=f"invoicing-{role}", pool_size=settings.database_pool_size)
    client = ServiceClient(settings)
    wiring = make_wiring(settings, SystemClock(), database, SeatsQuestions(client, settings.seats_url))
    try:
        log.info("invoicing_started", role=role)
        running = [serve(make_app(wiring), settings)]  # each process serves probes and metrics
        if role in ("consumer", "all"):
            running += [
                wiring.consumer.run(),
                PdfRenderer(database, settings.logo).run(),
                keep_counting(database),
                keep_ending_days(wiring),
            ]
            running.append(DueActions(wiring).run())
        if role in ("relay", "all"):
            running.append(Relay(database=database, kafka=settings).run())
        await together(*running)
    finally:
        await client.close()
        await wiring.consumer.close()  # the idle check uses it in processes that do not run it
        await database.dispose()
