"""What goes on beside the consumer: PDFs of what was issued, and a look at commands that seats does not answer.

The PDF is not part of issuing: an invoice is issued while the number series is locked, and neither waits for a layout nor fails by one.
"""

import asyncio
import hashlib

import orjson
import structlog
import typst
from prometheus_client import Counter, Gauge

from services.invoicing import reads, store
from services.invoicing.pdf import render_aside
from shared.clock import Clock
from shared.database import Database
from shared.errors import Transient

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.5
COUNT_EVERY_S = 10
UNANSWERED_S = 60  # design: what is without an answer for so long is counted and alerted

RENDERED = Counter("seatpool_invoice_pdfs_rendered", "PDFs made of issued invoices")
RENDER_FAILED = Counter("seatpool_invoice_pdfs_failed", "Invoices whose PDF cannot be made")
UNANSWERED = Gauge("seatpool_invoicing_unanswered_commands", "Purchases, pools and periods that seats has not answered for a minute")


class Chores:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        # A layout that fails is tried again by the next process, and holds up no other invoice in this one.
        self._failed: set[str] = set()  # names of invoices hold the decision's place, so no two tenants have the same

    async def run(self) -> None:
        """Until cancelled. Errors of the moment are waited out."""
        counted_at = float("-inf")
        while True:
            try:
                while await self.render_one():
                    pass
                if self._clock.monotonic() - counted_at >= COUNT_EVERY_S:
                    await self.count_unanswered()
                    counted_at = self._clock.monotonic()
            except Transient as error:
                log.warning("chores-failed-for-the-moment", error=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def render_one(self) -> bool:
        """Makes one missing PDF, kept for good; False: there is none to make."""
        async with self._database.unit_of_work(None) as uow:
            found = await reads.next_unrendered(uow.connection, self._failed)
            if found is None:
                return False
            tenant, invoice = found["tenant_id"], found["invoice"]
            try:
                pdf = await render_aside(orjson.loads(found["document"]))
            except (typst.TypstError, KeyError) as error:
                self._failed.add(invoice)
                RENDER_FAILED.inc()
                log.exception("invoice-not-rendered", tenant=tenant, invoice=invoice, error=str(error))
                return True
            await store.add_pdf(uow.connection, tenant, invoice, pdf, hashlib.sha256(pdf).hexdigest())
        RENDERED.inc()
        return True

    async def count_unanswered(self) -> None:
        async with self._database.unit_of_work(None) as uow:
            UNANSWERED.set(await reads.count_unanswered(uow.connection, UNANSWERED_S))
