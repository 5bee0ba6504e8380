"""Access tokens: JWTs that users signs (Ed25519), verified here with its published keys."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, NamedTuple

import httpx
import structlog
from fastapi import Depends, Request, Security
from fastapi.dependencies.models import Dependant
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from prometheus_client import Gauge

from shared.clock import Clock, SystemClock
from shared.errors import Forbidden, NotFound, Transient, Unauthenticated
from shared.schemas.base import Actor, as_id
from shared.schemas.rights import ABOUT_PEOPLE, OPERATOR

log = structlog.get_logger(__name__)
KEYS_FETCHED_AT = Gauge("seatpool_verification_keys_fetched_timestamp_seconds", "When users last answered with the keys, or the start")

SIGNING_ALGORITHM = "Ed25519"  # RFC 9864; `EdDSA` is its older name
ALGORITHMS = [SIGNING_ALGORITHM, "EdDSA"]  # nothing else: neither `none` nor a symmetric one, whatever a token's header says
ISSUER = AUDIENCE = "seatpool"
PERSON = "user"
OPERATOR_KIND = "operator"  # a person of the vendor who has signed in
OPERATOR_CLIENT = "operator"  # the API client of the vendor
# A key that is revoked is refused within 10 s: users reads its folder every 2 s, and this service asks users every 5 s.
FETCH_EVERY_SECONDS = 5
FETCH_TIMEOUT_SECONDS = 2
STALE_SECONDS = 8  # more than the two together: the keys are not fetched in the background, so a request waits for them
REFETCH_SECONDS_MIN = 1  # an unknown key id fetches the keys again, but not more often than this, or anybody could make us
LEEWAY_SECONDS = 5
VERIFIED_MAX = 10_000  # tokens remembered; about as many callers within the life of a token


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller. `tenant` None: all tenants (the operator, a service). `departments`: only the people of these are visible to the caller,
    beside the caller; None: all people. `revocable`: users knows whether the caller still has these rights."""

    subject: str
    tenant: str | None
    rights: frozenset[str]
    kind: str
    departments: frozenset[str] | None = None
    revocable: bool = False

    def may(self, right: str) -> bool:
        return OPERATOR in self.rights or right in self.rights

    def sees(self, user: str, department: str | None) -> bool:
        """Tell whether the caller's viewset has this person. Callers always see themselves."""
        return self.departments is None or department in self.departments or (self.kind == PERSON and user == self.subject)


class Verified(NamedTuple):
    """A verified token: its key, its end (s), and its principal."""

    key_id: str | None
    expires: float
    principal: Principal


