"""The seller and the buyer of a document."""

from dataclasses import dataclass

from shared.countries import NORTHERN_IRELAND
from shared.money import locale_of


@dataclass(frozen=True, slots=True)
class Party:
    """The seller or the buyer. `country` is ISO 3166-1 alpha-2 or XI, `electronic_address` is `scheme:id`."""

    name: str
    street: str
    postcode: str
    city: str
    country: str
    vat_id: str | None = None
    organisation_number: str | None = None  # in the register of companies of its country
    email: str = ""
    electronic_address: str = ""
    # Of the buyer
    buyer_reference: str = ""
    purchase_order: str = ""
    # Of the seller
    tax_number: str = ""  # of its tax office, for a seller without VAT ID
    registration: str = ""  # register, managers: what else the seller has to name
    contact: str = ""  # person or department
    telephone: str = ""
    account: str = ""  # for payments, if it has no IBAN
    iban: str = ""
    bic: str = ""

    def address(self, locale: str) -> list[str]:
        code = "GB" if self.country == NORTHERN_IRELAND else self.country
        country = locale_of(locale).territories.get(code, code)
        return [line for line in (self.street, f"{self.postcode} {self.city}".strip(), str(country)) if line]
