"""`seatpool people list`, `show` and `data`: what is known about people."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from cli.console import out, run, shown
from cli.people.find import find, people_path
from cli.rest import Rest, addresses

_STYLES = {"active": "green", "over_limit": "yellow", "waiting": "yellow", "invited": "cyan", "refused": "red", "deactivated": "red"}
_STYLES |= {"conflict": "red", "left": "dim", "inactive": "dim"}
_FIELDS = ("user", "external_id", "source", "login", "email", "name", "job_title", "department", "profile", "kind", "status", "created_at")
Person = Mapping[str, Any]


def list_people(tenant: str, filters: Mapping[str, Any], as_json: bool) -> None:
    """Print the people to whom the filters apply."""

    async def fetch() -> list[dict[str, Any]]:
        async with Rest(addresses()) as rest:
            return await rest.pages("users", people_path(tenant), **filters)

    show_people(run(fetch()), as_json)


def show_people(people: Sequence[Person], as_json: bool) -> None:
    if as_json:
        out.print_json(data=people)
        return
    table = Table()
    for column in ("person", "name", "login", "department", "status", "modules"):
        table.add_column(column, overflow="fold")
    for each in people:
        modules = ", ".join(f"{module['module']} {module['state']}" for module in each["modules"])
        cells = (each["user"], each["name"], each["login"] or "", each["department"] or "", each["status"], modules)
        table.add_row(*map(escape, cells), style=_STYLES.get(each["status"]))
    out.print(table)
    out.print(f"{len(people)} {'person' if len(people) == 1 else 'people'}")


def show(tenant: str, given: str, as_json: bool) -> None:
    """Print a person, with the source of each value."""

    async def fetch() -> dict[str, Any]:
        async with Rest(addresses()) as rest:
            person = await find(rest, tenant, given)
            full: dict[str, Any] = await rest.get("users", f"{people_path(tenant)}/{person['user']}")
            return full

    show_person(run(fetch()), as_json)


def show_person(person: Person, as_json: bool, said: str = "") -> None:
    """Print a person after a request; `said` is what the request did."""
    if as_json:
        out.print_json(data=person)
        return
    if said:
        out.print(said, markup=False)
    table = Table(show_header=False)
    values = person.get("values") or {}
    for name in _FIELDS:
        source = values.get(name, {}).get("source", "")
        hides = "; ".join(f"{other['source']} states {other['value']}" for other in values.get(name, {}).get("hides", ()))
        style = _STYLES.get(person["status"]) if name == "status" else None
        table.add_row(name, escape(str(person.get(name) or "-")), escape(f"{source} {f'({hides})' if hides else ''}".strip()), style=style)
    if person.get("last_day"):
        table.add_row("last day", person["last_day"], "the employment ends after this day")
    for module in person["modules"]:
        until = f" until {module['deadline']}" if module.get("deadline") else ""
        why = f" ({module['reason']})" if module.get("reason") else ""
        table.add_row("module", escape(module["module"]), escape(f"{module['state']}{until}{why}"))
    for name, value in (person.get("overrides") or {}).items():
        table.add_row("override", escape(name), escape(shown(value)))
    for key in person.get("timelines") or ():
        table.add_row("reported by", escape(key["source"]), escape(key["external_id"]))
    if person.get("conflict"):
        table.add_row("conflict", escape(person["conflict"]["reason"]), escape(", ".join(person["conflict"]["people"])), style="red")
    for note in person.get("notes") or ():
        table.add_row("note", escape(note["type"]), escape(note["detail"]))
    out.print(table)
    show_hand_over(person.get("hand_over"))


def show_hand_over(hand_over: Mapping[str, Any] | None) -> None:
    if hand_over and hand_over["items"]:
        owned = ", ".join(f"{each['count']} {each['kind']}" for each in hand_over["items"])
        out.print(f"owns {owned}; heir: {heir_of(hand_over)}", markup=False)


def heir_of(hand_over: Mapping[str, Any]) -> str:
    """Return who takes over, by name if it may be shown."""
    return str(hand_over.get("heir_name") or hand_over["heir"] or "nobody is named")


def data(tenant: str, given: str) -> None:
    """Print everything that users stores about a person as JSON, and where the other services list what they store."""

    async def fetch() -> Any:
        async with Rest(addresses()) as rest:
            person = await find(rest, tenant, given)
            return await rest.get("users", f"{people_path(tenant)}/{person['user']}/data")

    out.print_json(data=run(fetch()))
