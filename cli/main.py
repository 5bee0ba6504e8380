"""`seatpool`: the operator's and developer's command. It speaks REST and the shared contracts only, and imports no service.

This page is the list of commands. Each imports its work when it is run: all of it together takes half a second, which `--help` and a
shell that completes a word would wait for.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from cli.names import ALL_RIGHTS, DEMO_KEPT_IN, SERVICES, WITH_DEAD_LETTERS

ANY_ARGUMENTS = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

app = typer.Typer(
    name="seatpool",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # locals may hold a token
    help="""Seats and licences that a software vendor runs beside its product.

Start with **seatpool demo** (a company's first weeks in a minute) or **seatpool run** (a stack that stays up).
Every command finds a running local stack by itself; another deployment is named by
`SEATPOOL_USERS_URL`, `SEATPOOL_SEATS_URL`, `SEATPOOL_INVOICING_URL`, `SEATPOOL_NOTIFIER_URL` and `SEATPOOL_TOKEN`.""",
)


def _not_blank(value: str | None) -> str | None:
    """A blank option, such as a shell variable that is not set, is not one that was left out: that would mean all tenants."""
    if value is not None and not value.strip():
        raise typer.BadParameter("it is blank. Name a tenant, or leave the option out for all tenants.")
    return value


def _group(name: str, about: str) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help=about)
    app.add_typer(group, name=name)
    return group


@app.command()
def run() -> None:
    """Start the local stack and keep it up until Ctrl-C: a real broker, PostgreSQL, a mailbox, the four services.

    What runs elsewhere already is taken from there: `SEATPOOL_KAFKA_BOOTSTRAP`, `SEATPOOL_DATABASE_URL`, `SEATPOOL_SMTP_URL`.
    Data lies in `.seatpool/` and is there again after the next start; `make clean` removes it.

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
    """Show what runs: parts, addresses, health.

    ```
    seatpool status
    ```
    """
    from cli.stack import status

    status()


@app.command()
def address(part: Annotated[str, typer.Argument(help=f"{', '.join(SERVICES)} or mailbox.")]) -> None:
    """Print where a part of the running stack is, for scripts.

    ```
    curl -H "Authorization: Bearer $(seatpool token)" "$(seatpool address users)/v1/tenants"
    ```
    """
    from cli.stack import address

    address(part)


@app.command()
def token(
    tenant: Annotated[str | None, typer.Option(callback=_not_blank, help="Valid for this tenant only; default: for all of them.")] = None,
    rights: Annotated[str, typer.Option(help="Separated by spaces.")] = ALL_RIGHTS,
    ttl: Annotated[int, typer.Option(min=1, help="Seconds that it is valid.")] = 900,
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
    hr: Annotated[Path | None, typer.Option(help="Folder with the CSV files; default: the project's own sample.")] = None,
    plan: Annotated[Path | None, typer.Option(help="TOML file with tenant, modules, profiles, dates, purchases.")] = None,
    keep: Annotated[Path, typer.Option(help="Where invoices, action log, mails and the story are left.")] = DEMO_KEPT_IN,
) -> None:
    """Play a company's first weeks on a real broker and a real database, in about a minute.

    Without a plan everybody in the folder gets one module, with licences for 95 % of the people. The exit code is 0 only when users,
    seats, invoicing, notifier and a replay of the command log agree on the statistics, and they are those that the plan expects.

    ```
    seatpool demo
    seatpool demo --hr my-company --plan my-company.toml
    ```
    """
    from cli.demo.command import demo

    demo(hr, plan, keep)


@app.command(context_settings=ANY_ARGUMENTS)
def replay(context: typer.Context) -> None:
    """Rebuild a tenant's seats from the topics alone, up to any position or time, and print or compare them.

    ```
    seatpool replay --tenant acme
    seatpool replay --help
    ```
    """
    _seats_tool("replay", context)


@app.command(context_settings=ANY_ARGUMENTS)
def verify(context: typer.Context) -> None:
    """Replay every tenant from the topics alone and compare with the live table: exit code 0 when nothing differs.

    ```
    seatpool verify
    seatpool verify --help
    ```
    """
    _seats_tool("verify", context)


@app.command("activate-rules", context_settings=ANY_ARGUMENTS)
def activate_rules(context: typer.Context) -> None:
    """Have seats decide by another version of the rules from now on. First all workers run a release that knows it.

    ```
    seatpool activate-rules 2
    ```
    """
    _seats_tool("activate-rules", context)


def _seats_tool(name: str, context: typer.Context) -> None:
    from cli.replay import seats_tool

    raise typer.Exit(seats_tool(name, context.args))


@app.command()
def settings(
    service: Annotated[str | None, typer.Argument(help="users, seats, invoicing or notifier; default: all of them.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As JSON, for tools.")] = False,
) -> None:
    """Document every setting: its environment variable, type, default, and what it is for.

    ```
    seatpool settings
    seatpool settings invoicing
    ```
    """
    from cli.settings_page import settings

    settings(service, json)


hr = _group("hr", "HR data in.")


@hr.command("import")
def import_folder(
    folder: Annotated[Path, typer.Argument(help="Holds employees.csv, departments.csv and department_history.csv.")],
    tenant: Annotated[str, typer.Option(help="The company that the people belong to.")],
    source: Annotated[str, typer.Option(help="The HR system's name, as on the allow-list of sources.")],
    on: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Hire everybody who is employed on this day, with effect from it, instead of the whole history."
        ),
    ] = None,
) -> None:
    """Send people, moves and leaves from CSV files.

    Good rows go in; bad ones are listed with file, line and reason, and the exit code is 1. Sending the same files again changes nothing;
    a corrected row does.

    ```
    seatpool hr import examples/alpenrose --tenant acme --source hr/acme
    seatpool hr import examples/alpenrose --tenant acme --source hr/acme --on 2026-03-02
    ```
    """
    from cli.hr import import_folder

    import_folder(folder, tenant, source, on.date() if on else None)


