"""E-mails: queued, sent, failed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ARRAY, BigInteger, DateTime, Text, bindparam, exists, func, literal_column, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.store.recipients import View, visible_to_reader
from shared.database.row_classes import columns_of, many, one, table_of


@dataclass(frozen=True, slots=True)
class NewEmail:
    tenant_id: str
    email_id: str
    stream: str
    user_id: str | None
    recipient: str
    recipient_name: str
    subject: str
    body_text: str
    body_html: str
    invoices: Sequence[Mapping[str, str]]  # whose PDFs are attached when it is sent
    invitation: str | None  # the person whose token replaces the marker in the texts when it is sent
    notifications: int
    at: datetime  # the tenant's time
    state: str  # queued, or failed: an e-mail that cannot be rendered is kept to be seen
    error: str | None
    next_attempt_at: datetime
    queued_at: datetime
    sealed_link: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedEmail:
    """An e-mail that the sender is sending."""

    tenant_id: str
    email_id: str
    recipient: str
    recipient_name: str
    subject: str
    body_text: str
    body_html: str
    invoices: Sequence[Mapping[str, str]]
    invitation: str | None
    attempts: int  # this one included
    queued_at: datetime
    sealed_link: str | None = None


@dataclass(frozen=True, slots=True)
class ListedEmail:
    seq: int
    email_id: str
    stream: str
    user_id: str | None
    recipient: str
    subject: str
    invoices: Sequence[Mapping[str, str]]
    notifications: int
    at: datetime
    state: str
    attempts: int
    error: str | None
    queued_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class ShownEmail(ListedEmail):
    body_text: str
    body_html: str


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An address to which e-mails failed, of all such addresses. Both totals are those of all of them."""

    recipient: str
    emails: int
    recipients: int


TABLE = table_of("emails", NewEmail, ClaimedEmail, ShownEmail)
E = TABLE.c
_TENANT, _STATE, _USER = (bindparam(name, type_=Text) for name in ("tenant", "of_state", "user"))
_BEFORE = bindparam("before", type_=BigInteger)
_INSERT = insert(TABLE).on_conflict_do_nothing()
_REQUEUE = update(TABLE).where(E.state == literal_column("'sending'")).values(state="queued")
_DELETE_TEXTS = (
    update(TABLE)
    .where(E.state.in_(["sent", "failed"]), E.queued_at < bindparam("queued_before", type_=DateTime(timezone=True)), E.body_html != "")
    .values(body_text="", body_html="", sealed_link=None)
)
_IS_QUEUED = E.state == literal_column("'queued'")
_MOST = bindparam("most", type_=BigInteger)
# One step in the index for each tenant: the e-mails of a tenant with 100,000 are not read to find the others.
_TENANTS = select(func.min(E.tenant_id).label("tenant_id")).where(_IS_QUEUED).cte("with_queued", recursive=True)
_NEXT_TENANT = select(func.min(E.tenant_id)).where(_IS_QUEUED, E.tenant_id > _TENANTS.c.tenant_id).scalar_subquery()
_TENANTS = _TENANTS.union_all(select(_NEXT_TENANT).where(_TENANTS.c.tenant_id.is_not(None)))
_OF_TENANT = (
    select(E.tenant_id, E.email_id, func.row_number().over(order_by=[E.next_attempt_at, E.seq]).label("turn"), E.next_attempt_at, E.seq)
    .where(E.tenant_id == _TENANTS.c.tenant_id, _IS_QUEUED, E.next_attempt_at <= bindparam("now"))
    .order_by(E.next_attempt_at, E.seq)
    .limit(_MOST)
    .lateral("of_tenant")
)
_TURNS = (_OF_TENANT.c.turn, _OF_TENANT.c.next_attempt_at, _OF_TENANT.c.seq)
_DUE = (
    select(_OF_TENANT.c.tenant_id, _OF_TENANT.c.email_id, func.row_number().over(order_by=_TURNS).label("place"))
    .select_from(_TENANTS.join(_OF_TENANT, true()))
    .order_by(*_TURNS)
    .limit(_MOST)
    .cte("due")
)
# Committed before the first byte goes to the mail server: an e-mail that is found in this state at a start may have been sent.
_CLAIMED = (
    update(TABLE)
    .where(E.tenant_id == _DUE.c.tenant_id, E.email_id == _DUE.c.email_id)
    .values(state="sending", attempts=E.attempts + 1)
    .returning(*columns_of(ClaimedEmail, TABLE), _DUE.c.place)
    .cte("claimed")
)
_CLAIM = select(*columns_of(ClaimedEmail, _CLAIMED)).order_by(_CLAIMED.c.place)
_ONE = update(TABLE).where(E.tenant_id == _TENANT, E.email_id == bindparam("of_email"))
_SENT = _ONE.values(state="sent", sent_at=bindparam("now"), error=None, sealed_link=None)
_LATER = _ONE.values(state="queued", next_attempt_at=bindparam("next"), error=bindparam("why"))
_UNTRIED = _ONE.values(state="queued", attempts=E.attempts - 1, error=bindparam("why"))
_FAILED = _ONE.values(state="failed", error=bindparam("why"))
# E-mails to administrators name many people. A reader with a viewset sees only those to visible people about their own seats, and the own
# ones, whose text was made for the reader.
_DEPARTMENTS = bindparam("departments", type_=ARRAY(Text))
_OWN = (E.user_id == bindparam("reader", type_=Text)) | E.stream.in_([literal_column("'own'"), literal_column("'invitation'")])
_SEEN = _DEPARTMENTS.is_(None) | (E.user_id.is_not(None) & _OWN & visible_to_reader(E.tenant_id, E.user_id))
_LISTED = (
    select(*columns_of(ListedEmail, TABLE))
    .where(
        E.tenant_id == _TENANT,
        _STATE.is_(None) | (E.state == _STATE),
        _USER.is_(None) | (E.user_id == _USER),
        _BEFORE.is_(None) | (E.seq < _BEFORE),
        _SEEN,
    )
    .order_by(E.seq.desc())
    .limit(bindparam("limit", type_=BigInteger))
)
# A failed e-mail no longer counts when a later one reached the same person, whatever the address is now, or the same address.
_LATER_SENT = TABLE.alias("later")
_TO, _TO_LATER = (func.coalesce(each.c.user_id, each.c.recipient) for each in (TABLE, _LATER_SENT))
_REACHED = exists(
    select(_LATER_SENT.c.seq)
    .where(
        _LATER_SENT.c.tenant_id == E.tenant_id,
        _TO_LATER == _TO,
        _LATER_SENT.c.state == literal_column("'sent'"),
        _LATER_SENT.c.seq > E.seq,
    )
    .correlate(TABLE)
)
_UNDELIVERED = (
    select(E.recipient, func.sum(func.count()).over(), func.count().over())
    .where(
        E.tenant_id == _TENANT,
        E.state == literal_column("'failed'"),
        E.queued_at >= bindparam("since", type_=DateTime(timezone=True)),
        E.recipient != literal_column("''"),  # of a person who was erased
        ~_REACHED,
        _SEEN,
    )
    .group_by(E.recipient)
    .order_by(func.max(E.seq).desc())
    .limit(bindparam("most", type_=BigInteger))
)
_SHOWN = select(*columns_of(ShownEmail, TABLE)).where(E.tenant_id == _TENANT, E.email_id == bindparam("of_email"), _SEEN)


