"""`seatpool catalog`: the vendor's modules and plans as a file."""

from pathlib import Path
from typing import Any

import orjson
import typer
from rich.markup import escape
from rich.table import Table

from cli.console import CliError, fail, out, run
from cli.rest import Rest, addresses
from shared.catalogue_file import CatalogueFile, UnreadableCatalogue, parse_catalogue, write_catalogue


def export(path: Path | None) -> None:
    """Write the catalogue to the file, or print it."""
    text = write_catalogue(run(_get()))
    if path is None:
        typer.echo(text, nl=False)
    else:
        path.write_text(text)
        out.print(f"The catalogue is written to {path}.", markup=False)


async def _get() -> Any:
    async with Rest(addresses()) as rest:
        return await rest.get("invoicing", "/v1/catalog")


def apply(path: Path, dry_run: bool, as_json: bool) -> None:
    """Apply the file, or show what it would change."""
    file = read_file(path)
    found = run(_apply(path, file, dry_run))
    if as_json:
        typer.echo(orjson.dumps(found).decode())
        return
    if not found["differences"]:
        out.print("Nothing changes: the catalogue is as the file says.")
        return
    table = Table()
    for column in ("field", "before", "after"):
        table.add_column(column)
    for each in found["differences"]:
        table.add_row(*map(escape, (each["field"], _shown(each["before"]), _shown(each["after"]))))
    out.print(table)
    for each in found["subscriptions"]:
        if not each["running"]:
            continue
        out.print(
            f"Plan {each['plan']} has {each['running']} running subscriptions. Those whose prices change get an e-mail, and take the new "
            "prices at the first renewal that is at least their notice (30 days by default) after it.",
            markup=False,
        )
    out.print("This was a dry run: nothing has changed." if dry_run else "The catalogue is applied.")


def _shown(value: object) -> str:
    return "–" if value is None else ("yes" if value else "no") if isinstance(value, bool) else str(value)


async def _apply(path: Path, file: CatalogueFile, dry_run: bool) -> Any:
    async with Rest(addresses()) as rest:
        try:
            return await rest.put("invoicing", f"/v1/catalog?dry_run={str(dry_run).lower()}", file.content)
        except CliError as error:
            fields = [f"{path}, line {file.line_of(field)}: {field.removeprefix('body.')}: {shown}" for field, shown in error.fields]
            if fields:
                raise CliError("\n".join(fields), "Nothing was applied. Change the file, and apply it again.", error.problem) from error
            raise


def read_file(path: Path) -> CatalogueFile:
    """Raises CliError."""
    try:
        return parse_catalogue(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} cannot be read: {error}")
    except UnreadableCatalogue as error:
        fail(f"{path}, line {error.line}: {error.detail}", "Correct the file.")
