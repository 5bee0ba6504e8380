"""`seatpool orders`: approved quotes, and what seats decided about them."""

from typing import Annotated, Literal

import typer

from cli.commands.options import AsJson, OfTenant, group

orders = group("List and show orders.")


@orders.command("list")
def list_orders(
    tenant: OfTenant,
    status: Annotated[
        Literal["pending", "completed", "refused"] | None, typer.Option(help="Only orders with this status; default: all.")
    ] = None,
    json: AsJson = False,
) -> None:
    """List the orders of a tenant, newest first.

    ```
    seatpool orders list --tenant acme --status pending
    ```
    """
    from cli.orders import list_orders

    list_orders(tenant, status, json)


@orders.command("show")
def show_order(
    order: Annotated[str, typer.Argument(metavar="ORDER", help="The id that `seatpool orders list` shows.")],
    tenant: OfTenant,
    json: AsJson = False,
) -> None:
    """Show an order, and what happened to it and to its quote.

    ```
    seatpool orders show 0192f7a1 --tenant acme
    ```
    """
    from cli.orders import show_order

    show_order(tenant, order, json)


@orders.command("settings")
def order_settings(
    tenant: OfTenant,
    second_approver: Annotated[
        Literal["none", "always"] | None, typer.Option(help="Whether each purchase needs the approval of a second person.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show who approves purchases. With an option, change it.

    The second approver is a person who did not request the quote. An API client cannot be one.

    ```
    seatpool orders settings --tenant acme --second-approver always
    ```
    """
    from cli.orders import settings

    settings(tenant, second_approver, json)
