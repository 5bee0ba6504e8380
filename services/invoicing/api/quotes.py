"""Quotes, and their approval."""

from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from services.invoicing import store
from services.invoicing.api.dependencies import Buyer, IdPath, Reader, TenantId, Wired, answer_in_time, decided_in_time
from services.invoicing.api.orders import decided_order, order_view
from services.invoicing.api.requests import QuoteBody
from services.invoicing.api.responses.orders import OrderView
from services.invoicing.api.responses.quotes import QuoteView, history_of
from services.invoicing.use_cases.locked_tenants import time_of
from services.invoicing.use_cases.ordering import check_direct_buying
from services.invoicing.use_cases.orders import approve_quote, outcome_of_approval, withdraw_quote
from services.invoicing.use_cases.quotes import make_quote
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.schemas.rights import ACCOUNT_BUY
from shared.web import Cursor, Limit, Page, Principal, access, actor_of, answer, decode_cursor, encode_cursor, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.prefer import Prefer
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/quotes", tags=["purchases"])


State = Annotated[
    Literal["open", "waiting_for_approval", "replaced", "approved", "activated", "refused", "expired", "withdrawn"] | None,
    Query(description="Only quotes in this state."),
]


async def quote_view(uow: UnitOfWork, tenant: str, quote: str, clock: Clock) -> QuoteView:
    about = await store.tenants.find(uow.connection, tenant)
    found = await store.quotes.find(uow.connection, tenant, quote)
    if found is None or about is None:
        raise NotFound("quote")
    order = await store.orders.of_quote(uow.connection, tenant, quote)
    return QuoteView.of(about, found, time_of(about, clock), order.order if order else None)


@router.get("", summary="List the quotes, newest first", dependencies=[Depends(access("account:read"))])
async def list_quotes(
    wiring: Wired, tenant: TenantId, state: State = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[QuoteView]:
    (before,) = decode_cursor(cursor, int) or (store.quotes.LAST,)
    async with wiring.database.unit_of_work(tenant) as uow:
        about = await store.tenants.find(uow.connection, tenant)
        if about is None:
            raise NotFound("tenant")
        now = time_of(about, wiring.clock)
        found = await store.quotes.page(uow.connection, tenant, before, limit, state, now)
        orders = await store.orders.of_quotes(uow.connection, tenant, [each.quote for each in found])
    items = [QuoteView.of(about, each, now, orders.get(each.quote)) for each in found]
    return Page(items=items, next=encode_cursor(found[-1].place) if len(found) == limit else None)


@router.post("", summary="Request a quote for more licences", status_code=201, response_model=QuoteView, responses=refusals(409))
async def post_quote(
    wiring: Wired, request: Request, tenant: TenantId, body: QuoteBody, principal: Buyer, key: IdempotencyKey = None
) -> Response:
    """The price is that of the tenant's present local day and price list. Nothing is bought until the quote is approved."""

    async def act() -> Response:
        await check_direct_buying(uow, tenant, wiring.clock)
        made = await make_quote(uow, tenant, body, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        shown = await _with_outcome(uow, tenant, made.quote, principal, wiring.clock)
        return answer(shown, 201, {"location": f"/v1/tenants/{tenant}/quotes/{made.quote}"})

    async def read(made: str) -> Response:
        return answer(await _with_outcome(uow, tenant, made, principal, wiring.clock))

    async with wiring.database.unit_of_work(tenant) as uow:
        return await idempotent(uow, request, principal, key, act, read)


async def _with_outcome(uow: UnitOfWork, tenant: str, quote: str, principal: Principal, clock: Clock) -> QuoteView:
    """Return the quote with what an approval by the caller would do. Raises NotFound."""
    shown = await quote_view(uow, tenant, quote, clock)
    about, stored = await store.tenants.find(uow.connection, tenant), await store.quotes.find(uow.connection, tenant, quote)
    if about is None or stored is None or not principal.may(ACCOUNT_BUY):
        return shown
    outcome = await outcome_of_approval(uow, tenant, stored, actor_of(principal), time_of(about, clock))
    return shown.model_copy(update={"your_approval": outcome})


@router.get("/{quote}", summary="Get a quote and its history")
async def get_quote(wiring: Wired, tenant: TenantId, quote: IdPath, principal: Reader) -> QuoteView:
    async with wiring.database.unit_of_work(tenant) as uow:
        found = await _with_outcome(uow, tenant, quote, principal, wiring.clock)
        stored = await store.quotes.find(uow.connection, tenant, quote)
        assert stored is not None
        history = history_of(stored.issued, await store.quotes.steps(uow.connection, tenant, quote))
        newest = await store.quotes.newest(uow.connection, tenant, quote) if found.state == store.quotes.REPLACED else None
    return found.model_copy(update={"history": history, "replaced_by": newest})


@router.post("/{quote}/withdraw", summary="Withdraw a quote", responses=refusals(409))
async def post_withdrawal(wiring: Wired, tenant: TenantId, quote: IdPath, principal: Buyer) -> QuoteView:
    """A quote that was withdrawn cannot be approved any more. If you withdraw it again, nothing changes."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await withdraw_quote(uow, tenant, quote, actor_of(principal), clock=wiring.clock)
        return await quote_view(uow, tenant, quote, wiring.clock)


@router.post(
    "/{quote}/approve",
    summary="Approve a quote",
    status_code=202,
    response_model=OrderView | QuoteView,
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
    """The quote becomes an order, which seats decides. A quote is approved once: a second approval is refused, and names the order. If the
    tenant wants a second approver, the first approval answers with the quote, whose `state` is `waiting_for_approval`."""

    async def act() -> Response:
        ordered = await approve_quote(uow, tenant, quote, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        if ordered is None:
            return answer(await quote_view(uow, tenant, quote, wiring.clock), 202, {"location": f"/v1/tenants/{tenant}/quotes/{quote}"})
        shown = await order_view(uow, tenant, ordered)
        return answer(shown, 202, {"location": shown.status_url})

    async def read(name: str) -> Response:
        return answer(await (quote_view(uow, tenant, name, wiring.clock) if name == quote else order_view(uow, tenant, name)))

    async with wiring.database.unit_of_work(tenant) as uow:
        response = await idempotent(uow, request, principal, key, act, read)
    location = response.headers.get("location", "").rpartition("/")[2]
    if location in ("", quote):
        return response
    return await answer_in_time(wiring, prefer, response, partial(decided_order, wiring, tenant, location))
