"""What a tenant decided about its purchases: who approves them, and their monthly budget."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends

from services.invoicing import store
from services.invoicing.api.dependencies import TenantId, Wired, today_of
from services.invoicing.api.requests import PurchaseSettingsBody
from services.invoicing.api.responses.purchase_settings import PurchaseSettingsView
from services.invoicing.domain.budget import month_of
from services.invoicing.use_cases.ordering import ordering_of
from services.invoicing.use_cases.purchase_settings import change_purchase_settings
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.web import Principal, access, actor_of, refusals
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/purchase-settings", tags=["purchases"])
Manager = Annotated[Principal, Depends(access("settings:manage"))]


async def _view(uow: UnitOfWork, tenant: str, clock: Clock) -> PurchaseSettingsView:
    today = await today_of(uow, tenant, clock)
    found = await store.purchase_settings.find(uow.connection, tenant)
    used = await store.budget.used_minor(uow.connection, tenant, month_of(today))
    budget, ordering = found.monthly_budget_minor, await ordering_of(uow, tenant, clock)
    return PurchaseSettingsView(
        **asdict(found), ordering_in_force=ordering, used_minor=used, left_minor=None if budget is None else budget - used
    )


@router.put("", summary="Set who approves purchases, and their monthly budget", responses=refusals(409))
async def put_purchase_settings(wiring: Wired, tenant: TenantId, body: PurchaseSettingsBody, principal: Manager) -> PurchaseSettingsView:
    """The settings hold for approvals from now on. A purchase that waits for its second approver goes on waiting."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await change_purchase_settings(uow, tenant, **body.model_dump(), actor=actor_of(principal), clock=wiring.clock)
        return await _view(uow, tenant, wiring.clock)


@router.get("", summary="Get who approves purchases, and their monthly budget", dependencies=[Depends(access("account:read"))])
async def get_purchase_settings(wiring: Wired, tenant: TenantId) -> PurchaseSettingsView:
    async with wiring.database.unit_of_work(tenant) as uow:
        return await _view(uow, tenant, wiring.clock)
