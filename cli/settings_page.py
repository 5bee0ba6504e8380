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
from cli.names import SERVICES

# Asked in a process of its own each, because this command imports no service.
SETTINGS = {service: f"services.{service}.settings:Settings" for service in SERVICES}
SHARED = "all services"


def settings(service: str | None, json: bool) -> None:
    wanted = run(_ask((service,) if service else SERVICES))
    if json:
        typer.echo(orjson.dumps(wanted, option=orjson.OPT_INDENT_2).decode())
        return
    for owner, rows in (wanted if service else _shared_once(wanted)).items():
        out.print()
        out.rule(f"[bold]{owner}[/]", align="left", style="cyan")
        for row in rows:
            set_now = "  [green]set[/]" if row["env"] in os.environ else ""
            default = f"default {escape(row['default'])}" if row["default"] else "[red]required[/]"
            out.print(f"[bold cyan]{row['env']}[/]  {escape(row['type'])}, {default}{set_now}")
            out.print(Padding(escape(row["description"]), (0, 0, 0, 4), expand=False))


def _shared_once(found: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """What all services have alike stands there once, in front."""
    everywhere = [row for row in next(iter(found.values())) if all(row in rows for rows in found.values())]
    return {SHARED: everywhere} | {name: [row for row in rows if row not in everywhere] for name, rows in found.items()}


async def _ask(services: tuple[str, ...]) -> dict[str, list[dict[str, Any]]]:
    if unknown := [name for name in services if name not in SETTINGS]:
        raise CliError(f"there is no service {unknown[0]}", f"Use one of {', '.join(SERVICES)}.")
    return dict(zip(services, await asyncio.gather(*(_describe(name) for name in services)), strict=True))


async def _describe(service: str) -> list[dict[str, Any]]:
    arguments = ("-m", "shared.settings_page", SETTINGS[service])
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise CliError(f"the settings of {service} cannot be read: {last[0]}", "Check that the packages of this service are installed.")
    rows: list[dict[str, Any]] = orjson.loads(output)
    return rows
