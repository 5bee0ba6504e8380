"""Licences: what is bought and used of each module, what needs attention, and how it went and goes on (T1, T3, E6, M3, M7, M13)."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from services.console.pages import cookies
from services.console.pages.licence_refusals import refused_order, refused_reduction
from services.console.pages.licence_rows import attention_of, buying_of, rows_of, sections_of
from services.console.pages.module_order import module_names
from services.console.pages.page import COMPUTED_SECONDS_MAX, Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.route import PageRoute
from services.console.rendering.charts import Point, charts
from services.console.rendering.formats import as_moment
from services.console.rest.live import COUNTS, EVENTS, digest_of
from services.console.rest.problems import RestError
from services.console.rest.services import Part, url_part
from shared.schemas.base import ID_PATTERN, format_instant
from shared.schemas.rights import ACCOUNT_READ, LOG_READ, USERS_READ

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/licences", include_in_schema=False)

Reading = Annotated[Page, Depends(needs(ACCOUNT_READ))]
Chosen = Annotated[str, Query(max_length=100)]
HISTORY_DAYS: Final = 90
CHANGES_SHOWN: Final = 8
NAMED_MAX: Final = 8
_ID: Final = re.compile(ID_PATTERN.strip("^$"))
NEWS: Final = timedelta(minutes=10)  # so long the page of an order or a reduction says how it went
CHANGES: Final = (  # of the numbers, as the action log names them
    "licences_added", "licences_reduced", "reduction_scheduled", "pool_expanded", "pool_reduced", "pool_restored", "pool_opened",
    "pool_close_scheduled", "pool_closed", "period_started",
)  # fmt: skip


@router.get("")
async def show_licences(page: Reading, module: Chosen = "", order: Chosen = "", reduction: Chosen = "", whole: Chosen = "") -> Response:
    """Show the numbers. The chart and the last changes follow, because they take longer; without scripts, links ask for the whole page."""
    numbers = await _numbers(page, order, reduction)
    if numbers["licences"].missing:
        return page.render("licences_none.html")
    licences = numbers["licences"].need()
    if whole != "yes":
        return page.render("licences.html", **numbers, whole=False, chosen=_chosen(licences, module))
    use, changes = await asyncio.gather(_use(page, licences, module), _changes(page))
    return page.render("licences.html", **numbers, **use, whole=True, changes=changes)


@router.get("/numbers")
async def show_numbers(page: Reading, order: Chosen = "", reduction: Chosen = "") -> Response:
    """Show the numbers alone, after they have changed."""
    numbers = await _numbers(page, order, reduction)
    numbers["licences"].need()
    return page.render("licences_numbers.html", **numbers)


@router.get("/changes")
async def show_changes(page: Reading) -> Response:
    """Show the last changes alone, after a number has changed. The action log follows the decision a moment later."""
    return page.render("licences_changes.html", changes=await _changes(page))


@router.get("/use")
async def show_use(page: Reading, module: Chosen = "") -> Response:
    """Show the chart of a module with its forecast."""
    licences = await page.get("invoicing", "licences")
    return page.render("licences_use.html", licences=licences, **await _use(page, licences.need(), module))


@router.get("/live")
async def stream_changes(tenant: str, page: Reading, seen: Chosen = "") -> Response:
    """Tell the page that its numbers have changed."""
    wiring = page.wiring
    if wiring.live.is_full:
        return Response(status_code=204)  # the browser does not connect again; a reload shows the numbers
    secret, opened = page.cookie(cookies.SESSION), page.reader.opened

    async def token() -> str | None:
        try:
            reader = wiring.sessions.opened(secret, tenant) if opened else await wiring.sessions.reader(secret)
        except RestError:
            return None
        return reader.token if reader is not None else None

    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(wiring.live.events(tenant, token, seen), media_type=EVENTS, headers=headers)


async def _numbers(page: Page, order: str, reduction: str) -> dict[str, Any]:
    """Return what the upper part of the page shows. All services are asked at the same time."""
    licences, counts, emails, ordered, reduced = await page.together(
        page.get("invoicing", "licences", forecast="true"),
        page.get("users", COUNTS),
        page.get("notifier", "emails/undelivered") if page.may(LOG_READ) else page.nothing(),
        page.get("invoicing", f"orders/{url_part(order)}") if order else page.nothing(),
        page.get("invoicing", f"reductions/{url_part(reduction)}") if reduction else page.nothing(),
    )
    order, ordered = (order, ordered) if _is_news(ordered, page) else ("", page.no_part())
    reduction, reduced = (reduction, reduced) if _is_news(reduced, page) else ("", page.no_part())
    shown: dict[str, Any] = {
        "licences": licences,
        "counts": counts,
        "order": ordered,
        "reduction": reduced,
        "refused": "",
        "emails": emails,
        "query": "&".join(f"{name}={url_part(value)}" for name, value in (("order", order), ("reduction", reduction)) if value),
    }
    if ordered.ok and ordered.value["status"] == "refused":
        shown["refused"] = refused_order(ordered.value, page)
    elif reduced.ok and reduced.value["status"] == "refused":
        shown["refused"] = refused_reduction(reduced.value, page)
    if licences.ok:
        rows = rows_of(licences.value, counts)
        buying = buying_of(licences.value, page)
        shown["seen"] = digest_of(licences.value, counts.value)
        shown["sections"] = sections_of(rows, page)
        shown["buying"] = buying
        shown["attention"] = attention_of(rows, licences.value, emails, buying, page)
    return shown


def _is_news(result: Part, page: Page) -> bool:
    """Tell whether an order or a reduction in the address is still worth a message: a page that is loaded again later, or that was kept as
    a bookmark, shows no old result as if it had just happened."""
    decided_at = result.value["decided_at"] if result.ok else None
    return decided_at is None or page.now - as_moment(decided_at) < NEWS


def _chosen(licences: Mapping[str, Any], module: str) -> Mapping[str, Any] | None:
    """Return the module of the chart: the first one, if the address names none of them."""
    modules = licences["modules"]
    return next((each for each in modules if each["module"] == module), modules[0] if modules else None)


async def _use(page: Page, licences: Mapping[str, Any], module: str) -> dict[str, Any]:
    """Return the chart of a module: 90 days, and to the renewal after next or the end of the subscription."""
    chosen, renewals = _chosen(licences, module), _renewals(licences)
    history, forecast = await page.together(
        page.get("invoicing", "licences/history", days=HISTORY_DAYS), _forecast(page, renewals[-1]) if chosen else page.nothing()
    )
    picture = None
    if chosen is not None and history.ok:
        days: list[dict[str, Any]] = next((each["days"] for each in history.value["items"] if each["module"] == chosen["module"]), [])
        past = [Point(date.fromisoformat(day["day"]), day["bought"], day["highest_use"]) for day in days]
        picture = charts(past, _coming(page, chosen, past, renewals, forecast), renewals)
    again = max(history.again_seconds, forecast.again_seconds)
    return {"chosen": chosen, "picture": picture, "history": history, "forecast": forecast, "again": again}


def _renewals(licences: Mapping[str, Any]) -> list[date]:
    """Return the first days of the next two periods; of a subscription that ends, only the day after its last one."""
    return [date.fromisoformat(day) for day in (licences["period"]["end"], licences["following_renewal"]) if day is not None]


async def _forecast(page: Page, until: date) -> Part:
    """Ask seats what happens if no command comes. It needs the right to see people, without a viewset."""
    if not page.may(USERS_READ) or page.reader.principal.departments is not None:
        return page.no_part()
    at = datetime.combine(until + timedelta(days=1), time(), page.formats.zone)
    return await page.get("seats", "forecast", at=format_instant(at), seconds=COMPUTED_SECONDS_MAX)


def _coming(page: Page, chosen: Mapping[str, Any], past: Sequence[Point], renewals: Sequence[date], forecast: Part) -> list[Point]:
    """Return the days on which a number will change, from today to the renewal after next."""
    today = page.formats.today
    now = Point(today, chosen["bought"], chosen["in_use"] if forecast.ok else None)
    found = {past[-1].day if past else today: now}
    if forecast.ok:
        for event in forecast.value["events"]:
            for pool in event["data"].get("pools", ()):
                if pool["module"] == chosen["module"]:
                    day = max(today, page.formats.local(as_moment(event["data"]["at"])).date())
                    found[day] = Point(day, pool["licences"], pool["active"] + pool["flagged"] + pool["held"])
    elif renewals[0] >= today:
        found[renewals[0]] = Point(renewals[0], chosen["next_period"], None)
    last = found[max(found)]
    found.setdefault(renewals[-1], Point(renewals[-1], last.licences, last.use))
    return [found[day] for day in sorted(found)]


async def _changes(page: Page) -> dict[str, Any] | None:
    """Return the last changes of the numbers, with who made them (M13); None for a reader without the log."""
    if not page.may(LOG_READ):
        return None
    part, modules = await page.together(
        page.get("notifier", "actions", type=CHANGES, limit=CHANGES_SHOWN), page.get("invoicing", "/v1/modules", limit=LISTED_MAX)
    )
    actors = [each["actor"]["id"] for each in part.value["items"] if each["actor"]["kind"] == "user"] if part.ok else []
    return {"part": part, "names": await names_of(page, actors), "modules": module_names(modules)}


async def names_of(page: Page, users: Sequence[str], most: int = NAMED_MAX) -> dict[str, str]:
    """Return the names of people whom this reader sees, by their ids. People without any, such as those who were erased, are left out."""
    found = await people_of(page, users, most)
    names = {user: each["name"] or each["login"] or each["email"] for user, each in found.items()}
    return {user: name for user, name in names.items() if name}


async def people_of(page: Page, users: Sequence[str], most: int = NAMED_MAX) -> dict[str, Mapping[str, Any]]:
    """Return the people whom this reader sees, by their ids. Texts that nobody can have as an id are left out."""
    wanted = [user for user in dict.fromkeys(users) if _ID.fullmatch(user)][:most] if page.may(USERS_READ) else []
    if not wanted:
        return {}
    part = await page.get("users", "people", user=wanted, status="all", limit=len(wanted))
    return {each["user"]: each for each in part.value["items"]} if part.ok else {}
