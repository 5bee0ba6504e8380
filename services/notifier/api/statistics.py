"""Counts of one tenant."""

from dataclasses import asdict

from fastapi import APIRouter, Depends

from services.notifier.api.dependencies import TenantId, Wired
from services.notifier.api.responses import Statistics
from services.notifier.store import recipients
from services.notifier.store.statistics import statistics
from shared.web import access
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["state"])


@router.get("/statistics", summary="Get the statistics of a tenant", dependencies=[Depends(access("account:read"))])
async def get_statistics(wiring: Wired, tenant: TenantId) -> Statistics:
    async with wiring.database.unit_of_work(tenant) as uow:
        await recipients.check_tenant(uow.connection, tenant)
        return Statistics(**asdict(await statistics(uow.connection, tenant)))
