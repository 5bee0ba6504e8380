"""How a tenant is taxed: as the vendor's operator set it, else with the vendor's standard rate."""

from decimal import Decimal
from typing import Final, NamedTuple

from services.invoicing.domain.money import Tax

STANDARD: Final = "S"  # categories of UNCL5305
REVERSE_CHARGE: Final = "AE"
OUTSIDE: Final = "O"


class Wrong(NamedTuple):
    field: str
    value: str | None
    expected: str


def tax_in_force(category: str | None, rate_percent: str | None, before: Tax | None, standard_rate_percent: str) -> Tax:
    """What is not given stays as it was; a tenant that had none gets the standard rate, a category other than S the rate 0."""
    category = category or (before.category if before else STANDARD)
    if rate_percent is None:
        if before is not None and before.category == category:
            rate_percent = before.rate_percent
        else:
            rate_percent = standard_rate_percent if category == STANDARD else "0"
    return Tax(category, rate_percent)


# Member states of the European Union (Article 52 of the Treaty on European Union), as ISO 3166-1. Northern Ireland (XI) belongs to it for
# goods, but not for services, which this product sells.
EU_COUNTRIES: Final = frozenset(
    (
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL",
        "PT", "RO", "SE", "SI", "SK",
    )
)  # fmt: skip


def wrong_tax(tax: Tax, vat_id: str | None, country: str, seller_vat_id: str | None) -> Wrong | None:
    """Return what does not fit together; None if all does."""
    zero = Decimal(tax.rate_percent) == 0
    if tax.category == STANDARD and zero:
        return Wrong("tax_rate_percent", tax.rate_percent, "more than 0 with tax_category S (a zero rate is category Z)")
    if tax.category != STANDARD and not zero:
        return Wrong("tax_rate_percent", tax.rate_percent, f"0 with tax_category {tax.category}")
    if tax.category in (STANDARD, REVERSE_CHARGE) and not seller_vat_id:
        return Wrong("tax_category", tax.category, "a category other than S and AE: the vendor has set no VAT ID (SEATPOOL_SELLER_VAT_ID)")
    if tax.category == REVERSE_CHARGE and country not in EU_COUNTRIES:
        return Wrong("tax_category", tax.category, f"O, because {country} is outside the EU for services and there is no reverse charge")
    if tax.category == REVERSE_CHARGE and not vat_id:
        return Wrong("vat_id", vat_id, "the customer's VAT ID, because the tax category is AE (the customer accounts for the VAT under it)")
    return None
