"""The Faust table's store: the rows of each owned partition as they stand acknowledged in the changelog, and nothing ahead of it.

Faust's memory store keeps rows of partitions that were lost; this one forgets a partition at once and reads it again when it comes back.
Nothing writes through the table: frames go out by the engine's own producer, and their rows are put here after their acknowledgement.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from faust.stores import memory

from services.seats.engine.failstop import Exit, fail_stop
from services.seats.engine.partition import Partition

# Brings partitions up to the end of their changelog: (partitions owned now) -> None
Restore = Callable[[Mapping[int, Partition]], Awaitable[None]]


class SeatsStore(memory.Store[Any, Any]):
    """`restore` reads the changelog past Faust, in both lanes."""

    partitions: dict[int, Partition]
    restore: Restore  # set before the app starts

    def __post_init__(self) -> None:
        super().__post_init__()
        self.partitions = {}

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]) -> None:
        """Take nothing from Faust's recovery."""

    async def on_recovery_completed(self, active_tps: set[Any], standby_tps: set[Any]) -> None:
        owned = {tp.partition for tp in active_tps}
        for partition in set(self.partitions) - owned:
            del self.partitions[partition]
        for partition in owned:
            self.partitions.setdefault(partition, Partition())
        try:
            await self.restore(self.partitions)
        except asyncio.CancelledError:
            raise  # another rebalance began; what was read so far is kept or read again, never half applied
        except BaseException as error:
            fail_stop(Exit.RESTORE, "the state could not be restored", error=repr(error))
