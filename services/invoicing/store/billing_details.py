"""Who is billed, and how it is taxed: a row for each version."""

from typing import Any

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.queries import row, run
from shared.schemas.invoicing_v1 import BillingDetailsChanged


async def find(c: AsyncConnection, tenant_id: str, version: str | None = None) -> RowMapping | None:
    """A version, or the one in force."""
    return await row(
        c,
        "SELECT * FROM billing_details WHERE tenant_id = :t AND (CAST(:v AS text) IS NULL OR version = :v) ORDER BY number DESC LIMIT 1",
        t=tenant_id,
        v=version,
    )


async def add(c: AsyncConnection, tenant_id: str, event: BillingDetailsChanged, fields: dict[str, Any]) -> None:
    columns = ", ".join(fields)
    values = ", ".join(f":{name}" for name in fields)
    await run(
        c,
        f"""INSERT INTO billing_details (tenant_id, version, number, changed_at, {columns})
            SELECT :t, :version, coalesce(max(number), 0) + 1, :at, {values} FROM billing_details WHERE tenant_id = :t""",  # noqa: S608
        t=tenant_id,
        version=event.version,
        at=event.at,
        **fields,
    )
