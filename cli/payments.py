"""`seatpool payments …` and `seatpool invoices …`: payments, documents and what is open of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import typer
from rich.markup import escape
from rich.table import Table

from cli.console import CliError, out, run
from cli.rest import Rest, addresses
from shared import ids
from shared.money import format_amount, minor_of, minor_units


def record(tenant: str, invoice: str, amount: str, paid_on: str, reference: str, as_json: bool) -> None:
    made = run(_record(tenant, invoice, amount, paid_on, reference))
    if as_json:
        typer.echo(orjson.dumps(made).decode())
    else:
        out.print(f"The payment {made['payment']} of {_money(made, 'amount_minor')} is recorded.", markup=False)


def list_payments(tenant: str, invoice: str | None, as_json: bool) -> None:
    """Show the payments of a tenant, or those of one document."""
    found = run(_pages(f"/v1/tenants/{tenant}/payments", invoice=invoice))
    rows = [
        (
            each["payment"],
            each["invoice"],
            each["paid_on"],
            each["direction"].replace("_", " "),
            _money(each, "amount_minor"),
            each["reference"],
            each["taken_back_because"] or "",
        )
        for each in found
    ]
    _show(found, ("payment", "document", "paid on", "direction", "amount", "reference", "taken back because"), rows, as_json)


def take_back(tenant: str, payment: str, reason: str) -> None:
    run(_post(f"/v1/tenants/{tenant}/payments/{payment}/take-back", {"reason": reason}))
    out.print(f"The payment {payment} no longer counts.", markup=False)


def list_invoices(tenant: str, state: str | None, as_json: bool) -> None:
    """Show the documents of a tenant in one state, or all of them."""
    found = run(_pages(f"/v1/tenants/{tenant}/invoices", state=state))
    rows = [
        (
            each["invoice"],
            each["number"],
            each["kind"].replace("_", " "),
            each["issued_on"],
            each["due_on"],
            _money(each, "gross_minor"),
            _money(each, "open_minor"),
            "overdue" if each["overdue"] else each["state"].replace("_", " "),
        )
        for each in found
    ]
    _show(found, ("id", "number", "kind", "issued on", "due on", "amount", "open", "state"), rows, as_json)


def overdue(as_json: bool) -> None:
    """Show the overdue invoices of all tenants, with the ids that payments are recorded for."""
    found = run(_pages("/v1/overdue-invoices"))
    rows = [
        (
            each["tenant"],
            each["invoice"],
            each["number"],
            each["due_on"],
            str(each["days_overdue"]),
            _money(each, "open_minor"),
            str(each["reminders"]),
        )
        for each in found
    ]
    _show(found, ("tenant", "id", "number", "due on", "days overdue", "open", "reminders"), rows, as_json)


def balance(tenant: str, as_json: bool) -> None:
    """Show what the tenant owes, and what an overdue invoice leads to."""
    found = run(_get(f"/v1/tenants/{tenant}/balance"))
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    if found["currency"] is None:
        out.print(f"{tenant} has no documents yet.", markup=False)
        return
    table = Table(show_header=False)
    table.add_row("open invoices", _money(found, "open_minor"), f"{found['open_invoices']}")
    table.add_row("overdue", _money(found, "overdue_minor"), f"{found['overdue_invoices']}")
    table.add_row("credits", _money(found, "credit_minor"), "")
    table.add_row("balance", _money(found, "balance_minor"), f"on {found['on']}")
    table.add_row("overdue action", found["overdue_action"], "purchases are refused" if found["purchases_blocked"] else "")
    out.print(table)


def keep(tenant: str, credit_note: str) -> None:
    kept = run(_post(f"/v1/tenants/{tenant}/invoices/{credit_note}/keep", {}))
    out.print(f"{_money(kept, 'open_minor')} of {kept['number']} are kept for later invoices.", markup=False)


def set_overdue_action(tenant: str, action: str) -> None:
    found = run(_put(f"/v1/tenants/{tenant}/overdue-action", {"action": action}))
    now = "refused" if found["purchases_blocked"] else "allowed"
    out.print(f"The overdue action of {tenant} is {action}. Purchases are {now} now.", markup=False)


def _money(found: Mapping[str, Any], field: str) -> str:
    return format_amount(found[field], found["currency"], "en")


def _show(found: Sequence[Mapping[str, Any]], columns: Sequence[str], rows: Sequence[Sequence[str]], as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    table = Table()
    for column in columns:
        right = column in ("amount", "open", "days overdue", "reminders")
        table.add_column(column, no_wrap=column in ("id", "payment", "document", "number"), justify="right" if right else "left")
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)


def amount_of(amount: str, currency: str) -> int:
    """Return an amount such as `150.00` in minor units. Raises CliError."""
    found = minor_of(amount, currency)
    if not found:
        places = minor_units(currency)
        decimals = f"with at most {places} decimals" if places else "without decimals"
        raise CliError(f"the amount {amount} is not valid", f"Give a positive number {decimals} and a point, in {currency}.")
    return found


async def _record(tenant: str, invoice: str, amount: str, paid_on: str, reference: str) -> dict[str, Any]:
    """Record the payment. The document says in which currency, and so how many decimals the amount has."""
    path = f"/v1/tenants/{tenant}"
    async with Rest(addresses()) as rest:
        found = await _document(rest, f"{path}/invoices", invoice)
        body = {
            "invoice": found["invoice"],
            "amount_minor": amount_of(amount, found["currency"]),
            "currency": found["currency"],
            "paid_on": paid_on,
            "reference": reference,
        }
        made: dict[str, Any] = await rest.post("invoicing", f"{path}/payments", body, {"Idempotency-Key": ids.new_id()})
        return made


async def _document(rest: Rest, path: str, given: str) -> dict[str, Any]:
    """Return the document with this id or number. Raises CliError."""
    if given.startswith("inv-"):
        found: dict[str, Any] = await rest.get("invoicing", f"{path}/{given}")
        return found
    for each in await rest.pages("invoicing", path):
        if each["number"] == given:
            return each
    raise CliError(f"there is no document {given}", "`seatpool invoices list` shows the ids and numbers of the tenant's documents.")


async def _pages(path: str, **filters: str | None) -> list[dict[str, Any]]:
    async with Rest(addresses()) as rest:
        return await rest.pages("invoicing", path, **filters)


async def _get(path: str) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = await rest.get("invoicing", path)
        return found


async def _put(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = await rest.put("invoicing", path, body)
        return found


async def _post(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = await rest.post("invoicing", path, body)
        return found
