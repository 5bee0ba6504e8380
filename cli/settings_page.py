"""`seatpool settings`: every setting of every process, from the classes that read them."""

import asyncio
import os
import sys
from typing import Any

import orjson
import typer
from rich.markup import escape
from rich.padding import Padding

from cli.console import CliError, out, run
from cli.names import CONSOLE, SERVICES

# Asked in a process of its own each, because this command imports no service.
SETTINGS = {service: f"services.{service}.settings:Settings" for service in (*SERVICES, CONSOLE)} | {
    "cli": "cli.settings:CliSettings",
    "stack": "deploy.local.settings:StackSettings",
}
ALL_SERVICES = "all services"
TITLES = {"cli": "cli: the command seatpool", "stack": "stack: the local stack (seatpool run, make run, make demo)"}


def settings(part: str | None, json: bool) -> None:
    wanted = run(_ask((part,) if part else tuple(SETTINGS)))
    if json:
        typer.echo(orjson.dumps(wanted, option=orjson.OPT_INDENT_2).decode())
        return
    for owner, rows in (wanted if part else _shared_once(wanted)).items():
        out.print()
        out.rule(f"[bold]{TITLES.get(owner, owner)}[/]", align="left", style="cyan")
        for row in rows:
            set_now = "  [green]set[/]" if row["env"] in os.environ else ""
            default = f"default {escape(row['default'])}" if row["default"] else "[red]required[/]"
            out.print(f"[bold cyan]{row['env']}[/]  {escape(row['type'])}, {default}{set_now}")
            out.print(Padding(escape(row["description"]), (0, 0, 0, 4), expand=False))


def _shared_once(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Put the settings that all services have in the same way in front, once."""
    everywhere = [row for row in found[SERVICES[0]] if all(row in found[service] for service in SERVICES)]
    return {ALL_SERVICES: everywhere} | {name: [row for row in rows if row not in everywhere] for name, rows in found.items()}


async def _ask(parts: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    if unknown := [name for name in parts if name not in SETTINGS]:
        raise CliError(f"there is no part {unknown[0]}", f"Use one of {', '.join(SETTINGS)}.")
    return dict(zip(parts, await asyncio.gather(*(_describe(name) for name in parts)), strict=True))


async def _describe(part: str) -> list[dict[str, Any]]:
    arguments = ("-m", "shared.settings_page", SETTINGS[part])
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise CliError(f"the settings of {part} cannot be read: {last[0]}", "Check that the packages of this part are installed.")
    rows: list[dict[str, Any]] = orjson.loads(output)
    return rows
