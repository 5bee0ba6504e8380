"""How a tenant is taxed: as the vendor's operator set it, else with the vendor's standard rate."""

from decimal import Decimal
from typing import NamedTuple

from services.invoicing.domain.money import Tax

STANDARD = "S"  # category of UNCL5305


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


def wrong_tax(tax: Tax, vat_id: str | None) -> Wrong | None:
    """What does not fit together."""
    zero = Decimal(tax.rate_percent) == 0
    if tax.category == STANDARD and zero:
        return Wrong("tax_rate_percent", tax.rate_percent, "more than 0 with tax_category S (a zero rate is category Z)")
    if tax.category != STANDARD and not zero:
        return Wrong("tax_rate_percent", tax.rate_percent, f"0 with tax_category {tax.category}")
    if tax.category == "AE" and not vat_id:
        return Wrong("vat_id", vat_id, "the customer's VAT ID, because the tax category is AE (the customer accounts for the VAT under it)")
    return None
