"""`seatpool`: the operator's and developer's command. It speaks REST and the shared contracts only, and imports no service.

This module has the commands without a group; `cli/commands` has the groups, one module for each. Each command imports its code when it
runs: all imports together take half a second, for which `--help` and the completion of a shell would wait.
"""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands import (
    catalog,
    clients,
    dead_letters,
    hr,
    invoices,
    keys,
    licences,
    operator,
    orders,
    owners,
    payments,
    people,
    quotes,
    requests,
    scim,
    subscription,
    topics,
    users,
)
from cli.commands.options import AsJson, OfTenant, not_blank
from cli.names import ALL_RIGHTS, DEMO_KEPT_IN, SERVICES

app = typer.Typer(
    name="seatpool",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # locals may hold a token
    help="""Manage licences and seats of a software vendor's customers.

Start with **seatpool demo** (the first weeks of a company, in a minute) or **seatpool run** (a stack that runs until Ctrl-C).
Every command finds by itself the local stack that was started in the same folder. To use another deployment, set
`SEATPOOL_USERS_URL`, `SEATPOOL_SEATS_URL`, `SEATPOOL_INVOICING_URL`, `SEATPOOL_NOTIFIER_URL` and `SEATPOOL_TOKEN`.""",
)


@app.command()
def run() -> None:
    """Start the local stack, until Ctrl-C: a real broker, PostgreSQL, a mailbox, the four services and the console.

    To use a broker, a database or a mail server of your own, set `SEATPOOL_KAFKA_BOOTSTRAP`, `SEATPOOL_DATABASE_URL` or
    `SEATPOOL_SMTP_URL`. The data is kept in `.seatpool/` for the next start. To begin with an empty stack, remove that folder.

    ```
    seatpool run
    BACKEND=docker seatpool run
    ```
    """
    from cli.console import quiet
    from deploy.local.__main__ import main

    quiet()
    raise typer.Exit(main())


@app.command()
def status() -> None:
    """Show the parts of the running stack, their addresses and their health.

    ```
    seatpool status
    ```
    """
    from cli.stack import status

    status()


@app.command()
def address(part: Annotated[str, typer.Argument(help=f"{', '.join(SERVICES)}, console, mailbox or identity_provider.")]) -> None:
    """Print the address of a part of the running stack, for scripts.

    ```
    curl -H "Authorization: Bearer $(seatpool token)" "$(seatpool address users)/v1/tenants"
    ```
    """
    from cli.stack import address

    address(part)


@app.command()
def token(
    tenant: Annotated[
        str | None, typer.Option(callback=not_blank, help="The only tenant for which the token is valid; default: all tenants.")
    ] = None,
    rights: Annotated[str, typer.Option(help="The rights, separated by spaces.")] = ALL_RIGHTS,
    ttl: Annotated[int, typer.Option(min=1, help="How long the token is valid, in seconds.")] = 900,
) -> None:
    """Print an access token.

    ```
    curl -H "Authorization: Bearer $(seatpool token)" "$(seatpool address users)/v1/tenants"
    seatpool token --tenant acme --rights "account:read users:read" --ttl 60
    ```
    """
    from cli.token import token

    token(tenant, rights, ttl)


@app.command()
def demo(
    hr: Annotated[Path | None, typer.Option(help="The folder with the CSV files; default: the sample company.")] = None,
    plan: Annotated[Path | None, typer.Option(help="The TOML file with tenant, modules, profiles, dates and purchases.")] = None,
    keep: Annotated[Path, typer.Option(help="The folder in which the demo stores invoices, action log, e-mails and story.")] = DEMO_KEPT_IN,
    stay: Annotated[
        bool | None,
        typer.Option("--stay/--stop", help="Leave the stack running at the end, until Ctrl-C; default: only on a terminal."),
    ] = None,
    into_running: Annotated[
        bool, typer.Option("--into-running", help="Play the company in the stack that `seatpool run` started, beside its other tenants.")
    ] = False,
) -> None:
    """Play the first weeks of a company on a real broker and a real database, in about a minute.

    On a terminal the stack then stays up, and the demo prints a link to sign in to the console as the company's administrator, and one
    as an operator.

    Without a plan, everybody in the folder gets the same module, and there are licences for 95 % of the people. The exit code is 0 only
    if users, seats, invoicing, notifier and a replay of the command log agree on the statistics, and the plan expects these statistics.

    ```
    seatpool demo
    seatpool demo --hr my-company --plan my-company.toml
    seatpool demo --into-running
    ```
    """
    from cli.demo.command import demo

    demo(hr, plan, keep, stay=stay, into_running=into_running)


