"""Settings of invoicing: who sells (to be given: no invoice goes out in another name), and how invoices are numbered and paid."""

from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, TypeAdapter, field_validator

from services.invoicing.api.electronic_addresses import checked_bic, checked_electronic_address, checked_iban
from services.invoicing.api.requests import Rate, checked_printable
from services.invoicing.documents.export import DatevAccounts
from services.invoicing.documents.logo import read_logo
from services.invoicing.documents.party import Party
from services.invoicing.domain.tax import Seller
from shared.countries import Country
from shared.settings import CommonSettings, DatabaseSettings, KafkaSettings, own_port

TAX_CATEGORIES = ("S", "Z", "E", "AE", "O")
_SELLER = ("name", "street", "postcode", "city", "vat_id", "email", "registration_number", "telephone", "account", "registration")
_PREFIXES = ("invoice_prefix", "test_invoice_prefix", "credit_note_prefix", "test_credit_note_prefix")
PRINTED = (*(f"seller_{name}" for name in _SELLER), *_PREFIXES)  # on every document


class Settings(CommonSettings, KafkaSettings, DatabaseSettings):
    """Settings of invoicing."""

    port: int = own_port(8003)
    seller_name: str = Field(min_length=1, description="Name of the vendor on invoices.")
    seller_street: str = Field(min_length=1, description="Street and number of the vendor.")
    seller_postcode: str = Field("", description="Postcode of the vendor, if the country has postcodes.")
    seller_city: str = Field(min_length=1, description="City of the vendor.")
    seller_country: Country = Field(description="Country of the vendor, ISO 3166-1 alpha-2.")
    seller_tax_rate_percent: Rate | None = Field(
        None, description="Standard VAT rate in percent of the country of the vendor, if it is outside the EU and not CH, GB or NO."
    )
    seller_oss: bool = Field(
        False, description="Whether the vendor uses the one-stop shop: buyers in the EU without a VAT ID pay the rate of their country."
    )
    seller_vat_id: str | None = Field(None, description="VAT ID of the vendor. Without it, no tenant can have the tax category S or AE.")
    seller_email: str = Field(min_length=3, description="E-mail address for questions about invoices.")
    seller_registration_number: str = Field("", description="Number of the vendor in the register of companies of its country.")
    seller_tax_number: str = Field("", description="Tax number of the vendor at its tax office, for a vendor without a VAT ID.")
    seller_contact: str = Field("", description="Person or department that answers questions about invoices.")
    seller_telephone: str = Field("", description="Telephone number for questions about invoices.")
    seller_electronic_address: Annotated[str, AfterValidator(checked_electronic_address)] = Field(
        "", description="Address of the vendor for electronic invoices: the code of its scheme (EAS), a colon and the id."
    )
    seller_iban: Annotated[str, AfterValidator(checked_iban)] = Field("", description="IBAN of the account for payments.")
    seller_bic: Annotated[str, AfterValidator(checked_bic)] = Field("", description="BIC of the account for payments.")
    seller_account: str = Field("", description="Bank account for payments, if it has no IBAN.")
    seller_registration: str = Field("", description="Other details that the invoices of the vendor must name (register, managers).")
    seller_logo: Path | None = Field(None, description="SVG file with the logo of the vendor, at most 100,000 bytes, for PDFs.")
    payment_days: int = Field(14, ge=0, le=365, description="Number of days from the date of an invoice to its due date.")
    reminder_days: str = Field(
        "3,14,28",
        description="Days after the due date of an invoice on which the customer is reminded of it, separated by commas.",
    )
    invoice_prefix: str = Field("INV-", max_length=20, description="Prefix of invoice numbers.")
    test_invoice_prefix: str = Field(
        "TEST-",
        max_length=20,
        description="Prefix of the invoice numbers of tenants with a test clock. They have a number series of their own.",
    )
    credit_note_prefix: str = Field("CN-", max_length=20, description="Prefix of the numbers of credit notes.")
    test_credit_note_prefix: str = Field(
        "TEST-CN-", max_length=20, description="Prefix of the numbers of credit notes of tenants with a test clock."
    )
    quote_valid_seconds: int = Field(86_400, ge=60, description="How long a quote is valid, at most until the end of its local day.")

    datev_consultant: int = Field(1001, ge=1001, le=9_999_999, description="Number of the consultant (Berater) in DATEV booking batches.")
    datev_client: int = Field(1, ge=1, le=99_999, description="Number of the client (Mandant) in DATEV booking batches.")
    datev_debtor_account: str = Field(
        "10000", pattern=r"^[0-9]{5,9}$", description="Debtor account of all customers in DATEV booking batches."
    )
    datev_revenue_accounts: str = Field(
        "S=4400,Z=4120,E=4120,AE=4336,O=4338",
        pattern=r"^(S|Z|E|AE|O)(/[0-9.]{1,7})?=[0-9]{4,8}(,(S|Z|E|AE|O)(/[0-9.]{1,7})?=[0-9]{4,8})*$",
        description="Revenue account of each tax category in DATEV booking batches: automatic accounts, which work out the tax. The "
        "default is of the chart of accounts SKR 04, for the standard rate of Germany. An account for one rate stands beside them: "
        "`S=4400,S/7=4300,…`. Name one for each other rate that you charge (OSS).",
    )

    @field_validator(*PRINTED)
    @classmethod
    def _printable(cls, value: str | None) -> str | None:
        return checked_printable(value)

    @field_validator("datev_revenue_accounts")
    @classmethod
    def _complete(cls, value: str) -> str:
        found = [each.split("=")[0] for each in value.split(",")]
        if sorted(each for each in found if "/" not in each) != sorted(TAX_CATEGORIES):
            raise ValueError(f"expected each of {', '.join(TAX_CATEGORIES)} once")
        rates = [each.partition("/")[2] for each in found if "/" in each]
        if len({*found}) < len(found) or any(TypeAdapter(Rate).validate_python(rate) != rate for rate in rates):
            raise ValueError("expected each rate once, as invoices have it, such as S/7 or S/8.1")
        return value

    @property
    def datev_accounts(self) -> DatevAccounts:
        revenue = dict(each.split("=") for each in self.datev_revenue_accounts.split(","))
        return DatevAccounts(self.datev_consultant, self.datev_client, self.datev_debtor_account, revenue)

    @field_validator("reminder_days")
    @classmethod
    def _rising(cls, value: str) -> str:
        days = [int(day) if day.strip().isascii() and day.strip().isdigit() else 0 for day in value.split(",")]
        if not 1 <= len(days) <= 10 or days[0] < 1 or days[-1] > 3650 or any(a >= b for a, b in pairwise(days)):
            raise ValueError("expected 1 to 10 rising numbers of days, separated by commas, such as 3,14,28")
        return value

    @property
    def reminder_schedule(self) -> tuple[int, ...]:
        """Return the days of `reminder_days`."""
        return tuple(int(day) for day in self.reminder_days.split(","))

    @field_validator("seller_logo")
    @classmethod
    def _usable_logo(cls, value: Path | None) -> Path | None:
        if value is not None:
            read_logo(value)
        return value

    @property
    def logo(self) -> str | None:
        """Return the SVG of the vendor's logo."""
        return None if self.seller_logo is None else read_logo(self.seller_logo)

    @field_validator("seller_logo", "seller_tax_rate_percent", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return value or None

    @property
    def taxed_seller(self) -> Seller:
        return Seller(self.seller_country, self.seller_oss, self.seller_tax_rate_percent)

    @property
    def seller(self) -> Party:
        """The vendor as documents name it."""
        return Party(
            name=self.seller_name,
            street=self.seller_street,
            postcode=self.seller_postcode,
            city=self.seller_city,
            country=self.seller_country,
            vat_id=self.seller_vat_id,
            email=self.seller_email,
            organisation_number=self.seller_registration_number or None,
            electronic_address=self.seller_electronic_address,
            tax_number=self.seller_tax_number,
            registration=self.seller_registration,
            contact=self.seller_contact,
            telephone=self.seller_telephone,
            account=self.seller_account,
            iban=self.seller_iban,
            bic=self.seller_bic,
        )