async def queue(connection: AsyncConnection, email: NewEmail) -> None:
    """Queue the e-mail, once."""
    await connection.execute(_INSERT, asdict(email))


async def requeue_orphans(connection: AsyncConnection) -> int:
    """Queue the e-mails again that a sender was sending when it died. Call it only while holding the sender's lock."""
    return (await connection.execute(_REQUEUE)).rowcount


async def delete_texts(connection: AsyncConnection, before: datetime) -> None:
    """Empty the texts of e-mails of long ago, with the names in them. The record that they were sent is kept."""
    await connection.execute(_DELETE_TEXTS, {"queued_before": before})


async def claim(connection: AsyncConnection, now: datetime, most: int) -> Sequence[ClaimedEmail]:
    """Return e-mails that are due, in the order in which to send them: the one of each tenant that waits longest, then the second of each,
    so that the many of one tenant do not delay the others."""
    return await many(connection, _CLAIM, ClaimedEmail, now=now, most=most)


async def mark_sent(connection: AsyncConnection, email: ClaimedEmail, now: datetime) -> None:
    await connection.execute(_SENT, _which(email) | {"now": now})


async def mark_later(connection: AsyncConnection, email: ClaimedEmail, next_attempt_at: datetime, error: str) -> None:
    await connection.execute(_LATER, _which(email) | {"next": next_attempt_at, "why": error})


async def mark_untried(connection: AsyncConnection, email: ClaimedEmail, error: str) -> None:
    """The e-mail was claimed, and then there was no connection to try it on."""
    await connection.execute(_UNTRIED, _which(email) | {"why": error})


async def mark_failed(connection: AsyncConnection, email: ClaimedEmail, error: str) -> None:
    await connection.execute(_FAILED, _which(email) | {"why": error})


def _which(email: ClaimedEmail) -> dict[str, Any]:
    return {"tenant": email.tenant_id, "of_email": email.email_id}


async def emails(
    connection: AsyncConnection,
    tenant_id: str,
    *,
    state: str | None,
    user: str | None,
    before: int | None,
    limit: int,
    view: View | None = None,
) -> Sequence[ListedEmail]:
    """Return a page of e-mails, newest first."""
    values = {"tenant": tenant_id, "of_state": state, "user": user, "before": before, "limit": limit} | _seen(view)
    return await many(connection, _LISTED, ListedEmail, **values)


async def undelivered(
    connection: AsyncConnection, tenant_id: str, since: datetime, most: int, view: View | None = None
) -> Sequence[Undelivered]:
    """Return the first addresses, the newest failure first, whose e-mails failed since then and got none afterwards."""
    values = {"tenant": tenant_id, "since": since, "most": most} | _seen(view)
    return [
        Undelivered(recipient, int(emails), recipients) for recipient, emails, recipients in await connection.execute(_UNDELIVERED, values)
    ]


def _seen(view: View | None) -> dict[str, Any]:
    return {"departments": view.departments if view else None, "reader": view.reader if view else None}


async def email(connection: AsyncConnection, tenant_id: str, email_id: str, view: View | None = None) -> ShownEmail | None:
    """Return one e-mail with its text."""
    return await one(connection, _SHOWN, ShownEmail, tenant=tenant_id, of_email=email_id, **_seen(view))
