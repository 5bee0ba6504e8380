"""`seatpool people …`: what administrators do with people."""

import asyncio
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from cli.console import counted, out, run
from cli.hr.screen import progress
from cli.people.find import change, find, named, people_path
from cli.people.shown import heir_of, show_hand_over, show_person
from cli.rest import Rest, addresses
from shared import ids

POLL_SECONDS = 0.3
_REMOVABLE = ("login", "email", "department", "profile", "valid_to")
_LICENCES = {
    "free": "free: you can reduce the module by one licence",
    "given_up": "given up: the policy terminate_reduces_pool reduces the module",
    "reallocated": "reallocated to a person who is over the limit or waits",
}


def _send(tenant: str, given: str, method: str, last: str, body: Any = None, **headers: str) -> Any:
    async def send() -> Any:
        async with Rest(addresses()) as rest:
            return await change(rest, tenant, given, method, last, body, **headers)

    return run(send())


def _post(tenant: str, given: str, last: str, body: Any = None) -> Any:
    return _send(tenant, given, "POST", last, body, **{"Idempotency-Key": ids.new_id()})


def terminate(tenant: str, given: str, last_day: str, as_json: bool) -> None:
    """End a person's employment after a day, and print what becomes of the licences (A17)."""
    done = _post(tenant, given, "/terminate", {"last_day": last_day})
    if as_json:
        out.print_json(data=done)
        return
    show_person(done["person"], False, f"The last working day is {done['last_day']}.")
    if done["licences"] is None:
        out.print("[yellow]seats did not answer, so it is not known what becomes of the licences.[/]")
        return
    if done["licences"]:
        table = Table(title="licences after the last day", title_justify="left")
        table.add_column("module")
        table.add_column("")
        for each in done["licences"]:
            table.add_row(escape(each["module"]), _LICENCES.get(each["state"], each["state"]))
        out.print(table)
    if done["reduction"]:
        totals = " ".join(f"{each['module']}={each['total']}" for each in done["reduction"]["items"])
        out.print(f"To give up the free licences: seatpool licences reduce {totals} --tenant {tenant}", markup=False)


def take_termination_back(tenant: str, given: str, as_json: bool) -> None:
    show_person(_send(tenant, given, "DELETE", "/terminate"), as_json, "The termination is taken back.")


def invite(tenant: str, given: str, days: int, *, reserve: bool, as_json: bool) -> None:
    """Invite a person, or send the invitation again."""
    person = _post(tenant, given, "/invite", {"days": days, "reserve": reserve})
    show_person(person, as_json, f"Invited until {person['invitation']['expires_at']}.")


def reactivate(tenant: str, given: str, modules: list[str] | None, as_json: bool) -> None:
    body = {"modules": modules} if modules else None
    show_person(_post(tenant, given, "/reactivate", body), as_json, "The seats are requested again.")


def reactivate_refused(tenant: str, *, include_revoked: bool, as_json: bool) -> None:
    """Request the seats of all refused people again, and wait until the job has done so."""
    done = run(_reactivate_refused(tenant, include_revoked=include_revoked))
    if as_json:
        out.print_json(data=done)
        return
    out.print(f"The seats of {counted(done['done'], 'person', 'people')} are requested again, in the order in which they were refused.")
    out.print(f"Who is still refused: seatpool people list --tenant {tenant} --status refused", markup=False)


async def _reactivate_refused(tenant: str, *, include_revoked: bool) -> dict[str, Any]:
    params = {"include": "revoked"} if include_revoked else {}
    async with Rest(addresses()) as rest:
        work: dict[str, Any] = await rest.post("users", f"{people_path(tenant)}/reactivate-refused", params=params)
        with progress("requesting", work["total"]) as advance:
            done = 0
            while work["status"] != "finished":
                await asyncio.sleep(POLL_SECONDS)
                work = await rest.get("users", f"/v1/tenants/{tenant}/reevaluations/{work['reevaluation']}")
                advance(work["done"] - done)
                done = work["done"]
        return work


