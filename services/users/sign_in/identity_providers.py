"""Ask identity providers (OpenID Connect): discovery, the authorization code flow with PKCE, and ID tokens.

authlib has the rules of OAuth 2.0 and OpenID Connect, and joserfc checks signatures. authlib's own HTTP client is not used: the addresses
come from customers, so requests go through `GuardedHttp`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import urlencode, urlsplit

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import JWKRegistry, Key, KeySet
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from services.users.sign_in.guarded_http import GuardedHttp, RequestFailed, WrongAnswer
from shared.clock import Clock
from shared.web.input_limits import faults

SCOPE: Final = "openid profile email"
ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
LEEWAY_SECONDS: Final = 60
CACHED_MAX: Final = 1000  # providers whose metadata and keys are kept in memory
FRESH_SECONDS: Final = 3600
REFETCH_SECONDS_MIN: Final = 30  # a token that no key fits fetches the keys again, but not more often
FAILED_SECONDS: Final = 5  # so long nobody asks a provider again that did not answer
TRIED_MAX: Final = 20  # keys, for a token that names none
KEYS_MAX: Final = 100  # of one provider; to read the 1,900 that an answer can hold takes 0.4 s
TOKEN_BYTES_MAX: Final = 16_000
ADDRESS_CHARACTERS_MAX: Final = 2000
EXPONENT_CHARACTERS_MAX: Final = 11  # 64 bits; almost every key has 65537 (AQAB)
_SECRET_PARTS: Final = frozenset({"d", "k", "priv"})  # of RSA and elliptic curves; of a key of HMAC; of post-quantum keys

V = TypeVar("V")


class TokenRefused(Exception):
    """The ID token is not valid for this tenant. The text says why; it holds no value of the token but its algorithm."""


def _address(value: str) -> str:
    if len(value) > ADDRESS_CHARACTERS_MAX:  # to add parameters to a query of 240,000 characters takes more than a second
        raise ValueError(f"an address of at most {ADDRESS_CHARACTERS_MAX} characters expected")
    if not urlsplit(value).hostname:  # raises ValueError where the address cannot be read
        raise ValueError("an address of a server expected")
    return value


Address = Annotated[str, AfterValidator(_address)]


class Metadata(BaseModel):
    """The part of the discovery document that is used (OpenID Connect Discovery 1.0, section 3)."""

    model_config = ConfigDict(frozen=True)

    issuer: str
    authorization_endpoint: Address
    token_endpoint: Address
    jwks_uri: Address
    token_endpoint_auth_methods_supported: list[str] | None = None

    def endpoints(self) -> tuple[str, ...]:
        return self.authorization_endpoint, self.token_endpoint, self.jwks_uri


@dataclass(frozen=True, slots=True)
class Client:
    """The registration of Seatpool at the provider of one tenant."""

    tenant: str
    issuer: str
    client_id: str
    client_secret: str | None


@dataclass(slots=True)
class _Entry(Generic[V]):
    value: V | None = None
    fetched_at: float = float("-inf")
    failed_at: float = float("-inf")
    failure: RequestFailed | None = None


class _Cache(Generic[V]):
    """Values by address. Many requests at once fetch a value once; a failure counts for a few seconds; the oldest entry goes first."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: OrderedDict[str, _Entry[V]] = OrderedDict()
        self._locks: dict[str, asyncio.Lock] = {}

    async def get(self, url: str, fetch: Any, max_age_seconds: float = FRESH_SECONDS) -> V:
        """Return the value, at most so old. While the provider does not answer, an older value is used."""
        entry = self._entries.get(url)
        if entry is not None and entry.value is not None and self._age(entry.fetched_at) < max_age_seconds:
            return entry.value
        async with self._locks.setdefault(url, asyncio.Lock()):
            try:
                return await self._fetched(url, fetch, max_age_seconds)
            finally:
                self._locks.pop(url, None)

    async def _fetched(self, url: str, fetch: Any, max_age_seconds: float) -> V:
        entry: _Entry[V] = self._entries.setdefault(url, _Entry())
        self._entries.move_to_end(url)
        if len(self._entries) > CACHED_MAX:
            self._entries.popitem(last=False)
        if entry.value is not None and self._age(entry.fetched_at) < max_age_seconds:
            return entry.value
        if self._age(entry.failed_at) >= FAILED_SECONDS:
            try:
                entry.value = await fetch(url)
                entry.fetched_at = self._clock.monotonic()
            except RequestFailed as error:
                entry.failed_at, entry.failure = self._clock.monotonic(), error
        if entry.value is None:
            raise copy(entry.failure or RequestFailed(url))
        return entry.value

    def _age(self, at: float) -> float:
        return self._clock.monotonic() - at


