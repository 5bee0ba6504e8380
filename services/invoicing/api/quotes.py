"""Quotes, and their approval."""

from functools import partial

from fastapi import APIRouter, Depends, Request, Response

from services.invoicing import store
from services.invoicing.api.dependencies import Buyer, IdPath, TenantId, Wired, answer_in_time, decided_in_time
from services.invoicing.api.orders import decided_order, order_view
from services.invoicing.api.requests import QuoteBody
from services.invoicing.api.responses import OrderView, QuoteView
from services.invoicing.use_cases.orders import approve_quote
from services.invoicing.use_cases.quotes import make_quote
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.web import access, actor_of, answer, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.prefer import Prefer
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/quotes", tags=["purchases"])


async def quote_view(uow: UnitOfWork, tenant: str, quote: str) -> QuoteView:
    found, about = await store.quotes.find(uow.connection, tenant, quote), await store.tenants.find(uow.connection, tenant)
    order = await store.orders.of_quote(uow.connection, tenant, quote)
    if found is None or about is None:
        raise NotFound("quote")
    return QuoteView.of(about, found[0], order.order if order else None)


@router.post("", summary="Request a quote for more licences", status_code=201, response_model=QuoteView, responses=refusals(409))
async def post_quote(
    wiring: Wired, request: Request, tenant: TenantId, body: QuoteBody, principal: Buyer, key: IdempotencyKey = None
) -> Response:
    """The price is that of the tenant's present local day and price list. Nothing is bought until the quote is approved."""

    async def act() -> Response:
        made = await make_quote(uow, tenant, body, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        found = await store.tenants.find(uow.connection, tenant)
        assert found is not None
        return answer(QuoteView.of(found, made, None), 201, {"location": f"/v1/tenants/{tenant}/quotes/{made.quote}"})

    async def read(made: str) -> Response:
        return answer(await quote_view(uow, tenant, made))

    async with wiring.database.unit_of_work(tenant) as uow:
        return await idempotent(uow, request, principal, key, act, read)


@router.get("/{quote}", summary="Get a quote", dependencies=[Depends(access("account:read"))])
async def get_quote(wiring: Wired, tenant: TenantId, quote: IdPath) -> QuoteView:
    async with wiring.database.unit_of_work(tenant) as uow:
        return await quote_view(uow, tenant, quote)


@router.post(
    "/{quote}/approve",
    summary="Approve a quote",
    status_code=202,
    response_model=OrderView,
    responses=decided_in_time(OrderView) | refusals(409),
)
async def post_approval(
    wiring: Wired,
    request: Request,
    tenant: TenantId,
    quote: IdPath,
    principal: Buyer,
    key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """The quote becomes an order, which seats decides. If you approve the quote again, you get the same order."""
    ordered = ""

    async def act() -> Response:
        nonlocal ordered
        ordered = await approve_quote(uow, tenant, quote, actor_of(principal), clock=wiring.clock)
        shown = await order_view(uow, tenant, ordered)
        return answer(shown, 202, {"location": shown.status_url})

    async def read(order: str) -> Response:
        return answer(await order_view(uow, tenant, order))

    async with wiring.database.unit_of_work(tenant) as uow:
        response = await idempotent(uow, request, principal, key, act, read)
        if not ordered:  # the request was repeated and got its first answer
            found = await store.orders.of_quote(uow.connection, tenant, quote)
            assert found is not None
            ordered = found.order
    return await answer_in_time(wiring, prefer, response, partial(decided_order, wiring, tenant, ordered))
