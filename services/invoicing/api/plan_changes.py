"""Another plan or term of a running subscription."""

from fastapi import APIRouter, Request, Response

from services.invoicing import store
from services.invoicing.api.dependencies import Buyer, IdPath, Reader, TenantId, Wired
from services.invoicing.api.requests import PlanChangeBody
from services.invoicing.api.responses.contract_changes import PlanChangeView
from services.invoicing.use_cases.ordering import check_direct_buying
from services.invoicing.use_cases.plan_changes import PLAN, approve_plan, offer_plan, plan_forecast, withdraw_plan
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.schemas.rights import OPERATOR
from shared.web import Principal, actor_of, answer, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/subscription", tags=["account"])


async def _view(uow: UnitOfWork, tenant: str, change: str, principal: Principal) -> PlanChangeView:
    found = await store.contract_changes.find(uow.connection, tenant, change)
    if found is None or found.kind != PLAN:
        raise NotFound("plan change")
    return PlanChangeView.of(tenant, found, named=principal.departments is None)


@router.post(
    "/plan-changes", summary="Request another plan or term", status_code=201, response_model=PlanChangeView, responses=refusals(409)
)
async def post_plan_change(
    wiring: Wired, request: Request, tenant: TenantId, body: PlanChangeBody, principal: Buyer, key: IdempotencyKey = None
) -> Response:
    """The answer says what the change costs, which modules close, and who would be flagged. Nothing changes until you approve it."""
    flagged = await plan_forecast(wiring.database, wiring.seats, tenant, body, clock=wiring.clock)

    async def act() -> Response:
        actor = actor_of(principal)
        if not principal.may(OPERATOR):
            await check_direct_buying(uow, tenant, wiring.clock)
        made = await offer_plan(uow, tenant, body, flagged, actor, settings=wiring.settings, clock=wiring.clock)
        shown = await _view(uow, tenant, made, principal)
        return answer(shown, 201, {"location": shown.status_url})

    async def read(made: str) -> Response:
        return answer(await _view(uow, tenant, made, principal))

    async with wiring.database.unit_of_work(tenant) as uow:
        return await idempotent(uow, request, principal, key, act, read)


@router.put("/plan", summary="Change the plan or term in one step", responses=refusals(409))
async def put_plan(wiring: Wired, tenant: TenantId, body: PlanChangeBody, principal: Buyer) -> PlanChangeView:
    """This requests the change and approves it in one step. A refused purchase names this request with its body (B2)."""
    flagged = await plan_forecast(wiring.database, wiring.seats, tenant, body, clock=wiring.clock)
    async with wiring.database.unit_of_work(tenant) as uow:
        actor = actor_of(principal)
        if not principal.may(OPERATOR):
            await check_direct_buying(uow, tenant, wiring.clock)
        made = await offer_plan(uow, tenant, body, flagged, actor, settings=wiring.settings, clock=wiring.clock)
        await approve_plan(uow, tenant, made, actor, settings=wiring.settings, clock=wiring.clock)
        return await _view(uow, tenant, made, principal)


@router.get("/plan-changes/{change}", summary="Get a change of plan or term")
async def get_plan_change(wiring: Wired, tenant: TenantId, change: IdPath, principal: Reader) -> PlanChangeView:
    async with wiring.database.unit_of_work(tenant) as uow:
        return await _view(uow, tenant, change, principal)


@router.post("/plan-changes/{change}/approve", summary="Approve a change of plan or term", responses=refusals(409))
async def post_plan_approval(wiring: Wired, tenant: TenantId, change: IdPath, principal: Buyer) -> PlanChangeView:
    """The change takes effect now, or is scheduled for the next period. If you approve it again, nothing changes."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await approve_plan(uow, tenant, change, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        return await _view(uow, tenant, change, principal)


@router.post("/plan-changes/{change}/withdraw", summary="Withdraw a scheduled change of plan or term", responses=refusals(409))
async def post_plan_withdrawal(wiring: Wired, tenant: TenantId, change: IdPath, principal: Buyer) -> PlanChangeView:
    """This is possible until the next period begins. If you withdraw it again, nothing changes."""
    async with wiring.database.unit_of_work(tenant) as uow:
        await withdraw_plan(uow, tenant, change, actor_of(principal), clock=wiring.clock)
        return await _view(uow, tenant, change, principal)
