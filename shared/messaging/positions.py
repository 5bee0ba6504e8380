"""Reading positions: one row per (group, topic, partition), changed in the same transaction as the state."""

from dataclasses import dataclass

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert

from shared.database import UnitOfWork
from shared.database.tables import consumer_positions as table
from shared.schemas.topics import Topic

_OWN = (
    table.c.consumer_group == bindparam("of_group"),
    table.c.topic == bindparam("of_topic"),
    table.c.partition == bindparam("of_partition"),
)
# The row lock closes the race of two owners of one partition (a rebalance that one of them has not noticed): the second waits here, and
# then finds another position than the one it read from.
_LOCK = select(table.c.next_offset, table.c.watermark_offset, table.c.watermark_n).where(*_OWN).with_for_update()
_FIRST = (
    insert(table)
    .values(
        consumer_group=bindparam("of_group"),
        topic=bindparam("of_topic"),
        partition=bindparam("of_partition"),
        next_offset=bindparam("next"),
    )
    .on_conflict_do_nothing()
)
_STORE = (
    update(table)
    .where(*_OWN)
    .values(next_offset=bindparam("next"), watermark_offset=bindparam("offset"), watermark_n=bindparam("n"), updated_at=func.now())
)
_READ = select(table.c.topic, table.c.partition, table.c.next_offset).where(table.c.consumer_group == bindparam("of_group"))


@dataclass(frozen=True, slots=True)
class ReadingPosition:
    next_offset: int
    watermark: tuple[int, int] = (-1, -1)  # (command offset, n) of the last decision seen


class LostPartition(Exception):
    """Another owner of this partition has moved its position."""


async def lock(uow: UnitOfWork, group: str, topic: Topic, partition: int, expected: int) -> ReadingPosition:
    """Lock the stored position until the transaction ends, and return it. Raises LostPartition when it is not `expected`."""
    key = {"of_group": group, "of_topic": topic.name, "of_partition": partition}
    row = (await uow.connection.execute(_LOCK, key)).one_or_none()
    if row is None:
        await uow.connection.execute(_FIRST, key | {"next": expected})
        row = (await uow.connection.execute(_LOCK, key)).one()
    if row.next_offset != expected:
        raise LostPartition(f"{topic.name}/{partition} of {group} is at {row.next_offset}, not at {expected}")
    return ReadingPosition(row.next_offset, (row.watermark_offset, row.watermark_n))


async def store(uow: UnitOfWork, group: str, topic: Topic, partition: int, position: ReadingPosition) -> None:
    key = {"of_group": group, "of_topic": topic.name, "of_partition": partition}
    offset, n = position.watermark
    await uow.connection.execute(_STORE, key | {"next": position.next_offset, "offset": offset, "n": n})


async def read(uow: UnitOfWork, group: str) -> dict[tuple[str, int], int]:
    """Return (topic, partition) -> next offset, for everything that the group has ever read."""
    rows = await uow.connection.execute(_READ, {"of_group": group})
    return {(row.topic, row.partition): row.next_offset for row in rows}
