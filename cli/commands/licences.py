"""`seatpool licences`: fewer licences, at once or in the next period."""

from typing import Annotated

import typer

from cli.commands.options import AsJson, OfTenant, group

licences = group("Reduce the licences of a tenant, and set those of the next period.")
Totals = Annotated[
    list[str], typer.Argument(metavar="MODULE=TOTAL...", help="The licences that each module is to have in all, for example time=6.")
]


@licences.command("reduce")
def reduce_licences(
    totals: Totals,
    tenant: OfTenant,
    yes: Annotated[bool, typer.Option("--yes", help="Approve the reduction without asking.")] = False,
    json: AsJson = False,
) -> None:
    """Reduce licences: at the end of the period, or at once where the policy `reduce_at` of the module says `now`.

    Before it asks for your approval, the command shows who would be over the limit, the price of the next period before and after, and
    what is credited.
    0 closes a module that is not the last base module. To end the whole subscription, use `seatpool subscription end`.

    ```
    seatpool licences reduce time=6 documents=2 --tenant acme
    seatpool licences reduce time=6 documents=2 --tenant acme --yes
    ```
    """
    from cli.licences import reduce

    reduce(tenant, totals, yes, json)


@licences.command("next-period")
def next_period(totals: Totals, tenant: OfTenant, json: AsJson = False) -> None:
    """Set the licences of the next period: any number from 1 to the present one, as often as you like before the period starts.

    ```
    seatpool licences next-period time=6 --tenant acme
    ```
    """
    from cli.licences import set_next_period

    set_next_period(tenant, totals, json)
