"""`seatpool dlq …`: messages that a service could not read or that broke a rule, kept with the reason."""

import asyncio
import base64
from typing import Any

import httpx
import typer
from rich.markup import escape
from rich.table import Table

from cli.console import CliError, err, fail, out, run, shown
from cli.names import WITH_DEAD_LETTERS
from cli.rest import Rest, addresses


def list_dead_letters(tenant: str | None, status: str, service: str | None) -> None:
    """Print the dead letters of the services as a table."""
    if service is not None and service not in WITH_DEAD_LETTERS:
        fail(
            f"{service} has no dead letters", f"Use one of {', '.join(WITH_DEAD_LETTERS)}; notifier lists the commands that seats rejected."
        )
    answers = run(_ask((service,) if service else WITH_DEAD_LETTERS, tenant, status))
    rows = [(name, row) for name, found in answers.items() if isinstance(found, list) for row in found]
    failures = {name: found for name, found in answers.items() if isinstance(found, CliError)}
    if rows:
        out.print(_table(rows))
    if not failures:
        out.print(f"{len(rows)} dead letter{'s' if len(rows) != 1 else ''}" if rows else "There is no dead letter.")
        return
    for name, error in failures.items():
        err.print(f"[bold red]seatpool:[/] could not list the dead letters of {name}: {escape(error.message)}", soft_wrap=True)
        if error.hint:
            err.print(f"          {error.hint}", markup=False, soft_wrap=True)
    raise typer.Exit(1)


def _table(rows: list[tuple[str, dict[str, Any]]]) -> Table:
    table = Table(title_justify="left")
    for column in ("id", "group", "tenant", "topic/partition/offset", "type", "reason", "status"):
        # An id is copied into the next command, so it is never folded.
        table.add_column(column, overflow="fold", no_wrap=column == "id", style="red" if column == "reason" else None)
    for service, row in rows:
        where = "/".join(str(row.get(key, "?")) for key in ("topic", "partition", "offset"))
        if row.get("records", 1) > 1:
            where += f"-{row['offset'] + row['records'] - 1}"
        reason = f"{row.get('reason', '')}: {row.get('detail', '')}".strip(": ")
        kind = str(row.get("type") or "").removeprefix("seatpool.")
        cells = (f"{service}:{row['id']}", row.get("group"), row.get("tenant"), where, kind, reason, row.get("status"))
        table.add_row(*(escape(str(cell)) if cell else "-" for cell in cells))
    return table


async def _ask(services: tuple[str, ...], tenant: str | None, status: str) -> dict[str, list[dict[str, Any]] | CliError]:
    """Ask the services. One that is down does not hide the dead letters of the others."""
    async with Rest(addresses()) as rest:

        async def ask(service: str) -> list[dict[str, Any]] | CliError:
            try:
                return await rest.pages(service, "/v1/operator/dead-letters", tenant=tenant, status=status)
            except CliError as error:
                return error
            except httpx.HTTPError as error:
                return CliError(str(error) or type(error).__name__)

        return dict(zip(services, await asyncio.gather(*map(ask, services)), strict=True))


def show(letter: str) -> None:
    """Print a dead letter with its headers and its body."""
    service, number = _parsed(letter)
    found: dict[str, Any] = run(_get(service, number))
    value = base64.b64decode(found.pop("value_base64", None) or "")
    key = base64.b64decode(found.pop("key_base64", None) or "")
    headers = found.pop("headers", [])
    note = found.pop("note", None)
    table = Table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in [*found.items(), ("key", key.decode(errors="replace"))]:
        table.add_row(name, "-" if text in (None, "") else escape(shown(text)))
    for name, text in headers:
        table.add_row(f"header {escape(name)}", "-" if text is None else escape(text))
    table.add_row("value", escape(value.decode(errors="replace")) or "-")
    out.print(table)
    if note:
        out.print(note)


def retry(letter: str) -> None:
    service, number = _parsed(letter)
    answer: dict[str, Any] = run(_post(service, f"{number}/retry", None))
    if answer["status"] != "done":
        err.print(
            f"[bold red]seatpool:[/] {letter} failed again: {escape(answer['reason'])}: {escape(answer['detail'])}",
            soft_wrap=True,
        )
        raise typer.Exit(1)
    out.print(f"[green]done[/]: {letter}{_BEHIND if answer['blocks'] else ''}")


def discard(letter: str, reason: str, *, genuine: bool) -> None:
    service, number = _parsed(letter)
    answer: dict[str, Any] = run(_post(service, f"{number}/discard", {"reason": reason, "genuine": genuine}))
    out.print(f"[green]discarded[/]: {letter}{_BEHIND if answer['blocks'] else ''}")


_BEHIND = "; the service now processes the messages that wait behind it (`seatpool dlq list` shows the next one that fails)"


def _parsed(letter: str) -> tuple[str, str]:
    service, _, number = letter.partition(":")
    if service not in WITH_DEAD_LETTERS or not (number.isascii() and number.isdecimal()):
        fail(f"{letter!r} is not the id of a dead letter", "`seatpool dlq list` shows the ids, for example users:17.")
    return service, number


async def _get(service: str, number: str) -> Any:
    async with Rest(addresses()) as rest:
        return await rest.get(service, f"/v1/operator/dead-letters/{number}")


async def _post(service: str, path: str, body: dict[str, Any] | None) -> Any:
    async with Rest(addresses()) as rest:
        return await rest.post(service, f"/v1/operator/dead-letters/{path}", body)
