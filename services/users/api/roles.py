"""Roles, and the roles and viewsets of people."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from services.users.api.dependencies import (
    Context,
    InContext,
    PersonOrManager,
    PersonRolesManager,
    Reader,
    RolesManager,
    TenantId,
    UserId,
    cause_of,
    locked_person,
    now_of,
    visible,
)
from services.users.api.requests import DigestsBody, NewRole, PersonRoles, RolePatch
from services.users.api.responses import Digests, PersonRolesView, RoleView, SignInView
from services.users.domain.person import Person
from services.users.domain.roles import BUILT_IN, in_order
from services.users.store import people as people_store
from services.users.store import people_lookups
from services.users.store import roles as store
from services.users.store.roles import RoleRow
from services.users.use_cases import roles, tenants
from shared import ids
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.schemas.base import Id
from shared.web import Cursor, IfMatch, Limit, Page, access, answer, check_if_match, decode_cursor, encode_cursor, etag, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["roles"])
RoleId = Annotated[Id, Path(description="The id of the role.")]
_BUILT_IN = [RoleRow(role, each.name, each.rights, 1) for role, each in BUILT_IN.items()]


def _view(row: RoleRow) -> RoleView:
    return RoleView(role=row.role, name=row.name, rights=list(row.rights), built_in=row.role in BUILT_IN, version=row.version)


@router.get("/roles", dependencies=[Depends(access("users:read", with_viewset=True))], summary="List the roles, in order of their ids")
async def list_roles(tenant: TenantId, context: InContext, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Page[RoleView]:
    """Four roles are built in: owner, licence-manager, people-manager and reader."""
    (after,) = decode_cursor(cursor, str) or ("",)
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        own = await store.page(uow.connection, tenant, after, limit)
    rows = sorted([*own, *(row for row in _BUILT_IN if row.role > after)], key=lambda row: row.role)[:limit]
    return Page(items=[_view(row) for row in rows], next=encode_cursor(rows[-1].role) if len(rows) == limit else None)


@router.post("/roles", status_code=201, response_model=RoleView, responses=refusals(409), summary="Add a role")
async def create_role(
    tenant: TenantId, body: NewRole, request: Request, context: InContext, principal: RolesManager, key: IdempotencyKey = None
) -> Response:
    """The role can only have rights that you have yourself."""
    wanted = RoleRow(body.role or ids.new_id(), body.name, in_order(body.rights), 1)
    async with context.database.unit_of_work(tenant) as uow:

        async def create() -> Response:
            row = await tenants.lock(tenant, uow)
            created = await roles.create_role(uow, row, wanted, cause_of(principal), now_of(row, context.clock))
            headers = {"location": f"/v1/tenants/{tenant}/roles/{created.role}", "etag": etag(created.version)}
            return answer(_view(created), 201, headers)

        return await idempotent(uow, request, principal, key, create, partial(_shown, context, tenant, uow))


@router.get("/roles/{role}", dependencies=[Depends(access("users:read", with_viewset=True))], response_model=RoleView, summary="Get a role")
async def show_role(tenant: TenantId, role: RoleId, context: InContext) -> Response:
    async with context.database.unit_of_work(tenant) as uow:
        return await _shown(context, tenant, uow, role)


async def _shown(context: Context, tenant: str, uow: UnitOfWork, role: str) -> Response:
    await context.tenants.for_read(tenant, uow)
    row = next((each for each in _BUILT_IN if each.role == role), None) or await store.get(uow.connection, tenant, role)
    if row is None:
        raise NotFound("role")
    return answer(_view(row), headers={"etag": etag(row.version)})


@router.patch("/roles/{role}", response_model=RoleView, responses=refusals(409, 412, 428), summary="Change a role (If-Match)")
async def change_role(
    tenant: TenantId, role: RoleId, body: RolePatch, context: InContext, principal: RolesManager, if_match: IfMatch = None
) -> Response:
    """The new rights are in the next token of each person who holds the role, thus after at most 5 minutes."""
    async with context.database.unit_of_work(tenant) as uow:
        row = await tenants.lock(tenant, uow)
        before = await roles.own_role(uow, tenant, role)
        check_if_match(if_match, before.version)
        rights = before.rights if body.rights is None else in_order(body.rights)
        wanted = RoleRow(role, body.name or before.name, rights, before.version)
        after = await roles.change_role(uow, row, before, wanted, cause_of(principal), now_of(row, context.clock))
    context.alarm.wake()
    return answer(_view(after), headers={"etag": etag(after.version)})


@router.delete("/roles/{role}", status_code=204, responses=refusals(409, 412, 428), summary="Delete a role (If-Match)")
async def delete_role(tenant: TenantId, role: RoleId, context: InContext, principal: RolesManager, if_match: IfMatch = None) -> Response:
    """A role that people hold, or that a SCIM group gives, cannot be deleted."""
    async with context.database.unit_of_work(tenant) as uow:
        row = await tenants.lock(tenant, uow)
        known = await roles.own_role(uow, tenant, role)
        check_if_match(if_match, known.version)
        await roles.delete_role(uow, row, known, cause_of(principal), now_of(row, context.clock))
    return Response(status_code=204)


@router.get(
    "/people/{user}/roles",
    response_model=PersonRolesView,
    summary="Get the roles and the viewset of a person",
)
async def show_person_roles(tenant: TenantId, user: UserId, context: InContext, principal: Reader) -> Response:
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        person = await people_store.get(uow.connection, tenant, user, found.today)
        return await _person_roles(tenant, uow, visible(person, principal))


@router.put(
    "/people/{user}/roles",
    response_model=PersonRolesView,
    responses=refusals(409, 412, 428),
    summary="Set the roles and the viewset of a person (If-Match)",
)
async def put_person_roles(
    tenant: TenantId, user: UserId, body: PersonRoles, context: InContext, principal: PersonRolesManager, if_match: IfMatch = None
) -> Response:
    """You can only give and take roles whose rights you have yourself, and no viewset wider than your own. `If-Match` is the ETag of the
    person. Rights that are added are in the person's next token, thus after at most 5 minutes."""
    own = body.viewset == "own"
    departments = tuple(sorted(set(body.viewset))) if isinstance(body.viewset, list) else None
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        before = await locked_person(found, uow, user, principal)
        check_if_match(if_match, before.version)
        given = tuple(sorted(set(body.roles)))
        person = await roles.give_roles(found, uow, before, given, own_department=own, departments=departments, cause=cause_of(principal))
        view = await _person_roles(tenant, uow, person)
    context.alarm.wake()  # somebody may be in conflict only because this person was privileged
    return view


@router.put("/people/{user}/digests", responses=refusals(409), summary="Set whether a person gets digests by e-mail")
async def put_digests(tenant: TenantId, user: UserId, body: DigestsBody, context: InContext, principal: PersonOrManager) -> Digests:
    """People set this for themselves, whatever their rights; for others it needs the right users:manage."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        before = await locked_person(found, uow, user, principal)
        await roles.set_digests(found, uow, before, body.digests, cause_of(principal))
    return Digests(digests=body.digests)


async def _person_roles(tenant: str, uow: UnitOfWork, person: Person) -> Response:
    account, departments = person.account, person.account.departments
    unknown = await people_lookups.unknown_departments(uow.connection, tenant, departments or ())
    view = PersonRolesView(
        user=person.user,
        roles=list(account.roles),
        group_roles=list(account.group_roles),
        rights=list(person.standing.rights),
        viewset="own" if account.own_department else None if departments is None else list(departments),
        unknown_departments=unknown,
        may_sign_in=person.standing.may_sign_in,
        sign_in=SignInView(login=person.sign_in_login or None, email=person.sign_in_email),
        version=person.version,
    )
    return answer(view, headers={"etag": etag(person.version)})
