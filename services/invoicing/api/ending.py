"""The end of a subscription."""

from dataclasses import asdict
from datetime import date

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from services.invoicing.api.dependencies import Buyer, TenantId, TenantOperator, Wired, decided_in_time
from services.invoicing.api.requests import EndBody, EndingBody
from services.invoicing.api.responses.subscription import SubscriptionView
from services.invoicing.api.subscription import Waiting, change_subscription, decided, view_of
from services.invoicing.use_cases import endings
from shared.database import UnitOfWork
from shared.web import access, actor_of, answer, refusals
from shared.web.idempotency import IdempotencyKey
from shared.web.prefer import Prefer
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/subscription", tags=["account"])


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

    async def end(uow: UnitOfWork) -> None:
        await endings.end_subscription(
            uow, tenant, actor_of(principal), body.reason if body is not None else "", settings=wiring.settings, clock=wiring.clock
        )

    waiting = Waiting(prefer, lambda found: not any(module.next_period for module in found.modules))
    return await change_subscription(wiring, request, tenant, principal, key, end, waiting)


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
    return await decided(wiring, tenant, response, Waiting(prefer, lambda found: found.ends_on is None))


class EndAtOnceView(BaseModel):
    """An end of the subscription at once, before anybody orders it."""

    ends_on: date = Field(description="Today, in the tenant's time zone: the first day without the subscription.")
    currency: str
    credit_net_minor: int = Field(description="The net amount of the credit note that is issued at once.")
    charge_net_minor: int = Field(
        description="The net amount of the invoice that is issued at once, if the amounts that are not charged yet exceed the credit; "
        "otherwise 0."
    )


@router.get(
    "/end",
    summary="Get what an end of the subscription at once would do",
    responses=refusals(409),
    dependencies=[Depends(access("operator"))],
)
async def get_end(wiring: Wired, tenant: TenantId) -> EndAtOnceView:
    """Nothing is ended by this request."""
    async with wiring.database.unit_of_work(tenant) as uow:
        return EndAtOnceView(**asdict(await endings.preview_end(uow, tenant, clock=wiring.clock)))


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
    """Yesterday was the last day of the licences: the days from today on are credited at once. This cannot be taken back. A subscription
    that is not active, because seats has not opened all its pools, ends without a document."""

    async def end(uow: UnitOfWork) -> None:
        await endings.end_subscription(
            uow, tenant, actor_of(principal), body.reason, settings=wiring.settings, clock=wiring.clock, at_once=True
        )

    waiting = Waiting(prefer, lambda found: found.status == "ended")
    return await change_subscription(wiring, request, tenant, principal, key, end, waiting)
