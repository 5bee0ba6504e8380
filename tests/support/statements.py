"""Count the statements that a part sends to its database: a figure of a machine says nothing in a test, and their number does."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from shared.database import Database


@contextmanager
def counted_statements(database: Database) -> Iterator[list[str]]:
    found: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", count)
    try:
        yield found
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", count)
