"""Billing details: whom the vendor invoices, in which format, and with which tax."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages.forms import Form
from services.console.pages.page import Page, needs
from services.console.pages.route import PageRoute
from services.console.rendering import languages
from services.console.rendering.field_texts import label_of
from services.console.rest.problems import Refusal
from services.console.rest.services import Part
from shared.schemas.rights import ACCOUNT_BUY
from shared.translations import N_

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/settings/billing", include_in_schema=False)

Buying = Annotated[Page, Depends(needs(ACCOUNT_BUY))]
TEXTS: Final = (
    "company", "street", "postcode", "city", "country", "vat_id", "organisation_number", "email", "document_format", "buyer_reference",
    "purchase_order", "electronic_address",
)  # fmt: skip
COPY: Final = "copy_to_administrators"
MAY_BE_NULL: Final = ("vat_id", "organisation_number")
NO_ETAG: Final = '"0"'  # of details that do not exist yet
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


async def _details(page: Page) -> Part:
    """Return the present details; missing if there are none yet."""
    part = await page.get("invoicing", "billing-details")
    return part if part.missing else part.needed()


def _form(part: Part) -> Form:
    values: Mapping[str, Any] = (
        {"document_format": "factur_x", COPY: True} if part.missing else {name: part.value[name] for name in (*TEXTS, COPY)}
    )
    return Form.of(**{**values, COPY: "yes" if values[COPY] else None}, etag=part.etag or NO_ETAG)


def present(page: Page, known: Mapping[str, Any] | None) -> dict[str, tuple[str, str]]:
    """Return the label and the present value of each field."""
    found = known or {}
    texts = {name: str(found.get(name) or "–") for name in TEXTS}
    texts["country"] = dict(languages.names_of_countries(page.language)).get(texts["country"], texts["country"])
    texts["document_format"] = page.word(FORMATS, texts["document_format"])
    texts[COPY] = page.gettext("yes") if found.get(COPY) else page.gettext("no")
    return {name: (label_of(name, page.gettext), text) for name, text in texts.items()}


@router.get("")
async def ask_details(page: Buying) -> Response:
    """Ask for the billing details."""
    return _shown(page, _form(await _details(page)))


@router.post("")
async def change_details(page: Buying) -> Response:
    """Change the billing details, if nobody else has changed them since they were shown. What invoicing does not accept stands beside its
    field."""
    form = page.form
    for name in NEEDED:
        form.text(name, page.gettext("Enter a value."), most=500)
    body: dict[str, Any] = {name: form[name] or (None if name in MAY_BE_NULL else "") for name in TEXTS}
    body[COPY] = form[COPY] == "yes"
    if form.ok:
        try:
            await page.send("PUT", "invoicing", "billing-details", body, etag=form["etag"] or NO_ETAG)
        except Refusal as refusal:
            form.refuse(refusal.problem)
            if refusal.problem.is_stale:
                part = await _details(page)
                form.go_on_from(_form(part), "etag", present(page, part.value))
    if not form.ok:
        return _shown(page, form, 422)
    return page.redirect(
        page.url("settings#billing"), page.gettext("The billing details were changed. They apply from the next document on.")
    )
