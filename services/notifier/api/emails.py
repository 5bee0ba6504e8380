"""The e-mails of a tenant: what was sent, what waits, and what could not be sent."""

from datetime import timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path

from services.notifier.api.dependencies import LogReader, Name, TenantId, Wired
from services.notifier.api.responses import Email, EmailWithText, UndeliveredEmails
from services.notifier.store import emails, recipients
from services.notifier.store.recipients import View
from shared.errors import NotFound
from shared.web import Cursor, Limit, Page, Principal, decode_cursor, encode_cursor
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/emails", tags=["e-mails"])
UNDELIVERED_SHOWN: Final = timedelta(days=30)
ADDRESSES_MAX: Final = 3


def _view(principal: Principal) -> View | None:
    return None if principal.departments is None else View(tuple(principal.departments), principal.subject)


@router.get("", summary="List the e-mails of a tenant, newest first")
async def list_emails(
    wiring: Wired,
    tenant: TenantId,
    principal: LogReader,
    state: Literal["queued", "sending", "sent", "failed"] | None = None,
    user: Name = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[Email]:
    (before,) = decode_cursor(cursor, int) or (None,)
    async with wiring.database.unit_of_work(tenant) as uow:
        await recipients.check_tenant(uow.connection, tenant)
        rows = await emails.emails(uow.connection, tenant, state=state, user=user, before=before, limit=limit, view=_view(principal))
    return Page(items=[Email.of(row) for row in rows], next=encode_cursor(rows[-1].seq) if len(rows) == limit else None)


@router.get("/undelivered", summary="Get the number of e-mails that could not be sent lately")
async def get_undelivered(wiring: Wired, tenant: TenantId, principal: LogReader) -> UndeliveredEmails:
    since = wiring.clock.now() - UNDELIVERED_SHOWN
    async with wiring.database.unit_of_work(tenant) as uow:
        await recipients.check_tenant(uow.connection, tenant)
        found = await emails.undelivered(uow.connection, tenant, since, ADDRESSES_MAX, _view(principal))
    counts = {"emails": found[0].emails, "recipients": found[0].recipients} if found else {"emails": 0, "recipients": 0}
    return UndeliveredEmails(**counts, addresses=[each.recipient for each in found])


@router.get("/{email}", summary="Get an e-mail with its text")
async def get_email(wiring: Wired, tenant: TenantId, email: Annotated[str, Path(max_length=100)], principal: LogReader) -> EmailWithText:
    async with wiring.database.unit_of_work(tenant) as uow:
        found = await emails.email(uow.connection, tenant, email, _view(principal))
    if found is None:
        raise NotFound("e-mail")
    return EmailWithText.of(found)
