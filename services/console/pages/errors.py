"""What a page says when it cannot be shown: 404, 403, 500, a service that is down, and the way through the sign-in."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote, urlencode

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from services.console.pages import cookies
from services.console.pages.addresses import address_of, page_at
from services.console.pages.forms import ABOUT, TOKEN
from services.console.pages.page import NotAllowed, NotOpened, NotThere, Page, StillComputing, parse_form
from services.console.pages.route import FileUnread, Forged, SentRequest, SignInNeeded
from services.console.rest.live import EVENTS, OVER, as_event
from services.console.rest.problems import Problem, Refusal, SignedOut, Unavailable
from services.console.sign_in.seals import FORM
from services.console.sign_in.sessions import Reader
from services.console.wiring import Wiring
from shared import ids
from shared.errors import Refused
from shared.web.input_limits import cut
from shared.web.problems import status_of

log = structlog.get_logger(__name__)
KEPT_MAX: Final = 1500  # characters of an address
RELOAD_SECONDS: Final = 15  # of a page that needs a service which does not answer
RETRY_SECONDS: Final = 2  # of a service that does not say when to ask again


async def _page(request: Request, *, asks_users: bool = True) -> Page:
    """Return the page with its reader, if there is one, so that the error page has the navigation. Users is not asked once more if it did
    not answer: the reader would wait for both time limits."""
    wiring: Wiring = request.app.state.wiring
    secret = request.cookies.get(cookies.SESSION.name(wiring.settings), "")
    reader: Reader | None = None
    with suppress(Exception):  # the page about an error is shown whatever else fails
        reader = await wiring.sessions.reader(secret) if asks_users else wiring.sessions.kept(secret)
    page = Page(request, wiring, reader, reader.tenant if reader else None)
    if asks_users:
        with suppress(Exception):
            await page.read_test_clock()
    return page


async def _error(request: Request, status: int, *, asks_users: bool = True, **values: Any) -> Response:
    page = await _page(request, asks_users=asks_users)
    return page.render("error.html", status, code=status, **{"problem": None, "service": None, "sent": False, "error_id": None} | values)


def _is_stream(request: Request) -> bool:
    return request.headers.get("accept", "") == EVENTS


def _end_of_stream() -> Response:
    """Tell an open page that it must not connect again: of a refusal, a script sees no status, and would try again and again."""
    return Response(as_event(OVER), media_type=EVENTS)


async def _not_there(request: Request, error: Exception) -> Response:
    """A page of another tenant is as unknown as one that does not exist."""
    if _is_stream(request):
        return _end_of_stream()
    return await _error(request, 404)


async def _not_opened(request: Request, error: Exception) -> Response:
    """Ask the operator why the tenant is opened, and show the page afterwards."""
    page = Page(request, request.app.state.wiring, None)
    shown = _back_to(request) if request.method == "GET" else quote(page_at(request.app.state.pages, address_of(request)), safe="/")
    return page.redirect(f"/operator/tenants/{quote(str(error), safe='')}/open?next={shown}")


async def _not_taken(request: Request, error: Exception) -> Response:
    """A value in the path that is none names no page; one of the query, such as a filter that is too long, is refused by its page."""
    assert isinstance(error, RequestValidationError)
    return await _error(request, 404 if any(each["loc"][0] == "path" for each in error.errors()) else 400)


async def _not_allowed(request: Request, error: Exception) -> Response:
    if _is_stream(request):
        return _end_of_stream()
    return await _error(request, 403)


async def _forged(request: Request, error: Exception) -> Response:
    """Without a cookie the browser keeps none, which is the usual reason."""
    wiring: Wiring = request.app.state.wiring
    if not request.cookies.get(cookies.BROWSER.name(wiring.settings)):
        page = Page(request, wiring, None)
        return page.render("no_cookies.html", 400)
    return await _error(request, 403, problem=Problem("forged", 403, ""))


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, Refusal):
        problem = error.problem
        for part, code in (("path.", 404), ("query.", 400)):  # what cannot be an id names no page; a cursor is no reader's to correct
            if problem.errors and all(fault.field.startswith(part) for fault in problem.errors):
                return await _error(request, code)
        status = problem.status if problem.status in (403, 404, 409, 413, 422, 429) else 409
        return await _error(request, status, problem=None if status == 404 else problem)
    assert isinstance(error, Refused)
    return await _error(request, status_of(error), problem=Problem(error.type, status_of(error), error.detail))


async def _computing(request: Request, error: Exception) -> Response:
    """Say that a preview is being computed. It is asked for again after the Retry-After of the service; without scripts by a reload or a
    button."""
    assert isinstance(error, StillComputing)
    page, seconds = error.page, error.problem.retry_after_seconds or RETRY_SECONDS
    posted = page.request.method == "POST"
    fields = [(name, value) for name, values in page.form.own_fields().items() for value in values] if posted else None
    about = page.form.all(ABOUT) if posted else None
    response = page.render("computing.html", fields=fields, about=about, seconds=seconds, address=address_of(page.request))
    if not posted and not page.is_partial:
        response.headers["refresh"] = str(seconds)
    return response


async def _unavailable(request: Request, error: Exception) -> Response:
    assert isinstance(error, Unavailable)
    sent = error.sent or getattr(request.state, "has_changed", False)
    response = await _error(request, 503, asks_users=error.service != "users", service=error.service, sent=sent)
    if request.method == "GET" and "hx-request" not in request.headers:
        response.headers["refresh"] = str(RELOAD_SECONDS)
    return response


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return await _error(request, error.status_code if error.status_code in (404, 405) else 400)


async def unhandled(request: Request, error: Exception) -> Response:
    """Show an id; what happened stands under it in the log, and only there."""
    error_id = ids.new_id()
    log.error("page_failed", error_id=error_id, path=cut(request.url.path), method=cut(request.method), exc_info=error)
    return await _error(request, 500, error_id=error_id)


async def sign_in_needed(request: Request, error: Exception) -> Response:
    """Send the reader to the sign-in, and back here afterwards. The input of a form goes with the reader, sealed."""
    wiring: Wiring = request.app.state.wiring
    if isinstance(error, SignedOut):
        wiring.sessions.forget(request.cookies.get(cookies.SESSION.name(wiring.settings), ""))
    page = Page(request, wiring, None)
    if page.is_partial and request.method == "GET":
        return page.finished(Response(status_code=204, headers={"hx-redirect": f"/sign-in?next={_back_to(request)}"}))
    if request.method != "POST":
        return page.redirect(f"/sign-in?next={_back_to(request)}")
    if isinstance(error, FileUnread):
        why, kept = "file-lost", error.fields
    else:
        why, kept = await _keep_form(page)
    back = "/resume" if why == "form" else page_at(request.app.state.pages, address_of(request))
    entered = urlencode({name: value for name, value in kept.items() if value and not name.startswith("_")})
    if len(entered) > KEPT_MAX:
        why = "form-lost"
    elif entered:
        back = f"{back}?{entered}"
    return page.redirect(f"/sign-in?next={quote(back, safe='/')}&why={why}")


async def _keep_form(page: Page) -> tuple[str, Mapping[str, str]]:
    """Keep the input in the browser, so that it can be sent again. It is not believed: its token is checked after the sign-in.

    Return what became of it, and the fields of a form whose file cannot be kept: its page takes them from its address.
    """
    request = SentRequest(page.request)
    form = await parse_form(request)
    if form.files:
        await request.close()
        return "file-lost", {name: form[name] for name in form.own_fields()}
    if any("secret" in name for name in form.own_fields()):
        return "form-lost", {}  # a secret is in no page but the one where somebody types it
    content = {"path": address_of(page.request), "fields": form.own_fields(), "about": form.all(ABOUT), "token": form[TOKEN]}
    seal = page.wiring.seals.seal
    sealed = seal(content, FORM) or seal(content | {"about": []}, FORM)  # the input goes before the words about it
    if sealed is None:
        return "form-lost", {}
    page.set_cookie(cookies.FORM, sealed)
    return "form", {}


def _back_to(request: Request) -> str:
    path = address_of(request)
    if "hx-request" in request.headers and (shown := request.headers.get("hx-current-url", "")):
        path = "/" + shown.split("/", 3)[3] if shown.count("/") >= 3 else "/"
    return quote(path[:1000], safe="/")


def add_error_pages(app: FastAPI) -> None:
    """Let the application answer each of these errors with a page."""
    for kind, handler in (
        (SignInNeeded, sign_in_needed),
        (SignedOut, sign_in_needed),
        (NotThere, _not_there),
        (NotOpened, _not_opened),
        (NotAllowed, _not_allowed),
        (Forged, _forged),
        (Refusal, _refused),
        (Refused, _refused),
        (Unavailable, _unavailable),
        (StillComputing, _computing),
        (RequestValidationError, _not_taken),
        (HTTPException, _http),
    ):
        app.add_exception_handler(kind, handler)
