"""Purchases and reductions by request: request, estimate, approval (A9, A11)."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request, Response

from services.invoicing import store
from services.invoicing.api.dependencies import Buyer, IdPath, TenantId, TenantOperator, Wired
from services.invoicing.api.requests import DeclineBody, EstimateBody, OrderingBody, PurchaseRequestBody
from services.invoicing.api.responses.purchase_requests import OrderingView, PurchaseRequestView, TenantRequestView
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import local_day
from services.invoicing.store.purchase_requests import DECLINED, ESTIMATED, WITHDRAWN
from services.invoicing.use_cases import purchase_requests as use_cases
from services.invoicing.use_cases.discounts import with_offered
from services.invoicing.use_cases.locked_tenants import time_of
from services.invoicing.use_cases.ordering import ordering_of
from services.invoicing.use_cases.purchase_settings import change_ordering
from services.invoicing.use_cases.quotes import situation_of
from services.invoicing.use_cases.reductions import forecast
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound
from shared.web import Cursor, Limit, Page, access, actor_of, answer, decode_cursor, encode_cursor, operator, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

OF_TENANT = "/v1/tenants/{tenant}"
router = APIRouter(route_class=CheckedRoute, tags=["purchases"])
State = Annotated[
    Literal["requested", "estimated", "approved", "declined", "withdrawn", "expired"] | None,
    Query(description="Only requests in this state."),
]
READ = [Depends(access("account:read"))]


class _DryRun(Exception):
    """The end of a dry run: it rolls the transaction back."""


async def _view(uow: UnitOfWork, tenant: str, request: str, clock: Clock) -> PurchaseRequestView:
    """Return a request, with the price of an estimate for today. The price is null while it cannot be calculated."""
    found = await store.purchase_requests.find(uow.connection, tenant, request)
    about = await store.tenants.find(uow.connection, tenant)
    if found is None or about is None:
        raise NotFound("purchase request")
    shown, at = PurchaseRequestView.of(tenant, found), time_of(about, clock)
    if found.state != ESTIMATED:
        return shown
    try:
        situation = await with_offered(uow, tenant, request, await situation_of(uow, about, at))
        if found.valid_until is not None and local_day(at, situation.contract.time_zone) <= found.valid_until:
            use_cases.check_prices(found, situation.contract)
            price = await use_cases.todays_price(uow, tenant, situation, found.wanted, SYSTEM)
            now = {each.discount: each.model_dump() for each in situation.offered}
            discounts = tuple(each.model_copy(update=now.get(each.discount, {})) for each in shown.discounts)
            shown = shown.model_copy(update={"discounts": discounts})
            return shown.with_price(price, situation.contract.currency, about.locale)
    except Conflict:
        pass  # for example while a renewal is pending
    return shown


@router.post(
    f"{OF_TENANT}/purchase-requests",
    summary="Request more or fewer licences from the vendor",
    status_code=201,
    response_model=PurchaseRequestView,
    responses=refusals(409),
)
async def post_request(
    wiring: Wired, request: Request, tenant: TenantId, body: PurchaseRequestBody, principal: Buyer, key: IdempotencyKey = None
) -> Response:
    """The vendor answers with an estimate, or declines the request. Requests of people who have no account, for example from the vendor's
    web site, are sent by an API client of the operator."""

    async def act() -> Response:
        made = await use_cases.make_request(uow, tenant, body, actor_of(principal), clock=wiring.clock)
        shown = await _view(uow, tenant, made, wiring.clock)
        return answer(shown, 201, {"location": f"/v1/tenants/{tenant}/purchase-requests/{made}"})

    async def read(made: str) -> Response:
        return answer(await _view(uow, tenant, made, wiring.clock))

    async with wiring.database.unit_of_work(tenant) as uow:
        return await idempotent(uow, request, principal, key, act, read)


@router.get(f"{OF_TENANT}/purchase-requests", summary="List the requests, newest first", dependencies=READ)
async def list_requests(
    wiring: Wired, tenant: TenantId, state: State = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[PurchaseRequestView]:
    (before,) = decode_cursor(cursor, int) or (store.quotes.LAST,)
    async with wiring.database.unit_of_work(tenant) as uow:
        await store.tenants.check(uow.connection, tenant)
        found = await store.purchase_requests.page(uow.connection, tenant, before, limit, state)
    items = [PurchaseRequestView.of(tenant, each) for each in found]
    return Page(items=items, next=encode_cursor(found[-1].place) if len(found) == limit else None)


@router.get(f"{OF_TENANT}/purchase-requests/{{request}}", summary="Get a request, its estimate and its history", dependencies=READ)
async def get_request(wiring: Wired, tenant: TenantId, request: IdPath) -> PurchaseRequestView:
    """For an estimate, `if_approved_today` is the amount of an approval today, and `less_each_day_minor` says how much less it is on each
    later day of the period."""
    async with wiring.database.unit_of_work(tenant) as uow:
        return await _view(uow, tenant, request, wiring.clock)


@router.put(f"{OF_TENANT}/purchase-requests/{{request}}/estimate", summary="Make the estimate of a request", responses=refusals(409))
async def put_estimate(
    wiring: Wired,
    tenant: TenantId,
    request: IdPath,
    body: EstimateBody,
    principal: TenantOperator,
    dry_run: Annotated[bool, Query(description="Send nothing, and return what the estimate would cost.")] = False,
) -> PurchaseRequestView:
    """The estimate fixes modules, numbers and unit prices until its date. From the next renewal on, the price list applies. Another
    estimate replaces it until the customer approves it, also after its date. What could not be approved is refused now; `field` names the
    item."""
    try:
        async with wiring.database.unit_of_work(tenant) as uow:
            await use_cases.make_estimate(uow, tenant, request, body, actor_of(principal), clock=wiring.clock)
            shown = await _view(uow, tenant, request, wiring.clock)
            if dry_run:
                raise _DryRun
    except _DryRun:
        pass  # the transaction is rolled back
    return shown


@router.post(f"{OF_TENANT}/purchase-requests/{{request}}/approve", summary="Approve an estimate", responses=refusals(409))
async def post_request_approval(wiring: Wired, tenant: TenantId, request: IdPath, principal: Buyer) -> PurchaseRequestView:
    """The licences are ordered with the amount of today. `orders` and `reductions` name what seats decides next."""
    async with wiring.database.unit_of_work(tenant) as uow:
        body = await use_cases.approved_reduction(uow, tenant, request, clock=wiring.clock)
    flagged = await forecast(wiring.database, wiring.seats, tenant, body, clock=wiring.clock) if body is not None else None
    async with wiring.database.unit_of_work(tenant) as uow:
        actor = actor_of(principal)
        await use_cases.approve_request(uow, tenant, request, flagged, actor, settings=wiring.settings, clock=wiring.clock)
        return await _view(uow, tenant, request, wiring.clock)


@router.post(f"{OF_TENANT}/purchase-requests/{{request}}/decline", summary="Decline a request", responses=refusals(409))
async def post_decline(
    wiring: Wired, tenant: TenantId, request: IdPath, body: DeclineBody, principal: TenantOperator
) -> PurchaseRequestView:
    """The customer gets the reason. If you decline it again, nothing changes."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await use_cases.close_request(uow, tenant, request, DECLINED, body.reason, actor_of(principal), clock=wiring.clock)
        return await _view(uow, tenant, request, wiring.clock)


