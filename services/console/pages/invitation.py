"""The page to which the link of an invitation leads: who invites to what, and the button that accepts (A6).

Opening the page changes nothing, because programs that check e-mails open links too.
"""

from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from services.console.pages.page import Page
from services.console.pages.route import PageRoute
from services.console.pages.sign_in import Anonymous, ask_users
from services.console.rendering import people_texts
from services.console.rendering.formats import Formats
from services.console.rest.problems import Problem, Refusal

router = APIRouter(route_class=PageRoute, prefix="/invitation", include_in_schema=False)

TOKEN_MAX: Final = 200
PENDING_SECONDS: Final = 2
_UNKNOWN: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY)


@router.get("")
async def show_invitation(page: Anonymous, token: Annotated[str, Query(max_length=TOKEN_MAX)] = "") -> Response:
    """Show the invitation, or what became of it."""
    return await _show(page, token)


async def _show(page: Page, token: str, problem: Problem | None = None) -> Response:
    found: dict[str, Any] | None = None
    try:
        if token:
            found = await ask_users(page, "/v1/invitations/show", {"token": token})
    except Refusal as refusal:
        if refusal.problem.status not in _UNKNOWN:
            problem = refusal.problem
    if found is None:
        return page.render(
            "invitation.html", problem.status if problem else HTTPStatus.NOT_FOUND, found=None, problem=problem, test_time=""
        )
    states = {each["state"] for each in found["modules"]}
    formats = Formats(page.formats.locale, found["time_zone"], page.now)
    response = page.render(
        "invitation.html",
        problem.status if problem else HTTPStatus.OK,
        found=found,
        problem=problem,
        token=token,
        until=formats.moment(found["expires_at"]) if found["expires_at"] else "",
        test_time=formats.moment(found["test_time"]) if found["test_time"] else "",
        refused=bool(states & {"refused", "revoked", "withdrawn"}),
        states=states,
        texts=people_texts,
    )
    if found["state"] == "accepted" and found["pending"]:
        response.headers["refresh"] = str(PENDING_SECONDS)
    return response


@router.post("")
async def accept(page: Anonymous) -> Response:
    """Accept the invitation, and show what the person gets. A link that is no longer valid is shown as what it is."""
    token = page.form["token"][:TOKEN_MAX]
    try:
        if token:
            await ask_users(page, "/v1/invitations/accept", {"token": token})
    except Refusal as refusal:
        if refusal.problem.status not in _UNKNOWN:
            return await _show(page, token, refusal.problem)
    return page.redirect(f"/invitation?token={quote(token, safe='')}")
