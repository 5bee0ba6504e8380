"""What a tenant owes, and what is owed to it: a fold of the documents, payments and set-offs, in the order of their topic.

A credit note is set off first against the invoices that it corrects, then against the oldest open ones. What is left of it waits until
the vendor pays it out or keeps it for later invoices.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from services.invoicing.domain.account import CREDIT_NOTE, INVOICE
from shared.schemas.base import Payload
from shared.schemas.invoicing_v1 import CreditKept, CreditSetOff, InvoiceIssued, PaymentRecorded, PaymentReminded, PaymentTakenBack

RECEIVED: Final = "received"
PAID_OUT: Final = "paid_out"
AMOUNT_MINOR_MAX = 2**53 - 1  # what every JSON reader reads exactly


class State(StrEnum):
    OPEN = "open"
    PART_PAID = "part_paid"
    PAID = "paid"
    KEPT = "kept"  # a credit note that waits for later invoices


@dataclass(frozen=True, slots=True)
class Receivable:
    """A document and what is open of it: what the tenant still owes, or what is left of a credit note. `place` is its order of issue."""

    place: int
    invoice: str
    kind: str
    number: str
    currency: str
    issued_on: date
    due_on: date
    gross_minor: int
    open_minor: int
    corrects: tuple[str, ...] = ()
    kept: bool = False
    reminders: int = 0  # that were sent

    @property
    def state(self) -> State:
        if self.open_minor == 0:
            return State.PAID
        if self.kept:
            return State.KEPT
        return State.OPEN if self.open_minor == self.gross_minor else State.PART_PAID

    def is_overdue(self, today: date) -> bool:
        return self.kind == INVOICE and self.open_minor > 0 and self.due_on < today


@dataclass(slots=True)
class Balance:
    """All documents of a tenant by id, in the order of their issue."""

    documents: dict[str, Receivable] = field(default_factory=dict)

    def open_of(self, kind: str) -> Iterator[Receivable]:
        return (each for each in sorted(self.documents.values(), key=lambda each: each.place) if each.kind == kind and each.open_minor)

    @property
    def open_minor(self) -> int:
        """What the tenant owes in all, without credits."""
        return sum(each.open_minor for each in self.open_of(INVOICE))

    @property
    def credit_minor(self) -> int:
        return sum(each.open_minor for each in self.open_of(CREDIT_NOTE))

    @property
    def balance_minor(self) -> int:
        """What the tenant owes after all credits; negative: the vendor owes."""
        return self.open_minor - self.credit_minor

    def after_last_reminder(self, steps: int) -> list[Receivable]:
        """Return the open invoices of which all reminders were sent; none while credits cover all that is open."""
        return [each for each in self.open_of(INVOICE) if each.reminders >= steps] if self.balance_minor > 0 else []

    def apply(self, event: Payload) -> None:
        """Count an event. Events of other kinds change nothing."""
        match event:
            case InvoiceIssued():
                self.documents[event.invoice] = issued(event, len(self.documents))
            case PaymentRecorded():
                self._change(event.invoice, -event.amount_minor)
            case PaymentTakenBack():
                self._change(event.invoice, event.amount_minor)
            case CreditSetOff():
                self._change(event.invoice, -event.amount_minor)
                self._change(event.credit_note, -event.amount_minor)
            case CreditKept():
                self.documents[event.credit_note] = replace(self.documents[event.credit_note], kept=True)
            case PaymentReminded():
                found = self.documents[event.invoice]
                self.documents[event.invoice] = replace(found, reminders=event.step)

    def _change(self, invoice: str, by_minor: int) -> None:
        found = self.documents[invoice]
        left = found.open_minor + by_minor
        assert 0 <= left <= found.gross_minor, f"{found.number} would have {left} of {found.gross_minor} open"
        self.documents[invoice] = replace(found, open_minor=left)


def issued(event: InvoiceIssued, place: int) -> Receivable:
    """Return the receivable of a document that was just issued."""
    return Receivable(
        place,
        event.invoice,
        event.kind,
        event.number,
        event.currency,
        event.issued_on,
        event.due_on,
        event.gross_minor,
        event.gross_minor,
        event.corrects,
    )


def balance_of(events: Iterable[Payload]) -> Balance:
    """Return the balance that these events of one tenant make, in the order of their topic."""
    balance = Balance()
    for event in events:
        balance.apply(event)
    return balance


@dataclass(frozen=True, slots=True)
class SetOff:
    credit_note: str
    invoice: str
    amount_minor: int
    currency: str


def set_offs(balance: Balance, new: str | None = None) -> list[SetOff]:
    """Return what the credits pay now: the one that is just issued (`new`), and those that are kept, the oldest first.

    A credit note that is neither waits for the vendor, who may have promised to pay it out.
    """
    left = {each.invoice: each.open_minor for each in balance.open_of(INVOICE)}
    found: list[SetOff] = []
    for credit in balance.open_of(CREDIT_NOTE):
        if not credit.kept and credit.invoice != new:
            continue
        rest = credit.open_minor
        for invoice in dict.fromkeys((*(each for each in credit.corrects if each in left), *left)):
            amount = min(rest, left[invoice])
            if amount > 0 and balance.documents[invoice].currency == credit.currency:
                rest, left[invoice] = rest - amount, left[invoice] - amount
                found.append(SetOff(credit.invoice, invoice, amount, credit.currency))
    return found


def next_reminder(due_on: date, sent: int, on: date | None, days: Sequence[int]) -> date | None:
    """Return the day of the next reminder after `sent` of them, the last one on the day `on`; None: there is no more.

    After a break of the service, reminders do not follow each other faster than the setting says.
    """
    if sent >= len(days):
        return None
    planned = due_on + timedelta(days=days[sent])
    if sent == 0 or on is None:
        return planned
    return max(planned, on + timedelta(days=days[sent] - days[sent - 1]))
