"""`seatpool subscription start`, `show`, `end` and `keep`: the subscription of a tenant, its start and its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import typer
from rich.table import Table

from cli.console import CliError, out, run
from cli.rest import Rest, addresses
from shared import ids

WAIT = {"Prefer": "wait=10"}  # for seats


def show(tenant: str, as_json: bool) -> None:
    _print(tenant, run(_get(tenant)), as_json)


def start(tenant: str, file: Path, trial_until: str | None, as_json: bool) -> None:
    """Start the subscription that a file describes."""
    try:
        body = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        raise CliError(f"{file} is no JSON: {error}", "Give the body of POST …/subscription.") from error
    if not isinstance(body, dict):
        raise CliError(f"{file} is no JSON object.", "Give the body of POST …/subscription.")
    _print(tenant, run(_post(tenant, "", body | ({"trial_until": trial_until} if trial_until else {}))), as_json)


def end(tenant: str, reason: str, at_once: bool, as_json: bool) -> None:
    """End the subscription with its period, or at once."""
    if at_once and not reason.strip():
        raise typer.BadParameter("--reason is required with --now: the customer is told the reason.")
    _print(tenant, run(_post(tenant, "/end" if at_once else "/ending", {"reason": reason})), as_json)


def keep(tenant: str, as_json: bool) -> None:
    _print(tenant, run(_delete(tenant)), as_json)


def _print(tenant: str, found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    period = found["period"]
    about = f"{tenant}: plan {found['plan']}, {found['term']}, {found['status']}, period from {period['start']} to {period['end']}"
    out.print(about, markup=False)
    table = Table()
    for column in ("module", "licences", "next period"):
        table.add_column(column, justify="left" if column == "module" else "right")
    for module in found["modules"]:
        table.add_row(module["module"], str(module["licences"]), str(module["next_period"]))
    out.print(table)
    if found["status"] == "ended":
        out.print(f"The subscription ended on {found['ends_on']}.", markup=False)
    elif found["ends_on"] is not None:
        hint = f"Take it back with `seatpool subscription keep --tenant {tenant}`, until the day before."
        out.print(f"First day without the subscription: {found['ends_on']}. {hint}", markup=False)


async def _get(tenant: str) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = await rest.get("invoicing", f"/v1/tenants/{tenant}/subscription")
        return found


async def _post(tenant: str, what: str, body: Mapping[str, Any]) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        headers = WAIT | {"Idempotency-Key": ids.new_id()}
        found: dict[str, Any] = await rest.post("invoicing", f"/v1/tenants/{tenant}/subscription{what}", body, headers)
        return found


async def _delete(tenant: str) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = await rest.delete("invoicing", f"/v1/tenants/{tenant}/subscription/ending", WAIT)
    if found["ends_on"] is not None:
        raise CliError(
            "seats has not taken the ending back yet",
            f"Look again with `seatpool subscription show --tenant {tenant}`. If the last day has ended, the subscription has ended too.",
        )
    return found
