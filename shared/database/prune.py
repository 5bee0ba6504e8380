"""Delete old rows: ids of handled messages, answers to creating POSTs, and dead letters that are done."""

from shared.database.engine import Database

_AT_ONCE = 10_000  # rows in one transaction, so that nobody waits for the locks of a long one

_PRUNED = {
    "inbox": "handled_at < now() - interval '30 days'",
    "idempotency_keys": "created_at < now() - interval '24 hours'",
    "dead_letters": "status = 'done' AND done_at < now() - interval '90 days'",
}


async def prune(database: Database) -> dict[str, int]:
    """Rows deleted, by table."""
    deleted = {}
    for table, condition in _PRUNED.items():
        statement = f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} WHERE {condition} LIMIT {_AT_ONCE})"  # noqa: S608
        deleted[table] = 0
        while True:
            async with database.unit_of_work(None) as uow:
                count = (await uow.connection.exec_driver_sql(statement)).rowcount
            deleted[table] += count
            if count < _AT_ONCE:
                break
    return deleted