class IdentityProviders:
    """Raises RequestFailed when a provider does not answer, and WrongAnswer when it does not answer as it should."""

    def __init__(self, http: GuardedHttp, clock: Clock) -> None:
        self._http, self._clock = http, clock
        self._metadata: _Cache[Metadata] = _Cache(clock)
        self._keys: _Cache[KeySet] = _Cache(clock)

    async def authorization_url(self, client: Client, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Return the address to which the browser goes to sign in."""
        metadata = await self._metadata_of(client)
        challenge = {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
        url = prepare_grant_uri(
            metadata.authorization_endpoint,
            client_id=client.client_id,
            response_type="code",
            redirect_uri=redirect_uri,
            scope=SCOPE,
            state=state,
            nonce=nonce,
            **challenge,
        )
        return str(url)

    async def id_token(self, client: Client, *, code: str, redirect_uri: str, verifier: str) -> str:
        """Exchange the code for an ID token. Raises TokenRefused too."""
        metadata = await self._metadata_of(client)
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier}
        auth = ClientAuth(client.client_id, client.client_secret, _auth_method(metadata, client))
        headers = {"content-type": "application/x-www-form-urlencoded"}
        url, headers, body = auth.prepare("POST", metadata.token_endpoint, headers, urlencode(form))
        answer = await self._http.post(client.tenant, url, headers, body)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise TokenRefused("the identity provider gave no ID token")
        return token

    async def claims(self, client: Client, token: str, nonce: str | None) -> Mapping[str, Any]:
        """Return the claims of an ID token that is valid for this client. Raises TokenRefused too."""
        if len(token) > TOKEN_BYTES_MAX:
            raise TokenRefused("the ID token is too long")
        try:
            decoded = await self._decoded(client, token)
            expected: dict[str, Any] = {
                "iss": {"essential": True, "value": client.issuer},
                "aud": {"essential": True, "value": client.client_id},
                "sub": {"essential": True},
            }
            claims = CodeIDToken(decoded.claims, decoded.header, expected, {"client_id": client.client_id, "nonce": nonce})
            claims.validate(now=int(self._clock.now().timestamp()), leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            claim = getattr(error, "claim", None)
            raise TokenRefused(f"the ID token is not valid ({claim or type(error).__name__})") from error
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise TokenRefused("the ID token has no valid `sub`")
        if any(isinstance(value, str) and faults(value, "claim") for value in claims.values()):
            raise TokenRefused("a claim of the ID token has characters that cannot be stored")
        return dict(claims)

    async def _metadata_of(self, client: Client) -> Metadata:
        issuer, fetch = client.issuer, partial(self._fetch_metadata, client.tenant)
        found = await self._metadata.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration", fetch)
        if found.issuer != issuer:
            raise WrongAnswer(f"the discovery document of {urlsplit(issuer).hostname} names another issuer")
        if issuer.startswith("https://") and not all(url.startswith("https://") for url in found.endpoints()):
            raise WrongAnswer(f"the discovery document of {urlsplit(issuer).hostname} names an address without https")
        return found

    async def _fetch_metadata(self, tenant: str, url: str) -> Metadata:
        try:
            return Metadata.model_validate(await self._http.get(tenant, url))
        except ValidationError as error:
            fields = ", ".join(sorted({str(each["loc"][0]) for each in error.errors()}))
            raise WrongAnswer(f"the discovery document of {urlsplit(url).hostname} is not valid: {fields}") from error

    async def _decoded(self, client: Client, token: str) -> jwt.Token:
        """Return the token, whose signature is valid. If no key fits, the provider may have new ones."""
        url = (await self._metadata_of(client)).jwks_uri
        fetch = partial(self._fetch_keys, client.tenant)
        keys = await self._keys.get(url, fetch)
        try:
            return _decode(token, keys)
        except (JoseError, ValueError, TypeError):
            newer = await self._keys.get(url, fetch, REFETCH_SECONDS_MIN)
            if newer is keys:
                raise
            return _decode(token, newer)

    async def _fetch_keys(self, tenant: str, url: str) -> KeySet:
        answer = await self._http.get(tenant, url)
        keys = [key for each in _listed(answer.get("keys"))[:KEYS_MAX] if (key := _usable(each)) is not None]
        if not keys:
            raise WrongAnswer(f"the keys of {urlsplit(url).hostname} cannot be read")
        return KeySet(keys)


def email_verified(claims: Mapping[str, Any]) -> bool | None:
    """Return whether the provider has verified the e-mail address; None: it does not say. Some providers send the value as text; any other
    value is not true."""
    value = claims.get("email_verified")
    return None if value is None else value is True or (isinstance(value, str) and value.strip().lower() == "true")


def _listed(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


def _usable(found: Any) -> Key | None:
    """Return the key, or None for one that is of no known kind or is not valid: the others count (RFC 7517, section 5). A part that is null
    is one that the provider does not state. A key with a secret part is not even read: its provider has published it, and to check that
    part can take seconds. Nor is one of RSA with a large exponent, with which each signature takes 20 ms; others take 0.1."""
    if not isinstance(found, dict):
        return None
    found = {name: value for name, value in found.items() if value is not None}
    if not _SECRET_PARTS.isdisjoint(found) or len(str(found.get("e"))) > EXPONENT_CHARACTERS_MAX:
        return None
    try:
        return JWKRegistry.import_key(found)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _decode(token: str, keys: KeySet) -> jwt.Token:
    """Check the signature. A token that does not name its key may be signed with any of them."""
    header = jws.extract_compact(token.encode()).headers()
    if "kid" in header or len(keys.keys) == 1:
        return jwt.decode(token, keys, algorithms=ALGORITHMS)
    for key in keys.keys[:TRIED_MAX]:
        with suppress(JoseError, ValueError, TypeError):
            return jwt.decode(token, key, algorithms=ALGORITHMS)
    raise BadSignatureError


def _auth_method(metadata: Metadata, client: Client) -> str:
    """Return how the client shows its secret. Without a list, the provider has to accept the first (OpenID Connect Discovery 1.0)."""
    if client.client_secret is None:
        return "none"
    offered = metadata.token_endpoint_auth_methods_supported or ["client_secret_basic"]
    return "client_secret_basic" if "client_secret_basic" in offered or "client_secret_post" not in offered else "client_secret_post"
