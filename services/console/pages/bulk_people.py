"""Activate or deactivate the people who are selected in the list: what it would lead to, the change, and the way back."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages import added_licences
from services.console.pages.confirm import Question, ask
from services.console.pages.forms import whole_number
from services.console.pages.module_order import module_names
from services.console.pages.page import NotThere, Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.rendering import people_texts
from services.console.rest.problems import Problem, Refusal
from shared.schemas.rights import USERS_MANAGE

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/people/bulk", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(USERS_MANAGE))]
PEOPLE_MAX: Final = 100
OPPOSITE: Final = {"activate": "deactivate", "deactivate": "activate"}


async def change(page: Page, action: str, people: Sequence[Mapping[str, Any]], *, dry_run: bool = False) -> Any:
    """Change people, once for each form, or ask what it would lead to. `detail` says in the reader's language why a person was refused.
    Raises Refusal."""
    body, path = {"action": action, "people": list(people)}, "people/bulk-changes"
    if dry_run:
        found = await page.preview("POST", "users", path, body)
    else:
        found = await page.send("POST", "users", path, body, key=page.form.key or None)
    for each in found["people"]:
        if each["outcome"] == "refused":
            each["detail"] = page.why(Problem(each["reason"], 409, each["detail"]))
    return found


def _action(page: Page) -> str:
    """Return what the form asks for. Raises NotThere for a form that the console has not made."""
    if page.form["action"] not in OPPOSITE:
        raise NotThere
    return page.form["action"]


def _people(page: Page) -> list[dict[str, Any]]:
    """Return the people of the form: `user`, or `user revision`."""
    found = []
    for each in page.form.all("user")[:PEOPLE_MAX]:
        user, _, revision = each.partition(" ")
        known = whole_number(revision)
        found.append({"user": user} | ({"revision": known} if known is not None else {}))
    return found


async def unannounced(page: Page, action: str, people: Sequence[Mapping[str, Any]]) -> Any:
    """Return what an activation would lead to, if it would add licences by itself that its reader has not seen (M12), or seats cannot
    say. One that was done already adds none, so a form that is sent twice is answered like the first time. Raises Refusal."""
    if action != "activate":
        return None
    found = await change(page, action, people, dry_run=True)
    return None if page.form.knows_cost(found) else found


async def _preview(page: Page, action: str, found: Mapping[str, Any]) -> Response:
    modules = await page.get("invoicing", "/v1/modules", limit=LISTED_MAX)
    given = {each.partition(" ")[0]: each for each in page.form.all("user")}
    undo, names = bool(page.form["undo"]), module_names(modules)
    return page.render(
        "bulk_preview.html", action=action, found=found, names=names, texts=people_texts, undo=undo, given=given, form=page.form
    )


@router.post("")
async def show_preview(page: Managing) -> Response:
    """Show who would be changed, and what seats would decide. Nothing is changed yet."""
    action, people = _action(page), _people(page)
    if not people:
        return page.redirect(page.url("people"), page.gettext("Select people in the list first."), "warning")
    found = await change(page, action, people, dry_run=True)
    page.form.knows_cost(found)
    return await _preview(page, action, found)


@router.post("/apply")
async def apply(page: Managing) -> Response:
    """Change the people, and show what became of each. `undo`: it takes back an earlier change, so there is no way back from it."""
    action, people = _action(page), _people(page)
    try:
        if found := await unannounced(page, action, people):
            return await _preview(page, action, found)
        found = await change(page, action, people)
    except Refusal as refusal:
        return page.redirect(page.url("people"), page.why(refusal.problem), "bad")
    undo = bool(page.form["undo"])
    return page.render("bulk_result.html", action=action, opposite=OPPOSITE[action], found=found, texts=people_texts, undo=undo)


@router.post("/refused")
async def request_refused(page: Managing) -> Response:
    """Request the seats of all refused people again, in the order of their refusal; a job of users does it. What adds licences by itself is
    announced first (M12)."""
    back, path = page.url("people?state=refused"), "people/reactivate-refused"
    knows, effects = await added_licences.of_many(page, path, None, page.form)
    if not knows:
        button = page.gettext("Request the seats of all refused people again")
        return ask(page, Question(button, button, back, effects, seen={"effect": page.form.effect}, danger=False))
    try:
        asked = await page.send("POST", "users", path, key=page.form.key or None)
    except Refusal as refusal:
        return page.redirect(back, page.why(refusal.problem), "bad")
    if not asked["total"]:
        text = page.gettext("There are no refused people any more, so nothing was requested.")
        return page.redirect(back, text, "warning")
    text = page.ngettext(
        "The seats of %(num)s refused person are requested again.",
        "The seats of %(num)s refused people are requested again.",
        asked["total"],
    )
    return page.redirect(back, text)
