"""What about people has to be decided: conflicts, possible duplicates, changes that wait, and differences between the sources."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response

from services.console.pages.forms import whole_number
from services.console.pages.licences import names_of
from services.console.pages.module_order import module_names
from services.console.pages.page import Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.rendering import people_texts
from services.console.rendering.difference_texts import ADVICE, CONFLICTS, KINDS, SAYS
from services.console.rest.problems import Refusal
from shared.schemas.rights import USERS_MANAGE

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/people/checks", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(USERS_MANAGE))]
CONFLICTS_SHOWN: Final = 50
DIFFERENCES_SHOWN: Final = 25
COMPARING_SECONDS_MAX: Final = 12.0


@router.get("")
async def show_checks(page: Managing, cursor: Annotated[str, Query(max_length=500)] = "") -> Response:
    """Show all of them. Comparing thousands of people with seats takes a moment."""
    sees_all = page.reader.principal.departments is None
    conflicts, sources, held, differences, modules = await page.together(
        page.get("users", "people", status="conflict", limit=CONFLICTS_SHOWN),
        page.get("users", "sources", limit=LISTED_MAX) if sees_all else page.nothing(),
        page.get("users", "held-events", limit=LISTED_MAX) if sees_all else page.nothing(),
        page.get("users", "differences", cursor=cursor, limit=DIFFERENCES_SHOWN, seconds=COMPARING_SECONDS_MAX),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    found = conflicts.need()["items"]
    meant = [user for person in found for user in person["conflict"]["people"]]
    return page.render(
        "people_checks.html",
        conflicts=found,
        meant=await names_of(page, meant, CONFLICTS_SHOWN) if meant else {},
        duplicates=[each for each in sources.value["items"] if each["duplicates_held"]] if sources.ok else [],
        sources=sources,
        held=held,
        differences=differences,
        items=[_item(each, page) for each in differences.value["items"]] if differences.ok else [],
        names=module_names(modules),
        reasons=CONFLICTS,
        says=SAYS,
        texts=people_texts,
        cursor=cursor,
    )


def _item(each: Mapping[str, Any], page: Page) -> dict[str, Any]:
    """Return a person about whom something differs, with what each difference means in the reader's language."""
    shown = []
    for found in each["differences"]:
        kind, advice = KINDS.get(found["kind"], ""), ADVICE.get((found["kind"], found["reason"])) or ADVICE.get((found["kind"], ""), "")
        shown.append(
            {
                "title": page.gettext(kind) if kind else found["kind"],
                "advice": page.gettext(advice) if advice else "",
                "would_require": found["would_require"],
                "modules": found["modules"],
            }
        )
    return {**each, "differences": shown}


async def _send(page: Page, path: str, body: Mapping[str, Any], notice: str) -> Response:
    try:
        await page.send("POST", "users", path, body, key=page.form.key or None)
    except Refusal as refusal:
        return page.redirect(page.url("people/checks"), page.why(refusal.problem), "bad")
    return page.redirect(page.url("people/checks"), notice)


@router.post("/duplicates")
async def confirm_duplicates(page: Managing) -> Response:
    """Let the new people of a source take seats."""
    notice = page.gettext("The new people take their seats now.")
    return await _send(page, "possible-duplicates/confirm", {"source": page.form["source"]}, notice)


@router.post("/held")
async def decide_held(page: Managing) -> Response:
    """Apply the changes that wait, or discard them."""
    source = page.form["source"]
    if page.form["step"] == "discard":
        return await _send(page, "held-events/discard", {"source": source}, page.gettext("The changes were discarded. Nobody was changed."))
    body = {"source": source, "confirm": whole_number(page.form["confirm"]) or 0}
    return await _send(page, "held-events/confirm", body, page.gettext("The changes are being applied."))
