"""The Faust table's store: the rows of each owned partition as they stand acknowledged in the changelog, and nothing ahead of it.

Faust's memory store keeps rows of partitions that were lost; this one forgets a partition at once and reads it again when it comes back.
Nothing writes through the table: frames go out by the engine's own producer, and their rows are put here after their acknowledgement.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from faust.stores import memory

from services.seats.engine.failstop import Exit, fail_stop
from services.seats.engine.frames import Merge, RowCodec
from services.seats.engine.partition import Partition

# Brings partitions up to the end of their changelog: (partitions owned now) -> None
Restore = Callable[[Mapping[int, Partition]], Awaitable[None]]


class SeatsStore(memory.Store[Any, Any]):
    """`restore` reads the changelog past Faust (the fast lane); without it Faust's own recovery feeds `apply_changelog_batch`."""

    partitions: dict[int, Partition]
    restore: Restore | None
    codec: RowCodec  # set before the app starts

    def __post_init__(self) -> None:
        super().__post_init__()
        self.partitions = {}
        self.restore = None
        self._merges: dict[int, Merge] = {}

    def apply_changelog_batch(self, batch: Iterable[Any], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]) -> None:
        """Faust's own recovery: record by record, so every key's `o` is kept and a foreign write needs no second reading."""
        try:
            for event in batch:
                message = event.message
                merge = self._merges.setdefault(message.partition, Merge(self.codec, message.partition, thorough=True))
                merge.feed(message.offset, message.key, message.value, message.headers or ())
        except BaseException as error:
            fail_stop(Exit.RESTORE, "a changelog record cannot be read", error=repr(error))

    async def on_recovery_completed(self, active_tps: set[Any], standby_tps: set[Any]) -> None:
        owned = {tp.partition for tp in active_tps}
        for partition in set(self.partitions) | set(self._merges):
            if partition not in owned:
                self.partitions.pop(partition, None)
                self._merges.pop(partition, None)
        for partition in owned:
            self.partitions.setdefault(partition, Partition())
        try:
            if self.restore is not None:
                await self.restore(self.partitions)
            else:
                self._take_over_from_faust(active_tps)
        except asyncio.CancelledError:
            raise  # another rebalance began; what was read so far is kept or read again, never half applied
        except BaseException as error:
            fail_stop(Exit.RESTORE, "the state could not be restored", error=repr(error))

    def _take_over_from_faust(self, active_tps: set[Any]) -> None:
        tables: Any = self.app.tables
        highwaters = tables.recovery.active_highwaters
        for tp in active_tps:
            merge = self._merges.setdefault(tp.partition, Merge(self.codec, tp.partition, thorough=True))
            merge.check()
            # Faust keeps the offset of the last record, which is one less than where the next one lands.
            end = highwaters[tp] + 1
            self.partitions[tp.partition] = Partition(merge.rows, merge.marker, end, set(merge.foreign))
