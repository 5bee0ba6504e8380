"""The invoices, the charges on them, and their number series."""

from dataclasses import dataclass

from sqlalchemy import Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.charges import ON_INVOICE
from services.invoicing.store.tables import charges, invoice_charges, invoices, number_series, pdfs_to_make
from shared.database.rows import columns, many, one
from shared.schemas.invoicing_v1 import InvoiceIssued


@dataclass(frozen=True, slots=True)
class StoredInvoice:
    place: int
    payload: str

    @property
    def event(self) -> InvoiceIssued:
        return InvoiceIssued.model_validate_json(self.payload)


_OWN = invoices.c.tenant_id == bindparam("tenant")
_STORED = select(*columns(StoredInvoice, invoices)).where(_OWN).order_by(invoices.c.place)
_PAGE = _STORED.where(invoices.c.place > bindparam("after")).limit(bindparam("limit"))
_FIND = _STORED.where(invoices.c.invoice == bindparam("invoice"))
_OF_ORDER = (
    select(invoice_charges.c.invoice)
    .select_from(charges.join(invoice_charges, ON_INVOICE))
    .where(charges.c.tenant_id == bindparam("tenant"), charges.c.order == bindparam("order"))
    .limit(1)
)
_FIRST_NUMBER = insert(number_series).values(last=1)
_DRAW_NUMBER = _FIRST_NUMBER.on_conflict_do_update(index_elements=["series"], set_={"last": number_series.c.last + 1}).returning(
    number_series.c.last
)
_ADD = insert(invoices)
_ADD_CHARGES = insert(invoice_charges).from_select(
    ("tenant_id", "invoice", "charge"),
    select(bindparam("tenant", type_=Text), bindparam("of_invoice", type_=Text), func.unnest(bindparam("charges", type_=ARRAY(Text)))),
)
_ADD_PDF_TO_MAKE = insert(pdfs_to_make)


async def issued(c: AsyncConnection, tenant_id: str) -> dict[str, InvoiceIssued]:
    found = [row.event for row in await many(c, _STORED, StoredInvoice, tenant=tenant_id)]
    return {invoice.invoice: invoice for invoice in found}


async def draw_number(c: AsyncConnection, series: str) -> int:
    """Draw the next number of a series of the vendor.

    The row stays locked until the invoice is committed or rolled back with its number. A sequence would leave a gap after a rollback.
    """
    return int((await c.execute(_DRAW_NUMBER, {"series": series})).scalar_one())


async def add(c: AsyncConnection, tenant_id: str, invoice: InvoiceIssued, series: str, sequence: int, document: str) -> None:
    values = {name: getattr(invoice, name) for name in ("invoice", "number", "currency", "net_minor", "tax_minor", "gross_minor")}
    own = {"tenant_id": tenant_id, "series": series, "sequence": sequence, "payload": invoice.model_dump_json(), "document": document}
    await c.execute(_ADD, own | values)
    booked = [charge for line in invoice.lines for charge in line.charges]
    await c.execute(_ADD_CHARGES, {"tenant": tenant_id, "of_invoice": invoice.invoice, "charges": booked})
    await c.execute(_ADD_PDF_TO_MAKE, {"tenant_id": tenant_id, "invoice": invoice.invoice})


async def find(c: AsyncConnection, tenant_id: str, invoice_id: str) -> InvoiceIssued | None:
    found = await one(c, _FIND, StoredInvoice, tenant=tenant_id, invoice=invoice_id)
    return found.event if found else None


async def page(c: AsyncConnection, tenant_id: str, after: int, limit: int) -> list[StoredInvoice]:
    return await many(c, _PAGE, StoredInvoice, tenant=tenant_id, after=after, limit=limit)


async def of_order(c: AsyncConnection, tenant_id: str, order_id: str) -> str | None:
    return (await c.execute(_OF_ORDER, {"tenant": tenant_id, "order": order_id})).scalar_one_or_none()
