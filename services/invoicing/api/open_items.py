"""The purchases and invoices that wait for a person of a tenant, for pages that lead there."""

from dataclasses import asdict

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from services.invoicing import store
from services.invoicing.api.dependencies import TenantId, Wired, today_of
from services.invoicing.use_cases.ordering import ordering_of
from shared.web import access
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["account"])


class OpenItemsView(BaseModel):
    """Purchases and invoices that somebody has to look at, and how the tenant buys."""

    waiting_quotes: int = Field(description="Quotes that wait for their second approver.")
    estimates: int = Field(description="Estimates of the vendor that nobody has approved yet.")
    overdue_invoices: int
    overdue_minor: int = Field(description="What is still to be paid of the overdue invoices.")
    currency: str | None = Field(description="null: there is no subscription yet.")
    purchases_blocked: bool = Field(description="True if nothing can be bought until overdue invoices are paid.")
    ordering: str = Field(description="self_service or by_request: how the tenant buys now.")


@router.get("/open-items", summary="Get what waits for a person", dependencies=[Depends(access("account:read"))])
async def get_open_items(wiring: Wired, tenant: TenantId) -> OpenItemsView:
    async with wiring.database.unit_of_work(tenant) as uow:
        found = await store.open_items.of_tenant(uow.connection, tenant, await today_of(uow, tenant, wiring.clock))
        contract = await store.subscriptions.contract(uow.connection, tenant)
        overdue = await store.overdue.find(uow.connection, tenant)
        ordering = await ordering_of(uow, tenant, wiring.clock)
    currency = contract.currency if contract is not None else None
    return OpenItemsView(**asdict(found), currency=currency, purchases_blocked=overdue.blocked, ordering=ordering)
