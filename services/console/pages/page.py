"""What every page gets: its reader, the other services' REST, its form, and how it answers.

@router.get("/tenants/{tenant}/people")
async def show_people(page: Annotated[Page, Depends(needs("users:read"))]) -> Response:
    people, departments = await page.together(page.get("users", "people"), page.get("users", "department-mapping"))
    return page.render("people.html", people=people.need(), departments=departments)
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse, StreamingResponse

from services.console.pages import cookies
from services.console.pages.addresses import page_shown
from services.console.pages.forms import ABOUT, FIELDS_MAX, KEY, RESUMED, TOKEN, Form
from services.console.pages.route import Forged, SignInNeeded
from services.console.rendering import languages
from services.console.rendering.field_texts import translated
from services.console.rendering.formats import Formats, as_moment, locale_of
from services.console.rendering.known_texts import word_of
from services.console.rendering.navigation import links_for
from services.console.rendering.problem_texts import text_of
from services.console.rest.problems import Problem, Refusal, Unavailable
from services.console.rest.services import CHANGE_SECONDS_MAX, READ_SECONDS_MAX, Part
from services.console.sign_in.seals import NOTICE
from services.console.sign_in.sessions import Reader, reader_id
from services.console.wiring import Wiring
from shared import ids

COMPUTED_SECONDS_MAX: Final = 12.0  # for a forecast or a what-if
SIGN_OUT: Final = "_sign_out"
NEW: Final = '"0"'  # the ETag of what nobody has added yet
_UPLOADED: Final = "multipart/form-data"


class NotAllowed(Exception):
    """The reader has no right to the page."""


class NotThere(Exception):
    """There is no such page, or it belongs to another tenant."""


class NotOpened(Exception):
    """An operator has not opened the tenant, or the time is over for which it was opened."""


class StillComputing(Exception):
    """A service is busy with a preview, and asks to be asked again."""

    def __init__(self, page: "Page", problem: Problem) -> None:
        super().__init__(problem.detail)
        self.page, self.problem = page, problem


@dataclass(slots=True)
class Answered:
    """The cookies that the response of a request sets and deletes."""

    set: list[tuple[cookies.Cookie, str]] = field(default_factory=list)
    deleted: list[cookies.Cookie] = field(default_factory=list)


class Page:
    """A request of a browser. `reader` is None on the pages of the sign-in."""

    def __init__(self, request: Request, wiring: Wiring, reader: Reader | None, tenant: str | None = None) -> None:
        self.request, self.wiring, self.tenant = request, wiring, tenant
        self._reader = reader
        self._form: Form | None = None
        self._answered = Answered()
        self.now = wiring.clock.now()
        self.is_test_time = False

    # The reader.

    @property
    def reader(self) -> Reader:
        assert self._reader is not None, "a page without a reader asks for none"
        return self._reader

    @property
    def has_reader(self) -> bool:
        return self._reader is not None

    def may(self, right: str) -> bool:
        """Tell whether the reader has this right. What it opens is shown only then."""
        return self._reader is not None and self._reader.may(right) and (right.endswith(":read") or not self._reader.opened)

    def has_page(self, path: str) -> bool:
        """Tell whether the reader may see this page of the tenant, so that a link may lead there."""
        return self._reader is not None and any(link.url == self.url(path) for link in links_for(self._reader, self.tenant))

    @cached_property
    def language(self) -> str:
        """Return the code of the language."""
        cookie = self.cookie(cookies.LANGUAGE)
        return languages.chosen(cookie, self.request.headers.get("accept-language", ""), self._reader.locale if self._reader else "")

    def gettext(self, text: str, **values: object) -> str:
        """Return the text in the reader's language. Its values are named, as in `%(count)s`."""
        found = languages.translations()[self.language].gettext(text)
        return found % values if values else found

    def word(self, words: Mapping[str, str], code: str) -> str:
        """Return the word for a code of a service in the reader's language; the code itself if it is of a later release."""
        return word_of(code, words, self.gettext)

    def ngettext(self, one: str, many: str, count: int, **values: object) -> str:
        found = languages.translations()[self.language].ngettext(one, many, count)
        return found % {"num": self.formats.number(count), **values}

    @cached_property
    def formats(self) -> Formats:
        """Return how numbers and dates are written. A page of a tenant with a test clock calls `read_test_clock` first."""
        reader = self._reader
        return Formats(
            locale_of(self.language, reader.locale if reader else "", self.request.headers.get("accept-language", "")),
            reader.time_zone if reader and reader.tenant else None,
            self.now,
            *((self.wiring.clock.now(), self.gettext("real time")) if reader and reader.tenant and reader.clock == "test" else ()),
        )

    @staticmethod
    def last_day(first_day_after: str) -> date:
        """Return the last day of a period whose first day after it REST names."""
        return date.fromisoformat(first_day_after) - timedelta(days=1)

    def days_until(self, day: str) -> int:
        return max(0, (date.fromisoformat(day) - self.formats.today).days)

    async def read_test_clock(self) -> None:
        """Take over the time of a tenant with a test clock, which is not what the reader's session knew at its start. Raises Unavailable:
        without it, the page would say wrong things of times."""
        if self._reader is not None and self._reader.clock == "test":
            me = (await self.get("users", "/v1/me")).need()
            self.now, self.is_test_time = as_moment(me["tenant"]["now"]), True

    async def renew(self) -> None:
        """Have a token that is valid for a while. For an answer that takes longer than one. Raises SignInNeeded and Unavailable."""
        self._reader = await _reader(self.request, self.wiring, self.tenant)

    # The other services.

    def path(self, below: str) -> str:
        """Return the path of REST: `people` is below the tenant, `/v1/plans` is as it is."""
        return below if below.startswith("/") else f"/v1/tenants/{quote(self.tenant or '', safe='')}/{below}"

    def url(self, below: str) -> str:
        """Return the address of a page of this tenant."""
        return f"/tenants/{quote(self.tenant or '', safe='')}/{below}"

    def url_or_first(self, path: str) -> str:
        """Return the address of a page of this tenant, or that of the first page for a reader who may not see it."""
        return self.url(path) if self.has_page(path) else "/"

    async def get(self, service: str, path: str, *, seconds: float = READ_SECONDS_MAX, **query: Any) -> Part:
        """Ask a service. A service that does not answer, or refuses, costs this part of the page."""
        return await self.wiring.services.get(self.reader.token, service, self.path(path), query, seconds=seconds)

    async def together(self, *parts: Awaitable[Part]) -> list[Part]:
        """Ask several services at the same time."""
        return list(await asyncio.gather(*parts))

    @staticmethod
    def no_part() -> Part:
        """Return the part that this reader may not see."""
        return Part("")

    async def nothing(self) -> Part:
        """Return the same, among other parts that are asked for."""
        return self.no_part()

    async def send(
        self,
        method: str,
        service: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        key: str | None = None,
        etag: str | None = None,
        wait_seconds: int = 0,
        seconds: float = CHANGE_SECONDS_MAX,
    ) -> Any:
        """Change something. Raises Refusal and Unavailable, which become a message on the page or a page of their own."""
        headers = {"idempotency-key": _in_header(key) if key else ids.new_id()} if method == "POST" else {}
        headers |= {"if-match": _in_header(etag)} if etag else {}
        headers |= {"prefer": f"wait={wait_seconds}"} if wait_seconds else {}
        found, token, is_preview = self.wiring.services, self.reader.token, "dry_run" in (query or {})
        try:
            answer = await found.send(token, method, service, self.path(path), body, query=query, headers=headers, seconds=seconds)
        except Refusal as refusal:
            raise Refusal(translated(refusal.problem, self.gettext)) from refusal
        except Unavailable as error:
            raise Unavailable(error.service, sent=not is_preview) from error
        if not is_preview:
            self.request.state.has_changed = True  # even if the page cannot be shown then
        return answer

    async def preview(self, method: str, service: str, path: str, body: Any, *, etag: str | None = None) -> Any:
        """Ask what a change would lead to. Raises Refusal and Unavailable, and StillComputing, which becomes a page that asks again."""
        try:
            return await self.send(method, service, path, body, query={"dry_run": "true"}, etag=etag)
        except Refusal as refusal:
            if refusal.problem.status != HTTPStatus.TOO_MANY_REQUESTS:
                raise
            raise StillComputing(self, refusal.problem) from refusal

    async def download(self, service: str, path: str, **query: Any) -> Response:
        """Return a file of a service, with its name and type, as it comes."""
        response = await self.wiring.services.download(self.reader.token, service, self.path(path), query)
        kept = ("content-type", "content-disposition", "content-length", "etag")

        async def parts() -> AsyncIterator[bytes]:
            try:
                async for part in response.aiter_bytes():
                    yield part
            finally:
                await response.aclose()

        headers = {name: response.headers[name] for name in kept if name in response.headers and "content-encoding" not in response.headers}
        return StreamingResponse(parts(), headers=headers)

    # The form.

    @property
    def form(self) -> Form:
        assert self._form is not None, "only a POST has a form"
        return self._form

    async def read_form(self) -> Form:
        """Read the form and check its token. Raises Forged."""
        form = await parse_form(self.request)
        if not self.wiring.seals.fits(form[TOKEN], self.cookie(cookies.BROWSER), self.reader.id if self._reader else ""):
            raise Forged
        if RESUMED in form:
            self.delete_cookie(cookies.FORM)
        self._form = form
        return form

    def form_token(self) -> str:
        """Return the token of this page's forms. A browser without the cookie that it is bound to gets one."""
        return self.wiring.seals.token(self._browser, self.reader.id if self._reader else "")

    def operator_form_token(self) -> str:
        """Return the token of a form of the operator, on a page of a tenant that the operator has opened."""
        return self.wiring.seals.token(self._browser, reader_id(None, self.reader.principal.subject))

    def sign_out_token(self) -> str:
        """Return the token of the form that signs out, which is bound to the browser and the session."""
        return self.wiring.seals.token(self._browser, f"{SIGN_OUT} {self.cookie(cookies.SESSION)}")

    def is_sign_out(self, form: Form, secret: str) -> bool:
        """Tell whether the form signs this session out. It does not depend on the reader, whom only users knows."""
        return self.wiring.seals.fits(form[SIGN_OUT], self.cookie(cookies.BROWSER), f"{SIGN_OUT} {secret}")

    @cached_property
    def _browser(self) -> str:
        found = self.cookie(cookies.BROWSER)
        if len(found) >= 20:
            return found
        made = secrets.token_urlsafe(24)
        self.set_cookie(cookies.BROWSER, made)
        return made

    @staticmethod
    def form_key() -> str:
        return ids.new_id()

    # The answer.

    def why(self, problem: Problem, names: Mapping[str, str] | None = None) -> str:
        """Return why a service refused, and what to do, in the reader's language. `names`: of the modules, where they are known."""
        return text_of(problem, self.gettext, names or {})

    def cookie(self, cookie: cookies.Cookie) -> str:
        return self.request.cookies.get(cookie.name(self.wiring.settings), "")

    def set_cookie(self, cookie: cookies.Cookie, value: str) -> None:
        self._answered.set.append((cookie, value))

    def delete_cookie(self, cookie: cookies.Cookie) -> None:
        self._answered.deleted.append(cookie)

    @property
    def is_partial(self) -> bool:
        """Tell whether htmx asks: for a dialog or a part of the page."""
        return "hx-request" in self.request.headers

    def render(self, template: str, status: int = 200, **values: Any) -> Response:
        """Return the page. Templates see it as `page`."""
        notice = self._notice()
        content = self.wiring.renderer.render(
            template,
            self.language,
            self.formats,
            {
                "page": self,
                "notice": notice,
                "navigation": links_for(self._reader, self.tenant) if self._reader else [],
                "here": self.request.url.path,
                "shown_at": page_shown(self.request),
                "names_of_languages": languages.names(),
                "token_field": TOKEN,
                "key_field": KEY,
                "about_field": ABOUT,
                **values,
            },
        )
        return self.finished(HTMLResponse(content, status))

    def _notice(self) -> Mapping[str, Any] | None:
        sealed = self.cookie(cookies.NOTICE)
        if not sealed or self.is_partial:
            return None
        self.delete_cookie(cookies.NOTICE)
        return self.wiring.seals.unseal(sealed, NOTICE)

    def redirect(self, url: str, notice: str = "", tone: str = "good") -> Response:
        """Let the browser open another page of the console. `notice` is what that page says first; tone: good, warning or bad."""
        assert url.startswith("/"), "the console sends nobody to another site"
        if notice and (sealed := self.wiring.seals.seal({"text": notice, "tone": tone}, NOTICE)):
            self.set_cookie(cookies.NOTICE, sealed)
        if self.is_partial:
            return self.finished(Response(status_code=204, headers={"hx-redirect": url}))
        return self.finished(RedirectResponse(url, 303))

    def finished(self, response: Response) -> Response:
        """Add the cookies."""
        for cookie, value in self._answered.set:
            cookie.set(response, self.wiring.settings, value)
        for cookie in self._answered.deleted:
            cookie.delete(response, self.wiring.settings)
        return response


