"""`seatpool catalog`: the vendor's modules and plans as a file."""

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.options import AsJson, group

catalog = group("Export and apply the vendor's modules and plans.")


@catalog.command("export")
def export_catalog(file: Annotated[Path | None, typer.Argument(help="The file to write; default: print it.")] = None) -> None:
    """Write the present catalogue in the form in which it can be applied.

    ```
    seatpool catalog export plans.yaml
    ```
    """
    from cli.catalog import export

    export(file)


@catalog.command("apply")
def apply_catalog(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The YAML file with modules and plans.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")] = False,
    json: AsJson = False,
) -> None:
    """Apply the catalogue of a file: all of it, or nothing. The same file again changes nothing.

    Modules and plans that are not in the file stay as they are. If the file has the `version` of its export, it is refused when
    somebody has changed the catalogue since.

    ```
    seatpool catalog apply plans.yaml --dry-run
    seatpool catalog apply plans.yaml
    ```
    """
    from cli.catalog import apply

    apply(file, dry_run, json)
