"""The fast lane: whole record lists go from Faust's consumer to the engine, and the changelog goes past Faust into the store.

Faust's own path costs about 170 µs an event before any work (stream, conductor, event objects) and 280 µs a row in recovery. Faust keeps
membership, assignment, co-partitioning, the table and its changelog, timers and the worker. Everything that makes the fast lane stands
in this module; with `Lane.AGENT` nothing of it is installed, and an ordinary agent feeds the engine.
"""

import asyncio
from enum import StrEnum
from typing import Any, Protocol

from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver

from services.seats.engine.faust.recovery import no_poll_of

POLL_SECONDS = 1.0


class Lane(StrEnum):
    FAST = "fast"
    AGENT = "agent"


class FastLane(Protocol):
    """What the fast lane asks of the app."""

    lane_batch: int  # records of one round, over all partitions

    def next_offset(self, partition: int) -> int: ...

    async def on_records(self, chunks: list[tuple[int, list[Any]]]) -> None: ...


async def _drain(self: Any, fetcher: Any) -> None:
    """Instead of `Consumer._drain_messages`. Records that are dropped come back: every rebalance ends with a seek by state, which waits for
    the poll that began before it."""
    stopped, fetcher_stopped, app = self._stopped.is_set, fetcher._stopped.is_set, self.app
    lock, no_poll = _lock(self), no_poll_of(self)
    while not (stopped() or fetcher_stopped()):
        await asyncio.sleep(0)
        generation = app.consumer_generation_id
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
            continue
        no_poll.clear()
        try:
            records, active = await self._wait_next_records(POLL_SECONDS)
        finally:
            no_poll.set()
        if not records or self.should_stop:
            continue
        # A rebalance waits for this lock (`wait_empty`), so that a partition is not handed over in the middle of a batch.
        async with lock:
            left = [(tp, list(batch)) for tp, batch in records.items() if tp in active and not self._is_changelog_tp(tp)]
            while left and self.flow_active and generation == app.consumer_generation_id:
                size = max(1, app.lane_batch // len(left))
                await app.on_records([(tp.partition, batch[:size]) for tp, batch in left])
                left = [(tp, batch[size:]) for tp, batch in left if len(batch) > size]


def _lock(consumer: Any) -> asyncio.Lock:
    lock: asyncio.Lock = consumer.__dict__.setdefault("_seats_lane", asyncio.Lock())
    return lock


async def _wait_empty(self: Any) -> None:
    """Instead of waiting for acknowledgements of single messages: wait for the batch at work."""
    async with _lock(self):
        pass
    await self.commit_and_end_transactions()


def _committable(self: Any, tps: Any) -> dict[Any, int]:
    """Offsets to commit: W + 1 of each source partition. A metric, see recovery."""
    found = {}
    for tp in self.assignment():
        if not self._is_changelog_tp(tp):
            offset = self.app.next_offset(tp.partition)
            if offset > (self._committed_offset.get(tp) or 0):
                found[tp] = offset
    return found


_Recovery: Any = Recovery
_build_offsets = _Recovery._build_offsets


async def _nothing_to_recover(self: Any, consumer: Any, tps: Any, destination: Any, title: str) -> None:
    await _build_offsets(self, consumer, tps, destination, title)
    if title == "active":
        for tp in tps:
            destination[tp] = self.active_highwaters[tp]  # the store's bulk restore reads the changelog


def install() -> None:
    """Idempotent. To be called before an app is made."""
    replacements = {"_drain_messages": _drain, "wait_empty": _wait_empty, "_filter_committable_offsets": _committable}
    for owner in (faust_consumer.Consumer, faust_consumer.ThreadDelegateConsumer, driver.Consumer):
        for name, replacement in replacements.items():
            if name in owner.__dict__:
                setattr(owner, name, replacement)
    _Recovery._build_offsets = _nothing_to_recover
