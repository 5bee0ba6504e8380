"""The page that a sign-in link opens: plain HTML, without scripts. The console replaces it with a page of its own.

Opening the page changes nothing and looks nothing up, so programs that check e-mails can open it as often as they like. Only the button,
which sends a POST, uses the link.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.users.api.dependencies import Context, InContext
from services.users.api.forms import check_form, parse_form
from services.users.api.sign_in_requests import LinkChoiceForm, LinkUse, SignInConfirmationForm
from services.users.domain.person import Cause
from services.users.domain.roles import Authority
from services.users.store import people as people_store
from services.users.use_cases import confirm_sign_in, sessions, sign_in_links
from services.users.use_cases.sessions import SESSION_HOURS, NewSession
from services.users.use_cases.sign_in_links import Choice
from shared.errors import Refused, Transient
from shared.schemas.base import Actor
from shared.web.auth import PERSON
from shared.web.problems import status_of
from shared.web.route import FormRoute

router = APIRouter(route_class=FormRoute, prefix="/sign-in", include_in_schema=False)

COOKIE: Final = "seatpool_session"
STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}"
    "button{font:inherit;padding:.6rem 1.2rem;margin:.3rem 0;cursor:pointer}small{color:#555}"
)
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
}
_TEMPLATES: Final = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "sign_in" / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
UNAVAILABLE: Final = "The service is temporarily unavailable. Please open the link again in a minute."


def _page(name: str, status: int = 200, **values: Any) -> Response:
    content = _TEMPLATES.get_template(f"{name}.html.j2").render(style=STYLE, **values)
    return Response(content, status, headers=dict(HEADERS), media_type="text/html; charset=utf-8")


@router.get("/link")
async def show_button(secret: Annotated[str, Query(max_length=200)] = "") -> Response:
    """Show the button that uses the link."""
    return _page("link", secret=secret)


@router.post("/link")
async def use_link(request: Request, context: InContext) -> Response:
    """Use the link. If there is only one person to sign in as, sign in at once."""
    try:
        form = check_form(parse_form(await request.body()), LinkUse)
        now = context.clock.now()
        context.sign_in.limits.attempt(request, now)
        async with context.database.unit_of_work(None) as uow:
            used = await sign_in_links.use(uow, form.secret, now)
        if len(used.choices) == 1:
            return await _sign_in(context, used.ticket, used.choices[0].tenant, used.choices[0].user)
        return _page("choices", ticket=used.ticket, choices=used.choices, value_of=_value_of)
    except (Refused, Transient) as error:
        return _refusal(error)


@router.post("/choice")
async def choose(request: Request, context: InContext) -> Response:
    try:
        form = check_form(parse_form(await request.body()), LinkChoiceForm)
        context.sign_in.limits.attempt(request, context.clock.now())
        tenant, _, user = form.choice.partition(" ")
        return await _sign_in(context, form.ticket, tenant, user)
    except (Refused, Transient) as error:
        return _refusal(error)


@router.post("/confirm")
async def confirm(request: Request, context: InContext) -> Response:
    """Confirm the changed login and e-mail address of the person of the session in the cookie, which browsers send from this site only."""
    now = context.clock.now()
    try:
        form = check_form(parse_form(await request.body()), SignInConfirmationForm)
        context.sign_in.limits.attempt(request, now)
        async with context.database.unit_of_work(None) as uow:
            session, _ = await sessions.rights(uow, request.cookies.get(COOKIE, ""), now)
            tenant = await context.tenants.for_write(session.tenant_id, uow)
            before = await people_store.lock(uow.connection, session.tenant_id, session.user_id, tenant.today)
            assert before is not None, "somebody who has a session"
            cause = Cause(Actor(kind=PERSON, id=before.user), authority=Authority(frozenset(), None, before.user))
            await confirm_sign_in.confirm(tenant, uow, before, form.login, form.email, cause)
    except (Refused, Transient) as error:
        return _refusal(error)
    return _page("signed_in", hours=SESSION_HOURS, record=None, confirmed=True)


def _value_of(choice: Choice) -> str:
    return f"{choice.tenant} {choice.user}"  # ids hold no spaces


async def _sign_in(context: Context, ticket: str, tenant: str, user: str) -> Response:
    async with context.database.unit_of_work(None) as uow:
        session = await sign_in_links.choose(uow, ticket, tenant, user, context.clock.now())
        await uow.scope(tenant)
        person = await people_store.get(uow.connection, tenant, user, None)
    record = person.record if person is not None and person.is_unconfirmed else None
    response = _page("signed_in", hours=SESSION_HOURS, record=record, confirmed=False)
    _set_cookie(response, session, is_secure=urlsplit(context.sign_in.link_page_url).scheme == "https")
    return response


def _set_cookie(response: Response, session: NewSession, *, is_secure: bool) -> None:
    response.set_cookie(COOKIE, session.secret, max_age=SESSION_HOURS * 3600, secure=is_secure, httponly=True, samesite="lax")


def _refusal(error: Refused | Transient) -> Response:
    if isinstance(error, Transient):
        return _page("refused", 503, detail=UNAVAILABLE)
    return _page("refused", status_of(error), detail=error.detail)
