"""`seatpool token`: an access token for the local stack, or for any deployment whose operator secret is at hand."""

import httpx
import typer

from cli.console import CliError, fail, no_stack, run
from cli.names import ALL_RIGHTS
from cli.rest import TIMEOUT_SECONDS, Addresses, addresses, refusal


async def fetch_token(where: Addresses, *, tenant: str | None, rights: str, ttl_seconds: int, subject: str | None = None) -> str:
    """Request an access token as the client `operator`. Raises CliError."""
    if not where.urls.get("users"):
        raise CliError("the address of users is unknown", no_stack("set SEATPOOL_USERS_URL"))
    if not where.operator_secret:
        raise CliError(
            "the secret of the operator is unknown", "Set SEATPOOL_OPERATOR_SECRET. (A local stack writes its own secret to stack.json.)"
        )
    form = {
        "grant_type": "client_credentials",
        "client_id": "operator",
        "client_secret": where.operator_secret,
        "scope": rights,
        "ttl_seconds": str(ttl_seconds),
    }
    form |= {name: value for name, value in (("tenant", tenant), ("subject", subject)) if value is not None}
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
        response = await http.post(f"{where.urls['users']}/v1/token", data=form)
    if not response.is_success:
        raise refusal("users", response)
    return str(response.json()["access_token"])


def token(tenant: str | None, rights: str, ttl: int) -> None:
    if not rights.strip():  # an empty field of a form is one that was left out, and stands for all rights
        fail("--rights is blank", f"Name one or more of: {ALL_RIGHTS}.")
    typer.echo(run(fetch_token(addresses(), tenant=tenant, rights=rights, ttl_seconds=ttl)))
