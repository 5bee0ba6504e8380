"""The texts of an invoice in the customer's language. They are saved with the invoice, and the PDF is rendered from them
alone: a later change of the seller's address, a module's name or a translation does not change an issued invoice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from services.invoicing.documents.translations import CREDIT_NOTE_TEXTS, TEXTS
from services.invoicing.domain.account import CREDIT_NOTE
from shared.countries import NORTHERN_IRELAND
from shared.money import format_amount, format_count, format_day, format_number, format_percent, format_short_day, locale_of
from shared.schemas.invoicing_v1 import ChargeBooked, InvoiceIssued, InvoiceLine


@dataclass(frozen=True, slots=True)
class Party:
    """The seller or the buyer. `country` is ISO 3166-1 alpha-2 or XI."""

    name: str
    street: str
    postcode: str
    city: str
    country: str
    vat_id: str | None = None
    organisation_number: str | None = None  # in the register of its country
    email: str = ""
    account: str = ""  # for payments
    registration: str = ""  # register, managers: what else the seller has to name

    def address(self, locale: str) -> list[str]:
        code = "GB" if self.country == NORTHERN_IRELAND else self.country
        country = locale_of(locale).territories.get(code, code)
        return [line for line in (self.street, f"{self.postcode} {self.city}".strip(), str(country)) if line]


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
            "amount": self.number(line.net_minor),
        }

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
    corrected: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the JSON for the template.

    `modules` has the names by id, `charges` those that the invoice's lines name, `corrected` the numbers of the invoices that it corrects.
    """
    language = locale_of(locale).language
    language, locale = (language, locale) if language in TEXTS else ("en", "en")
    texts = TEXTS[language]
    if invoice.kind == CREDIT_NOTE:
        texts = texts | {name: texts[instead] for name, instead in CREDIT_NOTE_TEXTS.items()}
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
        "facts": _facts(writer, corrected),
        "notice": texts["test"] if invoice.test else "",
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
        "tax_notes": _notes(texts, categories, corrected),
        "totals": {
            "net": writer.amount(invoice.net_minor),
            "tax": writer.amount(invoice.tax_minor),
            "gross": writer.amount(invoice.gross_minor),
        },
        "payment": _payment(writer, seller),
        "issued_on": invoice.issued_on.isoformat(),
    }


def _contact(seller: Party, texts: Mapping[str, str]) -> list[str]:
    return [seller.email, f"{texts['vat_id']}: {seller.vat_id}" if seller.vat_id else "", seller.registration]


def _numbers(buyer: Party, texts: Mapping[str, str]) -> list[str]:
    numbers = (("vat_id", buyer.vat_id), ("organisation_number", buyer.organisation_number))
    return [f"{texts[name]}: {number}" for name, number in numbers if number]


def _notes(texts: Mapping[str, str], categories: Sequence[str], corrected: Sequence[str]) -> list[str]:
    notes = [texts[f"note_{category}"] for category in categories if f"note_{category}" in texts]
    return [texts["corrects"].format(numbers=", ".join(corrected)), *notes] if corrected else notes


def _payment(writer: _Writer, seller: Party) -> list[str]:
    """Return the terms of payment. Nobody pays a credit note, nor an invoice that credits cover."""
    invoice, texts = writer.invoice, writer.texts
    gross, due = writer.amount(invoice.gross_minor), format_day(invoice.due_on, writer.locale)
    if invoice.kind == CREDIT_NOTE:
        return [texts["credit_terms"].format(gross=gross)]
    if invoice.gross_minor == 0:
        return [texts["settled"]]
    days = (invoice.due_on - invoice.issued_on).days
    terms = texts["payment_terms"].format(gross=gross, due=due, days=days, number=invoice.number)
    return [terms, texts["account"].format(account=seller.account)] if seller.account else [terms]


def _facts(writer: _Writer, corrected: Sequence[str]) -> list[tuple[str, str]]:
    invoice, texts = writer.invoice, writer.texts
    first, last = min(line.from_day for line in invoice.lines), max(line.to_day for line in invoice.lines)
    due = [(texts["due_on"], format_day(invoice.due_on, writer.locale))] if invoice.kind != CREDIT_NOTE and invoice.gross_minor else []
    return [
        (texts["number"], invoice.number),
        (texts["issued_on"], format_day(invoice.issued_on, writer.locale)),
        *due,
        (texts["supplied"], writer.days(first, last)),
    ]