@hr.command("bind")
def bind_source(
    source: Annotated[str, typer.Argument(help="The HR system's name, as on the allow-list of sources.")],
    topic: Annotated[str | None, typer.Option(help="Name behind hr.events.v1. (a-z, 0-9, -); default: the source without hr/.")] = None,
) -> None:
    """Give a source a topic of its own: it is then accepted from there only, and nobody else is.

    The source must not write meanwhile: what it wrote to its topic until now is read first. Give it the right to write to the new topic
    (`seatpool topics acls`) and take the one for `hr.events.v1` away.

    ```
    seatpool hr bind hr/acme
    seatpool hr bind hr/acme --topic acme-payroll
    ```
    """
    from cli.hr import bind

    bind(source, topic)


@hr.command("unbind")
def unbind_source(source: Annotated[str, typer.Argument(help="The HR system's name.")]) -> None:
    """Let a source write to `hr.events.v1` again. Refused while its own topic holds records that are not read yet.

    ```
    seatpool hr unbind hr/acme
    ```
    """
    from cli.hr import unbind

    unbind(source)


users = _group("users", "Asks of the users service.")


@users.command()
def republish(tenant: Annotated[str | None, typer.Option(callback=_not_blank, help="Only this tenant; default: all.")] = None) -> None:
    """Publish tenants and people again, for a reader that was rebuilt.

    ```
    seatpool users republish --tenant acme
    ```
    """
    from cli.users import republish

    republish(tenant)


dlq = _group("dlq", "Dead letters: list and show them, process one again, discard one.")
LetterId = Annotated[str, typer.Argument(metavar="ID", help="As `seatpool dlq list` shows it: users:17.")]


@dlq.command("list")
def list_dead_letters(
    tenant: Annotated[str | None, typer.Option(callback=_not_blank, help="Only this tenant's.")] = None,
    status: Annotated[str, typer.Option(help="open; waiting (behind an open one); ready; done; discarded; all.")] = "open",
    service: Annotated[str | None, typer.Option(help=f"Ask one service only: {', '.join(WITH_DEAD_LETTERS)}.")] = None,
) -> None:
    """List the dead letters of every service with their reasons; and the commands that seats rejected.

    ```
    seatpool dlq list
    seatpool dlq list --tenant acme --service users
    ```
    """
    from cli.dlq import list_dead_letters

    list_dead_letters(tenant, status, service)


