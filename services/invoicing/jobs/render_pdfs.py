"""The PDFs of invoices that were issued.

The PDF is not part of issuing: an invoice is issued while the number series is locked, and neither waits for a layout nor fails by one.
"""

import asyncio
import hashlib

import orjson
import structlog
import typst
from prometheus_client import Counter

from services.invoicing import store
from services.invoicing.documents.pdf import render_aside
from shared.database import Database
from shared.errors import Transient

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 0.5

RENDERED = Counter("seatpool_invoice_pdfs_rendered", "PDFs made of issued invoices")
RENDER_FAILED = Counter("seatpool_invoice_pdfs_failed", "Invoices whose PDF cannot be made")


class PdfRenderer:
    def __init__(self, database: Database) -> None:
        self._database = database
        # A layout that fails is tried again by the next process, and holds up no other invoice in this one.
        self._failed: set[str] = set()  # names of invoices hold the decision's place, so no two tenants have the same

    async def run(self) -> None:
        """Until cancelled. Transient errors are waited out."""
        while True:
            try:
                while await self.render_one():
                    pass
            except Transient as error:
                log.warning("job_temporarily_failed", error=str(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def render_one(self) -> bool:
        """Makes one missing PDF, kept for good; False: there is none to make."""
        async with self._database.unit_of_work(None) as uow:
            found = await store.pdfs.next_unrendered(uow.connection, self._failed)
            if found is None:
                return False
            tenant, invoice = found.tenant_id, found.invoice
            try:
                pdf = await render_aside(orjson.loads(found.document))
            except (typst.TypstError, KeyError) as error:
                self._failed.add(invoice)
                RENDER_FAILED.inc()
                log.exception("invoice_not_rendered", tenant=tenant, invoice=invoice, error=str(error))
                return True
            await store.pdfs.add(uow.connection, tenant, invoice, pdf, hashlib.sha256(pdf).hexdigest())
        RENDERED.inc()
        return True
