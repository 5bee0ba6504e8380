"""The class of every page's route: what the browser sends is limited and checked before a page looks at it."""

import re
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Final, TypeVar

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from services.console.pages.addresses import parts_of
from services.console.pages.cookies import SESSION
from services.console.pages.forms import FIELDS_MAX
from shared.errors import Refused
from shared.web.input_limits import faults, read_body

FORM_BYTES_MAX: Final = 64 * 1024
FILE_BYTES_MAX: Final = 10 * 1024 * 1024
_CHARSET: Final = re.compile(r'charset\*?\d*\*?\s*=\s*"?([^";\s]*)')
_SAFE: Final = ("GET", "HEAD")
_WITH_FILE: Final = "with_file"
_BODY: Final = "seatpool.body"  # in a request's scope

F = TypeVar("F", bound=Callable[..., Any])


def with_file(endpoint: F) -> F:
    """Mark a route whose form has a file: its body may have 10 MB if the browser has a session."""
    endpoint.__dict__[_WITH_FILE] = True
    return endpoint


class SignInNeeded(Exception):
    """There is no session, or it has ended."""


class FileUnread(SignInNeeded):
    """The same, and the file that was sent with a form was not read: only readers may send as much. `fields`: those before the file."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__()
        self.fields = fields


class Forged(Exception):
    """A form that was sent from another site, or without the token of its page."""


class SentRequest(Request):
    """A request whose body was read. The page of an error gets another object for the same request, and must not wait for the body."""

    def __init__(self, request: Request, content: bytes | None = None) -> None:
        super().__init__(request.scope, request.receive)
        self._body: bytes = self.scope.get(_BODY, b"") if content is None else content
        self.scope[_BODY] = self._body


class PageRoute(APIRoute):
    """A page, or what one of its forms does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler, which checks the request before the page."""
        answer = super().get_route_handler()
        takes_file = getattr(self.endpoint, _WITH_FILE, False)

        async def handle(request: Request) -> Response:
            _check_parameters(request)
            if request.method in _SAFE:
                return await answer(SentRequest(request, b""))
            _check_origin(request)
            _check_charset(request)
            if takes_file and not await _has_session(request):
                raise FileUnread(await _fields_before_file(request))
            sent = SentRequest(request, await read_body(request, FILE_BYTES_MAX if takes_file else FORM_BYTES_MAX))
            try:
                return await answer(sent)
            finally:
                await sent.close()  # the files of its form

        return handle


def _check_parameters(request: Request) -> None:
    """Raise Refused for values that no service can store. Unknown parameters are ignored: identity providers and e-mails add their own."""
    found = faults(dict(request.path_params), "path")
    for name, value in request.query_params.multi_items():
        found += faults(value, f"query.{name}")
    if found:
        raise Refused("invalid", "The address contains characters that are not allowed.")


def _check_origin(request: Request) -> None:
    """Raise Forged for a form that another site sends. Browsers say where it comes from; the form's token is checked as well."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise Forged
        return
    origin = request.headers.get("origin")
    if origin is not None and parts_of(origin).netloc != request.headers.get("host"):
        raise Forged


def _check_charset(request: Request) -> None:
    """Raise Refused for a form in another encoding: browsers send UTF-8, and some decoders of Python fail or give texts that nobody can
    send on."""
    if _CHARSET.findall(request.headers.get("content-type", "").lower()) not in ([], ["utf-8"]):
        raise Refused("invalid", "A form has to be in UTF-8.")


async def _fields_before_file(request: Request) -> Mapping[str, str]:
    """Return the fields in the first bytes of a form with a file. What does not come whole is left out."""

    async def beginning() -> AsyncGenerator[bytes]:
        left = FORM_BYTES_MAX
        async for part in request.stream():
            yield part[:left]
            left -= len(part)
            if left <= 0:
                return

    with suppress(MultiPartException, ClientDisconnect, KeyError):
        form = await MultiPartParser(request.headers, beginning(), max_files=1, max_fields=FIELDS_MAX).parse()
        try:
            return {name: value for name, value in form.multi_items() if isinstance(value, str)}
        finally:
            await form.close()
    return {}


async def _has_session(request: Request) -> bool:
    wiring = request.app.state.wiring
    return await wiring.sessions.reader(request.cookies.get(SESSION.name(wiring.settings), "")) is not None
