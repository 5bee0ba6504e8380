"""The test clock of a company: it is advanced by a day, by a week, to what falls due next, or to the renewal."""

from datetime import datetime, time, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response

from services.console.pages.page import NotThere, Page, needs
from services.console.pages.route import PageRoute
from services.console.rendering.formats import as_moment
from services.console.rest.problems import Refusal
from shared.schemas.base import format_instant
from shared.schemas.rights import SETTINGS_MANAGE

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/settings/clock", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(SETTINGS_MANAGE))]
BY: Final = {"day": timedelta(days=1), "week": timedelta(days=7)}


@router.get("")
async def show_clock(page: Managing) -> Response:
    """Show the time, how it can be advanced, and whether it is being advanced."""
    return await _shown(page)


async def _shown(page: Page, status: int = 200, refused: Refusal | None = None) -> Response:
    if page.reader.clock != "test":
        raise NotThere
    clock, due, subscription = await page.together(
        page.get("users", "clock"), page.get("users", "clock/next-due"), page.get("invoicing", "subscription")
    )
    return page.render(
        "settings_clock.html",
        status,
        clock=clock.need(),
        due=due,
        renewal=_renewal(page, subscription.value["period"]["end"]) if subscription.ok else None,
        problem=refused.problem if refused else None,
        is_wrong=status == 422,
    )


def _renewal(page: Page, day: str) -> str | None:
    """Return when the next period begins: at midnight of the tenant. None if that has passed, as for a subscription that has ended."""
    begin = datetime.combine(datetime.fromisoformat(day).date(), time(), page.formats.zone)
    return format_instant(begin) if begin > page.now else None


@router.post("")
async def advance(page: Managing) -> Response:
    """Advance the clock. The page then shows when it is ready."""
    try:
        to = page.now + BY[page.form["by"]] if page.form["by"] in BY else as_moment(page.form["to"])
        await page.send("POST", "users", "clock", {"to": format_instant(to)}, key=page.form.key or None)
    except (ValueError, OverflowError):
        return await _shown(page, 422)
    except Refusal as refusal:
        return await _shown(page, 409, refusal)
    return page.redirect(page.url("settings/clock"))
