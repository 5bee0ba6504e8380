"""`seatpool people`: the people of a tenant."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.options import AsJson, OfTenant, group, not_blank

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


@people.command("matches")
def matches(
    tenant: OfTenant,
    source: Annotated[str, typer.Option(callback=not_blank, help="The name of the source, for example hr/acme or scim/okta.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be linked if the source reported its people now for the first time.")
    ] = False,
    match_by: Annotated[
        list[str] | None,
        typer.Option(help="With --dry-run: compare by login, employee_number or email (repeatable), instead of by the source's setting."),
    ] = None,
    files: Annotated[
        Path | None, typer.Option(help="With --dry-run: CSV files that the source would import; see `seatpool hr import`.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Show how the people of a source are matched: who is linked with whom and by what, who is in conflict, and who matches nobody.

    Look at it before you switch a source on: `--dry-run --files` checks an import of the files, shows the matches, and deletes the import.
    Nobody is changed.

    ```
    seatpool people matches --tenant acme --source scim/okta
    seatpool people matches --tenant acme --source scim/okta --dry-run --match-by email
    seatpool people matches --tenant acme --source hr/acme --dry-run --files examples/alpenrose
    ```
    """
    from cli.people.matches import matches, matches_of_files

    if (files is not None or match_by) and not dry_run:
        raise typer.BadParameter("this option needs --dry-run: nobody is linked.", param_hint="--files" if files else "--match-by")
    if files is not None:
        matches_of_files(files, tenant, source, json)
    else:
        matches(tenant, source, dry_run=dry_run, match_by=match_by or [], as_json=json)
