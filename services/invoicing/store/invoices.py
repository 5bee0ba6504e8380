"""The invoices, the charges on them, and their number series."""

from collections.abc import Sequence

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.queries import insert, row, rows, run
from shared.schemas.invoicing_v1 import InvoiceIssued


async def issued(c: AsyncConnection, tenant_id: str) -> dict[str, InvoiceIssued]:
    found = await rows(c, "SELECT invoice, payload FROM invoices WHERE tenant_id = :t ORDER BY place", t=tenant_id)
    return {invoice["invoice"]: InvoiceIssued.model_validate_json(invoice["payload"]) for invoice in found}


async def draw_number(c: AsyncConnection, series: str) -> int:
    """Of the vendor's whole series. The row's lock is held until the invoice is committed or rolled back with the number: a sequence
    object would leave a gap where a transaction is rolled back."""
    found = await row(
        c,
        """INSERT INTO number_series (series, last) VALUES (:s, 1)
           ON CONFLICT (series) DO UPDATE SET last = number_series.last + 1 RETURNING last""",
        s=series,
    )
    assert found is not None
    return int(found["last"])


async def add(c: AsyncConnection, tenant_id: str, invoice: InvoiceIssued, series: str, sequence: int, document: str) -> None:
    await insert(
        c,
        tenant_id,
        "invoices",
        invoice=invoice.invoice,
        series=series,
        sequence=sequence,
        number=invoice.number,
        currency=invoice.currency,
        net_minor=invoice.net_minor,
        tax_minor=invoice.tax_minor,
        gross_minor=invoice.gross_minor,
        payload=invoice.model_dump_json(),
        document=document,
    )
    await run(
        c,
        "INSERT INTO invoice_charges (tenant_id, charge, invoice) SELECT :t, charge, :i FROM unnest(CAST(:charges AS text[])) AS charge",
        t=tenant_id,
        i=invoice.invoice,
        charges=[charge for line in invoice.lines for charge in line.charges],
    )
    await insert(c, tenant_id, "pdfs_to_make", invoice=invoice.invoice)


async def find(c: AsyncConnection, tenant_id: str, invoice_id: str) -> InvoiceIssued | None:
    found = await row(c, "SELECT payload FROM invoices WHERE tenant_id = :t AND invoice = :i", t=tenant_id, i=invoice_id)
    return InvoiceIssued.model_validate_json(found["payload"]) if found else None


async def page(c: AsyncConnection, tenant_id: str, after: int, limit: int) -> Sequence[RowMapping]:
    return await rows(
        c, "SELECT place, payload FROM invoices WHERE tenant_id = :t AND place > :a ORDER BY place LIMIT :n", t=tenant_id, a=after, n=limit
    )


async def of_order(c: AsyncConnection, tenant_id: str, order_id: str) -> str | None:
    found = await rows(
        c,
        """SELECT DISTINCT invoice FROM charges JOIN invoice_charges USING (tenant_id, charge) WHERE tenant_id = :t AND "order" = :o""",
        t=tenant_id,
        o=order_id,
    )
    return found[0]["invoice"] if found else None