class Verifier:
    """Turns a token into a Principal. Keys are users' published ones, fetched by `run`; tests and users itself give them directly.

    A token that was verified is remembered by its hash, until it ends or the published keys change: its signature costs far more than
    the answer to an access check. What was refused is not remembered, so nobody without a token can push anything out.
    """

    def __init__(
        self,
        users_url: str | None = None,
        *,
        keys: Callable[[], KeySet] | None = None,
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        assert (users_url is None) != (keys is None), "either the address of the keys or the keys"
        self._url = f"{users_url}/.well-known/jwks.json"
        self._given = keys
        self._clock = clock or SystemClock()
        self._transport = transport
        self._keys: KeySet | None = None
        self._document, self._etag = b"", ""
        self._fetched_at = float("-inf")  # when the last attempt ended
        self._lock = asyncio.Lock()
        self._verified: dict[bytes, Verified] = {}
        self._verified_with: KeySet | None = None

    @cached_property
    def _http(self) -> httpx.AsyncClient:
        """Return one client for all fetches: each new one would read every certificate that the system trusts."""
        return httpx.AsyncClient(timeout=FETCH_TIMEOUT_SECONDS, transport=self._transport)

    async def verify(self, token: str) -> Principal:
        """Verify the token. Raises Unauthenticated, and Transient if there are no keys to verify it with."""
        digest = hashlib.sha256(token.encode(errors="surrogatepass")).digest()
        known = self._verified.get(digest)
        try:
            key_id = known.key_id if known is not None else _header(token).get("kid")
            keys = await self._keys_for(key_id)
            if keys is not self._verified_with:
                # Other keys: the one that signed a remembered token may be gone.
                self._verified, self._verified_with, known = {}, keys, None
            if known is not None and known.expires > self._clock.now().timestamp() - LEEWAY_SECONDS:
                return known.principal
            decoded = jwt.decode(token, keys, algorithms=ALGORITHMS)
            self._claims().validate(decoded.claims)
            principal = _principal(decoded.claims)
            self._remember(digest, Verified(key_id, float(decoded.claims["exp"]), principal))
            return principal
        except (JoseError, ValueError, TypeError, KeyError) as error:
            # Which check failed is for the log; a caller who has to know can look at the token.
            log.info("access_refused", why=type(error).__name__, detail=str(error)[:200])
            raise Unauthenticated("invalid-token", "The access token is not valid or has expired. Request a new one.") from error

    def _remember(self, digest: bytes, verified: Verified) -> None:
        """Remember a verified token, and forget the oldest if there are too many."""
        self._verified.pop(digest, None)
        if len(self._verified) >= VERIFIED_MAX:
            del self._verified[next(iter(self._verified))]
        self._verified[digest] = verified

    def _claims(self) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(self._clock.now().timestamp()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )

    async def run(self) -> None:
        """Fetch the keys again and again, beside the requests, until cancelled. A verifier that was given its keys returns."""
        if self._given is not None:
            return
        KEYS_FETCHED_AT.set(self._clock.now().timestamp())  # from here on it counts when users does not answer
        try:
            while True:
                async with self._lock:
                    await self._fetch()
                await asyncio.sleep(FETCH_EVERY_SECONDS if self._keys is not None else REFETCH_SECONDS_MIN)
        finally:
            await self._http.aclose()

    async def _keys_for(self, key_id: str | None) -> KeySet:
        """Return the keys. Wait for users only without any key, for an unknown key id, or if `run` does not run."""
        if self._given is not None:
            return self._given()
        if self._wanted(key_id):
            async with self._lock:  # many requests at once fetch the keys once
                if self._wanted(key_id):
                    await self._fetch()
        if self._keys is None:
            raise Transient("keys: users cannot be reached")
        return self._keys

    def _wanted(self, key_id: str | None) -> bool:
        age = self._clock.monotonic() - self._fetched_at
        known = self._keys is not None and any(key.kid == key_id for key in self._keys.keys)
        return age > STALE_SECONDS or (not known and age > REFETCH_SECONDS_MIN)

    async def _fetch(self) -> None:
        """Fetch the keys. Those that were fetched once stay in use while users cannot be reached."""
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_SECONDS):
                headers = {"if-none-match": self._etag} if self._etag else {}
                response = await self._http.get(self._url, headers=headers)
            if response.status_code != httpx.codes.NOT_MODIFIED:
                self._take(response.raise_for_status())
            KEYS_FETCHED_AT.set(self._clock.now().timestamp())
        except (httpx.HTTPError, TimeoutError, ValueError, TypeError, KeyError, AttributeError, JoseError) as error:
            log.warning("keys_not_fetched", url=self._url, error=repr(error))
        # Not when it began: a request that comes meanwhile waits for this fetch, and none of those that wait fetches once more after it.
        self._fetched_at = self._clock.monotonic()

    def _take(self, response: httpx.Response) -> None:
        """Take over the published keys. For anything else it raises ValueError, TypeError, KeyError, AttributeError or JoseError."""
        if response.content != self._document:
            keys = KeySet.import_key_set(response.json())
            if not keys.keys:
                raise ValueError("no key is published")
            self._keys, self._document = keys, response.content
        self._etag = response.headers.get("etag", "")


def _header(token: str) -> Mapping[str, Any]:
    header: Mapping[str, Any] = jws.extract_compact(token.encode()).headers()
    return header


def _principal(claims: Mapping[str, Any]) -> Principal:
    rights, tenant, kind = claims.get("rights", []), claims.get("tenant"), claims.get("kind", PERSON)
    if not isinstance(rights, list) or not all(isinstance(right, str) for right in rights):
        raise ValueError("rights is not a list of names")
    if tenant is not None and not isinstance(tenant, str):
        raise ValueError("tenant is not a text")
    departments = claims.get("departments")
    if departments is not None and not (isinstance(departments, list) and all(isinstance(each, str) for each in departments)):
        raise ValueError("departments is not a list of names")
    if tenant is None and kind == PERSON:
        raise ValueError("a person's token names no tenant")
    visible = None if departments is None else frozenset(departments)
    return Principal(str(claims["sub"]), tenant, frozenset(rights), str(kind), visible, claims.get("revocable") is True)


def actor_of(principal: Principal) -> Actor:
    """Return the caller as events name it: a person, an operator who has signed in, or a client of any kind."""
    return Actor(kind=principal.kind if principal.kind in (PERSON, OPERATOR_KIND) else "client", id=as_id(principal.subject))


def is_vendor(actor: Mapping[str, Any]) -> bool:
    """Tell whether the actor of an event is an operator, or the API client of the vendor."""
    return actor["kind"] == OPERATOR_KIND or (actor["kind"], actor["id"]) == ("client", OPERATOR_CLIENT)


