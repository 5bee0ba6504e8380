"""Queries that only read, for REST and the chores, the tenant first where there is one."""

from collections.abc import Collection, Sequence

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store import row, rows, tenant
from shared.errors import NotFound
from shared.schemas.invoicing_v1 import InvoiceIssued


async def check_tenant(c: AsyncConnection, tenant_id: str) -> None:
    """For reads that would answer anybody's tenant with nothing in it. Raises NotFound until users or seats has said something of it."""
    if await tenant(c, tenant_id) is None:
        raise NotFound("tenant")


async def next_unrendered(c: AsyncConnection, skip: Collection[str]) -> RowMapping | None:
    """An invoice of any tenant that has no PDF yet. Its lock, held to the commit, keeps two processes from making the same PDF."""
    return await row(
        c,
        """SELECT tenant_id, invoice, document FROM pdfs_to_make p JOIN invoices USING (tenant_id, invoice)
           WHERE invoice <> ALL(CAST(:skip AS text[])) ORDER BY p.place LIMIT 1 FOR UPDATE OF p SKIP LOCKED""",
        skip=list(skip),
    )


async def count_unanswered(c: AsyncConnection, seconds: int) -> int:
    """Commands of all tenants that seats has not answered for so long."""
    found = await row(
        c,
        "SELECT count(*) AS n FROM commands WHERE answer IS NULL AND sent_at < now() - make_interval(secs => :s)",
        s=seconds,
    )
    assert found is not None
    return int(found["n"])


async def invoice(c: AsyncConnection, tenant_id: str, invoice_id: str) -> InvoiceIssued | None:
    found = await row(c, "SELECT payload FROM invoices WHERE tenant_id = :t AND invoice = :i", t=tenant_id, i=invoice_id)
    return InvoiceIssued.model_validate_json(found["payload"]) if found else None


async def pdf(c: AsyncConnection, tenant_id: str, invoice_id: str) -> RowMapping | None:
    return await row(
        c,
        """SELECT number, pdf, sha256 FROM invoices LEFT JOIN invoice_pdfs USING (tenant_id, invoice)
           WHERE tenant_id = :t AND invoice = :i""",
        t=tenant_id,
        i=invoice_id,
    )


async def invoice_page(c: AsyncConnection, tenant_id: str, after: int, limit: int) -> Sequence[RowMapping]:
    return await rows(
        c, "SELECT place, payload FROM invoices WHERE tenant_id = :t AND place > :a ORDER BY place LIMIT :n", t=tenant_id, a=after, n=limit
    )


async def charge_page(c: AsyncConnection, tenant_id: str, after: int, limit: int) -> Sequence[RowMapping]:
    return await rows(
        c,
        """SELECT place, payload, invoice FROM charges LEFT JOIN invoice_charges USING (tenant_id, charge)
           WHERE tenant_id = :t AND place > :a ORDER BY place LIMIT :n""",
        t=tenant_id,
        a=after,
        n=limit,
    )


async def invoice_of_order(c: AsyncConnection, tenant_id: str, order_id: str) -> str | None:
    found = await rows(
        c,
        """SELECT DISTINCT invoice FROM charges JOIN invoice_charges USING (tenant_id, charge) WHERE tenant_id = :t AND "order" = :o""",
        t=tenant_id,
        o=order_id,
    )
    return found[0]["invoice"] if found else None


async def statistics(c: AsyncConnection, tenant_id: str) -> RowMapping:
    found = await row(
        c,
        """SELECT
             (SELECT count(*) FROM invoices WHERE tenant_id = :t) AS invoices,
             (SELECT CAST(coalesce(sum(net_minor), 0) AS bigint) FROM invoices WHERE tenant_id = :t) AS net_minor,
             (SELECT CAST(coalesce(sum(tax_minor), 0) AS bigint) FROM invoices WHERE tenant_id = :t) AS tax_minor,
             (SELECT CAST(coalesce(sum(gross_minor), 0) AS bigint) FROM invoices WHERE tenant_id = :t) AS gross_minor,
             (SELECT count(*) FROM charges WHERE tenant_id = :t) AS charges,
             (SELECT count(*) FROM quotes WHERE tenant_id = :t) AS quotes,
             (SELECT count(*) FROM orders WHERE tenant_id = :t AND status = 'pending') AS orders_pending,
             (SELECT count(*) FROM orders WHERE tenant_id = :t AND status = 'completed') AS orders_completed,
             (SELECT count(*) FROM orders WHERE tenant_id = :t AND status = 'refused') AS orders_refused,
             (SELECT count(*) FROM pdfs_to_make WHERE tenant_id = :t) AS unrendered""",
        t=tenant_id,
    )
    assert found is not None
    return found
