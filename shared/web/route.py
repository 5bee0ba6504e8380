"""The order in which a request is looked at: access first, then its path and query, and the body last.

FastAPI reads and parses a body before it asks any dependency, so that anybody could make a service do it. Here nothing of a body is read
before the caller's token, tenant and right are known to be good.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Annotated, Any

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.types import Receive, Scope, Send

from shared.web.auth import access_checks, check_access
from shared.web.input_limits import (
    BODY_MAX,
    OPEN_BODY_MAX,
    check_empty,
    check_media_type,
    check_parameters,
    own_parts,
    parse_body,
    read_body,
)
from shared.web.tenant_limits import hold_place

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
HELD = "seatpool.held"  # in a request's scope: an ExitStack
Answer = Callable[[Request], Awaitable[Response]]


class ReadRequest(Request):
    """A request whose body has been read, and parsed if it is JSON."""

    def __init__(self, request: Request, content: bytes, value: Any = None) -> None:
        super().__init__(request.scope, request.receive)
        self._content, self._value = content, value

    async def body(self) -> bytes:
        return self._content

    async def json(self) -> Any:
        return self._value


def _query_names(dependant: Dependant) -> Iterator[str]:
    """Yield the names of the query parameters of a route and of its dependencies."""
    yield from (field.alias for field in dependant.query_params)
    for each in dependant.dependencies:
        yield from _query_names(each)


class CheckedRoute(APIRoute):
    """The class of every route. A body is JSON. A route without a model of its body takes none, or an empty object, which some clients
    always send."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which checks access, tenant limits and parameters before the body is read."""
        answer = super().get_route_handler()
        checks = access_checks(self.dependant)
        known = frozenset(_query_names(self.dependant))
        self.body_max = BODY_MAX if checks else OPEN_BODY_MAX
        if self.body_field is not None:
            model: Any = Annotated[self.body_field.field_info.annotation, self.body_field.field_info]
            self._body_adapter: TypeAdapter[Any] = TypeAdapter(model)

        async def handle(request: Request) -> Response:
            await check_access(request, checks)
            hold_place(request, self.endpoint, request.scope[HELD])
            check_parameters(request, known)
            return await self.respond(request, answer)

        return handle

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What is held for a request is given back when its answer has been sent, also a streamed one."""
        with ExitStack() as scope[HELD]:
            await super().handle(scope, receive, send)

    async def respond(self, request: Request, answer: Answer) -> Response:
        """Answer a caller who has access. Nothing of the body has been read yet, and what a GET sends never is."""
        return await answer(ReadRequest(request, b"") if request.method == "GET" else await self.with_body(request))

    async def with_body(self, request: Request) -> Request:
        """Read and parse the body."""
        check_media_type(request, JSON)
        content = await read_body(request, self.body_max)
        if self.body_field is None:
            check_empty(content)
            return ReadRequest(request, b"")
        return ReadRequest(request, content, await self.parsed(content) if content else None)

    async def parsed(self, content: bytes) -> Any:
        """Return what the model of the body makes of it."""
        return self._parse(content)

    def _parse(self, content: bytes) -> Any:
        return parse_body(content, self._body_adapter, own_parts(self.endpoint))


class AsideRoute(CheckedRoute):
    """A route whose body takes long to check: a thread does it, so that other requests are answered meanwhile."""

    async def parsed(self, content: bytes) -> Any:
        return await asyncio.to_thread(self._parse, content)


class FormRoute(CheckedRoute):
    """A route that reads a form by itself."""

    async def with_body(self, request: Request) -> Request:
        check_media_type(request, FORM)
        return ReadRequest(request, await read_body(request, self.body_max))
