"""Access tokens, and the keys that verify them. These routes need no token."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from services.users.api.dependencies import Context, InContext
from services.users.api.forms import check_form, form_document, parse_form
from services.users.api.identity_provider import provider_failed
from services.users.api.sign_in_requests import ID_TOKEN_TYPE, TOKEN_EXCHANGE, IdTokenExchangeForm, TokenExchangeForm, TokenForm
from services.users.api.sign_in_responses import PublicKeys, Token
from services.users.sign_in.guarded_http import RequestFailed
from services.users.sign_in.identity_providers import Client, TokenRefused
from services.users.sign_in.tokens import Grant
from services.users.store import api_clients
from services.users.store import identity_providers as store
from services.users.store.api_clients import KnownClient
from services.users.store.identity_providers import EFFECTIVE
from services.users.store.operators import VENDOR, OperatorRow
from services.users.use_cases import identity_providers, operators, sessions
from shared.errors import NotFound
from shared.web import answer, refusals
from shared.web.route import FormRoute

router = APIRouter(route_class=FormRoute, tags=["access"])

ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a word of RFC 8693


def _form_of(fields: Mapping[str, str]) -> type[TokenForm | TokenExchangeForm | IdTokenExchangeForm]:
    if fields.get("grant_type") != TOKEN_EXCHANGE:
        return TokenForm
    return IdTokenExchangeForm if fields.get("subject_token_type") == ID_TOKEN_TYPE else TokenExchangeForm


@router.post(
    "/v1/token",
    response_model=Token,
    openapi_extra=form_document(TokenForm, TokenExchangeForm, IdTokenExchangeForm),
    responses=refusals(400, 401, 403, 404, 409, 429, 503),
    summary="Request an access token",
)
async def make_token(request: Request, context: InContext) -> Response:
    """A client gets a token with its secret (`client_credentials`). A person's session, or an ID token of the tenant's identity
    provider, is exchanged for a token of at most five minutes (RFC 8693); its rights are those that the person has now."""
    fields = parse_form(await request.body())
    form = check_form(fields, _form_of(fields))
    if isinstance(form, TokenExchangeForm):
        return await _exchange(form, context)
    if isinstance(form, IdTokenExchangeForm):
        return await _exchange_id_token(form, request, context)
    scope = tuple(form.scope.split()) if form.scope is not None else None
    grant = Grant(form.client_id, form.client_secret, form.tenant, form.subject, scope, form.ttl_seconds)
    address = request.client.host if request.client is not None else ""
    token, seconds = context.issuer.issue(grant, context.clock.now(), address, await _api_client(form.client_id, context))
    return answer(Token(access_token=token, expires_in=seconds))


async def _api_client(client_id: str, context: Context) -> KnownClient | None:
    if context.issuer.knows(client_id):
        return None  # it is in the settings
    async with context.database.unit_of_work(None) as uow:
        return await api_clients.find(uow.connection, client_id)


async def _exchange(form: TokenExchangeForm, context: Context) -> Response:
    now = context.clock.now()
    async with context.database.unit_of_work(None) as uow:
        session, granted = await sessions.rights(uow, form.subject_token, now)
    if isinstance(granted, OperatorRow):
        return _operators_token(context, granted, now)
    token, seconds = context.issuer.issue_to_person(session.tenant_id, session.user_id, granted, now)
    return answer(Token(access_token=token, expires_in=seconds, issued_token_type=ACCESS_TOKEN_TYPE))


def _operators_token(context: Context, operator: OperatorRow, now: datetime) -> Response:
    token, seconds = context.issuer.issue_to_signed_in_operator(operator.operator_id, now)
    return answer(Token(access_token=token, expires_in=seconds, issued_token_type=ACCESS_TOKEN_TYPE))


async def _exchange_id_token(form: IdTokenExchangeForm, request: Request, context: Context) -> Response:
    """The first exchange binds the identity to its person, as the first sign-in does."""
    now = context.clock.now()
    context.sign_in.limits.check_wrong(request, now)
    if form.tenant is None:
        return await _exchange_operators_token(form.subject_token, request, context, now)
    async with context.database.unit_of_work(form.tenant) as uow:
        provider = await store.get(uow.connection, form.tenant, EFFECTIVE)
    if provider is None:
        raise NotFound("identity provider of this tenant", "Check `tenant`.")
    try:
        claims = await context.sign_in.providers.claims(
            identity_providers.client_of(provider, context.sign_in.secrets_keys), form.subject_token, None
        )
        async with context.database.unit_of_work(form.tenant) as uow:
            tenant = await context.tenants.for_write(form.tenant, uow)
            user, granted = await identity_providers.exchange(tenant, uow, provider, claims, now)
    except RequestFailed as error:
        raise provider_failed(error) from error
    except TokenRefused as error:
        context.sign_in.limits.count_wrong(request, now)
        raise identity_providers.token_refused(error, form.tenant) from error
    token, seconds = context.issuer.issue_to_person(form.tenant, user, granted, now)
    return answer(Token(access_token=token, expires_in=seconds, issued_token_type=ACCESS_TOKEN_TYPE))


async def _exchange_operators_token(id_token: str, request: Request, context: Context, now: datetime) -> Response:
    """Exchange an ID token of the vendor's identity provider. The first exchange binds the account to its operator."""
    provider = context.sign_in.vendors_provider
    if provider is None:
        raise NotFound("identity provider of the vendor", "Name a `tenant`, or let the vendor set SEATPOOL_OPERATOR_ISSUER.")
    try:
        claims = await context.sign_in.providers.claims(Client(VENDOR, provider.issuer, provider.client_id, None), id_token, None)
    except RequestFailed as error:
        raise provider_failed(error) from error
    except TokenRefused as error:
        context.sign_in.limits.count_wrong(request, now)
        raise identity_providers.token_refused(error, VENDOR) from error
    async with context.database.unit_of_work(None) as uow:
        operator = await operators.of_claims(uow, claims, trust_email=provider.trust_email)
    return _operators_token(context, operator, now)


@router.get(
    "/.well-known/jwks.json",
    response_model=PublicKeys,
    responses={304: {"description": "The keys are those of the ETag in If-None-Match."}},
    summary="Get the public keys that verify access tokens",
)
async def show_keys(context: InContext, if_none_match: Annotated[str | None, Header(max_length=500)] = None) -> Response:
    """Request the keys every few seconds, with If-None-Match. A token is not valid if its key is no longer published."""
    document, etag = context.keys.document()
    headers = {"etag": etag}
    if if_none_match is not None and etag in map(str.strip, if_none_match.split(",")):
        return Response(status_code=304, headers=headers)
    return Response(document, headers=headers, media_type="application/json")
