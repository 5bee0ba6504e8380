"""Reductions: fewer licences at the end of the period, or at once where the policy `reduce_at` says so."""

from functools import partial

from fastapi import APIRouter, Request, Response

from services.invoicing import store
from services.invoicing.api.dependencies import Buyer, IdPath, Reader, TenantId, Wired, answer_in_time, decided_in_time
from services.invoicing.api.requests import ReductionBody
from services.invoicing.api.responses.reductions import ReductionView
from services.invoicing.use_cases.ordering import check_direct_buying
from services.invoicing.use_cases.reductions import approve_reduction, check_people, forecast, offer_reduction
from services.invoicing.wiring import Wiring
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.web import Cursor, Limit, Page, Principal, actor_of, answer, decode_cursor, encode_cursor, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.prefer import Prefer, wait_for, wait_seconds
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["purchases"])


async def _view(uow: UnitOfWork, tenant: str, reduction: str, principal: Principal) -> ReductionView:
    found = await store.reductions.find(uow.connection, tenant, reduction)
    if found is None:
        raise NotFound("reduction")
    return ReductionView.of(tenant, found, named=principal.departments is None)


async def _decided(wiring: Wiring, tenant: str, reduction: str, principal: Principal) -> ReductionView | None:
    """Return the reduction if seats has decided it."""
    async with wiring.database.unit_of_work(tenant) as uow:
        found = await _view(uow, tenant, reduction, principal)
    return found if found.status in ("completed", "refused") else None


@router.post(
    "/reductions", summary="Request a reduction of licences", status_code=201, response_model=ReductionView, responses=refusals(409)
)
async def post_reduction(
    wiring: Wired, request: Request, tenant: TenantId, body: ReductionBody, principal: Buyer, key: IdempotencyKey = None
) -> Response:
    """The answer names the people who would be flagged, and the price of the next period. Nothing is reduced until you approve it."""
    flagged = await forecast(wiring.database, wiring.seats, tenant, body, clock=wiring.clock)

    async def act() -> Response:
        await check_direct_buying(uow, tenant, wiring.clock)
        made = await offer_reduction(uow, tenant, body, flagged, settings=wiring.settings, clock=wiring.clock)
        shown = await _view(uow, tenant, made, principal)
        return answer(shown, 201, {"location": shown.status_url})

    async def read(made: str) -> Response:
        return answer(await _view(uow, tenant, made, principal))

    async with wiring.database.unit_of_work(tenant) as uow:
        return await idempotent(uow, request, principal, key, act, read)


@router.put(
    "/next-period",
    summary="Set the licences of the next period",
    status_code=202,
    response_model=ReductionView,
    responses=decided_in_time(ReductionView) | refusals(409),
)
async def put_next_period(wiring: Wired, tenant: TenantId, body: ReductionBody, principal: Buyer, prefer: Prefer = None) -> Response:
    """This asks for a reduction and approves it in one step. Any number from 1 to the present one can be set, as often as you like, before
    the period starts (T12, T13, T15)."""
    flagged = await forecast(wiring.database, wiring.seats, tenant, body, clock=wiring.clock)
    async with wiring.database.unit_of_work(tenant) as uow:
        await check_direct_buying(uow, tenant, wiring.clock)
        made = await offer_reduction(uow, tenant, body, flagged, settings=wiring.settings, clock=wiring.clock)
        await approve_reduction(uow, tenant, made, actor_of(principal), clock=wiring.clock)
        shown = await _view(uow, tenant, made, principal)
    response = answer(shown, 202, {"location": shown.status_url})
    return await answer_in_time(wiring, prefer, response, partial(_decided, wiring, tenant, made, principal))


@router.get("/reductions", summary="List the reductions, oldest first")
async def list_reductions(
    wiring: Wired, tenant: TenantId, principal: Reader, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[ReductionView]:
    (after,) = decode_cursor(cursor, int) or (0,)
    async with wiring.database.unit_of_work(tenant) as uow:
        await store.tenants.check(uow.connection, tenant)
        found = await store.reductions.page(uow.connection, tenant, after, limit)
    items = [ReductionView.of(tenant, each, named=principal.departments is None) for each in found]
    return Page(items=items, next=encode_cursor(found[-1].place) if len(found) == limit else None)


@router.get("/reductions/{reduction}", summary="Get a reduction")
async def get_reduction(wiring: Wired, tenant: TenantId, reduction: IdPath, principal: Reader, prefer: Prefer = None) -> ReductionView:
    decided = await wait_for(wiring.clock, wait_seconds(prefer), partial(_decided, wiring, tenant, reduction, principal))
    if decided is not None:
        return decided
    async with wiring.database.unit_of_work(tenant) as uow:
        return await _view(uow, tenant, reduction, principal)


@router.post(
    "/reductions/{reduction}/approve",
    summary="Approve a reduction",
    status_code=202,
    response_model=ReductionView,
    responses=decided_in_time(ReductionView) | refusals(409),
)
async def post_approval(
    wiring: Wired,
    request: Request,
    tenant: TenantId,
    reduction: IdPath,
    principal: Buyer,
    key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """The reduction is sent to seats, which decides it. If you approve it again, nothing changes. A reduction at once is refused if it
    would flag more or other people than its offer says, or if seats answered the offer and does not answer now."""
    await check_people(wiring.database, wiring.seats, tenant, reduction, clock=wiring.clock)

    async def act() -> Response:
        await approve_reduction(uow, tenant, reduction, actor_of(principal), clock=wiring.clock)
        shown = await _view(uow, tenant, reduction, principal)
        return answer(shown, 202, {"location": shown.status_url})

    async def read(_: str) -> Response:
        return answer(await _view(uow, tenant, reduction, principal))

    async with wiring.database.unit_of_work(tenant) as uow:
        response = await idempotent(uow, request, principal, key, act, read)
    return await answer_in_time(wiring, prefer, response, partial(_decided, wiring, tenant, reduction, principal))
