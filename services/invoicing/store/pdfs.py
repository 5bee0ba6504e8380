"""The PDFs of invoices, and those that are still to be made."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Text, all_, and_, bindparam, delete, insert, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.tables import invoice_pdfs, invoices, pdfs_to_make
from shared.database.rows import columns, one


@dataclass(frozen=True, slots=True)
class Unrendered:
    tenant_id: str
    invoice: str
    document: str


@dataclass(frozen=True, slots=True)
class Pdf:
    number: str
    pdf: bytes | None
    sha256: str | None


_NEXT_UNRENDERED = (
    select(*columns(Unrendered, invoices))
    .join(pdfs_to_make, and_(pdfs_to_make.c.tenant_id == invoices.c.tenant_id, pdfs_to_make.c.invoice == invoices.c.invoice))
    .where(pdfs_to_make.c.invoice != all_(bindparam("skip", type_=ARRAY(Text))))
    .order_by(pdfs_to_make.c.place)
    .limit(1)
    .with_for_update(of=pdfs_to_make, skip_locked=True)
)
_FIND = (
    select(*columns(Pdf, invoices, invoice_pdfs))
    .outerjoin(invoice_pdfs, and_(invoice_pdfs.c.tenant_id == invoices.c.tenant_id, invoice_pdfs.c.invoice == invoices.c.invoice))
    .where(invoices.c.tenant_id == bindparam("tenant"), invoices.c.invoice == bindparam("invoice"))
)
_ADD = insert(invoice_pdfs)
_MADE = delete(pdfs_to_make).where(pdfs_to_make.c.tenant_id == bindparam("tenant"), pdfs_to_make.c.invoice == bindparam("invoice"))


async def next_unrendered(c: AsyncConnection, skip: Collection[str]) -> Unrendered | None:
    """Return an invoice of any tenant that has no PDF yet. Its lock, held to the commit, keeps two processes from making the same PDF."""
    return await one(c, _NEXT_UNRENDERED, Unrendered, skip=list(skip))


async def find(c: AsyncConnection, tenant_id: str, invoice_id: str) -> Pdf | None:
    return await one(c, _FIND, Pdf, tenant=tenant_id, invoice=invoice_id)


async def add(c: AsyncConnection, tenant_id: str, invoice: str, pdf: bytes, sha256: str) -> None:
    await c.execute(_ADD, {"tenant_id": tenant_id, "invoice": invoice, "pdf": pdf, "sha256": sha256})
    await c.execute(_MADE, {"tenant": tenant_id, "invoice": invoice})
