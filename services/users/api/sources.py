"""The sources of a tenant: which goes first, how new people are recognised, and how many may lose access at once."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Response

from services.users.api.dependencies import InContext, Manager, SettingsManager, TenantId
from services.users.api.import_responses import GuardSettingView
from services.users.api.people_views import COST_PREVIEWED, DryRun, previewed_cost
from services.users.api.reevaluations import accepted, reevaluating
from services.users.api.requests import GuardSetting, PossibleDuplicatesBody, SourceSettings
from services.users.api.responses import TenantSourceView
from services.users.domain.facts import REST_SOURCE
from services.users.domain.person import Tenant
from services.users.domain.sources import POSITIONS, Duplicates, Source, source_of
from services.users.store import hr_sources, people_lookups, reevaluations
from services.users.store import sources as store
from services.users.store.people import CLAIMS
from services.users.store.reevaluations import ReevaluationKind
from services.users.use_cases import duplicates, people
from services.users.use_cases.seats_questions import COMMANDS_MAX
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.fields import common_fields
from shared.web import Cursor, Limit, Page, actor_of, answer, decode_cursor, encode_cursor, refusals
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["people"])

SourceName = Annotated[str, Path(min_length=1, max_length=300, description="The name of the source, for example hr/acme, or `rest`.")]


def _view(source: Source) -> TenantSourceView:
    found = common_fields(source, Source, TenantSourceView) | {"match_by": list(source.match_by)}
    return TenantSourceView(**found)


@router.get("/sources", summary="List the sources of a tenant, those that go first before the others")
async def list_tenant_sources(
    tenant: TenantId, context: InContext, principal: Manager, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[TenantSourceView]:
    """A source is listed when it has stated something, or has settings."""
    (begin,) = decode_cursor(cursor, int) or (0,)
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        found = list((await store.all_of(uow.connection, tenant)).values())
    end = begin + limit
    return Page(items=[_view(source) for source in found[begin:end]], next=encode_cursor(end) if end < len(found) else None)


@router.get("/sources/{source:path}", responses=refusals(404), summary="Get a source of a tenant")
async def show_tenant_source(tenant: TenantId, source: SourceName, context: InContext, principal: Manager) -> TenantSourceView:
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        return _view(await _found(tenant, uow, source))


@router.put(
    "/sources/{source:path}",
    response_model=TenantSourceView,
    responses={**refusals(404), **reevaluating(TenantSourceView)},
    summary="Set how a source of a tenant is used",
)
async def put_tenant_source(
    tenant: TenantId, source: SourceName, body: SourceSettings, context: InContext, principal: SettingsManager
) -> Response:
    """The request replaces all settings of the source. After a change of `position`, the people whom several sources report are described
    again soon after; `Location` names the path of the progress. After a change of `match_by`, a background job matches the people of the
    source who are in conflict again; everybody else stays the person whom the source's first report was matched to."""
    reevaluation: str | None = None
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        before = await _found_for_change(tenant, uow, source)
        after = replace(
            before,
            position=POSITIONS[before.kind] if body.position is None else body.position,
            match_by=tuple(body.match_by),
            duplicates=body.duplicates,
            guard_people=body.guard_people,
            guard_percent=body.guard_percent,
        )
        if (before.duplicates, after.duplicates) == (Duplicates.ALLOW, Duplicates.HOLD):
            after = await duplicates.counted_again(found, uow, after)
        await store.save(uow.connection, tenant, after)
        if after.match_by != before.match_by:
            await people_lookups.reconsider_of_source(uow.connection, tenant, source, found.today)
        if after.position != before.position:
            cause = reevaluations.cause_of(actor_of(principal), None)
            reevaluation = await reevaluations.add(uow.connection, tenant, ReevaluationKind.SOURCES, cause)
    context.alarm.wake()
    return answer(_view(after), *accepted(tenant, reevaluation))


@router.get(
    "/guard/{source:path}",
    responses=refusals(404),
    summary="Get how many people of a source can lose access at once without a confirmation",
)
async def show_guard(tenant: TenantId, source: SourceName, context: InContext, principal: Manager) -> GuardSettingView:
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        settings = await _found(tenant, uow, source)
    return GuardSettingView(people=settings.guard_people, percent=settings.guard_percent)


@router.put(
    "/guard/{source:path}",
    responses=refusals(404),
    summary="Set how many people of a source can lose access at once without a confirmation",
)
async def set_guard(
    tenant: TenantId, source: SourceName, body: GuardSetting, context: InContext, principal: SettingsManager
) -> GuardSettingView:
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_write(tenant, uow)
        settings = await _found_for_change(tenant, uow, source)
        await store.save(uow.connection, tenant, replace(settings, guard_people=body.people, guard_percent=body.percent))
    return GuardSettingView(people=body.people, percent=body.percent)


async def _found_for_change(tenant: str, uow: UnitOfWork, source: str) -> Source:
    """Return the source as `_found` does, after the statements that are being applied: they may let people wait as possible duplicates, and
    match by the settings."""
    await uow.lock(CLAIMS, tenant)
    return await _found(tenant, uow, source)


async def _found(tenant: str, uow: UnitOfWork, source: str) -> Source:
    """Return a source that has stated something, that has settings, or that may send events. Raises NotFound."""
    known = await store.all_of(uow.connection, tenant)
    if source not in known and source != REST_SOURCE and not (await hr_sources.permission(uow.connection, tenant, source)).allowed:
        raise NotFound("source")
    return source_of(known, source)


@router.post(
    "/possible-duplicates/confirm",
    status_code=202,
    response_model=TenantSourceView,
    responses=refusals(404, 409) | COST_PREVIEWED,
    summary="Confirm people who may be duplicates",
)
@costly
async def confirm_possible_duplicates(
    tenant: TenantId, body: PossibleDuplicatesBody, context: InContext, principal: Manager, dry_run: DryRun = False
) -> Response:
    """Let the new people of a source take seats who match nobody. A background job does it."""

    async def change(found: Tenant, uow: UnitOfWork) -> bool:
        await duplicates.confirm(found, uow, body.source)
        return await people.change_due(found, uow, COMMANDS_MAX + 1) <= COMMANDS_MAX

    if dry_run:
        return await previewed_cost(context, tenant, change)
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        source = await duplicates.confirm(found, uow, body.source)
    context.alarm.wake()
    return answer(_view(source), 202)
