"""Invoices and credit notes: what is open, what comes next, one document with its payments, and its files (T11, M14)."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.rest.services import url_part
from shared.schemas.rights import ACCOUNT_READ

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/invoices", include_in_schema=False)

Reading = Annotated[Page, Depends(needs(ACCOUNT_READ))]
Chosen = Annotated[str, Query(max_length=2000)]
SHOWN: Final = 25
STATES: Final = ("open", "overdue", "paid")


@router.get("")
async def show_invoices(page: Reading, state: Chosen = "", cursor: Chosen = "") -> Response:
    """Show the documents, newest first, with the balance and the next invoice."""
    state = state if state in STATES else ""
    invoices, balance, upcoming, modules = await page.together(
        page.get("invoicing", "invoices", order="newest_first", state=state, cursor=cursor, limit=SHOWN),
        page.get("invoicing", "balance"),
        page.get("invoicing", "invoices/upcoming"),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    return page.render(
        "invoices.html",
        invoices=invoices.need(),
        balance=balance,
        upcoming=upcoming,
        next_lines=in_order(upcoming.value["lines"], modules) if upcoming.ok else [],
        names=module_names(modules),
        state=state,
        cursor=cursor,
    )


@router.get("/{invoice}")
async def show_invoice(page: Reading, invoice: str) -> Response:
    """Show one document with its lines, payments, and the documents that it has to do with."""
    found, payments, modules, details = await page.together(
        page.get("invoicing", f"invoices/{url_part(invoice)}"),
        page.get("invoicing", "payments", invoice=invoice),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
        page.get("invoicing", "billing-details"),
    )
    return page.render("invoice.html", invoice=found.need(), payments=payments, names=module_names(modules), details=details)


@router.get("/{invoice}/pdf")
async def download_pdf(page: Reading, invoice: str) -> Response:
    """Return the PDF. The console passes it on, so that the browser needs no token."""
    return await page.download("invoicing", f"invoices/{url_part(invoice)}/pdf")


@router.get("/{invoice}/xml")
async def download_xml(page: Reading, invoice: str) -> Response:
    """Return the XML of the document."""
    return await page.download("invoicing", f"invoices/{url_part(invoice)}/xml")
