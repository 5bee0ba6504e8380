"""Bulk restore: read the changelog straight into the store, with a plain consumer.

Faust's own recovery passes one record at a time (about 280 µs each); this takes whole fetches. A partition that was kept through a
rebalance has nothing to read, because `end` moved with every acknowledged frame. If there is something, a foreign worker wrote it.
"""

import asyncio
from collections.abc import Mapping, Set

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.seats.engine.frames import ForeignWrite, Merge, RowCodec
from services.seats.engine.partition import Partition
from shared.clock import Clock
from shared.kafka import make_reader
from shared.settings import KafkaSettings

_log = structlog.get_logger("seats.engine")

FETCH_BYTES_MAX = 16 * 1024 * 1024
PARTITION_FETCH_BYTES_MAX = 8 * 1024 * 1024  # at least a frame


class ChangelogCut(Exception):
    """The changelog is shorter than what this worker wrote: it was recreated, or a broker lost acknowledged records."""


class BulkRestore:
    """`records` grows while it works, for the watchdog and the counters."""

    def __init__(self, kafka: KafkaSettings, topic: str, codec: RowCodec, clock: Clock) -> None:
        self._kafka, self._topic, self._codec, self._clock = kafka, topic, codec, clock
        self.records = 0
        self.seconds = 0.0

    async def __call__(self, partitions: Mapping[int, Partition]) -> None:
        if not partitions:
            return
        started, before = self._clock.monotonic(), self.records
        consumer = make_reader(
            self._kafka, group_id=None, fetch_max_bytes=FETCH_BYTES_MAX, max_partition_fetch_bytes=PARTITION_FETCH_BYTES_MAX
        )
        await consumer.start()
        try:
            await self._restore(consumer, partitions)
        finally:
            await consumer.stop()
        self.seconds = self._clock.monotonic() - started
        rows = sum(len(partition.rows) for partition in partitions.values())
        _log.info("restored", partitions=sorted(partitions), rows=rows, records=self.records - before, seconds=round(self.seconds, 3))

    async def _restore(self, consumer: AIOKafkaConsumer, partitions: Mapping[int, Partition]) -> None:
        tps = {TopicPartition(self._topic, number): number for number in partitions}
        consumer.assign(list(tps))
        begins, ends = await consumer.beginning_offsets(list(tps)), await consumer.end_offsets(list(tps))
        unread: dict[TopicPartition, Merge] = {}
        for tp, number in tps.items():
            partition = partitions[number]
            if partition.end > ends[tp]:
                raise ChangelogCut(f"{tp} ends at {ends[tp]}, this worker wrote up to {partition.end}")
            if partition.end < ends[tp]:
                # A kept partition comes here only if somebody else wrote to it: read it again, and thoroughly.
                unread[tp] = Merge(self._codec, number, thorough=partition.end > 0)
        again = await self._read(consumer, unread, begins, ends)
        if again:
            _log.warning("foreign_write_on_restore", alert=True, partitions=sorted(tps[tp] for tp in again))
            thorough = {tp: Merge(self._codec, tps[tp], thorough=True) for tp in again}
            await self._read(consumer, thorough, begins, ends)
            unread |= thorough
        for tp, merge in unread.items():
            # All at once at the end, so that a cancelled restore leaves the partition as it was.
            partition = partitions[tps[tp]]
            partition.rows, partition.marker, partition.end, partition.foreign = merge.rows, merge.marker, ends[tp], set(merge.foreign)

    async def _read(
        self,
        consumer: AIOKafkaConsumer,
        merges: Mapping[TopicPartition, Merge],
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> Set[TopicPartition]:
        """Read each partition from its beginning to its end. Returns those that have to be read again, thoroughly."""
        again: set[TopicPartition] = set()
        left = set(merges)
        for tp in merges:
            consumer.seek(tp, begins[tp])
        while left:
            for tp, records in (await consumer.getmany(*left, timeout_ms=500)).items():
                feed = merges[tp].feed
                try:
                    for record in records:
                        if record.offset < ends[tp]:
                            feed(record.offset, record.key, record.value, record.headers)
                except ForeignWrite:
                    again.add(tp)
                    left.discard(tp)
                self.records += len(records)
                await asyncio.sleep(0)  # heartbeats, probes
            # By position, not by record offset: compaction leaves holes.
            for tp in [tp for tp in left if await consumer.position(tp) >= ends[tp]]:
                left.discard(tp)
                try:
                    merges[tp].check()
                except ForeignWrite:
                    again.add(tp)
        return again
