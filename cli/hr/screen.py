"""What `seatpool hr import` shows: progress, the rows that cannot be used, and what the import changes or would change."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.added_licences import show_licences
from cli.console import err, out
from shared.hr_files.company import BadRow, Company

if TYPE_CHECKING:
    from cli.hr.importing import Outcome, Wanted

BAD_ROWS_SHOWN = 200
CHANGES_SHOWN = 30
ABSENT_SHOWN = 20
DEPARTMENTS_SHOWN = 10


@contextmanager
def waiting(text: str) -> Iterator[None]:
    """On standard error: what is printed for programs stays clean."""
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=err, transient=True, disable=not err.is_terminal
    ) as shown:
        shown.add_task(escape(text), total=None)
        yield


@contextmanager
def progress(text: str, total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as shown:
        task = shown.add_task(escape(text), total=total)
        yield lambda count: shown.advance(task, count)


def show_bad_rows(rows: Sequence[BadRow]) -> None:
    table = Table(title=f"{_count(len(rows), 'row', 'rows')} cannot be used", title_style="bold red", title_justify="left")
    table.add_column("file", overflow="fold")
    table.add_column("line", justify="right")
    table.add_column("reason", style="red", overflow="fold")
    table.add_column("not changed", overflow="fold")
    for row in rows[:BAD_ROWS_SHOWN]:
        table.add_row(escape(row.file), str(row.line or ""), escape(row.reason), escape(row.person))
    out.print(table)
    if len(rows) > BAD_ROWS_SHOWN:
        out.print(f"and {len(rows) - BAD_ROWS_SHOWN} more")


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def show(outcome: "Outcome", wanted: "Wanted") -> None:
    """Print the outcome for people; `as_json` is for programs."""
    report, company = outcome.report, outcome.company
    show_files(company, outcome.bad_rows)
    _show_changes(outcome)
    _show_modules(report["modules"])
    show_licences(report["seats"])
    if not report["seats"]["decided"]:
        out.print(escape(report["seats"]["detail"]), soft_wrap=True)
    show_rows(company)
    people, counts = outcome.people, report["counts"]
    sums = f"{people.read} in the files = {people.changed} changed + {people.unchanged} unchanged + {people.reported} reported"
    out.print(f"people: {sums} ({counts['new']} new, {counts['leaving']} lose access)")
    if counts["absent"]:
        _show_absent(outcome, wanted)
    if others := report.get("others"):
        names = ", ".join(f"{each['external_id']} ({each['before']} -> {each['after']})" for each in others)
        out.print(escape(f"others: people whose status changes because a conflict begins or ends: {names}"), soft_wrap=True)
    _show_without_profile(report.get("without_profile") or {}, wanted)
    for note in outcome.notes:
        out.print(f"[yellow]{escape(note)}[/]", soft_wrap=True)
    _show_end(outcome, wanted)


def _show_without_profile(found: Mapping[str, Any], wanted: "Wanted") -> None:
    """Show the employees whose department gives no profile: nothing else says why they get no seats."""
    if not found.get("people"):
        return
    people = _count(found["people"], "employee has", "employees have")
    departments = [f"{each['department'] or 'no department'} ({each['people']})" for each in found["departments"][:DEPARTMENTS_SHOWN]]
    names = ", ".join(departments) + (", ..." if len(found["departments"]) > DEPARTMENTS_SHOWN else "")
    said = f"{people} no profile, because the department is not mapped, so they require no modules and get no seats: {names}."
    what_next = f"Map each department to a profile, or to null: PUT /v1/tenants/{wanted.tenant}/department-mapping, or the page Profiles."
    out.print(f"[yellow]{escape(f'{said} {what_next}')}[/]", soft_wrap=True)


def show_files(company: Company, bad_rows: Sequence[BadRow]) -> None:
    """Print how each file was read, and the rows that cannot be used."""
    for file in company.files:
        out.print(escape(file))
    if bad_rows:
        show_bad_rows(bad_rows)


def show_rows(company: Company) -> None:
    rows = company.rows
    ignored = " (" + ", ".join(f"{number} {why}" for why, number in rows.ignored.items()) + ")" if rows.ignored else ""
    out.print(f"rows:   {rows.read} read = {rows.used} used + {sum(rows.ignored.values())} ignored{ignored} + {rows.reported} reported")


def _show_absent(outcome: "Outcome", wanted: "Wanted") -> None:
    names = ", ".join(outcome.absent[:ABSENT_SHOWN]) + (", ..." if len(outcome.absent) > ABSENT_SHOWN else "")
    what = "they leave" if wanted.absent == "leave" and not outcome.notes else "none of them is changed (with --absent=leave, they leave)"
    out.print(escape(f"absent: people of {wanted.source} who are missing from the files; {what}: {names}"), soft_wrap=True)


def _show_end(outcome: "Outcome", wanted: "Wanted") -> None:
    guard = outcome.report["guard"]
    if outcome.applied:
        out.print(f"[green]Imported[/] into {escape(wanted.tenant)} from {escape(wanted.source)}.")
        return
    if wanted.dry_run:
        out.print("This was a dry run. Nobody was changed.")
    if outcome.stopped:
        would_end, limit = guard["would_end"], guard["limit"]
        people = _count(would_end, "person", "people")
        said = f"This import would end the access of {people}. Without a confirmation, at most {limit} can lose access."
        said += f" You confirmed {wanted.confirm}, not {would_end}." if wanted.confirm not in (None, would_end) else ""
        out.print(f"[bold red]{said}[/] Nobody was changed. If the files are right, run:", soft_wrap=True)
        out.print(f"  {escape(wanted.command(would_end))}", soft_wrap=True)


def _show_changes(outcome: "Outcome") -> None:
    changes = [each for each in outcome.changes if each["kind"] in ("new", "changed")]
    if not changes:
        return
    seats = {each["external_id"]: each for each in outcome.report["seats"]["people"]}
    table = Table(title="changes", title_justify="left")
    for column in ("id", "", "from -> to", "seats"):
        table.add_column(column, overflow="fold")
    for each in changes[:CHANGES_SHOWN]:
        answer = seats.get(each["external_id"], {})
        decided = ", ".join(_decision(module) for module in answer.get("modules", ()))
        style = "red" if each["ends"] else None
        table.add_row(*map(escape, (each["external_id"], each["kind"], _difference(each, answer.get("status")), decided)), style=style)
    out.print(table)
    if (more := outcome.people.changed - min(len(changes), CHANGES_SHOWN)) > 0:
        out.print(f"and {more} more; --json prints all of them")


def _decision(module: Mapping[str, Any]) -> str:
    return f"{module['module']} {module['state']}" + (f" until {module['deadline']}" if module.get("deadline") else "")


def _difference(change: Mapping[str, Any], status: str | None) -> str:
    """Return what differs now, and on which later days something does. `status`: what seats would make of the person."""
    before, after = change["before"] or {}, (change["after"] or {}) | ({"status": status} if status else {})
    names = [name for name in after if name not in ("user", "upcoming") and after[name] != before.get(name) and after[name] not in ("", [])]
    names += [name for name in before if name not in ("user", "upcoming", *names) and _text(before[name]) != _text(after.get(name))]
    said = [
        f"{name}: {_text(before.get(name))} -> {_text(after.get(name))}" if before else f"{name}: {_text(after[name])}" for name in names
    ]
    if before.get("upcoming", []) != after.get("upcoming", []):
        later = (", ".join(f"{name}: {_text(value)}" for name, value in day.items()) for day in after.get("upcoming", []))
        said.append("later: " + ("; ".join(later) or "nothing"))
    return "; ".join(said)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value or "none")


def _show_modules(modules: Sequence[Mapping[str, Any]]) -> None:
    if not modules:
        return
    table = Table(title="seats", title_justify="left")
    table.add_column("module")
    for column in ("required now", "required after the import", "licences", "available now"):
        table.add_column(column, justify="right")
    for each in modules:
        is_short = each["licences"] is not None and each["required"] > each["licences"]
        numbers = ("-" if each[name] is None else str(each[name]) for name in ("required_before", "required", "licences", "available"))
        table.add_row(escape(each["module"]), *numbers, style="red" if is_short else None)
    out.print(table)


def as_json(outcome: "Outcome", wanted: "Wanted") -> dict[str, Any]:
    """Return the outcome with every change."""
    return files_as_json(outcome.company, wanted) | {
        "applied": outcome.applied,
        "people": asdict(outcome.people),
        "bad_rows": [asdict(row) for row in outcome.bad_rows],
        "check": outcome.report,
        "changes": outcome.changes,
        "notes": outcome.notes,
        "confirm_with": wanted.command(outcome.report["guard"]["would_end"]) if outcome.stopped else None,
    }


def files_as_json(company: Company, wanted: "Wanted") -> dict[str, Any]:
    """Return how the files were read."""
    rows = company.rows
    return {
        "tenant": wanted.tenant,
        "source": wanted.source,
        "files": company.files,
        "rows": {"read": rows.read, "used": rows.used, "ignored": rows.ignored, "reported": rows.reported},
        "reported": company.reported,
    }
