"""Sign in by a link that is sent by e-mail. These routes need no token: the link is what they check."""

from fastapi import APIRouter, Request, Response

from services.users.api.dependencies import InContext
from services.users.api.sign_in_requests import LinkChoice, LinkRequest, LinkUse
from services.users.api.sign_in_responses import ChoiceView, LinkRequested, LinkUsed, NewSessionView
from services.users.store.operators import VENDOR
from services.users.use_cases import sign_in_links
from services.users.use_cases.sessions import NewSession
from services.users.use_cases.sign_in_links import Used
from shared.fields import common_fields
from shared.web import answer, refusals
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/sign-in/links", tags=["sign-in"])

REQUESTED = (
    "If a person with this e-mail address may sign in by link, an e-mail with a link is on its way. The link is valid for "
    f"{sign_in_links.LINK_MINUTES} minutes and can be used once."
)


@router.post("", status_code=202, response_model=LinkRequested, responses=refusals(429), summary="Request a sign-in link by e-mail")
async def request_link(body: LinkRequest, request: Request, context: InContext) -> Response:
    """The answer is the same for every address."""
    now = context.clock.now()
    context.sign_in.limits.link(request, body.email, now)
    async with context.database.unit_of_work(None) as uow:
        await sign_in_links.request(uow, body.email, now)
    context.alarm.wake()
    return answer(LinkRequested(detail=REQUESTED), 202)


@router.post("/use", response_model=LinkUsed, responses=refusals(409, 429), summary="Let a person use a sign-in link")
async def use_link(body: LinkUse, request: Request, context: InContext) -> Response:
    """The link can be used once. Send this request only when the person presses a button: programs that check e-mails open links."""
    now = context.clock.now()
    context.sign_in.limits.attempt(request, now)
    async with context.database.unit_of_work(None) as uow:
        used = await sign_in_links.use(uow, body.secret, now)
    return answer(used_view(used))


@router.post(
    "/choose", status_code=201, response_model=NewSessionView, responses=refusals(403, 409, 429), summary="Start a session with a ticket"
)
async def choose(body: LinkChoice, request: Request, context: InContext) -> Response:
    now = context.clock.now()
    context.sign_in.limits.attempt(request, now)
    async with context.database.unit_of_work(None) as uow:
        session = await sign_in_links.choose(uow, body.ticket, body.tenant or VENDOR, body.user, now)
    return answer(new_session_view(session), 201)


def _tenant_of(tenant: str) -> str | None:
    """Return the tenant; None for the vendor, which is none."""
    return None if tenant == VENDOR else tenant


def used_view(used: Used) -> LinkUsed:
    choices = [
        ChoiceView(**common_fields(choice, type(choice), ChoiceView) | {"tenant": _tenant_of(choice.tenant)}) for choice in used.choices
    ]
    return LinkUsed(ticket=used.ticket, expires_at=used.expires_at, choices=choices)


def new_session_view(session: NewSession) -> NewSessionView:
    row = session.row
    return NewSessionView(
        session_id=row.session_id,
        tenant=_tenant_of(row.tenant_id),
        user=row.user_id,
        method=row.method,
        created_at=row.created_at,
        expires_at=row.expires_at,
        secret=session.secret,
    )
