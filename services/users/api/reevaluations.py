"""The progress of background jobs that evaluate people again, after a change of a profile for example."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Response

from services.users.api.dependencies import InContext, Manager, TenantId
from services.users.api.people_views import COST_PREVIEWED, DryRun, previewed_cost
from services.users.api.responses import ProgressView
from services.users.domain.person import Tenant
from services.users.store import reevaluations as store
from services.users.store.reevaluations import Reevaluation
from services.users.use_cases import refused_people
from services.users.use_cases.seats_questions import COMMANDS_MAX
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.schemas.base import Id
from shared.web import access, actor_of, answer, refusals
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["people"])


def _view(row: Reevaluation) -> ProgressView:
    return ProgressView(
        reevaluation=row.reevaluation_id,
        kind=row.kind,
        status="running" if row.finished_at is None else "finished",
        done=row.done,
        total=row.total,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


async def progress(tenant: str, uow: UnitOfWork, reevaluation: str) -> ProgressView:
    """Return the progress. Raises NotFound."""
    found = await store.get(uow.connection, tenant, reevaluation)
    if found is None:
        raise NotFound("reevaluation", "The progress of a job is kept for a week after its end.")
    return _view(found)


def location(tenant: str, reevaluation: str) -> str:
    return f"/v1/tenants/{tenant}/reevaluations/{reevaluation}"


def accepted(tenant: str, reevaluation: str | None) -> tuple[int, dict[str, str]]:
    """Return the status and the headers of a change that a re-evaluation of people follows, if there is one."""
    return (200, {}) if reevaluation is None else (202, {"location": location(tenant, reevaluation)})


def reevaluating(model: Any) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of the answer of a change that a re-evaluation of people follows."""
    return {202: {"model": model, "description": "Changed. `Location` is the path of the progress of people who are evaluated again."}}


@router.get("/reevaluations/{reevaluation}", dependencies=[Depends(access("users:read"))], summary="Get the progress of a job about people")
async def show_progress(tenant: TenantId, reevaluation: Annotated[Id, Path()], context: InContext) -> ProgressView:
    """A change of a profile, of the mapping or of the order of sources, and a reactivation of all refused people, name the path of their
    progress in `Location`."""
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        return await progress(tenant, uow, reevaluation)


@router.post(
    "/people/reactivate-refused",
    status_code=202,
    response_model=ProgressView,
    responses=refusals(409) | COST_PREVIEWED,
    summary="Request the seats of all refused people again",
)
@costly
async def reactivate_refused(
    tenant: TenantId,
    context: InContext,
    principal: Manager,
    include: Annotated[Literal["revoked"] | None, Query(description="`revoked`: also people who were deactivated.")] = None,
    dry_run: DryRun = False,
) -> Response:
    """A background job requests them in the order of the refusals. For people who already have seats, it requests only the modules that
    were refused. `Location` names the path of its progress."""
    actor, include_revoked = actor_of(principal), include == "revoked"

    async def change(found: Tenant, uow: UnitOfWork) -> bool:
        places = await refused_people.request_again(found, uow, actor, COMMANDS_MAX + 1, include_revoked=include_revoked)
        return len(places) <= COMMANDS_MAX

    if dry_run:
        return await previewed_cost(context, tenant, change)
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        added = await refused_people.reactivate(found, uow, actor, include_revoked=include_revoked)
        view = await progress(tenant, uow, added)
    context.alarm.wake()
    return answer(view, 202, {"location": location(tenant, added)})
