"""Billing details: whom the vendor invoices, in which format, and with which tax."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages.forms import Form
from services.console.pages.page import Page, needs
from services.console.pages.route import PageRoute
from services.console.rendering import languages
from services.console.rest.problems import Refusal
from shared.schemas.rights import ACCOUNT_BUY
from shared.translations import N_

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/settings/billing", include_in_schema=False)

Buying = Annotated[Page, Depends(needs(ACCOUNT_BUY))]
TEXTS: Final = (
    "company", "street", "postcode", "city", "country", "vat_id", "organisation_number", "email", "document_format", "buyer_reference",
    "purchase_order", "electronic_address",
)  # fmt: skip
MAY_BE_NULL: Final = ("vat_id", "organisation_number")
NEEDED: Final = ("company", "street", "city", "country", "email")
FORMATS: Final = {
    "factur_x": N_("PDF with an electronic invoice in it (Factur-X, ZUGFeRD)"),
    "xrechnung_cii": N_("XRechnung (CII), with a PDF to read"),
    "xrechnung_ubl": N_("XRechnung (UBL), with a PDF to read"),
    "peppol_bis": N_("Peppol BIS Billing, with a PDF to read"),
}


def _shown(page: Page, form: Form, status: int = 200) -> Response:
    return page.render(
        "settings_billing.html",
        status,
        form=form,
        countries=languages.names_of_countries(page.language),
        document_formats=[(code, page.gettext(text)) for code, text in FORMATS.items()],
    )


@router.get("")
async def ask_details(page: Buying) -> Response:
    """Ask for the billing details."""
    part = await page.get("invoicing", "billing-details")
    if part.missing:
        return _shown(page, Form.of(document_format="factur_x", copy_to_administrators="yes"))
    found = part.need()
    known = {name: found[name] for name in TEXTS} | {"copy_to_administrators": "yes" if found["copy_to_administrators"] else None}
    return _shown(page, Form.of(**known))


@router.post("")
async def change_details(page: Buying) -> Response:
    """Change the billing details. What invoicing does not accept stands beside its field."""
    form = page.form
    for name in NEEDED:
        form.text(name, page.gettext("Enter a value."), most=500)
    body: dict[str, Any] = {name: form[name] or (None if name in MAY_BE_NULL else "") for name in TEXTS}
    body["copy_to_administrators"] = form["copy_to_administrators"] == "yes"
    if form.ok:
        try:
            await page.send("PUT", "invoicing", "billing-details", body)
        except Refusal as refusal:
            form.refuse(refusal.problem)
    if not form.ok:
        return _shown(page, form, 422)
    return page.redirect(page.url("settings#billing"), page.gettext("The billing details were changed. They hold for the next document."))
