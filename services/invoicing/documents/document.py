"""The texts of an invoice in the customer's language. They are saved with the invoice, and the PDF is rendered from them
alone: a later change of the seller's address, a module's name or a translation does not change an issued invoice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from operator import itemgetter
from typing import Any

from services.invoicing.documents.e_invoice import e_invoice
from services.invoicing.documents.party import Party
from services.invoicing.documents.payment_code import payment_code
from services.invoicing.documents.translations import CREDIT_NOTE_TEXTS, texts_in
from services.invoicing.domain.account import CREDIT_NOTE
from services.invoicing.domain.formats import Format, has_xml
from shared.money import (
    format_amount,
    format_count,
    format_day,
    format_number,
    format_percent,
    format_short_day,
    minor_units,
)
from shared.schemas.invoicing_v1 import ChargeBooked, InvoiceIssued, InvoiceLine

FORMAT_NAMES = {Format.XRECHNUNG_CII: "XRechnung", Format.XRECHNUNG_UBL: "XRechnung", Format.PEPPOL_BIS: "Peppol BIS Billing"}


@dataclass(frozen=True, slots=True)
class _Writer:
    invoice: InvoiceIssued
    locale: str
    texts: Mapping[str, str]
    modules: Mapping[str, str]
    charges: Mapping[str, ChargeBooked]

    def amount(self, minor: int) -> str:
        return format_amount(minor, self.invoice.currency, self.locale)

    def number(self, minor: int) -> str:
        return format_number(minor, self.invoice.currency, self.locale)

    def days(self, start: date, end: date) -> str:
        """Write a period with its last day; `end` is the day after it."""
        last = end - timedelta(days=1)
        first = format_short_day(start, self.locale)
        return first if last == start else f"{first} – {format_short_day(last, self.locale)}"

    def line(self, line: InvoiceLine) -> dict[str, Any]:
        several = line.days_of_period == 0
        return {
            "title": self.modules.get(line.module, line.module),
            "kind": self.texts[line.text_key],
            "period": self.days(line.from_day, line.to_day),
            "details": [self.change(self.charges[charge]) for charge in line.charges] if several else [],
            "quantity": format_count(line.quantity, self.locale),
            "unit_price": "" if several else self.number(line.unit_price_minor),
            "share": "" if several else self.texts["days_of"].format(days=line.days, whole=line.days_of_period),
            "share_text": "" if several or line.days == line.days_of_period else self.share_text(line),
            "discount": self.texts["discount"].format(amount=self.amount(line.discount_minor)) if line.discount_minor else "",
            "amount": self.number(line.net_minor),
        }

    def share_text(self, line: InvoiceLine) -> str:
        return self.texts["share_text"].format(
            days=self.texts["days_of"].format(days=line.days, whole=line.days_of_period), price=self.amount(line.unit_price_minor)
        )

    def change(self, charge: ChargeBooked) -> str:
        return self.texts["change"].format(
            quantity=format_count(charge.quantity, self.locale),
            day=format_short_day(charge.day, self.locale),
            days=self.texts["days_of"].format(days=charge.days, whole=charge.days_of_period),
            price=self.amount(charge.unit_price_minor),
            amount=self.amount(charge.net_minor),
        )


def document(
    invoice: InvoiceIssued,
    *,
    seller: Party,
    buyer: Party,
    locale: str,
    modules: Mapping[str, str],
    charges: Sequence[ChargeBooked],
    corrected: Sequence[tuple[str, date]] = (),
    document_format: Format = Format.FACTUR_X,
) -> dict[str, Any]:
    """Return the JSON for the template, and under `xml` the fields of the XML.

    `modules` has the names by id, `charges` those that the invoice's lines name, `corrected` the numbers and dates of the invoices that it
    corrects: they are shown by date, then by number.
    """
    corrected = sorted(corrected, key=itemgetter(1, 0))
    shown = _shown(invoice, seller, buyer, locale, modules, charges, corrected, document_format)
    if not has_xml(minor_units(invoice.currency)):
        return shown | {"xml": None}
    fields = e_invoice(invoice, document_format, seller=seller, buyer=buyer, shown=shown, corrected=corrected)
    return shown | {"xml": {"format": document_format, "fields": fields}}


def _shown(
    invoice: InvoiceIssued,
    seller: Party,
    buyer: Party,
    locale: str,
    modules: Mapping[str, str],
    charges: Sequence[ChargeBooked],
    corrected: Sequence[tuple[str, date]],
    document_format: Format,
) -> dict[str, Any]:
    language, locale, texts = texts_in(locale)
    if invoice.kind == CREDIT_NOTE:
        texts = {**texts, **{name: texts[instead] for name, instead in CREDIT_NOTE_TEXTS.items()}}
    writer = _Writer(invoice, locale, texts, modules, {charge.charge: charge for charge in charges})
    categories = list(dict.fromkeys(tax.category for tax in invoice.taxes))
    return {
        "language": language,
        "number": invoice.number,
        "texts": {**texts, "amount": texts["amount"].format(currency=invoice.currency)},
        "seller": {
            "name": seller.name,
            "address": seller.address(locale),
            "footer": [" · ".join(filter(None, (seller.name, *seller.address(locale)))), " · ".join(filter(None, _contact(seller, texts)))],
        },
        "buyer": {
            "name": buyer.name,
            "lines": [*buyer.address(locale), *_numbers(buyer, texts)],
        },
        "facts": _facts(writer, buyer),
        "notices": _notices(writer, document_format),
        "notes": [*([texts["test"]] if invoice.test else []), *_corrects(texts, corrected)],
        "exemptions": {category: texts[f"note_{category}"] for category in categories if f"note_{category}" in texts},
        "lines": [writer.line(line) for line in invoice.lines],
        "taxes": [
            {
                "kind": texts.get(tax.category, tax.category),
                "rate": format_percent(tax.rate_percent, locale),
                "basis": writer.number(tax.basis_minor),
                "amount": writer.number(tax.tax_minor),
            }
            for tax in invoice.taxes
        ],
        "tax_notes": [*_corrects(texts, corrected), *(texts[f"note_{name}"] for name in categories if f"note_{name}" in texts)],
        "totals": {
            "net": writer.amount(invoice.net_minor),
            "tax": writer.amount(invoice.tax_minor),
            "gross": writer.amount(invoice.gross_minor),
        },
        "payment": _payment(writer, seller),
        "payment_code": payment_code(invoice, seller),
        "issued_on": invoice.issued_on.isoformat(),
    }


def _contact(seller: Party, texts: Mapping[str, str]) -> list[str]:
    numbers = ((texts["vat_id"], seller.vat_id), (texts["organisation_number"], seller.organisation_number))
    return [seller.email, seller.telephone, *(f"{name}: {number}" for name, number in numbers if number), seller.registration]


def _numbers(buyer: Party, texts: Mapping[str, str]) -> list[str]:
    numbers = (("vat_id", buyer.vat_id), ("organisation_number", buyer.organisation_number))
    return [f"{texts[name]}: {number}" for name, number in numbers if number]


def _corrects(texts: Mapping[str, str], corrected: Sequence[tuple[str, date]]) -> list[str]:
    return [texts["corrects"].format(numbers=", ".join(number for number, _ in corrected))] if corrected else []


def _notices(writer: _Writer, document_format: Format) -> list[str]:
    """Return what the reader of the PDF must know before the lines: a rehearsal, and where the XML is or why there is none."""
    invoice, texts = writer.invoice, writer.texts
    found = [texts["test"]] if invoice.test else []
    if not has_xml(minor_units(invoice.currency)):
        found.append(texts["no_xml"])
    elif document_format != Format.FACTUR_X:
        found.append(texts["copy"].format(format=FORMAT_NAMES[document_format]))
    return found


def _payment(writer: _Writer, seller: Party) -> list[str]:
    """Return the terms of payment. Nobody pays a credit note, nor an invoice that credits cover."""
    invoice, texts = writer.invoice, writer.texts
    gross, due = writer.amount(invoice.gross_minor), format_day(invoice.due_on, writer.locale)
    if invoice.kind == CREDIT_NOTE:
        return [texts["test_credit_terms" if invoice.test else "credit_terms"].format(gross=gross)]
    if invoice.gross_minor == 0:
        return [texts["settled"]]
    if invoice.test:
        return [texts["test_terms"].format(gross=gross, due=due)]
    days = (invoice.due_on - invoice.issued_on).days
    terms = texts["payment_terms"].format(gross=gross, due=due, days=days, number=invoice.number)
    account = f"{seller.iban} (BIC {seller.bic})" if seller.iban and seller.bic else seller.iban or seller.account
    return [terms, texts["account"].format(account=account)] if account else [terms]


def _facts(writer: _Writer, buyer: Party) -> list[tuple[str, str]]:
    invoice, texts = writer.invoice, writer.texts
    first, last = min(line.from_day for line in invoice.lines), max(line.to_day for line in invoice.lines)
    due = [(texts["due_on"], format_day(invoice.due_on, writer.locale))] if invoice.kind != CREDIT_NOTE and invoice.gross_minor else []
    return [
        (texts["number"], invoice.number),
        (texts["issued_on"], format_day(invoice.issued_on, writer.locale)),
        *due,
        (texts["supplied"], writer.days(first, last)),
        *([(texts["buyer_reference"], buyer.buyer_reference)] if buyer.buyer_reference else []),
        *([(texts["purchase_order"], buyer.purchase_order)] if buyer.purchase_order else []),
    ]
