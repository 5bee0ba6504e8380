"""Which column of a file holds which field: by the field's own name, or by a map that the user gives (`--columns`)."""

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JOIN = "+"  # name=First name+Last name
JOINABLE = "name"


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


def read_column_map(given: str | None, known: Sequence[str]) -> ColumnMap:
    """Read `field=Column,field=Column` or the name of a TOML file with a table `[columns]`. Raises FilesUnusable."""
    if not given:
        return {}
    pairs = _of_toml(Path(given)) if given.lower().endswith(".toml") else _of_option(given)
    for name in pairs:
        if name not in known:
            raise FilesUnusable(f"--columns: there is no field {name!r}. The fields are {', '.join(known)}.")
    return {name: _names(name, value) for name, value in pairs.items()}


def _of_option(given: str) -> dict[str, Any]:
    pairs: dict[str, Any] = {}
    for part in given.split(","):
        name, separator, column = part.partition("=")
        if not separator or not name.strip() or not column.strip():
            raise FilesUnusable(f"--columns: field=Column expected, separated by commas (got {part!r}). Use a TOML file for other names.")
        if name.strip() in pairs:
            raise FilesUnusable(f"--columns: {name.strip()} is named twice")
        pairs[name.strip()] = column.strip()
    return pairs


def _of_toml(path: Path) -> dict[str, Any]:
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FilesUnusable(f"--columns: {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FilesUnusable(f"--columns: {path} is not valid TOML: {error}") from error
    columns = raw.get("columns")
    if not isinstance(columns, dict) or len(raw) != 1:
        raise FilesUnusable(f'--columns: {path} must contain one table, [columns], with lines such as employee_id = "Personalnummer"')
    return columns


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
