"""The bodies of responses about payments and the balance."""

from dataclasses import asdict
from datetime import date

from pydantic import BaseModel, Field

from services.invoicing.domain.account import INVOICE
from services.invoicing.domain.balance import Balance
from services.invoicing.store.overdue import Overdue as OverdueTerms
from services.invoicing.store.payments import Payment
from services.invoicing.store.receivables import Overdue
from shared.money import format_amount
from shared.schemas.base import Actor, Instant


class PaymentView(BaseModel):
    """A payment of an invoice, or a payout of a credit note."""

    payment: str
    invoice: str
    direction: str = Field(description="received (for an invoice) or paid_out (of a credit note)")
    amount_minor: int
    currency: str
    paid_on: date
    reference: str
    recorded_at: Instant
    recorded_by: Actor
    taken_back_at: Instant | None = Field(description="When the payment was taken back. It does not count since then.")
    taken_back_by: Actor | None
    taken_back_because: str | None

    @classmethod
    def of(cls, found: Payment) -> "PaymentView":
        return cls.model_validate(asdict(found) | {"recorded_by": _actor(found.recorded_by), "taken_back_by": _actor(found.taken_back_by)})


def _actor(text: str | None) -> Actor | None:
    return Actor.model_validate_json(text) if text is not None else None


class BalanceView(BaseModel):
    """What the tenant owes on a day. A negative balance is owed by the vendor."""

    currency: str | None = Field(description="null: there is no document yet.")
    on: date = Field(description="Today, in the tenant's time zone.")
    open_minor: int = Field(description="The unpaid amount of all invoices.")
    overdue_minor: int = Field(description="The part of it that is overdue.")
    credit_minor: int = Field(description="What is left of all credit notes.")
    balance_minor: int = Field(description="open_minor less credit_minor")
    balance: str | None = Field(description="The balance in the format of the tenant's locale.")
    open_invoices: int
    overdue_invoices: int
    oldest_due_on: date | None = Field(description="The due date of the invoice that is open for the longest time.")
    overdue_action: str = Field(description="What the last reminder of an invoice leads to: none, no_purchases or operator_decides.")
    purchases_blocked: bool = Field(description="True if nothing can be bought until overdue invoices are paid.")

    @classmethod
    def of(cls, balance: Balance, terms: OverdueTerms, today: date, currency: str | None, locale: str) -> "BalanceView":
        """Return the balance of the open documents. `today` is the tenant's local day."""
        invoices = list(balance.open_of(INVOICE))
        overdue = [each for each in invoices if each.is_overdue(today)]
        return cls(
            currency=currency,
            on=today,
            open_minor=balance.open_minor,
            overdue_minor=sum(each.open_minor for each in overdue),
            credit_minor=balance.credit_minor,
            balance_minor=balance.balance_minor,
            balance=format_amount(balance.balance_minor, currency, locale) if currency else None,
            open_invoices=len(invoices),
            overdue_invoices=len(overdue),
            oldest_due_on=min((each.due_on for each in invoices), default=None),
            overdue_action=terms.action,
            purchases_blocked=terms.blocked,
        )


class OverdueInvoiceView(BaseModel):
    """An overdue invoice of any tenant."""

    tenant: str
    name: str | None
    invoice: str
    number: str
    currency: str
    due_on: date
    days_overdue: int
    gross_minor: int
    open_minor: int
    reminders: int = Field(description="How many reminders were sent.")

    @classmethod
    def of(cls, found: Overdue) -> "OverdueInvoiceView":
        own = {"tenant": found.tenant_id, "days_overdue": (found.today - found.due_on).days}
        return cls(**{name: getattr(found, name) for name in cls.model_fields if name not in own} | own)
