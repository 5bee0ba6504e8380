"""`seatpool users`: requests to the users service."""

from typing import Annotated

import typer

from cli.commands.options import group, not_blank

users = group("Requests to the users service.")


@users.command()
def republish(
    tenant: Annotated[str | None, typer.Option(callback=not_blank, help="Only this tenant; default: all tenants.")] = None,
) -> None:
    """Publish tenants and people again, for a service whose database was restored.

    ```
    seatpool users republish --tenant acme
    ```
    """
    from cli.users import republish

    republish(tenant)
