"""`seatpool subscription start`, `show`, `end` and `keep`: the subscription of a tenant, its start and its end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import typer
from rich.table import Table

from cli.console import CliError, counted, out, run
from cli.rest import Rest, addresses
from shared import ids
from shared.money import format_amount

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


def end(tenant: str, reason: str, at_once: bool, yes: bool, as_json: bool) -> None:
    """Show what the end of the subscription means for people and money, and end it with its period, or at once."""
    if at_once and not reason.strip():
        raise typer.BadParameter("--reason is required with --now: the customer is told the reason.")
    if not yes:
        run(_show_end(tenant, at_once))
        typer.confirm("End the subscription?", abort=True)
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


async def _show_end(tenant: str, at_once: bool) -> None:
    """Print when the subscription would end, the seats that end with it, and its last document. Nothing is ended."""
    path = f"/v1/tenants/{tenant}"
    async with Rest(addresses()) as rest:
        ending = await rest.get("invoicing", f"{path}/subscription/end") if at_once else None
        last = None if at_once else await rest.get("invoicing", f"{path}/invoices/upcoming", if_ended="true")
        subscription, licences, balance = [
            await rest.get("invoicing", f"{path}/{each}") for each in ("subscription", "licences", "balance")
        ]
    first_day = subscription["period"]["end"] if ending is None else ending["ends_on"]
    out.print(f"First day without the subscription: {first_day}{'. This cannot be taken back.' if at_once else ''}", markup=False)
    for each in licences["modules"]:
        seats = "an unknown number of seats ends" if each["in_use"] is None else None
        seats = seats or f"{counted(each['in_use'], 'seat')} {'ends' if each['in_use'] == 1 else 'end'}"
        out.print(f"{each['module']}: {seats}", markup=False)
    currency = subscription["currency"]
    if ending is not None:
        if ending["charge_net_minor"]:
            out.print(f"Invoiced at once: {format_amount(ending['charge_net_minor'], currency, 'en')} net", markup=False)
        if ending["credit_net_minor"] or not ending["charge_net_minor"]:
            out.print(f"Credited at once: {format_amount(ending['credit_net_minor'], currency, 'en')} net", markup=False)
    elif last is not None and last["kind"]:
        kind = "Last credit note" if last["kind"] == "credit_note" else "Last invoice"
        out.print(f"{kind}: {format_amount(last['gross_minor'], currency, 'en')} with tax", markup=False)
    else:
        out.print("Last document: none, because everything is invoiced", markup=False)
    out.print(f"Open invoices, which stay payable: {format_amount(balance['open_minor'], currency, 'en')}", markup=False)


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
