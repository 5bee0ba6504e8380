"""The bodies of responses about statistics."""

from pydantic import BaseModel


class StatisticsView(BaseModel):
    """Sums are those of the invoices less those of the credit notes."""

    invoices: int
    credit_notes: int
    net_minor: int
    tax_minor: int
    gross_minor: int
    currency: str | None
    charges: int
    quotes: int
    orders_pending: int
    orders_completed: int
    orders_refused: int
