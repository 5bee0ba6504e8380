"""The columns in the code are those that the migrations make, and a database that other migrations made is refused."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import ARRAY, BigInteger, Integer, SmallInteger
from sqlalchemy.dialects.postgresql import dialect
from sqlalchemy.types import TypeEngine

from shared.database.migrate import UnknownRevision, upgrade
from shared.database.tables import messaging_metadata
from shared.settings import DatabaseSettings
from tests.support.backing import owner_url
from tests.support.tables import tables

DIALECT = dialect()  # type: ignore[no-untyped-call]  # its constructor has no annotations
COLUMNS = """
SELECT table_name, column_name, CASE WHEN data_type = 'ARRAY' THEN ltrim(udt_name, '_') || '[]' ELSE data_type END
FROM information_schema.columns WHERE table_schema = 'public'
"""


def type_of(sql: TypeEngine[Any]) -> str:
    """Return the SQL type, for numbers the one name `integer`."""
    if isinstance(sql, ARRAY):
        return f"{type_of(sql.item_type)}[]"
    if isinstance(sql, BigInteger | Integer | SmallInteger):
        return "integer"
    return sql.compile(DIALECT).lower()


@pytest.mark.parametrize("service", ["users", "invoicing", "notifier"])
async def test_the_columns_in_the_code_are_those_that_the_migrations_make(make_database: Callable[[str], str], service: str) -> None:
    connection = await asyncpg.connect(make_database(service))
    try:
        made: dict[str, dict[str, str]] = {}
        for name, column, kind in await connection.fetch(COLUMNS):
            made.setdefault(name, {})[column] = "integer" if kind in ("bigint", "smallint") else kind
    finally:
        await connection.close()
    found = {table.name: table for table in tables(service)}
    assert set(found) | set(messaging_metadata.tables) | {"alembic_version"} == set(made)
    for name, table in found.items():
        columns = {column.name: type_of(column.type) for column in table.c}
        assert columns == {column: made[name].get(column) for column in columns}, name


@pytest.mark.parametrize("service", ["users", "invoicing", "notifier"])
async def test_a_database_of_an_older_checkout_is_refused_with_the_advice_to_delete_the_state(
    make_database: Callable[[str], str], service: str
) -> None:
    url = make_database(service)
    settings = DatabaseSettings(database_url=SecretStr(url), migration_database_url=SecretStr(owner_url(url)))
    await asyncio.to_thread(upgrade, service, settings)
    connection = await asyncpg.connect(owner_url(url))
    try:
        for change in ("COMMENT ON TABLE alembic_version IS NULL", "UPDATE alembic_version SET version_num = '0003'"):
            await connection.execute(change)
            with pytest.raises(UnknownRevision, match=rf"The database of {service} .* another version made it\. Delete \.seatpool/"):
                await asyncio.to_thread(upgrade, service, settings)
    finally:
        await connection.close()
