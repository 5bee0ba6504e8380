"""The number of commands that seats does not answer, as a metric."""

import asyncio

import structlog
from prometheus_client import Gauge

from services.invoicing import store
from shared.database import Database
from shared.errors import Transient

log = structlog.get_logger(__name__)

COUNT_EVERY_S = 10
UNANSWERED_S = 60  # design: what is without an answer for so long is counted and alerted

UNANSWERED = Gauge("seatpool_invoicing_unanswered_commands", "Purchases, pools and periods that seats has not answered for a minute")


async def count_unanswered(database: Database) -> None:
    async with database.unit_of_work(None) as uow:
        UNANSWERED.set(await store.commands.count_unanswered(uow.connection, UNANSWERED_S))


async def keep_counting(database: Database) -> None:
    """Until cancelled. Transient errors are waited out."""
    while True:
        try:
            await count_unanswered(database)
        except Transient as error:
            log.warning("job_temporarily_failed", error=str(error))
        await asyncio.sleep(COUNT_EVERY_S)
