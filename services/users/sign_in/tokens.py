"""Issue access tokens."""

import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from prometheus_client import Counter
from pydantic import SecretStr

from services.users.sign_in import opaque
from services.users.sign_in.keys import SigningKeys
from services.users.sign_in.rate_limits import RateLimit
from services.users.store.api_clients import KnownClient
from services.users.use_cases.rights import Granted
from shared import ids
from shared.errors import Invalid, Refused, Unauthenticated
from shared.schemas.rights import ACCOUNT_READ, LOG_READ, OPERATOR, RIGHTS, USERS_READ
from shared.web.auth import AUDIENCE, ISSUER, LEEWAY_SECONDS, OPERATOR_CLIENT, OPERATOR_KIND, PERSON

log = structlog.get_logger(__name__)

TTL_SECONDS_MAX: Final = 86_400
OPERATOR_TTL_SECONDS: Final = 1800  # of the token with which the vendor reads one tenant
OPERATOR_READS: Final = (ACCOUNT_READ, USERS_READ, LOG_READ)
# Of the token of a person or an API client, who can lose their rights: with the leeway, it is refused 5 minutes after it was made.
REVOCABLE_TTL_SECONDS: Final = 300 - LEEWAY_SECONDS
_REVOCABLE: Final = {"revocable": True}
REFUSED = Counter("seatpool_users_tokens_refused", "Access tokens not given", ["why"])  # wrong-secret | too-many-attempts


@dataclass(frozen=True, slots=True)
class Grant:
    """The fields of a token request."""

    client: str
    secret: str
    tenant: str | None = None
    subject: str | None = None
    scope: tuple[str, ...] | None = None
    ttl_seconds: int | None = None


def _rights_of(grant: Grant) -> tuple[str, ...]:
    """Return the rights that the operator's client names. Raises Invalid, Refused("invalid_scope")."""
    scope = _named(grant.scope)
    if unknown := [right for right in scope if right not in RIGHTS]:
        raise Invalid("body.scope", " ".join(unknown), f"rights, separated by spaces, out of: {' '.join(RIGHTS)}")
    if grant.tenant is None and OPERATOR not in scope:
        raise _invalid_scope(
            f"`tenant` is missing, which means all tenants, and `scope` is {' '.join(scope)!r}. A token for all tenants needs the right "
            f"`{OPERATOR}`. Name a tenant, or ask for the scope `{OPERATOR}`."
        )
    return scope


def _rights_of_service(grant: Grant) -> tuple[str, ...]:
    """Return the rights of a service. Its token is in its own name, for all tenants. Raises Invalid, Refused("invalid_scope")."""
    for name, value in (("tenant", grant.tenant), ("subject", grant.subject)):
        if value is not None:
            raise Invalid(f"body.{name}", value, "no value, because the token of a service is for the service itself and for all tenants")
    rights = _named(grant.scope)
    if rights != (OPERATOR,):
        raise Invalid("body.scope", " ".join(rights), f"the scope `{OPERATOR}`, which is the only one for a service")
    return rights


