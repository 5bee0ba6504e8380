"""The FastAPI application as every service makes it."""

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import ids
from shared.clock import SystemClock
from shared.errors import Refused, Transient
from shared.observability import metrics
from shared.observability.tracing import continued
from shared.settings import CommonSettings
from shared.web.auth import Verifier
from shared.web.problems import MEDIA_TYPE, Problem, add_problem_handlers, problem, unhandled

log = structlog.get_logger("access")

BODY_MAX = 1024 * 1024
_CORRELATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}")
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_PROBES = ("/livez", "/readyz", "/metrics")

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_app(
    *,
    title: str,
    settings: CommonSettings,
    lifespan: Lifespan | None = None,
    ready: Callable[[], Awaitable[bool]],
    verifier: Verifier | None = None,
) -> FastAPI:
    """Problems, probes, metrics, API documents, ids in logs, limits. Routes and their rights are the service's own.

    `ready`: whether this process can do its work now (False or Transient: 503). `verifier` defaults to users' published keys.
    """
    app = FastAPI(
        title=title,
        version=version("seatpool"),
        lifespan=lifespan,
        openapi_url="/openapi.json",
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.settings = settings
    app.state.verifier = verifier or Verifier(settings.users_url)
    add_problem_handlers(app)
    _add_probes(app, ready)
    app.add_middleware(_Edge)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way
    return app


def _add_probes(app: FastAPI, ready: Callable[[], Awaitable[bool]]) -> None:
    """Open to all: they say nothing of any tenant (metrics carry no tenant's name)."""

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


class _TooLarge(Refused):
    pass


class _Edge:
    """Around everything: ids, limit of the body, access log, and the last answer when something breaks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._clock = SystemClock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
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
                message["headers"] = [
                    *message["headers"],
                    (b"x-correlation-id", correlation.encode()),
                    (b"x-content-type-options", b"nosniff"),
                    (b"cache-control", b"no-store"),
                ]
            await send(message)

        try:
            await self._app(scope, _limited(scope, receive), noting)
        except Exception as error:
            request = Request(scope)
            if status:
                raise  # half an answer is out: only the connection's end can tell
            refused = isinstance(error, _TooLarge)
            response = problem(request, 413, "too-large", str(error)) if refused else await unhandled(request, error)
            await response(scope, receive, noting)
        finally:
            self._note(scope, status, self._clock.monotonic() - began)

    @staticmethod
    def _note(scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "unknown")
        metrics.REQUEST_SECONDS.labels(scope["method"], route, str(status)).observe(seconds)
        if scope["path"] not in _PROBES:
            # Without the query: it may hold what does not belong in a log.
            log.info("request", method=scope["method"], path=scope["path"], route=route, status=status, ms=round(seconds * 1000, 1))


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Count the body as it comes: its announced length is the caller's word only."""
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    read = 0

    async def limited() -> Message:
        nonlocal read
        if announced.isdigit() and int(announced) > BODY_MAX:
            raise _TooLarge("too-large", f"The body has {int(announced)} bytes, {BODY_MAX} are allowed.")
        message = await receive()
        read += len(message.get("body", b""))
        if read > BODY_MAX:
            raise _TooLarge("too-large", f"The body has more than {BODY_MAX} bytes.")
        return message

    return limited


def _matching(pattern: re.Pattern[str], value: bytes | None) -> str | None:
    text = (value or b"").decode("latin-1")
    return text if pattern.fullmatch(text) else None


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with problem+json in place of its own form of errors."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.pop("HTTPValidationError", None)
        schemas.pop("ValidationError", None)
        model = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= model.pop("$defs", {}) | {"Problem": model}
        refusal = {"description": "Refused", "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
        for path in document.get("paths", {}).values():
            for operation in path.values():
                operation["responses"] |= {"4XX": refusal, "5XX": refusal}
                operation["responses"].pop("422", None)
        app.openapi_schema = document
    return app.openapi_schema
