"""Records of the command topic, from Faust's client to the engine, and where reading starts.

In the fast lane whole record lists go to the engine: Faust's own path costs about 170 µs an event before any work (stream, conductor, event
objects). With `Lane.AGENT` an ordinary agent feeds the engine, and of this module only `SeatsConsumer` and `SeatsThread` are at work.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP

from services.seats.engine.engine import Engine
from services.seats.engine.failstop import Exit, fail_stop

IDLE_SECONDS = 0.05
FETCH_WAIT_MS_MAX = 100
POLL_SECONDS = 1.0


class SeatsThread(AIOKafkaConsumerThread):
    """The thread with aiokafka's client."""

    def _create_worker_consumer(self, transport: Any) -> Any:
        """Set two private attributes of the client before it starts: Faust gives no other way to them."""
        client: Any = super()._create_worker_consumer(transport)
        # Faust waits for 1.5 s at the broker. A fetch that was sent for the other partitions while a busy one's records were being decided
        # would hold up the busy one's next records for so long.
        client._fetch_max_wait_ms = FETCH_WAIT_MS_MAX
        # Faust reads only what was committed in its own transactional mode alone, which loses messages.
        client._isolation_level = "read_committed"
        return client

    async def _fetch_records(self, consumer: Any, active_partitions: set[TP] | None, *args: Any, **limits: Any) -> Any:
        if active_partitions is None:
            return await super()._fetch_records(consumer, cast(Any, None), *args, **limits)
        frozen: Any = frozenset(active_partitions)
        if not frozen:
            await asyncio.sleep(IDLE_SECONDS)  # nothing to fetch from yet; Faust would fetch from every partition
            return {}
        sources = [tp for tp in frozen if not self.consumer._is_changelog_tp(tp)]
        before = {tp: state.position for tp, state in _states(consumer, sources).items()}
        try:
            records = await super()._fetch_records(consumer, frozen, *args, **limits)
        except NoOffsetForPartitionError:
            return {}  # it looked for a committed offset before the seek by state
        except OffsetOutOfRangeError as error:
            fail_stop(Exit.RANGE, "the command topic does not hold what comes next: it was re-created or cut", error=repr(error))
        for tp, state in _states(consumer, sources).items():
            if tp in before:
                _report(_engine_of(self), tp.partition, before[tp], records.get(tp, ()), state)
        return records


def _engine_of(part: Any) -> Engine:
    engine: Engine = part.app.engine
    return engine


def _states(client: Any, partitions: Iterable[Any]) -> dict[Any, Any]:
    """Return the client's own state of each partition that it has and knows the position of."""
    subscription = client._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    if assignment is None:
        return {}
    states = {tp: assignment.state_value(tp) for tp in partitions}
    return {tp: state for tp, state in states.items() if state is not None and state.has_valid_position}


def _report(engine: Engine, partition: int, begin: int, records: Sequence[Any], state: Any) -> None:
    """Tell the engine, from the client's thread, which offsets had no record, and how much an open transaction hides."""
    engine.hidden[partition] = (state.highwater or 0) - (state.lso or 0)
    if state.position - begin == len(records):
        return
    for record in records:
        if record.offset > begin:
            engine.passed_over(partition, begin, record.offset)
        begin = record.offset + 1
    if state.position > begin:
        engine.passed_over(partition, begin, state.position)


class SeatsConsumer(Consumer):
    """Starts each source partition where the state says, in both lanes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.no_poll = asyncio.Event()  # set while no poll is under way
        self.no_poll.set()

    def _new_consumer_thread(self) -> SeatsThread:
        return SeatsThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, *args: Any, **limits: Any) -> Any:
        self.no_poll.clear()
        try:
            return await super()._getmany(*args, **limits)
        finally:
            self.no_poll.set()

    async def perform_seek(self) -> None:
        """Seek each partition to the offset after the last decided command."""
        # A poll that began before the rebalance would take records after the seek, which are dropped: the next ones would leave a gap. It
        # ends within its second, and until the flow is resumed none begins.
        await self.no_poll.wait()
        sources = [tp for tp in self.assignment() if not self._is_changelog_tp(tp)]
        if not sources:
            return
        begins, ends = await self.earliest_offsets(*sources), await self.highwaters(*sources)
        committed: dict[TP, int] = {}
        for tp in sources:
            start = _engine_of(self).next_offset(tp.partition)
            if not begins[tp] <= start <= ends[tp]:
                # A reset would skip real commands as duplicates without a word, or decide some twice.
                fail_stop(
                    Exit.RANGE,
                    "the command topic does not hold what the state says comes next: it was re-created or cut",
                    topic=tp.topic,
                    partition=tp.partition,
                    next_offset=start,
                    begin=begins[tp],
                    end=ends[tp],
                )
            await self._seek(tp, start)
            self._read_offset[tp] = start or None
            self._committed_offset[tp] = start or None
            if start:
                committed[tp] = start
        await self._commit_for_the_record(committed)

    async def _commit_for_the_record(self, offsets: Mapping[TP, int]) -> None:
        """Commit so that lag monitoring shows the truth; nothing depends on it."""
        if offsets:
            try:
                await self._commit(offsets)
            except Exception as error:
                self.log.warning("commit after recovery: %r", error)


class FastLaneConsumer(SeatsConsumer):
    """Gives whole record lists to the engine."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.deciding = asyncio.Lock()

    async def _drain_messages(self, fetcher: Any) -> None:
        """Poll and decide. Records that are dropped come back: every rebalance ends with a seek by state, which waits for the poll that
        began before it."""
        stopped, fetcher_stopped, app = self._stopped.is_set, fetcher._stopped.is_set, cast(Any, self.app)
        engine = _engine_of(self)
        while not (stopped() or fetcher_stopped()):
            await asyncio.sleep(0)
            generation = app.consumer_generation_id
            if not self.flow_active:
                await self.wait(cast(Any, self.can_resume_flow))
                continue
            records, active = await self._wait_next_records(POLL_SECONDS)
            if not records or active is None or self.should_stop:
                continue
            # A rebalance waits for this lock (`wait_empty`), so that a partition is not handed over in the middle of a batch.
            async with self.deciding:
                left = [(tp, list(batch)) for tp, batch in records.items() if tp in active and not self._is_changelog_tp(tp)]
                while left and self.flow_active and generation == app.consumer_generation_id:
                    size = max(1, app.lane_batch // len(left))
                    await engine.on_records([(tp.partition, batch[:size]) for tp, batch in left])
                    left = [(tp, batch[size:]) for tp, batch in left if len(batch) > size]

    async def wait_empty(self) -> None:
        """Wait for the batch at work; Faust would wait for acknowledgements of single messages."""
        async with self.deciding:
            pass
        await self.commit_and_end_transactions()

    def _filter_committable_offsets(self, tps: Iterable[TP]) -> dict[TP, int]:
        """Return W + 1 of each source partition: a metric."""
        found = {}
        for tp in self.assignment():
            if not self._is_changelog_tp(tp):
                offset = _engine_of(self).next_offset(tp.partition)
                if offset > (self._committed_offset.get(tp) or 0):
                    found[tp] = offset
        return found


class SeatsTransport(Transport):
    Consumer = SeatsConsumer


class FastLaneTransport(SeatsTransport):
    Consumer = FastLaneConsumer
