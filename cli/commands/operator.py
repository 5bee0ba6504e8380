"""`seatpool operator`: what the vendor's operators do."""

from typing import Annotated

import typer

from cli.commands.options import OfTenant, group, not_blank

operator = group("Read a tenant as the vendor.")


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
