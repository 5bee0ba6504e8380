"""The clock of a tenant."""

from fastapi import APIRouter, Depends, Response

from services.users.api.dependencies import Context, InContext, SettingsManager, TenantId, now_of
from services.users.api.requests import Advance
from services.users.api.responses import ClockView, NextDueView
from services.users.store import tenants as store
from services.users.store.tenants import StoredTenant
from services.users.use_cases import test_clock
from shared.errors import Conflict, NotFound
from shared.web import access, actor_of, answer, refusals
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/clock", tags=["clock"])


def _view(row: StoredTenant, context: Context) -> ClockView:
    state = "ready" if row.advancing_to is None else "advancing"
    return ClockView(clock=row.clock, now=now_of(row, context.clock), state=state, to=row.advancing_to)


@router.post("", status_code=202, response_model=ClockView, responses=refusals(409), summary="Advance a test clock")
async def advance(tenant: TenantId, body: Advance, context: InContext, principal: SettingsManager) -> Response:
    """The clock advances in steps, from one due item to the next. `GET` shows when its state is `ready`. You may repeat the request."""
    row = await test_clock.begin(tenant, context.database, body.to, actor_of(principal))
    context.coordinator.wake()
    return answer(_view(row, context), 202, {"location": f"/v1/tenants/{tenant}/clock"})


@router.get("", dependencies=[Depends(access("account:read"))], summary="Get the time of a tenant")
async def show(tenant: TenantId, context: InContext) -> ClockView:
    async with context.database.unit_of_work(tenant) as uow:
        row = await store.get(uow.connection, tenant)
    if row is None:
        raise NotFound("tenant")
    return _view(row, context)


@router.get(
    "/next-due",
    dependencies=[Depends(access("settings:manage"))],
    responses=refusals(409, 503),
    summary="Get when something falls due on a test clock next",
)
async def show_next_due(tenant: TenantId, context: InContext) -> NextDueView:
    """The first instant after the present time at which one of the services has something to do: a deadline, the end of an invitation, a
    reminder, a renewal. An advance to this instant stops there."""
    async with context.database.unit_of_work(tenant) as uow:
        row = await store.get(uow.connection, tenant)
    if row is None:
        raise NotFound("tenant")
    if row.at is None:
        raise Conflict(
            "not-a-test-clock", "This tenant has a real clock. Only a test clock has a next due instant to which it can advance."
        )
    return NextDueView(now=row.at, next_due=await context.coordinator.next_due(tenant, row.at))
