"""Import people from a CSV file: what the file says, what it would change, and the change."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Response

from services.console.pages.added_licences import given_back, of_modules
from services.console.pages.forms import Form, mark_of, whole_number
from services.console.pages.module_order import in_order, module_names
from services.console.pages.page import NotAllowed, Page, needs
from services.console.pages.people import LISTED_MAX
from services.console.pages.person import written
from services.console.pages.route import PageRoute, with_file
from services.console.rendering import people_texts
from services.console.rendering.field_texts import expected_text, label_of
from services.console.rendering.file_texts import file_text, read_text, row_text
from services.console.rest.problems import Refusal
from services.console.rest.services import Part, url_part
from shared.hr_files.columns import FilesUnusable, read_column_map, read_kinds
from shared.hr_files.company import FIELDS, Company, Dialect, read_company
from shared.hr_files.dates import DateOrder, EndDates
from shared.hr_files.reports import in_parts
from shared.hr_files.tables import ENCODINGS, check_encoding
from shared.schemas.rights import USERS_MANAGE
from shared.text import CONTROL

router = APIRouter(route_class=PageRoute, prefix="/tenants/{tenant}/people/import", include_in_schema=False)

Managing = Annotated[Page, Depends(needs(USERS_MANAGE))]
CHECK_SECONDS_MAX: Final = 120.0
CHANGES_SHOWN: Final = 100
BAD_ROWS_SHOWN: Final = 100
FILE_NAME_BYTES_MAX: Final = 200
DECLARED: Final = ("source", "encoding", "dates", "end_dates", "columns", "kinds", "complete", "absent")  # the fields without the file


def _check_reader(page: Page) -> None:
    """Raise NotAllowed for a reader with a viewset: an import is about all departments."""
    if page.reader.principal.departments is not None:
        raise NotAllowed


@router.get("")
async def ask_file(page: Managing) -> Response:
    """Ask for the file, and how to read it. The address may have the answers of an earlier time: a report leads back with its own."""
    _check_reader(page)
    known = {name: value for name, value in page.request.query_params.items() if name in DECLARED}
    return await _show(page, Form.of(**{"dates": DateOrder.ISO, "end_dates": EndDates.INCLUSIVE, "absent": "list"} | known))


async def _show(page: Page, form: Form, status: int = 200, *, running: str = "") -> Response:
    """`running`: the import of this source that is not finished, and of which somebody has to decide first."""
    sources = await page.get("users", "sources", limit=LISTED_MAX)
    known = [each["source"] for each in sources.value["items"] if each["kind"] == "hr"] if sources.ok else []
    if known and "source" not in form:
        form = Form.of(**{name: form[name] for name in DECLARED if name in form}, source=known[0])
    encodings = [("", page.gettext("find out")), *((each, each) for each in ENCODINGS)]
    return page.render("import.html", status, form=form, running=running, sources=known, encodings=encodings, fields=FIELDS)


@router.post("")
@with_file
async def check_file(page: Managing) -> Response:
    """Read the file, and show what it would change. Nobody is changed yet."""
    _check_reader(page)
    form = page.form
    source = form.text("source", page.gettext("Enter the name of the source, for example hr/acme."), most=300)
    company = await _read(page)
    if company is None or not form.ok:
        return await _show(page, form, 422)
    wants_leaving = form["absent"] == "leave"
    body = {"source": source, "complete": bool(form["complete"]), "absent": "leave" if wants_leaving and company.is_readable else "list"}
    try:
        begun = await page.send("POST", "users", "imports", body, key=form.key or None)
        path = f"imports/{url_part(begun['import'])}"
        for first, part in in_parts(company.people):
            await page.send("PUT", "users", f"{path}/people/{first}", {"people": part}, seconds=CHECK_SECONDS_MAX)
        await page.send("POST", "users", f"{path}/check", seconds=CHECK_SECONDS_MAX)
    except Refusal as refusal:
        form.refuse(refusal.problem)
        return await _show(page, form, 422, running=str(refusal.problem.extra.get("running") or ""))
    return await _report(page, begun["import"], company, keeps_absent=wants_leaving and not company.is_readable)


async def _read(page: Page) -> Company | None:
    """Return what the file says; None, with an error beside the field, for a file that cannot be read as a whole."""
    form = page.form
    upload = form.files.get("file")
    if upload is None:
        form.errors["file"] = page.gettext("Choose a CSV file.")
        return None
    content = await upload.read()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _file_name(upload.filename or "")
        try:
            dialect = Dialect(
                encoding=check_encoding(form["encoding"] or None),
                columns=read_column_map(form["columns"], FIELDS, takes_file=False),
                dates=DateOrder(form["dates"]) if form["dates"] in [*DateOrder] else DateOrder.ISO,
                kinds=read_kinds(form["kinds"], takes_file=False),
                end_dates=EndDates(form["end_dates"]) if form["end_dates"] in [*EndDates] else EndDates.INCLUSIVE,
            )
            path.write_bytes(content)
            return await asyncio.to_thread(read_company, path, dialect)
        except FilesUnusable as error:
            _explain(page, str(error))
            return None


def _file_name(sent: str) -> str:
    """Return the name of a file as every file system can hold it: a browser sends any characters, and more of them."""
    name = Path(CONTROL.sub("", sent)).name.encode(errors="replace")[:FILE_NAME_BYTES_MAX].decode(errors="ignore")
    return name if name.strip(". ") else "people.csv"


def _explain(page: Page, text: str) -> None:
    """Show why the file cannot be read, beside the field that it concerns."""
    field = next((name for name in ("columns", "kinds", "encoding") if text.startswith(f"--{name}")), "file")
    page.form.errors[field] = file_text(text, page.gettext)


async def _report(
    page: Page, import_id: str, company: Company | None = None, *, keeps_absent: bool = False, not_checked: str = ""
) -> Response:
    """`not_checked`: why the report may be of an earlier time."""
    path = f"imports/{url_part(import_id)}"
    found, changes, profiles, modules = await page.together(
        page.get("users", path),
        page.get("users", f"{path}/changes", limit=CHANGES_SHOWN),
        page.get("users", "profiles", limit=LISTED_MAX),
        page.get("invoicing", "/v1/modules", limit=LISTED_MAX),
    )
    report = found.need()["report"]
    decided = {each["external_id"]: each for each in report["seats"]["people"]} if report else {}
    named = {each["profile"]: each["name"] for each in profiles.value["items"]} if profiles.ok else {}
    states = Counter((each["module"], each["state"]) for person in decided.values() for each in person["modules"])
    return page.render(
        "import_report.html",
        found=found.value,
        required=in_order(report["modules"], modules) if report else [],
        outcomes=in_order([{"module": module, "state": state, "people": people} for (module, state), people in states.items()], modules),
        seen=_mark(report),
        not_checked=not_checked,
        changes=[_change(each, decided.get(each["external_id"]), modules, named, page) for each in changes.value["items"]]
        if changes.ok
        else [],
        to_decide=changes.ok and any(each["match"] and each["match"]["outcome"] == "conflict" for each in changes.value["items"]),
        more_changes=bool(changes.ok and changes.value["next"]),
        company=company,
        again=page.url(f"people/import?{urlencode(_declared(page, found.need()['source'], is_new=company is not None))}"),
        files=[read_text(each, page.gettext) for each in company.files] if company else [],
        bad_rows=[replace(row, reason=row_text(row.reason, page.gettext)) for row in company.bad_rows[:BAD_ROWS_SHOWN]] if company else [],
        keeps_absent=keeps_absent,
        beside_leavers=_beside_leavers(page, report["seats"], modules) if report else [],
        names=module_names(modules),
        texts=people_texts,
    )


def _beside_leavers(page: Page, seats: Mapping[str, Any], modules: Part) -> list[str]:
    """Return, if leavers give licences back, how many of each module, and how many are added: these can be the same ones."""
    return [*of_modules(page, seats["expansions"], modules), *given_back(page, seats, modules)] if seats["reductions"] else []


def _mark(report: Mapping[str, Any] | None) -> str:
    """Return a mark of what a report promises. Deadlines are left out: each check counts them from its own time."""
    if report is None:
        return ""
    decided = [(each["external_id"], each["status"]) for each in report["seats"]["people"]]
    added = [*report["seats"]["expansions"], *report["seats"]["reductions"]]  # licences that the company is charged for, or not any more
    return mark_of({name: report[name] for name in ("counts", "modules", "without_profile")} | {"decided": decided, "added": added})


def _declared(page: Page, source: str, *, is_new: bool) -> dict[str, str]:
    """Return what the form of an import declared, for its next turn. Of a report that is only looked at again, the source is known."""
    given = {name: page.form[name] for name in DECLARED} if is_new else {"source": source}
    return {name: value for name, value in given.items() if value}


def _change(
    each: Mapping[str, Any], decided: Mapping[str, Any] | None, modules: Part, profiles: Mapping[str, str], page: Page
) -> dict[str, Any]:
    """Return the change of one person with the values that differ, now and on later days, those that were planned and are no longer, and
    those that are not accepted. `decided`: what seats would decide about the person, and the status that follows. `profiles`: their names
    by their ids."""

    def shown(name: str, value: Any) -> str:
        return _shown(name, profiles.get(value, value) if name == "profile" else value, page)

    before, after = each["before"] or {}, (each["after"] or {}) | ({"status": decided["status"]} if decided else {})
    fields = [
        (name, shown(name, before.get(name)), shown(name, after.get(name)))
        for name in people_texts.FIELDS
        if before.get(name) != after.get(name) and (before or after.get(name) not in (None, ""))
    ]
    was, planned = _planned(before), _planned(after)
    stated = {key: value for key, value in planned.items() if before or value not in (None, "")}
    later = [(day, name, shown(name, value), True) for (day, name), value in stated.items()] if planned != was else []
    later += [(day, name, shown(name, value), False) for (day, name), value in was.items() if (day, name) not in planned]
    errors = [(label_of(error["field"], page.gettext), expected_text(error["expected"], page.gettext)) for error in each["errors"]]
    later_name = next((value for (_, name), value in planned.items() if name == "name"), None)
    seats = in_order(decided["modules"], modules) if decided else []
    name = after.get("name") or before.get("name") or later_name
    return {**each, "name": name, "fields": fields, "later": later, "errors": errors, "seats": seats}


def _planned(values: Mapping[str, Any]) -> dict[tuple[date, str], Any]:
    """Return the values that change on later days, by the day and the name of each."""
    days = [(date.fromisoformat(each["on"]), each) for each in values.get("upcoming", [])]
    return {(day, name): value for day, each in days for name, value in each.items() if name in people_texts.FIELDS}


def _shown(name: str, value: Any, page: Page) -> str:
    if name == "status" and value in people_texts.IMPORTED_STATUSES:
        return page.gettext(people_texts.IMPORTED_STATUSES[value].text)
    return "" if value is None or value == "" else written(name, value, page)


@router.get("/{import_id}")
async def show_import(page: Managing, import_id: str) -> Response:
    """Show the report and the progress. A report is made again: people, profiles and licences may have changed since the last one."""
    _check_reader(page)
    path, not_checked = f"imports/{url_part(import_id)}", ""
    if (await page.get("users", path)).need()["status"] == "checked":
        try:
            await page.send("POST", "users", f"{path}/check", seconds=CHECK_SECONDS_MAX)
        except Refusal as refusal:
            not_checked = page.why(refusal.problem)
    return await _report(page, import_id, not_checked=not_checked)


@router.post("/{import_id}/apply")
async def apply(page: Managing, import_id: str) -> Response:
    """Let a background job change the people, if that changes what the reader saw."""
    path, number = f"imports/{url_part(import_id)}", whole_number(page.form["confirm"])
    body = {"confirm": number} if number is not None else None
    here = page.url(f"people/import/{url_part(import_id)}")
    try:
        if page.form["seen"] and await _promises_something_else(page, path):
            return page.redirect(
                here,
                page.gettext("Something has changed since you looked, so the import would change something else now. Look at it again."),
                "warning",
            )
        await page.send("POST", "users", f"{path}/apply", body, seconds=CHECK_SECONDS_MAX)
    except Refusal as refusal:
        return page.redirect(here, page.why(refusal.problem), "bad")
    return page.redirect(here)


async def _promises_something_else(page: Page, path: str) -> bool:
    """Return whether an import that nobody has applied yet would change something else than the reader saw."""
    if (await page.get("users", path)).need()["status"] != "checked":
        return False
    return page.form["seen"] != _mark(await page.send("POST", "users", f"{path}/check", seconds=CHECK_SECONDS_MAX))


@router.post("/{import_id}/discard")
async def discard(page: Managing, import_id: str) -> Response:
    """Delete the import. Nobody is changed."""
    try:
        await page.send("DELETE", "users", f"imports/{url_part(import_id)}")
    except Refusal as refusal:
        return page.redirect(page.url("people/import"), page.why(refusal.problem), "bad")
    return page.redirect(page.url("people/import"), page.gettext("The import was deleted. Nobody was changed."))
