"""API clients: programs of a tenant that request access tokens with a secret (`POST /v1/token`)."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response

from services.users.api.dependencies import Context, InContext, RolesManager, TenantId, cause_of
from services.users.api.requests import ApiClientPatch, NewApiClient
from services.users.api.responses import ApiClientView, NewApiClientView, NewSecretView, SecretView
from services.users.domain.roles import in_order
from services.users.store import api_clients as store
from services.users.store.api_clients import ApiClientRow
from services.users.use_cases import api_clients
from shared.database import UnitOfWork
from shared.errors import NotFound
from shared.fields import common_fields
from shared.schemas.base import Id
from shared.web import Cursor, IfMatch, Limit, Page, access, answer, check_if_match, decode_cursor, encode_cursor, etag, refusals
from shared.web.idempotency import IdempotencyKey, idempotent
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute

router = APIRouter(
    route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/clients", tags=["clients"], dependencies=[Depends(access("roles:manage"))]
)
ClientId = Annotated[Id, Path(description="The id of the API client.")]


def _view(row: ApiClientRow) -> ApiClientView:
    secrets = [SecretView(secret_id=each["id"], created_at=each["created_at"]) for each in row.secrets]
    return ApiClientView(
        client=row.client, name=row.name, rights=list(row.rights), secrets=secrets, created_at=row.created_at, version=row.version
    )


async def _shown(context: Context, tenant: str, uow: UnitOfWork, client: str) -> Response:
    await context.tenants.for_read(tenant, uow)
    row = await store.get(uow.connection, tenant, client)
    if row is None:
        raise NotFound("API client")
    return answer(_view(row), headers={"etag": etag(row.version)})


@router.get("", summary="List the API clients, in order of creation")
async def list_clients(tenant: TenantId, context: InContext, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Page[ApiClientView]:
    (after,) = decode_cursor(cursor, str) or ("",)
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        rows = await store.page(uow.connection, tenant, after, limit)
    return Page(items=[_view(row) for row in rows], next=encode_cursor(rows[-1].client) if len(rows) == limit else None)


@router.post("", status_code=201, response_model=NewApiClientView, responses=refusals(409), summary="Add an API client")
async def create_client(
    tenant: TenantId, body: NewApiClient, request: Request, context: InContext, principal: RolesManager, key: IdempotencyKey = None
) -> Response:
    """The answer has the secret, which is shown only this once: a repetition with the same Idempotency-Key shows the client without it.
    The client can only have rights that you have yourself."""
    async with context.database.unit_of_work(tenant) as uow:

        async def create() -> Response:
            found = await context.tenants.for_write(tenant, uow)
            rights, now = in_order(body.rights), context.clock.now()
            client, secret = await api_clients.create(found, uow, body.name, rights, cause_of(principal), now)
            view = NewApiClientView(secret=secret, **common_fields(_view(client), ApiClientView, NewApiClientView))
            headers = {"location": f"/v1/tenants/{tenant}/clients/{client.client}", "etag": etag(client.version)}
            return answer(view, 201, headers)

        return await idempotent(uow, request, principal, key, create, partial(_shown, context, tenant, uow), keep_body=False)


@router.get("/{client}", response_model=ApiClientView, summary="Get an API client")
async def show_client(tenant: TenantId, client: ClientId, context: InContext) -> Response:
    async with context.database.unit_of_work(tenant) as uow:
        return await _shown(context, tenant, uow, client)


@router.patch("/{client}", response_model=ApiClientView, responses=refusals(409, 412, 428), summary="Change an API client (If-Match)")
async def change_client(
    tenant: TenantId, client: ClientId, body: ApiClientPatch, context: InContext, principal: RolesManager, if_match: IfMatch = None
) -> Response:
    """New rights are in the next token of the client."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        before = await api_clients.locked(found, uow, client)
        check_if_match(if_match, before.version)
        rights = before.rights if body.rights is None else in_order(body.rights)
        after = await api_clients.change(found, uow, before, body.name or before.name, rights, cause_of(principal))
    return answer(_view(after), headers={"etag": etag(after.version)})


@router.delete("/{client}", status_code=204, responses=refusals(409), summary="Delete an API client")
async def revoke_client(tenant: TenantId, client: ClientId, context: InContext, principal: RolesManager) -> Response:
    """The client gets no more tokens. The last one ends after at most 5 minutes."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        await api_clients.revoke(found, uow, await api_clients.locked(found, uow, client), cause_of(principal))
    return Response(status_code=204)


@router.post(
    "/{client}/secrets", status_code=201, response_model=NewSecretView, responses=refusals(409), summary="Add a secret to an API client"
)
async def add_secret(tenant: TenantId, client: ClientId, context: InContext, principal: RolesManager) -> Response:
    """A client can have two secrets at a time, so that a program gets the new one while the old one is still valid. The answer shows the
    secret only this once. If you lose the answer, remove the secret and add another one."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        before = await api_clients.locked(found, uow, client)
        secret_id, secret = await api_clients.add_secret(found, uow, before, cause_of(principal), context.clock.now())
    return answer(NewSecretView(secret_id=secret_id, secret=secret), 201)


@router.delete("/{client}/secrets/{secret}", status_code=204, responses=refusals(409), summary="Delete a secret of an API client")
async def remove_secret(
    tenant: TenantId,
    client: ClientId,
    secret: Annotated[Id, Path(description="The id of the secret.")],
    context: InContext,
    principal: RolesManager,
) -> Response:
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        await api_clients.remove_secret(found, uow, await api_clients.locked(found, uow, client), secret, cause_of(principal))
    return Response(status_code=204)
