"""What a tenant decided about its purchases: who approves them, and their monthly budget."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from services.invoicing import store
from services.invoicing.api.dependencies import TenantId, Wired, today_of
from services.invoicing.api.requests import PurchaseSettingsBody
from services.invoicing.api.responses.purchase_settings import PurchaseSettingsView
from services.invoicing.domain.budget import month_of
from services.invoicing.store.purchase_settings import PurchaseSettings
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.ordering import ordering_of
from services.invoicing.use_cases.purchase_settings import change_purchase_settings
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.web import IfMatch, Principal, access, actor_of, answer, check_if_match, etag, mark_of, refusals
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


def _mark(settings: PurchaseSettings) -> str:
    """Return what differs between two states of what PUT sets."""
    return mark_of({name: getattr(settings, name) for name in PurchaseSettingsBody.model_fields})


async def _shown(uow: UnitOfWork, tenant: str, clock: Clock) -> Response:
    found = await store.purchase_settings.find(uow.connection, tenant)
    return answer(await _view(uow, tenant, clock), headers={"etag": etag(_mark(found))})


@router.put(
    "", response_model=PurchaseSettingsView, responses=refusals(409, 412), summary="Set who approves purchases, and their monthly budget"
)
async def put_purchase_settings(
    wiring: Wired, tenant: TenantId, body: PurchaseSettingsBody, principal: Manager, if_match: IfMatch = None
) -> Response:
    """The settings hold for approvals from now on. A purchase that waits for its second approver goes on waiting. If you send `If-Match`,
    it is checked."""
    async with wiring.database.unit_of_work(tenant) as uow:
        if if_match is not None:
            await lock_tenant(uow, tenant, wiring.clock)
            check_if_match(if_match, _mark(await store.purchase_settings.find(uow.connection, tenant)))
        await change_purchase_settings(uow, tenant, **body.model_dump(), actor=actor_of(principal), clock=wiring.clock)
        return await _shown(uow, tenant, wiring.clock)


@router.get(
    "",
    response_model=PurchaseSettingsView,
    summary="Get who approves purchases, and their monthly budget",
    dependencies=[Depends(access("account:read"))],
)
async def get_purchase_settings(wiring: Wired, tenant: TenantId) -> Response:
    async with wiring.database.unit_of_work(tenant) as uow:
        return await _shown(uow, tenant, wiring.clock)
