"""The inbox: ids of handled messages of topics that an outbox feeds. A relay that dies between sending and deleting sends again."""

from collections.abc import Collection

from shared.database import UnitOfWork

_KNOWN = """
SELECT i.source, i.message_id FROM inbox i
JOIN unnest($2::text[], $3::text[]) AS m (source, message_id) ON i.source = m.source AND i.message_id = m.message_id
WHERE i.consumer_group = $1
"""
_ADD = """
INSERT INTO inbox (consumer_group, source, message_id)
SELECT $1, source, message_id FROM unnest($2::text[], $3::text[]) AS m (source, message_id)
"""

Key = tuple[str, str]  # (source, id)


async def known(uow: UnitOfWork, group: str, keys: Collection[Key]) -> set[Key]:
    if not keys:
        return set()
    rows = await uow.connection.exec_driver_sql(_KNOWN, (group, [k[0] for k in keys], [k[1] for k in keys]))
    return {(row.source, row.message_id) for row in rows}


async def add(uow: UnitOfWork, group: str, keys: Collection[Key]) -> None:
    if keys:
        await uow.connection.exec_driver_sql(_ADD, (group, [k[0] for k in keys], [k[1] for k in keys]))
