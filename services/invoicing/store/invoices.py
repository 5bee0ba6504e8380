"""The invoices, the charges on them, and their number series."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.charges import CHARGES, INVOICE_CHARGES, ON_INVOICE
from shared.database.row_classes import columns_of, many, one, table_of
from shared.database.together import OF_NO_TENANT
from shared.database.unit_of_work import lock_number
from shared.schemas.invoicing_v1 import InvoiceIssued


@dataclass(frozen=True, slots=True)
class StoredInvoice:
    place: int
    payload: str

    @property
    def event(self) -> InvoiceIssued:
        return InvoiceIssued.model_validate_json(self.payload)


INVOICES = table_of(
    "invoices",
    StoredInvoice,
    tenant_id=str,
    invoice=str,
    kind=str,
    series=str,
    sequence=int,
    number=str,
    currency=str,
    net_minor=int,
    tax_minor=int,
    gross_minor=int,
    document=str,
    issued_at=datetime,
)
NUMBER_SERIES = table_of("number_series", series=str, last=int)
PDFS_TO_MAKE = table_of("pdfs_to_make", tenant_id=str, invoice=str, place=int)

_OWN = INVOICES.c.tenant_id == bindparam("tenant")
_STORED = select(*columns_of(StoredInvoice, INVOICES)).where(_OWN).order_by(INVOICES.c.place)
_PAGE = _STORED.where(INVOICES.c.place > bindparam("after")).limit(bindparam("limit"))
_FIND = _STORED.where(INVOICES.c.invoice == bindparam("invoice"))
_OF_ORDER = (
    select(INVOICE_CHARGES.c.invoice)
    .select_from(CHARGES.join(INVOICE_CHARGES, ON_INVOICE))
    .where(CHARGES.c.tenant_id == bindparam("tenant"), CHARGES.c.order == bindparam("order"))
    .limit(1)
)
_OF_ORDERS = (
    select(CHARGES.c.order, func.min(INVOICE_CHARGES.c.invoice).label("invoice"))
    .select_from(CHARGES.join(INVOICE_CHARGES, ON_INVOICE))
    .where(CHARGES.c.tenant_id == bindparam("tenant"), CHARGES.c.order == any_(bindparam("orders", type_=ARRAY(Text))))
    .group_by(CHARGES.c.order)
)
_FIRST_NUMBER = insert(NUMBER_SERIES).values(last=1)
_DRAW_NUMBER = (
    _FIRST_NUMBER.on_conflict_do_update(index_elements=["series"], set_={"last": NUMBER_SERIES.c.last + 1})
    .returning(NUMBER_SERIES.c.last)
    .execution_options(**{OF_NO_TENANT: True})
)
# Two transactions that draw from several series draw one after the other: else each could wait for the other.
_LOCK_SERIES = select(func.pg_advisory_xact_lock(lock_number("number_series"))).execution_options(**{OF_NO_TENANT: True})
_ADD = insert(INVOICES)
_ADD_CHARGES = insert(INVOICE_CHARGES).from_select(
    ("tenant_id", "invoice", "charge"),
    select(bindparam("tenant", type_=Text), bindparam("of_invoice", type_=Text), func.unnest(bindparam("charges", type_=ARRAY(Text)))),
)
_ADD_PDF_TO_MAKE = insert(PDFS_TO_MAKE)


async def issued(connection: AsyncConnection, tenant_id: str) -> dict[str, InvoiceIssued]:
    found = [row.event for row in await many(connection, _STORED, StoredInvoice, tenant=tenant_id)]
    return {invoice.invoice: invoice for invoice in found}


async def draw_number(connection: AsyncConnection, series: str) -> int:
    """Draw the next number of a series of the vendor.

    The series stay locked until the invoice is committed or rolled back with its number. A sequence would leave a gap after a rollback.
    """
    await connection.execute(_LOCK_SERIES)
    return int((await connection.execute(_DRAW_NUMBER, {"series": series})).scalar_one())


async def add(connection: AsyncConnection, tenant_id: str, invoice: InvoiceIssued, series: str, sequence: int, document: str) -> None:
    values = {name: getattr(invoice, name) for name in ("invoice", "kind", "number", "currency", "net_minor", "tax_minor", "gross_minor")}
    own = {"tenant_id": tenant_id, "series": series, "sequence": sequence, "payload": invoice.model_dump_json(), "document": document}
    await connection.execute(_ADD, own | values)
    booked = list(dict.fromkeys(charge for line in invoice.lines for charge in line.charges))
    if booked:
        await connection.execute(_ADD_CHARGES, {"tenant": tenant_id, "of_invoice": invoice.invoice, "charges": booked})
    await connection.execute(_ADD_PDF_TO_MAKE, {"tenant_id": tenant_id, "invoice": invoice.invoice})


async def find(connection: AsyncConnection, tenant_id: str, invoice_id: str) -> InvoiceIssued | None:
    found = await one(connection, _FIND, StoredInvoice, tenant=tenant_id, invoice=invoice_id)
    return found.event if found else None


async def page(connection: AsyncConnection, tenant_id: str, after: int, limit: int) -> list[StoredInvoice]:
    return await many(connection, _PAGE, StoredInvoice, tenant=tenant_id, after=after, limit=limit)


async def of_order(connection: AsyncConnection, tenant_id: str, order_id: str) -> str | None:
    return (await connection.execute(_OF_ORDER, {"tenant": tenant_id, "order": order_id})).scalar_one_or_none()


async def of_orders(connection: AsyncConnection, tenant_id: str, orders: Sequence[str]) -> dict[str, str]:
    """Return the invoice of each of these orders that has one."""
    found = await connection.execute(_OF_ORDERS, {"tenant": tenant_id, "orders": orders})
    return {row.order: row.invoice for row in found}
