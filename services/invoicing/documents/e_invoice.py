"""A document in the terms of EN 16931: the values of its fields (BT-1, BT-2, …), from which factur-x writes CII and UBL.

They are saved with the document as JSON, so that a later change of the vendor's settings does not change an issued document.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from stdnum.be import vat as be_vat
from stdnum.dk import cvr
from stdnum.exceptions import InvalidFormat
from stdnum.exceptions import ValidationError as NumberError
from stdnum.fi import ytunnus
from stdnum.fr import siren, siret
from stdnum.no import orgnr as no_orgnr
from stdnum.se import orgnr as se_orgnr

from services.invoicing.documents.party import Party
from services.invoicing.domain.account import CREDIT_NOTE
from services.invoicing.domain.formats import XRECHNUNG, Format, has_german_rules
from services.invoicing.domain.invoices import Billed, billed
from services.invoicing.domain.tax import OUTSIDE, REVERSE_CHARGE
from services.invoicing.domain.tax_rates import EU_COUNTRIES
from shared.countries import NORTHERN_IRELAND
from shared.money import minor_units, to_decimal
from shared.schemas.invoicing_v1 import InvoiceIssued, InvoiceLine

INVOICE_CODE, CREDIT_NOTE_CODE = "380", "381"  # UNTDID 1001
CREDIT_TRANSFER, SEPA_CREDIT_TRANSFER, CLEARING = "30", "58", "97"  # UNTDID 4461
DISCOUNT = "95"  # UNTDID 5189
ONE = "C62"  # UN/ECE Recommendation 20
BUSINESS_PROCESS: Final = "urn:fdc:peppol.eu:2017:poacc:billing:01:1.0"
EXEMPTIONS: Final = {REVERSE_CHARGE: "VATEX-EU-AE", OUTSIDE: "VATEX-EU-O"}
DELIVERED_TO: Final = ("name", "addr_l1", "postcode", "city", "country_code")


def _kvk(number: str) -> str:
    """Check a number of the Dutch register, which python-stdnum does not know."""
    if not re.fullmatch(r"[0-9]{8}", number):
        raise InvalidFormat
    return number


# The register of a country in ISO 6523, and what checks and shortens its numbers. A number that is none of them has no scheme.
_REGISTERS: Final = {
    "BE": (("0208", be_vat.validate),),
    "DK": (("0184", cvr.validate),),
    "FI": (("0212", ytunnus.validate),),
    "FR": (("0009", siret.validate), ("0002", siren.validate)),
    "NL": (("0106", _kvk),),
    "NO": (("0192", no_orgnr.validate),),
    "SE": (("0007", se_orgnr.validate),),
}


def e_invoice(
    invoice: InvoiceIssued,
    document_format: Format,
    *,
    seller: Party,
    buyer: Party,
    shown: Mapping[str, Any],
    corrected: Sequence[tuple[str, date]],
) -> dict[str, Any]:
    """Return the fields. `shown` is the JSON of the PDF, since both have the same texts. `corrected`: numbers and dates of invoices."""
    decimals = minor_units(invoice.currency)

    def amount(minor: int) -> str:
        return f"{to_decimal(minor, invoice.currency):f}"

    is_credit = invoice.kind == CREDIT_NOTE
    outside = any(tax.category == OUTSIDE for tax in invoice.taxes)
    lines = zip(invoice.lines, shown["lines"], strict=True)
    first, last = min(line.from_day for line in invoice.lines), max(line.to_day for line in invoice.lines)
    data: dict[str, Any] = {
        "BT-1": invoice.number,
        "BT-2": invoice.issued_on.isoformat(),
        "BT-3": CREDIT_NOTE_CODE if is_credit else INVOICE_CODE,
        "BT-5": invoice.currency,
        "BT-10": buyer.buyer_reference,
        "BT-13": buyer.purchase_order,
        "BT-20": " ".join(shown["payment"]),
        "BT-23": None if document_format == Format.FACTUR_X else BUSINESS_PROCESS,
        "BT-73": first.isoformat(),
        "BT-74": (last - timedelta(days=1)).isoformat(),
        "BT-106": amount(invoice.net_minor),
        "BT-109": amount(invoice.net_minor),
        "BT-110": amount(invoice.tax_minor),
        "BT-112": amount(invoice.gross_minor),
        "BT-115": amount(invoice.gross_minor),
        "BG-1": [{"BT-22": " ".join(shown["notes"])}] if shown["notes"] else [],  # Peppol allows one note (R002)
        "BG-3": [{"BT-25": number, "BT-26": day.isoformat()} for number, day in corrected],
        "BG-4": _seller(seller, outside=outside),
        "BG-7": _party(buyer, outside=outside),
        "BG-13": {name: value for name, value in _party(buyer, outside=outside).items() if name in DELIVERED_TO},
        "BG-23": [
            {
                "BT-116": amount(tax.basis_minor),
                "BT-117": amount(tax.tax_minor),
                "BT-118": tax.category,
                # Only XRechnung asks for the rate of what is outside the scope of VAT (BR-DE-14).
                "BT-119": None if tax.category == OUTSIDE and document_format not in XRECHNUNG else tax.rate_percent,
                "BT-120": shown["exemptions"].get(tax.category),
                "BT-121": EXEMPTIONS.get(tax.category),
            }
            for tax in invoice.taxes
        ],
        "BG-25": [_line(number, line, text, decimals, amount) for number, (line, text) in enumerate(lines, 1)],
    }
    data |= _payment(invoice, seller, told=has_german_rules(document_format, seller.country, buyer.country))
    return {name: value for name, value in data.items() if value not in (None, "", [])}


def _line(number: int, line: InvoiceLine, text: Mapping[str, Any], decimals: int, amount: Callable[[int], str]) -> dict[str, Any]:
    found = billed(line, decimals)
    last = max(line.from_day, line.to_day - timedelta(days=1))
    described = [text["kind"], text["period"], text["share_text"], *text["details"]]
    fields = {
        "BT-126": str(number),
        "BT-129": str(found.quantity),
        "BT-130": ONE,
        "BT-131": amount(line.net_minor),
        "BT-134": line.from_day.isoformat(),
        "BT-135": last.isoformat(),
        "BT-146": f"{found.price:f}",
        "BT-151": line.tax_category,
        "BT-152": None if line.tax_category == OUTSIDE else line.tax_rate_percent,
        "BT-153": text["title"],
        "BT-154": "; ".join(filter(None, described)),
        "BT-155": line.module,
        "BG-27": _discount(found, text, amount),
    }
    return {name: value for name, value in fields.items() if value not in (None, "", [])}


def _discount(found: Billed, text: Mapping[str, Any], amount: Callable[[int], str]) -> list[dict[str, str]]:
    given = {"amount": amount(found.discount_minor), "reason_code": DISCOUNT, "reason": text["discount"]}
    return [given] if found.discount_minor else []


def _seller(seller: Party, *, outside: bool) -> dict[str, Any]:
    contact = {"name": seller.contact or seller.name, "phone": seller.telephone, "email": seller.email}
    fields = {
        "tax_identifier": None if outside else seller.tax_number,
        "legal_info": seller.registration,
        "contacts": [{name: value for name, value in contact.items() if value}],
    }
    return _party(seller, outside=outside) | {name: value for name, value in fields.items() if value}


def _party(party: Party, *, outside: bool) -> dict[str, Any]:
    scheme, number = register_number(party.organisation_number, party.country)
    address_scheme, _, address = party.electronic_address.partition(":")
    vat_id = prefixed_vat_id(party.vat_id, party.country) if party.vat_id else None
    fields = {
        "name": party.name,
        "addr_l1": party.street,
        "postcode": party.postcode,
        "city": party.city,
        "country_code": "GB" if party.country == NORTHERN_IRELAND else party.country,
        "legal_identifier": number,
        "legal_identifier_schemeid": scheme,
        # A document outside the scope of VAT must not name a VAT ID (BR-O-02); as a number that identifies the party it may.
        "vat_identifier": None if outside else vat_id,
        "identifiers": {"": vat_id} if outside and vat_id and not number else None,
        "einvoicing_addr": address,
        "einvoicing_addr_schemeid": address_scheme,
    }
    return {name: value for name, value in fields.items() if value}


def prefixed_vat_id(vat_id: str, country: str) -> str:
    """Return the VAT ID with the prefix of its country, which the standard asks for and not every country's own form has."""
    own = "EL" if country == "GR" else country
    prefixes = {own, NORTHERN_IRELAND, "EL", "CH", "GB", "NO"} | EU_COUNTRIES
    return vat_id if vat_id[:2].upper() in prefixes else own + vat_id


