"""The e-mails of a tenant: what was sent, what waits, and what could not be sent."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path

from services.notifier.api.dependencies import Name, TenantId, Wired
from services.notifier.store import action_log as store
from shared.errors import NotFound
from shared.web import Cursor, Limit, Page, access, decode_cursor, encode_cursor
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

router = APIRouter(
    route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/mails", tags=["e-mails"], dependencies=[Depends(access("log:read"))]
)


@router.get("", summary="List the e-mails of a tenant, newest first")
async def list_emails(
    wiring: Wired,
    tenant: TenantId,
    state: Literal["queued", "sending", "sent", "failed"] | None = None,
    user: Name = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[dict[str, Any]]:
    (before,) = decode_cursor(cursor, int) or (None,)
    async with wiring.database.unit_of_work(tenant) as uow:
        await store.check_tenant(uow, tenant)
        items = await store.mails(uow, tenant, state=state, user=user, before=before, limit=limit)
    return Page(items=items, next=encode_cursor(items[-1]["seq"]) if len(items) == limit else None)


@router.get("/{mail}", summary="Get an e-mail with its text")
async def get_email(wiring: Wired, tenant: TenantId, mail: Annotated[str, Path(max_length=100)]) -> dict[str, Any]:
    async with wiring.database.unit_of_work(tenant) as uow:
        found = await store.mail(uow, tenant, mail)
    if found is None:
        raise NotFound("e-mail")
    return found
