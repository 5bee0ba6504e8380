"""Profiles, which are named sets of modules, and the department mapping."""

import hashlib
from collections.abc import Collection
from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field

from services.users.api.dependencies import Context, InContext, SettingsManager, TenantId, now_of
from services.users.api.reevaluations import accepted, reevaluating
from services.users.api.requests import DEPARTMENTS_MAX, Department, ProfileBody
from services.users.api.responses import (
    CostView,
    ExpansionView,
    LaterModule,
    ModuleChange,
    OutcomeView,
    ProfileView,
    SettingsPreviewView,
)
from services.users.domain.person import Tenant
from services.users.domain.required_modules import Profile, Settings
from services.users.store import departments as departments_store
from services.users.store import profiles as store
from services.users.store.profiles import ProfileRow
from services.users.use_cases import departments, preview_settings, profiles, tenants
from services.users.use_cases.preview_settings import SettingsPreview
from shared.database import UnitOfWork
from shared.errors import Invalid
from shared.schemas.base import Id
from shared.web import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    access,
    actor_of,
    answer,
    check_if_match,
    decode_cursor,
    encode_cursor,
    etag,
    refusals,
)
from shared.web.openapi import Responses
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["profiles"])


def _view(row: ProfileRow, subscribed: Collection[str]) -> ProfileView:
    warnings = [
        f"The module {module} is not subscribed. People with this profile get it when its pool opens."
        for module in row.modules
        if module not in subscribed
    ]
    return ProfileView(
        profile=row.profile, name=row.name, modules=list(row.modules), partial=row.partial, version=row.version, warnings=warnings
    )


DryRun = Annotated[bool, Query(description="Change nothing, and answer who would require other modules, and what seats would decide.")]


async def _preview(tenant: Tenant, uow: UnitOfWork, context: Context, settings: Settings) -> Response:
    return preview_answer(await preview_settings.preview(tenant, uow, context.seats, settings))


def preview_answer(found: SettingsPreview) -> Response:
    """Return the answer to `dry_run`."""
    view = SettingsPreviewView(
        examined=found.examined,
        complete=found.complete,
        changed=found.changed,
        modules=[ModuleChange(**asdict(each)) for each in found.modules],
        not_subscribed=[LaterModule(module=module, people=people) for module, people in sorted(found.later.items())],
        decided=found.decided,
        outcomes=[OutcomeView(module=module, state=state, people=people) for (module, state), people in found.outcomes.items()],
        expansions=[ExpansionView(module=module, licences=more) for module, more in found.added.items()],
        cost=None if found.cost is None else CostView(**asdict(found.cost)),
    )
    return answer(view)


def _changing(model: Any) -> Responses:
    """Return the documentation of the answers of a change that has a preview and a re-evaluation."""
    return {200: {"description": "Unchanged, or the answer to `dry_run`."}} | reevaluating(model)


@router.put(
    "/profiles/{profile}",
    response_model=ProfileView | SettingsPreviewView,
    responses={**refusals(409, 412), **_changing(ProfileView)},
    summary="Define or replace a profile",
)
@costly
async def put_profile(
    tenant: TenantId,
    profile: Annotated[Id, Path()],
    body: ProfileBody,
    context: InContext,
    principal: SettingsManager,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
) -> Response:
    """All people with this profile are evaluated again soon after; `Location` names the path of the progress. If you send `If-Match`, it is
    checked. A module that requires another one is accepted only together with it; a module that is not subscribed is accepted, with a
    warning."""
    wanted = ProfileRow(profile, body.name, tuple(sorted(set(body.modules))), body.partial, 0)
    if dry_run:
        async with context.database.unit_of_work(tenant) as uow:
            found = await context.tenants.for_read(tenant, uow)
            await profiles.check_requires(uow, wanted)
            changed = {**found.settings.profiles, profile: Profile(wanted.modules, wanted.partial)}
            return await _preview(found, uow, context, replace(found.settings, profiles=changed))
    async with context.database.unit_of_work(tenant) as uow:
        row = await tenants.lock(tenant, uow)
        if if_match is not None:
            known = await store.get(uow.connection, tenant, profile)
            check_if_match(if_match, known.version if known else 0)
        at = now_of(row, context.clock)
        stored, reevaluation = await profiles.put_profile(tenant, uow, row, wanted, actor_of(principal), at, context.limits())
    context.alarm.wake()
    status, headers = accepted(tenant, reevaluation)
    return answer(_view(stored, row.subscribed), status, {"etag": etag(stored.version)} | headers)


@router.get(
    "/profiles", dependencies=[Depends(access("users:read", with_viewset=True))], summary="List the profiles, in order of their ids"
)
async def list_profiles(tenant: TenantId, context: InContext, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Page[ProfileView]:
    (after,) = decode_cursor(cursor, str) or ("",)
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        rows = await store.page(uow.connection, tenant, after, limit)
    return Page(
        items=[_view(row, found.settings.subscribed) for row in rows], next=encode_cursor(rows[-1].profile) if len(rows) == limit else None
    )


Mapping = dict[str, str | None]


def _check_profiles(mapping: Mapping, known: Collection[str]) -> None:
    for department, profile in mapping.items():
        if profile is not None and profile not in known:
            raise Invalid(f"body.{department}", profile, "a profile of this tenant, or null")


@router.put(
    "/department-mapping",
    response_model=Mapping | SettingsPreviewView,
    responses={**refusals(409, 412), **_changing(Mapping)},
    summary="Replace the department mapping",
)
@costly
async def put_mapping(
    tenant: TenantId,
    body: Annotated[dict[Department, Id | None], Field(max_length=DEPARTMENTS_MAX)],
    context: InContext,
    principal: SettingsManager,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
) -> Response:
    """Departments that are not in the request are no longer mapped. If you send `If-Match`, it is checked, so that nobody's change of
    another department is lost."""
    if dry_run:
        async with context.database.unit_of_work(tenant) as uow:
            found = await context.tenants.for_read(tenant, uow)
            _check_profiles(body, found.settings.profiles)
            return await _preview(found, uow, context, replace(found.settings, departments=body))
    async with context.database.unit_of_work(tenant) as uow:
        row = await tenants.lock(tenant, uow)
        if if_match is not None:
            check_if_match(if_match, _mark_of(await departments_store.mapping_json(uow.connection, tenant)))
        _check_profiles(body, {profile.profile for profile in await store.all_of(uow.connection, tenant)})
        at = now_of(row, context.clock)
        reevaluation = await departments.put_mapping(tenant, uow, row, body, actor_of(principal), at, context.limits())
        mark = _mark_of(await departments_store.mapping_json(uow.connection, tenant))
    context.alarm.wake()
    status, headers = accepted(tenant, reevaluation)
    return answer(body, status, {"etag": etag(mark)} | headers)


def _mark_of(mapping: str) -> str:
    """Return what differs between two mappings. The database writes them in order of the departments."""
    return hashlib.sha256(mapping.encode()).hexdigest()[:20]


@router.get(
    "/department-mapping",
    response_model=Mapping,
    dependencies=[Depends(access("users:read", with_viewset=True))],
    summary="Get the department mapping",
)
@costly
async def show_mapping(tenant: TenantId, context: InContext) -> Response:
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        mapping = await departments_store.mapping_json(uow.connection, tenant)
    return Response(mapping, headers={"etag": etag(_mark_of(mapping))}, media_type="application/json")
