"""`seatpool licences …`: reductions, and the licences of the next period."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import typer
from rich.table import Table

from cli.console import CliError, out, run
from cli.rest import Rest, addresses
from shared import ids
from shared.money import format_amount

WAIT = {"Prefer": "wait=10"}  # for seats
PEOPLE_SHOWN = 20


def reduce(tenant: str, totals: Sequence[str], yes: bool, as_json: bool) -> None:
    """Show what a reduction changes, and approve it."""
    items = _items(totals)
    offer = run(_post(f"/v1/tenants/{tenant}/reductions", {"items": items}, {}))
    if not yes:
        _print(offer, as_json=False)
        typer.confirm("Approve the reduction?", abort=True)
    _print(run(_post(offer["approve_url"], {}, WAIT)), as_json)


def set_next_period(tenant: str, totals: Sequence[str], as_json: bool) -> None:
    _print(run(_set_next_period(tenant, _items(totals))), as_json)


def _items(totals: Sequence[str]) -> list[dict[str, Any]]:
    """Return what REST takes. Raises BadParameter."""
    items = []
    for given in totals:
        module, _, total = given.partition("=")
        if not module or not total.isascii() or not total.isdigit():
            raise typer.BadParameter(f"{given!r} is not MODULE=TOTAL with a whole number, for example time=6.")
        items.append({"module": module, "total": int(total)})
    return items


def _print(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    when = "at once" if found["takes_effect"] == "now" else "with the next period"
    out.print(f"Reduction {found['reduction']}, {found['status']}, takes effect {when}", markup=False)
    table = Table()
    for column in ("module", "before", "after", "people over the limit"):
        table.add_column(column, justify="left" if column == "module" else "right")
    flagged = {each["module"]: each for each in found["would_flag"] or ()}
    for item in found["items"]:
        people = "not known" if found["would_flag"] is None else str(flagged.get(item["module"], {"count": 0})["count"])
        table.add_row(item["module"], str(item["before"]), str(item["total"]), people)
    out.print(table)
    for each in flagged.values():
        named = ", ".join(each["users"][:PEOPLE_SHOWN]) + (", …" if each["count"] > PEOPLE_SHOWN else "")
        out.print(f"Over the limit of {each['module']} if nothing else changes: {named}. Deactivate people in time.", markup=False)
    for each in found["would_cancel"] or ():
        out.print(f"Reservations of {each['module']} for invited people that end first: {each['count']}.", markup=False)
    before, after = found["next_period_before"], found["next_period_after"]
    if before and after:
        amounts = [format_amount(each["net_minor"], found["currency"], "en") for each in (before, after)]
        out.print(f"Next period of the whole subscription: {amounts[0]} net now, {amounts[1]} net then", markup=False)
    if found["credit_net_minor"]:
        out.print(f"Credit: {format_amount(found['credit_net_minor'], found['currency'], 'en')} net", markup=False)


async def _post(path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = await rest.post("invoicing", path, body, {"Idempotency-Key": ids.new_id(), **headers})
    return _checked(found)


async def _set_next_period(tenant: str, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = await rest.put("invoicing", f"/v1/tenants/{tenant}/next-period", {"items": items}, WAIT)
    return _checked(found)


def _checked(found: dict[str, Any]) -> dict[str, Any]:
    """Raise CliError if seats refused the reduction."""
    if found["status"] == "refused":
        raise CliError(f"seats refused the reduction: {found['reason']}", f"Its details: {orjson.dumps(found['detail']).decode()}")
    return found
