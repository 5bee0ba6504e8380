"""How a statement is run, for the modules of this folder."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection


async def rows(c: AsyncConnection, sql: str, /, **values: Any) -> Sequence[RowMapping]:
    return (await c.execute(text(sql), values)).mappings().all()


async def row(c: AsyncConnection, sql: str, /, **values: Any) -> RowMapping | None:
    return (await c.execute(text(sql), values)).mappings().one_or_none()


async def run(c: AsyncConnection, sql: str, /, **values: Any) -> int:
    """Rows touched."""
    return (await c.execute(text(sql), values)).rowcount


async def insert(c: AsyncConnection, tenant_id: str, table: str, **values: Any) -> None:
    """By column; names of tables and columns are this module's own."""
    values = {"tenant_id": tenant_id} | values
    columns, places = ", ".join(f'"{name}"' for name in values), ", ".join(f":{name}" for name in values)
    await run(c, f"INSERT INTO {table} ({columns}) VALUES ({places})", **values)  # noqa: S608
