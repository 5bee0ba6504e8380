"""Orders, and how seats decided them."""

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query

from services.invoicing import store
from services.invoicing.api.dependencies import IdPath, TenantId, Wired
from services.invoicing.api.responses.orders import OrderView
from services.invoicing.api.responses.quotes import history_of
from services.invoicing.wiring import Wiring
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.web import Cursor, Limit, Page, access, decode_cursor, encode_cursor
from shared.web.prefer import Prefer, wait_for, wait_seconds
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

router = APIRouter(
    route_class=CheckedRoute,
    prefix="/v1/tenants/{tenant}/orders",
    tags=["purchases"],
    dependencies=[Depends(access("account:read"))],
)
Status = Annotated[
    Literal["pending", "completed", "refused"] | None,
    Query(description="Only orders that are pending (seats has not decided yet), completed or refused."),
]


async def order_view(uow: UnitOfWork, tenant: str, order: str) -> OrderView:
    found = await store.orders.find(uow.connection, tenant, order)
    if found is None:
        raise NotFound("order")
    quote = await store.quotes.find(uow.connection, tenant, found.quote)
    assert quote is not None
    return OrderView.of(tenant, found, quote, await store.invoices.of_order(uow.connection, tenant, order))


async def decided_order(wiring: Wiring, tenant: str, order: str) -> OrderView | None:
    """Return the order if seats has decided it."""
    async with wiring.database.unit_of_work(tenant) as uow:
        found = await order_view(uow, tenant, order)
    return found if found.status != "pending" else None


@router.get("", summary="List the orders, newest first")
async def list_orders(
    wiring: Wired, tenant: TenantId, status: Status = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[OrderView]:
    (before,) = decode_cursor(cursor, int) or (store.quotes.LAST,)
    async with wiring.database.unit_of_work(tenant) as uow:
        await store.tenants.check(uow.connection, tenant)
        found = await store.orders.page(uow.connection, tenant, before, limit, status)
        invoices = await store.invoices.of_orders(uow.connection, tenant, [each.order for each in found])
        quotes = await store.quotes.of_ids(uow.connection, tenant, [each.quote for each in found])
    items = [OrderView.of(tenant, each, quotes[each.quote], invoices.get(each.order)) for each in found]
    return Page(items=items, next=encode_cursor(found[-1].place) if len(found) == limit else None)


@router.get("/{order}", summary="Get an order and its history")
async def get_order(wiring: Wired, tenant: TenantId, order: IdPath, prefer: Prefer = None) -> OrderView:
    await wait_for(wiring.clock, wait_seconds(prefer), partial(decided_order, wiring, tenant, order))
    async with wiring.database.unit_of_work(tenant) as uow:
        found = await store.orders.find(uow.connection, tenant, order)
        if found is None:
            raise NotFound("order")
        quote = await store.quotes.find(uow.connection, tenant, found.quote)
        assert quote is not None
        history = history_of(quote.issued, await store.quotes.steps(uow.connection, tenant, found.quote))
        invoice = await store.invoices.of_order(uow.connection, tenant, order)
    return OrderView.of(tenant, found, quote, invoice).model_copy(update={"history": history})
