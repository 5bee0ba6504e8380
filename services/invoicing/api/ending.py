"""The end of a subscription."""

from fastapi import APIRouter, Depends, Request, Response

from services.invoicing.api.dependencies import Buyer, TenantId, TenantOperator, Wired, answer_in_time, decided_in_time
from services.invoicing.api.requests import EndBody, EndingBody
from services.invoicing.api.responses import SubscriptionView
from services.invoicing.api.subscription import view_of
from services.invoicing.use_cases import endings
from services.invoicing.wiring import Wiring
from shared.web import access, actor_of, answer, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.prefer import Prefer
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/subscription", tags=["account"])


async def _look(wiring: Wiring, tenant: str) -> SubscriptionView:
    async with wiring.database.unit_of_work(tenant) as uow:
        return await view_of(uow, tenant)


@router.post(
    "/ending",
    summary="End the subscription at the end of its period",
    status_code=202,
    response_model=SubscriptionView,
    responses=decided_in_time(SubscriptionView) | refusals(409),
)
async def post_ending(
    wiring: Wired,
    request: Request,
    tenant: TenantId,
    principal: Buyer,
    body: EndingBody | None = None,
    key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """Until the first day without the subscription (`ends_on`), everything works, and licences can be bought. Then nobody keeps a seat, one
    last document has what was not charged or credited yet, and nothing is renewed. Until then the ending can be taken back."""

    async def act() -> Response:
        reason = body.reason if body is not None else ""
        await endings.end_subscription(uow, tenant, actor_of(principal), reason, clock=wiring.clock)
        return answer(await view_of(uow, tenant), 202, {"location": f"/v1/tenants/{tenant}/subscription"})

    async def read(_: str) -> Response:
        return answer(await view_of(uow, tenant))

    async with wiring.database.unit_of_work(tenant) as uow:
        response = await idempotent(uow, request, principal, key, act, read)

    async def look() -> SubscriptionView | None:
        found = await _look(wiring, tenant)
        return found if not any(module.next_period for module in found.modules) else None

    return await answer_in_time(wiring, prefer, response, look)


@router.delete(
    "/ending",
    summary="Take the ending of the subscription back",
    status_code=202,
    response_model=SubscriptionView,
    responses=decided_in_time(SubscriptionView) | refusals(409),
)
async def delete_ending(wiring: Wired, tenant: TenantId, principal: Buyer, prefer: Prefer = None) -> Response:
    """Each module gets the number back that it had for the next period. It is possible until the last day, that day included. `ends_on` is
    null when seats has taken the ending back."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await endings.keep_subscription(uow, tenant, actor_of(principal), clock=wiring.clock)
        response = answer(await view_of(uow, tenant), 202, {"location": f"/v1/tenants/{tenant}/subscription"})

    async def look() -> SubscriptionView | None:
        found = await _look(wiring, tenant)
        return found if found.ends_on is None else None

    return await answer_in_time(wiring, prefer, response, look)


@router.post(
    "/end",
    summary="End the subscription at once",
    status_code=202,
    response_model=SubscriptionView,
    responses=decided_in_time(SubscriptionView) | refusals(409),
    dependencies=[Depends(access("operator"))],
)
async def post_end(
    wiring: Wired,
    request: Request,
    tenant: TenantId,
    principal: TenantOperator,
    body: EndBody,
    key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """Yesterday was the last day of the licences: the days from today on are credited at once. This cannot be taken back."""

    async def act() -> Response:
        await endings.end_subscription(uow, tenant, actor_of(principal), body.reason, clock=wiring.clock, at_once=True)
        return answer(await view_of(uow, tenant), 202, {"location": f"/v1/tenants/{tenant}/subscription"})

    async def read(_: str) -> Response:
        return answer(await view_of(uow, tenant))

    async with wiring.database.unit_of_work(tenant) as uow:
        response = await idempotent(uow, request, principal, key, act, read)

    async def look() -> SubscriptionView | None:
        found = await _look(wiring, tenant)
        return found if found.status == "ended" else None

    return await answer_in_time(wiring, prefer, response, look)
