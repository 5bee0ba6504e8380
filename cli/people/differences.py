"""`seatpool people differences`: HR systems, SCIM connections, users and seats, compared."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from cli.console import counted, out, run
from cli.rest import PAGE_ITEMS, Rest, addresses

_SUMMED = ("examined", "employed", "requiring", "differing", "hidden")


def differences(tenant: str, kinds: Sequence[str], as_json: bool) -> None:
    """Print the numbers of each source, users and seats, and then a table of the people who differ."""
    found = run(_fetch(tenant, kinds))
    if as_json:
        out.print_json(data=found)
        return
    _show_counts(found)
    if not found["items"]:
        out.print("[green]Nobody differs.[/]" if not found["differing"] else "You see none of the people who differ.")
        return
    table = Table(title="people who differ", title_justify="left", show_lines=True)
    table.add_column("person", overflow="fold")
    table.add_column("kind", style="yellow", no_wrap=True)
    table.add_column("what differs", overflow="fold", ratio=1)
    table.add_column("what it would change", overflow="fold", ratio=1)
    for person in found["items"]:
        for number, each in enumerate(person["differences"]):
            name = escape(f"{person['name'] or ''}\n{person['user']}".strip()) if number == 0 else ""
            table.add_row(name, escape(each["kind"]), escape(each["text"]), escape(each["change"]))
    out.print(table)


def _show_counts(found: Mapping[str, Any]) -> None:
    table = Table(title_justify="left")
    table.add_column("who")
    table.add_column("people", justify="right")
    table.add_column("")
    for source in found["sources"]:
        blocked = f"{source['blocked']} of them blocked" if source["blocked"] else ""
        table.add_row(escape(source["source"]), str(source["employed"]), blocked)
    table.add_row("users", str(found["employed"]), f"{found['requiring']} of them require modules")
    has_seats = found["with_seat"] is not None
    table.add_row(
        "seats", str(found["with_seat"]) if has_seats else "?", "have a seat" if has_seats else f"[red]{found['seats_detail']}[/]"
    )
    out.print(table)
    hidden = f", {found['hidden']} of them outside your departments" if found["hidden"] else ""
    differ = "differs" if found["differing"] == 1 else "differ"
    out.print(f"{found['differing']} of {counted(found['examined'], 'person', 'people')} {differ}{hidden}.")


async def _fetch(tenant: str, kinds: Sequence[str]) -> dict[str, Any]:
    """Return all pages as one: their counts are added up."""
    total: dict[str, Any] = {}
    cursor: str | None = None
    async with Rest(addresses()) as rest:
        while True:
            params = {"limit": PAGE_ITEMS, "cursor": cursor, "kind": list(kinds) or None}
            page = await rest.get("users", f"/v1/tenants/{tenant}/differences", **params)
            total = _added(total, page) if total else page
            if (cursor := page["next"]) is None:
                return {name: value for name, value in total.items() if name not in ("next", "text")}


def _added(total: Mapping[str, Any], page: Mapping[str, Any]) -> dict[str, Any]:
    sources = {each["source"]: dict(each) for each in total["sources"]}
    for each in page["sources"]:
        known = sources.setdefault(each["source"], {**each, "employed": 0, "blocked": 0})
        known["employed"] += each["employed"]
        known["blocked"] += each["blocked"]
    seats = None if None in (total["with_seat"], page["with_seat"]) else total["with_seat"] + page["with_seat"]
    return {
        **{name: total[name] + page[name] for name in _SUMMED},
        "sources": list(sources.values()),
        "with_seat": seats,
        "seats_detail": total["seats_detail"] or page["seats_detail"],
        "items": [*total["items"], *page["items"]],
    }
