"""Count the commands that seats does not answer, as a metric."""

import asyncio

import structlog
from prometheus_client import Gauge

from services.invoicing import store
from shared.database import Database
from shared.errors import Transient

log = structlog.get_logger(__name__)

COUNT_EVERY_SECONDS = 10
UNANSWERED_SECONDS = 60  # a command that has no answer after this time is counted; docs/operating.md has the alert

UNANSWERED = Gauge("seatpool_invoicing_unanswered_commands", "Purchases, pools and periods that seats has not answered for a minute")


async def count_unanswered(database: Database) -> None:
    async with database.unit_of_work(None) as uow:
        UNANSWERED.set(await store.commands.count_unanswered(uow.connection, UNANSWERED_SECONDS))


async def keep_counting(database: Database) -> None:
    """Count until cancelled. After a transient error, try again."""
    while True:
        try:
            await count_unanswered(database)
        except Transient as error:
            log.warning("job_temporarily_failed", error=str(error))
        await asyncio.sleep(COUNT_EVERY_SECONDS)
