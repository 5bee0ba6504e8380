"""The columns in the code are those that the migrations make."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pkgutil import iter_modules

import asyncpg
import pytest
from sqlalchemy import ARRAY, BigInteger, TableClause
from sqlalchemy.dialects import postgresql

from shared.database.tables import messaging_metadata

COLUMNS = """
SELECT table_name, column_name, CASE WHEN data_type = 'ARRAY' THEN ltrim(udt_name, '_') || '[]' ELSE data_type END
FROM information_schema.columns WHERE table_schema = 'public'
"""


def tables(service: str) -> Iterator[TableClause]:
    store = import_module(f"services.{service}.store")
    for module in iter_modules(store.__path__):
        for value in vars(import_module(f"{store.__name__}.{module.name}")).values():
            if isinstance(value, TableClause):
                yield value


def type_of(sql: object) -> str:
    """Every whole number of the database is an int of the code."""
    if isinstance(sql, ARRAY):
        return f"{type_of(sql.item_type)}[]"
    if isinstance(sql, BigInteger):
        return "integer"
    return str(sql.compile(postgresql.dialect())).lower()  # type: ignore[attr-defined]


@pytest.mark.parametrize("service", ["invoicing", "notifier"])
async def test_the_columns_in_the_code_are_those_that_the_migrations_make(make_database: Callable[[str], str], service: str) -> None:
    connection = await asyncpg.connect(make_database(service))
    try:
        made: dict[str, dict[str, str]] = {}
        for name, column, kind in await connection.fetch(COLUMNS):
            made.setdefault(name, {})[column] = "integer" if kind in ("bigint", "smallint") else kind
    finally:
        await connection.close()
    found = {table.name: table for table in tables(service)}
    assert set(found) == set(made) - {*messaging_metadata.tables, "alembic_version"}
    for name, table in found.items():
        columns = {column.name: type_of(column.type) for column in table.c}
        assert columns == {column: made[name].get(column) for column in columns}, name