def replace(tenant: str, given: str, by: str, afterwards: str, as_json: bool) -> None:
    """Give the seats of a person to another one."""

    async def send() -> Any:
        async with Rest(addresses()) as rest:
            other = await find(rest, tenant, by)
            body = {"to": other["user"], "afterwards": afterwards}
            return await change(rest, tenant, given, "POST", "/replace", body, **{"Idempotency-Key": ids.new_id()})

    done = run(send())
    if as_json:
        out.print_json(data=done)
        return
    show_person(done["replacement"], False, f"{named(done['replacement'])} gets the seats of {named(done['replaced'])}.")


def hand_over(tenant: str, given: str, heir: str | None, *, nobody: bool, as_json: bool) -> None:
    """Print what a person owns and who takes it over; name the heir, if one is given."""

    async def send() -> Any:
        async with Rest(addresses()) as rest:
            if heir is None and not nobody:
                return await change(rest, tenant, given, "GET", "/owned-items")
            user = None if heir is None else (await find(rest, tenant, heir))["user"]
            return await change(rest, tenant, given, "PUT", "/heir", {"heir": user})

    done = run(send())
    if as_json:
        out.print_json(data=done)
    elif done["items"]:
        show_hand_over(done)
    else:
        out.print(f"The product has not stated that this person owns anything; heir: {heir_of(done)}", markup=False)


def erase(tenant: str, given: str, *, yes: bool, as_json: bool) -> None:
    """Erase the data of a person who has left."""
    person = _found(tenant, given)
    if not yes:
        typer.confirm(f"Erase name, login, e-mail address and external ids of {named(person)}? This cannot be undone", abort=True, err=True)
    show_person(_send(tenant, person["user"], "POST", "/erase"), as_json, "The data are erased in all services.")


def link(tenant: str, given: str, to: str, as_json: bool) -> None:
    """Make one person of two: what is stated about the first one belongs to the other."""

    async def send() -> Any:
        async with Rest(addresses()) as rest:
            other = await find(rest, tenant, to)
            return await change(rest, tenant, given, "POST", "/link", {"to": other["user"]}, **{"Idempotency-Key": ids.new_id()})

    show_person(run(send()), as_json, "They are one person now.")


def separate(tenant: str, given: str, source: str | None, external_id: str | None, as_json: bool) -> None:
    """End a conflict, or make a person of their own of the one whom a source describes."""
    body = {"source": source, "external_id": external_id} if source is not None else None
    show_person(_post(tenant, given, "/separate", body), as_json, "They are two people.")


def set_override(tenant: str, given: str, values: list[str], as_json: bool) -> None:
    """Set values of a person: of somebody whom a source reports, these are overrides."""
    body: dict[str, Any] = {}
    for each in values:
        name, equals, value = each.partition("=")
        if not equals:
            raise typer.BadParameter(f"{each!r} is not FIELD=VALUE, for example department=Sales; FIELD= removes the value.")
        body[name.strip()] = _value(name.strip(), value)

    async def send() -> Any:
        async with Rest(addresses()) as rest:
            person = await find(rest, tenant, given)
            etag = f'"{person["version"]}"'
            return await change(rest, tenant, person["user"], "PATCH", "", body, **{"If-Match": etag})

    show_person(run(send()), as_json, "The person is changed.")


def _value(name: str, value: str) -> Any:
    """Return the value of a field as REST takes it. No value removes what can be missing."""
    if name in ("may_log_in", "administrator"):
        return {"true": True, "false": False}.get(value, value)
    if name == "priority":
        return int(value) if value.isascii() and value.removeprefix("-").isdigit() else value
    return value or (None if name in _REMOVABLE else "")


def remove_override(tenant: str, given: str, field: str, as_json: bool) -> None:
    show_person(_send(tenant, given, "DELETE", f"/overrides/{field}"), as_json, f"{field} is what the sources state again.")


def _found(tenant: str, given: str) -> dict[str, Any]:
    async def fetch() -> dict[str, Any]:
        async with Rest(addresses()) as rest:
            return await find(rest, tenant, given)

    return run(fetch())
