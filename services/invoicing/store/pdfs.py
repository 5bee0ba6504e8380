"""The PDFs of invoices with their XML, and those that are still to be made."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Text, all_, and_, bindparam, delete, insert, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store.invoices import INVOICES, PDFS_TO_MAKE
from shared.database.row_classes import columns_of, one, table_of


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
    xml_apart: bool | None


@dataclass(frozen=True, slots=True)
class Made:
    """The files of a document. `xml_apart`: the XML is a file of its own, and not in the PDF."""

    pdf: bytes
    sha256: str
    xml: bytes | None
    xml_apart: bool


@dataclass(frozen=True, slots=True)
class Xml:
    number: str
    sha256: str | None  # of the PDF, which is made together with the XML
    xml: bytes | None


INVOICE_PDFS = table_of("invoice_pdfs", tenant_id=str, invoice=str, pdf=bytes, sha256=str, xml=bytes, xml_apart=bool, rendered_at=datetime)

_NEXT_UNRENDERED = (
    select(*columns_of(Unrendered, INVOICES))
    .join(PDFS_TO_MAKE, and_(PDFS_TO_MAKE.c.tenant_id == INVOICES.c.tenant_id, PDFS_TO_MAKE.c.invoice == INVOICES.c.invoice))
    .where(PDFS_TO_MAKE.c.invoice != all_(bindparam("skip", type_=ARRAY(Text))))
    .order_by(PDFS_TO_MAKE.c.place)
    .limit(1)
    .with_for_update(of=PDFS_TO_MAKE, skip_locked=True)
)
_MADE_OF = INVOICES.outerjoin(
    INVOICE_PDFS, and_(INVOICE_PDFS.c.tenant_id == INVOICES.c.tenant_id, INVOICE_PDFS.c.invoice == INVOICES.c.invoice)
)
_OWN = and_(INVOICES.c.tenant_id == bindparam("tenant"), INVOICES.c.invoice == bindparam("invoice"))
_FIND = select(*columns_of(Pdf, INVOICES, INVOICE_PDFS)).select_from(_MADE_OF).where(_OWN)
_FIND_XML = select(*columns_of(Xml, INVOICES, INVOICE_PDFS)).select_from(_MADE_OF).where(_OWN)
_ADD = insert(INVOICE_PDFS)
_MADE = delete(PDFS_TO_MAKE).where(PDFS_TO_MAKE.c.tenant_id == bindparam("tenant"), PDFS_TO_MAKE.c.invoice == bindparam("invoice"))


async def next_unrendered(connection: AsyncConnection, skip: Collection[str]) -> Unrendered | None:
    """Return an invoice of any tenant that has no PDF yet. Its lock, held to the commit, keeps two processes from making the same PDF."""
    return await one(connection, _NEXT_UNRENDERED, Unrendered, skip=list(skip))


async def find(connection: AsyncConnection, tenant_id: str, invoice_id: str) -> Pdf | None:
    return await one(connection, _FIND, Pdf, tenant=tenant_id, invoice=invoice_id)


async def find_xml(connection: AsyncConnection, tenant_id: str, invoice_id: str) -> Xml | None:
    return await one(connection, _FIND_XML, Xml, tenant=tenant_id, invoice=invoice_id)


async def add(connection: AsyncConnection, tenant_id: str, invoice: str, made: Made) -> None:
    await connection.execute(_ADD, {"tenant_id": tenant_id, "invoice": invoice} | asdict(made))
    await connection.execute(_MADE, {"tenant": tenant_id, "invoice": invoice})