@dlq.command("show")
def show_dead_letter(letter: LetterId) -> None:
    """Show one dead letter with its original bytes, and whether its topic's owner really wrote it.

    ```
    seatpool dlq show users:17
    ```
    """
    from cli.dlq import show

    show(letter)


@dlq.command("retry")
def retry_dead_letter(letter: LetterId) -> None:
    """Process a dead letter again: its handler runs on the stored bytes. Nothing is published again.

    Where a dead letter blocks its tenant (invoicing, the action log), the service then processes what waits behind it, in order.

    ```
    seatpool dlq retry users:17
    ```
    """
    from cli.dlq import retry

    retry(letter)


@dlq.command("discard")
def discard_dead_letter(
    letter: LetterId,
    reason: Annotated[str, typer.Option(help="Why it is given up; kept with it.")],
    genuine: Annotated[bool, typer.Option("--genuine", help="Even though its topic's owner wrote it (`seatpool dlq show`).")] = False,
) -> None:
    """Give a dead letter up. It is kept as discarded and cannot be processed any more.

    The service then processes what waits behind it, in order.

    ```
    seatpool dlq discard invoicing:17 --reason "written by a test script"
    ```
    """
    from cli.dlq import discard

    discard(letter, reason, genuine=genuine)


keys = _group("keys", "The keys that sign access tokens, in the folder `SEATPOOL_SIGNING_KEYS_FOLDER` of users.")


@keys.command("list")
def list_keys() -> None:
    """List the signing keys with their states: next, current, previous, revoked.

    ```
    seatpool keys list
    ```
    """
    from cli.keys import list_keys

    list_keys()


@keys.command()
def rotate() -> None:
    """Replace the current signing key by the next one. No token becomes invalid.

    The replaced key stays published as `previous` until its last token has ended. While two previous keys have valid tokens, a further
    rotation is refused. The users processes see the change within 2 seconds.

    ```
    seatpool keys rotate
    SEATPOOL_SIGNING_KEYS_FOLDER=/var/lib/seatpool/signing-keys seatpool keys rotate
    ```
    """
    from cli.keys import rotate

    rotate()


@keys.command()
def revoke(kid: Annotated[str, typer.Argument(help="As `seatpool keys list` shows it.")]) -> None:
    """End a signing key that somebody else may have, and with it every token that it signed.

    All services refuse its tokens within 10 seconds, while users is reachable. If it was the current key, the next one replaces it at once.
    This cannot be undone.

    ```
    seatpool keys revoke 20260302-4f3a9c01
    ```
    """
    from cli.keys import revoke

    revoke(kid)


topics = _group("topics", "The topics on the broker.")


@topics.command()
def create() -> None:
    """Make what is missing, check what is there. Nothing is ever made by anybody's auto-creation.

    ```
    SEATPOOL_KAFKA_BOOTSTRAP=kafka-1:9092 SEATPOOL_KAFKA_REPLICATION=3 seatpool topics create
    ```
    """
    from cli.topics import create

    create()


@topics.command("list")
def list_topics() -> None:
    """What each topic is for and how it is made."""
    from cli.topics import list_topics

    list_topics()


@topics.command("acls")
def print_acls(
    bound: Annotated[
        list[str] | None, typer.Option(help="Also for a source that is bound to this topic: what stands behind hr.events.v1.; repeatable.")
    ] = None,
) -> None:
    """Print the access-control lists of the broker as commands of Kafka's own tool; they ask nothing of the broker.

    One user per service: seatpool-users, seatpool-seats, seatpool-invoicing, seatpool-notifier; seatpool-operator for this command;
    seatpool-hr for upstream systems, and seatpool-hr-<name> for one that is bound to a topic of its own.

    ```
    export BOOTSTRAP=kafka-1:9093 COMMAND_CONFIG=admin.properties
    seatpool topics acls --bound acme | sh
    ```
    """
    from cli.topics import acls

    acls(bound or [])


if __name__ == "__main__":
    app()
