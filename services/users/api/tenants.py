"""Tenants, and the allow-list of HR sources."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from services.users.api.dependencies import Context, InContext, Operator, SettingsManager, TenantId, TenantOperator, cause_of, now_of
from services.users.api.profiles import DryRun, preview_answer
from services.users.api.requests import SOURCE_TENANTS_MAX, Allowed, FirstOwner, NewTenant, OperatorAccess, TenantPatch
from services.users.api.responses import AllowedView, SettingsPreviewView, SourceView, TenantView
from services.users.api.sign_in_responses import Token
from services.users.domain.facts import REST_SOURCE
from services.users.domain.invitations import InvitationTerms
from services.users.domain.person import Cause
from services.users.domain.roles import OWNER
from services.users.domain.scim_connections import SOURCE_PREFIX
from services.users.sign_in.tokens import OPERATOR_TTL_SECONDS
from services.users.store import hr_sources, operators
from services.users.store import tenants as store
from services.users.store.hr_sources import HrSource
from services.users.store.tenants import StoredTenant, TenantRow
from services.users.use_cases import edit_person, preview_settings
from services.users.use_cases import tenants as use_cases
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Conflict, Forbidden, Invalid, NotFound
from shared.fields import common_fields
from shared.schemas.base import Id, Text
from shared.schemas.registry import USERS
from shared.schemas.rights import OPERATOR
from shared.schemas.users_v1 import TenantOpenedByOperator
from shared.web import (
    Cursor,
    IfMatch,
    Limit,
    Page,
    Principal,
    access,
    actor_of,
    answer,
    check_if_match,
    decode_cursor,
    encode_cursor,
    etag,
    mark_of,
    operator,
    refusals,
)
from shared.web.auth import OPERATOR_KIND
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

router = APIRouter(route_class=CheckedRoute, prefix="/v1", tags=["tenants"])

OWNER_INVITATION_DAYS = 30
OPERATORS_FIELDS = ("time_zone", "support_contact")


def _view(row: StoredTenant, context: Context) -> TenantView:
    return TenantView(tenant=row.tenant_id, now=now_of(row, context.clock), **common_fields(row, StoredTenant, TenantView))


@router.post("/tenants", status_code=201, response_model=TenantView, responses=refusals(409), summary="Create a tenant")
async def create_tenant(body: NewTenant, request: Request, context: InContext, principal: Operator, key: IdempotencyKey = None) -> Response:
    """`status` is `opening` until seats has opened the tenant. You can already add people."""
    if body.clock == "real" and body.at is not None:
        raise Invalid("body.at", str(body.at), "no value, because only a tenant with a test clock has a start time")
    tenant = body.tenant or ids.new_id()
    now = context.clock.now()
    row = StoredTenant(
        tenant_id=tenant,
        config_version=1,
        version=1,
        advancing_to=None,
        created_at=now,
        at=(body.at or now) if body.clock == "test" else None,
        **common_fields(body, NewTenant, TenantRow),
    )
    async with context.database.unit_of_work(None) as uow:

        async def create() -> Response:
            if not await use_cases.create_tenant(uow, row, actor_of(principal), now_of(row, context.clock)):
                raise Conflict("tenant-exists", f"A tenant with the id {tenant} already exists. Choose another id.")
            if body.owner is not None:
                await _add_owner(context, uow, tenant, body.owner, cause_of(principal))
            return answer(_view(row, context), 201, {"location": f"/v1/tenants/{tenant}", "etag": etag(row.version)})

        return await idempotent(uow, request, principal, key, create, partial(_shown, context, uow))


async def _add_owner(context: Context, uow: UnitOfWork, tenant: str, owner: FirstOwner, cause: Cause) -> None:
    found = await context.tenants.for_write(tenant, uow)
    fields = {"name": owner.name, "email": owner.email, "login": owner.login or owner.email}
    edit = edit_person.AccountEdit(roles=(OWNER,), invitation=InvitationTerms(OWNER_INVITATION_DAYS, reserve=False))
    await edit_person.create(found, uow, context.seats, ids.new_id(), fields, edit, cause)


@router.get(
    "/tenants", dependencies=[Depends(operator())], response_model=Page[TenantView], summary="List all tenants, in order of their ids"
)
async def list_tenants(
    context: InContext,
    text: Annotated[
        str | None, Query(max_length=200, description="Only tenants whose id, name or contact e-mail address contains this text.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[TenantView]:
    (after,) = decode_cursor(cursor, str) or ("",)
    async with context.database.unit_of_work(None) as uow:
        rows = await store.page(uow.connection, None, after, limit, text)
    return Page(items=[_view(row, context) for row in rows], next=encode_cursor(rows[-1].tenant_id) if len(rows) == limit else None)


@router.post("/tenants/{tenant}/operator-access", status_code=201, response_model=Token, summary="Request a token that reads a tenant")
async def open_tenant(tenant: TenantId, body: OperatorAccess, context: InContext, principal: TenantOperator) -> Response:
    """The token reads the account, the people and the log of this tenant for 30 minutes, and changes nothing. The tenant's action log says
    who opened the tenant, and why."""
    now = context.clock.now()
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        token, until = context.issuer.issue_to_operator(tenant, principal.subject, now)
        name = await _operators_name(uow, tenant, principal)
        event = TenantOpenedByOperator(at=found.now, actor=actor_of(principal), reason=body.reason, until=until, operator=name)
        uow.publish(event, source=USERS, tenant=tenant, time=found.now)
    return answer(Token(access_token=token, expires_in=OPERATOR_TTL_SECONDS), 201)


async def _operators_name(uow: UnitOfWork, tenant: str, principal: Principal) -> str | None:
    """Return the name of the operator; None for a client, which is no person."""
    if principal.kind != OPERATOR_KIND:
        return None
    await uow.scope(None)
    row = await operators.get(uow.connection, principal.subject)
    await uow.scope(tenant)
    return row.name if row is not None else None


@router.get("/tenants/{tenant}", dependencies=[Depends(access("account:read"))], response_model=TenantView, summary="Get a tenant")
async def show_tenant(tenant: TenantId, context: InContext) -> Response:
    async with context.database.unit_of_work(tenant) as uow:
        return await _shown(context, uow, tenant)


async def _shown(context: Context, uow: UnitOfWork, tenant: str) -> Response:
    row = await store.get(uow.connection, tenant)
    if row is None:
        raise NotFound("tenant")
    return answer(_view(row, context), headers={"etag": etag(row.version)})


@router.patch(
    "/tenants/{tenant}",
    response_model=TenantView | SettingsPreviewView,
    responses=refusals(409, 412, 428),
    summary="Change a tenant (If-Match)",
)
@costly
async def change_tenant(
    tenant: TenantId, body: TenantPatch, context: InContext, principal: SettingsManager, if_match: IfMatch = None, dry_run: DryRun = False
) -> Response:
    """Only the vendor changes `support_contact`, which is the vendor's own, and `time_zone`, by which the days of invoices are counted.
    After a change of `release_on_expiry` or `time_zone`, all people are evaluated again soon after. `dry_run` shows what
    `release_on_expiry` would lead to; it needs no `If-Match`."""
    sent = body.model_dump(exclude_unset=True)
    if not principal.may(OPERATOR) and (names := [name for name in OPERATORS_FIELDS if name in sent]):
        detail = f"Only a token with the right {OPERATOR} may change {', '.join(names)}. Ask your support contact to change it."
        raise Forbidden("no-right", detail, right=OPERATOR, field=f"body.{names[0]}")
    if dry_run:
        async with context.database.unit_of_work(tenant) as uow:
            found = await context.tenants.for_read(tenant, uow)
            releases = found.settings.release_on_expiry if body.release_on_expiry is None else body.release_on_expiry
            settings = replace(found.settings, release_on_expiry=releases)
            return preview_answer(await preview_settings.preview(found, uow, context.seats, settings))
    async with context.database.unit_of_work(tenant) as uow:
        before = await use_cases.lock(tenant, uow)
        check_if_match(if_match, before.version)
        after = replace(before, **{name: value for name, value in sent.items() if value is not None})
        after = await use_cases.change_tenant(uow, before, after, actor_of(principal), now_of(before, context.clock))
    context.alarm.wake()
    return answer(_view(after, context), headers={"etag": etag(after.version)})


SourceName = Annotated[
    Text, Path(min_length=1, max_length=300, description="The `ce_source` of the events of the source, for example hr/acme.")
]


def check_source(field: str, source: str) -> None:
    if source.startswith(("seatpool/", SOURCE_PREFIX)) or source == REST_SOURCE:
        raise Invalid(field, source, "the name of an upstream system; this name is reserved for Seatpool itself")


def _source_view(found: HrSource) -> SourceView:
    return SourceView(source=found.source, tenants=list(found.tenants), topic=hr_sources.topic_of(found.topic).name)


def _mark(tenants: Sequence[str]) -> str:
    """Return what differs between two lists of tenants of a source; "0" for an empty one, which a source has that nobody has added."""
    return mark_of({"tenants": tenants}) if tenants else "0"


@router.put(
    "/operator/sources/{source:path}",
    dependencies=[Depends(operator())],
    response_model=AllowedView,
    responses=refusals(412),
    summary="Set the tenants for which a source may send facts",
)
async def put_source(source: SourceName, body: Allowed, context: InContext, if_match: IfMatch = None) -> Response:
    """The request replaces the list of tenants of this source. Events of other sources, or about other tenants, become dead letters. If you
    send `If-Match`, it is checked; `"0"` fits as long as the source has no tenants."""
    check_source("path.source", source)
    tenants = sorted(set(body.tenants))
    async with context.database.unit_of_work(None) as uow:
        if if_match is not None:
            check_if_match(if_match, _mark((await hr_sources.lock(uow.connection, source)).tenants))
        await hr_sources.save_tenants(uow.connection, source, tenants)
    return answer(AllowedView(source=source, tenants=tenants), headers={"etag": etag(_mark(tenants))})


@router.get(
    "/operator/sources/{source:path}",
    dependencies=[Depends(operator())],
    response_model=SourceView,
    responses=refusals(404),
    summary="Get a source and its tenants",
)
async def show_source(source: SourceName, context: InContext) -> Response:
    async with context.database.unit_of_work(None) as uow:
        found = await hr_sources.get(uow.connection, source)
    if found is None:
        raise NotFound("source")
    return answer(_source_view(found), headers={"etag": etag(_mark(found.tenants))})


@router.get("/operator/sources", dependencies=[Depends(operator())], summary="List the sources and their tenants")
async def list_sources(
    context: InContext,
    tenant: Annotated[Id | None, Query(description="Only sources that may send facts about this tenant.")] = None,
    cursor: Cursor = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Page[SourceView]:
    """The sources are in order of their names. A page can have fewer than `limit` sources: it also ends when its sources have 10,000
    tenants."""
    (after,) = decode_cursor(cursor, str) or ("",)
    async with context.database.unit_of_work(None) as uow:
        found, following = await hr_sources.page(uow.connection, tenant, after, limit, SOURCE_TENANTS_MAX)
    return Page(items=[_source_view(each) for each in found], next=None if following is None else encode_cursor(following))
