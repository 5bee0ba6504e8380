"""`seatpool operator …`: what the vendor does in a tenant."""

import typer

from cli.console import run
from cli.rest import Rest, addresses


def open_tenant(tenant: str, reason: str) -> None:
    typer.echo(run(_open(tenant, reason)))


async def _open(tenant: str, reason: str) -> str:
    async with Rest(addresses()) as rest:
        answer = await rest.post("users", f"/v1/tenants/{tenant}/operator-access", {"reason": reason})
    return str(answer["access_token"])
