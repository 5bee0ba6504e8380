"""Counts and sums of one tenant."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ScalarSelect, TableClause, bindparam, case, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.domain.account import CREDIT_NOTE, INVOICE
from services.invoicing.store.charges import CHARGES
from services.invoicing.store.invoices import INVOICES, PDFS_TO_MAKE
from services.invoicing.store.orders import ORDERS
from services.invoicing.store.quotes import QUOTES
from shared.database.row_classes import names_of, one


@dataclass(frozen=True, slots=True)
class Statistics:
    """Sums are those of the invoices less those of the credit notes."""

    invoices: int
    credit_notes: int
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
    signed = case((INVOICES.c.kind == CREDIT_NOTE, -INVOICES.c[name]), else_=INVOICES.c[name])
    total = cast(func.coalesce(func.sum(signed), 0), BigInteger)
    return select(total).where(INVOICES.c.tenant_id == bindparam("tenant")).scalar_subquery()


def _count(table: TableClause, **only: str) -> ScalarSelect[Any]:
    counted = select(func.count()).select_from(table).where(table.c.tenant_id == bindparam("tenant"))
    return counted.where(*(table.c[name] == value for name, value in only.items())).scalar_subquery()


_PARTS = {
    "invoices": _count(INVOICES, kind=INVOICE),
    "credit_notes": _count(INVOICES, kind=CREDIT_NOTE),
    "net_minor": _sum("net_minor"),
    "tax_minor": _sum("tax_minor"),
    "gross_minor": _sum("gross_minor"),
    "charges": _count(CHARGES),
    "quotes": _count(QUOTES),
    "orders_pending": _count(ORDERS, status="pending"),
    "orders_completed": _count(ORDERS, status="completed"),
    "orders_refused": _count(ORDERS, status="refused"),
    "unrendered": _count(PDFS_TO_MAKE),
}
_OF_TENANT = select(*(_PARTS[name].label(name) for name in names_of(Statistics)))


async def of_tenant(connection: AsyncConnection, tenant_id: str) -> Statistics:
    found = await one(connection, _OF_TENANT, Statistics, tenant=tenant_id)
    assert found is not None
    return found
