"""The identity provider of a tenant (OpenID Connect), and sign-in with it."""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from services.users.api.dependencies import Context, InContext, RolesManager, TenantId, UserId, cause_of, visible
from services.users.api.sign_in_links import new_session_view
from services.users.api.sign_in_requests import CompletedSignIn, IdentityProviderBody, StartSignIn, StartTest
from services.users.api.sign_in_responses import (
    IdentityList,
    IdentityProviderView,
    IdentityProviderViews,
    IdentityView,
    NewSessionView,
    StartedSignIn,
)
from services.users.sign_in.guarded_http import RequestFailed, WrongAnswer, host_of
from services.users.sign_in.identity_providers import TokenRefused
from services.users.store import identity_providers as store
from services.users.store import people as people_store
from services.users.store.identity_providers import DRAFT, EFFECTIVE, ProviderRow
from services.users.use_cases import identity_providers as use_cases
from services.users.use_cases.identity_providers import Flow
from shared.errors import Forbidden, Invalid, NotFound, Refused
from shared.fields import common_fields
from shared.web import access, answer, refusals
from shared.web.auth import PERSON
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, tags=["sign-in"])

_TENANT = "/v1/tenants/{tenant}/identity-provider"
_MANAGE = [Depends(access("roles:manage"))]


def _view(row: ProviderRow | None) -> IdentityProviderView | None:
    if row is None:
        return None
    return IdentityProviderView(has_secret=row.sealed_secret is not None, **common_fields(row, ProviderRow, IdentityProviderView))


@router.get(_TENANT, dependencies=_MANAGE, summary="Get the identity provider of a tenant")
async def show_provider(tenant: TenantId, context: InContext) -> IdentityProviderViews:
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        draft, effective = [await store.get(uow.connection, tenant, state) for state in (DRAFT, EFFECTIVE)]
    return IdentityProviderViews(draft=_view(draft), effective=_view(effective))


@router.put(_TENANT, response_model=IdentityProviderView, responses=refusals(403, 409), summary="Set the identity provider of a tenant")
async def put_provider(tenant: TenantId, body: IdentityProviderBody, context: InContext, principal: RolesManager) -> Response:
    """The configuration is a draft until you have signed in with it once (`…/test`). Until then the present one, if any, stays in use. The
    client secret is stored encrypted, and no answer contains it. This needs all rights of the tenant, as an owner has: the provider says
    who signs in."""
    if principal.kind != PERSON:
        detail = "Only a person can enter an identity provider, because that person has to sign in with it before it is used."
        raise Forbidden("no-right", f"{detail} Send the request with the access token of a person.")
    _check_issuer(body.issuer, context)
    now = context.clock.now()
    secret = body.client_secret.get_secret_value() if body.client_secret is not None else None
    row = ProviderRow(
        tenant_id=tenant,
        state=DRAFT,
        issuer=body.issuer,
        client_id=body.client_id,
        sealed_secret=None,
        match_claims=tuple(dict.fromkeys(body.match_claims)),
        trust_email=body.trust_email,
        required=body.required,
        emergency_links=body.emergency_links,
        entered_by=principal.subject,
        version=use_cases.new_version(),
        entered_at=now,
    )
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        row = await use_cases.enter(uow, row, secret, context.sign_in.secrets_keys, cause_of(principal), found.now)
    view = _view(row)
    assert view is not None
    return answer(view)


def _check_issuer(issuer: str, context: Context) -> None:
    expected = "an address that begins with https:// and has no user name, query or fragment"
    scheme, host = issuer.partition("://")[0], host_of(issuer)
    is_local = scheme == "http" and context.sign_in.allows_local and host in ("127.0.0.1", "localhost")
    if not (scheme == "https" or is_local) or not host or not issuer.isprintable() or any(mark in issuer for mark in "@?#\\ "):
        raise Invalid("body.issuer", issuer, expected)


