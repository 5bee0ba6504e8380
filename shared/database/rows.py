"""Typed rows: a frozen dataclass names the columns of a statement, and each row that the statement returns is one of it."""

from collections.abc import Iterable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Executable, Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import names_of

R = TypeVar("R")


def columns(row_class: type, *tables: Table) -> list[ColumnElement[Any]]:
    """Return the column of each field of `row_class`, from the first of the tables that has it."""
    return [next(table.c[name] for table in tables if name in table.c) for name in names_of(row_class)]


async def one(c: AsyncConnection, statement: Executable, row_class: type[R], **values: Any) -> R | None:
    found = (await c.execute(statement, values)).one_or_none()
    return row_class(*found) if found is not None else None


async def many(c: AsyncConnection, statement: Executable, row_class: type[R], **values: Any) -> list[R]:
    return [row_class(*found) for found in (await c.execute(statement, values)).all()]


async def lock_tables(c: AsyncConnection, tables: Iterable[Table]) -> None:
    """Keep every other writer of the tables, and everybody else who locks them, waiting until the transaction ends."""
    await c.execute(text(f"LOCK TABLE {', '.join(table.name for table in tables)} IN SHARE ROW EXCLUSIVE MODE"))
