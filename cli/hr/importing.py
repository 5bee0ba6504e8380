"""`seatpool hr import`: HR data in CSV files to users."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import typer
from rich.markup import escape
from rich.table import Table

from cli.console import CliError, fail, out, run
from cli.hr.columns import FilesUnusable, read_column_map
from cli.hr.company import FIELDS, BadRow, Company, Dialect, read_company
from cli.hr.dates import DateOrder, EndDates
from cli.hr.facts import Sent, changes_after, hired_on, history, send
from cli.hr.tables import check_encoding
from cli.rest import Rest, addresses
from shared.schemas.hr_v1 import HrFact

BAD_ROWS_SHOWN = 200


def show_bad_rows(rows: Sequence[BadRow]) -> None:
    table = Table(title=f"{len(rows)} invalid row{'s' if len(rows) != 1 else ''}, not sent", title_style="bold red", title_justify="left")
    table.add_column("file")
    table.add_column("line", justify="right")
    table.add_column("reason", style="red", overflow="fold")
    table.add_column("not changed", overflow="fold")
    for row in rows[:BAD_ROWS_SHOWN]:
        table.add_row(escape(row.file), str(row.line or ""), escape(row.reason), escape(row.person))
    out.print(table)
    if len(rows) > BAD_ROWS_SHOWN:
        out.print(f"and {len(rows) - BAD_ROWS_SHOWN} more")


def read_files(path: Path, encoding: str | None, columns: str | None, dates: DateOrder, end_dates: EndDates) -> Company:
    try:
        return read_company(path, Dialect(check_encoding(encoding), read_column_map(columns, FIELDS), dates, end_dates))
    except FilesUnusable as error:
        fail(str(error))


def import_people(company: Company, tenant: str, source: str, on: date | None) -> None:
    lacking = [p for p in company.people if not all(e.values.get("login") and e.values.get("email") for e in p.entries)]
    bad = [*company.bad_rows, *(BadRow(p.file, p.line, "a login and an e-mail address expected", p.external_id) for p in lacking)]
    company = replace(company, people=tuple(person for person in company.people if person not in lacking))
    facts = [*hired_on(company, on), *changes_after(company, on)] if on else history(company)
    sent = run(_import(tenant, source, facts))
    out.print(f"accepted [green]{sent.accepted}[/] of {len(facts)} events about {len(company.people)} people ({tenant}, from {source})")
    places = {person.external_id: person for person in company.people}
    bad += [BadRow(places[each.person].file, places[each.person].line, each.reason, each.person) for each in sent.rejected]
    if bad:
        show_bad_rows(bad)
        raise typer.Exit(1)


async def _import(tenant: str, source: str, facts: Sequence[HrFact]) -> Sent:
    if not facts:
        raise CliError("there is nothing to send", "The files contain no valid person for that day.")
    async with Rest(addresses()) as rest:
        return await send(rest, tenant, source, facts)
