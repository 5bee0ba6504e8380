"""Find a person by what an administrator knows: the id, the login, the e-mail address or the external id."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from cli.console import CliError
from cli.rest import Rest

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KNOWN_BY = ("user", "login", "email", "external_id")


def people_path(tenant: str) -> str:
    return f"/v1/tenants/{tenant}/people"


def named(person: Mapping[str, Any]) -> str:
    """Return the name with the login, or what is known of the two."""
    name, login = person["name"], person["login"]
    return f"{name} ({login})" if name and login else str(name or login or person["user"])


async def names_of(rest: Rest, tenant: str, users: Sequence[str]) -> list[str]:
    """Return the name of each person, or the id of one whom the reader does not see."""

    async def name_of(user: str) -> str:
        try:
            return named(await rest.get("users", f"{people_path(tenant)}/{user}"))
        except CliError:
            return user

    return await asyncio.gather(*map(name_of, users))


async def find(rest: Rest, tenant: str, given: str) -> dict[str, Any]:
    """Return the person. Raises CliError for nobody, and for several people who are known by this."""
    if _ID.fullmatch(given):
        person: dict[str, Any] = await rest.get("users", f"{people_path(tenant)}/{given}")
        return person
    listed = await rest.pages("users", people_path(tenant), text=given[:100], status="all")
    key = given.casefold()
    found = [each for each in listed if key in {str(each[name] or "").casefold() for name in _KNOWN_BY}]
    found = [each for each in found if each["status"] != "left"] or found
    if not found:
        raise CliError(
            f"nobody in {tenant} has the id, login, e-mail address or external id {given}", "`seatpool people list` shows people."
        )
    if len(found) > 1:
        named = ", ".join(f"{each['name'] or each['login'] or ''} ({each['user']})" for each in found[:5])
        raise CliError(f"{len(found)} people are known by {given}: {named}", "Use the id of one of them.")
    return found[0]


async def change(rest: Rest, tenant: str, given: str, method: str, last: str, body: Any = None, **headers: str) -> Any:
    """Send a request about a person; return the answer. `last` is what follows the person's id in the path."""
    person = await find(rest, tenant, given)
    response: httpx.Response = await rest.call(
        method, "users", f"{people_path(tenant)}/{person['user']}{last}", json=body, headers=headers or None
    )
    return response.json() if response.content else None
