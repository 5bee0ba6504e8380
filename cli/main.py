"""`seatpool`: the operator's and developer's command. It speaks REST and the shared contracts only, and imports no service.

This module is the list of commands. Each command imports its code when it runs: all imports together take half a second, for which
`--help` and the completion of a shell would wait.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.names import ALL_RIGHTS, DEMO_KEPT_IN, SERVICES, WITH_DEAD_LETTERS

app = typer.Typer(
    name="seatpool",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # locals may hold a token
    help="""Manage licences and seats of a software vendor's customers.

Start with **seatpool demo** (the first weeks of a company, in a minute) or **seatpool run** (a stack that runs until Ctrl-C).
Every command finds a running local stack by itself. To use another deployment, set
`SEATPOOL_USERS_URL`, `SEATPOOL_SEATS_URL`, `SEATPOOL_INVOICING_URL`, `SEATPOOL_NOTIFIER_URL` and `SEATPOOL_TOKEN`.""",
)


def _not_blank(value: str | None) -> str | None:
    """Refuse a blank option, such as a shell variable that is not set. Without the option the command concerns all tenants."""
    if value is not None and not value.strip():
        raise typer.BadParameter("the value is blank. Name a tenant, or leave the option out for all tenants.")
    return value


def _group(name: str, about: str) -> typer.Typer:
    group = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help=about)
    app.add_typer(group, name=name)
    return group


@app.command()
def run() -> None:
    """Start the local stack, until Ctrl-C: a real broker, PostgreSQL, a mailbox and the four services.

    To use a broker, a database or a mail server of your own, set `SEATPOOL_KAFKA_BOOTSTRAP`, `SEATPOOL_DATABASE_URL` or
    `SEATPOOL_SMTP_URL`. The data is kept in `.seatpool/` for the next start. `make clean` removes it.

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
def address(part: Annotated[str, typer.Argument(help=f"{', '.join(SERVICES)} or mailbox.")]) -> None:
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
        str | None, typer.Option(callback=_not_blank, help="The only tenant for which the token is valid; default: all tenants.")
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
) -> None:
    """Play the first weeks of a company on a real broker and a real database, in about a minute.

    Without a plan, everybody in the folder gets the same module, and there are licences for 95 % of the people. The exit code is 0 only
    if users, seats, invoicing, notifier and a replay of the command log agree on the statistics, and the plan expects these statistics.

    ```
    seatpool demo
    seatpool demo --hr my-company --plan my-company.toml
    ```
    """
    from cli.demo.command import demo

    demo(hr, plan, keep)


