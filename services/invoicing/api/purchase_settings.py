"""What a tenant decided about its purchases: who approves them."""

from typing import Annotated

from fastapi import APIRouter, Depends

from services.invoicing import store
from services.invoicing.api.dependencies import TenantId, Wired
from services.invoicing.api.requests import PurchaseSettingsBody
from services.invoicing.api.responses import PurchaseSettingsView
from services.invoicing.store.purchase_settings import PurchaseSettings
from services.invoicing.use_cases.purchase_settings import change_purchase_settings
from shared.web import Principal, access, actor_of, refusals
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/purchase-settings", tags=["purchases"])
Manager = Annotated[Principal, Depends(access("settings:manage"))]


@router.put("", summary="Set who approves purchases", responses=refusals(409))
async def put_purchase_settings(wiring: Wired, tenant: TenantId, body: PurchaseSettingsBody, principal: Manager) -> PurchaseSettingsView:
    """The settings hold for approvals from now on. A purchase that waits for its second approver goes on waiting."""
    settings = PurchaseSettings(second_approver=body.second_approver)
    async with wiring.database.unit_of_work(tenant) as uow:
        await change_purchase_settings(uow, tenant, settings, actor_of(principal), clock=wiring.clock)
    return PurchaseSettingsView(second_approver=settings.second_approver)


@router.get("", summary="Get who approves purchases", dependencies=[Depends(access("account:read"))])
async def get_purchase_settings(wiring: Wired, tenant: TenantId) -> PurchaseSettingsView:
    async with wiring.database.unit_of_work(tenant) as uow:
        await store.tenants.check(uow.connection, tenant)
        found = await store.purchase_settings.find(uow.connection, tenant)
    return PurchaseSettingsView(second_approver=found.second_approver)
