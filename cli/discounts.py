"""`seatpool subscription discounts`, `grant-discount` and `withdraw-discount`."""

from collections.abc import Mapping
from typing import Any

import orjson
import typer
from rich.table import Table

from cli.console import out, run
from cli.payments import amount_of
from cli.rest import Rest, addresses
from shared.money import format_amount, format_percent


def grant(tenant: str, body: Mapping[str, Any], amount: str | None, as_json: bool) -> None:
    """Grant a discount. `amount`: in the currency of the subscription, instead of a percentage."""
    found = run(_grant(tenant, {name: value for name, value in body.items() if value is not None}, amount))
    _say(found, f"Granted: {_terms(found)}. The discount is {found['discount']}.", as_json)


def list_discounts(tenant: str, as_json: bool) -> None:
    found = run(_list(tenant))
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    table = Table()
    for column in ("discount", "what", "status", "why"):
        table.add_column(column)
    for each in found:
        table.add_row(each["discount"], _terms(each), each["status"], each["text"])
    out.print(table)


def withdraw(tenant: str, discount: str, as_json: bool) -> None:
    found = run(_withdraw(tenant, discount))
    _say(found, f"Withdrawn: {_terms(found)}. What was charged with it stays.", as_json)


def _say(found: Mapping[str, Any], text: str, as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(found).decode())
    else:
        out.print(text, markup=False)


def _terms(found: Mapping[str, Any]) -> str:
    amount = "" if found["percent"] else format_amount(found["amount_minor"], found["currency"], "en")
    what = format_percent(found["percent"], "en") if found["percent"] else f"{amount} for each period"
    until = f" until {found['until_day']} (not included)" if found["until_day"] else ""
    return f"{what} on {found['module'] or 'the whole subscription'} from {found['from_day']}{until}"


async def _grant(tenant: str, body: dict[str, Any], amount: str | None) -> dict[str, Any]:
    path = f"/v1/tenants/{tenant}/subscription"
    async with Rest(addresses()) as rest:
        if amount is not None:
            currency = (await rest.get("invoicing", path))["currency"]
            body["amount_minor"] = amount_of(amount, currency)
        made: dict[str, Any] = await rest.post("invoicing", f"{path}/discounts", body)
    return made


async def _list(tenant: str) -> list[dict[str, Any]]:
    async with Rest(addresses()) as rest:
        return await rest.pages("invoicing", f"/v1/tenants/{tenant}/subscription/discounts")


async def _withdraw(tenant: str, discount: str) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = (await rest.call("DELETE", "invoicing", f"/v1/tenants/{tenant}/subscription/discounts/{discount}")).json()
    return found
