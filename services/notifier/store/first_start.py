"""The first start of this database: nothing older is sent, and nothing before users has published tenants and people again."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, table_of


@dataclass(frozen=True, slots=True)
class FirstStart:
    started_at: datetime
    republished_at: datetime | None  # when users was asked to publish


FIRST_START = table_of("first_start", FirstStart)
_INSERT = insert(FIRST_START).on_conflict_do_nothing()
_SELECT = select(*columns_of(FirstStart, FIRST_START))
_REPUBLISHED = update(FIRST_START)


async def first_start(connection: AsyncConnection, now: datetime) -> FirstStart:
    """Return the first start, which is `now` if there was none."""
    await connection.execute(_INSERT, {"started_at": now})
    return FirstStart(*(await connection.execute(_SELECT)).one())


async def mark_republished(connection: AsyncConnection, now: datetime) -> None:
    await connection.execute(_REPUBLISHED, {"republished_at": now})
