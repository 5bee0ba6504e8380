"""Requests about a tenant go to the worker that owns it. The owner answers from its memory; every other worker forwards the request
once."""

import httpx
import structlog
from starlette.requests import Request
from starlette.responses import Response

from services.seats.engine.commands import partition_of_tenant
from services.seats.engine.faust.worker import Worker
from shared.web.input_limits import BODY_MAX, read_body
from shared.web.problems import problem
from shared.web.route import Answer, CheckedRoute

_log = structlog.get_logger("seats.routing")

HOP = "x-seatpool-hop"  # set on a forwarded request, which is not forwarded again: two workers can disagree about the owner
FORWARD_SECONDS_MAX = 15.0  # longer than `?after=` waits
RETRY_AFTER_SECONDS = "1"
# Headers of one connection, and those that each worker adds itself.
_ASKED_DROPPED = frozenset({b"connection", b"content-length", b"host", b"keep-alive", b"transfer-encoding", b"x-correlation-id"})
_ANSWERED_DROPPED = frozenset(
    {"cache-control", "connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}
    | {"x-content-type-options", "x-correlation-id"}
)


class OwnerRouting:
    """Forward requests to the owner. During a rebalance the answer is 503 with Retry-After, never one from a state that another worker
    may own by now."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._client = httpx.AsyncClient(timeout=FORWARD_SECONDS_MAX)

    async def forwarded(self, request: Request) -> Response | None:
        """Return the answer of the tenant's owner, or None if this worker is the owner or the path has no valid tenant id."""
        worker = self._worker
        partition = partition_of_tenant(request.path_params["tenant"], worker.settings.seats_partitions)
        if partition is None or (worker.ready and partition in worker.engine.live):
            return None
        url = worker.owner_url(partition) if worker.ready else None
        if url is None or url.rstrip("/") == worker.advertised_url.rstrip("/") or HOP in request.headers:
            return _unavailable(request, "Another seats worker is taking over this tenant. Please try again.")
        # As bytes, because a header can have any, and httpx encodes text as ASCII only.
        headers = [(name, value) for name, value in request.headers.raw if name not in _ASKED_DROPPED]
        headers += [(HOP.encode(), b"1"), (b"x-correlation-id", getattr(request.state, "correlation", "").encode())]
        target = httpx.URL(url.rstrip("/")).copy_with(raw_path=_raw_path(request))
        content = b"" if request.method == "GET" else await read_body(request, BODY_MAX)
        try:
            answer = await self._client.request(request.method, target, headers=headers, content=content)
        except httpx.HTTPError as error:
            _log.warning("forward_failed", url=url, error=repr(error))
            return _unavailable(request, "The seats worker that owns this tenant cannot be reached. Please try again.")
        kept = {name: value for name, value in answer.headers.items() if name not in _ANSWERED_DROPPED}
        return Response(answer.content, answer.status_code, headers=kept)


class OwnerRoute(CheckedRoute):
    """A route that the tenant's owner answers. Every other worker checks access and forwards the request unchanged."""

    async def respond(self, request: Request, answer: Answer) -> Response:
        routing: OwnerRouting = request.app.state.owner_routing
        forwarded = await routing.forwarded(request)
        return forwarded if forwarded is not None else await super().respond(request, answer)


def _raw_path(request: Request) -> bytes:
    query: bytes = request.scope.get("query_string", b"")
    path: bytes = request.scope.get("raw_path") or request.url.path.encode()
    return path + (b"?" + query if query else b"")


def _unavailable(request: Request, detail: str) -> Response:
    return problem(request, 503, "unavailable", detail, {"retry-after": RETRY_AFTER_SECONDS})
