"""Reading positions: one row per (group, topic, partition), changed in the same transaction as the state."""

from dataclasses import dataclass

from shared.database import UnitOfWork
from shared.schemas.topics import Topic

# The row lock closes the race of two owners of one partition (a rebalance that one of them has not noticed): the second waits here, and
# then finds another position than the one it read from.
_LOCK = """
SELECT next_offset, watermark_offset, watermark_n FROM consumer_positions
WHERE consumer_group = $1 AND topic = $2 AND partition = $3 FOR UPDATE
"""
_FIRST = """
INSERT INTO consumer_positions (consumer_group, topic, partition, next_offset) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
"""
_STORE = """
UPDATE consumer_positions SET next_offset = $4, watermark_offset = $5, watermark_n = $6, updated_at = now()
WHERE consumer_group = $1 AND topic = $2 AND partition = $3
"""
_READ = "SELECT topic, partition, next_offset FROM consumer_positions WHERE consumer_group = $1"


@dataclass(frozen=True, slots=True)
class ReadingPosition:
    next_offset: int
    watermark: tuple[int, int] = (-1, -1)  # (command offset, n) of the last decision seen


class LostPartition(Exception):
    """Another owner of this partition has moved its position."""


async def lock(uow: UnitOfWork, group: str, topic: Topic, partition: int, expected: int) -> ReadingPosition:
    """Lock the stored position until the transaction ends, and return it. Raises LostPartition when it is not `expected`."""
    key = (group, topic.name, partition)
    row = (await uow.connection.exec_driver_sql(_LOCK, key)).one_or_none()
    if row is None:
        await uow.connection.exec_driver_sql(_FIRST, (*key, expected))
        row = (await uow.connection.exec_driver_sql(_LOCK, key)).one()
    if row.next_offset != expected:
        raise LostPartition(f"{topic.name}/{partition} of {group} is at {row.next_offset}, not at {expected}")
    return ReadingPosition(row.next_offset, (row.watermark_offset, row.watermark_n))


async def store(uow: UnitOfWork, group: str, topic: Topic, partition: int, position: ReadingPosition) -> None:
    await uow.connection.exec_driver_sql(_STORE, (group, topic.name, partition, position.next_offset, *position.watermark))


async def read(uow: UnitOfWork, group: str) -> dict[tuple[str, int], int]:
    """Return (topic, partition) -> next offset, for everything that the group has ever read."""
    rows = await uow.connection.exec_driver_sql(_READ, (group,))
    return {(row.topic, row.partition): row.next_offset for row in rows}
