"""SCIM connections of a tenant, and their tokens."""

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Response

from services.users.api.dependencies import InContext, Manager, NothingChangedError, RolesManager, TenantId, authority_of, cause_of
from services.users.api.people_views import cost_view, rolled_back
from services.users.api.profiles import DryRun, preview_answer
from services.users.api.reevaluations import location
from services.users.api.requests import ConfirmStopped, GroupMapping, NewScimToken, ScimConnectionBody
from services.users.api.responses import (
    CostPreviewView,
    NewScimTokenView,
    ScimConnectionView,
    ScimErrorView,
    ScimGroupView,
    ScimRemovalView,
    ScimTokenView,
    SettingsPreviewView,
    StoppedScimView,
)
from services.users.domain.person import Cause, Tenant
from services.users.domain.roles import rights_of_roles
from services.users.domain.scim_connections import ScimConnection, ScimToken
from services.users.store import scim_activity, scim_stopped
from services.users.store import scim_connections as store
from services.users.store import scim_groups as groups_store
from services.users.store.scim_groups import GroupRow
from services.users.store.scim_users import View
from services.users.use_cases import preview_settings, remove_connection, rights, scim_connections, scim_groups, scim_guard
from services.users.use_cases.preview_settings import Counted
from services.users.use_cases.remove_connection import Removal
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.schemas.base import Id
from shared.web import Cursor, IfMatch, Limit, Page, actor_of, answer, check_if_match, decode_cursor, encode_cursor, etag, mark_of, refusals
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/scim-connections", tags=["scim"])

stopped_router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/stopped-scim-requests", tags=["scim"])
NAMED_MAX: Final = 100

Name = Annotated[Id, Path(description="The name of the connection, for example okta. Its source is scim/<name>.")]
Group = Annotated[Id, Path(description="The id of the group.")]
TokenId = Annotated[Id, Path(description="The id of the token.")]


def _token(token: ScimToken) -> ScimTokenView:
    return ScimTokenView(token=token.token_id, created_at=token.created_at, expires_at=token.expires_at)


async def _view(context: InContext, of: Tenant, uow: UnitOfWork, found: ScimConnection) -> ScimConnectionView:
    tenant = of.tenant
    tokens = await store.tokens(uow.connection, tenant, found.connection, context.clock.now())
    seen = await scim_activity.get(uow.connection, tenant, found.connection)
    failed = None if seen is None or seen.last_error_at is None else ScimErrorView(at=seen.last_error_at, detail=seen.last_error or "")
    return ScimConnectionView(
        connection=found.connection,
        source=found.source,
        on_full=found.on_full,
        deactivation=found.deactivation,
        user_types=found.user_types,
        tokens=[_token(token) for token in tokens],
        would_end=await scim_stopped.count(uow.connection, tenant, found.connection, scim_guard.since(of)),
        people=await scim_activity.count_people(uow.connection, tenant, found.connection),
        last_request_at=seen.last_request_at if seen is not None else None,
        last_error=failed,
        version=found.version,
    )