@router.post(f"{OF_TENANT}/purchase-requests/{{request}}/withdraw", summary="Withdraw a request", responses=refusals(409))
async def post_request_withdrawal(wiring: Wired, tenant: TenantId, request: IdPath, principal: Buyer) -> PurchaseRequestView:
    """Its estimate cannot be approved any more. If you withdraw it again, nothing changes."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await use_cases.close_request(uow, tenant, request, WITHDRAWN, "", actor_of(principal), clock=wiring.clock)
        return await _view(uow, tenant, request, wiring.clock)


@router.get("/v1/operator/requests", summary="List the requests of all tenants, newest first", dependencies=[Depends(operator())])
async def list_requests_of_all(
    wiring: Wired, state: State = None, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[TenantRequestView]:
    """With `state=requested`, the list shows the requests that wait for an estimate."""
    (before,) = decode_cursor(cursor, int) or (store.quotes.LAST,)
    async with wiring.database.unit_of_work(None) as uow:
        found = await store.purchase_requests.page_of_all(uow.connection, before, limit, state)
    items = [TenantRequestView.of_tenant(each) for each in found]
    return Page(items=items, next=encode_cursor(found[-1].place) if len(found) == limit else None)


@router.put(f"{OF_TENANT}/ordering", summary="Set whether a tenant buys by itself or by request", responses=refusals(409))
async def put_ordering(wiring: Wired, tenant: TenantId, body: OrderingBody, principal: TenantOperator) -> OrderingView:
    """by_request: quotes, reductions and changes of the plan are refused, and name the endpoint of requests."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await change_ordering(uow, tenant, body.ordering, actor_of(principal), clock=wiring.clock)
        return OrderingView(ordering=await ordering_of(uow, tenant, wiring.clock))
