"""Orders, and how seats decided them."""

from functools import partial

from fastapi import APIRouter, Depends

from services.invoicing import store
from services.invoicing.api.dependencies import IdPath, TenantId, Wired
from services.invoicing.api.responses import OrderView
from services.invoicing.wiring import Wiring
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.web import access
from shared.web.prefer import Prefer, wait_for, wait_seconds
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/orders", tags=["purchases"])


async def order_view(uow: UnitOfWork, tenant: str, order: str) -> OrderView:
    found = await store.orders.find(uow.connection, tenant, order)
    if found is None:
        raise NotFound("order")
    return OrderView.of(tenant, found, await store.invoices.of_order(uow.connection, tenant, order))


async def decided_order(wiring: Wiring, tenant: str, order: str) -> OrderView | None:
    """Return the order if seats has decided it."""
    async with wiring.database.unit_of_work(tenant) as uow:
        found = await order_view(uow, tenant, order)
    return found if found.status != "pending" else None


@router.get("/{order}", summary="Get an order", dependencies=[Depends(access("account:read"))])
async def get_order(wiring: Wired, tenant: TenantId, order: IdPath, prefer: Prefer = None) -> OrderView:
    decided = await wait_for(wiring.clock, wait_seconds(prefer), partial(decided_order, wiring, tenant, order))
    if decided is not None:
        return decided
    async with wiring.database.unit_of_work(tenant) as uow:
        return await order_view(uow, tenant, order)