@router.put("/{connection}", response_model=ScimConnectionView, responses=refusals(409, 412), summary="Add or change a SCIM connection")
async def put_connection(
    tenant: TenantId, connection: Name, body: ScimConnectionBody, context: InContext, principal: RolesManager, if_match: IfMatch = None
) -> Response:
    """A connection has no token at first. If you send `If-Match`, it is checked."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        await store.lock(uow.connection, tenant, connection)
        await remove_connection.check_is_removed(tenant, uow, connection)
        known = await store.get(uow.connection, tenant, connection)
        if if_match is not None:
            check_if_match(if_match, known.version if known else 0)
        wanted = ScimConnection(connection, body.on_full, body.deactivation, dict(body.user_types))
        version = await scim_connections.put(found, uow, known, wanted, cause_of(principal), context.clock.now())
        view = await _view(context, found, uow, await scim_connections.require(tenant, uow, connection))
    context.scim_callers.forget(tenant, connection)
    return answer(view, headers={"etag": etag(version)})


@router.get("", summary="List the SCIM connections, in order of their names")
async def list_connections(
    tenant: TenantId, context: InContext, principal: RolesManager, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[ScimConnectionView]:
    (after,) = decode_cursor(cursor, str) or ("",)
    async with context.database.unit_of_work(tenant) as uow:
        of = await context.tenants.for_read(tenant, uow)
        found = await store.page(uow.connection, tenant, after, limit)
        views = [await _view(context, of, uow, each) for each in found]
    return Page(items=views, next=encode_cursor(found[-1].connection) if len(found) == limit else None)


@router.get("/{connection}", response_model=ScimConnectionView, summary="Get a SCIM connection")
async def show_connection(tenant: TenantId, connection: Name, context: InContext, principal: RolesManager) -> Response:
    async with context.database.unit_of_work(tenant) as uow:
        of = await context.tenants.for_read(tenant, uow)
        found = await scim_connections.require(tenant, uow, connection)
        return answer(await _view(context, of, uow, found), headers={"etag": etag(found.version)})


@router.delete(
    "/{connection}",
    status_code=202,
    response_model=ScimRemovalView,
    responses={
        200: {"model": ScimRemovalView, "description": "The answer to `dry_run`."},
        202: {"model": ScimRemovalView, "description": "Removed. `Location` is the path of the progress of people who are changed."},
        **refusals(409),
    },
    summary="Delete a SCIM connection",
)
@costly
async def delete_connection(
    tenant: TenantId,
    connection: Name,
    context: InContext,
    principal: RolesManager,
    dry_run: Annotated[bool, Query(description="Change nothing, and answer what the removal would lead to.")] = False,
    confirm: Annotated[int | None, Query(ge=0, description="The number of people who lose access, if the guard asks for it.")] = None,
) -> Response:
    """Its tokens end at once, and so does what its groups give. A background job ends what the connection states about people, as DELETE
    of each of its users would: people whom no other source employs leave, and the others stay as their sources report them."""

    async def change(found: Tenant, uow: UnitOfWork) -> tuple[Removal, bool]:
        known = await scim_connections.require(tenant, uow, connection)
        return await remove_connection.preview_at_once(found, uow, known, actor_of(principal))

    if dry_run:
        found, (removal, is_complete), commands = await rolled_back(context, tenant, change)
        return answer(_removal(removal, await cost_view(context, found, commands if is_complete else None)))
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        known = await scim_connections.require(tenant, uow, connection)
        removal, ending = await remove_connection.remove(found, uow, known, confirm, cause_of(principal))
    context.scim_callers.forget(tenant, connection)
    context.alarm.wake()
    return answer(_removal(removal), 202, {"location": location(tenant, ending)})


def _removal(found: Removal, of_licences: CostPreviewView | None = None) -> ScimRemovalView:
    return ScimRemovalView(**asdict(found), needs_confirmation=found.needs_confirmation, licences=of_licences)


@router.post(
    "/{connection}/tokens",
    status_code=201,
    response_model=NewScimTokenView,
    responses=refusals(409),
    summary="Create a token of a SCIM connection",
)
async def issue_token(tenant: TenantId, connection: Name, body: NewScimToken, context: InContext, principal: RolesManager) -> Response:
    """The answer is the only time that the token is shown. Two tokens can be valid at a time, so that a client can change over.
    This needs all rights of the tenant, as an owner has: a SCIM client says who is in a group that gives a role."""
    async with context.database.unit_of_work(tenant) as uow:
        found, now = await context.tenants.for_read(tenant, uow), context.clock.now()
        token, text = await scim_connections.issue_token(found, uow, connection, body.expires_in_days, now, cause_of(principal))
    return answer(NewScimTokenView(**_token(token).model_dump(), secret=text), 201)


@router.delete("/{connection}/tokens/{token}", status_code=204, summary="Delete a token of a SCIM connection")
async def revoke_token(tenant: TenantId, connection: Name, token: TokenId, context: InContext, principal: RolesManager) -> Response:
    """Requests with the token are refused within 10 seconds."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        await scim_connections.revoke_token(found, uow, connection, token, cause_of(principal))
    context.scim_callers.forget(tenant, connection)
    return Response(status_code=204)


def _group(row: GroupRow) -> ScimGroupView:
    return ScimGroupView(group=row.group_id, name=row.display_name, members=row.members, profile=row.profile, role=row.role)


