"""Delete old rows: ids of handled messages, answers to creating requests, and dead letters that are done or discarded."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from sqlalchemy import ColumnElement, Delete, Table, delete, func, literal_column, select

from shared.database.engine import Database
from shared.database.tables import dead_letters, idempotency_keys, inbox
from shared.schemas.topics import HR_EVENTS, USERS_EVENTS

_AT_ONCE: Final = 10_000  # rows of one transaction, so that no other waits long for their locks
_CTID: Final[ColumnElement[object]] = literal_column("ctid")
_IS_OLD: Final[Mapping[Table, ColumnElement[bool]]] = {
    inbox: inbox.c.handled_at < func.now() - timedelta(days=30),
    idempotency_keys: idempotency_keys.c.created_at < func.now() - timedelta(hours=24),
    # A discarded message of another topic stays: if the whole topic is read again, it would be a dead letter again.
    dead_letters: ((dead_letters.c.status == "done") & (dead_letters.c.done_at < func.now() - timedelta(days=90)))
    | (
        (dead_letters.c.status == "discarded")
        & (dead_letters.c.discarded_at < func.now() - timedelta(days=90))
        & ((dead_letters.c.topic == USERS_EVENTS.name) | dead_letters.c.topic.startswith(HR_EVENTS.name))
    ),
}
_PRUNE: Final[Mapping[str, Delete]] = {
    table.name: delete(table).where(_CTID.in_(select(_CTID).select_from(table).where(is_old).limit(_AT_ONCE)))
    for table, is_old in _IS_OLD.items()
}


async def prune(database: Database) -> dict[str, int]:
    """Return the number of deleted rows for each table."""
    deleted = dict.fromkeys(_PRUNE, 0)
    for table, statement in _PRUNE.items():
        while True:
            async with database.unit_of_work(None) as uow:
                count = (await uow.connection.execute(statement)).rowcount
            deleted[table] += count
            if count < _AT_ONCE:
                break
    return deleted