# Documents the scheme in OpenAPI; a missing token is our own problem+json.
_BEARER = HTTPBearer(
    auto_error=False, scheme_name="access token", bearerFormat="JWT", description="Request one with `POST /v1/token` of users."
)

AccessCheck = Callable[[Request, Principal], Awaitable[Principal]]
RightsCheck = Callable[[Principal], Awaitable[None]]  # raises Unauthenticated if the caller has lost rights since the token was made
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_CHECKS: set[Any] = set()  # every dependency that `access` and `operator` made


async def authenticated(request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> Principal:
    """Any valid token. It is verified once for each request: before the body is read."""
    known: Principal | None = getattr(request.state, "principal", None)
    if known is not None:
        return known
    if credentials is None:
        raise Unauthenticated("no-token", "The request has no access token. Send one in the header `Authorization: Bearer <token>`.")
    verifier: Verifier = request.app.state.verifier
    principal = await verifier.verify(credentials.credentials)
    check: RightsCheck | None = request.app.state.check_rights
    if check is not None and principal.revocable and request.method not in _READS:
        await check(principal)
    request.state.principal = principal
    return principal


def access(right: str, *, with_viewset: bool | None = None, or_oneself: bool = False) -> AccessCheck:
    """For routes with a path parameter `tenant`. 401 without a token, 404 when the token is of another tenant (whether that tenant exists
    is none of the caller's business), 403 without the right; the operator has every right.

    `with_viewset`: a token with a viewset may use the route, because the route applies the viewset, or names nobody. By default this holds
    for the rights that do not concern people; a route that forgets to say so is refused to such a token (403).

    `or_oneself`: the route has a path parameter `user`, and people may use it about themselves without the right.
    """
    allowed = right not in ABOUT_PEOPLE if with_viewset is None else with_viewset

    async def dependency(request: Request, principal: Annotated[Principal, Security(authenticated, scopes=[right])]) -> Principal:
        tenant = request.path_params["tenant"]
        structlog.contextvars.bind_contextvars(tenant=tenant, subject=principal.subject)
        if principal.tenant is not None and principal.tenant != tenant:
            raise NotFound("tenant")
        if or_oneself and principal.kind == PERSON and principal.tenant is not None and principal.subject == request.path_params["user"]:
            return principal
        if not principal.may(right):
            detail = f"This request needs the right {right}, which your access token does not have. {_remedy(principal)}"
            raise Forbidden("no-right", detail, right=right)
        if principal.departments is not None and not allowed:
            raise Forbidden(
                "viewset",
                "This request concerns people of all departments, and your role shows you only some. `GET …/people` of users has the same "
                "data about the people whom you see. For this request, ask somebody without a viewset.",
            )
        return principal

    _CHECKS.add(dependency)
    return dependency


def _remedy(principal: Principal, right: str = "") -> str:
    """Return what somebody whose token lacks a right can do."""
    if principal.kind == OPERATOR_KIND and right == OPERATOR:
        return "The token with which an operator opens one tenant only reads it. Use the token of your sign-in as an operator."
    if principal.kind == OPERATOR_KIND:
        return (
            "The token with which an operator opens one tenant only reads it. For its discounts, its payments and the end of its "
            "subscription, use the token of your sign-in as an operator. For everything else, ask an administrator of the tenant."
        )
    if principal.kind == PERSON:
        return "Only the vendor can do this." if right == OPERATOR else "Ask an owner of your company for a role with this right."
    return "Request such a token." if right == OPERATOR else "Request a token with this right."


def operator() -> AccessCheck:
    """For the vendor's own routes: needs the right `operator` (of a token for all tenants)."""

    async def dependency(request: Request, principal: Annotated[Principal, Security(authenticated, scopes=[OPERATOR])]) -> Principal:
        if not principal.may(OPERATOR) or principal.tenant is not None:
            detail = f"This request needs an access token for all tenants with the right {OPERATOR}. {_remedy(principal, OPERATOR)}"
            raise Forbidden("no-right", detail, right=OPERATOR)
        return principal

    _CHECKS.add(dependency)
    return dependency


def access_checks(dependant: Dependant) -> list[Any]:
    """Return what a route's dependencies ask of a caller's token: `authenticated`, and what `access` and `operator` made."""
    found: list[Any] = []
    for each in dependant.dependencies:
        is_check = each.call is authenticated or each.call in _CHECKS
        found += [each.call] if is_check else access_checks(each)
    return found


async def check_access(request: Request, checks: Sequence[Any]) -> None:
    """Do before the body is read what the same dependencies do after it. Raises Unauthenticated, Forbidden and NotFound."""
    if checks:
        principal = await authenticated(request, await _BEARER(request))
        for check in checks:
            if check is not authenticated:
                await check(request, principal)