@router.delete(_TENANT, status_code=204, responses=refusals(403), summary="Delete the identity provider of a tenant")
async def delete_provider(tenant: TenantId, context: InContext, principal: RolesManager) -> Response:
    """People then sign in by link. The identities of people are kept, in case the same provider is set again. This needs all
    rights of the tenant, as an owner has."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        await use_cases.remove(uow, tenant, cause_of(principal), found.now)
    return Response(status_code=204)


@router.post(
    f"{_TENANT}/test",
    dependencies=_MANAGE,
    response_model=StartedSignIn,
    responses=refusals(409, 429, 503),
    summary="Start a test sign-in with a new identity provider",
)
async def start_test(tenant: TenantId, body: StartTest, context: InContext) -> Response:
    """Only the person who entered the configuration can complete the test."""
    return await _start(context, tenant, DRAFT, body.redirect_uri)


@router.post(
    f"{_TENANT}/activate",
    response_model=IdentityProviderView,
    responses=refusals(403, 409, 503),
    summary="Let a tested identity provider be used",
)
async def activate(tenant: TenantId, body: CompletedSignIn, context: InContext, principal: RolesManager) -> Response:
    """Send what the identity provider sent back after the test sign-in: `state`, and `code` or `error`."""
    flow, claims = await _completed(context, body, DRAFT, tenant)
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        await use_cases.make_effective(uow, flow.provider, claims, cause_of(principal), found.now)
        row = await store.get(uow.connection, tenant, EFFECTIVE)
    view = _view(row)
    assert view is not None
    return answer(view)


@router.post(
    "/v1/sign-in/identity-provider",
    response_model=StartedSignIn,
    responses=refusals(404, 409, 429, 503),
    summary="Start a sign-in with the identity provider of a tenant",
)
async def start_sign_in(body: StartSignIn, request: Request, context: InContext) -> Response:
    """Keep `flow` in a cookie of the browser, and send the browser to `authorization_url`."""
    context.sign_in.limits.attempt(request, context.clock.now())
    return await _start(context, body.tenant, EFFECTIVE, body.redirect_uri)


@router.post(
    "/v1/sign-in/identity-provider/complete",
    status_code=201,
    response_model=NewSessionView,
    responses=refusals(403, 404, 409, 429, 503),
    summary="Start a session after a sign-in with an identity provider",
)
async def complete_sign_in(body: CompletedSignIn, request: Request, context: InContext) -> Response:
    """Send `flow` from the cookie, and from the address to which the identity provider sent the browser back, `state`, `code` and, if it is
    there, `iss`. If the address has an `error` instead of a `code`, send that: the answer says what it means to the person."""
    now = context.clock.now()
    context.sign_in.limits.attempt(request, now)
    flow, claims = await _completed(context, body, EFFECTIVE, None)
    async with context.database.unit_of_work(flow.provider.tenant_id) as uow:
        tenant = await context.tenants.for_write(flow.provider.tenant_id, uow)
        session = await use_cases.sign_in(tenant, uow, flow.provider, claims, now)
    return answer(new_session_view(session), 201)


# What a provider names where the person cancelled, or has to do or may do something there first (RFC 6749, OpenID Connect Core 1.0).
_NOT_LET_IN = frozenset({"access_denied", "consent_required", "interaction_required", "login_required", "account_selection_required"})
_IS_DOWN = frozenset({"server_error", "temporarily_unavailable"})


async def _start(context: Context, tenant: str, state: str, redirect_uri: str) -> Response:
    if redirect_uri not in context.sign_in.redirect_urls:
        raise Invalid("body.redirect_uri", redirect_uri, "one of the addresses in the setting SEATPOOL_SIGN_IN_REDIRECT_URLS")
    async with context.database.unit_of_work(tenant) as uow:
        flow = await use_cases.begin(uow, tenant, state, redirect_uri, context.clock.now())
    client = use_cases.client_of(flow.provider, context.sign_in.secrets_keys)
    try:
        url = await context.sign_in.providers.authorization_url(
            client, redirect_uri=redirect_uri, state=flow.state, nonce=flow.nonce, verifier=flow.verifier
        )
    except RequestFailed as error:
        raise provider_failed(error) from error
    return answer(StartedSignIn(authorization_url=url, flow=flow.secret, expires_at=flow.expires_at))


async def _completed(context: Context, body: CompletedSignIn, state: str, tenant: str | None) -> tuple[Flow, Mapping[str, Any]]:
    """Return the sign-in and the claims of its ID token. No connection to the database is held while the provider is asked."""
    async with context.database.unit_of_work(None) as uow:
        flow = await use_cases.take(uow, body.state, body.flow, context.clock.now(), provider_state=state)
    if tenant is not None and flow.provider.tenant_id != tenant:
        raise NotFound("sign-in of this tenant")
    if body.iss is not None and body.iss != flow.provider.issuer:
        raise use_cases.other_issuer()
    client, providers = use_cases.client_of(flow.provider, context.sign_in.secrets_keys), context.sign_in.providers
    try:
        if body.code is None:
            raise _error_of_provider(body.error or "")
        token = await providers.id_token(client, code=body.code, redirect_uri=flow.redirect_uri, verifier=flow.verifier)
        return flow, await providers.claims(client, token, flow.nonce)
    except RequestFailed as error:
        raise provider_failed(error) from error
    except TokenRefused as error:
        raise use_cases.token_refused(error, flow.provider.tenant_id) from error


def _error_of_provider(code: str) -> RequestFailed:
    """Return what an error means with which the provider sent the browser back. The browser can change its text, so no answer shows it."""
    text = "it sent the browser back with an error"
    return RequestFailed(text) if code in _IS_DOWN else WrongAnswer(text, code)


def provider_failed(error: RequestFailed) -> Refused:
    """Return the refusal of a request for which the provider gave no usable answer. Only a provider that is down or slow is asked again."""
    if isinstance(error, WrongAnswer) and error.code == "invalid_grant":
        return use_cases.code_refused()
    if isinstance(error, WrongAnswer) and error.code in _NOT_LET_IN:
        return use_cases.not_let_in()
    use_cases.SIGN_INS.labels("provider_failed").inc()
    use_cases.log.warning("identity_provider_failed", why=str(error))
    if isinstance(error, WrongAnswer):
        return Refused(
            "identity-provider-refused",
            f"The identity provider of your company cannot be used as it is configured: {error}. An owner has to correct the configuration "
            "here (`PUT …/identity-provider`: issuer, client id, secret) or at the identity provider, and can sign in by link meanwhile.",
        )
    return Refused(
        "identity-provider-failed",
        f"The identity provider of your company does not answer: {error}. Try again in a minute. If this lasts, an owner can "
        "sign in by link.",
    )


_IDENTITIES = "/v1/tenants/{tenant}/people/{user}/identities"


@router.get(_IDENTITIES, summary="List the accounts at identity providers with which a person signs in")
async def list_identities(tenant: TenantId, user: UserId, context: InContext, principal: RolesManager) -> IdentityList:
    async with context.database.unit_of_work(tenant) as uow:
        visible(await people_store.get(uow.connection, tenant, user, None), principal)
        rows = await store.identities_of(uow.connection, tenant, user)
    return IdentityList(identities=[IdentityView(issuer=row.issuer, subject=row.subject, bound_at=row.bound_at) for row in rows])


@router.delete(_IDENTITIES, status_code=204, summary="Delete the accounts at identity providers with which a person signs in")
async def unbind(tenant: TenantId, user: UserId, context: InContext, principal: RolesManager) -> Response:
    """The sessions of the person end. The next sign-in binds the account with the person's login or e-mail address at that time."""
    async with context.database.unit_of_work(tenant) as uow:
        visible(await people_store.get(uow.connection, tenant, user, None), principal)
        await use_cases.unbind(uow, tenant, user)
    return Response(status_code=204)
