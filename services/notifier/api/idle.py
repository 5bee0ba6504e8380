"""Whether the notifier has processed everything of a tenant up to the tenant's time."""

from fastapi import APIRouter, Depends

from services.notifier.api.dependencies import TenantId, Wired
from services.notifier.store import recipients
from services.notifier.store.statistics import open_work
from shared.idle import IdleCheck
from shared.web import access
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["state"])


@router.get("/idle", summary="Check whether everything of a tenant is processed", dependencies=[Depends(access("operator"))])
async def check_idle(wiring: Wired, tenant: TenantId) -> IdleCheck:
    """Everything is processed when both consumer groups have read the tenant's topics to the end, no digest is being collected, and no
    e-mail waits to be sent."""
    behind = [each.group.name for each in wiring.consumers if not await each.at_end(tenant)]
    waiting_for = [f"{group}: topics are not read to their end" for group in behind]
    async with wiring.database.unit_of_work(tenant) as uow:
        clock, at = await recipients.time_of(uow.connection, tenant)
        found = await open_work(uow.connection, tenant)
    time = at if clock == "test" else wiring.clock.now()
    next_due = found.next_due(wiring.waiting_longest)
    if found.collecting:
        waiting_for.append(f"digests: {found.collecting} notifications are not sent yet")
    if found.emails:
        waiting_for.append(f"e-mails: {found.emails} are waiting to be sent")
    if next_due and time and next_due <= time:
        waiting_for.append(f"recipients: {found.waiting} notifications are due to the administrators")
    return IdleCheck.of(time, waiting_for, next_due, found, *(each.positions(tenant) for each in wiring.consumers))
