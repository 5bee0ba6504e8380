"""The bodies of responses about invoices, credit notes and charges."""

from dataclasses import asdict
from datetime import date

from pydantic import BaseModel, Field

from services.invoicing.domain.account import INVOICE
from services.invoicing.domain.formats import has_xml
from services.invoicing.store.receivables import ListedInvoice, Related
from shared.money import minor_units
from shared.schemas.base import Instant
from shared.schemas.invoicing_v1 import (
    ChargeBooked,
    InvoiceIssued,
    InvoiceLine,
    TaxLine,
)


class RelatedView(BaseModel):
    """Another document that an invoice or credit note has to do with."""

    relation: str = Field(description="corrects, corrected_by, or set_off (of the credit note against the invoice)")
    invoice: str
    number: str
    kind: str = Field(description="invoice or credit_note")
    amount_minor: int | None = Field(description="What was set off; null for the other relations.")
    at: Instant | None = Field(description="When it was set off.")

    @classmethod
    def of(cls, found: Related) -> "RelatedView":
        return cls.model_validate(asdict(found))


class InvoiceView(BaseModel):
    """An issued invoice or credit note. The amounts of a credit note are positive: they are given back."""

    invoice: str
    kind: str = Field(description="invoice or credit_note")
    corrects: tuple[str, ...] = Field(description="The invoices that a credit note corrects.")
    number: str
    issued_on: date
    due_on: date
    reason: str
    orders: tuple[str, ...]
    currency: str
    lines: tuple[InvoiceLine, ...]
    taxes: tuple[TaxLine, ...]
    net_minor: int
    tax_minor: int
    gross_minor: int
    billing_details: str
    test: bool = Field(description="True if the tenant has a test clock: the invoice is not a tax document.")
    pdf_url: str
    xml_url: str | None = Field(description="null: the document is a PDF only, because EN 16931 cannot express it.")
    state: str = Field(
        description="open, part_paid or paid. A credit note: open (the vendor has not decided yet about the rest), kept (for later "
        "invoices) or paid (set off or paid out)."
    )
    open_minor: int = Field(description="What is still to be paid. A credit note: what is left of it.")
    overdue: bool = Field(description="True if an invoice is not completely paid after its due date.")
    set_off_minor: int = Field(description="What credit notes have paid of an invoice. A credit note: what it has paid of invoices.")
    reminders: int = Field(description="How many reminders of payment were sent.")
    next_reminder_on: date | None = Field(None, description="The day of the next reminder; null in lists, and if there is none.")
    related: list[RelatedView] | None = Field(
        None, description="The documents that it corrects, that correct it, and that it was set off against; null in lists."
    )

    @classmethod
    def of(cls, tenant: str, found: ListedInvoice, today: date, set_off_minor: int = 0) -> "InvoiceView":
        event, own = found.event, {"state": found.state, "open_minor": found.open_minor, "overdue": found.is_overdue(today)}
        own |= {"reminders": found.reminders, "set_off_minor": set_off_minor}
        shown = {name: getattr(event, name) for name in cls.model_fields if name in InvoiceIssued.model_fields}
        url = f"/v1/tenants/{tenant}/invoices/{event.invoice}"
        return cls(**shown | own, pdf_url=f"{url}/pdf", xml_url=f"{url}/xml" if has_xml(minor_units(event.currency)) else None)


class UpcomingInvoiceView(BaseModel):
    """The next invoice, or credit note, as it would be today. It has no number yet."""

    issued_on: date = Field(description="The first day of the next period.")
    due_on: date | None = Field(description="null if nothing would have to be paid.")
    kind: str | None = Field(description="invoice or credit_note. null: no document would be issued, since nothing would be charged.")
    currency: str
    lines: tuple[InvoiceLine, ...]
    taxes: tuple[TaxLine, ...]
    net_minor: int
    tax_minor: int
    gross_minor: int
    billing_details: str | None

    @classmethod
    def of(cls, issued_on: date, currency: str, found: InvoiceIssued | None) -> "UpcomingInvoiceView":
        if found is None:
            nothing = dict.fromkeys(("net_minor", "tax_minor", "gross_minor"), 0)
            return cls(issued_on=issued_on, due_on=None, kind=None, currency=currency, lines=(), taxes=(), billing_details=None, **nothing)
        shown = {name: getattr(found, name) for name in cls.model_fields if name != "due_on"}
        return cls(**shown, due_on=found.due_on if found.kind == INVOICE and found.gross_minor else None)


class ChargeView(BaseModel):
    """A charge: what one decision of seats costs."""

    charge: str
    order: str | None
    decision: str
    at: Instant
    reason: str
    currency: str
    module: str
    quantity: int
    unit_price_minor: int
    day: date
    days: int
    days_of_period: int
    net_minor: int = Field(description="A credit is negative.")
    decisions: tuple[str, ...] = Field(description="All decisions that the charge sums up.")
    invoices: tuple[str, ...] = Field(
        description="The documents with this charge. None: it waits for the next document, or a credit of the same day covers it."
    )

    @classmethod
    def of(cls, event: ChargeBooked, invoices: tuple[str, ...]) -> "ChargeView":
        return cls(**{name: getattr(event, name) for name in cls.model_fields if name != "invoices"}, invoices=invoices)
