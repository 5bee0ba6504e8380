"""`seatpool owners`: the owners of a tenant."""

from typing import Annotated

import typer

from cli.commands.options import AsJson, OfTenant, group

owners = group("List and appoint the owners of a tenant, who have every right in it.")


@owners.command("list")
def list_owners(tenant: OfTenant, json: AsJson = False) -> None:
    """List the owners of a tenant.

    ```
    seatpool owners list --tenant acme
    ```
    """
    from cli.owners import list_owners

    list_owners(tenant, json)


@owners.command("add")
def add_owner(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The e-mail address of the person.")],
    tenant: OfTenant,
    name: Annotated[str, typer.Option(help="The name, if the person is new.")] = "",
) -> None:
    """Make a person an owner of a tenant, for example after the last owner has left.

    If nobody of the tenant has this e-mail address, the person is added without a seat, and gets an invitation.

    ```
    seatpool owners add ann@acme.example --tenant acme --name "Ann Lund"
    ```
    """
    from cli.owners import add

    add(tenant, email, name)
