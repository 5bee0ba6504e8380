"""`seatpool operator …`: the vendor's operators, and what they do in a tenant."""

from collections.abc import Mapping
from typing import Any

import httpx
import typer

from cli.console import CliError, no_stack, out, run, show_rows
from cli.rest import TIMEOUT_SECONDS, Addresses, Rest, addresses, refusal
from shared import ids

SECRET = "secret="  # noqa: S105 - the name of a parameter


def open_tenant(tenant: str, reason: str) -> None:
    typer.echo(run(_open(tenant, reason)))


async def _open(tenant: str, reason: str) -> str:
    async with Rest(addresses()) as rest:
        answer = await rest.post("users", f"/v1/tenants/{tenant}/operator-access", {"reason": reason})
    return str(answer["access_token"])


def add(email: str, name: str) -> None:
    run(_add(email, name))
    out.print(f"{name} is an operator. To sign in: seatpool operator sign-in {email}", markup=False)


async def _add(email: str, name: str) -> None:
    async with Rest(addresses()) as rest:
        await rest.post("users", "/v1/operators", {"email": email, "name": name}, {"Idempotency-Key": ids.new_id()})


def list_operators(as_json: bool) -> None:
    operators = run(_list())
    known = {each["operator"]: each["email"] for each in operators}
    rows = ("e-mail address", "name", "id in logs and events", "added by", "since")
    show_rows(operators, as_json, rows, lambda each: _cells(each, known))


def _cells(operator: Mapping[str, Any], known: Mapping[str, str]) -> tuple[str, ...]:
    """Return the cells of a row. `known`: the addresses of operators by their ids, since operators add each other."""
    by = operator["added_by"]
    return operator["email"], operator["name"], operator["operator"], known.get(by, by), operator["added_at"][:10]


async def _list() -> list[dict[str, Any]]:
    async with Rest(addresses()) as rest:
        return await rest.pages("users", "/v1/operators")


def remove(email: str) -> None:
    run(_remove(email))
    ended = "Sessions have ended. Access tokens end after at most 5 minutes; those that read an opened tenant, after at most 30."
    out.print(f"{email} is no operator any more. {ended}", markup=False)


async def _remove(email: str) -> None:
    async with Rest(addresses()) as rest:
        for each in await rest.pages("users", "/v1/operators"):
            if each["email"].casefold() == email.casefold():
                await rest.call("DELETE", "users", f"/v1/operators/{each['operator']}")
                return
    raise CliError(f"no operator has the e-mail address {email}", "`seatpool operator list` shows all operators.")


def sign_in(email: str) -> None:
    """Request a link, let the operator paste it, and print the session for the shell."""
    where = addresses()
    run(_request_link(where, email))
    out.print("If this is the address of an operator, an e-mail with a link is on its way. Do not open the link.")
    link = typer.prompt("Paste the link", err=True)
    session = run(_use_link(where, link.partition(SECRET)[2] or link))
    out.print("You are signed in for 8 hours. Set the session for all following commands of this shell:")
    typer.echo(f"export SEATPOOL_SESSION={session}")


async def _request_link(where: Addresses, email: str) -> None:
    await _post(where, "/v1/sign-in/links", {"email": email})


async def _use_link(where: Addresses, secret: str) -> str:
    used = await _post(where, "/v1/sign-in/links/use", {"secret": secret.strip()})
    operators = [each for each in used["choices"] if each["tenant"] is None]
    if not operators:
        raise CliError("this link is not that of an operator", "Somebody who is one can add you: `seatpool operator add EMAIL`.")
    session = await _post(where, "/v1/sign-in/links/choose", {"ticket": used["ticket"], "user": operators[0]["user"]})
    return str(session["secret"])


async def _post(where: Addresses, path: str, body: dict[str, Any]) -> Any:
    """Send a request without a token: somebody who signs in has none yet."""
    url = where.urls.get("users")
    if not url:
        raise CliError("the address of users is unknown", no_stack("set SEATPOOL_USERS_URL"))
    async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as http:
        response = await http.post(f"{url}{path}", json=body)
    if not response.is_success:
        raise refusal("users", response)
    return response.json()
