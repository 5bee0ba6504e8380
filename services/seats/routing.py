"""Requests about a tenant go to the worker that owns it: that one answers from its own memory, any other forwards, once."""

import re

import httpx
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.seats.engine.commands import partition_of_tenant
from services.seats.engine.worker import Worker
from shared.web.problems import problem

_log = structlog.get_logger("seats.routing")

HOP = "x-seatpool-hop"  # set on a forwarded request: it is not forwarded again, or two workers that disagree would pass it for ever
FORWARD_SECONDS_MAX = 15.0  # longer than `?after=` waits
RETRY_AFTER_SECONDS = "1"
_TENANT = re.compile(r"/v1/tenants/([^/]+)(/|$)")
# Of one connection, or said by each worker itself.
_ASKED_DROPPED = frozenset({b"connection", b"content-length", b"host", b"keep-alive", b"transfer-encoding", b"x-correlation-id"})
_ANSWERED_DROPPED = frozenset(
    {"cache-control", "connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
    | {"x-content-type-options", "x-correlation-id"}
)


class OwnerRouting:
    """ASGI middleware. During a rebalance: 503 with Retry-After, never an answer from a state that may be another worker's by now."""

    def __init__(self, app: ASGIApp, worker: Worker) -> None:
        self._app, self._worker = app, worker
        self._client = httpx.AsyncClient(timeout=FORWARD_SECONDS_MAX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _TENANT.match(scope["path"]) if scope["type"] == "http" else None
        if match is None:
            await self._app(scope, receive, send)
            return
        worker = self._worker
        partition = partition_of_tenant(match[1], worker.settings.seats_partitions)
        if partition is None or (worker.ready and partition in worker.engine.live):
            await self._app(scope, receive, send)  # what is no tenant id is answered like any unknown tenant
            return
        request = Request(scope, receive)
        response = await self._elsewhere(request, partition)
        await response(scope, receive, send)

    async def _elsewhere(self, request: Request, partition: int) -> Response:
        worker = self._worker
        url = worker.owner_url(partition) if worker.ready else None
        if url is None or url.rstrip("/") == worker.advertised_url.rstrip("/") or HOP in request.headers:
            return _unavailable(request, "The worker that owns this tenant is changing; try again.")
        # As bytes: a header may hold any, and httpx writes ASCII only.
        headers = [(name, value) for name, value in request.headers.raw if name not in _ASKED_DROPPED]
        headers += [(HOP.encode(), b"1"), (b"x-correlation-id", getattr(request.state, "correlation", "").encode())]
        target = httpx.URL(url.rstrip("/")).copy_with(raw_path=_raw_path(request))
        try:
            answer = await self._client.request(request.method, target, headers=headers, content=await request.body())
        except httpx.HTTPError as error:
            _log.warning("forward_failed", url=url, error=repr(error))
            return _unavailable(request, "The worker that owns this tenant cannot be reached; try again.")
        kept = {name: value for name, value in answer.headers.items() if name not in _ANSWERED_DROPPED}
        return Response(answer.content, answer.status_code, headers=kept)


def _raw_path(request: Request) -> bytes:
    query: bytes = request.scope.get("query_string", b"")
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return path + (b"?" + query if query else b"")


def _unavailable(request: Request, detail: str) -> Response:
    return problem(request, 503, "unavailable", detail, {"retry-after": RETRY_AFTER_SECONDS})
