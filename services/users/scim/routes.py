"""The routes of SCIM 2.0. They pass the checks of all other routes, with the token of a connection, and refuse as RFC 7644 says."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final

import orjson
import structlog
from fastapi import APIRouter, Request, Response
from pydantic import TypeAdapter
from scim2_models import Error, InvalidSyntaxException, InvalidValueException, NotImplementedException, SCIMException
from scim2_server.requests import ScimRequest
from scim2_server.responses import SCIM_MEDIA_TYPE, ScimResponse
from scim2_server.routing import ROUTES
from scim2_server.service import SEARCH_REQUEST_PARAMETERS

from services.users.api.dependencies import Context, InContext
from services.users.domain.scim_connections import OnFull
from services.users.scim.anchors import Anchors
from services.users.scim.callers import Caller
from services.users.scim.groups import member_ids
from services.users.scim.limits import PREFIX, canonical, check_entries, check_operations, is_costly, is_large, query_of
from services.users.scim.on_full import Refusing
from services.users.scim.service import SERVICE, Handler, create_user
from services.users.scim.storage import Storage
from services.users.scim.users import connection_removed
from services.users.store import scim_connections
from services.users.store.people import CLAIMS
from services.users.use_cases import scim_guard
from services.users.use_cases.scim_guard import Stopped
from shared.errors import Busy, Refused, Transient, Unauthenticated
from shared.web import Principal
from shared.web.input_limits import BODY_MAX, faults, parse_body, read_body
from shared.web.problems import RETRY_AFTER_SECONDS, status_of, too_busy
from shared.web.route import HELD, Answer, CheckedRoute, ReadRequest
from shared.web.tenant_limits import costly_when, hold_costly_place, hold_place

STOPPED_SECONDS: Final = 300  # after which a client may repeat a request that the guard stopped
GROUP_BODY_MAX: Final = 8 * 1024 * 1024  # a group with 100,000 members
_ANY: Final[TypeAdapter[Any]] = TypeAdapter(Any)
_READING: Final = frozenset({"GET", "HEAD"})
# An operation of a PATCH that has no path: clients repeat these attributes, which nobody can change.
_REPEATED: Final = frozenset({"id", "schemas", "meta"})

_ANCHORS: Final = Anchors()

log = structlog.get_logger(__name__)


async def authenticate(request: Request) -> Caller:
    """Return the connection of the token. Raises Unauthenticated."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("no-token", "The request has no token. Send that of the SCIM connection in `Authorization: Bearer <token>`.")
    context: Context = request.app.state.context
    found = await context.scim_callers.of_token(token.strip())
    if found is None:
        raise Unauthenticated("invalid-token", "The token is unknown, revoked or has expired. Issue another one: `seatpool scim token`.")
    source = found.connection.source
    request.state.principal = Principal(source, found.tenant, frozenset(), "scim")
    structlog.contextvars.bind_contextvars(tenant=found.tenant, subject=source)
    return found


class ScimRoute(CheckedRoute):
    """The class of the routes of SCIM."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which checks the token, the limits of the tenant and the parameters before the body is read, and the
        limits again when it is read: a client need not announce its size."""
        super().get_route_handler()
        answer: Answer = super(CheckedRoute, self).get_route_handler()
        self.body_max = GROUP_BODY_MAX if self.path.startswith(f"{PREFIX}/Groups") else BODY_MAX

        async def handled(request: Request) -> Response:
            try:
                request.state.scim = await authenticate(request)
                hold_place(request, self.endpoint, request.scope[HELD])
                _check_parameters(request)
                return await self.respond(request, answer)
            except SCIMException as error:
                return _answer(SERVICE.error_response(error))
            except Refused as error:
                return _refused(error)
            except Transient as error:
                log.warning("request_temporarily_failed", error=str(error))
                if isinstance(error, Busy):
                    return _refused(too_busy())
                detail = "A service that this request depends on is temporarily unavailable. Try again."
                return _error(503, detail, {"retry-after": RETRY_AFTER_SECONDS})

        async def handle(request: Request) -> Response:
            response = await handled(request)
            caller: Caller | None = getattr(request.state, "scim", None)
            if caller is not None:
                context: Context = request.app.state.context
                await context.scim_activity.note(caller, response, is_read=request.method in _READING)
            return response

        return handle

    async def with_body(self, request: Request) -> Request:
        """Read and parse the body."""
        SERVICE.ensure_json(request.headers.get("content-type"))
        content = await read_body(request, self.body_max)
        if is_large(content):
            hold_costly_place(request, self.endpoint, request.scope[HELD])
        return ReadRequest(request, content, _parsed(content) if content else None)


