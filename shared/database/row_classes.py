"""SQLAlchemy Core tables from frozen dataclasses: the fields of a row class are the columns, so each is written once.

A row class is a frozen dataclass whose fields are named like the columns. `table_of` makes the table that statements are built from,
`columns_of` the columns that are selected for a row class, and `recordset` the rows of one JSON parameter. `one` and `many` return the
rows of a statement as instances of a row class.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime
from functools import cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Date,
    DateTime,
    Dialect,
    Executable,
    LargeBinary,
    Subquery,
    TableClause,
    Text,
    bindparam,
    column,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, Insert, dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeEngine

R = TypeVar("R")

_DIALECT: Dialect = dialect()  # type: ignore[no-untyped-call]  # its constructor has no annotations
_TYPES: Sequence[tuple[type, TypeEngine[Any]]] = (  # a bool is an int, and a datetime is a date
    (bool, Boolean()),
    (int, BigInteger()),
    (str, Text()),
    (bytes, LargeBinary()),
    (datetime, DateTime(timezone=True)),
    (date, Date()),
)


def type_of(annotation: Any) -> TypeEngine[Any]:
    """Return the SQL type of a field: `tuple[str, ...]` and its like are arrays, other sequences and mappings are stored as JSON."""
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (each for each in get_args(annotation) if each is not type(None))
    if get_origin(annotation) is tuple:
        return ARRAY(type_of(get_args(annotation)[0]), as_tuple=True)
    if isinstance(annotation, type):
        for python, sql in _TYPES:
            if issubclass(annotation, python):
                return sql
    return JSONB()


@cache
def _columns(row: type) -> Mapping[str, TypeEngine[Any]]:
    hints = get_type_hints(row)
    return {field.name: type_of(hints[field.name]) for field in fields(row)}


def names_of(row: type, *, but: Sequence[str] = ()) -> list[str]:
    """Return the names of the columns of a row class."""
    return [name for name in _columns(row) if name not in but]


def table_of(name: str, *rows: type, **more: type) -> TableClause:
    """Return the table whose columns are the fields of the row classes, and those of `more`, which no row class has."""
    types = {column_name: sql for row in rows for column_name, sql in _columns(row).items()}
    types |= {column_name: type_of(annotation) for column_name, annotation in more.items()}
    return table(name, *(column(column_name, sql) for column_name, sql in types.items()))


def columns_of(row: type, *of: Any) -> list[Any]:
    """Return the column of each field of the row class, from the first of `of` (tables, aliases, subqueries) that has it."""
    return [next(each.c[name] for each in of if name in each.c) for name in _columns(row)]


def recordset(row: type, name: str = "r") -> Subquery:
    """Return the rows in the JSON array that is the parameter `rows`, each with its place in the array (`place`, from 1 on).

    This is text because Core cannot express `ROWS FROM`, which PostgreSQL needs to number records of a given type.
    """
    types = _columns(row)
    quoted = {column_name: _DIALECT.identifier_preparer.quote(column_name) for column_name in types}
    definitions = ", ".join(f"{quoted[column_name]} {sql.compile(dialect=_DIALECT)}" for column_name, sql in types.items())
    query = text(
        f"SELECT * FROM ROWS FROM (jsonb_to_recordset(CAST(:rows AS jsonb)) AS ({definitions})) "  # noqa: S608 - names of fields
        f"WITH ORDINALITY AS {name} ({', '.join(quoted.values())}, place)"
    ).bindparams(bindparam("rows", type_=Text()))
    return query.columns(*(column(column_name, sql) for column_name, sql in types.items()), column("place", BigInteger())).subquery(name)


def replacing(statement: Insert, row: type, *key: str, where: ColumnElement[bool] | None = None) -> Insert:
    """Return the insert of rows which replaces the row of the same key, if there is one and `where` holds."""
    values = {name: statement.excluded[name] for name in names_of(row, but=key)}
    return statement.on_conflict_do_update(index_elements=key, set_=values, where=where)


async def one(connection: AsyncConnection, statement: Executable, row: type[R], **values: Any) -> R | None:
    """Return the row that the statement returns, if there is one. The statement returns the columns of the row class, in their order."""
    found = (await connection.execute(statement, values)).one_or_none()
    return None if found is None else row(*found)


async def many(connection: AsyncConnection, statement: Executable, row: type[R], **values: Any) -> list[R]:
    """Return the rows that the statement returns. The statement returns the columns of the row class, in their order."""
    return [row(*found) for found in await connection.execute(statement, values)]


def json_rows(rows: Sequence[object]) -> str:
    """Return rows as the parameter of `recordset`."""
    return orjson.dumps(rows).decode()


async def lock_tables(connection: AsyncConnection, *tables: TableClause) -> None:
    """Let every other transaction that writes or locks the tables wait until this one ends."""
    await connection.execute(text(f"LOCK TABLE {', '.join(each.name for each in tables)} IN SHARE ROW EXCLUSIVE MODE"))
