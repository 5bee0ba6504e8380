"""The inbox: ids of handled messages of topics that an outbox feeds. A relay that dies between sending and deleting sends again."""

from collections.abc import Collection

from sqlalchemy import ARRAY, Text, bindparam, func, insert, select

from shared.database import UnitOfWork
from shared.database.tables import inbox as table

Key = tuple[str, str]  # (source, id)

_KEYS = (
    func.unnest(bindparam("sources", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(Text)))
    .table_valued("source", "message_id")
    .render_derived(name="k")
)
_KNOWN = (
    select(table.c.source, table.c.message_id)
    .join(_KEYS, (table.c.source == _KEYS.c.source) & (table.c.message_id == _KEYS.c.message_id))
    .where(table.c.consumer_group == bindparam("group"))
)
_ADD = insert(table).from_select(
    ["consumer_group", "source", "message_id"], select(bindparam("group", type_=Text), _KEYS.c.source, _KEYS.c.message_id)
)


def _values(group: str, keys: Collection[Key]) -> dict[str, object]:
    return {"group": group, "sources": [source for source, _ in keys], "ids": [id_ for _, id_ in keys]}


async def known(uow: UnitOfWork, group: str, keys: Collection[Key]) -> set[Key]:
    """Return those of the keys whose messages the group has handled."""
    if not keys:
        return set()
    rows = await uow.connection.execute(_KNOWN, _values(group, keys))
    return {(row.source, row.message_id) for row in rows}


async def add(uow: UnitOfWork, group: str, keys: Collection[Key]) -> None:
    if keys:
        await uow.connection.execute(_ADD, _values(group, keys))