def _parsed(content: bytes) -> Any:
    """Parse a body. Raises InvalidSyntaxException."""
    try:
        return parse_body(content, _ANY)
    except Refused as error:
        errors = error.extra.get("errors") or [{"field": "body", "expected": "JSON"}]
        first = errors[0] if isinstance(errors, list) else {}
        raise InvalidSyntaxException(detail=f"{first.get('field')}: expected {first.get('expected')}") from error


def _check_parameters(request: Request) -> None:
    """Raise InvalidValueException for what cannot be stored. Unknown parameters are ignored: Entra adds some to every address."""
    known = {name: value for name, value in query_of(request).items() if name in SEARCH_REQUEST_PARAMETERS}
    found = faults(dict(request.path_params), "path") + faults(known, "query")
    if found:
        raise InvalidValueException(detail=f"{found[0]['field']}: expected {found[0]['expected']}")


def _answer(response: ScimResponse) -> Response:
    headers = {name.lower(): value for name, value in response.headers.items() if name.lower() != "content-type"}
    body = b"" if response.body is None else orjson.dumps(response.body)
    return Response(body, int(response.status), headers=headers, media_type=SCIM_MEDIA_TYPE if body else None)


def _error(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    body = orjson.dumps(Error(status=status, detail=detail).model_dump())
    return Response(body, status, headers=dict(headers or {}), media_type=SCIM_MEDIA_TYPE)


def _refused(error: Refused) -> Response:
    status = status_of(error)
    headers = {"www-authenticate": 'Bearer realm="SCIM"'} if status == 401 else {}
    if "retry_after_seconds" in error.extra:
        headers["retry-after"] = str(error.extra["retry_after_seconds"])
    return _error(status, error.detail, headers)


@costly_when(is_costly)
async def serve(request: Request, context: InContext) -> Response:
    """Serve a request in one transaction, or in several if the connection refuses users without a licence."""
    caller: Caller = request.state.scim
    path = canonical(request.url.path)
    content, members = await _prepared(request, path)
    scim_request = ScimRequest(
        method=request.method,
        base_url=f"{str(request.base_url).rstrip('/')}{PREFIX}",
        path=path,
        query=query_of(request),
        headers=request.headers,
        body=content,
    )
    is_read = request.method in _READING or path.endswith("/.search")
    is_creation = request.method == "POST" and path == "/Users"  # which looks for the connection with the names in use

    async def run(work: Callable[[Storage], Awaitable[Any]]) -> Any:
        async with context.database.unit_of_work(caller.tenant) as uow:
            tenant = await (context.tenants.for_read(caller.tenant, uow) if is_read else context.tenants.for_write(caller.tenant, uow))
            if not (is_read or is_creation or await scim_connections.is_there(uow.connection, caller.tenant, caller.connection.connection)):
                raise connection_removed()
            if path == "/Bulk":  # a change of a group locks people, and one of a user after it the logins, which are locked first
                await uow.lock(CLAIMS, caller.tenant)
            options: Any = {"anchors": _ANCHORS, "clock": context.clock, "whole_groups": False, "is_bulk": path == "/Bulk"}
            return await work(Storage(tenant, uow, caller.connection, members, **options))

    async def handle(storage: Storage) -> ScimResponse:
        return await Handler(storage).handle(scim_request)

    async def create(document: dict[str, Any]) -> dict[str, Any]:
        return await context.scim_creations.create(
            caller, document, lambda creations: run(lambda storage: storage.users.create_all(creations))
        )

    try:
        if caller.connection.on_full == OnFull.REFUSE and not is_read:
            if path == "/Bulk":
                raise NotImplementedException(detail="A connection that refuses users without a licence does not support bulk requests.")
            response = await Refusing(run, context.seats, context.clock, caller.tenant).serve(handle)
        elif is_creation:
            response = await create_user(scim_request, create)
        else:
            response = await run(handle)
    except Stopped as stopped:
        async with context.database.unit_of_work(caller.tenant) as uow:
            await scim_guard.stop(await context.tenants.for_write(caller.tenant, uow), uow, stopped)
        detail = (
            f"This would end the access of more than {stopped.limit} people within an hour. Nobody was changed. The administrators of the "
            "tenant have to confirm it. Repeat the request later."
        )
        return _error(503, detail, {"retry-after": str(STOPPED_SECONDS)})
    return _answer(response)


async def _prepared(request: Request, path: str) -> tuple[bytes, list[str] | None]:
    """Return the body as the library reads it, and the members of a group, which it does not read."""
    content = await request.body()
    value = await request.json() if content else None
    if not isinstance(value, dict):
        return content, None
    check_entries(value)
    if path == "/Bulk":
        check_operations(value, is_bulk=True)
    if request.method == "PATCH":
        return _as_read(value, content), None
    if not path.startswith("/Groups") or request.method not in ("POST", "PUT") or path.endswith("/.search"):
        return content, None
    named = next((name for name in value if name.lower() == "members"), None)
    if named is None:
        return content, None
    members = value.pop(named)
    await asyncio.sleep(0)  # to read the body took as long as is good for others
    return orjson.dumps(value), member_ids(members)


def _as_read(value: dict[str, Any], content: bytes) -> bytes:
    """Return a PATCH as the library reads it: an operation without a path has no attributes that nobody can change, and those that select
    values of a list (`emails[type eq "work"].value`, as Entra sends them) are operations with a path, which it would ignore otherwise."""
    name = next((name for name in value if name.lower() == "operations"), "")
    operations = value.get(name)
    read: list[Any] = []
    for operation in operations if isinstance(operations, list) else ():
        given = operation.get("value") if isinstance(operation, dict) and not operation.get("path") else None
        if not isinstance(given, dict):
            read.append(operation)
            continue
        kept = {each: new for each, new in given.items() if each.lower() not in _REPEATED and "[" not in each}
        if kept or not any("[" in each for each in given):
            read.append(operation | {"value": kept})
        read += [operation | {"path": each, "value": new} for each, new in given.items() if "[" in each]
    check_operations(value | {name: read}, is_bulk=False)
    return orjson.dumps(value | {name: read}) if read and read != operations else content


def make_router() -> APIRouter:
    """Return the routes. Their own document is at /Schemas, /ResourceTypes and /ServiceProviderConfig."""
    router = APIRouter(route_class=ScimRoute, prefix=PREFIX, include_in_schema=False)
    paths: dict[str, set[str]] = {}
    for route in ROUTES:
        for endpoint in ("Users", "Groups") if "{endpoint}" in route.pattern else ("",):
            paths.setdefault(route.pattern.replace("{endpoint}", endpoint), set()).add(route.method)
    for path, methods in paths.items():
        router.add_api_route(path, serve, methods=sorted(methods))
    # What the library does not know is refused by it, with the same checks as everything else.
    router.add_api_route("/{rest:path}", serve, methods=["DELETE", "GET", "PATCH", "POST", "PUT"])
    return router
