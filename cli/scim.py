"""`seatpool scim …`: SCIM connections of a tenant and their tokens."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
import typer

from cli.added_licences import show_licences
from cli.console import CliError, counted, out, run, show_rows
from cli.rest import Rest, addresses
from cli.settings import CliSettings
from shared.settings import load

_ON_FULL: Final = {"create": "is added", "refuse": "is refused"}
_DEACTIVATION: Final = {"suspends": "may not log in", "leaves": "has left"}


def token(tenant: str, source: str, days: int, as_json: bool) -> None:
    issued = run(_issue(tenant, source, days))
    typer.echo(orjson.dumps(issued).decode() if as_json else issued["secret"])


def list_connections(tenant: str, as_json: bool) -> None:
    columns = ("connection", "people", "user without a licence", "inactive user", "tokens (valid until)", "last request (UTC)")
    show_rows(run(_list(tenant)), as_json, columns, _cells, fixed="tokens (valid until)")


def _cells(connection: Mapping[str, Any]) -> tuple[str, ...]:
    tokens = "\n".join(f"{each['token']} ({each['expires_at'][:10]})" for each in connection["tokens"])
    last = (connection["last_request_at"] or "none")[:16].replace("T", " ")
    full, inactive = _ON_FULL[connection["on_full"]], _DEACTIVATION[connection["deactivation"]]
    return connection["connection"], str(connection["people"]), full, inactive, tokens or "none", last


def revoke(tenant: str, source: str, token_id: str) -> None:
    run(_revoke(tenant, source, token_id))
    out.print(f"The token {token_id} is no longer valid.")


def remove(tenant: str, source: str, *, dry_run: bool, confirm: int | None, as_json: bool) -> None:
    """Remove a connection, or say what that would lead to."""
    found = run(_remove(tenant, source, dry_run=dry_run, confirm=confirm))
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    out.print(f"{source} reports {counted(found['people'], 'person', 'people')} and has {counted(found['groups'], 'group')}.", markup=False)
    ends, begins = found["would_end"], found["would_begin"]
    lose, are = "loses" if ends == 1 else "lose", "is" if begins == 1 else "are"
    people = [counted(each, "person", "people") for each in (ends, begins)]
    out.print(f"{people[0]} {lose} access, and {people[1]} {are} no longer blocked.")
    if dry_run:
        if not found["licences"]["decided"]:
            out.print(
                "It is not known whether licences would be added or given back: this is computed only for connections of at most 100 "
                "people, and only while seats answers."
            )
        show_licences(found["licences"])
    if not dry_run:
        out.print(f"The connection {source} was removed. Its people are changed in the background.", markup=False)
    elif found["needs_confirmation"]:
        out.print(
            f"To remove it, confirm the number: seatpool scim remove --tenant {tenant} --source {source} --confirm {found['would_end']}"
        )


async def _issue(tenant: str, source: str, days: int) -> dict[str, Any]:
    """Issue a token. A connection that does not exist is added with its default settings."""
    path = f"/v1/tenants/{tenant}/scim-connections/{source}"
    async with Rest(addresses()) as rest:
        known = await _list_with(rest, tenant)
        if source not in {each["connection"] for each in known}:
            await rest.put("users", path, {})
        issued: dict[str, Any] = await rest.post("users", f"{path}/tokens", {"expires_in_days": days})
        return issued | {"base_url": load(CliSettings).scim_base_url(rest.where.urls["users"])}


async def _remove(tenant: str, source: str, *, dry_run: bool, confirm: int | None) -> dict[str, Any]:
    query = "?dry_run=true" if dry_run else f"?confirm={confirm}" if confirm is not None else ""
    async with Rest(addresses()) as rest:
        found: dict[str, Any] = (await rest.call("DELETE", "users", f"/v1/tenants/{tenant}/scim-connections/{source}{query}")).json()
        return found


async def _list(tenant: str) -> list[dict[str, Any]]:
    async with Rest(addresses()) as rest:
        return await _list_with(rest, tenant)


async def _list_with(rest: Rest, tenant: str) -> list[dict[str, Any]]:
    return await rest.pages("users", f"/v1/tenants/{tenant}/scim-connections")


async def _revoke(tenant: str, source: str, token_id: str) -> None:
    async with Rest(addresses()) as rest:
        found = {each["connection"]: each["tokens"] for each in await _list_with(rest, tenant)}
        if token_id not in {each["token"] for each in found.get(source, [])}:
            raise CliError(f"{source} has no valid token {token_id}", f"List them: seatpool scim list --tenant {tenant}")
        await rest.call("DELETE", "users", f"/v1/tenants/{tenant}/scim-connections/{source}/tokens/{token_id}")
