"""`seatpool dlq`: dead letters."""

from typing import Annotated

import typer

from cli.commands.options import group, not_blank
from cli.names import WITH_DEAD_LETTERS

dlq = group("List, show, retry and discard dead letters.")
LetterId = Annotated[str, typer.Argument(metavar="ID", help="The id that `seatpool dlq list` shows, for example users:17.")]


@dlq.command("list")
def list_dead_letters(
    tenant: Annotated[str | None, typer.Option(callback=not_blank, help="Only the dead letters of this tenant.")] = None,
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
    """Discard a dead letter, or a command that seats rejected. It is kept with the status discarded, and can no longer be retried.

    The service then processes the messages that wait behind it, in order.

    ```
    seatpool dlq discard invoicing:17 --reason "written by a test script"
    ```
    """
    from cli.dlq import discard

    discard(letter, reason, genuine=genuine)
