"""Sign in by a link or with the identity provider of the company, choose the tenant, and sign out."""

import secrets
from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response

from services.console.pages import cookies
from services.console.pages.addresses import page_of_console
from services.console.pages.home import AnyReader
from services.console.pages.identity_provider import CALLBACK, back_to_test
from services.console.pages.page import Page, parse_form
from services.console.pages.route import Forged, PageRoute
from services.console.rest.problems import Problem, Refusal, RestError, Unavailable
from services.console.rest.services import url_part
from services.console.sign_in.seals import FLOW

router = APIRouter(route_class=PageRoute, include_in_schema=False)


async def _anonymous(request: Request) -> Page:
    page = Page(request, request.app.state.wiring, None)
    if request.method == "POST":
        await page.read_form()
    return page


Anonymous = Annotated[Page, Depends(_anonymous)]


def _safe(path: str) -> str:
    """Return the address if it is a page of the console that is behind the sign-in, otherwise the first page."""
    return "/" if path.startswith("/sign-in") else page_of_console(path)


async def ask_users(page: Page, path: str, body: Mapping[str, Any]) -> Any:
    """Ask users, as the browser's address: users limits the attempts of each."""
    client = page.request.client.host if page.request.client else ""
    return await page.wiring.services.send(None, "POST", "users", path, body, headers={"x-forwarded-for": client} if client else {})


def _show(page: Page, status: int = 200, problem: Problem | None = None, **values: Any) -> Response:
    given = {"next": "/", "why": "", "email": "", "company": "", "sent": False, "service_down": False}
    return page.render("sign_in.html", status, problem=problem, **given | values)


