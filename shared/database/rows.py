"""Typed rows: a frozen dataclass names the columns of a statement, and each row that the statement returns is one of it."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import ColumnElement, Executable, Table, TableValuedAlias, bindparam, func, literal_column, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

R = TypeVar("R")


def names(row_class: "type[DataclassInstance]") -> list[str]:
    return [field.name for field in fields(row_class)]


def columns(row_class: "type[DataclassInstance]", *tables: Table) -> list[ColumnElement[Any]]:
    """Return the column of each field of `row_class`, from the first of the tables that has it."""
    return [next(table.c[name] for table in tables if name in table.c) for name in names(row_class)]


async def one(c: AsyncConnection, statement: Executable, row_class: type[R], **values: Any) -> R | None:
    found = (await c.execute(statement, values)).one_or_none()
    return row_class(*found) if found is not None else None


async def many(c: AsyncConnection, statement: Executable, row_class: type[R], **values: Any) -> list[R]:
    return [row_class(*found) for found in (await c.execute(statement, values)).all()]


def recordset(table: Table, wanted: Sequence[str], parameter: str = "rows") -> TableValuedAlias:
    """Rows of the table that come as one JSON parameter, to insert many in one statement."""
    null: ColumnElement[Any] = literal_column(f"NULL::{table.name}")
    found = func.jsonb_populate_recordset(null, bindparam(parameter, type_=JSONB))
    return found.table_valued(*(table.c[name] for name in wanted), name="given")


async def lock_tables(c: AsyncConnection, tables: Iterable[Table]) -> None:
    """Keep every other writer of the tables, and everybody else who locks them, waiting until the transaction ends."""
    await c.execute(text(f"LOCK TABLE {', '.join(table.name for table in tables)} IN SHARE ROW EXCLUSIVE MODE"))
