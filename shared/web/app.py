"""The FastAPI application of every service."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import ids
from shared.clock import SystemClock
from shared.errors import Transient
from shared.observability import metrics
from shared.observability.tracing import continued
from shared.settings import CommonSettings
from shared.version import VERSION
from shared.web.auth import RightsCheck, Verifier
from shared.web.connections import ANSWER_PART_BYTES
from shared.web.input_limits import cut
from shared.web.openapi import document_of
from shared.web.problems import SupportContact, add_problem_handlers, unhandled
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import TenantLimits

log = structlog.get_logger("access")

_CORRELATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
HUNG_UP = 499  # in logs and metrics: the caller ended the connection before the answer
_PROBES = ("/livez", "/readyz", "/metrics")


def create_app(
    *,
    title: str,
    settings: CommonSettings,
    ready: Callable[[], Awaitable[bool]],
    verifier: Verifier | None = None,
    support_contact: SupportContact | None = None,
    check_rights: RightsCheck | None = None,
) -> FastAPI:
    """Return an application with problems, probes, metrics, API documents, ids in logs and limits. The service adds its routes and rights.

    `ready`: whether this process can do its work now (False or Transient: 503). `verifier` defaults to users' published keys.
    `support_contact`: whom the people of a tenant can ask about a refusal; without it refusals name nobody. `check_rights` refuses changes
    by a caller who has lost rights since the token was made; without it, the token alone counts.
    """
    app = FastAPIOffline(  # the page of the documents with its scripts: without it they come from the Internet, or not at all
        title=title,
        version=VERSION,
        lifespan=_fetching_keys,
        openapi_url="/openapi.json",
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
    )
    app.router.route_class = CheckedRoute
    app.state.settings = settings
    app.state.tenant_limits = TenantLimits()
    app.state.verifier = verifier or Verifier(settings.users_url)
    app.state.support_contact = support_contact
    app.state.check_rights = check_rights
    add_problem_handlers(app)
    add_probes(app, ready)
    app.add_middleware(Edge)
    app.openapi = lambda: document_of(app)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


@asynccontextmanager
async def _fetching_keys(app: FastAPI) -> AsyncIterator[None]:
    """Fetch the published keys while the application is served."""
    task = asyncio.create_task(app.state.verifier.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def add_probes(app: FastAPI, ready: Callable[[], Awaitable[bool]]) -> None:
    """Add probes and metrics. They are open to all, because they say nothing of any tenant (metrics contain no tenant's name)."""

    @app.get("/livez", include_in_schema=False)
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> JSONResponse:
        try:
            is_ready = await ready()
        except Transient as error:
            return JSONResponse({"status": "not ready", "why": str(error)}, 503)
        return JSONResponse({"status": "ok" if is_ready else "not ready"}, 200 if is_ready else 503)

    @app.get("/metrics", include_in_schema=False)
    async def show_metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


class Edge:
    """The outermost layer: ids, access log, and the last answer when something breaks (`failed` makes it). What names no time for caches
    is not stored by any."""

    def __init__(self, app: ASGIApp, failed: Callable[[Request, Exception], Awaitable[Response]] = unhandled) -> None:
        self._app, self._failed = app, failed
        self._clock = SystemClock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}  # a copy: the server goes by its own, and sends the headers of the answer only
        headers = dict(scope["headers"])
        correlation = _matching(_CORRELATION, headers.get(b"x-correlation-id")) or ids.new_id()
        scope.setdefault("state", {})["correlation"] = correlation
        with continued(_matching(_TRACEPARENT, headers.get(b"traceparent")), correlation=correlation):
            await self._answer(scope, receive, send, correlation)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, correlation: str) -> None:
        began, status = self._clock.monotonic(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-correlation-id", correlation.encode()), (b"x-content-type-options", b"nosniff")]
                if not any(name == b"cache-control" for name, _ in message["headers"]):
                    own.append((b"cache-control", b"no-store"))
                message["headers"] = [*message["headers"], *own]
            for part in _parts(message):
                await send(part)

        request = Request(scope)
        try:
            await self._app(scope, receive, noting)
        except ClientDisconnect:
            status = status or HUNG_UP
        except Exception as error:
            if status:
                raise  # half an answer is out: only the connection's end can tell
            await (await self._failed(request, error))(scope, receive, noting)
        finally:
            self._note(scope, status, self._clock.monotonic() - began)

    @staticmethod
    def _note(scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        # HTTP accepts any word as a method, and each would become a metric series of its own that is never deleted.
        method = scope["method"] if scope["method"] in _METHODS else "other"
        metrics.REQUEST_SECONDS.labels(method, route, str(status)).observe(seconds)
        if scope["path"] not in _PROBES:
            # Without the query: it may hold what does not belong in a log.
            method, path = cut(scope["method"]), cut(scope["path"])
            log.info("request", method=method, path=path, route=route, status=status, ms=round(seconds * 1000, 1))


def _parts(message: Message) -> Iterator[Message]:
    """Yield a large body in parts. The server waits before each for the reader of the one before, and until then the request is under way:
    what is held for it limits how many large answers of a tenant are in memory."""
    body = memoryview(message.get("body", b""))
    first = 0
    while len(body) - first > ANSWER_PART_BYTES:
        yield {"type": message["type"], "body": bytes(body[first : first + ANSWER_PART_BYTES]), "more_body": True}
        first += ANSWER_PART_BYTES
    yield {**message, "body": bytes(body[first:])} if first else message


def _matching(pattern: re.Pattern[str], value: bytes | None) -> str | None:
    text = (value or b"").decode("latin-1")
    return text if pattern.fullmatch(text) else None
