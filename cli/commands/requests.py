"""`seatpool requests`: purchases and reductions by request, and the vendor's estimates."""

from typing import Annotated, Literal

import typer

from cli.commands.options import AsJson, OfTenant, group, not_blank

requests = group("Request licences from the vendor, and answer such requests with estimates.")
RequestId = Annotated[str, typer.Argument(metavar="REQUEST", help="The id that `seatpool requests list` shows.")]


@requests.command("make")
def make_request(
    changes: Annotated[
        list[str], typer.Argument(metavar="MODULE+NUMBER|MODULE-NUMBER...", help="Licences to add or to reduce by, for example time+6.")
    ],
    tenant: OfTenant,
    company: Annotated[str, typer.Option(help="The company that asks.")],
    name: Annotated[str, typer.Option(help="The person to contact.")],
    email: Annotated[str, typer.Option(help="The e-mail address of this person.")],
    message: Annotated[str, typer.Option(help="Anything else to say.")] = "",
    json: AsJson = False,
) -> None:
    """Request more or fewer licences. The vendor answers with an estimate.

    ```
    seatpool requests make time+6 documents-2 --tenant acme --company "Acme A/S" --name "Ann Lund" --email ann@acme.example
    ```
    """
    from cli.requests import make

    make(tenant, changes, company, name, email, message, json)


@requests.command("list")
def list_requests(
    tenant: Annotated[str | None, typer.Option(callback=not_blank, help="Only the requests of this tenant; default: all tenants.")] = None,
    state: Annotated[
        Literal["requested", "estimated", "approved", "declined", "withdrawn", "expired"] | None,
        typer.Option(help="Only requests in this state; default: all."),
    ] = None,
    json: AsJson = False,
) -> None:
    """List the requests of a tenant, or of all tenants, newest first.

    ```
    seatpool requests list --state requested
    seatpool requests list --tenant acme
    ```
    """
    from cli.requests import list_requests

    list_requests(tenant, state, json)


@requests.command("show")
def show_request(request: RequestId, tenant: OfTenant, json: AsJson = False) -> None:
    """Show a request, what its estimate costs today, and its history.

    ```
    seatpool requests show 0192f7b2-… --tenant acme
    ```
    """
    from cli.requests import show

    show(tenant, request, json)


@requests.command("estimate")
def estimate_request(
    request: RequestId,
    tenant: OfTenant,
    price: Annotated[
        list[str] | None, typer.Option(metavar="MODULE=PRICE", help="The net price of one licence for a period; default: the price list.")
    ] = None,
    valid_until: Annotated[
        str | None, typer.Option(help="The last day to approve it, for example 2026-03-31; default: in 30 days.")
    ] = None,
    discount: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[MODULE=]PERCENT%|AMOUNT[xPERIODS]",
            help="A discount from the approval on, of a module or of the whole subscription: 10%, time=10%x3, or 600.00 for each period.",
        ),
    ] = None,
    note: Annotated[str, typer.Option(help="What to say about it.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing, and show what the estimate would cost.")] = False,
    json: AsJson = False,
) -> None:
    """Answer a request as the vendor: offer what was requested, with these prices, until a date.

    ```
    seatpool requests estimate 0192f7b2-… --tenant acme --price time=11.00 --discount 10%x3 --dry-run
    ```
    """
    from cli.requests import Terms, estimate

    estimate(tenant, request, Terms(price or [], discount or [], valid_until, note), dry_run, json)


@requests.command("approve")
def approve_request(
    request: RequestId,
    tenant: OfTenant,
    yes: Annotated[bool, typer.Option("--yes", help="Approve the estimate without asking.")] = False,
    json: AsJson = False,
) -> None:
    """Approve an estimate as the customer. The amount is that of today.

    ```
    seatpool requests approve 0192f7b2-… --tenant acme
    ```
    """
    from cli.requests import approve

    approve(tenant, request, yes, json)


@requests.command("decline")
def decline_request(
    request: RequestId, tenant: OfTenant, reason: Annotated[str, typer.Option(help="Why. The customer gets the reason.")]
) -> None:
    """Decline a request as the vendor.

    ```
    seatpool requests decline 0192f7b2-… --tenant acme --reason "please change the plan first"
    ```
    """
    from cli.requests import decline

    decline(tenant, request, reason)


@requests.command("withdraw")
def withdraw_request(request: RequestId, tenant: OfTenant) -> None:
    """Withdraw a request as the customer.

    ```
    seatpool requests withdraw 0192f7b2-… --tenant acme
    ```
    """
    from cli.requests import withdraw

    withdraw(tenant, request)


@requests.command("ordering")
def set_ordering(
    ordering: Annotated[Literal["self_service", "by_request", "plan"], typer.Argument(help="`plan`: as the plan of the tenant says.")],
    tenant: OfTenant,
) -> None:
    """Set as the vendor whether a tenant buys by itself or by request.

    ```
    seatpool requests ordering by_request --tenant acme
    ```
    """
    from cli.requests import set_ordering

    set_ordering(tenant, ordering)
