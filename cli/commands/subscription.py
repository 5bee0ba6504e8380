"""`seatpool subscription`: changes of a running subscription."""

from typing import Annotated

import typer

from cli.commands.options import AsJson, OfTenant, group

subscription = group("Change the running subscription of a tenant.")


@subscription.command("policies")
def subscription_policies(
    tenant: OfTenant,
    policies: Annotated[
        list[str] | None, typer.Argument(metavar="[MODULE.POLICY=VALUE]...", help="Policies of pools. An empty value removes a policy.")
    ] = None,
    charge_when: Annotated[str | None, typer.Option(help="threshold, now or next_invoice.")] = None,
    credit_when: Annotated[str | None, typer.Option(help="threshold, now or next_invoice.")] = None,
    zero_invoices: Annotated[str | None, typer.Option(help="true or false.")] = None,
    json: AsJson = False,
) -> None:
    """Change policies of the pools or of the subscription. They apply to later decisions only.

    ```
    seatpool subscription policies --tenant acme time.grace=P14D time.warn_at= documents.over_limit=reject
    seatpool subscription policies --tenant acme time.over_limit=expand time.expand_cap=300 --charge-when next_invoice
    ```
    """
    from cli.subscription import policies as change

    change(tenant, policies or [], {"charge_when": charge_when, "credit_when": credit_when, "zero_invoices": zero_invoices}, json)


@subscription.command("add-module")
def subscription_add_module(
    module: Annotated[str, typer.Argument(help="A module that the subscription does not have.")],
    tenant: OfTenant,
    licences: Annotated[int, typer.Option(min=1, help="The number of licences.")],
    yes: Annotated[bool, typer.Option("--yes", help="Approve the quote without asking.")] = False,
    json: AsJson = False,
) -> None:
    """Add a module to the subscription: request a quote, show it, and approve it.

    ```
    seatpool subscription add-module documents --tenant acme --licences 20
    ```
    """
    from cli.subscription import add_module

    add_module(tenant, module, licences, yes, json)
