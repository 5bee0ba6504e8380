"""Sessions: users keeps them. The console exchanges the secret in the cookie for an access token, and keeps the token in memory only."""

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from weakref import WeakValueDictionary

import structlog

from services.console.rest.problems import Refusal, Unavailable
from services.console.rest.services import Services, url_part
from shared.clock import Clock
from shared.errors import Transient
from shared.web.auth import OPERATOR_KIND, Principal, Verifier

log = structlog.get_logger(__name__)

EXCHANGE: Final = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:seatpool:token-type:session",
}
RENEW_BEFORE_SECONDS: Final = 20
KEPT_MAX: Final = 10_000  # sessions; about 4 kB each


def reader_id(tenant: str | None, subject: str) -> str:
    """Return what a form's token names."""
    return f"{tenant or ''} {subject}"


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads a page: the rights, and what the page says about the reader.

    `opened_until`: an operator reads the tenant until then, and changes nothing.
    """

    principal: Principal
    token: str
    name: str
    tenant: str | None
    tenant_name: str
    time_zone: str
    locale: str
    clock: str
    support_contact: str | None
    opened_until: datetime | None = None
    unconfirmed: tuple[str, str] | None = None  # login and e-mail address that were changed, and do not count for sign-in yet

    @property
    def id(self) -> str:
        """Return what a form's token names."""
        return reader_id(self.tenant, self.principal.subject)

    @property
    def is_operator(self) -> bool:
        return self.principal.kind == OPERATOR_KIND

    @property
    def opened(self) -> bool:
        """Tell whether this is an operator who has opened the tenant."""
        return self.opened_until is not None

    def may(self, right: str) -> bool:
        return self.principal.may(right)


@dataclass(frozen=True, slots=True)
class _Kept:
    reader: Reader
    until: float


class _Exchange:
    """Requests that exchange a session, one after the other, and how many of them got no answer."""

    def __init__(self) -> None:
        self.lock, self.failures = asyncio.Lock(), 0


class Sessions:
    """The readers of this process, by the hash of their session's secret.

    The token of a session that has ended is kept until it expires, at most 5 minutes.
    """

    def __init__(self, services: Services, verifier: Verifier, clock: Clock) -> None:
        self._services, self._verifier, self._clock = services, verifier, clock
        self._kept: dict[tuple[bytes, str], _Kept] = {}
        self._exchanges: WeakValueDictionary[bytes, _Exchange] = WeakValueDictionary()

    async def reader(self, secret: str) -> Reader | None:
        """Return the reader with this session; None if it is unknown or has ended. Raises Unavailable."""
        if not secret or len(secret) > 200:
            return None
        key = _hash(secret)
        if (found := self._find(key, "")) is not None:
            return found
        exchange = self._exchanges.setdefault(key, _Exchange())
        failures = exchange.failures
        async with exchange.lock:  # many requests of one page exchange the session once, and share a failure
            if (found := self._find(key, "")) is not None:
                return found
            if exchange.failures != failures:
                raise Unavailable("users")
            try:
                return await self._exchange(key, secret)
            except Unavailable:
                exchange.failures += 1
                raise

    def kept(self, secret: str) -> Reader | None:
        """Return the reader of this session if that is known here."""
        return self._find(_hash(secret), "")

    async def _exchange(self, key: bytes, secret: str) -> Reader | None:
        try:
            given = await self._services.send(None, "POST", "users", "/v1/token", form=EXCHANGE | {"subject_token": secret})
        except Refusal as refusal:
            if refusal.problem.status in (400, 422):
                return None
            raise
        except Unavailable as error:
            raise Unavailable(error.service) from error  # nothing was asked for but a token
        return await self._keep(key, "", str(given["access_token"]), float(given["expires_in"]), opened=False)

    async def _keep(self, key: bytes, tenant: str, token: str, seconds: float, *, opened: bool) -> Reader:
        try:
            principal = await self._verifier.verify(token)
        except Transient as error:  # users gave the token, but not the keys
            raise Unavailable("users") from error
        me = (await self._services.get(token, "users", "/v1/me")).need()
        seconds -= RENEW_BEFORE_SECONDS
        reader = _reader(principal, token, me, self._clock.now() + timedelta(seconds=seconds) if opened else None)
        while len(self._kept) >= KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[key, tenant] = _Kept(reader, self._clock.monotonic() + seconds)
        return reader

    def _find(self, key: bytes, tenant: str) -> Reader | None:
        kept = self._kept.get((key, tenant))
        if kept is None:
            return None
        if kept.until <= self._clock.monotonic():
            del self._kept[key, tenant]
            return None
        return kept.reader

    async def open(self, secret: str, operator: Reader, tenant: str, reason: str) -> Reader:
        """Let an operator read a tenant for 30 minutes; users writes it to the tenant's action log. Raises Refusal and Unavailable."""
        path = f"/v1/tenants/{url_part(tenant)}/operator-access"
        given = await self._services.send(operator.token, "POST", "users", path, {"reason": reason})
        return await self._keep(_hash(secret), tenant, str(given["access_token"]), float(given["expires_in"]), opened=True)

    def opened(self, secret: str, tenant: str) -> Reader | None:
        """Return the operator as a reader of a tenant that was opened; None if it was not, or its time is over."""
        return self._find(_hash(secret), tenant)

    def close(self, secret: str, tenant: str) -> None:
        self._kept.pop((_hash(secret), tenant), None)

    def forget(self, secret: str) -> None:
        """Drop what is kept of a session: its rights are asked again, or it has ended."""
        key = _hash(secret)
        for each in [each for each in self._kept if each[0] == key]:
            del self._kept[each]

    async def end(self, secret: str) -> None:
        """Sign out: end the session at users. Raises Unavailable."""
        self.forget(secret)
        await self._services.send(None, "POST", "users", "/v1/token/revoke", form={"token": secret})


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def _reader(principal: Principal, token: str, me: dict[str, Any], opened_until: datetime | None) -> Reader:
    tenant = me.get("tenant") or {}
    return Reader(
        principal=principal,
        token=token,
        name=me.get("name") or me.get("login") or me.get("email") or "",
        tenant=principal.tenant,
        tenant_name=tenant.get("name", ""),
        time_zone=tenant.get("time_zone", "UTC"),
        locale=tenant.get("locale", "en"),
        clock=tenant.get("clock", "real"),
        support_contact=tenant.get("support_contact"),
        opened_until=opened_until,
        unconfirmed=(me.get("login") or "", me.get("email") or "") if me.get("is_unconfirmed") else None,
    )
