"""`seatpool quotes …` and `seatpool orders …`: what more licences cost, who approves it, and what became of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import typer

from cli.console import CliError, fail, out, run, show_rows
from cli.rest import Rest, addresses
from shared import ids
from shared.money import format_amount, minor_of

WAIT = {"Prefer": "wait=10"}  # for seats
BUDGET_MAX = 10**15


def request(tenant: str, adds: Sequence[str], as_json: bool) -> None:
    """Request a quote, and show it."""
    items = [{"module": module, "add": number} for module, number in map(_item, adds)]
    quote = run(_post(f"/v1/tenants/{tenant}/quotes", {"items": items}))
    if as_json:
        typer.echo(orjson.dumps(quote).decode())
        return
    _show_quote(quote)
    out.print(f"To buy it: seatpool quotes approve {quote['quote']} --tenant {tenant}", markup=False)


def _item(given: str) -> tuple[str, int]:
    """Return module and number. Raises BadParameter."""
    module, _, number = given.partition("=")
    if not module or not number.isascii() or not number.isdigit() or not int(number):
        raise typer.BadParameter(f"{given!r} is not MODULE=NUMBER with a number of at least 1, for example time=6.")
    return module, int(number)


def list_quotes(tenant: str, state: str | None, as_json: bool) -> None:
    columns = ("quote", "state", "licences", "amount", "charged", "valid until", "requested by")
    show_rows(run(_pages(f"/v1/tenants/{tenant}/quotes", state=state)), as_json, columns, _quote_cells, fixed="quote")


def _quote_cells(quote: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        quote["quote"],
        quote["state"].replace("_", " "),
        _lines(quote),
        quote["gross"],
        quote["charge"].replace("_", " "),
        quote["expires_at"],
        quote["requested_by"]["id"],
    )


def _lines(quote: Mapping[str, Any]) -> str:
    return ", ".join(f"{line['module']} +{line['quantity']}" for line in quote["lines"])


def show_quote(tenant: str, quote: str, as_json: bool) -> None:
    found = run(_get(f"/v1/tenants/{tenant}/quotes/{quote}"))
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    _show_quote(found)
    _show_history(found["history"])


def _show_quote(quote: Mapping[str, Any]) -> None:
    when = "now" if quote["charge"] == "now" else "with the next invoice"
    out.print(f"Quote {quote['quote']}, {quote['state'].replace('_', ' ')}: {_lines(quote)}, {quote['gross']} {when}", markup=False)
    if quote["next_period"] is not None:
        before, after = (format_amount(quote["next_period"][side]["net_minor"], quote["currency"], "en") for side in ("before", "after"))
        out.print(f"The next period of the whole subscription costs {after} net instead of {before}.", markup=False)
    for note in quote["notes"]:
        out.print(note, markup=False)
    for each in quote["approvals"]:
        amount = format_amount(each["gross_minor"], quote["currency"], "en")
        out.print(f"Approved by {each['by']['id']} with {amount} at {each['at']}.", markup=False)
    if quote["state"] in ("open", "waiting_for_approval"):
        out.print(f"It can be approved until {quote['expires_at']}.", markup=False)


def _show_history(history: Sequence[Mapping[str, Any]]) -> None:
    for step in history:
        detail = ", ".join(f"{name} {value}" for name, value in step["detail"].items())
        out.print(f"{step['at']}  {step['state'].replace('_', ' ')}  by {step['by']['id']}  {detail}".rstrip(), markup=False)


def approve(tenant: str, quote: str, yes: bool, as_json: bool) -> None:
    """Show a quote, and approve it."""
    if not yes:
        _show_quote(run(_get(f"/v1/tenants/{tenant}/quotes/{quote}")))
        typer.confirm("Approve the quote?", abort=True)
    order = run(_post(f"/v1/tenants/{tenant}/quotes/{quote}/approve", {}, WAIT))
    if as_json:
        typer.echo(orjson.dumps(order).decode())
    elif "order" not in order or order["order"] is None:
        out.print(f"The quote {quote} is approved, and waits for its second approver until {order['expires_at']}.", markup=False)
    elif order["status"] == "refused":
        fail(f"seats refused the order: {order['reason']}", "Request a new quote.")
    else:
        out.print(f"The order {order['order']} is {order['status']}.", markup=False)


def withdraw(tenant: str, quote: str) -> None:
    run(_post(f"/v1/tenants/{tenant}/quotes/{quote}/withdraw", {}))
    out.print(f"The quote {quote} is withdrawn.", markup=False)


def settings(tenant: str, second_approver: str | None, monthly_budget: str | None, as_json: bool) -> None:
    """Show who approves purchases and their budget, or change it."""
    found = run(_settings(tenant, second_approver, monthly_budget))
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    out.print(f"second approver: {found['second_approver'].replace('_', ' ')}", markup=False)
    if found["monthly_budget_minor"] is None:
        out.print("monthly budget: none")
    else:
        budget, left = (format_amount(found[name], found["currency"], "en") for name in ("monthly_budget_minor", "left_minor"))
        out.print(f"monthly budget: {budget}, of which {left} are left this month", markup=False)


async def _settings(tenant: str, second_approver: str | None, monthly_budget: str | None) -> dict[str, Any]:
    path = f"/v1/tenants/{tenant}/purchase-settings"
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = await rest.get("invoicing", path)
        currency = (await rest.get("invoicing", f"/v1/tenants/{tenant}/subscription"))["currency"]
        if second_approver is not None or monthly_budget is not None:
            body = {name: found[name] for name in ("second_approver", "monthly_budget_minor")}
            body |= {} if second_approver is None else {"second_approver": second_approver}
            body |= {} if monthly_budget is None else {"monthly_budget_minor": _budget(monthly_budget, currency)}
            found = await rest.put("invoicing", path, body)
    return found | {"currency": currency}


def _budget(given: str, currency: str) -> int | None:
    """Return the amount in minor units. Raises CliError."""
    if given == "none":
        return None
    amount = minor_of(given, currency)
    if amount is None or amount > BUDGET_MAX:
        raise CliError(f"{given!r} is not an amount in {currency}", "Write it like 1000.00, or none.")
    return amount


def list_orders(tenant: str, status: str | None, as_json: bool) -> None:
    columns = ("order", "status", "quote", "approved at", "approved by", "invoice", "reason")
    show_rows(run(_pages(f"/v1/tenants/{tenant}/orders", status=status)), as_json, columns, _order_cells, fixed="order")


def _order_cells(order: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        order["order"],
        order["status"],
        order["quote"],
        order["approved_at"],
        order["approved_by"]["id"],
        order["invoice"] or "",
        order["reason"],
    )


def show_order(tenant: str, order: str, as_json: bool) -> None:
    found = run(_get(f"/v1/tenants/{tenant}/orders/{order}"))
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    invoice = f", invoice {found['invoice']}" if found["invoice"] else ""
    out.print(f"Order {found['order']} of quote {found['quote']}, {found['status']}{invoice}", markup=False)
    _show_history(found["history"])


async def _get(path: str) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = await rest.get("invoicing", path)
        return found


async def _pages(path: str, **only: str | None) -> list[dict[str, Any]]:
    async with Rest(addresses()) as rest:
        return await rest.pages("invoicing", path, **only)


async def _post(path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = await rest.post("invoicing", path, body, {"Idempotency-Key": ids.new_id(), **(headers or {})})
        return found
