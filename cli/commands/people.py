"""`seatpool people`: the people of a tenant."""

from typing import Annotated

import typer

from cli.commands.options import AsJson, OfTenant, group

people = group("See and change the people of a tenant.")


@people.command("differences")
def differences(
    tenant: OfTenant,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            help="Only differences of this kind (repeatable): not_in_hr, not_in_scim, ended, blocked, override, conflict, no_seat, "
            "seats_differ, value. Default: all but value, of which there can be many."
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Compare HR systems, SCIM connections, users and seats, and say why people differ and what each difference would change.

    The first line has the numbers: how many people each of them has. Then follow the people about whom they differ.

    ```
    seatpool people differences --tenant acme
    seatpool people differences --tenant acme --kind value --json
    ```
    """
    from cli.people.differences import differences

    differences(tenant, kind or [], json)
