"""`seatpool payments`: record what customers paid."""

from typing import Annotated

import typer

from cli.commands.options import AsJson, OfTenant, group, not_blank

payments = group("Record what customers paid.")
InvoiceId = Annotated[
    str, typer.Option(callback=not_blank, help="The id or the number of the document, as `seatpool invoices list` shows them.")
]


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
    invoice: Annotated[str | None, typer.Option(callback=not_blank, help="Only payments of this document.")] = None,
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
    reason: Annotated[str, typer.Option(callback=not_blank, help="Why the payment no longer counts. It is stored with the payment.")],
) -> None:
    """Take back a payment that was recorded by mistake. What it paid is open again.

    ```
    seatpool payments take-back 01938f2e-… --tenant acme --reason "booked on the wrong invoice"
    ```
    """
    from cli.payments import take_back

    take_back(tenant, payment, reason)
