"""`seatpool subscription`: changes of a running subscription, and its end."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.options import AsJson, OfTenant, group

subscription = group("Show, change, end or keep the subscription of a tenant.")


@subscription.command("show")
def show_subscription(tenant: OfTenant, json: AsJson = False) -> None:
    """Show the plan, the period and the licences of a tenant, and whether the subscription ends.

    ```
    seatpool subscription show --tenant acme
    ```
    """
    from cli.ending import show

    show(tenant, json)


@subscription.command("start")
def start_subscription(
    body: Annotated[Path, typer.Argument(help="A JSON file with the body of `POST …/subscription`.", exists=True, dir_okay=False)],
    tenant: OfTenant,
    trial_until: Annotated[str | None, typer.Option(help="The first charged day, as YYYY-MM-DD: a trial until then.")] = None,
    json: AsJson = False,
) -> None:
    """Start the subscription of a tenant; only an operator can.

    With `--trial-until`, everything before that day costs nothing and is on no document. The first charged period begins on that day.

    ```
    seatpool subscription start acme.json --tenant acme --trial-until 2026-12-15
    ```
    """
    from cli.ending import start

    start(tenant, body, trial_until, json)


@subscription.command("policies")
def subscription_policies(
    tenant: OfTenant,
    policies: Annotated[
        list[str] | None, typer.Argument(metavar="[MODULE.POLICY=VALUE]...", help="Policies of pools. An empty value removes a policy.")
    ] = None,
    charge_when: Annotated[str | None, typer.Option(help="threshold, now or next_invoice.")] = None,
    credit_when: Annotated[str | None, typer.Option(help="threshold, now or next_invoice.")] = None,
    zero_invoices: Annotated[str | None, typer.Option(help="true or false.")] = None,
    price_notice: Annotated[
        str | None, typer.Option(help="Days between the announcement of a price list and its renewal, for example P30D; operators only.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show the policies of the subscription and its pools. With options, change them; the change applies to later decisions only.

    ```
    seatpool subscription policies --tenant acme
    seatpool subscription policies --tenant acme time.grace=P14D time.warn_at= documents.over_limit=reject
    seatpool subscription policies --tenant acme time.over_limit=expand time.expand_cap=300 --charge-when next_invoice
    ```
    """
    from cli.subscription import policies as change

    own = {"charge_when": charge_when, "credit_when": credit_when, "zero_invoices": zero_invoices, "price_notice": price_notice}
    change(tenant, policies or [], own, json)


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


@subscription.command("end")
def end_subscription(
    tenant: OfTenant,
    reason: Annotated[str, typer.Option(help="Why it ends. The action log and the e-mail to the customer show it.")] = "",
    now: Annotated[bool, typer.Option("--now", help="End it at once instead of with the period. It cannot be taken back.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: AsJson = False,
) -> None:
    """End the subscription at the end of its period.

    Before it asks for your approval, the command shows the day, how many seats end, and the last invoice or the credit.

    Until then everything works, licences can be bought, and `seatpool subscription keep` takes the ending back. At the end, all
    seats end, and nothing is renewed. One last invoice or credit note contains what is not charged or credited yet.

    With `--now`, it ends at once, and the days that are left are credited. Then `--reason` is required.

    ```
    seatpool subscription end --tenant acme
    seatpool subscription end --tenant acme --now --reason "no payment since January" --yes
    ```
    """
    from cli.ending import end

    end(tenant, reason, now, yes, json)


@subscription.command("keep")
def keep_subscription(tenant: OfTenant, json: AsJson = False) -> None:
    """Take the ending of the subscription back, until its last day, that day included.

    Each module gets the number back that it had for the next period.

    ```
    seatpool subscription keep --tenant acme
    ```
    """
    from cli.ending import keep

    keep(tenant, json)


@subscription.command("change-plan")
def subscription_change_plan(
    tenant: OfTenant,
    plan: Annotated[str | None, typer.Argument(help="The plan; default: the present one, with another term.")] = None,
    term: Annotated[str | None, typer.Option(help="monthly or annual; default: the present one.")] = None,
    takes_effect: Annotated[str | None, typer.Option(help="now or period_end; default: now where that is possible.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Approve the change without asking.")] = False,
    json: AsJson = False,
) -> None:
    """Change the plan or the term: show what that costs and changes, and approve it.

    An upgrade takes effect now, with the difference of the prices for the rest of the period. A plan that allows less, a lower price and
    another term take effect with the next period; until then you can withdraw the change.

    ```
    seatpool subscription change-plan plus --tenant acme
    seatpool subscription change-plan --tenant acme --term annual
    ```
    """
    from cli.subscription import change_plan

    given = {"plan": plan, "term": term, "takes_effect": takes_effect}
    change_plan(tenant, {name: value for name, value in given.items() if value is not None}, yes, json)


@subscription.command("withdraw-plan")
def subscription_withdraw_plan(
    change: Annotated[str, typer.Argument(help="The scheduled change, as `GET …/subscription` shows it.")],
    tenant: OfTenant,
) -> None:
    """Withdraw a change of plan or term that is scheduled for the next period.

    ```
    seatpool subscription withdraw-plan 01938f2e-… --tenant acme
    ```
    """
    from cli.subscription import withdraw_plan

    withdraw_plan(tenant, change)


@subscription.command("grant-discount")
def subscription_grant_discount(
    tenant: OfTenant,
    percent: Annotated[str | None, typer.Option(help="A percentage, for example 12.5.")] = None,
    amount: Annotated[str | None, typer.Option(help="Or an amount for each period, for example 500.00.")] = None,
    module: Annotated[str | None, typer.Option(help="The module; default: the whole subscription.")] = None,
    from_day: Annotated[str | None, typer.Option(help="The first day, as YYYY-MM-DD; default: today.")] = None,
    until_day: Annotated[str | None, typer.Option(help="The first day without the discount; default: no end.")] = None,
    periods: Annotated[int | None, typer.Option(min=1, help="The number of periods, instead of --until-day.")] = None,
    text: Annotated[str, typer.Option(help="Why it is granted. The action log and the e-mail to the customer show it.")] = "",
    json: AsJson = False,
) -> None:
    """Grant a discount; only an operator can.

    A percentage holds for licences that are added and for periods that begin. An amount counts once for each period that begins, and is
    spread over its lines. What is invoiced already does not change.

    ```
    seatpool subscription grant-discount --tenant acme --percent 10 --periods 3 --text "introduction"
    seatpool subscription grant-discount --tenant acme --amount 500.00 --module time --until-day 2027-01-01
    ```
    """
    from cli.discounts import grant

    terms = {"percent": percent, "module": module, "from_day": from_day, "until_day": until_day, "periods": periods, "text": text or None}
    grant(tenant, terms, amount, json)


@subscription.command("discounts")
def subscription_discounts(tenant: OfTenant, json: AsJson = False) -> None:
    """List the discounts of a tenant, also those that were withdrawn.

    ```
    seatpool subscription discounts --tenant acme
    ```
    """
    from cli.discounts import list_discounts

    list_discounts(tenant, json)


@subscription.command("withdraw-discount")
def subscription_withdraw_discount(
    discount: Annotated[str, typer.Argument(help="The discount, as `seatpool subscription discounts` lists it.")],
    tenant: OfTenant,
    json: AsJson = False,
) -> None:
    """Withdraw a discount; only an operator can. What was charged with it stays.

    ```
    seatpool subscription withdraw-discount 01938f2e-… --tenant acme
    ```
    """
    from cli.discounts import withdraw

    withdraw(tenant, discount, json)
