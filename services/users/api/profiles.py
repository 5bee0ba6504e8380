"""Profiles, which are named sets of modules, and the department mapping."""

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import Field

from services.users.api.dependencies import InContext, SettingsManager, TenantId, now_of
from services.users.api.reevaluations import accepted, reevaluating
from services.users.api.requests import DEPARTMENTS_MAX, Department, ProfileBody
from services.users.api.responses import ProfileView
from services.users.store import departments as departments_store
from services.users.store import profiles as store
from services.users.store.profiles import ProfileRow
from services.users.use_cases import departments, profiles, tenants
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


@router.put(
    "/profiles/{profile}",
    response_model=ProfileView,
    responses={**refusals(409, 412), **reevaluating(ProfileView)},
    summary="Define or replace a profile",
)
async def put_profile(
    tenant: TenantId,
    profile: Annotated[Id, Path()],
    body: ProfileBody,
    context: InContext,
    principal: SettingsManager,
    if_match: IfMatch = None,
) -> Response:
    """All people with this profile are evaluated again soon after; `Location` names the path of the progress. If you send `If-Match`, it is
    checked. A module that requires another one is accepted only together with it; a module that is not subscribed is accepted, with a
    warning."""
    wanted = ProfileRow(profile, body.name, tuple(sorted(set(body.modules))), body.partial, 0)
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


@router.put(
    "/department-mapping",
    response_model=Mapping,
    responses={**refusals(409), **reevaluating(Mapping)},
    summary="Replace the department mapping",
)
@costly
async def put_mapping(
    tenant: TenantId,
    body: Annotated[dict[Department, Id | None], Field(max_length=DEPARTMENTS_MAX)],
    context: InContext,
    principal: SettingsManager,
) -> Response:
    async with context.database.unit_of_work(tenant) as uow:
        row = await tenants.lock(tenant, uow)
        known = {profile.profile for profile in await store.all_of(uow.connection, tenant)}
        for department, profile in body.items():
            if profile is not None and profile not in known:
                raise Invalid(f"body.{department}", profile, "a profile of this tenant, or null")
        at = now_of(row, context.clock)
        reevaluation = await departments.put_mapping(tenant, uow, row, body, actor_of(principal), at, context.limits())
    context.alarm.wake()
    return answer(body, *accepted(tenant, reevaluation))


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
        return Response(await departments_store.mapping_json(uow.connection, tenant), media_type="application/json")
