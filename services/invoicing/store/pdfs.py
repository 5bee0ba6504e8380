"""The PDFs of invoices, and those that are still to be made."""

from collections.abc import Collection

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.queries import insert, row, run


async def next_unrendered(c: AsyncConnection, skip: Collection[str]) -> RowMapping | None:
    """An invoice of any tenant that has no PDF yet. Its lock, held to the commit, keeps two processes from making the same PDF."""
    return await row(
        c,
        """SELECT tenant_id, invoice, document FROM pdfs_to_make p JOIN invoices USING (tenant_id, invoice)
           WHERE invoice <> ALL(CAST(:skip AS text[])) ORDER BY p.place LIMIT 1 FOR UPDATE OF p SKIP LOCKED""",
        skip=list(skip),
    )


async def find(c: AsyncConnection, tenant_id: str, invoice_id: str) -> RowMapping | None:
    return await row(
        c,
        """SELECT number, pdf, sha256 FROM invoices LEFT JOIN invoice_pdfs USING (tenant_id, invoice)
           WHERE tenant_id = :t AND invoice = :i""",
        t=tenant_id,
        i=invoice_id,
    )


async def add(c: AsyncConnection, tenant_id: str, invoice: str, pdf: bytes, sha256: str) -> None:
    await insert(c, tenant_id, "invoice_pdfs", invoice=invoice, pdf=pdf, sha256=sha256)
    await run(c, "DELETE FROM pdfs_to_make WHERE tenant_id = :t AND invoice = :i", t=tenant_id, i=invoice)
