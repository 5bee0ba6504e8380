"""`seatpool owners …`: the owners of a tenant, who have every right in it."""

from operator import itemgetter
from typing import Any

from cli.console import CliError, out, run, show_rows
from cli.rest import Rest, addresses
from shared import ids

OWNER = "owner"


def list_owners(tenant: str, as_json: bool) -> None:
    columns = ("person", "name", "e-mail address", "status")
    show_rows(run(_list(tenant)), as_json, columns, itemgetter("user", "name", "email", "status"), fixed="person")


async def _list(tenant: str) -> list[dict[str, Any]]:
    async with Rest(addresses()) as rest:
        return await rest.pages("users", f"/v1/tenants/{tenant}/people", role=OWNER, status="all")


def add(tenant: str, email: str, name: str) -> None:
    person, is_new = run(_add(tenant, email, name))
    out.print(
        f"{email} is an owner of {tenant} ({'added and invited' if is_new else 'was a person of this tenant before'}: {person}).",
        markup=False,
    )


async def _add(tenant: str, email: str, name: str) -> tuple[str, bool]:
    async with Rest(addresses()) as rest:
        return await make_owner(rest, tenant, email, name)


async def make_owner(rest: Rest, tenant: str, email: str, name: str) -> tuple[str, bool]:
    """Make the person with this e-mail address an owner; add and invite the person if there is none. Return the person, and whether
    the person is new."""
    people = f"/v1/tenants/{tenant}/people"
    found = [each for each in await rest.pages("users", people, text=email) if each["email"].lower() == email.lower()]
    if len(found) > 1:
        named = ", ".join(each["login"] or each["user"] for each in found)
        raise CliError(f"{len(found)} people have this e-mail address: {named}", "Give the role with `PUT …/people/{user}/roles`.")
    if found:
        user = found[0]["user"]
    else:
        body = {"email": email, "login": email, "name": name, "invitation": {"days": 30, "reserve": False}}
        user = (await rest.post("users", people, body, {"Idempotency-Key": ids.new_id()}))["user"]
    roles = {*(await rest.get("users", f"{people}/{user}/roles"))["roles"], OWNER}
    await rest.call("PUT", "users", f"{people}/{user}/roles", json={"roles": sorted(roles)}, headers={"If-Match": "*"})
    return user, not found
