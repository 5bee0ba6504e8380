"""Requests to the other services, with timeouts. A page asks several at once; one that is down costs its part of the page."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
import orjson
import structlog

from services.console.rest.problems import Problem, Refusal, SignedOut, Unavailable
from services.console.settings import Settings
from shared.clock import Clock
from shared.observability.tracing import current_correlation, current_traceparent

log = structlog.get_logger(__name__)

NAMES: Final = ("users", "seats", "invoicing", "notifier")
READ_SECONDS_MAX: Final = 5.0
CHANGE_SECONDS_MAX: Final = 15.0
REPEAT_SECONDS_MAX: Final = 1.0  # a page waits this long for a service that asks it to; a longer wait is left to the browser
AGAIN_SECONDS: Final = 5  # a part of a page whose service did not answer asks for itself again
CONNECTIONS_MAX: Final = 200
_UNAVAILABLE: Final = (500, 502, 503, 504)
Query = Mapping[str, Any]


def url_part(value: str) -> str:
    """Return a value as one part of a path, or as the value of a parameter, whatever it contains."""
    return value.replace(".", "%2E") if value in (".", "..") else quote(value, safe="")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a page: what a service answered, or why there is no answer.

    `problem`: the service refused. Neither a value nor a problem: it did not answer.
    """

    service: str
    value: Any = None
    problem: Problem | None = None
    etag: str | None = None

    @property
    def ok(self) -> bool:
        return self.value is not None

    @property
    def missing(self) -> bool:
        return self.problem is not None and self.problem.status == 404

    @property
    def computing(self) -> bool:
        """Tell whether the service is busy and asks to be asked again."""
        return self.problem is not None and self.problem.status == 429

    @property
    def again_seconds(self) -> int:
        """Return after how many seconds the service may answer, if it is busy or did not answer; 0: it has answered."""
        if self.computing and self.problem:
            return AGAIN_SECONDS if self.problem.retry_after_seconds is None else max(1, self.problem.retry_after_seconds)
        return AGAIN_SECONDS if self.service and not self.ok and self.problem is None else 0

    def need(self) -> Any:
        """Return the value. Raises Refusal or Unavailable: the page has no meaning without it."""
        return self.needed().value

    def needed(self) -> Self:
        """Return the part itself, with its value and ETag. Raises as `need` does."""
        if self.problem is not None:
            raise Refusal(self.problem)
        if self.value is None:
            raise Unavailable(self.service)
        return self


class Services:
    """The REST of the other services. `async with Services(settings, clock) as services`."""

    def __init__(self, settings: Settings, clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._urls = {name: getattr(settings, f"{name}_url") for name in NAMES}
        self._clock = clock
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX)
        self._http = httpx.AsyncClient(transport=transport, limits=limits)

    async def get(self, token: str, service: str, path: str, query: Query | None = None, *, seconds: float = READ_SECONDS_MAX) -> Part:
        """Return the answer or why there is none. Raises SignedOut only.

        A service that is busy is asked once more after its Retry-After.
        """
        for attempt in range(2):
            try:
                response = await self._send("GET", service, path, token, seconds, params=_given(query))
            except Unavailable:
                return Part(service)
            part = self._part(service, response)
            wait = part.problem.retry_after_seconds if part.computing and part.problem else None
            if attempt or wait is None or wait > REPEAT_SECONDS_MAX:
                break
            await asyncio.sleep(wait)
        return part

    def _part(self, service: str, response: httpx.Response) -> Part:
        if response.status_code in _UNAVAILABLE:
            log.warning("service_failed", service=service, path=response.request.url.path, status=response.status_code)
            return Part(service)
        if response.is_error:
            return Part(service, problem=Problem.of(response))
        return Part(service, value=_json(response), etag=response.headers.get("etag"))

    async def send(
        self,
        token: str | None,
        method: str,
        service: str,
        path: str,
        body: Any = None,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        seconds: float = CHANGE_SECONDS_MAX,
    ) -> Any:
        """Return the answer to a change; None for one without a body. Raises Refusal, Unavailable and SignedOut."""
        content = {"data": form} if form is not None else {} if body is None else {"json": body}
        response = await self._send(method, service, path, token, seconds, params=_given(query), headers=headers, **content)
        if response.status_code in _UNAVAILABLE:
            log.warning("service_failed", service=service, path=response.request.url.path, status=response.status_code)
            raise Unavailable(service, sent=True)
        if response.is_error:
            raise Refusal(Problem.of(response))
        return _json(response) if response.content else None

    async def download(self, token: str, service: str, path: str, query: Query | None = None) -> httpx.Response:
        """Return a file: a PDF or an export. Close it. Raises Refusal, Unavailable and SignedOut."""
        try:
            request = self._request("GET", service, path, token, CHANGE_SECONDS_MAX, params=_given(query))
            response = await self._http.send(request, stream=True)
        except (httpx.HTTPError, TimeoutError) as error:
            raise Unavailable(service) from error
        if response.is_error:
            await response.aread()
            if response.status_code == httpx.codes.UNAUTHORIZED:
                raise SignedOut
            if response.status_code in _UNAVAILABLE:
                raise Unavailable(service)
            raise Refusal(Problem.of(response))
        return response

    async def _send(self, method: str, service: str, path: str, token: str | None, seconds: float, **options: Any) -> httpx.Response:
        try:
            async with asyncio.timeout(seconds):
                response = await self._http.send(self._request(method, service, path, token, seconds, **options))
        except (httpx.HTTPError, TimeoutError) as error:
            log.warning("service_did_not_answer", service=service, path=path, error=repr(error))
            raise Unavailable(service, sent=True) from error
        if response.status_code == httpx.codes.UNAUTHORIZED and token is not None:
            raise SignedOut
        return response

    def _request(
        self, method: str, service: str, path: str, token: str | None, seconds: float, *, headers: Any = None, **options: Any
    ) -> httpx.Request:
        passed_on = {"x-correlation-id": current_correlation(), "traceparent": current_traceparent()}
        all_headers = {name: value for name, value in passed_on.items() if value} | dict(headers or {})
        if token is not None:
            all_headers["authorization"] = f"Bearer {token}"
        url = f"{self._urls[service]}{path}"
        return self._http.build_request(method, url, headers=all_headers, timeout=seconds, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self._http.aclose()


def _given(query: Query | None) -> Sequence[tuple[str, str]] | None:
    """Return the parameters that have a value."""
    if not query:
        return None
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        several = value if isinstance(value, list | tuple) else [value]
        pairs += [(name, str(each)) for each in several if each is not None and each != ""]
    return pairs


def _json(response: httpx.Response) -> Any:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        return {}
