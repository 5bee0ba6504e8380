"""`seatpool dlq …`: messages that a service could not read or that broke a rule, parked with the reason."""

import asyncio
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cli.console import CliError, err, out, run
from cli.rest import SERVICES, Rest, addresses

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Parked messages: list them, run them again.")
PAGE_MESSAGES = 100


async def parked(rest: Rest, service: str, *, tenant: str | None = None, status: str | None = None) -> list[dict[str, Any]]:
    """All pages of one service."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await rest.get(service, "/v1/operator/parked", tenant=tenant, status=status, limit=PAGE_MESSAGES, cursor=cursor)
        found += page["items"]
        cursor = page.get("next")
        if not cursor:
            return found


@app.command("list")
def list_parked(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    status: Annotated[str, typer.Option(help="parked, retried, or all.")] = "parked",
    service: Annotated[str | None, typer.Option(help="Ask one service only: users, seats, invoicing or notifier.")] = None,
) -> None:
    """List what is parked, in every service, with the reason.

    ```
    seatpool dlq list
    seatpool dlq list --tenant acme --service users
    ```
    """
    services = (service,) if service else SERVICES
    answers = run(_ask(services, tenant, None if status == "all" else status))
    rows = [(name, row) for name, found in answers.items() if isinstance(found, list) for row in found]
    failures = {name: found for name, found in answers.items() if isinstance(found, CliError)}
    if rows:
        out.print(_table(rows))
    if not failures:
        out.print(f"{len(rows)} message{'s' if len(rows) != 1 else ''}")
        return
    for name, error in failures.items():
        err.print(f"[bold red]seatpool:[/] {name} could not be asked: {escape(error.message)}", soft_wrap=True)
    raise typer.Exit(1)


def _table(rows: list[tuple[str, dict[str, Any]]]) -> Table:
    table = Table(title_justify="left")
    for column in ("service", "id", "tenant", "topic/partition/offset", "type", "reason", "status"):
        table.add_column(column, overflow="fold", style="red" if column == "reason" else None)
    for name, row in rows:
        where = "/".join(str(row.get(key, "?")) for key in ("topic", "partition", "offset"))
        reason = f"{row.get('reason', '')}: {row.get('detail', '')}".strip(": ")
        cells = (name, row.get("id"), row.get("tenant"), where, row.get("type"), reason, row.get("status"))
        table.add_row(*(escape(str(cell)) if cell is not None else "-" for cell in cells))
    return table


async def _ask(services: tuple[str, ...], tenant: str | None, status: str | None) -> dict[str, list[dict[str, Any]] | CliError]:
    """One service that is down does not hide what the others have parked."""
    async with Rest(addresses()) as rest:

        async def ask(service: str) -> list[dict[str, Any]] | CliError:
            try:
                return await parked(rest, service, tenant=tenant, status=status)
            except CliError as error:
                return error

        return dict(zip(services, await asyncio.gather(*map(ask, services)), strict=True))


@app.command()
def retry(
    id: Annotated[str, typer.Argument(help="As `seatpool dlq list` shows it.")],  # noqa: A002 - the name on the command line
    service: Annotated[str | None, typer.Option(help="Whose it is; default: asked for everywhere.")] = None,
) -> None:
    """Run a parked message's handler on the stored bytes once more. Nothing is published again.

    ```
    seatpool dlq retry 0198f0c2-...
    ```
    """
    done_by, answer = run(_retry(id, service))
    outcome = answer.get("status", "retried") if isinstance(answer, dict) else "retried"
    out.print(f"{done_by}: {id} is now [bold]{outcome}[/]")
    if outcome == "parked":
        err.print(f"[bold red]seatpool:[/] it failed again: {escape(str(answer.get('detail') or answer.get('reason')))}", soft_wrap=True)
        raise typer.Exit(1)


async def _retry(id_: str, service: str | None) -> tuple[str, Any]:
    async with Rest(addresses()) as rest:
        for name in (service,) if service else SERVICES:
            if service or any(str(row["id"]) == id_ for row in await parked(rest, name)):
                return name, await rest.post(name, f"/v1/operator/parked/{id_}/retry")
    raise CliError(f"no service has a parked message {id_}", "`seatpool dlq list` shows them.")
