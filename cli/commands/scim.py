"""`seatpool scim`: the SCIM connections of a tenant."""

from typing import Annotated

import typer

from cli.commands.options import AsJson, OfTenant, group, not_blank

scim = group("Manage the SCIM connections of a tenant. The base URL of SCIM is SEATPOOL_SCIM_URL, or else `<address of users>/scim/v2`.")


@scim.command("token")
def scim_token(
    tenant: OfTenant,
    source: Annotated[str, typer.Option(callback=not_blank, help="The name of the connection. A new one is added with default settings.")],
    days: Annotated[int, typer.Option(min=1, max=730, help="How long the token is valid, in days.")] = 365,
    json: AsJson = False,
) -> None:
    """Issue a token for an identity provider, and print it. It is shown only once.

    Two tokens of a connection can be valid at a time: issue the new one, set it in the identity provider, and revoke the old one.

    ```
    seatpool scim token --tenant acme --source okta
    ```
    """
    from cli.scim import token

    token(tenant, source, days, json)


@scim.command("list")
def scim_list(
    tenant: OfTenant,
    json: AsJson = False,
) -> None:
    """List the SCIM connections and their valid tokens.

    ```
    seatpool scim list --tenant acme
    ```
    """
    from cli.scim import list_connections

    list_connections(tenant, json)


@scim.command("remove")
def scim_remove(
    tenant: OfTenant,
    source: Annotated[str, typer.Option(callback=not_blank, help="The name of the connection.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what the removal would lead to.")] = False,
    confirm: Annotated[int | None, typer.Option(min=0, metavar="NUMBER", help="So many people lose access, as --dry-run says.")] = None,
    json: AsJson = False,
) -> None:
    """Remove a connection. Its tokens and what its groups give end at once; people whom no other source employs leave.

    ```
    seatpool scim remove --tenant acme --source okta --dry-run
    seatpool scim remove --tenant acme --source okta --confirm 12
    ```
    """
    from cli.scim import remove

    remove(tenant, source, dry_run=dry_run, confirm=confirm, as_json=json)


@scim.command("revoke")
def scim_revoke(
    token: Annotated[str, typer.Argument(help="The id of the token, as `seatpool scim list` shows it.")],
    tenant: OfTenant,
    source: Annotated[str, typer.Option(callback=not_blank, help="The name of the connection.")],
) -> None:
    """Revoke a token. Requests with it are refused within 10 seconds.

    ```
    seatpool scim revoke 0197a3f2-6f1e-7c55-9f0e-0f6e0b6c2f11 --tenant acme --source okta
    ```
    """
    from cli.scim import revoke

    revoke(tenant, source, token)
