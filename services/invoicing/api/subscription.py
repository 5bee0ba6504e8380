"""The subscription of a tenant."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import APIRouter, Depends, Request, Response

from services.invoicing import store
from services.invoicing.api.dependencies import (
    TenantId,
    TenantOperator,
    Wired,
    answer_in_time,
    decided_in_time,
    wait_for_tenant,
)
from services.invoicing.api.requests import SubscriptionBody
from services.invoicing.api.responses.subscription import ResumedView, SubscriptionView, subscription_view
from services.invoicing.domain.prices import NextStart
from services.invoicing.use_cases import subscriptions
from services.invoicing.use_cases.price_lists import coming_price_lists, next_price_list, own_price_list
from services.invoicing.use_cases.scheduled_plans import following_plan
from services.invoicing.use_cases.send_again import resume
from services.invoicing.wiring import Wiring
from shared.database import UnitOfWork
from shared.web import Principal, access, actor_of, answer, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.prefer import Prefer
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/subscription", tags=["account"])


async def view_of(uow: UnitOfWork, tenant: str) -> SubscriptionView:
    """Return the subscription, also one that has ended. Raises NotFound."""
    c = uow.connection
    found = await store.subscriptions.need(c, tenant)
    contract = found.contract
    plan = await own_price_list(uow, contract, found.period_end)
    next_list = await next_price_list(uow, tenant, contract, found.period_end)
    # The ending is read first: an answer of seats in between, which takes it back, is then read completely or counts as not read yet.
    ending, modules = await store.endings.find(c, tenant), await store.subscriptions.modules(c, tenant)
    pools = await store.pools.reported(c, tenant)
    following = await following_plan(uow, tenant, contract) if ending is None else None
    discounts = await store.discounts.of_subscription(c, tenant, found.subscription)
    next_start = NextStart(next_list, contract.term, found.period_end, discounts, following)
    coming = await coming_price_lists(uow, tenant, contract, found.period_end) if ending is None else []
    return subscription_view(found, contract, modules, pools, plan, next_start, coming, ending.ends_on if ending is not None else None)


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long the client waits (`Prefer`), and when seats has decided."""

    prefer: str | None
    decided: Callable[[SubscriptionView], bool]


async def change_subscription(
    wiring: Wiring,
    request: Request,
    tenant: str,
    principal: Principal,
    key: str | None,
    change: Callable[[UnitOfWork], Awaitable[None]],
    waiting: Waiting,
) -> Response:
    """Change the subscription once for an idempotency key, and answer with it."""

    async def act() -> Response:
        await change(uow)
        return answer(await view_of(uow, tenant), 202, {"location": f"/v1/tenants/{tenant}/subscription"})

    async def read(_: str) -> Response:
        return answer(await view_of(uow, tenant))

    async with wiring.database.unit_of_work(tenant) as uow:
        response = await idempotent(uow, request, principal, key, act, read)
    return await decided(wiring, tenant, response, waiting)


async def decided(wiring: Wiring, tenant: str, response: Response, waiting: Waiting) -> Response:
    """Answer with the subscription as it is when seats has decided, if the client waits for it."""

    async def look() -> SubscriptionView | None:
        async with wiring.database.unit_of_work(tenant) as uow:
            found = await view_of(uow, tenant)
        return found if waiting.decided(found) else None

    return await answer_in_time(wiring, waiting.prefer, response, look)


@router.post(
    "",
    summary="Start a subscription",
    status_code=202,
    response_model=SubscriptionView,
    responses=decided_in_time(SubscriptionView) | refusals(409),
)
async def start_subscription(
    wiring: Wired,
    request: Request,
    tenant: TenantId,
    body: SubscriptionBody,
    principal: TenantOperator,
    key: IdempotencyKey = None,
    prefer: Prefer = None,
) -> Response:
    """`status` is `pending` until seats has opened all pools."""
    await wait_for_tenant(wiring, tenant)

    async def start(uow: UnitOfWork) -> None:
        await subscriptions.start_subscription(uow, tenant, body, actor_of(principal), settings=wiring.settings, clock=wiring.clock)

    waiting = Waiting(prefer, lambda found: found.status != "pending")
    return await change_subscription(wiring, request, tenant, principal, key, start, waiting)


@router.post(
    "/resume",
    summary="Send the commands of a subscription again that seats rejected",
    status_code=202,
    responses=refusals(409),
    dependencies=[Depends(access("operator"))],
)
async def resume_subscription(wiring: Wired, tenant: TenantId) -> ResumedView:
    """The commands are those that seats rejected or failed to decide and that nobody can order again: for pools, the next period, the
    ending, expand caps, and what follows from another plan or price list. Remove the cause first. If you repeat the request, no command is
    sent twice."""
    async with wiring.database.unit_of_work(tenant) as uow:
        return ResumedView(sent=await resume(uow, tenant, clock=wiring.clock))


@router.get("", summary="Get the subscription: plan, period and licences", dependencies=[Depends(access("account:read"))])
async def get_subscription(wiring: Wired, tenant: TenantId) -> SubscriptionView:
    async with wiring.database.unit_of_work(tenant) as uow:
        return await view_of(uow, tenant)
