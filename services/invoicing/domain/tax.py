"""How a tenant is taxed: by the table of countries and dates, unless the vendor's operator has set it otherwise with a reason."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from services.invoicing.domain.money import Tax
from services.invoicing.domain.tax_rates import (
    EU_COUNTRIES,
    EXCLUDED_POSTCODES,
    RATES,
    TAXED_AT_HOME,
    TERRITORY_CODES,
    TREATED_AS,
    UNKNOWN_AT_HOME,
    standard_rate,
)
from shared.schemas.invoicing_v1 import BillingDetailsChanged

STANDARD: Final = "S"  # categories of UNCL5305
REVERSE_CHARGE: Final = "AE"
OUTSIDE: Final = "O"
ZERO: Final = "Z"
AUTOMATIC: Final = "auto"  # what an operator sets to return to the table
OPERATOR: Final = "operator"  # the rule of a tax that an operator has set


class Wrong(NamedTuple):
    field: str
    value: str | None
    expected: str


@dataclass(frozen=True, slots=True)
class Seller:
    """The facts about the vendor that decide about the tax. `oss`: it reports sales to other member states in the one-stop shop."""

    country: str
    oss: bool
    standard_rate_percent: str | None  # of a country that the table does not have


@dataclass(frozen=True, slots=True)
class Treatment:
    """How a supply is taxed: a fixed rate, or the standard rate of a country on the day of the supply."""

    category: str
    rule: str
    rate_country: str | None = None
    fixed_rate_percent: str = "0"

    def rate_percent(self, day: date) -> str:
        return self.fixed_rate_percent if self.rate_country is None else standard_rate(self.rate_country, day)


def treatment(seller: Seller, country: str, postcode: str, vat_id: str | None) -> Treatment | None:
    """Return how a service to this buyer is taxed; None: the operator has to decide.

    Sources: Directive 2006/112/EC Article 44 and 196 (businesses in the EU), 58 and 369a (buyers without a VAT ID), 6 and 7 (territories);
    Norway: merverdiavgiftsloven § 6-22 (sales abroad have the rate zero); Switzerland: MWSTG Art. 8; United Kingdom: VAT Act 1994 s. 7A.
    """
    home, buyer = TREATED_AS.get(seller.country, seller.country), TREATED_AS.get(country, country)
    territory = _excluded_territory(buyer, postcode)
    if territory is not None and territory == home:
        if territory in UNKNOWN_AT_HOME:
            return None
        return _at_home(home, seller) if territory in TAXED_AT_HOME else Treatment(OUTSIDE, "outside_the_vat_territory")
    if territory is not None:
        return _abroad(home)
    if buyer == home:
        return _at_home(home, seller)
    if buyer not in EU_COUNTRIES or home not in EU_COUNTRIES:
        return _abroad(home)
    if vat_id:
        return Treatment(REVERSE_CHARGE, "reverse_charge")
    return Treatment(STANDARD, "one_stop_shop", buyer) if seller.oss else Treatment(STANDARD, "seller_rate", home)


def home_rate(seller: Seller, day: date) -> str:
    """Return the standard rate of the vendor's country; 0 if nobody has said what it is."""
    home = TREATED_AS.get(seller.country, seller.country)
    return standard_rate(home, day) if home in RATES else seller.standard_rate_percent or "0"


def _excluded_territory(country: str, postcode: str) -> str | None:
    """Return the country of the territory that the address is in, if its VAT does not apply there."""
    if country in TERRITORY_CODES:
        return TERRITORY_CODES[country]
    compact = "".join(character for character in postcode if character.isdigit())
    return country if compact.startswith(EXCLUDED_POSTCODES.get(country, ("-",))) else None


def _at_home(home: str, seller: Seller) -> Treatment | None:
    if home in RATES:
        return Treatment(STANDARD, "domestic", home)
    given = seller.standard_rate_percent
    return Treatment(STANDARD, "domestic", None, given) if given is not None else None


def _abroad(home: str) -> Treatment:
    return Treatment(ZERO, "export") if home == "NO" else Treatment(OUTSIDE, "outside_the_vat_territory")


def tax_on(details: BillingDetailsChanged, day: date) -> Tax:
    """Return the tax of a supply on this day: category and rate are those of the supply, not of the document."""
    rate = details.tax_rate_percent if details.rate_country is None else standard_rate(details.rate_country, day)
    return Tax(details.tax_category, rate)


@dataclass(frozen=True, slots=True)
class Given:
    """The part of a change of the billing details that is about the tax. Only an operator gives any of it."""

    category: str | None = None  # or AUTOMATIC
    rate_percent: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Taxed:
    """The tax in force: by a rule of the table, or by an operator."""

    tax_category: str
    tax_rate_percent: str
    rate_country: str | None
    tax_rule: str
    tax_reason: str = ""


def tax_in_force(given: Given, before: Taxed | None, by_rules: Treatment | None, day: date, home_rate_percent: str) -> Taxed | Wrong:
    """Return the tax from now on. What an operator has set stays until an operator changes it; any other tax follows the rules.

    An operator who gives only a category of S gets the standard rate of the vendor's country.
    """
    changes = given.category not in (None, AUTOMATIC) or given.rate_percent is not None
    if not changes and before is not None and before.tax_rule == OPERATOR and given.category is None:
        return replace(before, tax_reason=given.reason or before.tax_reason)
    if not changes:
        if by_rules is None:
            return Wrong("tax_category", None, "a tax that the vendor's operator sets: the table has no rule for these countries")
        return Taxed(by_rules.category, by_rules.rate_percent(day), by_rules.rate_country, by_rules.rule)
    if not given.reason:
        return Wrong("tax_reason", None, "the reason why the tax differs from the rules")
    category = given.category or (before.tax_category if before else STANDARD)
    rate_percent = given.rate_percent
    if rate_percent is None:
        kept = before.tax_rate_percent if before is not None and before.tax_category == category else None
        rate_percent = kept or (home_rate_percent if category == STANDARD else "0")
    return Taxed(category, rate_percent, None, OPERATOR, given.reason)


def wrong_tax(tax: Tax, vat_id: str | None, country: str, seller_vat_id: str | None) -> Wrong | None:
    """Return what does not fit together; None if all does."""
    zero = Decimal(tax.rate_percent) == 0
    if tax.category == STANDARD and zero:
        return Wrong("tax_rate_percent", tax.rate_percent, "more than 0 with tax_category S (a zero rate is category Z)")
    if tax.category != STANDARD and not zero:
        return Wrong("tax_rate_percent", tax.rate_percent, f"0 with tax_category {tax.category}")
    if tax.category in (STANDARD, REVERSE_CHARGE) and not seller_vat_id:
        return Wrong("tax_category", tax.category, "a category other than S and AE: the vendor has set no VAT ID (SEATPOOL_SELLER_VAT_ID)")
    if tax.category == REVERSE_CHARGE and TREATED_AS.get(country, country) not in EU_COUNTRIES:
        return Wrong("tax_category", tax.category, f"O, because {country} is outside the EU for services and there is no reverse charge")
    if tax.category == REVERSE_CHARGE and not vat_id:
        return Wrong("vat_id", vat_id, "the customer's VAT ID, because the tax category is AE (the customer accounts for the VAT under it)")
    return None
