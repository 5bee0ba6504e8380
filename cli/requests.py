"""`seatpool requests …`: purchases and reductions by request, and the vendor's estimates."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import typer

from cli.console import CliError, counted, out, run, show_rows
from cli.payments import amount_of
from cli.rest import Rest, addresses
from shared import ids
from shared.money import format_amount, format_percent, minor_of

_DISCOUNT = re.compile(r"(?:([a-z0-9-]+)=)?([0-9]+(?:\.[0-9]+)?)(%)?(?:x([0-9]{1,3}))?")


def make(tenant: str, changes: Sequence[str], company: str, name: str, email: str, message: str, as_json: bool) -> None:
    body = {"company": company, "contact": {"name": name, "email": email}, "message": message, "items": [_change(each) for each in changes]}
    _show(run(_call("POST", _path(tenant), body)), as_json)


def _change(given: str) -> dict[str, Any]:
    """Return `time+6` or `time-2` as REST takes it. Raises BadParameter."""
    for sign, field in (("+", "add"), ("-", "reduce")):
        module, found, number = given.rpartition(sign)
        if found and module and number.isascii() and number.isdigit() and int(number):
            return {"module": module, field: int(number)}
    raise typer.BadParameter(f"{given!r} is not MODULE+NUMBER or MODULE-NUMBER, for example time+6.")


def list_requests(tenant: str | None, state: str | None, as_json: bool) -> None:
    """Show the requests of a tenant; without one, those of all tenants."""
    columns = ("request", "state", "company", "licences", "valid until", "orders")
    if tenant is None:
        found = run(_pages("/v1/operator/requests", state))
        show_rows(found, as_json, ("tenant", *columns), lambda each: (each["tenant"], *_cells(each)), fixed="request")
    else:
        show_rows(run(_pages(_path(tenant), state)), as_json, columns, _cells, fixed="request")


def _cells(request: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        request["request"],
        request["state"],
        request["company"],
        _items(request),
        request["valid_until"] or "",
        ", ".join(request["orders"]),
    )


def _items(request: Mapping[str, Any]) -> str:
    return ", ".join(f"{each['module']} " + (f"+{each['add']}" if each["add"] else f"-{each['reduce']}") for each in request["items"])


def show(tenant: str, request: str, as_json: bool) -> None:
    _show(run(_call("GET", f"{_path(tenant)}/{request}")), as_json)


def _show(found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    contact = found["contact"]
    out.print(f"Request {found['request']}, {found['state']}: {_items(found)}", markup=False)
    out.print(f"{found['company']}, {contact['name']} <{contact['email']}> {contact['phone']}".rstrip(), markup=False)
    for text in (found["message"], found["note"], found["price"]):
        if text:
            out.print(text, markup=False)
    for each in found["discounts"]:
        amount = "" if each["percent"] else format_amount(each["amount_minor"], found["currency"] or "EUR", "en")
        what = format_percent(each["percent"], "en") if each["percent"] else f"{amount} for each period"
        ends = (
            f", for {counted(each['periods'], 'period')}"
            if each["periods"]
            else f", until before {each['until_day']}"
            if each["until_day"]
            else ""
        )
        out.print(f"Discount: {what} on {each['module'] or 'the whole subscription'}{ends}", markup=False)
    if found["valid_until"]:
        out.print(f"The estimate can be approved until {found['valid_until']}.", markup=False)
    if found["next_before"] and found["next_after"]:
        before, after = (format_amount(found[side]["net_minor"], found["currency"], "en") for side in ("next_before", "next_after"))
        out.print(f"The next period of the whole subscription costs {after} net instead of {before}.", markup=False)
    for name in ("orders", "reductions"):
        if found[name]:
            out.print(f"{name}: {', '.join(found[name])}", markup=False)
    for step in found["history"]:
        out.print(f"{step['at']}  {step['state']}  by {step['by']['id']}", markup=False)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an estimate offers, as it was given."""

    prices: Sequence[str]
    discounts: Sequence[str]
    valid_until: str | None
    note: str


