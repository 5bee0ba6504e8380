"""Settings of invoicing: who sells (to be given: no invoice goes out in another name), and how invoices are numbered and paid."""

from pydantic import Field

from services.invoicing.api.requests import Rate
from services.invoicing.documents.document import Party
from shared.countries import Country
from shared.settings import CommonSettings, DatabaseSettings, KafkaSettings, own_port


class Settings(CommonSettings, KafkaSettings, DatabaseSettings):
    port: int = own_port(8003)
    seller_name: str = Field(min_length=1, description="Name of the vendor, as it stands on invoices.")
    seller_street: str = Field(min_length=1, description="Vendor's street and number.")
    seller_postcode: str = Field("", description="Vendor's postcode, where there are any.")
    seller_city: str = Field(min_length=1, description="Vendor's city.")
    seller_country: Country = Field(description="Vendor's country, ISO 3166-1 alpha-2.")
    seller_tax_rate_percent: Rate = Field(
        description="Vendor's standard rate of VAT in percent, such as 25; for tenants whose tax the operator has not set."
    )
    seller_vat_id: str | None = Field(None, description="Vendor's VAT ID.")
    seller_email: str = Field(min_length=3, description="Where customers write to about invoices.")
    seller_account: str = Field("", description="Bank account for payments, as it stands on invoices.")
    seller_registration: str = Field("", description="What else the vendor's papers have to name (register, managers).")
    payment_days: int = Field(14, ge=0, le=365, description="From the day of an invoice to the day it is due.")
    invoice_prefix: str = Field("INV-", max_length=20, description="Stands before an invoice's number.")
    test_invoice_prefix: str = Field("TEST-", max_length=20, description="The same for tenants on a test clock: a series of its own.")
    quote_valid_seconds: int = Field(86_400, ge=60, description="How long a quote can be approved, at most to the end of its local day.")

    @property
    def seller(self) -> Party:
        return Party(
            name=self.seller_name,
            street=self.seller_street,
            postcode=self.seller_postcode,
            city=self.seller_city,
            country=self.seller_country,
            vat_id=self.seller_vat_id,
            email=self.seller_email,
            account=self.seller_account,
            registration=self.seller_registration,
        )
