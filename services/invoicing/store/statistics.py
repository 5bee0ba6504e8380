"""Counts and sums of one tenant."""

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.queries import row


async def of_tenant(c: AsyncConnection, tenant_id: str) -> RowMapping:
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
