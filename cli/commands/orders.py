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
    seatpool orders show 0192f7a1-… --tenant acme
    ```
    """
    from cli.orders import show_order

    show_order(tenant, order, json)


@orders.command("settings")
def order_settings(
    tenant: OfTenant,
    second_approver: Annotated[
        Literal["none", "above_budget", "always"] | None, typer.Option(help="Which purchases need the approval of a second person.")
    ] = None,
    monthly_budget: Annotated[
        str | None,
        typer.Option(
            help="How much purchases and expansions of a month may add to the recurring net amount, for example 1000.00, or none."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Show who approves purchases, and their monthly budget. With options, change them.

    The second approver is a person who did not request the purchase. An API client cannot be one.

    ```
    seatpool orders settings --tenant acme --second-approver always
    seatpool orders settings --tenant acme --second-approver above_budget --monthly-budget 1000.00
    ```
    """
    from cli.orders import settings

    settings(tenant, second_approver, monthly_budget, json)
