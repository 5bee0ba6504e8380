"""One statement for many tenants, made from the statement for one: its parameters become the columns of a list of rows."""

import re
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Date,
    DateTime,
    Executable,
    Integer,
    SelectBase,
    String,
    Text,
    UpdateBase,
    bindparam,
    column,
    text,
)
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

_DIALECT = dialect(paramstyle="named")  # type: ignore[no-untyped-call]  # its constructor has no annotations
_TYPES = (String, Integer, BigInteger, Boolean, Date, DateTime, ARRAY)  # which are the same through JSON
_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")
_ROW = "given_row"


class Found:
    """What a statement found for one tenant: the part of a result of SQLAlchemy that stores use."""

    def __init__(self, rows: Sequence[Any], *, counted: bool = True) -> None:
        self._rows, self._counted = rows, counted

    def __iter__(self) -> Any:
        return iter(self._rows)

    @property
    def rowcount(self) -> int:
        assert self._counted, "the rows that an insert for many tenants writes are not counted for each of them"
        return len(self._rows)

    def all(self) -> Sequence[Any]:
        return self._rows

    def first(self) -> Any:
        return self._rows[0] if self._rows else None

    def one_or_none(self) -> Any:
        assert len(self._rows) <= 1, f"{len(self._rows)} rows"
        return self.first()

    def one(self) -> Any:
        (found,) = self._rows
        return found

    def scalars(self) -> "Found":
        return Found([row[0] for row in self._rows])

    def scalar_one(self) -> Any:
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        found = self.one_or_none()
        return None if found is None else found[0]


@dataclass(frozen=True, slots=True)
class SetStatement:
    """The statement for many. Each row of its parameter `rows` has the parameters of one."""

    statement: Executable
    parameters: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    make_row: Callable[[Sequence[Any]], Any] | None  # None: it returns nothing, and its rows are not counted

    async def execute(self, connection: AsyncConnection, given: Sequence[Mapping[str, Any]]) -> list[Found]:
        """Return what was found for each, in their order."""
        rows = orjson.dumps([self.parameters(each) for each in given]).decode()
        result = await connection.execute(self.statement, {"rows": rows})
        if self.make_row is None:
            return [Found((), counted=False)] * len(given)
        found: list[list[Any]] = [[] for _ in given]
        for place, *values in result:
            found[place - 1].append(self.make_row(values))
        return [Found(each) for each in found]


@lru_cache(maxsize=1000)
def set_statement(statement: Executable, names: frozenset[str]) -> SetStatement | None:
    """Return the statement for many that does the same for each as this one with parameters of these names, one after the other.

    Of two rows, none may concern what the other does: they are of different tenants. None: there is no such statement.
    """
    if not isinstance(statement, SelectBase | UpdateBase):
        return None
    compiled: Any = statement.compile(dialect=_DIALECT, column_keys=sorted(names))
    types = {name: bound.type for bound, name in compiled.bind_names.items()}
    if not types or not all(isinstance(bound.type, _TYPES) and not bound.expanding for bound in compiled.bind_names):
        return None
    sql = _PARAMETER.sub(lambda match: f'{_ROW}."{match[1]}"' if match[1] in types else match[0], str(compiled).replace("\n", " "))
    columns = list(statement.exported_columns)
    made = _for_many(compiled, sql, _list_of(types), returning=bool(columns))
    if made is None:
        return None
    returned = [column("place", BigInteger()), *(column(f"c{number}", each.type) for number, each in enumerate(columns))]
    counted = not compiled.isinsert
    whole = text(made).bindparams(bindparam("rows", type_=Text()))
    row: Any = namedtuple("row", [getattr(each, "key", None) or "found" for each in columns], rename=True)  # type: ignore[misc]
    return SetStatement(whole.columns(*returned) if counted else whole, compiled.construct_params, row._make if counted else None)


def _list_of(types: Mapping[str, TypeEngine[Any]]) -> str:
    """Return the list of rows as it stands behind FROM."""
    typed = ", ".join(f'"{name}" {each.compile(dialect=_DIALECT)}' for name, each in types.items())
    names = ", ".join(f'"{name}"' for name in types)
    return f"ROWS FROM (jsonb_to_recordset(CAST(:rows AS jsonb)) AS ({typed})) WITH ORDINALITY AS {_ROW} ({names}, place)"


def _for_many(compiled: SQLCompiler, sql: str, rows: str, *, returning: bool) -> str | None:
    outline = _outline(sql)
    if outline.startswith("WITH "):
        return None  # one of its parts may write
    if compiled.isinsert:
        return None if returning else _insert_for_many(sql, outline, rows)
    if not (compiled.isupdate or compiled.isdelete):
        # A subquery with ORDER BY, LIMIT or FOR UPDATE runs for each row by itself, so the rows of each come in its order.
        return f"SELECT {_ROW}.place, each_found.* FROM {rows} CROSS JOIN LATERAL ({sql}) AS each_found"  # noqa: S608 - of a statement
    where = outline.find(" WHERE ")
    if where < 0 or " FROM " in outline[len("DELETE FROM ") : where] or " USING " in outline:
        return None
    before, after = sql[:where], sql[where:]
    end = outline.find(" RETURNING ")
    if end >= 0:
        after = f"{sql[where:end]} RETURNING {_ROW}.place, {sql[end + len(' RETURNING ') :]}"
    else:
        after += f" RETURNING {_ROW}.place"
    return f"{before} {'FROM' if compiled.isupdate else 'USING'} {rows}{after}"


def _insert_for_many(sql: str, outline: str, rows: str) -> str | None:
    tail_at = outline.find(" ON CONFLICT")
    body, tail = (sql, "") if tail_at < 0 else (sql[:tail_at], sql[tail_at:])
    if _ROW in tail:
        return None
    if (at := outline.find(" VALUES (")) >= 0:
        values = body[at + len(" VALUES (") :].rstrip().removesuffix(")")
        return f"{body[:at]} SELECT {values} FROM {rows} ORDER BY {_ROW}.place{tail}"  # noqa: S608 - of a statement
    at = outline.find(" SELECT ")
    if at < 0:
        return None
    return f"{body[:at]} SELECT each_given.* FROM {rows} CROSS JOIN LATERAL ({body[at:]}) AS each_given{tail}"  # noqa: S608 - of a statement


def _outline(sql: str) -> str:
    """Return the statement with blanks for everything in brackets and quotes, so that a word found in it is one of its own clauses."""
    shown, depth, quote = [], 0, ""
    for character in sql:
        opens, was = character == "(", depth
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "()":
            depth += 1 if opens else -1
        shown.append(character if not quote and (depth == 0 or (opens and was == 0)) else " ")
    return "".join(shown)
