"""The identity provider of a tenant, and sign-in with it.

What the provider says (an ID token) is checked before these functions are called. An identity, which is the pair of issuer and subject, is
bound to a person at the first sign-in. From then on only the binding counts: a login or an e-mail address that moves to somebody else moves
nobody's access.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from prometheus_client import Counter

from services.users.domain.logins import login_key
from services.users.domain.person import Cause, Tenant
from services.users.domain.status import is_here
from services.users.sign_in.identity_providers import Client, TokenRefused, email_verified
from services.users.sign_in.opaque import hash_of, new_secret
from services.users.store import identity_providers as store
from services.users.store import people as people_store
from services.users.store import people_lookups
from services.users.store.identity_providers import DRAFT, EFFECTIVE, FlowRow, IdentityRow, ProviderRow
from services.users.use_cases import rights, sessions
from services.users.use_cases.invitations import claim_invitation
from services.users.use_cases.rights import Granted, rights_of
from services.users.use_cases.sessions import Method, NewSession
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Conflict, Forbidden, NotFound, Refused
from shared.schemas.base import changes_between
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import IdentityProviderChanged
from shared.sealed import seal, unseal

log = structlog.get_logger(__name__)

FLOW_MINUTES: Final = 10
FLOWS_MAX: Final = 2000  # sign-ins of one tenant that have begun
EMAIL: Final = "email"
PURPOSE: Final = "identity provider"
SIGN_INS = Counter("seatpool_users_identity_provider_sign_ins", "Sign-ins with an identity provider", ["outcome"])
for _outcome in ("bound", "first", "refused", "provider_failed"):
    SIGN_INS.labels(_outcome)  # from the start: Prometheus sees no increase in a series that begins at 1


@dataclass(frozen=True, slots=True)
class Flow:
    """A sign-in that has begun. `state` is in the address, `secret` only in the browser; nonce and verifier are derived from the secret, so
    nothing of them is stored."""

    provider: ProviderRow
    redirect_uri: str
    state: str
    secret: str
    expires_at: datetime

    @property
    def nonce(self) -> str:
        return derived(self.secret, "nonce")

    @property
    def verifier(self) -> str:
        return derived(self.secret, "verifier")


def derived(secret: str, what: str) -> str:
    digest = hmac.digest(secret.encode(), what.encode(), "sha256")
    return urlsafe_b64encode(digest).decode().rstrip("=")


def client_of(provider: ProviderRow, keys: Sequence[str]) -> Client:
    """Return the registration at the provider. Raises Conflict if its secret cannot be decrypted."""
    secret = None if provider.sealed_secret is None else unseal(provider.sealed_secret, keys, PURPOSE)
    if provider.sealed_secret is not None and secret is None:
        log.error("identity_provider_not_decrypted", tenant=provider.tenant_id)
        raise Conflict(
            "secrets-key-missing",
            "The client secret of this identity provider cannot be decrypted, because its key is missing at the service. Contact support.",
        )
    return Client(provider.tenant_id, provider.issuer, provider.client_id, secret)


# ------------------------------------------------------------------------------------------------------------- configuration


async def enter(
    uow: UnitOfWork, provider: ProviderRow, client_secret: str | None, keys: Sequence[str], cause: Cause, at: datetime
) -> ProviderRow:
    """Save a configuration, which is not in use before a test sign-in. Without a new secret, that of the same client at the same issuer
    stays. Raises Conflict, Forbidden."""
    _check(cause)
    before = await store.get(uow.connection, provider.tenant_id, DRAFT) or await store.get(uow.connection, provider.tenant_id, EFFECTIVE)
    if client_secret is not None:
        if not keys:
            raise Conflict(
                "secrets-key-missing",
                "This installation has no key to encrypt a client secret, so it cannot be stored. Ask support to set "
                "SEATPOOL_SECRETS_KEY, or use a client without a secret.",
            )
        provider = replace(provider, sealed_secret=seal(client_secret, keys[0], PURPOSE))
    else:
        for state in (DRAFT, EFFECTIVE):
            known = await store.get(uow.connection, provider.tenant_id, state)
            if known is not None and (known.issuer, known.client_id) == (provider.issuer, provider.client_id):
                provider = replace(provider, sealed_secret=known.sealed_secret)
                break
    await store.save(uow.connection, provider)
    _publish(uow, before, provider, "entered", cause, at)
    return provider


async def remove(uow: UnitOfWork, tenant_id: str, cause: Cause, at: datetime) -> None:
    """Delete the configuration and its draft. Raises NotFound, Forbidden."""
    found = await store.get(uow.connection, tenant_id, EFFECTIVE) or await store.get(uow.connection, tenant_id, DRAFT)
    if found is None:
        raise NotFound("identity provider")
    _check(cause)
    await store.remove(uow.connection, tenant_id)
    _publish(uow, found, None, "removed", cause, at)


async def make_effective(uow: UnitOfWork, provider: ProviderRow, claims: Mapping[str, Any], cause: Cause, at: datetime) -> None:
    """Make the draft effective after a test sign-in. Raises Conflict, Forbidden also if somebody else signed in."""
    _check(cause)
    user = await _person(uow, provider, claims, at)
    if user != provider.entered_by:
        raise Forbidden(
            "identity-refused",
            "The account that signed in at the identity provider is not that of the person who entered the configuration, so the "
            "configuration is not in use. Sign in with your own account, or enter the configuration yourself.",
        )
    before = await store.get(uow.connection, provider.tenant_id, EFFECTIVE)
    if not await store.make_effective(uow.connection, provider.tenant_id, provider.version):
        raise Conflict("provider-changed", "The configuration was changed after this test began. Start the test again.")
    _publish(uow, before, provider, "effective", cause, at)


def _check(cause: Cause) -> None:
    if cause.authority is not None:
        rights.check_all_rights(cause.authority, "An identity provider")


def _publish(uow: UnitOfWork, before: ProviderRow | None, after: ProviderRow | None, what: str, cause: Cause, at: datetime) -> None:
    provider = after or before
    assert provider is not None
    changes = changes_between(_logged(before), _logged(after))
    event = IdentityProviderChanged(at=at, actor=cause.actor, changes=changes, what=what, issuer=provider.issuer)
    uow.publish(event, source=USERS, tenant=provider.tenant_id, time=at)


def _logged(provider: ProviderRow | None) -> dict[str, str | bool | None]:
    """Return what the action log shows of a provider: of its secret only which one it is, by a part of the hash of the sealed one."""
    if provider is None:
        return {}
    secret = None if provider.sealed_secret is None else hash_of(provider.sealed_secret).hex()[:8]
    shown = {name: getattr(provider, name) for name in ("issuer", "client_id", "trust_email", "required", "emergency_links")}
    return shown | {"match_claims": ", ".join(provider.match_claims), "client_secret": secret}


# ------------------------------------------------------------------------------------------------------------------- sign-in


async def begin(uow: UnitOfWork, tenant_id: str, state: str, redirect_uri: str, now: datetime) -> Flow:
    """Begin a sign-in with the tenant's provider in this state (effective, or the draft for a test). Raises NotFound, also for an unknown
    tenant, and Refused("too-many-requests")."""
    await uow.scope(tenant_id)
    provider = await store.get(uow.connection, tenant_id, state)
    if provider is None:
        raise NotFound("identity provider of this tenant", "Check the tenant, or sign in by link.")
    secret, shown, until = new_secret(), new_secret(), now + timedelta(minutes=FLOW_MINUTES)
    await store.add_flow(
        uow.connection, FlowRow(tenant_id, hash_of(shown), hash_of(secret), state, provider.version, redirect_uri, until), now
    )
    if await store.count_flows(uow.connection, tenant_id) > FLOWS_MAX:
        detail = "Too many people of this company are signing in at the moment. Try again in a minute."
        raise Refused("too-many-requests", detail, retry_after_seconds=60)
    return Flow(provider, redirect_uri, shown, secret, until)


async def take(uow: UnitOfWork, state: str, secret: str, now: datetime, *, provider_state: str = EFFECTIVE) -> Flow:
    """Return the sign-in that began with this state in this browser, once. Raises Refused("sign-in-not-valid")."""
    row = await store.take_flow(uow.connection, hash_of(state), hash_of(secret), now)
    if row is None or row.provider_state != provider_state:
        raise _not_valid()
    await uow.scope(row.tenant_id)
    provider = await store.get(uow.connection, row.tenant_id, provider_state)
    if provider is None or provider.version != row.provider_version:
        raise _not_valid()
    return Flow(provider, row.redirect_uri, state, secret, row.expires_at)


def _not_valid() -> Refused:
    SIGN_INS.labels("refused").inc()
    return Refused(
        "sign-in-not-valid",
        "This sign-in is unknown, was already completed, has expired, or began in another browser. Start it again.",
    )


def other_issuer() -> Refused:
    """Return the refusal of an answer of another identity provider: its code must not be sent to the one of this sign-in (RFC 9207)."""
    SIGN_INS.labels("refused").inc()
    return Refused(
        "sign-in-not-valid",
        "The answer comes from another identity provider than the one with which this sign-in began. Start it again.",
    )


def code_refused() -> Refused:
    """Return the refusal of a sign-in whose code the provider does not accept."""
    SIGN_INS.labels("refused").inc()
    return Refused(
        "sign-in-not-valid",
        "The identity provider does not accept the code of this sign-in: it is wrong, was already used, or has expired. Start it again.",
    )


def not_let_in() -> Refused:
    """Return the refusal of a sign-in that the person cancelled, or that the provider does not allow to this person."""
    SIGN_INS.labels("refused").inc()
    return Refused(
        "sign-in-not-valid",
        "You were not signed in: the sign-in was cancelled at the identity provider, or the provider does not let your account use this "
        "application. Start again. If you did not cancel it, ask an administrator of your company.",
    )


async def sign_in(tenant: Tenant, uow: UnitOfWork, provider: ProviderRow, claims: Mapping[str, Any], now: datetime) -> NewSession:
    """Begin a session of the person of the identity, which is bound at the first sign-in. It claims an open invitation, and no other seat.
    Raises Forbidden."""
    user = await _person(uow, provider, claims, now)
    await claim_invitation(tenant, uow, user)
    return await sessions.begin(uow, provider.tenant_id, user, Method.IDENTITY_PROVIDER, now)


async def exchange(tenant: Tenant, uow: UnitOfWork, provider: ProviderRow, claims: Mapping[str, Any], now: datetime) -> tuple[str, Granted]:
    """Return the person of the identity and their rights, as `sign_in` does. A person without a role has no right, and gets a token all the
    same: the vendor's product asks who it is. Raises Forbidden for a person who is not employed or is blocked."""
    user = await _person(uow, provider, claims, now)
    await claim_invitation(tenant, uow, user)
    person = await people_store.get(uow.connection, provider.tenant_id, user, tenant.today)
    if person is None or person.record is None or not is_here(person.record, person.account, tenant.today):
        raise sessions.refusal()
    return user, await rights_of(uow.connection, provider.tenant_id, user, now)