def estimate(tenant: str, request: str, terms: Terms, dry_run: bool, as_json: bool) -> None:
    """Offer what was requested on these terms, or show what that would cost."""
    _show(run(_estimate(tenant, request, terms, dry_run)), as_json)


async def _estimate(tenant: str, request: str, terms: Terms, dry_run: bool) -> dict[str, Any]:
    path = f"{_path(tenant)}/{request}"
    async with Rest(addresses()) as rest:
        known = await rest.get("invoicing", path)
        needs_currency = terms.prices or terms.discounts
        currency = (await rest.get("invoicing", f"/v1/tenants/{tenant}/subscription"))["currency"] if needs_currency else ""
        fixed = dict(_price(given, currency) for given in terms.prices)
        unknown = sorted(set(fixed) - {item["module"] for item in known["items"] if item["add"]})
        if unknown:
            raise CliError(f"the request adds no licences of {', '.join(unknown)}", "Give prices of modules whose licences are added.")
        items = [
            {"module": item["module"]}
            | ({"add": item["add"], "unit_price_minor": fixed.get(item["module"])} if item["add"] else {"reduce": item["reduce"]})
            for item in known["items"]
        ]
        discounts = [_discount(given, currency) for given in terms.discounts]
        body = {"items": items, "note": terms.note, "valid_until": terms.valid_until} | ({"discounts": discounts} if discounts else {})
        found: dict[str, Any] = await rest.put("invoicing", f"{path}/estimate" + ("?dry_run=true" if dry_run else ""), body)
        return found


def _discount(given: str, currency: str) -> dict[str, Any]:
    """Return `time=10%x3` as REST takes it. Raises CliError."""
    found = _DISCOUNT.fullmatch(given)
    if found is None:
        raise CliError(f"{given!r} is no discount", "Write it like 10%, time=10%x3, or 600.00 for an amount of each period.")
    module, value, percent, periods = found.groups()
    body: dict[str, Any] = {"percent": value} if percent else {"amount_minor": amount_of(value, currency)}
    return body | ({"module": module} if module else {}) | ({"periods": int(periods)} if periods else {})


def _price(given: str, currency: str) -> tuple[str, int]:
    """Return module and price in minor units. Raises CliError."""
    module, _, price = given.partition("=")
    amount = minor_of(price, currency)
    if not module or amount is None:
        raise CliError(f"{given!r} is not MODULE=PRICE in {currency}", "Write it like time=11.00.")
    return module, amount


def approve(tenant: str, request: str, yes: bool, as_json: bool) -> None:
    """Show what the estimate costs today, and approve it."""
    path = f"{_path(tenant)}/{request}"
    if not yes:
        _show(run(_call("GET", path)), as_json=False)
        typer.confirm("Approve the estimate?", abort=True)
    _show(run(_call("POST", f"{path}/approve", {})), as_json)


def decline(tenant: str, request: str, reason: str) -> None:
    run(_call("POST", f"{_path(tenant)}/{request}/decline", {"reason": reason}))
    out.print(f"The request {request} is declined.", markup=False)


def withdraw(tenant: str, request: str) -> None:
    run(_call("POST", f"{_path(tenant)}/{request}/withdraw", {}))
    out.print(f"The request {request} is withdrawn.", markup=False)


def set_ordering(tenant: str, ordering: str) -> None:
    found = run(_call("PUT", f"/v1/tenants/{tenant}/ordering", {"ordering": None if ordering == "plan" else ordering}))
    out.print(f"{tenant} buys: {found['ordering'].replace('_', ' ')}", markup=False)


def _path(tenant: str) -> str:
    return f"/v1/tenants/{tenant}/purchase-requests"


async def _pages(path: str, state: str | None) -> list[dict[str, Any]]:
    async with Rest(addresses()) as rest:
        return await rest.pages("invoicing", path, state=state)


async def _call(method: str, path: str, body: Any = None) -> dict[str, Any]:
    headers = {"Idempotency-Key": ids.new_id()} if method == "POST" else None
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = (await rest.call(method, "invoicing", path, json=body, headers=headers)).json()
        return found
