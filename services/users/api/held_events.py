"""HR events that the guard holds: look at them, confirm or discard them."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Response

from services.users.api.dependencies import InContext, Manager, TenantId
from services.users.api.people_views import COST_PREVIEWED, DryRun, previewed_cost
from services.users.api.requests import ConfirmHeldEvents, HeldEvents
from services.users.api.responses import HeldEventsDetail, HeldEventsView
from services.users.domain.person import Tenant
from services.users.store import held_statements as store
from services.users.store.held_statements import HeldSource
from services.users.use_cases import held_statements
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.web import Cursor, Limit, Page, answer, decode_cursor, encode_cursor, refusals
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/held-events", tags=["people"])

NAMED_MAX: Final = 100
Source = Annotated[str, Path(max_length=300, description="The name of the source, for example hr/acme.")]


async def _view(tenant: str, uow: UnitOfWork, held: HeldSource) -> HeldEventsView:
    return HeldEventsView(
        source=held.source,
        status=held.status,
        events=await store.count(uow.connection, tenant, held.source),
        would_end=held.would_end,
        ended_before=held.ended_before,
        limit=held.guard_limit,
        since=held.since,
    )


@router.get("", summary="List the sources whose HR events wait")
async def list_held_events(
    tenant: TenantId, context: InContext, principal: Manager, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[HeldEventsView]:
    """The sources are in order of their names."""
    (after,) = decode_cursor(cursor, str) or ("",)
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        found = await store.page(uow.connection, tenant, after, limit)
        views = [await _view(tenant, uow, held) for held in found]
    return Page(items=views, next=encode_cursor(found[-1].source) if len(found) == limit else None)


@router.post(
    "/confirm",
    status_code=202,
    response_model=HeldEventsView,
    responses=refusals(404, 409) | COST_PREVIEWED,
    summary="Confirm HR events that wait",
)
@costly
async def confirm_held_events(
    tenant: TenantId, body: ConfirmHeldEvents, context: InContext, principal: Manager, dry_run: DryRun = False
) -> Response:
    """Let the events be applied. `confirm` must be the number of people who would lose access now."""

    async def change(found: Tenant, uow: UnitOfWork) -> bool:
        return await held_statements.apply_at_once(found, uow, body.source, body.confirm)

    if dry_run:
        return await previewed_cost(context, tenant, change)
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        view = await _view(tenant, uow, await held_statements.confirm(found, uow, body.source, body.confirm))
    context.alarm.wake()
    return answer(view, 202)


@router.post("/discard", status_code=204, responses=refusals(404, 409), summary="Discard HR events that wait")
async def discard_held_events(tenant: TenantId, body: HeldEvents, context: InContext, principal: Manager) -> Response:
    """The events are deleted and change nobody."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        await held_statements.discard(found, uow, body.source)
    return Response(status_code=204)


@router.get("/{source:path}", responses=refusals(404), summary="Get the HR events of a source that wait")
@costly
async def show_held_events(tenant: TenantId, source: Source, context: InContext, principal: Manager) -> HeldEventsDetail:
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        held = await store.get(uow.connection, tenant, source)
        if held is None:
            raise NotFound("held event of this source", "Nothing of this source waits.")
        would_end, would_begin, names = await held_statements.would_change(found, uow, source)
        view = await _view(tenant, uow, held)
    return HeldEventsDetail(
        **view.model_dump() | {"would_end": len(would_end)},
        external_ids=(ending := would_end[:NAMED_MAX]),
        would_begin=len(would_begin),
        beginning=(beginning := would_begin[:NAMED_MAX]),
        names={each: names[each] for each in (*ending, *beginning) if each in names},
    )
