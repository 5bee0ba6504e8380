"""The action log as a file: CSV for spreadsheets, JSON lines for machines."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import orjson

from services.notifier.action_log.entries import shown
from services.notifier.store.action_log import LogFilter, actions
from shared.database import Database
from shared.spreadsheets import cell

ROWS = 100  # of one query: a transaction of its own, so that a slow reader holds none open, and few enough that no other request waits long
COLUMNS = (
    "at", "recorded_at", "actor_kind", "actor", "type", "user", "module", "from", "to", "reason", "details",
    "decision", "partition", "offset", "correlation", "id",
)  # fmt: skip


async def rows(database: Database, tenant: str, wanted: LogFilter) -> AsyncIterator[list[dict[str, Any]]]:
    """Read the whole log, oldest first. Entries are never changed, so its pages fit together."""
    after: tuple[datetime, int] | None = None
    while True:
        async with database.unit_of_work(tenant) as uow:
            page = await actions(uow.connection, tenant, wanted, after=after, limit=ROWS, oldest_first=True)
        if page:
            yield [shown(row) for row in page]
        if len(page) < ROWS:
            return
        after = (page[-1].at, page[-1].seq)


async def as_csv(database: Database, tenant: str, wanted: LogFilter) -> AsyncIterator[bytes]:
    yield _csv([COLUMNS])
    async for page in rows(database, tenant, wanted):
        yield _csv([_cells(action) for action in page])


async def as_json_lines(database: Database, tenant: str, wanted: LogFilter) -> AsyncIterator[bytes]:
    async for page in rows(database, tenant, wanted):
        yield b"".join(orjson.dumps(action, option=orjson.OPT_APPEND_NEWLINE) for action in page)


def _csv(lines: list[Any]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows(lines)
    return out.getvalue().encode()


def _cells(action: dict[str, Any]) -> list[str | int]:
    position = action["position"] or {}
    values = (
        action["at"],
        action["recorded_at"],
        action["actor"]["kind"],
        action["actor"]["id"],
        action["type"],
        action["user"],
        action["module"],
        _pairs(action["from"]),
        _pairs(action["to"]),
        action["reason"],
        orjson.dumps(action["details"]).decode() if action["details"] else "",
        action["decision"],
        position.get("partition"),
        position.get("offset"),
        action["correlation"],
        action["id"],
    )
    return [cell(value) for value in values]


def _pairs(values: dict[str, Any]) -> str:
    return "; ".join(f"{field}={'' if value is None else value}" for field, value in values.items())
