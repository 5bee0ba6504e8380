"""Render the PDFs of issued invoices, and write their XML.

An invoice is issued while the number series is locked, so issuing it does not wait for its PDF and does not fail when the layout fails.
"""

import asyncio
import hashlib

import orjson
import structlog
from prometheus_client import Counter

from services.invoicing import store
from services.invoicing.documents.pdf import render_aside
from shared.database import Database
from shared.errors import Transient

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 0.5

RENDERED = Counter("seatpool_invoice_pdfs_rendered", "PDFs made of issued invoices")
RENDER_FAILED = Counter("seatpool_invoice_pdfs_failed", "Invoices whose PDF cannot be made")


class PdfRenderer:
    """Renders the PDFs of issued invoices, one after the other. `logo`: the SVG of the vendor's logo."""

    def __init__(self, database: Database, logo: str | None) -> None:
        self._database, self._logo = database, logo
        # This process does not try a failed layout again, so that other invoices do not wait for it. The next process does.
        self._failed: set[str] = set()  # invoice ids contain the decision's position, so they differ between tenants

    async def run(self) -> None:
        """Render until cancelled. After a transient error, try again."""
        while True:
            try:
                while await self.render_one():
                    pass
            except Transient as error:
                log.warning("job_temporarily_failed", error=str(error))
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def render_one(self) -> bool:
        """Render one missing PDF and keep it. Return False if there is none to render."""
        async with self._database.unit_of_work(None) as uow:
            found = await store.pdfs.next_unrendered(uow.connection, self._failed)
            if found is None:
                return False
            tenant, invoice = found.tenant_id, found.invoice
            try:
                pdf, xml, xml_apart = await render_aside(orjson.loads(found.document), self._logo)
            except MemoryError:
                raise
            except Exception as error:  # of this document: it must not end the process again and again
                self._failed.add(invoice)
                RENDER_FAILED.inc()
                log.exception("invoice_not_rendered", tenant=tenant, invoice=invoice, error=str(error))
                return True
            made = store.pdfs.Made(pdf, hashlib.sha256(pdf).hexdigest(), xml, xml_apart)
            await store.pdfs.add(uow.connection, tenant, invoice, made)
        RENDERED.inc()
        return True
