"""The clock of a tenant."""

from fastapi import APIRouter, Depends, Response

from services.users.api.dependencies import Context, InContext, TenantId, TenantOperator, now_of
from services.users.api.requests import Advance
from services.users.api.responses import ClockView
from services.users.store import tenants as store
from services.users.store.tenants import StoredTenant
from services.users.use_cases import test_clock
from shared.errors import NotFound
from shared.web import access, actor_of, answer, refusals
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/clock", tags=["clock"])


def _view(row: StoredTenant, context: Context) -> ClockView:
    state = "ready" if row.advancing_to is None else "advancing"
    return ClockView(clock=row.clock, now=now_of(row, context.clock), state=state, to=row.advancing_to)


@router.post("", status_code=202, response_model=ClockView, responses=refusals(409), summary="Advance a test clock")
async def advance(tenant: TenantId, body: Advance, context: InContext, principal: TenantOperator) -> Response:
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
