"""`seatpool subscription …`: changes of a running subscription."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import typer
from rich.table import Table

from cli.console import counted, fail, out, run, shown
from cli.licences import names_flagged, shown_people
from cli.rest import Rest, addresses
from shared.money import format_amount

DECISION_WAIT = {"Prefer": "wait=10"}
NUMBERS = ("flag_cap", "expand_cap")
OF_SUBSCRIPTION = ("charge_when", "credit_when", "zero_invoices", "price_notice")


def policies(tenant: str, given: Sequence[str], own: dict[str, str | None], as_json: bool) -> None:
    """Change policies; without any, show those that hold. `given` has each policy of a pool as `module.policy=value`; an empty value
    removes it."""
    modules: dict[str, dict[str, Any]] = {}
    for each in given:
        field, equals, value = each.partition("=")
        module, dot, name = field.partition(".")
        if not (equals and dot and module and name):
            fail(f"{each!r} is not a policy of a pool", "Write it as module.policy=value, for example time.grace=P14D")
        modules.setdefault(module, {})[name] = _value(name, value)
    body: dict[str, Any] = {name: _value(name, value) for name, value in own.items() if value is not None}
    if not body and not modules:
        _show_present(run(_present(tenant)), as_json)
    else:
        _show(run(_patch(tenant, body | ({"modules": modules} if modules else {}))), as_json)


async def _present(tenant: str) -> dict[str, Any]:
    """Return the policies of the subscription and of its pools, as `module.policy`."""
    async with Rest(addresses()) as rest:
        found = await rest.get("invoicing", f"/v1/tenants/{tenant}/subscription")
    pools = {f"{each['module']}.{name}": value for each in found["modules"] for name, value in each["policies"].items()}
    return {name: found[name] for name in OF_SUBSCRIPTION} | pools


def _show_present(policies: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(policies).decode())
        return
    table = Table()
    for column in ("what", "now"):
        table.add_column(column)
    for name, value in policies.items():
        table.add_row(name, shown(value))
    out.print(table)


def _value(name: str, value: str) -> Any:
    if not value:
        return None
    if name in NUMBERS and value.isascii() and value.isdigit():
        return int(value)
    return {"true": True, "false": False}.get(value, value)


async def _patch(tenant: str, body: dict[str, Any]) -> Any:
    async with Rest(addresses()) as rest:
        path = f"/v1/tenants/{tenant}/subscription/policies"
        return (await rest.call("PATCH", "invoicing", path, json=body, headers=DECISION_WAIT)).json()


def _show(change: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(change).decode())
        return
    table = Table()
    for column in ("what", "before", "now"):
        table.add_column(column)
    for each in change["changes"]:
        table.add_row(each["field"], *("none" if each[side] is None else shown(each[side]) for side in ("old", "new")))
    out.print(table)
    out.print(f"The change {change['change']} is {change['status']}{': ' + change['reason'] if change['reason'] else ''}.")


def add_module(tenant: str, module: str, licences: int, yes: bool, as_json: bool) -> None:
    run(_add_module(tenant, {"module": module, "licences": licences}, yes, as_json))


async def _add_module(tenant: str, body: dict[str, Any], yes: bool, as_json: bool) -> None:
    async with Rest(addresses()) as rest:
        quote = await rest.post("invoicing", f"/v1/tenants/{tenant}/subscription/modules", body)
        if not yes:
            _confirm(quote)
        order = await rest.post("invoicing", quote["approve_url"], {}, headers=DECISION_WAIT)
    if as_json:
        typer.echo(orjson.dumps(order).decode())
    else:
        out.print(f"The order {order['order']} is {order['status']}{': ' + order['reason'] if order['reason'] else ''}.")


def _confirm(quote: dict[str, Any]) -> None:
    """Show what the quote costs, and ask whether it is approved."""
    (line,) = quote["lines"]
    when = "now" if quote["charge"] == "now" else "with the next invoice"
    days = f"for {line['days']} of {counted(line['days_of_period'], 'day')}"
    out.print(f"{counted(line['quantity'], 'licence')} of {line['module']}: {quote['gross']} {when} ({days}).")
    if quote["next_period"] is not None:
        before, after = (format_amount(quote["next_period"][side]["net_minor"], quote["currency"], "en") for side in ("before", "after"))
        out.print(f"The next period of the whole subscription costs {after} net instead of {before}.")
    typer.confirm("Approve the quote?", abort=True)


def change_plan(tenant: str, body: dict[str, str], yes: bool, as_json: bool) -> None:
    found = run(_change_plan(tenant, body, yes))
    if as_json:
        typer.echo(orjson.dumps(found).decode())
    else:
        out.print(f"The change {found['change']} to {found['plan']} ({found['term']}) is {found['status']}.")


async def _change_plan(tenant: str, body: dict[str, str], yes: bool) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        offer: dict[str, Any] = await rest.post("invoicing", f"/v1/tenants/{tenant}/subscription/plan-changes", body)
        if not yes:
            _show_offer(offer, await names_flagged(rest, tenant, offer))
            typer.confirm("Approve the change?", abort=True)
        approved: dict[str, Any] = await rest.post("invoicing", offer["approve_url"], {})
        return approved


def _show_offer(offer: dict[str, Any], names: Mapping[str, str]) -> None:
    """Show what a change of plan or term costs, what closes, who would be flagged, and how many reservations end."""
    price = offer["price"]

    def net(amounts: dict[str, int]) -> str:
        return format_amount(amounts["net_minor"], price["currency"], "en")

    out.print(f"{offer['plan']} ({offer['term']}), from {offer['takes_effect_on']} on.")
    if price["now"]["net_minor"]:
        when = "at the end of the day" if price["charge"] == "now" else "with the next invoice"
        out.print(f"For the rest of this period: {net(price['now'])} net, {when}.")
    out.print(f"The next period costs {net(price['next_after'])} net instead of {net(price['next_before'])}.")
    for module in offer["closes"]:
        out.print(f"{module} closes: the plan does not sell it.")
    for item in offer["reduces"]:
        out.print(f"{item['module']} will have {counted(item['total'], 'licence')} instead of {item['before']}.")
    for change in offer["changes"]:
        if "." in change["field"]:
            out.print(f"{change['field']}: {shown(change['new'])} instead of {shown(change['old'])}.")
    for each in offer["would_cancel"] or ():
        out.print(f"Reservations of {each['module']} for invited people that end first: {each['count']}.")
    for each in offer["would_flag"] or ():
        people = counted(each["count"], "person", "people")
        out.print(f"{people} of {each['module']} would be over the limit: {shown_people(each, names)}", markup=False)


def withdraw_plan(tenant: str, change: str) -> None:
    found = run(_withdraw(tenant, change))
    out.print(f"The change {found['change']} is {found['status']}.")


async def _withdraw(tenant: str, change: str) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        path = f"/v1/tenants/{tenant}/subscription/plan-changes/{change}/withdraw"
        found: dict[str, Any] = await rest.post("invoicing", path, {})
        return found
