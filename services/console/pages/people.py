"""People: who has which modules, who loses access and when, and how many more can be added (M5, E7, E9)."""

import csv
import io
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from services.console.pages.filters import Filters
from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import Page, needs
from services.console.pages.route import PageRoute
from services.console.rendering import people_texts
from shared.schemas.rights import USERS_READ
from shared.spreadsheets import cell

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/people", include_in_schema=False)

Reading = Annotated[Page, Depends(needs(USERS_READ))]
Chosen = Annotated[str, Query(max_length=500)]
SHOWN: Final = 50
EXPORTED_AT_ONCE: Final = 200
LISTED_MAX: Final = 200  # profiles and departments to choose from
SORTS: Final = ("name", "-name", "department", "-department", "created_at", "-created_at")
CSV_COLUMNS: Final = ("user", "external_id", "name", "login", "email", "job_title", "department", "profile", "kind", "status", "created_at")


@dataclass(frozen=True, slots=True)
class Wanted(Filters):
    """The filters and the order of the list, as in its address."""

    text: str = ""
    status: str = ""
    module: str = ""
    state: str = ""
    profile: str = ""
    department: str = ""
    sort: str = ""

    def query(self) -> dict[str, Any]:
        """Return the parameters of REST."""
        given = {name: getattr(self, name) for name in ("module", "profile", "department")}
        status = self.status if self.status in (*people_texts.STATUSES, "all") else ""
        state = self.state if self.state in people_texts.STATES else ""
        sort = self.sort if self.sort in SORTS else "name"
        return given | {"text": self.text[:100], "status": status, "seat_state": state, "sort": sort}


async def wanted(
    text: Chosen = "",
    status: Chosen = "",
    module: Chosen = "",
    state: Chosen = "",
    profile: Chosen = "",
    department: Chosen = "",
    sort: Chosen = "",
) -> Wanted:
    """Return the filters of the address."""
    return Wanted(text.strip(), status, module, state, profile, department, sort)


InWanted = Annotated[Wanted, Depends(wanted)]
Cursor = Annotated[str, Query(max_length=2000)]


@router.get("")
async def show_people(page: Reading, chosen: InWanted, cursor: Cursor = "") -> Response:
    """Show a page of the list."""
    people, profiles, mapping, modules = await page.together(
        page.get("users", "people", **chosen.query(), cursor=cursor, limit=SHOWN),
        page.get("users", "profiles", limit=LISTED_MAX),
        page.get("users", "department-mapping"),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    listed = people.need()
    items = [person | {"modules": in_order(person["modules"], modules)} for person in listed["items"]]
    return page.render(
        "people.html",
        people=listed | {"items": items, "pools": in_order(listed["pools"], modules)},
        names=module_names(modules),
        profiles=profiles,
        departments=sorted(mapping.value, key=str.casefold)[:LISTED_MAX] if mapping.ok else [],
        chosen=chosen,
        cursor=cursor,
        texts=people_texts,
    )


@router.get("/export.csv")
async def export_people(page: Reading, chosen: InWanted) -> Response:
    """Return the filtered list as CSV, a page of REST at a time."""
    first = (await page.get("users", "people", **chosen.query(), limit=EXPORTED_AT_ONCE)).need()

    async def lines() -> AsyncIterator[str]:
        yield "\ufeff" + _csv_line([*CSV_COLUMNS, "modules", "deadline"])
        found = first
        while True:
            yield "".join(_csv_line(_values(each)) for each in found["items"])
            if found["next"] is None:
                return
            await page.renew()  # the list may take longer than a token is valid
            query = chosen.query() | {"cursor": found["next"], "limit": EXPORTED_AT_ONCE}
            found = (await page.get("users", "people", **query)).need()

    headers = {"content-disposition": f'attachment; filename="people-{page.formats.today.isoformat()}.csv"'}
    return StreamingResponse(lines(), media_type="text/csv; charset=utf-8", headers=headers)


def _values(person: Mapping[str, Any]) -> list[str]:
    modules = "; ".join(f"{each['module']}: {each['state']}" for each in person["modules"])
    return [*(str(person[name] or "") for name in CSV_COLUMNS), modules, nearest_deadline(person) or ""]


def nearest_deadline(person: Mapping[str, Any]) -> str | None:
    """Return when the first flagged seat of the person is revoked."""
    return min((each["deadline"] for each in person["modules"] if each["state"] == "flagged" and each["deadline"]), default=None)


def _csv_line(values: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow([cell(each) for each in values])
    return line.getvalue()
