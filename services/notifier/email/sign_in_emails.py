"""E-mails about signing in. They are queued at once; a sign-in link has a placeholder in its place until the e-mail is sent."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.email.message import LINK_PLACEHOLDER
from services.notifier.email.rendering import Rendered, render_alone
from services.notifier.store import emails, recipients
from services.notifier.store.emails import NewEmail
from services.notifier.store.recipients import TenantRow
from shared import ids
from shared.schemas.users_v1 import EmergencyLinkUsed, OperatorLinkRequested, SignInLinkRequested, SignInUnconfirmed

STREAM = "sign_in"
NO_TENANT = "-"  # no id begins with it


async def queue_link(connection: AsyncConnection, tenant_id: str, event: SignInLinkRequested, event_id: str, now: datetime) -> None:
    """Queue the e-mail with the link, once. The tenant is known: its events are in the same order as this one."""
    tenant = await recipients.tenant(connection, tenant_id)
    if tenant is not None:
        rendered = render_alone("sign_in", tenant, link=LINK_PLACEHOLDER, expires_at=event.expires_at)
        email = _email(tenant_id, event.user, event.email, rendered, event_id, event.at, now, event.sealed_link)
        await emails.queue(connection, email)


async def queue_operators_link(connection: AsyncConnection, event: OperatorLinkRequested, event_id: str, now: datetime) -> None:
    """Queue the e-mail with the link of an operator, once. It belongs to no tenant, so no tenant lists it."""
    vendor = TenantRow(NO_TENANT, "Seatpool", "UTC", "en", "real", event.email, "the vendor's administrators of Seatpool", 0)
    rendered = render_alone("sign_in", vendor, link=LINK_PLACEHOLDER, expires_at=event.expires_at)
    await emails.queue(connection, _email(NO_TENANT, None, event.email, rendered, event_id, event.at, now, event.sealed_link))


async def queue_emergency(connection: AsyncConnection, tenant_id: str, event: EmergencyLinkUsed, event_id: str, now: datetime) -> None:
    """Queue the e-mail about an emergency sign-in for each owner, once."""
    tenant = await recipients.tenant(connection, tenant_id)
    if tenant is not None:
        rendered = render_alone("emergency_link", tenant, name=event.name, signed_in_at=event.at)
        for owner in event.owners:
            await emails.queue(connection, _email(tenant_id, None, owner, rendered, event_id, event.at, now, None))


async def queue_unconfirmed(connection: AsyncConnection, tenant_id: str, event: SignInUnconfirmed, event_id: str, now: datetime) -> None:
    """Queue the e-mail about a login or an address that counts for sign-in only when it is confirmed, to the address before, once."""
    tenant = await recipients.tenant(connection, tenant_id)
    if tenant is not None and event.email is not None:
        values = {"at": event.at, "new_login": event.new_login, "new_email": event.new_email}
        rendered = render_alone("sign_in_unconfirmed", tenant, by=event.actor.id, **values)
        await emails.queue(connection, _email(tenant_id, event.user, event.email, rendered, event_id, event.at, now, None))


def _email(
    tenant_id: str,
    user: str | None,
    recipient: str,
    rendered: Rendered,
    event_id: str,
    at: datetime,
    now: datetime,
    sealed_link: str | None,
) -> NewEmail:
    return NewEmail(
        tenant_id=tenant_id,
        email_id=ids.derived_id("email", tenant_id, recipient, event_id),
        stream=STREAM,
        user_id=user,
        recipient=recipient,
        recipient_name="",
        subject=rendered.subject,
        body_text=rendered.text,
        body_html=rendered.html,
        invoices=[],
        invitation=None,
        notifications=1,
        at=at,
        state="queued",
        error=None,
        next_attempt_at=now,
        queued_at=now,
        sealed_link=sealed_link,
    )
