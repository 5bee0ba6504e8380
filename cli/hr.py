"""`seatpool hr import`: a folder of CSV files to `POST /v1/tenants/{tenant}/hr-events`, the door to the topic that HR systems write to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from cli.console import CliError, fail, out, run
from cli.hr_files import EMPLOYEES, BadRow, Company, FolderUnusable, changes_after, hired_on, history, read_company
from cli.rest import Rest, addresses, kafka_settings
from cli.topics import create_on_broker
from shared.schemas.hr_v1 import HrFact
from shared.schemas.registry import type_of
from shared.schemas.topics import HR_EVENTS, HR_TOPIC_NAME, Topic, hr_topic

CHUNK_EVENTS = 250  # about 70 KB, well under the 1 MB that a request may have
BAD_ROWS_SHOWN = 200


@dataclass
class Sent:
    accepted: int = 0
    rejected: list[BadRow] = field(default_factory=list)


def event_json(fact: HrFact) -> dict[str, Any]:
    """As the REST door takes it: the type's last word, and only the fields that are given."""
    return {"type": type_of(type(fact)).rsplit(".", 1)[1], **fact.model_dump(mode="json", exclude_unset=True)}


async def send(
    rest: Rest,
    tenant: str,
    source: str,
    facts: Sequence[HrFact],
    lines: dict[str, int],
    progress: Progress | None = None,
    chunk_events: int = CHUNK_EVENTS,
) -> Sent:
    """In chunks, in order. The service derives each event's id from its content, so sending the same again changes nothing."""
    sent = Sent()
    bar = progress.add_task("sending", total=len(facts)) if progress else None
    for begin in range(0, len(facts), chunk_events):
        chunk = facts[begin : begin + chunk_events]
        body = {"source": source, "events": [event_json(fact) for fact in chunk]}
        answer = await rest.post("users", f"/v1/tenants/{tenant}/hr-events", body)
        sent.accepted += answer["accepted"]
        for refused in answer["rejected"]:
            fact = chunk[refused["index"]]
            sent.rejected.append(BadRow(EMPLOYEES, lines.get(fact.external_id, 0), f"{fact.external_id}: {_words(refused['errors'])}"))
        if progress and bar is not None:
            progress.update(bar, advance=len(chunk))
    return sent


def _words(errors: Any) -> str:
    if isinstance(errors, str):
        return errors
    return "; ".join(f"{e.get('field')}: {e.get('expected') or e.get('detail')}" if isinstance(e, dict) else str(e) for e in errors)


def show_bad_rows(rows: Sequence[BadRow]) -> None:
    table = Table(title=f"{len(rows)} invalid row{'s' if len(rows) != 1 else ''}, not sent", title_style="bold red", title_justify="left")
    table.add_column("file")
    table.add_column("line", justify="right")
    table.add_column("reason", style="red", overflow="fold")
    for row in sorted(rows, key=lambda row: (row.file, row.line))[:BAD_ROWS_SHOWN]:
        table.add_row(row.file, str(row.line), escape(row.reason))
    out.print(table)
    if len(rows) > BAD_ROWS_SHOWN:
        out.print(f"and {len(rows) - BAD_ROWS_SHOWN} more")


def progress_bar() -> Progress:
    return Progress(TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=out)


def import_folder(folder: Path, tenant: str, source: str, on: date | None) -> None:
    try:
        company = read_company(folder)
    except FolderUnusable as error:
        fail(str(error))
    facts = history(company)
    if on is not None:
        facts = [*hired_on(company, on), *changes_after(company, on)]
    sent = run(_import(company, tenant, source, facts))
    out.print(f"accepted [green]{sent.accepted}[/] of {len(facts)} events about {len(company.people)} people ({tenant}, from {source})")
    bad = [*company.bad_rows, *sent.rejected]
    if bad:
        show_bad_rows(bad)
        raise typer.Exit(1)


def bind(source: str, topic: str | None) -> None:
    name = source.removeprefix("hr/") if topic is None else topic
    if not HR_TOPIC_NAME.fullmatch(name):
        fail(f"{name!r} cannot be part of the name of a topic", f"Use --topic and match {HR_TOPIC_NAME.pattern}.")
    made = run(_bind(source, hr_topic(name)))
    out.print(
        f"{source} is bound to {hr_topic(name).name}{' ([green]created[/])' if made else ''}. Its events are now accepted only from there."
    )


async def _bind(source: str, topic: Topic) -> bool:
    kafka = kafka_settings()
    made = await create_on_broker(kafka, (topic,))
    async with Rest(addresses()) as rest:
        await rest.put("users", f"/v1/operator/hr-topics/{topic.name.rpartition('.')[2]}", {"source": source})
    return bool(made)


def unbind(source: str) -> None:
    topic = run(_unbind(source))
    out.print(
        f"Events of {source} are accepted from {HR_EVENTS.name} again. {topic} stays on the broker, but no service reads it any more."
    )


async def _unbind(source: str) -> str:
    async with Rest(addresses()) as rest:
        found = await rest.pages("users", "/v1/operator/sources")
        topic = next((str(each["topic"]) for each in found if each["source"] == source), HR_EVENTS.name)
        if topic == HR_EVENTS.name:
            raise CliError(f"{source} is not bound to a topic of its own")
        await rest.call("DELETE", "users", f"/v1/operator/hr-topics/{topic.removeprefix(f'{HR_EVENTS.name}.')}")
        return topic


async def _import(company: Company, tenant: str, source: str, facts: Sequence[HrFact]) -> Sent:
    if not facts:
        raise CliError("there is nothing to send", "The files contain no valid person for that day.")
    lines = {person.employee.employee_id: person.line for person in company.people}
    async with Rest(addresses()) as rest:
        with progress_bar() as progress:
            return await send(rest, tenant, source, facts, lines, progress)
