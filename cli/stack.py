"""`seatpool status` and `seatpool address`: a look at the local stack that runs."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx
import typer
from rich.markup import escape
from rich.table import Table

from cli.console import fail, no_stack, out, run
from cli.names import CONSOLE, SERVICES
from cli.rest import addresses, read_stack, stack_file, takes_connections

HEALTH_SECONDS = 3.0
IDENTITY_PROVIDER_URL = "identity_provider_url"  # in stack.json, if one was started


def address(part: str) -> None:
    where = addresses()
    others = {name: str(where.parts.get(f"{name}_url", "")) for name in ("mailbox", "identity_provider")}
    known = {**where.urls, CONSOLE: str(where.parts.get("services", {}).get(CONSOLE, "")), **others}
    if not known.get(part):
        fail(
            f"the address of {part} is unknown",
            f"Known: {', '.join(found)}." if (found := [name for name, url in known.items() if url]) else no_stack(),
        )
    typer.echo(known[part])


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    address: str
    health: str
    well: bool


def status() -> None:
    """Print the parts of the running local stack with their addresses and health. The exit code is 1 if a part is not well."""
    stack = read_stack()
    if not stack:
        fail(f"no stack is running here ({stack_file()} does not exist)", no_stack())
    parts = run(_look(stack))
    table = Table(title="the local stack", title_justify="left", title_style="bold")
    for column in ("part", "address", "health", "process"):
        table.add_column(column, overflow="fold")
    processes = stack.get("processes", {})
    for part in parts:
        colour = "green" if part.well else "bold red"
        table.add_row(part.name, part.address, f"[{colour}]{escape(part.health)}[/]", str(processes.get(part.name, {}).get("pid", "-")))
    out.print(table)
    out.print(f"API documents: <address>/docs; e-mails: {stack.get('mailbox_url', 'your mail server')}; logs: {stack.get('logs', '?')}")
    if not all(part.well for part in parts):
        raise typer.Exit(1)


async def _look(stack: dict[str, Any]) -> list[Part]:
    services: dict[str, str] = stack.get("services", {})
    async with httpx.AsyncClient(timeout=HEALTH_SECONDS) as http:
        asked = [_rest(http, name, services[name]) for name in (*SERVICES, CONSOLE) if name in services]
        if "mailbox_url" in stack:
            asked.append(_rest(http, "mailbox", stack["mailbox_url"]))
        if IDENTITY_PROVIDER_URL in stack:
            asked.append(_port("identity_provider", stack[IDENTITY_PROVIDER_URL]))
        asked.append(_port("kafka", stack.get("kafka_bootstrap", "").split(",")[0]))
        asked.append(_port("postgres", stack.get("postgres_url", "").rpartition("@")[2].partition("/")[0]))
        return list(await asyncio.gather(*asked))


async def _rest(http: httpx.AsyncClient, name: str, url: str) -> Part:
    try:
        response = await http.get(f"{url}/readyz")
    except httpx.HTTPError as error:
        return Part(name, url, f"does not answer ({type(error).__name__})", well=False)
    if response.is_success:
        return Part(name, url, "ready", well=True)
    return Part(name, url, f"not ready ({response.status_code})", well=False)


async def _port(name: str, address: str) -> Part:
    well = await takes_connections(address.removeprefix("http://"))
    return Part(name, address, "accepts connections" if well else "does not answer", well=well)