@router.get("/{connection}/groups", summary="List the groups of a SCIM connection, in order of their ids")
async def list_groups(
    tenant: TenantId, connection: Name, context: InContext, principal: RolesManager, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[ScimGroupView]:
    (after,) = decode_cursor(cursor, str) or ("",)
    async with context.database.unit_of_work(tenant) as uow:
        found = await scim_connections.require(tenant, uow, connection)
        rows = await groups_store.after(uow.connection, View(tenant, connection, found.source), after, limit)
    return Page(items=[_group(row) for row in rows], next=encode_cursor(rows[-1].group_id) if len(rows) == limit else None)


def _shown(row: GroupRow) -> Response:
    return answer(_group(row), headers={"etag": etag(_mark(row))})


def _mark(row: GroupRow) -> str:
    """Return what differs between two states of what PUT sets."""
    return mark_of({"profile": row.profile, "role": row.role})


async def _one_group(uow: UnitOfWork, tenant: str, connection: str, group: str, *, lock: bool) -> tuple[View, GroupRow]:
    view = View(tenant, connection, (await scim_connections.require(tenant, uow, connection)).source)
    row = await groups_store.get(uow.connection, view, group, lock=lock)
    if row is None:
        raise NotFound("group of this connection")
    return view, row


@router.get("/{connection}/groups/{group}", response_model=ScimGroupView, summary="Get a group of a SCIM connection")
async def show_group(tenant: TenantId, connection: Name, group: Group, context: InContext, principal: RolesManager) -> Response:
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        _, row = await _one_group(uow, tenant, connection, group, lock=False)
    return _shown(row)


@router.put(
    "/{connection}/groups/{group}",
    response_model=ScimGroupView | SettingsPreviewView,
    responses={**refusals(412), 200: {"description": "The group, or the answer to `dry_run`."}},
    summary="Set what the members of a SCIM group get",
)
@costly
async def put_group(
    tenant: TenantId,
    connection: Name,
    group: Group,
    body: GroupMapping,
    context: InContext,
    principal: RolesManager,
    if_match: IfMatch = None,
    dry_run: DryRun = False,
) -> Response:
    """The members are evaluated again, those of a large group soon after. If you send `If-Match`, it is checked."""
    authority = authority_of(principal)
    counted = Counted()
    with suppress(NothingChangedError):
        async with context.database.unit_of_work(tenant) as uow:
            found = await context.tenants.for_write(tenant, uow)
            view, row = await _one_group(uow, tenant, connection, group, lock=True)
            if if_match is not None:
                check_if_match(if_match, _mark(row))
            rights.check_sees_everybody(authority)
            moved = {role for role in (row.role, body.role) if role is not None}
            rights.check_covered(authority, rights_of_roles(moved, found.settings.roles), "The role that the group gives has")
            after = scim_groups.with_mapping(found, row, body.profile, body.role)
            if dry_run:
                counted = await preview_settings.count_members(found, uow, view, after)
                raise NothingChangedError
            await scim_groups.put_mapping(found, uow, view, row, after, Cause(actor_of(principal)))
    if dry_run:
        async with context.database.unit_of_work(tenant) as uow:
            return preview_answer(await preview_settings.decided(found, uow, context.seats, counted))
    context.alarm.wake()
    return _shown(after)


@stopped_router.get("", summary="List the SCIM connections whose requests the guard stopped")
async def list_stopped(
    tenant: TenantId, context: InContext, principal: Manager, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[StoppedScimView]:
    """The connections are in order of their names."""
    (after,) = decode_cursor(cursor, str) or ("",)
    items = []
    async with context.database.unit_of_work(tenant) as uow:
        since = scim_guard.since(await context.tenants.for_read(tenant, uow))
        for each in await scim_stopped.waiting(uow.connection, tenant, since, after, limit):
            found = await scim_connections.require(tenant, uow, each.connection)
            ids = await scim_stopped.ids(uow.connection, tenant, each.connection, since, NAMED_MAX)
            people = await groups_store.people_of(uow.connection, View(tenant, each.connection, found.source), ids)
            items.append(StoppedScimView(connection=each.connection, would_end=each.users, people=people, since=each.since))
    return Page(items=items, next=encode_cursor(items[-1].connection) if len(items) == limit else None)


@router.post("/{connection}/confirm", status_code=204, responses=refusals(404, 409), summary="Confirm requests that the guard stopped")
async def confirm_stopped(tenant: TenantId, connection: Name, body: ConfirmStopped, context: InContext, principal: Manager) -> Response:
    """The identity provider repeats its requests, and they are then applied. `confirm` must be the number of people who would lose
    access (`would_end` of the connection)."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        await scim_guard.confirm(found, uow, await scim_connections.require(tenant, uow, connection), body.confirm)
    return Response(status_code=204)
