"""`seatpool invoices`: list documents, and what customers owe."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.commands.options import AsJson, OfTenant, group, not_blank

invoices = group("List documents, and what customers owe.")


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


@invoices.command("overdue-action")
def overdue_action(
    action: Annotated[
        Literal["none", "no_purchases", "operator_decides"], typer.Argument(help="What the last reminder of an overdue invoice leads to.")
    ],
    tenant: OfTenant,
) -> None:
    """Set what an overdue invoice leads to after its last reminder.

    no_purchases: nothing can be bought and no module is expanded until the balance is settled. Seats that exist are not touched. It holds
    at once, also for invoices whose last reminder was sent already. operator_decides: the operator gets an e-mail.

    ```
    seatpool invoices overdue-action no_purchases --tenant acme
    ```
    """
    from cli.payments import set_overdue_action

    set_overdue_action(tenant, action)


@invoices.command("verify")
def verify_invoices(
    tenant: Annotated[str | None, typer.Option(callback=not_blank, help="Only the documents of this tenant; default: all tenants.")] = None,
    json: AsJson = False,
) -> None:
    """Rebuild every document from the events, and compare it with the stored one, byte for byte. Nothing is changed.

    PDFs are compared with their checksums, and open amounts with the payments. The exit code is 0 if nothing differs.

    ```
    seatpool invoices verify
    seatpool invoices verify --tenant acme
    ```
    """
    from cli.exports import verify

    raise typer.Exit(verify(tenant, json))


@invoices.command("export")
def export_invoices(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write; `-` is the standard output.")],
    first: Annotated[str, typer.Option("--from", help="The first day of issue, for example 2026-03-01.")],
    last: Annotated[str, typer.Option("--to", help="The last day of issue, for example 2026-03-31.")],
    tenant: Annotated[
        str | None, typer.Option(callback=not_blank, help="Only this tenant; default: all tenants, without test documents.")
    ] = None,
    format: Annotated[  # noqa: A002 - the name of the option
        Literal["csv", "datev", "zip"],
        typer.Option(help="csv: a row for each tax of a document. datev: an EXTF booking batch. zip: the PDF and XML of each document."),
    ] = "zip",
) -> None:
    """Export the invoices and credit notes of a range of days for accountants. docs/operating.md lists the columns.

    ```
    seatpool invoices export march.zip --from 2026-03-01 --to 2026-03-31
    seatpool invoices export EXTF_march.csv --from 2026-03-01 --to 2026-03-31 --format datev
    ```
    """
    from cli.exports import export

    export(out, tenant, format, first, last)
