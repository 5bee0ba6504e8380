"""`seatpool clients …`: the API clients of a tenant."""

from collections.abc import Mapping
from typing import Any

from cli.console import out, run, show_rows
from cli.rest import Rest, addresses
from shared import ids


def list_clients(tenant: str, as_json: bool) -> None:
    columns = ("client", "name", "rights", "secrets (since)")
    show_rows(run(_list(tenant)), as_json, columns, _cells, fixed="client")


def _cells(client: Mapping[str, Any]) -> tuple[str, ...]:
    secrets = "\n".join(f"{each['secret_id']} ({each['created_at'][:10]})" for each in client["secrets"])
    return client["client"], client["name"], " ".join(client["rights"]), secrets or "none"


async def _list(tenant: str) -> list[dict[str, Any]]:
    async with Rest(addresses()) as rest:
        return await rest.pages("users", _path(tenant))


def add(tenant: str, name: str, rights: str, as_json: bool) -> None:
    client = run(_add(tenant, name, rights.split()))
    if as_json:
        out.print_json(data=client)
        return
    out.print(f"client_id: {client['client']}", markup=False)
    _show_secret(str(client["secret"]))


async def _add(tenant: str, name: str, rights: list[str]) -> dict[str, Any]:
    async with Rest(addresses()) as rest:
        body = {"name": name, "rights": rights}
        found: dict[str, Any] = await rest.post("users", _path(tenant), body, {"Idempotency-Key": ids.new_id()})
        return found


def add_secret(tenant: str, client: str, as_json: bool) -> None:
    secret = run(_add_secret(tenant, client))
    if as_json:
        out.print_json(data=secret)
        return
    _show_secret(secret["secret"])
    out.print("The older secret stays valid. Remove it with `seatpool clients remove-secret` when no program uses it any more.")


async def _add_secret(tenant: str, client: str) -> dict[str, str]:
    async with Rest(addresses()) as rest:
        found: dict[str, str] = await rest.post("users", f"{_path(tenant)}/{client}/secrets")
        return found


def _show_secret(secret: str) -> None:
    out.print(f"client_secret: {secret}", markup=False, soft_wrap=True)
    out.print("Store the secret now: it is not shown again.")


def remove_secret(tenant: str, client: str, secret: str) -> None:
    run(_delete(f"{_path(tenant)}/{client}/secrets/{secret}"))
    out.print("The secret is removed. Tokens that were requested with it end after at most 5 minutes.")


def revoke(tenant: str, client: str) -> None:
    run(_delete(f"{_path(tenant)}/{client}"))
    out.print("The client is revoked. Its last token ends after at most 5 minutes.")


async def _delete(path: str) -> None:
    async with Rest(addresses()) as rest:
        await rest.call("DELETE", "users", path)


def _path(tenant: str) -> str:
    return f"/v1/tenants/{tenant}/clients"