def _in_header(value: str) -> str:
    """Return a value of a form as a header can hold it. One that the console has put there stays as it is; any other fits nothing."""
    return "".join(each if each.isascii() and each.isprintable() else "?" for each in value)


async def parse_form(request: Request) -> Form:
    """Return the form of a request, urlencoded or with a file."""
    if not request.headers.get("content-type", "").startswith((_UPLOADED, "application/x-www-form-urlencoded")):
        return Form()
    fields: dict[str, list[str]] = {}
    files = {}
    parsed = await request.form(max_files=1, max_fields=FIELDS_MAX)
    for name, value in parsed.multi_items():
        if isinstance(value, str):
            fields.setdefault(name, []).append(value.replace("\0", ""))
        elif value.filename:
            files[name] = value
    return Form(fields, files)


def needs(*rights: str) -> Callable[[Request], Awaitable[Page]]:
    """Return the dependency of a page of a tenant: a reader with any of these rights. The form of a POST is read and checked."""

    async def dependency(request: Request) -> Page:
        wiring: Wiring = request.app.state.wiring
        tenant = request.path_params.get("tenant")
        page = Page(request, wiring, await _reader(request, wiring, tenant), tenant)
        await page.read_test_clock()
        if request.method == "POST":
            await page.read_form()
        if not any(page.may(right) for right in rights):
            raise NotAllowed
        return page

    return dependency


def needs_operator() -> Callable[[Request], Awaitable[Page]]:
    """Return the dependency of a page of the operator."""

    async def dependency(request: Request) -> Page:
        wiring: Wiring = request.app.state.wiring
        page = Page(request, wiring, await session_reader(request, wiring))
        if not page.reader.is_operator:
            raise NotThere
        if request.method == "POST":
            await page.read_form()
        return page

    return dependency


async def session_reader(request: Request, wiring: Wiring) -> Reader:
    """Return the reader of the session in the cookie. Raises SignInNeeded and Unavailable."""
    secret = request.cookies.get(cookies.SESSION.name(wiring.settings), "")
    reader = await wiring.sessions.reader(secret)
    if reader is None:
        raise SignInNeeded
    return reader


async def _reader(request: Request, wiring: Wiring, tenant: str | None) -> Reader:
    reader = await session_reader(request, wiring)
    if reader.is_operator and tenant is not None:
        opened = wiring.sessions.opened(request.cookies.get(cookies.SESSION.name(wiring.settings), ""), tenant)
        if opened is None:
            raise NotOpened(tenant)
        return opened
    if reader.tenant != tenant:
        raise NotThere
    return reader