def register_number(number: str | None, country: str) -> tuple[str | None, str | None]:
    """Return the scheme of a company's number in its national register, if it is known, and the number as the scheme writes it."""
    if number is None:
        return None, None
    for scheme, rule in _REGISTERS.get(country, ()):
        try:
            compact = str(rule(number))
        except NumberError:
            continue
        return scheme, f"DK{compact}" if country == "DK" else compact
    return None, number


def _payment(invoice: InvoiceIssued, seller: Party, *, told: bool) -> dict[str, Any]:
    """Return how it is paid. What is not paid is cleared, which only the German rules want to be told (BR-DE-1, DE-R-001)."""
    if invoice.kind == CREDIT_NOTE or invoice.gross_minor == 0:
        return {"BT-81": CLEARING} if told else {}
    found: dict[str, Any] = {"BT-9": invoice.due_on.isoformat(), "BT-83": invoice.number}
    account = seller.iban or seller.account
    if account:
        # Denmark's rules for Peppol (DK-R-005) know 58 and not 30.
        sepa = bool(seller.iban) and (invoice.currency == "EUR" or seller.country == "DK")
        found |= {"BT-81": SEPA_CREDIT_TRANSFER if sepa else CREDIT_TRANSFER, "BT-84": account, "BT-85": seller.name}
        found |= {"BT-86": seller.bic} if seller.bic else {}
    return found
