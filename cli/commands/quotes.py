"""`seatpool quotes`: what more licences cost, and the approval."""

from typing import Annotated, Literal

import typer

from cli.commands.options import AsJson, OfTenant, group

quotes = group("Request, show, approve and withdraw quotes for more licences.")
QuoteId = Annotated[str, typer.Argument(metavar="QUOTE", help="The id that `seatpool quotes list` shows.")]


@quotes.command("request")
def request_quote(
    adds: Annotated[
        list[str], typer.Argument(metavar="MODULE=NUMBER...", help="The number of licences to add to each module, for example time=6.")
    ],
    tenant: OfTenant,
    json: AsJson = False,
) -> None:
    """Request a quote for more licences. Nothing is bought until it is approved.

    ```
    seatpool quotes request time=6 documents=2 --tenant acme
    ```
    """
    from cli.orders import request

    request(tenant, adds, json)


@quotes.command("list")
def list_quotes(
    tenant: OfTenant,
    state: Annotated[
        Literal["open", "waiting_for_approval", "replaced", "approved", "activated", "refused", "expired", "withdrawn"] | None,
        typer.Option(help="Only quotes in this state; default: all."),
    ] = None,
    json: AsJson = False,
) -> None:
    """List the quotes of a tenant, newest first.

    ```
    seatpool quotes list --tenant acme --state open
    ```
    """
    from cli.orders import list_quotes

    list_quotes(tenant, state, json)


@quotes.command("show")
def show_quote(quote: QuoteId, tenant: OfTenant, json: AsJson = False) -> None:
    """Show a quote and its history.

    ```
    seatpool quotes show 0192f7a0-… --tenant acme
    ```
    """
    from cli.orders import show_quote

    show_quote(tenant, quote, json)


@quotes.command("approve")
def approve_quote(
    quote: QuoteId,
    tenant: OfTenant,
    yes: Annotated[bool, typer.Option("--yes", help="Approve the quote without asking.")] = False,
    json: AsJson = False,
) -> None:
    """Approve a quote: the licences are bought. A quote can be approved once.

    ```
    seatpool quotes approve 0192f7a0-… --tenant acme
    ```
    """
    from cli.orders import approve

    approve(tenant, quote, yes, json)


@quotes.command("withdraw")
def withdraw_quote(quote: QuoteId, tenant: OfTenant) -> None:
    """Withdraw a quote, so that nobody can approve it any more.

    ```
    seatpool quotes withdraw 0192f7a0-… --tenant acme
    ```
    """
    from cli.orders import withdraw

    withdraw(tenant, quote)