def _named(scope: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the rights that the scope names. A missing or blank scope means no right. Raises Refused("invalid_scope")."""
    if not scope:
        found = "missing" if scope is None else "blank"
        raise _invalid_scope(f"`scope` is {found}. Name the rights that you need, separated by spaces, out of: {' '.join(RIGHTS)}.")
    return scope


def _invalid_scope(detail: str) -> Refused:
    """Return the refusal with the member `error`, which OAuth clients read (RFC 6749, section 5.2)."""
    return Refused("invalid_scope", detail, error="invalid_scope")


class TokenIssuer:
    """Issues access tokens to the clients that the settings name."""

    def __init__(self, keys: SigningKeys, clients: Mapping[str, SecretStr], ttl_seconds: int, wrong_secrets_per_minute: int = 10) -> None:
        self._keys, self._clients, self._ttl = keys, clients, ttl_seconds
        self._wrong = RateLimit(wrong_secrets_per_minute)

    def knows(self, client: str) -> bool:
        """Tell whether the settings name this client."""
        return client in self._clients

    def issue(self, grant: Grant, now: datetime, address: str = "", api_client: KnownClient | None = None) -> tuple[str, int]:
        """Return a token for a caller at `address`, and the number of seconds for which it is valid.

        The operator's client may request any tenant, rights and subject; a service may request the right `operator` in its own name; an
        API client, which is in no settings, requests some of its rights. No client gets a right that it does not name. Raises
        Unauthenticated, Invalid, Refused("too-many-requests"), Refused("invalid_scope"), Transient.
        """
        self._authenticate(grant, now.timestamp(), address, api_client)
        if api_client is not None:
            return self._issue_to_api_client(grant, api_client, now)
        is_operator = grant.client == OPERATOR_CLIENT
        rights = _rights_of(grant) if is_operator else _rights_of_service(grant)
        ttl = self._ttl if grant.ttl_seconds is None else grant.ttl_seconds
        kind = "service" if not is_operator else PERSON if grant.subject is not None and grant.tenant is not None else "client"
        expires = now + timedelta(seconds=ttl)
        claims = self._claims(grant.subject or grant.client, kind, rights, now, expires)
        if grant.tenant is not None:
            claims["tenant"] = grant.tenant
        return self._keys.sign(claims, expires), ttl

    def _issue_to_api_client(self, grant: Grant, client: KnownClient, now: datetime) -> tuple[str, int]:
        if grant.subject is not None:
            raise Invalid("body.subject", grant.subject, "no value, because the token of an API client is for the client itself")
        if grant.tenant not in (None, client.tenant_id):
            raise Invalid("body.tenant", grant.tenant, "the tenant of the API client, or no value")
        rights = _named(grant.scope)
        if missing := [right for right in rights if right not in client.rights]:
            raise _invalid_scope(f"The client does not have these rights: {', '.join(missing)}. It has {', '.join(client.rights)}.")
        seconds = min(grant.ttl_seconds or REVOCABLE_TTL_SECONDS, REVOCABLE_TTL_SECONDS)
        expires = now + timedelta(seconds=seconds)
        claims = self._claims(client.client, "client", rights, now, expires) | {"tenant": client.tenant_id} | _REVOCABLE
        return self._keys.sign(claims, expires), seconds

    def issue_to_operator(self, tenant: str, subject: str, now: datetime) -> tuple[str, datetime]:
        """Return a token with which the vendor reads one tenant, and its end."""
        expires = now + timedelta(seconds=OPERATOR_TTL_SECONDS)
        claims = self._claims(subject, "client", OPERATOR_READS, now, expires) | {"tenant": tenant}
        return self._keys.sign(claims, expires), expires

    def issue_to_signed_in_operator(self, operator: str, now: datetime) -> tuple[str, int]:
        """Return a token for an operator who has signed in, and the seconds for which it is valid. `operator`: the opaque id, because the
        subject is in the topics and in the logs of all services."""
        expires = now + timedelta(seconds=REVOCABLE_TTL_SECONDS)
        claims = self._claims(operator, OPERATOR_KIND, [OPERATOR], now, expires) | _REVOCABLE
        return self._keys.sign(claims, expires), REVOCABLE_TTL_SECONDS

    def issue_to_person(self, tenant: str, user: str, granted: Granted, now: datetime) -> tuple[str, int]:
        """Return a token for a person who has signed in, and the number of seconds for which it is valid. It is short, because a token
        cannot be revoked: what a person loses is lost when it ends."""
        expires = now + timedelta(seconds=REVOCABLE_TTL_SECONDS)
        claims = self._claims(user, PERSON, [right for right in RIGHTS if right in granted.rights], now, expires)
        claims |= {"tenant": tenant} | _REVOCABLE
        if granted.departments is not None:
            claims["departments"] = sorted(granted.departments)
        return self._keys.sign(claims, expires), REVOCABLE_TTL_SECONDS

    @staticmethod
    def _claims(subject: str, kind: str, rights: Sequence[str], now: datetime, expires: datetime) -> dict[str, Any]:
        return {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "rights": list(rights),
            "kind": kind,
            "iat": int(now.timestamp()),
            "exp": int(expires.timestamp()),
            "jti": ids.new_id(),
        }

    def _authenticate(self, grant: Grant, now: float, address: str, api_client: KnownClient | None) -> None:
        """Compare the secret. An unknown client takes the same time as a known one, so that the time reveals nothing."""
        known = self._clients.get(grant.client)
        caller = (grant.client if known is not None or api_client is not None else "", address)
        if wait := self._wrong.wait_seconds(caller, now):
            REFUSED.labels("too-many-attempts").inc()
            raise Refused(
                "too-many-requests", f"The secret was wrong too many times. Try again in {wait} seconds.", retry_after_seconds=wait
            )
        if api_client is not None:
            # The hash is fast and has no salt: it protects a secret of 256 random bits, which nobody can guess, unlike a password.
            given = opaque.hash_of(grant.secret).hex()
            matches = any(hmac.compare_digest(each["hash"], given) for each in api_client.secrets)
        else:
            expected = known.get_secret_value() if known is not None else secrets.token_hex(32)
            matches = hmac.compare_digest(expected.encode(), grant.secret.encode()) and known is not None
        if not matches:
            self._wrong.count(caller, now)
            REFUSED.labels("wrong-secret").inc()
            log.warning("client_refused", client=grant.client[:100], address=address)
            raise Unauthenticated("invalid-client", "The client is unknown, or its secret is wrong. Check `client_id` and `client_secret`.")
