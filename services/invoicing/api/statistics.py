"""Counts and sums of one tenant."""

from fastapi import APIRouter, Depends

from services.invoicing import store
from services.invoicing.api.dependencies import TenantId, Wired
from services.invoicing.api.responses.statistics import StatisticsView
from shared.web import access
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["state"])


@router.get("/statistics", summary="Get the statistics of a tenant", dependencies=[Depends(access("account:read"))])
async def get_statistics(wiring: Wired, tenant: TenantId) -> StatisticsView:
    async with wiring.database.unit_of_work(tenant) as uow:
        await store.tenants.check(uow.connection, tenant)
        found = await store.statistics.of_tenant(uow.connection, tenant)
        contract = await store.subscriptions.contract(uow.connection, tenant)
    shown = {name: getattr(found, name) for name in StatisticsView.model_fields if name != "currency"}
    return StatisticsView(**shown, currency=contract.currency if contract else None)
