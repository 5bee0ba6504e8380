"""Which column of a file holds which field: by the field's own name, or by a map that the user gives (`--columns`). What a column says
about the kind of a person is mapped in the same way (`--kinds`)."""

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.text import parts_of_list, unquoted

JOIN = "+"  # name=First name+Last name
JOINABLE = "name"
KINDS = ("employee", "external", "service")


class FilesUnusable(Exception):
    """A file as a whole cannot be read; the message says what is wrong and what is expected."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields of one kind of file. `also` names a second name for a field, where HR systems have two."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def fields(self) -> tuple[str, ...]:
        return self.required + self.optional


ColumnMap = Mapping[str, tuple[str, ...]]  # field -> the names of its columns; more than one only for `name`


def column_key(name: str) -> str:
    """`Employee ID`, `employee-id` and `EMPLOYEE_ID` are one name."""
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFKC", name).strip().casefold())


def read_column_map(given: str | None, known: Sequence[str], *, takes_file: bool = True) -> ColumnMap:
    """Read `field=Column,field=Column` or, if `takes_file`, the name of a TOML file with a table `[columns]`. Raises FilesUnusable."""
    if not given:
        return {}
    pairs = _pairs(given, "columns", 'employee_id = "Personalnummer"', "field=Column", takes_file=takes_file)
    for name in pairs:
        if name not in known:
            raise FilesUnusable(f"--columns: there is no field {name!r}. The fields are {', '.join(known)}.")
    return {name: _names(name, value) for name, value in pairs.items()}


def read_kinds(given: str | None, *, takes_file: bool = True) -> Mapping[str, str]:
    """Read `Value=kind,Value=kind` or, if `takes_file`, the name of a TOML file with a table `[kinds]`; return the kind of each
    `value_key`. Raises FilesUnusable."""
    found: dict[str, str] = {}
    pairs = _pairs(given, "kinds", '"Contingent Worker" = "external"', "Value=kind", takes_file=takes_file) if given else {}
    for value, kind in pairs.items():
        if kind not in KINDS:
            raise FilesUnusable(f"--kinds: {value}: one of {', '.join(KINDS)} expected (got {kind!r})")
        if found.setdefault(value_key(value), kind) != kind:
            raise FilesUnusable(f"--kinds: {value} is named twice")
    return found


def value_key(text: str) -> str:
    """`Contingent Worker` and `contingent  worker` are one value."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _pairs(given: str, table: str, line: str, form: str, *, takes_file: bool) -> dict[str, Any]:
    """Read what an option gives, or the table of a TOML file that it names; `line` and `form` are examples of both."""
    if takes_file and given.lower().endswith(".toml"):
        return _of_toml(Path(given), table, line)
    pairs: dict[str, Any] = {}
    for part in parts_of_list(given):
        name, separator, value = (unquoted(each) for each in part.partition("="))
        if not separator or not name or not value:
            raise FilesUnusable(
                f"--{table}: {form} expected, separated by commas (got {part!r}). Put a name with a comma in quotation marks."
            )
        if name in pairs:
            raise FilesUnusable(f"--{table}: {name} is named twice")
        pairs[name] = value
    return pairs


def _of_toml(path: Path, table: str, line: str) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FilesUnusable(f"--{table}: {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FilesUnusable(f"--{table}: {path} is not valid TOML: {error}") from error
    pairs = raw.get(table)
    if not isinstance(pairs, dict) or not raw.keys() <= {"columns", "kinds"}:
        raise FilesUnusable(
            f"--{table}: {path} must contain a table [{table}] with lines such as {line}, and no tables but [columns] and [kinds]"
        )
    return pairs


def _names(name: str, value: Any) -> tuple[str, ...]:
    """A text with `+` in it is split only where the header has no such column (`locate`)."""
    names = tuple(value) if isinstance(value, list) else (value,)
    if not names or not all(isinstance(each, str) and each.strip() for each in names):
        raise FilesUnusable(f"--columns: {name}: the name of a column expected (got {value!r})")
    if len(names) > 1 and name != JOINABLE:
        raise FilesUnusable(f"--columns: only {JOINABLE} can be joined from several columns (got {name} = {value!r})")
    return names


def locate(header: Sequence[str], layout: Layout, columns: ColumnMap) -> dict[str, tuple[int, ...]]:
    """Return for each field that the header has the indexes of its columns."""
    at = {column_key(name): index for index, name in enumerate(header) if name.strip()}
    found: dict[str, tuple[int, ...]] = {}
    for name in layout.fields:
        for names in (_wanted(name, columns, at), (name,), (layout.also.get(name, name),)):
            keys = [column_key(each) for each in names]
            if keys and all(key in at for key in keys):
                found[name] = tuple(at[key] for key in keys)
                break
    return found


def _wanted(name: str, columns: ColumnMap, at: Mapping[str, int]) -> tuple[str, ...]:
    names = columns.get(name, ())
    if len(names) == 1 and name == JOINABLE and JOIN in names[0] and column_key(names[0]) not in at:
        return tuple(names[0].split(JOIN))
    return names


def repeated(header: Sequence[str]) -> list[str]:
    """Return the names that more than one column has."""
    counts = Counter(column_key(name) for name in header if name.strip())
    return [next(name.strip() for name in header if column_key(name) == key) for key, count in counts.items() if count > 1]