@app.command()
def replay(
    tenant: Annotated[str, typer.Option(callback=_not_blank, help="The tenant.")],
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
        str | None, typer.Option(callback=_not_blank, help="Compare only the rows of this tenant; default: all tenants.")
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
    part: Annotated[str | None, typer.Argument(help="users, seats, invoicing, notifier, cli or stack; default: all.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Document every setting: its environment variable, type, default and purpose.

    ```
    seatpool settings
    seatpool settings invoicing
    ```
    """
    from cli.settings_page import settings

    settings(part, json)


hr = _group("hr", "Import HR data, and bind HR systems to topics.")


@hr.command("import")
def import_people(
    files: Annotated[
        Path, typer.Argument(help="One CSV file, or the folder with employees.csv, departments.csv and department_history.csv.")
    ],
    tenant: Annotated[str, typer.Option(help="The tenant of the people.")],
    source: Annotated[str, typer.Option(help="The name of the HR system on the allow-list of sources.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what the import would change, and change nothing.")] = False,
    complete: Annotated[
        bool, typer.Option("--complete", help="The files contain everybody whom the source knows; the others are listed.")
    ] = False,
    absent: Annotated[
        Literal["list", "leave"],
        typer.Option(help="What happens to people who are missing from complete files. leave: they leave."),
    ] = "list",
    confirm: Annotated[
        int | None, typer.Option(min=1, help="The number of people who may lose access, as the stopped import printed it.")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="The encoding of the files, such as windows-1252; default: UTF-8, or UTF-16 with a byte order mark.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Which column holds which field: FIELD=COLUMN,… or the name of a TOML file with a table [columns].")
    ] = None,
    dates: Annotated[
        Literal["iso", "dmy", "mdy", "ymd"], typer.Option(help="The order of day, month and year; ISO dates are read in any case.")
    ] = "iso",
    end_dates: Annotated[
        Literal["inclusive", "exclusive"], typer.Option(help="Whether an end date is the last day, or the first day after it.")
    ] = "inclusive",
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Import people from CSV files: what the files say about a person replaces what the source said before.

    Corrections need nothing special: a leaving that is no longer in the files did not happen. If any row of a person cannot be read, the
    person is not changed, and the row is listed with file, line and reason. People who are missing from the files stay as they are, unless
    you add `--complete --absent=leave`.

    An import that would end the access of more than 5 people or 2 % (the greater number counts) stops before it changes anybody, and
    prints the command that confirms it.

    The fields of one file are employee_id, start_date, end_date, department, login, email, name, job_title, kind, valid_to and
    may_log_in. Only the first two are required. The separator (comma, semicolon or tab) is detected.

    ```
    seatpool hr import examples/alpenrose --tenant acme --source hr/acme --dry-run
    seatpool hr import examples/alpenrose --tenant acme --source hr/acme --complete --absent=leave --confirm 12
    seatpool hr import examples/birkwald.csv --tenant acme --source hr/acme --dates dmy --columns examples/birkwald-columns.toml
    seatpool hr import people.csv --tenant acme --source hr/acme --encoding windows-1252 --columns employee_id=Nr,start_date=Entry
    ```

    Exit codes: 0 imported (or the dry run is complete); 1 refused or failed; 2 wrong option; 3 imported, but some rows
    could not be used; 4 stopped, because more people would lose access than are allowed without a confirmation.
    """
    from cli.hr.dates import DateOrder, EndDates
    from cli.hr.importing import Wanted, import_people, read_files

    if absent == "leave" and not complete:
        raise typer.BadParameter("leave needs --complete: only complete files say who is missing.", param_hint="--absent")
    given = {"--encoding": encoding, "--columns": columns, "--dates": dates, "--end-dates": end_dates}
    declared = tuple((name, value) for name, value in given.items() if value not in (None, "iso", "inclusive"))
    company = read_files(files, encoding, columns, DateOrder(dates), EndDates(end_dates))
    wanted = Wanted(files, tenant, source, dry_run, complete, absent, confirm, declared)
    import_people(company, wanted, as_json=json)


@hr.command("bind")
def bind_source(
    source: Annotated[str, typer.Argument(help="The name of the HR system on the allow-list of sources.")],
    topic: Annotated[
        str | None, typer.Option(help="The part of the topic's name after hr.events.v1. (a-z, 0-9, -); default: the source without hr/.")
    ] = None,
) -> None:
    """Bind a source to a topic of its own. Then its events are accepted only from this topic, and no other source may use it.

    Stop the source first: users reads what it wrote to its old topic before the binding. Then give the source the right to write to the
    new topic (`seatpool topics acls`), and remove its right to write to `hr.events.v1`.

    ```
    seatpool hr bind hr/acme
    seatpool hr bind hr/acme --topic acme-payroll
    ```
    """
    from cli.hr.topics import bind

    bind(source, topic)


@hr.command("unbind")
def unbind_source(source: Annotated[str, typer.Argument(help="The name of the HR system.")]) -> None:
    """Let a source write to `hr.events.v1` again. This is refused while its own topic has records that users has not read yet.

    ```
    seatpool hr unbind hr/acme
    ```
    """
    from cli.hr.topics import unbind

    unbind(source)


users = _group("users", "Requests to the users service.")


@users.command()
def republish(
    tenant: Annotated[str | None, typer.Option(callback=_not_blank, help="Only this tenant; default: all tenants.")] = None,
) -> None:
    """Publish tenants and people again, for a service whose database was restored.

    ```
    seatpool users republish --tenant acme
    ```
    """
    from cli.users import republish

    republish(tenant)


scim = _group("scim", "Manage the SCIM connections of a tenant. The base URL of SCIM 2.0 is `<address of users>/scim/v2`.")


@scim.command("token")
def scim_token(
    tenant: Annotated[str, typer.Option(callback=_not_blank, help="The tenant.")],
    source: Annotated[str, typer.Option(callback=_not_blank, help="The name of the connection. A new one is added with default settings.")],
    days: Annotated[int, typer.Option(min=1, max=730, help="How long the token is valid, in days.")] = 365,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Issue a token for an identity provider, and print it. It is shown only once.

    Two tokens of a connection can be valid at a time: issue the new one, set it in the identity provider, and revoke the old one.

    ```
    seatpool scim token --tenant acme --source okta
    ```
    """
    from cli.scim import token

    token(tenant, source, days, json)


@scim.command("list")
def scim_list(
    tenant: Annotated[str, typer.Option(callback=_not_blank, help="The tenant.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """List the SCIM connections and their valid tokens.

    ```
    seatpool scim list --tenant acme
    ```
    """
    from cli.scim import list_connections

    list_connections(tenant, json)


@scim.command("revoke")
def scim_revoke(
    token: Annotated[str, typer.Argument(help="The id of the token, as `seatpool scim list` shows it.")],
    tenant: Annotated[str, typer.Option(callback=_not_blank, help="The tenant.")],
    source: Annotated[str, typer.Option(callback=_not_blank, help="The name of the connection.")],
) -> None:
    """Revoke a token. Requests with it are refused at once.

    ```
    seatpool scim revoke 0197a3f2-6f1e-7c55-9f0e-0f6e0b6c2f11 --tenant acme --source okta
    ```
    """
    from cli.scim import revoke

    revoke(tenant, source, token)


dlq = _group("dlq", "List, show, retry and discard dead letters.")
LetterId = Annotated[str, typer.Argument(metavar="ID", help="The id that `seatpool dlq list` shows, for example users:17.")]


@dlq.command("list")
def list_dead_letters(
    tenant: Annotated[str | None, typer.Option(callback=_not_blank, help="Only the dead letters of this tenant.")] = None,
    status: Annotated[
        str,
        typer.Option(
            help="open, waiting (behind an open one), ready (will be processed next: the one before it is done), done, discarded or all."
        ),
    ] = "open",
    service: Annotated[str | None, typer.Option(help=f"Only the dead letters of this service: {', '.join(WITH_DEAD_LETTERS)}.")] = None,
) -> None:
    """List the dead letters of every service with their reasons, and the commands that seats rejected.

    ```
    seatpool dlq list
    seatpool dlq list --tenant acme --service users
    ```
    """
    from cli.dlq import list_dead_letters

    list_dead_letters(tenant, status, service)


@dlq.command("show")
def show_dead_letter(letter: LetterId) -> None:
    """Show a dead letter with its original bytes, and whether the owner of its topic really wrote it.

    ```
    seatpool dlq show users:17
    ```
    """
    from cli.dlq import show

    show(letter)


@dlq.command("retry")
def retry_dead_letter(letter: LetterId) -> None:
    """Process a dead letter again: its handler runs on the stored bytes. Nothing is published again.

    If the dead letter blocks its tenant (invoicing, the action log), the service then processes the messages that wait behind it, in
    order.

    ```
    seatpool dlq retry users:17
    ```
    """
    from cli.dlq import retry

    retry(letter)


@dlq.command("discard")
def discard_dead_letter(
    letter: LetterId,
    reason: Annotated[str, typer.Option(help="The reason, which is stored with the dead letter.")],
    genuine: Annotated[
        bool, typer.Option("--genuine", help="Discard it although the owner of its topic wrote it (`seatpool dlq show`).")
    ] = False,
) -> None:
    """Discard a dead letter. It is kept with the status discarded, and can no longer be retried.

    The service then processes the messages that wait behind it, in order.

    ```
    seatpool dlq discard invoicing:17 --reason "written by a test script"
    ```
    """
    from cli.dlq import discard

    discard(letter, reason, genuine=genuine)


clients = _group("clients", "Manage the API clients of a tenant: programs that request access tokens with a secret.")
OfTenant = Annotated[str, typer.Option(callback=_not_blank, help="The tenant.")]
ClientId = Annotated[str, typer.Argument(metavar="CLIENT", help="The id that `seatpool clients list` shows.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


@clients.command("list")
def list_clients(tenant: OfTenant, json: AsJson = False) -> None:
    """List the API clients with their rights and the ids of their secrets.

    ```
    seatpool clients list --tenant acme
    ```
    """
    from cli.clients import list_clients

    list_clients(tenant, json)


@clients.command("add")
def add_client(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the client is for.")],
    tenant: OfTenant,
    rights: Annotated[str, typer.Option(help="The rights of the client, separated by spaces.")],
    json: AsJson = False,
) -> None:
    """Add an API client and print its secret, which is shown only this once.

    The program then requests tokens with `POST /v1/token`: grant_type=client_credentials, client_id, client_secret, and the rights that
    it needs as scope.

    ```
    seatpool clients add "Payroll export" --tenant acme --rights "users:read log:read"
    ```
    """
    from cli.clients import add

    add(tenant, name, rights, json)


@clients.command("add-secret")
def add_client_secret(client: ClientId, tenant: OfTenant, json: AsJson = False) -> None:
    """Add a second secret, to replace the first one without downtime.

    Give the new secret to all copies of the program, and then remove the old one.

    ```
    seatpool clients add-secret 01938f2e-… --tenant acme
    seatpool clients remove-secret 01938f2e-… 01938a77-… --tenant acme
    ```
    """
    from cli.clients import add_secret

    add_secret(tenant, client, json)


@clients.command("remove-secret")
def remove_client_secret(
    client: ClientId,
    secret: Annotated[str, typer.Argument(metavar="SECRET", help="The id of the secret that `seatpool clients list` shows.")],
    tenant: OfTenant,
) -> None:
    """Remove a secret of an API client.

    ```
    seatpool clients remove-secret 01938f2e-… 01938a77-… --tenant acme
    ```
    """
    from cli.clients import remove_secret

    remove_secret(tenant, client, secret)


@clients.command("revoke")
def revoke_client(client: ClientId, tenant: OfTenant) -> None:
    """Revoke an API client with all its secrets. You cannot undo this.

    ```
    seatpool clients revoke 01938f2e-… --tenant acme
    ```
    """
    from cli.clients import revoke

    revoke(tenant, client)


owners = _group("owners", "List and appoint the owners of a tenant, who have every right in it.")


@owners.command("list")
def list_owners(tenant: OfTenant, json: AsJson = False) -> None:
    """List the owners of a tenant.

    ```
    seatpool owners list --tenant acme
    ```
    """
    from cli.owners import list_owners

    list_owners(tenant, json)


@owners.command("add")
def add_owner(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="The e-mail address of the person.")],
    tenant: OfTenant,
    name: Annotated[str, typer.Option(help="The name, if the person is new.")] = "",
) -> None:
    """Make a person an owner of a tenant, for example after the last owner has left.

    If nobody of the tenant has this e-mail address, the person is added without a seat, and gets an invitation.

    ```
    seatpool owners add ann@acme.example --tenant acme --name "Ann Lund"
    ```
    """
    from cli.owners import add

    add(tenant, email, name)


payments = _group("payments", "Record what customers paid.")
InvoiceId = Annotated[str, typer.Option(callback=_not_blank, help="The id that `seatpool invoices list` shows.")]


@payments.command("record")
def record_payment(
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="The amount in the currency of the document, for example 150.00.")],
    tenant: OfTenant,
    invoice: InvoiceId,
    on: Annotated[str, typer.Option(help="The day of the payment, for example 2026-03-31.")],
    reference: Annotated[str, typer.Option(help="How to find the payment again, for example the reference of the bank.")] = "",
    json: AsJson = False,
) -> None:
    """Record a payment of an invoice, or a payout of a credit note. It can be a part of what is open, and not more.

    ```
    seatpool payments record 150.00 --tenant acme --invoice inv-2-1042-0 --on 2026-03-31 --reference "statement 17"
    ```
    """
    from cli.payments import record

    record(tenant, invoice, amount, on, reference, json)


@payments.command("list")
def list_payments(
    tenant: OfTenant,
    invoice: Annotated[str | None, typer.Option(callback=_not_blank, help="Only payments of this document.")] = None,
    json: AsJson = False,
) -> None:
    """List the payments of a tenant, also those that were taken back.

    ```
    seatpool payments list --tenant acme
    ```
    """
    from cli.payments import list_payments

    list_payments(tenant, invoice, json)


@payments.command("take-back")
def take_back_payment(
    payment: Annotated[str, typer.Argument(metavar="PAYMENT", help="The id that `seatpool payments list` shows.")],
    tenant: OfTenant,
    reason: Annotated[str, typer.Option(callback=_not_blank, help="Why the payment no longer counts. It is stored with the payment.")],
) -> None:
    """Take back a payment that was recorded by mistake. What it paid is open again.

    ```
    seatpool payments take-back 01938f2e-… --tenant acme --reason "booked on the wrong invoice"
    ```
    """
    from cli.payments import take_back

    take_back(tenant, payment, reason)


invoices = _group("invoices", "List documents, and what customers owe.")


@invoices.command("list")
def list_invoices(
    tenant: OfTenant,
    state: Annotated[
        Literal["open", "part_paid", "paid", "overdue"] | None, typer.Option(help="Only documents in this state; default: all.")
    ] = None,
    json: AsJson = False,
) -> None:
    """List the invoices and credit notes of a tenant, with what is open of each.

    ```
    seatpool invoices list --tenant acme --state overdue
    ```
    """
    from cli.payments import list_invoices

    list_invoices(tenant, state, json)


@invoices.command("overdue")
def overdue_invoices(json: AsJson = False) -> None:
    """List the overdue invoices of all tenants, the longest overdue first.

    ```
    seatpool invoices overdue
    ```
    """
    from cli.payments import overdue

    overdue(json)


@invoices.command("balance")
def invoices_balance(tenant: OfTenant, json: AsJson = False) -> None:
    """Show what a tenant owes: open invoices, credits, and the balance of both.

    ```
    seatpool invoices balance --tenant acme
    ```
    """
    from cli.payments import balance

    balance(tenant, json)


@invoices.command("keep")
def keep_credit(
    credit_note: Annotated[str, typer.Argument(metavar="CREDIT_NOTE", help="The id that `seatpool invoices list` shows.")], tenant: OfTenant
) -> None:
    """Keep the rest of a credit note for later invoices. To pay it out instead, use `seatpool payments record`.

    ```
    seatpool invoices keep inv-2-1042-0-day --tenant acme
    ```
    """
    from cli.payments import keep

    keep(tenant, credit_note)


operator = _group("operator", "Read a tenant as the vendor.")


@operator.command("open")
def open_tenant(
    tenant: OfTenant,
    reason: Annotated[str, typer.Option(callback=_not_blank, help="Why you open the tenant. The tenant's action log shows it.")],
) -> None:
    """Print an access token that reads one tenant for 30 minutes, and changes nothing.

    ```
    seatpool operator open --tenant acme --reason "ticket 4711"
    ```
    """
    from cli.operator import open_tenant

    open_tenant(tenant, reason)


keys = _group("keys", "Manage the keys that sign access tokens, in the folder `SEATPOOL_SIGNING_KEYS_FOLDER` of users.")


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

    The replaced key is published as `previous` until its last token has expired. While two previous keys have valid tokens, another
    rotation is refused. All users processes sign with the new key 3 seconds after the rotation.

    ```
    seatpool keys rotate
    SEATPOOL_SIGNING_KEYS_FOLDER=/var/lib/seatpool/signing-keys seatpool keys rotate
    ```
    """
    from cli.keys import rotate

    rotate()


@keys.command()
def revoke(kid: Annotated[str, typer.Argument(help="The id of the key that `seatpool keys list` shows.")]) -> None:
    """Revoke a signing key that somebody else may have. Every token that it signed becomes invalid.

    All services that can reach users refuse its tokens within 10 seconds. If it was the current key, the next one replaces it at once.
    You cannot undo this.

    ```
    seatpool keys revoke 20260302-4f3a9c01
    ```
    """
    from cli.keys import revoke

    revoke(kid)


topics = _group("topics", "Create and list the topics, and print their access-control lists.")


@topics.command()
def create() -> None:
    """Create the missing topics, and check the settings of those that exist. Topics are never created automatically.

    ```
    SEATPOOL_KAFKA_BOOTSTRAP=kafka-1:9092 SEATPOOL_KAFKA_REPLICATION=3 seatpool topics create
    ```
    """
    from cli.topics import create

    create()


@topics.command("list")
def list_topics() -> None:
    """List the topics with their writers, readers and settings."""
    from cli.topics import list_topics

    list_topics()


@topics.command("acls")
def print_acls(
    bound: Annotated[
        list[str] | None,
        typer.Option(help="Also print the lists for the topic hr.events.v1.NAME, to which a source is bound; repeatable."),
    ] = None,
) -> None:
    """Print the access-control lists of the broker as commands of Kafka's own tool. This command does not contact the broker.

    Each service has its own user: seatpool-users, seatpool-seats, seatpool-invoicing, seatpool-notifier; seatpool-operator is for the
    command line, seatpool-hr for upstream systems, and seatpool-hr-NAME for a source that is bound to a topic of its own.

    ```
    export BOOTSTRAP=kafka-1:9093 COMMAND_CONFIG=admin.properties
    seatpool topics acls --bound acme | sh
    ```
    """
    from cli.topics import acls

    acls(bound or [])


if __name__ == "__main__":
    app()
