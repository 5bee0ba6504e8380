"""`seatpool licences …`: reductions, and the licences of the next period."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import typer
from rich.table import Table

from cli.console import CliError, counted, out, run
from cli.people.find import names_of
from cli.rest import Rest, addresses
from shared import ids
from shared.money import format_amount

WAIT = {"Prefer": "wait=10"}  # for seats
PEOPLE_SHOWN = 20


def reduce(tenant: str, totals: Sequence[str], yes: bool, as_json: bool) -> None:
    """Show what a reduction changes, and approve it."""
    items = _items(totals)
    offer = run(_send(tenant, "POST", f"/v1/tenants/{tenant}/reductions", {"items": items}, shown=not yes))
    if not yes:
        typer.confirm("Approve the reduction?", abort=True)
    done = run(_send(tenant, "POST", offer["approve_url"], {}, WAIT, shown=not as_json))
    if as_json:
        typer.echo(orjson.dumps(done).decode())


def set_next_period(tenant: str, totals: Sequence[str], as_json: bool) -> None:
    done = run(_send(tenant, "PUT", f"/v1/tenants/{tenant}/next-period", {"items": _items(totals)}, WAIT, shown=not as_json))
    if as_json:
        typer.echo(orjson.dumps(done).decode())


def _items(totals: Sequence[str]) -> list[dict[str, Any]]:
    """Return what REST takes. Raises BadParameter."""
    items = []
    for given in totals:
        module, _, total = given.partition("=")
        if not module or not total.isascii() or not total.isdigit():
            raise typer.BadParameter(f"{given!r} is not MODULE=TOTAL with a whole number, for example time=6.")
        items.append({"module": module, "total": int(total)})
    return items


async def names_flagged(rest: Rest, tenant: str, found: Mapping[str, Any]) -> dict[str, str]:
    """Return the names of the people who are shown as over the limit."""
    users = list(dict.fromkeys(user for each in found["would_flag"] or () for user in each["users"][:PEOPLE_SHOWN]))
    return dict(zip(users, await names_of(rest, tenant, users), strict=True))


def shown_people(flagged: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """Return the first people who would be over the limit of a module. A reader who sees only some people gets the number alone."""
    shown = [names.get(user, user) for user in flagged["users"][:PEOPLE_SHOWN]]
    left = flagged["count"] - len(shown)
    return ", ".join([*shown, f"{left} more"] if left and shown else shown or [counted(flagged["count"], "person", "people")])


def _print(found: Mapping[str, Any], names: Mapping[str, str]) -> None:
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
        people = shown_people(each, names)
        out.print(f"Over the limit of {each['module']} if nothing else changes: {people}. Deactivate people in time.", markup=False)
    for each in found["would_cancel"] or ():
        out.print(f"Reservations of {each['module']} for invited people that end first: {each['count']}.", markup=False)
    before, after = found["next_period_before"], found["next_period_after"]
    if before and after:
        amounts = [format_amount(each["net_minor"], found["currency"], "en") for each in (before, after)]
        out.print(f"Next period of the whole subscription: {amounts[0]} net now, {amounts[1]} net then", markup=False)
    if found["credit_net_minor"]:
        whole, unbilled = found["credit_net_minor"], found["unbilled_net_minor"]
        credit, deducted, noted = (format_amount(each, found["currency"], "en") for each in (whole, unbilled, whole - unbilled))
        out.print(f"Credit: {credit} net", markup=False)
        if unbilled:
            out.print(f"- {deducted} is deducted from charges that are on no invoice yet", markup=False)
        if unbilled < whole:
            out.print(f"- {noted} by credit note at the end of the day" if found["credit"] == "now" else f"- {noted} on the next invoice")


async def _send(
    tenant: str, method: str, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None, *, shown: bool
) -> dict[str, Any]:
    """Return the reduction, and print it if it is to be shown. Raises CliError if seats refused it."""
    async with Rest(addresses()) as rest:
        call, key = (rest.post, {"Idempotency-Key": ids.new_id()}) if method == "POST" else (rest.put, {})
        found = _checked(await call("invoicing", path, body, {**key, **(headers or {})}))
        if shown:
            _print(found, await names_flagged(rest, tenant, found))
        return found


def _checked(found: dict[str, Any]) -> dict[str, Any]:
    """Raise CliError if seats refused the reduction."""
    if found["status"] == "refused":
        raise CliError(f"seats refused the reduction: {found['reason']}", f"Its details: {orjson.dumps(found['detail']).decode()}")
    return found
