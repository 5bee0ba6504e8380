"""The invoices of a tenant, and the charges on them."""

import hashlib
import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response

from services.invoicing import store
from services.invoicing.api.dependencies import IdPath, TenantId, Wired, today_of
from services.invoicing.api.responses.invoices import ChargeView, InvoiceView, RelatedView, UpcomingInvoiceView
from services.invoicing.domain.calendar import local_day
from services.invoicing.use_cases.balance import REMINDER
from services.invoicing.use_cases.upcoming import upcoming_invoice
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import NotFound, Transient
from shared.web import Cursor, Limit, Page, access, decode_cursor, encode_cursor, refusals
from shared.web.prefer import wait_for
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

PDF_WAIT_SECONDS = 5
XML_RESPONSE: dict[int | str, Any] = {200: {"content": {"application/xml": {}}, "description": "As it was issued."}}
PDF_RESPONSE: dict[int | str, Any] = {200: {"content": {"application/pdf": {}}, "description": "As it was issued."}}

State = Annotated[
    Literal["open", "part_paid", "paid", "overdue"] | None,
    Query(description="Only documents that are open (nothing is paid), part_paid, paid or overdue."),
]

IfEnded = Annotated[bool, Query(description="The last document instead, if somebody ends the subscription now (`POST …/ending`).")]
Order = Annotated[Literal["oldest_first", "newest_first"], Query(description="The order of their issue.")]

router = APIRouter(
    route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["invoices"], dependencies=[Depends(access("account:read"))]
)


@router.get("/invoices", summary="List the invoices and credit notes, oldest first")
async def list_invoices(
    wiring: Wired,
    tenant: TenantId,
    state: State = None,
    order: Order = "oldest_first",
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[InvoiceView]:
    (place,) = decode_cursor(cursor, int) or (0 if order == "oldest_first" else store.quotes.LAST,)
    listed = store.receivables.page if order == "oldest_first" else store.receivables.newest
    async with wiring.database.unit_of_work(tenant) as uow:
        today = await today_of(uow, tenant, wiring.clock)
        found = await listed(uow.connection, tenant, place, limit, state, today)
        sums = await store.receivables.set_off_sums(uow.connection, tenant, [each.invoice for each in found])
    items = [InvoiceView.of(tenant, each, today, sums.get(each.invoice, 0)) for each in found]
    return Page(items=items, next=encode_cursor(found[-1].place) if len(found) == limit else None)


@router.get("/invoices/upcoming", summary="Get the next invoice as it would be today", responses=refusals(409))
async def get_upcoming(wiring: Wired, tenant: TenantId, if_ended: IfEnded = False) -> UpcomingInvoiceView:
    """The renewal's invoice if nothing else changes: a line for each module, and what has changed since the last invoice as adjustments
    (M14). Known leavers and the policies `block` and `terminate_reduces_pool` count. Nothing is issued by this request."""
    return UpcomingInvoiceView.of(*await upcoming_invoice(wiring.database, wiring.seats, tenant, if_ended=if_ended))


async def invoice_view(uow: UnitOfWork, tenant: str, invoice: str, clock: Clock) -> InvoiceView:
    """Return a document with what it has to do with. Raises NotFound."""
    found = await store.receivables.listed(uow.connection, tenant, invoice)
    if found is None:
        raise NotFound("invoice")
    today, about = await today_of(uow, tenant, clock), await store.tenants.find(uow.connection, tenant)
    sums = await store.receivables.set_off_sums(uow.connection, tenant, [invoice])
    reminder = await store.due_actions.find(uow.connection, tenant, REMINDER, invoice) if found.open_minor else None
    day = local_day(reminder.due_at, about.time_zone) if reminder is not None and about is not None and about.time_zone else None
    related = [RelatedView.of(each) for each in await store.receivables.related(uow.connection, tenant, found)]
    shown = InvoiceView.of(tenant, found, today, sums.get(invoice, 0))
    return shown.model_copy(update={"next_reminder_on": day, "related": related})


@router.get("/invoices/{invoice}", summary="Get the data of an invoice")
async def get_invoice(wiring: Wired, tenant: TenantId, invoice: IdPath) -> InvoiceView:
    async with wiring.database.unit_of_work(tenant) as uow:
        return await invoice_view(uow, tenant, invoice, wiring.clock)


@router.get("/invoices/{invoice}/pdf", summary="Get an invoice as PDF/A", response_class=Response, responses=PDF_RESPONSE)
async def get_pdf(wiring: Wired, tenant: TenantId, invoice: IdPath) -> Response:
    """The PDF is created soon after the invoice is issued, and never changes. If the XML is a file of its own, a `Link` header names it."""

    async def look() -> store.pdfs.Pdf | None:
        async with wiring.database.unit_of_work(tenant) as uow:
            found = await store.pdfs.find(uow.connection, tenant, invoice)
        if found is None:
            raise NotFound("invoice")
        return found if found.pdf is not None else None

    found = await wait_for(wiring.clock, PDF_WAIT_SECONDS, look)
    if found is None:
        raise Transient("the PDF is not made yet")
    headers = {"content-disposition": f'inline; filename="{_file_name(found.number)}.pdf"', "etag": f'"{found.sha256}"'}
    if found.xml_apart:
        headers["link"] = f'</v1/tenants/{tenant}/invoices/{invoice}/xml>; rel="alternate"; type="application/xml"'
    return Response(found.pdf, media_type="application/pdf", headers=headers)


@router.get("/invoices/{invoice}/xml", summary="Get an invoice as XML", response_class=Response, responses=XML_RESPONSE)
async def get_xml(wiring: Wired, tenant: TenantId, invoice: IdPath) -> Response:
    """The XML is CII or UBL, as the format of the billing details says. Factur-X also has it in the PDF.

    A document that EN 16931 cannot express (a currency with more than two decimal places) has no XML; its PDF says so.
    """

    async def look() -> store.pdfs.Xml | None:
        async with wiring.database.unit_of_work(tenant) as uow:
            found = await store.pdfs.find_xml(uow.connection, tenant, invoice)
        if found is None:
            raise NotFound("invoice")
        return found if found.sha256 is not None else None

    found = await wait_for(wiring.clock, PDF_WAIT_SECONDS, look)
    if found is None:
        raise Transient("the XML is not made yet")
    if found.xml is None:
        raise NotFound("XML of this invoice")
    sha256 = hashlib.sha256(found.xml).hexdigest()
    headers = {"content-disposition": f'attachment; filename="{_file_name(found.number)}.xml"', "etag": f'"{sha256}"'}
    return Response(found.xml, media_type="application/xml", headers=headers)


def _file_name(number: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", number)


@router.get("/charges", summary="List the charges, oldest first")
async def list_charges(wiring: Wired, tenant: TenantId, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Page[ChargeView]:
    (after,) = decode_cursor(cursor, int) or (0,)
    async with wiring.database.unit_of_work(tenant) as uow:
        await store.tenants.check(uow.connection, tenant)
        found = await store.charges.page(uow.connection, tenant, after, limit)
    items = [ChargeView.of(charge.event, tuple(charge.invoices)) for charge in found]
    return Page(items=items, next=encode_cursor(found[-1].place) if len(found) == limit else None)
