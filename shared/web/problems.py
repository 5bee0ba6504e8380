"""RFC 9457: every refusal as problem+json with a stable `type`. The only place that knows both the error tree and HTTP.

Own code, not fastapi-problem: that library wants its own exception classes raised in domain code and makes `type` from their names;
here the tree stays free of HTTP, and the map is this page.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.routing import Match

from shared import ids
from shared.errors import Busy, Conflict, Forbidden, Invalid, NotFound, Refused, Transient, Unauthenticated
from shared.observability.logs import SECRET_NAME
from shared.schemas.faults import once_per_field, place_of
from shared.web.input_limits import FAULTS_MAX, SHOWN_MAX, cut, printable, shown

log = structlog.get_logger(__name__)

TYPE_PREFIX = "urn:seatpool:problem:"
MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = "2"
ANSWER_MAX = 16 * 1024  # bytes of an answer to faults
DETAIL_MAX = 1000  # characters

_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
_STATUS: Mapping[type[Refused], int] = {NotFound: 404, Forbidden: 403, Unauthenticated: 401, Invalid: 422, Conflict: 409}
# Refusals whose status is not that of their class: names of `Refused.type`.
_STATUS_BY_TYPE = {
    "precondition-failed": 412,
    "precondition-required": 428,
    "too-large": 413,
    "media-type-not-supported": 415,
    "idempotency-key-reused": 422,
    "invalid": 422,
    "invalid_scope": 400,
    "invalid_grant": 400,
    "identity-provider-failed": 503,
    "identity-provider-refused": 409,
    "too-many-requests": 429,
    "position-not-reached": 504,
}
TITLES = {
    400: "Bad request",
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "Changed since it was read",
    413: "Too large",
    415: "Media type not supported",
    422: "Not valid",
    428: "Header If-Match required",
    429: "Too many requests",
    500: "Internal error",
    503: "Temporarily unavailable",
    504: "Position not reached in time",
}


# Refusals by the web framework itself: type and detail by status.
_OF_FRAMEWORK = {
    400: ("bad-request", ""),
    404: ("not-found", "There is no route with this path. `/docs` lists all routes."),
    405: ("method-not-allowed", "The route does not have this method. The header `Allow` lists its methods."),
}

SupportContact = Callable[[str], Awaitable[str | None]]
_NAMING_SUPPORT = (403, 404, 409)


class FieldError(BaseModel):
    field: str = Field(description="The path of the field, for example `body.items.0.module`.")
    value: Any = Field(None, description="The value that was sent.")
    expected: str = Field(description="What is allowed.")


class Problem(BaseModel):
    """A refusal, as RFC 9457 defines it. Some types have further members."""

    type: str = Field(description="The name of the refusal, which does not change: `urn:seatpool:problem:<name>`.")
    title: str
    status: int
    detail: str
    instance: str | None = Field(None, description="The path of the request.")
    correlation: str | None = Field(None, description="The id of this request in all logs.")
    support_contact: str | None = Field(
        None, description="The person or team to ask: the support contact of the tenant of the token (403, 404, 409)."
    )
    errors: list[FieldError] | None = Field(None, description="The fields that are not valid, at most 20.")


def status_of(error: Refused) -> int:
    if error.type in _STATUS_BY_TYPE:
        return _STATUS_BY_TYPE[error.type]
    return next((status for class_, status in _STATUS.items() if isinstance(error, class_)), 409)


def problem(request: Request, status: int, type_: str, detail: str, headers: Mapping[str, str] | None = None, **extra: object) -> Response:
    content = {
        "type": TYPE_PREFIX + type_,
        "title": TITLES.get(status, "Refused"),
        "status": status,
        "detail": cut(detail, DETAIL_MAX),
        "instance": cut(request.url.path, DETAIL_MAX),
        "correlation": getattr(request.state, "correlation", None),
    } | extra
    return Response(_within_limits(content), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def _within_limits(content: dict[str, Any]) -> bytes:
    """At most 20 faults and 16 kB: the last faults are left out."""
    faults = content.get("errors")
    if isinstance(faults, list):
        content = content | {"errors": [_cut(fault) for fault in faults[:FAULTS_MAX]]}
    while True:
        # orjson: what was given may be a NaN, which the standard library will not write.
        body = orjson.dumps(_writable(content), default=str)
        if len(body) <= ANSWER_MAX or not content.get("errors"):
            return body
        content = content | {"errors": content["errors"][:-1]}


def _cut(fault: Mapping[str, Any]) -> dict[str, Any]:
    return {name: cut(str(value), DETAIL_MAX) if name == "expected" else shown(value) for name, value in fault.items()}


def _writable(value: object) -> object:
    """Return the value as JSON can hold it. A given value may be an integer of any length, or half a surrogate pair."""
    match value:
        case str():
            return printable(value)
        case int() if value.bit_length() > 63:
            return str(value)[:SHOWN_MAX]
        case Mapping():
            return {printable(str(key)): _writable(item) for key, item in value.items()}
        case list() | tuple():
            return [_writable(item) for item in value]
    return value


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    status = status_of(error)
    headers = {"www-authenticate": 'Bearer realm="seatpool"'} if status == 401 else {}
    if "retry_after_seconds" in error.extra:
        headers["retry-after"] = str(error.extra["retry_after_seconds"])
    return problem(request, status, error.type, error.detail, headers, **error.extra, **await _support(request, status))


async def _support(request: Request, status: int) -> dict[str, str]:
    """A13: whom the caller can ask. It is the contact of the token's tenant, never the path's: a tenant that the token is not for must not
    show by it that it exists."""
    look_up: SupportContact | None = getattr(request.app.state, "support_contact", None)
    tenant = getattr(getattr(request.state, "principal", None), "tenant", None)
    if look_up is None or tenant is None or status not in _NAMING_SUPPORT:
        return {}
    if status == 404 and request.path_params.get("tenant") != tenant:
        return {}
    try:
        contact = await look_up(tenant)
    except Transient:
        return {}  # the refusal stands without it
    return {"support_contact": contact} if contact else {}


def too_busy() -> Refused:
    """Return the refusal of a request that other requests kept waiting too long."""
    detail = (
        "Other requests are still changing what this one would read or change, so nothing was done. Send fewer requests at a time, and "
        f"try again in {RETRY_AFTER_SECONDS} seconds."
    )
    return Refused("too-many-requests", detail, retry_after_seconds=int(RETRY_AFTER_SECONDS))


async def _transient(request: Request, error: Exception) -> Response:
    log.warning("request_temporarily_failed", error=str(error))
    if isinstance(error, Busy):
        return await _refused(request, too_busy())
    return problem(
        request,
        503,
        "unavailable",
        "A service that this request depends on is temporarily unavailable. Please try again.",
        {"retry-after": RETRY_AFTER_SECONDS},
    )


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [{"field": _field(e), "value": _shown(e), "expected": e["expected"]} for e in once_per_field(error.errors()[:FAULTS_MAX])]
    fields = ", ".join(str(e["field"]) for e in errors[:5])
    return problem(
        request, 422, "invalid", f"These fields are not valid: {fields}. For each of them, `errors` says what is expected.", errors=errors
    )


def _field(error: Mapping[str, Any]) -> str:
    return cut(".".join(cut(str(part)) for part in place_of(error)))


def _shown(error: Mapping[str, Any]) -> object:
    """Return the given value, shortened; None for a missing field, where it would be the whole body, for the body itself, for a secret, and
    for a field that does not exist: its name is what is wrong, and it may be that of a secret, misspelt."""
    if error["type"] in ("missing", "extra_forbidden") or error["loc"] == ("body",) or SECRET_NAME.search(".".join(map(str, error["loc"]))):
        return None
    return shown(error.get("input"))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = {"allow": _allowed(request)} if error.status_code == 405 else error.headers
    type_, detail = _OF_FRAMEWORK.get(error.status_code, ("refused", ""))
    return problem(request, error.status_code, type_, detail or str(error.detail), headers)


def _allowed(request: Request) -> str:
    """All methods of that path: each is a route of its own, and the one that refused knows only itself."""
    routes = request.app.routes
    found = [method for method in _METHODS if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)]
    return ", ".join([*found, "HEAD"] if "GET" in found else found)


async def unhandled(request: Request, error: Exception) -> Response:
    """The caller gets an id; what happened stands under it in the log, and only there."""
    error_id = ids.new_id()
    log.error("request_failed", error_id=error_id, path=cut(request.url.path), method=cut(request.method), exc_info=error)
    return problem(
        request,
        500,
        "internal",
        "An internal error occurred. Try again later. If you ask for help, name the error id, under which the error is logged.",
        error_id=error_id,
    )


def add_problem_handlers(app: FastAPI) -> None:
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(Transient, _transient)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
