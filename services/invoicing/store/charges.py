"""The ledger of charges."""

from collections.abc import Sequence

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.queries import insert, rows
from shared.schemas.invoicing_v1 import ChargeBooked


async def ids(c: AsyncConnection, tenant_id: str) -> set[str]:
    return {found["charge"] for found in await rows(c, "SELECT charge FROM charges WHERE tenant_id = :t", t=tenant_id)}


async def add(c: AsyncConnection, tenant_id: str, charge: ChargeBooked) -> None:
    await insert(c, tenant_id, "charges", charge=charge.charge, order=charge.order, payload=charge.model_dump_json())


async def page(c: AsyncConnection, tenant_id: str, after: int, limit: int) -> Sequence[RowMapping]:
    return await rows(
        c,
        """SELECT place, payload, invoice FROM charges LEFT JOIN invoice_charges USING (tenant_id, charge)
           WHERE tenant_id = :t AND place > :a ORDER BY place LIMIT :n""",
        t=tenant_id,
        a=after,
        n=limit,
    )
