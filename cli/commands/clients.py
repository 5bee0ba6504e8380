"""`seatpool clients`: the API clients of a tenant."""

from typing import Annotated

import typer

from cli.commands.options import AsJson, OfTenant, group

clients = group("Manage the API clients of a tenant: programs that request access tokens with a secret.")
ClientId = Annotated[str, typer.Argument(metavar="CLIENT", help="The id that `seatpool clients list` shows.")]


@clients.command("list")
def list_clients(tenant: OfTenant, json: AsJson = False) -> None:
    """List the API clients with their rights and the ids of their secrets.

    ```
    seatpool clients list --tenant acme
    ```
    """
    from cli.clients import list_clients

    list_clients(tenant, json)


@clients.command("add")
def add_client(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the client is for.")],
    tenant: OfTenant,
    rights: Annotated[str, typer.Option(help="The rights of the client, separated by spaces.")],
    json: AsJson = False,
) -> None:
    """Add an API client and print its secret, which is shown only this once.

    The program then requests tokens with `POST /v1/token`: grant_type=client_credentials, client_id, client_secret, and the rights that
    it needs as scope.

    ```
    seatpool clients add "Payroll export" --tenant acme --rights "users:read log:read"
    ```
    """
    from cli.clients import add

    add(tenant, name, rights, json)


@clients.command("add-secret")
def add_client_secret(client: ClientId, tenant: OfTenant, json: AsJson = False) -> None:
    """Add a second secret, to replace the first one without downtime.

    Give the new secret to all copies of the program, and then remove the old one.

    ```
    seatpool clients add-secret 01938f2e-… --tenant acme
    seatpool clients remove-secret 01938f2e-… 01938a77-… --tenant acme
    ```
    """
    from cli.clients import add_secret

    add_secret(tenant, client, json)


@clients.command("remove-secret")
def remove_client_secret(
    client: ClientId,
    secret: Annotated[str, typer.Argument(metavar="SECRET", help="The id of the secret that `seatpool clients list` shows.")],
    tenant: OfTenant,
) -> None:
    """Remove a secret of an API client.

    ```
    seatpool clients remove-secret 01938f2e-… 01938a77-… --tenant acme
    ```
    """
    from cli.clients import remove_secret

    remove_secret(tenant, client, secret)


@clients.command("revoke")
def revoke_client(client: ClientId, tenant: OfTenant) -> None:
    """Revoke an API client with all its secrets. You cannot undo this.

    ```
    seatpool clients revoke 01938f2e-… --tenant acme
    ```
    """
    from cli.clients import revoke

    revoke(tenant, client)
