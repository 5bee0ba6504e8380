"""The bodies of responses about billing details."""

from pydantic import BaseModel, Field

from services.invoicing.store.billing_details import BillingDetails
from shared.schemas.base import Instant


class BillingDetailsView(BaseModel):
    """The billing details that are in force."""

    version: str
    company: str
    street: str
    postcode: str
    city: str
    country: str
    vat_id: str | None
    organisation_number: str | None
    email: str = Field(description="The invoice e-mail address.")
    copy_to_administrators: bool
    document_format: str
    buyer_reference: str
    purchase_order: str
    electronic_address: str
    tax_category: str
    tax_rate_percent: str = Field(description="The rate at the time of the change. The rate of a supply is that of its day.")
    tax_rule: str = Field(
        description="Why it is taxed so: domestic, reverse_charge, one_stop_shop (the rate of your country), seller_rate (no VAT ID), "
        "outside_the_vat_territory, export, or operator (set by the vendor)."
    )
    tax_reason: str = Field(description="The operator's reason for a tax that differs from the rules.")
    changed_at: Instant

    @classmethod
    def of(cls, found: BillingDetails) -> "BillingDetailsView":
        return cls(**{name: getattr(found, name) for name in BillingDetailsView.model_fields})


class BillingDetailsVersionView(BillingDetailsView):
    """A version of the billing details, and the one that it replaced."""

    before: BillingDetailsView | None = Field(description="null for the first version.")