@router.get("/sign-in")
async def show_sign_in(
    page: Anonymous,
    back: Annotated[str, Query(max_length=2000, alias="next")] = "/",
    why: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show both ways to sign in."""
    return _show(page, next=_safe(back), why=why)


@router.post("/sign-in/by-link")
async def request_link(page: Anonymous) -> Response:
    """Have users send a link. The answer is the same for every address."""
    email, back = page.form["email"], _safe(page.form["next"])
    if "@" not in email or len(email) > 300:
        page.form.errors["email"] = page.gettext("Enter your e-mail address, for example ann@example.com.")
        return _show(page, 422, email=email, next=back, form=page.form)
    try:
        await ask_users(page, "/v1/sign-in/links", {"email": email})
    except Refusal as refusal:
        if refusal.problem.status != 422:
            return _show(page, refusal.problem.status, refusal.problem, email=email, next=back)
        page.form.errors["email"] = page.gettext("Enter your e-mail address, for example ann@example.com.")
        return _show(page, 422, email=email, next=back, form=page.form)
    except Unavailable:
        return _show(page, 503, email=email, next=back, service_down=True)
    sealed = page.wiring.seals.seal({"next": back}, FLOW)
    if sealed is not None:
        page.set_cookie(cookies.FLOW, sealed)
    return _show(page, email=email, next=back, sent=True)


@router.get("/sign-in/link")
async def show_button(page: Anonymous, secret: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Show the button that uses the link. Opening the link changes nothing, because programs that check e-mails open links too."""
    return page.render("sign_in_link.html", secret=secret, problem=None)


@router.post("/sign-in/link")
async def use_link(page: Anonymous) -> Response:
    """Use the link. If there is only one person to sign in as, sign in at once."""
    try:
        used = await ask_users(page, "/v1/sign-in/links/use", {"secret": page.form["secret"]})
        if len(used["choices"]) == 1:
            return await _choose(page, used["ticket"], used["choices"][0])
    except Refusal as refusal:
        return page.render("sign_in_link.html", 409, secret="", problem=refusal.problem)
    return page.render("sign_in_choose.html", ticket=used["ticket"], choices=used["choices"])


@router.post("/sign-in/choice")
async def choose(page: Anonymous) -> Response:
    """Sign in as the chosen person of the chosen company."""
    tenant, _, user = page.form["choice"].partition("/")  # ids hold no slashes
    try:
        return await _choose(page, page.form["ticket"], {"tenant": tenant or None, "user": user})
    except Refusal as refusal:
        return page.render("sign_in_link.html", 409, secret="", problem=refusal.problem)


async def _choose(page: Page, ticket: str, choice: Mapping[str, Any]) -> Response:
    body = {"ticket": ticket, "user": choice["user"]} | ({"tenant": choice["tenant"]} if choice["tenant"] else {})
    return await _signed_in(page, await ask_users(page, "/v1/sign-in/links/choose", body))


async def _signed_in(page: Page, session: Mapping[str, Any]) -> Response:
    """Give the browser the session, and open the page that it wanted. Somebody whose login was changed is asked about that first."""
    flow = page.wiring.seals.unseal(page.cookie(cookies.FLOW), FLOW) or {}
    page.set_cookie(cookies.SESSION, session["secret"])
    page.set_cookie(cookies.BROWSER, page.cookie(cookies.BROWSER) or secrets.token_urlsafe(24))
    page.delete_cookie(cookies.FLOW)
    back = "/resume" if page.cookie(cookies.FORM) else _safe(str(flow.get("next", "/")))
    reader = None
    with suppress(RestError):  # the session has begun, and its secret is shown this once
        reader = await page.wiring.sessions.reader(session["secret"])
    return page.redirect(f"/sign-in/confirm?next={quote(back)}" if reader is not None and reader.unconfirmed else back)


@router.get("/sign-in/confirm")
async def ask_confirmation(page: AnyReader, back: Annotated[str, Query(max_length=2000, alias="next")] = "/") -> Response:
    """Ask whether a changed login and e-mail address are the person's own. Until then they do not count for sign-in."""
    if page.reader.unconfirmed is None:
        return page.redirect(_safe(back))
    login, email = page.reader.unconfirmed
    return page.render("sign_in_confirm.html", login=login, email=email, back=_safe(back))


@router.post("/sign-in/confirm")
async def confirm(page: AnyReader) -> Response:
    """Sign in with the changed login and e-mail address from now on."""
    user, back = page.reader.principal.subject, _safe(page.form["next"])
    body = {"login": page.form["login"] or None, "email": page.form["email"]}
    await page.send("POST", "users", f"people/{url_part(user)}/sign-in/confirm", body)
    page.wiring.sessions.forget(page.cookie(cookies.SESSION))
    return page.redirect(back, page.gettext("From now on, you sign in with the new login and e-mail address."))


@router.post("/sign-in/with-provider")
async def start_with_provider(page: Anonymous) -> Response:
    """Send the browser to the identity provider of the company."""
    company, back = page.form["company"], _safe(page.form["next"])
    redirect_uri = page.wiring.settings.console_url + CALLBACK
    try:
        started = await ask_users(page, "/v1/sign-in/identity-provider", {"tenant": company, "redirect_uri": redirect_uri})
    except Refusal as refusal:
        if refusal.problem.status in (404, 422):
            page.form.errors["company"] = page.gettext(
                "No company with this name signs in with an identity provider. Check the name, or sign in by e-mail."
            )
            return _show(page, 422, company=company, next=back, form=page.form)
        return _show(page, 409, refusal.problem, company=company, next=back)
    except Unavailable:
        return _show(page, 503, company=company, next=back, service_down=True)
    sealed = page.wiring.seals.seal({"flow": started["flow"], "next": back}, FLOW)
    assert sealed is not None, "a flow is short"
    page.set_cookie(cookies.FLOW, sealed)
    # Not a redirect: `form-action 'self'` forbids a form to lead to another site.
    return page.render("go_on.html", url=started["authorization_url"])


@router.get(CALLBACK)
async def complete_with_provider(
    page: Anonymous,
    state: Annotated[str, Query(max_length=500)] = "",
    code: Annotated[str, Query(max_length=4000)] = "",
    error: Annotated[str, Query(max_length=200)] = "",
    iss: Annotated[str, Query(max_length=500)] = "",
) -> Response:
    """Take what the identity provider sent back, and begin the session."""
    flow = page.wiring.seals.unseal(page.cookie(cookies.FLOW), FLOW) or {}
    if "test" in flow:  # of a new identity provider, by somebody who is signed in
        return page.redirect(back_to_test(str(flow["test"]), state, "" if error else code))
    if error or not code or not flow.get("flow"):
        kind = "sign-in-cancelled" if error == "access_denied" else "provider-refused"
        return _show(page, 409, Problem(kind, 409, ""), next=_safe(str(flow.get("next", "/"))))
    try:
        body = {"flow": flow["flow"], "state": state, "code": code} | ({"iss": iss} if iss else {})
        session = await ask_users(page, "/v1/sign-in/identity-provider/complete", body)
    except Refusal as refusal:
        return _show(page, 409, refusal.problem, next=_safe(str(flow.get("next", "/"))))
    except Unavailable:
        return _show(page, 503, next=_safe(str(flow.get("next", "/"))), service_down=True)
    return await _signed_in(page, session)


@router.post("/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session at users and in this browser; in this browser also while users is down.

    The token of the form names the session itself, so that it is checked without asking users who the reader is.
    """
    page = Page(request, request.app.state.wiring, None)
    secret = page.cookie(cookies.SESSION)
    if not page.is_sign_out(await parse_form(request), secret):
        raise Forged
    why = "signed-out"
    try:
        await page.wiring.sessions.end(secret)
    except (Unavailable, Refusal):
        why = "signed-out-here"
    for cookie in (cookies.SESSION, cookies.FORM, cookies.NOTICE):
        page.delete_cookie(cookie)
    return page.redirect(f"/sign-in?why={why}")
