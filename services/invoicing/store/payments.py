"""Payments of invoices, and payouts of credit notes."""

from dataclasses import asdict, dataclass
from datetime import date, datetime

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, one, table_of


@dataclass(frozen=True, slots=True)
class NewPayment:
    payment: str
    invoice: str
    direction: str
    amount_minor: int
    currency: str
    paid_on: date
    reference: str
    recorded_at: datetime
    recorded_by: str


@dataclass(frozen=True, slots=True)
class Payment(NewPayment):
    place: int
    taken_back_at: datetime | None
    taken_back_by: str | None
    taken_back_because: str | None


PAYMENTS = table_of("payments", Payment, tenant_id=str)

_P = PAYMENTS.c
_OWN = _P.tenant_id == bindparam("tenant")
_ADD = insert(PAYMENTS)
_SELECT = select(*columns_of(Payment, PAYMENTS)).where(_OWN)
_FIND = _SELECT.where(_P.payment == bindparam("of_payment"))
_PAGE = _SELECT.where(_P.place > bindparam("after")).order_by(_P.place).limit(bindparam("limit"))
_PAGE_OF_INVOICE = _PAGE.where(_P.invoice == bindparam("of_invoice"))
_TAKE_BACK = (
    update(PAYMENTS)
    .where(_OWN, _P.payment == bindparam("of_payment"))
    .values(taken_back_at=bindparam("at"), taken_back_by=bindparam("by"), taken_back_because=bindparam("because"))
)


async def add(connection: AsyncConnection, tenant_id: str, new: NewPayment) -> None:
    await connection.execute(_ADD, {"tenant_id": tenant_id} | asdict(new))


async def find(connection: AsyncConnection, tenant_id: str, payment: str) -> Payment | None:
    return await one(connection, _FIND, Payment, tenant=tenant_id, of_payment=payment)


async def page(connection: AsyncConnection, tenant_id: str, after: int, limit: int, invoice: str | None = None) -> list[Payment]:
    """Return payments in the order in which they were recorded."""
    if invoice is None:
        return await many(connection, _PAGE, Payment, tenant=tenant_id, after=after, limit=limit)
    return await many(connection, _PAGE_OF_INVOICE, Payment, tenant=tenant_id, after=after, limit=limit, of_invoice=invoice)


async def take_back(connection: AsyncConnection, tenant_id: str, payment: str, at: datetime, by: str, because: str) -> None:
    await connection.execute(_TAKE_BACK, {"tenant": tenant_id, "of_payment": payment, "at": at, "by": by, "because": because})
