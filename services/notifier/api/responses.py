"""What the notifier answers."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from services.notifier.store.emails import ListedEmail, ShownEmail
from shared.schemas.base import Instant
from shared.web.rest import PositionView


class Statistics(BaseModel):
    flagged: int = Field(description="Seats that are over the limit now.")
    revoked: int = Field(description="Seats that were revoked at least once.")
    refused: int = Field(description="Seats that were refused at least once.")
    emails: int = Field(description="E-mails that were sent.")
    emails_failed: int = Field(description="E-mails that could not be sent.")
    actions: int = Field(description="Entries of the action log.")


class Actor(BaseModel):
    kind: str
    id: str


class Action(BaseModel):
    """An entry of the action log: who, when, what, from, to, why."""

    seq: int = Field(description="Number of the entry, in the order of writing.")
    id: str
    at: Instant = Field(description="The tenant's time.")
    recorded_at: Instant = Field(description="When the entry was written.")
    actor: Actor = Field(description="Who did it. A person whom your viewset hides has the id `hidden`.")
    type: str
    event: str = Field(description="Type of the event that the entry was made from.")
    user: str | None
    module: str | None
    before: Mapping[str, Any] = Field(alias="from", description="Changed fields before the event.")
    after: Mapping[str, Any] = Field(alias="to", description="Changed fields after the event.")
    reason: str
    details: Mapping[str, Any] = Field(description="What else the event says. `hidden`: how many people in it your viewset hides.")
    decision: str | None = Field(description="Decision id, if seats decided it.")
    position: PositionView | None = Field(description="Position of the command that was decided.")
    correlation: str


class Email(BaseModel):
    """An e-mail with its texts and its delivery."""

    seq: int
    id: str
    stream: str = Field(
        description="own, sign_in: to a person. seats, billing, people, undelivered: to the administrators. "
        "invoices, billing_details: to the invoice e-mail address and to administrators."
    )
    user: str | None = Field(description="The recipient, if it is a known person.")
    to: str
    subject: str
    invoices: Sequence[Mapping[str, str]] = Field(description="Invoices whose PDF files are attached.")
    notifications: int = Field(description="Number of notifications in the e-mail.")
    at: Instant = Field(description="The tenant's time.")
    state: str = Field(description="queued, sending, sent or failed.")
    attempts: int
    error: str | None = Field(description="Why the last attempt failed.")
    queued_at: Instant
    sent_at: Instant | None

    @classmethod
    def of(cls, row: ListedEmail) -> "Email":
        return cls(**_fields(row))


class UndeliveredEmails(BaseModel):
    """The e-mails of the last 30 days that could not be sent, without those whose recipient got a later one."""

    emails: int
    recipients: int = Field(description="Number of addresses.")
    addresses: Sequence[str] = Field(description="The first addresses, the newest failure first.")


class EmailWithText(Email):
    text: str = Field(description="Plain text; empty when it has been deleted.")
    html: str

    @classmethod
    def of(cls, row: ListedEmail) -> "EmailWithText":
        assert isinstance(row, ShownEmail)
        return cls(**_fields(row), text=row.body_text, html=row.body_html)


def _fields(row: ListedEmail) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "id": row.email_id,
        "stream": row.stream,
        "user": row.user_id,
        "to": row.recipient,
        "subject": row.subject,
        "invoices": row.invoices,
        "notifications": row.notifications,
        "at": row.at,
        "state": row.state,
        "attempts": row.attempts,
        "error": row.error,
        "queued_at": row.queued_at,
        "sent_at": row.sent_at,
    }
