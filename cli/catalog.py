"""`seatpool catalog`: the vendor's modules and plans as a file."""

from pathlib import Path
from typing import Any

import orjson
import typer
import yaml
from rich.markup import escape
from rich.table import Table

from cli.console import CliError, fail, out, run
from cli.rest import Rest, addresses

FILE_BYTES_MAX = 1_000_000


def export(path: Path | None) -> None:
    """Write the catalogue to the file, or print it."""
    text = yaml.safe_dump(run(_get()), sort_keys=False, allow_unicode=True)
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
    body, lines = read_file(path)
    found = run(_apply(path, body, lines, dry_run))
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
        out.print(
            f"Plan {each['plan']} has {each['running']} running subscriptions. Those whose prices change get an e-mail, and take the new "
            "prices at the first renewal that is at least their notice (30 days by default) after it.",
            markup=False,
        )
    out.print("This was a dry run: nothing has changed." if dry_run else "The catalogue is applied.")


def _shown(value: object) -> str:
    return "–" if value is None else ("yes" if value else "no") if isinstance(value, bool) else str(value)


async def _apply(path: Path, body: Any, lines: dict[str, int], dry_run: bool) -> Any:
    async with Rest(addresses()) as rest:
        try:
            return await rest.put("invoicing", f"/v1/catalog?dry_run={str(dry_run).lower()}", body)
        except CliError as error:
            fields = [f"{path}, line {line_of(field, lines)}: {field.removeprefix('body.')}: {shown}" for field, shown in error.fields]
            if fields:
                raise CliError("\n".join(fields), "Nothing was applied. Change the file, and apply it again.", error.problem) from error
            raise


def line_of(field: str, lines: dict[str, int]) -> int:
    """Return the line of a field, or of the nearest field around it that is in the file."""
    place = field.removeprefix("body").removeprefix(".")
    while place and place not in lines:
        place = place.rpartition(".")[0]
    return lines.get(place, 1)


def read_file(path: Path) -> tuple[Any, dict[str, int]]:
    """Return the content, with all scalars as they are written, and the line of each field. Raises CliError."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path} cannot be read: {error}")
    if len(text) > FILE_BYTES_MAX:
        fail(f"{path} is larger than {FILE_BYTES_MAX:,} bytes")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            fail(f"{path} uses aliases (*name). Write the values out")
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        fail(f"{path}, line {mark.line + 1 if mark else 1}: {getattr(error, 'problem', error)}", "Correct the YAML of the file.")
    lines = dict[str, int]()
    if not isinstance(root, yaml.MappingNode):
        fail(f"{path}: expected `modules` and `plans`, as `seatpool catalog export` writes them")
    return _value(root, "", lines, path), lines


def _value(node: yaml.Node, place: str, lines: dict[str, int], path: Path) -> Any:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        return [_value(each, f"{place}.{number}", lines, path) for number, each in enumerate(node.value)]
    if isinstance(node, yaml.ScalarNode):
        return None if node.tag == "tag:yaml.org,2002:null" else node.value
    found = dict[str, Any]()
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode) or key.value in found:
            fail(f"{path}, line {line}: expected each name only once, and not {key.value!r} again")
        field = f"{place}.{key.value}" if place else key.value
        found[key.value] = _value(value, field, lines, path)
        lines[field] = line
    return found
