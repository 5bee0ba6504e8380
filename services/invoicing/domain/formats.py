"""The formats in which a tenant gets its documents, what each of them requires, and which amounts they can express."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from services.invoicing.domain.tax import OUTSIDE, STANDARD, Wrong


class Format(StrEnum):
    """The first has the XML in the PDF; of the others, the XML is the invoice and the PDF is a copy to read."""

    FACTUR_X = "factur_x"
    XRECHNUNG_CII = "xrechnung_cii"
    XRECHNUNG_UBL = "xrechnung_ubl"
    PEPPOL_BIS = "peppol_bis"


XRECHNUNG: Final = frozenset((Format.XRECHNUNG_CII, Format.XRECHNUNG_UBL))
NOT_OF_PEPPOL: Final = frozenset(
    (
        "0037", "0147", "0154", "0158", "0170", "0177", "0193", "0194", "0202", "0203", "0205", "0212", "0213", "0215", "0217", "0219",
        "0220", "AN", "AQ", "AS", "AU", "EM",
    )
)  # fmt: skip
DECIMALS_MAX: Final = 2  # EN 16931 has no amounts with more

# Field of the seller → its setting. XRechnung: BR-DE-2 to BR-DE-7 and BR-DE-23; a German seller and buyer need the same by Peppol (DE-R-*).
_ADDRESS: Final = {"electronic_address": "SEATPOOL_SELLER_ELECTRONIC_ADDRESS"}
_XRECHNUNG_SELLER: Final = _ADDRESS | {
    "postcode": "SEATPOOL_SELLER_POSTCODE",
    "contact": "SEATPOOL_SELLER_CONTACT",
    "telephone": "SEATPOOL_SELLER_TELEPHONE",
    "iban": "SEATPOOL_SELLER_IBAN",
}
_NUMBER: Final = {"organisation_number": "SEATPOOL_SELLER_REGISTRATION_NUMBER"}
_UNNAMED: Final = "another category: documents must name the vendor by a number, and the vendor has set neither {}"
# Field of the billing details → what it is.
_XRECHNUNG_BUYER: Final = {
    "buyer_reference": "the buyer reference (in Germany the Leitweg-ID)",
    "postcode": "the postcode",
    "electronic_address": "the electronic address",
}


def has_german_rules(document_format: Format, seller_country: str, buyer_country: str) -> bool:
    return document_format in XRECHNUNG or (document_format == Format.PEPPOL_BIS and seller_country == buyer_country == "DE")


def wrong_format(
    document_format: str, category: str, *, seller: Mapping[str, object], buyer: Mapping[str, object], countries: tuple[str, str]
) -> Wrong | None:
    """Return what the format or the tax category requires and nobody has given; None if nothing is missing.

    `countries` are those of the seller and the buyer. What the vendor has not set is named with its setting.
    """
    chosen, of_seller = Format(document_format), dict[str, str]()
    german = has_german_rules(chosen, *countries)
    if german:
        of_seller |= _XRECHNUNG_SELLER
    elif chosen == Format.PEPPOL_BIS:
        of_seller |= _ADDRESS | (_NUMBER if countries[0] in ("DK", "NL", "NO", "SE") else {})
    if chosen == Format.PEPPOL_BIS and (wrong := _not_of_peppol(seller, buyer)) is not None:
        return wrong
    missing = [setting for field, setting in of_seller.items() if not seller.get(field)]
    if missing:
        return Wrong("document_format", document_format, f"another format: the vendor has not set {', '.join(missing)}, which it requires")
    if category not in (STANDARD, OUTSIDE) and not (seller.get("vat_id") or seller.get("tax_number")):
        return Wrong("tax_category", category, _UNNAMED.format("SEATPOOL_SELLER_VAT_ID nor SEATPOOL_SELLER_TAX_NUMBER"))
    if category == OUTSIDE and not any(seller.get(field) for field in ("vat_id", "organisation_number")):
        return Wrong("tax_category", category, _UNNAMED.format("SEATPOOL_SELLER_VAT_ID nor SEATPOOL_SELLER_REGISTRATION_NUMBER"))
    if german:
        for field, meaning in _XRECHNUNG_BUYER.items():
            if not buyer.get(field):
                return Wrong(field, None, f"{meaning}, because the format {document_format} requires it")
    elif chosen == Format.PEPPOL_BIS:
        if not buyer.get("electronic_address"):
            return Wrong("electronic_address", None, f"the electronic address, because the format {document_format} requires it")
        if not buyer.get("buyer_reference") and not buyer.get("purchase_order"):
            either = "a buyer reference or a purchase order number"
            return Wrong("buyer_reference", None, f"{either}, because the format {document_format} requires one of them")
    return None


def _not_of_peppol(seller: Mapping[str, object], buyer: Mapping[str, object]) -> Wrong | None:
    """Return the electronic address whose scheme is on the list of EN 16931, but not on that of Peppol."""
    expected = "an address with a scheme of Peppol, such as 0088 (GLN) or the register of the country, because the format is peppol_bis"
    if str(buyer.get("electronic_address") or "").partition(":")[0] in NOT_OF_PEPPOL:
        return Wrong("electronic_address", str(buyer["electronic_address"]), expected)
    if str(seller.get("electronic_address") or "").partition(":")[0] in NOT_OF_PEPPOL:
        return Wrong("document_format", Format.PEPPOL_BIS, "another format: SEATPOOL_SELLER_ELECTRONIC_ADDRESS has no scheme of Peppol")
    return None


def has_xml(decimals: int) -> bool:
    """Return whether EN 16931 can express the amounts of a currency with so many decimals; if not, a document is a PDF only."""
    return decimals <= DECIMALS_MAX
