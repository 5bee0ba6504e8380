"""Counts and sums of one tenant."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ScalarSelect, Table, bindparam, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.tables import charges, invoices, orders, pdfs_to_make, quotes
from shared.database.row_classes import names_of
from shared.database.rows import one


@dataclass(frozen=True, slots=True)
class Statistics:
    invoices: int
    net_minor: int
    tax_minor: int
    gross_minor: int
    charges: int
    quotes: int
    orders_pending: int
    orders_completed: int
    orders_refused: int
    unrendered: int


def _sum(name: str) -> ScalarSelect[Any]:
    total = cast(func.coalesce(func.sum(invoices.c[name]), 0), BigInteger)
    return select(total).where(invoices.c.tenant_id == bindparam("tenant")).scalar_subquery()


def _count(table: Table, status: str | None = None) -> ScalarSelect[Any]:
    counted = select(func.count()).select_from(table).where(table.c.tenant_id == bindparam("tenant"))
    return (counted if status is None else counted.where(table.c.status == status)).scalar_subquery()


_PARTS = {
    "invoices": _count(invoices),
    "net_minor": _sum("net_minor"),
    "tax_minor": _sum("tax_minor"),
    "gross_minor": _sum("gross_minor"),
    "charges": _count(charges),
    "quotes": _count(quotes),
    "orders_pending": _count(orders, "pending"),
    "orders_completed": _count(orders, "completed"),
    "orders_refused": _count(orders, "refused"),
    "unrendered": _count(pdfs_to_make),
}
_OF_TENANT = select(*(_PARTS[name].label(name) for name in names_of(Statistics)))


async def of_tenant(c: AsyncConnection, tenant_id: str) -> Statistics:
    found = await one(c, _OF_TENANT, Statistics, tenant=tenant_id)
    assert found is not None
    return found
