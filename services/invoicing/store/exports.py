"""The documents of a range of days, for the export, page by page."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy import Date, Integer, LargeBinary, Text, and_, any_, bindparam, cast, func, literal_column, null, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.documents.export import Exported
from services.invoicing.store.billing_details import BILLING_DETAILS
from services.invoicing.store.invoices import INVOICES
from services.invoicing.store.pdfs import INVOICE_PDFS
from services.invoicing.store.receivables import RECEIVABLES
from shared.database.row_classes import many
from shared.schemas.invoicing_v1 import InvoiceIssued


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """A document as it is exported. `corrects` has the numbers of the documents that it corrects."""

    tenant_id: str
    invoice: str
    issued_on: date
    payload: str
    open_minor: int
    company: str
    vat_id: str | None
    corrects: list[str]
    pdf: bytes | None
    xml: bytes | None

    @property
    def exported(self) -> Exported:
        event = InvoiceIssued.model_validate_json(self.payload)
        return Exported(self.tenant_id, self.company, self.vat_id, event, self.open_minor, tuple(self.corrects), self.pdf, self.xml)


_R, _I, _B, _P = RECEIVABLES.c, INVOICES.c, BILLING_DETAILS.c, INVOICE_PDFS.c
_TENANT = bindparam("tenant", type_=Text)  # None: of all tenants, without test documents
_CORRECTED = RECEIVABLES.alias("corrected")
_NUMBERS = func.array(
    select(_CORRECTED.c.number)
    .where(_CORRECTED.c.tenant_id == _R.tenant_id, _CORRECTED.c.invoice == any_(_R.corrects))
    .order_by(_CORRECTED.c.issued_on, _CORRECTED.c.number)
    .scalar_subquery()
)
_DETAILS = literal_column("(invoices.payload::jsonb ->> 'billing_details')", Text)
_SERIES_OF_TESTS = literal_column("invoices.series").like(literal_column("'test%'"))
_WHICH = and_(
    _R.issued_on >= bindparam("first", type_=Date),
    _R.issued_on <= bindparam("last", type_=Date),
    (_R.tenant_id == _TENANT) | (_TENANT.is_(None) & ~_SERIES_OF_TESTS),
)
_JOINED = RECEIVABLES.join(INVOICES, and_(_I.tenant_id == _R.tenant_id, _I.invoice == _R.invoice)).join(
    BILLING_DETAILS, and_(_B.tenant_id == _R.tenant_id, _B.version == _DETAILS)
)
_HEAD = (_R.tenant_id, _R.invoice, _R.issued_on, _I.payload, _R.open_minor, _B.company, _B.vat_id, _NUMBERS)
_PLACE = func.row(_R.issued_on, _R.tenant_id, _R.invoice)
_AFTER = func.row(*(bindparam(name, type_=type_) for name, type_ in (("after_day", Date), ("after_tenant", Text), ("after_invoice", Text))))
_TABLE = (
    select(*_HEAD, cast(null(), LargeBinary), cast(null(), LargeBinary))
    .select_from(_JOINED)
    .where(_WHICH, _PLACE > _AFTER)
    .order_by(_R.issued_on, _R.tenant_id, _R.invoice)
    .limit(bindparam("limit", type_=Integer))
)
_FILES = (
    select(*_HEAD, _P.pdf, _P.xml)
    .select_from(_JOINED.outerjoin(INVOICE_PDFS, and_(_P.tenant_id == _R.tenant_id, _P.invoice == _R.invoice)))
    .where(_WHICH, _PLACE > _AFTER)
    .order_by(_R.issued_on, _R.tenant_id, _R.invoice)
    .limit(bindparam("limit", type_=Integer))
)
_COUNTED = (
    select(_R.currency, func.count())
    .select_from(RECEIVABLES.join(INVOICES, and_(_I.tenant_id == _R.tenant_id, _I.invoice == _R.invoice)))
    .where(_WHICH)
    .group_by(_R.currency)
    .order_by(_R.currency)
)


async def count(connection: AsyncConnection, tenant_id: str | None, first: date, last: date) -> dict[str, int]:
    """Return the number of documents for each currency."""
    found = await connection.execute(_COUNTED, {"tenant": tenant_id, "first": first, "last": last})
    return {currency: int(number) for currency, number in found}


async def page(
    connection: AsyncConnection, tenant_id: str | None, first: date, last: date, after: ExportedRow | None, limit: int, *, files: bool
) -> list[ExportedRow]:
    """Return documents by day of issue, tenant and id. `files`: with PDF and XML."""
    place = (after.issued_on, after.tenant_id, after.invoice) if after else (first, "", "")
    values = dict(zip(("after_day", "after_tenant", "after_invoice"), place, strict=True))
    statement = _FILES if files else _TABLE
    return await many(connection, statement, ExportedRow, tenant=tenant_id, first=first, last=last, limit=limit, **values)