@app.command()
def replay(
    tenant: OfTenant,
    until: Annotated[
        str | None,
        typer.Option(
            help="Stop after this command (partition-offset), or at this instant of the tenant's time; default: the end of the log."
        ),
    ] = None,
    rows: Annotated[bool, typer.Option("--rows", help="Print the rows of the table, one on a line, for programs.")] = False,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare with the live table instead. The exit code is 1 if a row differs.")
    ] = False,
) -> None:
    """Rebuild the seats of a tenant from the topics alone, as they are now or were at any time, and print or compare them.

    This command reads topics and writes nothing.

    ```
    seatpool replay --tenant acme
    seatpool replay --tenant acme --until 3-1042
    seatpool replay --tenant acme --until 2026-03-01T12:00:00Z
    seatpool replay --tenant acme --compare
    ```
    """
    options = {"--tenant": tenant, "--until": until, "--rows": rows, "--compare": compare}
    _seats_tool("replay", options)


@app.command()
def verify(
    tenant: Annotated[
        str | None, typer.Option(callback=not_blank, help="Compare only the rows of this tenant; default: all tenants.")
    ] = None,
) -> None:
    """Decide every command of the log again, and compare the decisions and the live table with the result.

    This command reads topics and writes nothing, and you can run it while the workers run. It prints JSON. The exit code is 0 if nothing
    differs.

    ```
    seatpool verify
    seatpool verify --tenant acme
    ```
    """
    _seats_tool("verify", {"--tenant": tenant})


@app.command("activate-rules")
def activate_rules(
    rules: Annotated[int, typer.Argument(metavar="VERSION", help="The version of the rules. This release must know it.")],
) -> None:
    """Let seats decide with another version of the rules from now on.

    First deploy a release that knows this version to all workers: a worker that does not know it stops.

    ```
    seatpool activate-rules 2
    ```
    """
    _seats_tool("activate-rules", {}, str(rules))


def _seats_tool(name: str, options: dict[str, str | bool | None], *arguments: str) -> None:
    from cli.replay import seats_tool

    given = [word for option, value in options.items() if value for word in ((option,) if value is True else (option, str(value)))]
    raise typer.Exit(seats_tool(name, [*arguments, *given]))


@app.command()
def settings(
    part: Annotated[str | None, typer.Argument(help="users, seats, invoicing, notifier, console, cli or stack; default: all.")] = None,
    json: AsJson = False,
) -> None:
    """Document every setting: its environment variable, type, default and purpose.

    ```
    seatpool settings
    seatpool settings invoicing
    ```
    """
    from cli.settings_page import settings

    settings(part, json)


GROUPS = {
    "catalog": catalog.catalog,
    "hr": hr.hr,
    "users": users.users,
    "people": people.people,
    "scim": scim.scim,
    "subscription": subscription.subscription,
    "dlq": dead_letters.dlq,
    "clients": clients.clients,
    "owners": owners.owners,
    "licences": licences.licences,
    "quotes": quotes.quotes,
    "orders": orders.orders,
    "requests": requests.requests,
    "payments": payments.payments,
    "invoices": invoices.invoices,
    "operator": operator.operator,
    "keys": keys.keys,
    "topics": topics.topics,
}
for name, commands in GROUPS.items():
    app.add_typer(commands, name=name)

if __name__ == "__main__":
    app()
