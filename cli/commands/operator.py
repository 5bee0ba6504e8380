"""`seatpool operator`: what the vendor's operators do."""

from typing import Annotated

import typer

from cli.commands.options import AsJson, OfTenant, group, not_blank

operator = group("Manage the vendor's operators, sign in as one, and read a tenant.")


@operator.command("open")
def open_tenant(
    tenant: OfTenant,
    reason: Annotated[str, typer.Option(callback=not_blank, help="Why you open the tenant. The tenant's action log shows it.")],
) -> None:
    """Print an access token that reads one tenant for 30 minutes, and changes nothing.

    ```
    seatpool operator open --tenant acme --reason "ticket 4711"
    ```
    """
    from cli.operator import open_tenant

    open_tenant(tenant, reason)


@operator.command("add")
def add_operator(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The e-mail address with which the operator signs in.")],
    name: Annotated[str, typer.Option(callback=not_blank, help="The name, which the action log of an opened tenant shows.")],
) -> None:
    """Add an operator: a person of the vendor, who belongs to no tenant and has the right `operator`.

    The operator signs in by a link that is sent to this address, or with the vendor's identity provider (`SEATPOOL_OPERATOR_ISSUER`).

    ```
    seatpool operator add vera@vendor.example --name "Vera Vind"
    ```
    """
    from cli.operator import add

    add(email, name)


@operator.command("list")
def list_operators(json: AsJson = False) -> None:
    """List the operators.

    ```
    seatpool operator list
    ```
    """
    from cli.operator import list_operators

    list_operators(json)


@operator.command("remove")
def remove_operator(email: Annotated[str, typer.Argument(metavar="EMAIL", help="The e-mail address of the operator.")]) -> None:
    """Remove an operator. The operator's sessions end at once.

    ```
    seatpool operator remove vera@vendor.example
    ```
    """
    from cli.operator import remove

    remove(email)


@operator.command("sign-in")
def sign_in(email: Annotated[str, typer.Argument(metavar="EMAIL", help="Your e-mail address.")]) -> None:
    """Sign in as an operator by a link that is sent to your address, and print the session for your shell.

    Following commands then act in your name. The session ends after 8 hours.

    ```
    seatpool operator sign-in vera@vendor.example
    export SEATPOOL_SESSION=…
    seatpool operator open --tenant acme --reason "ticket 4711"
    ```
    """
    from cli.operator import sign_in

    sign_in(email)
