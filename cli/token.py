"""`seatpool token`: an access token for the local stack, or for any deployment whose operator secret is at hand."""

from typing import Annotated

import httpx
import typer

from cli.console import CliError, run
from cli.rest import TIMEOUT_SECONDS, Addresses, addresses, refusal

ALL_RIGHTS = "account:read account:buy users:read users:manage log:read operator"


async def fetch_token(where: Addresses, *, tenant: str | None, rights: str, ttl_seconds: int, subject: str | None = None) -> str:
    if not where.urls.get("users"):
        raise CliError("the address of users is not known", "Start a local stack (`seatpool run`) or set SEATPOOL_USERS_URL.")
    if not where.operator_secret:
        raise CliError("the operator's secret is not known", "Set SEATPOOL_OPERATOR_SECRET; a local stack writes its own into stack.json.")
    form = {
        "grant_type": "client_credentials",
        "client_id": "operator",
        "client_secret": where.operator_secret,
        "scope": rights,
        "ttl_seconds": str(ttl_seconds),
    }
    form |= {name: value for name, value in (("tenant", tenant), ("subject", subject)) if value}
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
        response = await http.post(f"{where.urls['users']}/v1/token", data=form)
    if not response.is_success:
        raise refusal("users", response)
    return str(response.json()["access_token"])


def token(
    tenant: Annotated[str | None, typer.Option(help="Valid for this tenant only; default: for all of them.")] = None,
    rights: Annotated[str, typer.Option(help="Separated by spaces.")] = ALL_RIGHTS,
    ttl: Annotated[int, typer.Option(min=1, help="Seconds that it is valid.")] = 900,
) -> None:
    """Print an access token.

    ```
    curl -H "Authorization: Bearer $(seatpool token)" "$(seatpool address users)/v1/tenants"
    seatpool token --tenant acme --rights "account:read users:read" --ttl 60
    ```
    """
    typer.echo(run(fetch_token(addresses(), tenant=tenant, rights=rights, ttl_seconds=ttl)))


def add_to(app: typer.Typer) -> None:
    app.command()(token)
