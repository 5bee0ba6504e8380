"""Calls from one service to another, with this service's own access token."""

import asyncio
from types import TracebackType
from typing import Any, Self

import httpx
import stamina

from shared.clock import Clock, SystemClock
from shared.errors import Transient
from shared.observability.tracing import current_correlation, current_traceparent
from shared.schemas.rights import OPERATOR
from shared.settings import CommonSettings

TIMEOUT_SECONDS = 10
RETRY_TIMEOUT_SECONDS = 20
ATTEMPTS_MAX = 5
RENEW_BEFORE_SECONDS = 30
_TRANSIENT_STATUS = (429, 502, 503, 504)
_SAFE_TO_REPEAT = ("GET", "HEAD", "PUT", "DELETE")


class ServiceClient:
    """`async with ServiceClient(settings) as client: response = await client.get(f"{settings.users_url}/v1/tenants")`

    Answers come as they are, with any status. A transient error is retried (a POST only with an Idempotency-Key), and then
    raised as Transient.
    """

    def __init__(self, settings: CommonSettings, *, clock: Clock | None = None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings, self._clock = settings, clock or SystemClock()
        self._http = httpx.AsyncClient(timeout=TIMEOUT_SECONDS, transport=transport)
        self._token, self._token_until = "", float("-inf")
        self._lock = asyncio.Lock()
        self._failures = 0

    async def get(self, url: str, **options: Any) -> httpx.Response:
        return await self.request("GET", url, **options)

    async def post(self, url: str, **options: Any) -> httpx.Response:
        return await self.request("POST", url, **options)

    async def put(self, url: str, **options: Any) -> httpx.Response:
        return await self.request("PUT", url, **options)

    async def request(
        self, method: str, url: str, *, headers: dict[str, str] | None = None, attempts: int = ATTEMPTS_MAX, **options: Any
    ) -> httpx.Response:
        headers = {key.lower(): value for key, value in (headers or {}).items()}
        repeatable = method in _SAFE_TO_REPEAT or "idempotency-key" in headers
        async for attempt in stamina.retry_context(on=Transient, attempts=attempts if repeatable else 1, timeout=RETRY_TIMEOUT_SECONDS):
            with attempt:
                return await self._once(method, url, headers, options)
        raise AssertionError("a retry context ends with an answer or an exception")

    async def _once(self, method: str, url: str, headers: dict[str, str], options: dict[str, Any]) -> httpx.Response:
        passed_on = {"x-correlation-id": current_correlation(), "traceparent": current_traceparent()}
        headers = {name: value for name, value in passed_on.items() if value} | headers
        response = await self._send(method, url, headers=headers | {"authorization": f"Bearer {await self._access_token()}"}, **options)
        if response.status_code == 401:
            # The keys were changed since the token was made; a fresh one is tried once.
            self._token_until = float("-inf")
            response = await self._send(method, url, headers=headers | {"authorization": f"Bearer {await self._access_token()}"}, **options)
        return response

    async def _send(self, method: str, url: str, **options: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, url, **options)
        except httpx.TransportError as error:
            raise Transient(f"{method} {url}: {error!r}") from error
        if response.status_code in _TRANSIENT_STATUS:
            raise Transient(f"{method} {url}: {response.status_code}")
        return response

    async def _access_token(self) -> str:
        """Return the token. Many calls at once ask for it once, and share a failure: none waits for the time limits of those before it."""
        failures = self._failures
        async with self._lock:
            if self._clock.monotonic() >= self._token_until:
                if self._failures != failures:
                    raise Transient("no access token: users did not give one to a call before this one")
                try:
                    await self._renew()
                except Transient:
                    self._failures += 1
                    raise
            return self._token

    async def _renew(self) -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._settings.client_id,
            "client_secret": self._settings.client_secret.get_secret_value(),
            "scope": OPERATOR,
        }
        response = await self._send("POST", f"{self._settings.users_url}/v1/token", data=form)
        if response.is_error:
            # Mended in this service's settings or at users, and until then no reason to end what needs no other service.
            raise Transient(f"no access token for client {self._settings.client_id!r}: users answered {response.status_code}")
        answer = response.json()
        self._token = answer["access_token"]
        self._token_until = self._clock.monotonic() + answer["expires_in"] - RENEW_BEFORE_SECONDS

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