async def _person(uow: UnitOfWork, provider: ProviderRow, claims: Mapping[str, Any], now: datetime) -> str:
    if email_verified(claims) is False:
        raise identity_refused("the identity provider says that the e-mail address is not verified")
    subject = str(claims["sub"])
    user = await store.bound_user(uow.connection, provider.tenant_id, provider.issuer, subject)
    if user is not None:
        SIGN_INS.labels("bound").inc()
        return user
    user = await _matching(uow, provider, claims)
    if not await store.bind(uow.connection, IdentityRow(provider.tenant_id, provider.issuer, subject, user, now)):
        raise identity_refused(
            "the person with this login or e-mail address has signed in with another account of the identity provider before. An owner can "
            "remove that account from the person"
        )
    SIGN_INS.labels("first").inc()
    return user


async def _matching(uow: UnitOfWork, provider: ProviderRow, claims: Mapping[str, Any]) -> str:
    """Return the one employed person whom the first telling claim names. Raises Forbidden."""
    for claim in provider.match_claims:
        value = claims.get(claim)
        if not isinstance(value, str) or not value.strip() or len(value) > 500:
            continue
        if claim == EMAIL:
            if email_verified(claims) is None and not provider.trust_email:
                continue
            found = await people_lookups.with_email(uow.connection, provider.tenant_id, value, 2)
        else:
            found = await people_lookups.with_sign_in_login(uow.connection, provider.tenant_id, login_key(value))
        if len(found) > 1:
            raise identity_refused(f"several people have this {'e-mail address' if claim == EMAIL else 'login'}")
        if found:
            return found[0]
    raise identity_refused(f"no employed person matches the account ({', '.join(provider.match_claims)})")


def identity_refused(why: str) -> Forbidden:
    SIGN_INS.labels("refused").inc()
    return Forbidden("identity-refused", f"You cannot sign in with this account: {why}. Ask an administrator of your company.")


def token_refused(error: TokenRefused, tenant_id: str) -> Forbidden:
    log.warning("id_token_refused", tenant=tenant_id, why=str(error))
    return identity_refused(str(error))


async def unbind(uow: UnitOfWork, tenant_id: str, user_id: str) -> None:
    """Remove the identities of a person and end the person's sessions. Raises NotFound."""
    if await store.unbind(uow.connection, tenant_id, user_id) == 0:
        raise NotFound("identity of this person")
    await sessions.end_all(uow, tenant_id, [user_id])


def new_version() -> str:
    return ids.new_id()
