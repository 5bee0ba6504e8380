"""What Faust 0.15.3 needs so that nothing is lost: replacements of private methods, each with its reason. Hence the exact version.

1. The set of active partitions is handed to the consumer's thread as a frozen copy; the live set changes under it while recovery ends.
2. After recovery: wait for the poll under way, seek, clear the streams' queues, resume, in that order. Faust resumes first, and with a
   backlog the records delivered meanwhile are dropped (faust-streaming issue 596; 4 of 9 restarts lost commands).
3. Source partitions start where the *state* says (W + 1). Committed offsets are a metric: losing them loses nothing.
4. The group's leader never hands out an assignment made from incomplete metadata. Faust logs "Ignoring missing topic" and leaves every
   member idle for minutes; seen after a restart of the broker.
5. A source partition whose position is outside the topic ends the worker. Faust's client would go back to the topic's beginning, or leave
   out what was cut away, without a word.
6. Records of open and aborted transactions are not read (Faust asks for everything), and the engine is told which offsets the client
   passed over without a record: only those may be missing between two commands.
7. A fetch waits at the broker for 0.1 s, not for 1.5 s: one that was sent for the other partitions while a busy one's records were being
   decided would hold up the busy one's next records for so long.
8. A crash of Faust ends the process by `fail_stop`; Faust would commit on the way out.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import faust
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.assignor.partition_assignor import PartitionAssignor
from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver

from services.seats.engine.failstop import Exit, fail_stop

FAUST_VERSION = "0.15.3"
assert faust.__version__ == FAUST_VERSION, f"private methods of Faust {FAUST_VERSION} are replaced here; this is {faust.__version__}"


class Guarded(Protocol):
    """What the guard asks of the app."""

    def next_offset(self, partition: int) -> int:
        """W + 1: the offset of the command to decide next."""
        ...

    def passed_over(self, partition: int, begin: int, end: int) -> None:
        """The client went from one to the other without a record: markers and aborted records of transactions. From another thread."""
        ...

    def hides(self, partition: int, records: int) -> None:
        """So many stand behind the beginning of an open transaction. From another thread."""
        ...


# Faust's classes are typed, and methods of theirs are replaced: to the type checker they are anything.
_Thread: Any = driver.AIOKafkaConsumerThread
_Consumer: Any = faust_consumer.Consumer
_Recovery: Any = Recovery
_Assignor: Any = PartitionAssignor

_fetch_records = _Thread._fetch_records
_create_worker_consumer = _Thread._create_worker_consumer
_copartitioned_groups = _Assignor._get_copartitioned_groups.__func__
IDLE_SECONDS = 0.05
FETCH_WAIT_MS_MAX = 100


async def _fetch_frozen(self: Any, consumer: Any, active: set[Any] | None, **limits: Any) -> Any:
    if active is None:
        return await _fetch_records(self, consumer, None, **limits)
    frozen = frozenset(active)
    if not frozen:
        await asyncio.sleep(IDLE_SECONDS)  # nothing to fetch from yet; Faust would fetch from every partition
        return {}
    sources = [tp for tp in frozen if not self.consumer._is_changelog_tp(tp)]
    before = _positions(consumer, sources)
    try:
        records = await _fetch_records(self, consumer, frozen, **limits)
    except NoOffsetForPartitionError:
        return {}  # it looked for a committed offset before the seek by state
    except OffsetOutOfRangeError as error:
        fail_stop(Exit.RANGE, "the command topic does not hold what comes next: it was re-created or cut", error=repr(error))
    for tp, state in _states(consumer, sources).items():
        if tp in before:
            _report(self.consumer.app, tp.partition, before[tp], records.get(tp, ()), state)
    return records


def _states(consumer: Any, partitions: Iterable[Any]) -> dict[Any, Any]:
    """The client's own state of each partition that it has and knows the position of."""
    subscription = consumer._subscription.subscription
    assignment = None if subscription is None else subscription.assignment
    if assignment is None:
        return {}
    states = {tp: assignment.state_value(tp) for tp in partitions}
    return {tp: state for tp, state in states.items() if state is not None and state.has_valid_position}


def _positions(consumer: Any, partitions: Iterable[Any]) -> dict[Any, int]:
    return {tp: state.position for tp, state in _states(consumer, partitions).items()}


def _report(app: Guarded, partition: int, begin: int, records: Sequence[Any], state: Any) -> None:
    app.hides(partition, (state.highwater or 0) - (state.lso or 0))
    if state.position - begin == len(records):
        return
    for record in records:
        if record.offset > begin:
            app.passed_over(partition, begin, record.offset)
        begin = record.offset + 1
    if state.position > begin:
        app.passed_over(partition, begin, state.position)


def _create_worker_consumer_of_ours(self: Any, transport: Any) -> Any:
    consumer = _create_worker_consumer(self, transport)
    consumer._fetch_max_wait_ms = FETCH_WAIT_MS_MAX
    consumer._isolation_level = "read_committed"
    consumer._auto_offset_reset = "none"
    return consumer


def no_poll_of(consumer: Any) -> asyncio.Event:
    """Set while no poll of the fast lane is under way."""
    if "_seats_no_poll" not in consumer.__dict__:
        consumer._seats_no_poll = asyncio.Event()
        consumer._seats_no_poll.set()
    found: asyncio.Event = consumer._seats_no_poll
    return found


async def _seek_by_state(self: Any) -> None:
    # A poll that began before the rebalance would take records after the seek, which are dropped: the next ones would leave a gap. It ends
    # within its second, and until the flow is resumed none begins.
    await no_poll_of(self).wait()
    sources = [tp for tp in self.assignment() if not self._is_changelog_tp(tp)]
    if not sources:
        return
    begins, ends = await self.earliest_offsets(*sources), await self.highwaters(*sources)
    committed: dict[Any, int] = {}
    for tp in sources:
        start = self.app.next_offset(tp.partition)
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
    await _commit_for_the_record(self, committed)


async def _commit_for_the_record(consumer: Any, offsets: Mapping[Any, int]) -> None:
    """Only so that lag monitoring shows the truth."""
    if offsets:
        try:
            await consumer._commit(offsets)
        except Exception as error:
            consumer.log.warning("commit after recovery: %r", error)


async def _recovery_completed(self: Any, generation_id: int = 0) -> None:
    app, consumer = self.app, self.app.consumer
    await app.on_rebalance_complete.send()
    self._set_recovery_ended()
    await asyncio.gather(
        *[table.on_recovery_completed(self.actives_for_table[table], self.standbys_for_table[table]) for table in self.tables.values()]
    )
    if app.consumer_generation_id != generation_id:
        self.log.warning("another rebalance began during recovery")
        return
    assignment = consumer.assignment()
    if assignment:
        await self._wait(consumer.perform_seek(), timeout=app.conf.broker_request_timeout)
    self.completed.set()
    app.flow_control.resume()  # clears the streams' queues, which are still empty here
    consumer.resume_flow()
    consumer.resume_partitions({tp for tp in assignment if not self._is_changelog_tp(tp)})
    await app._fetcher.maybe_start()
    self.tables.on_actives_ready()
    self.tables.on_standbys_ready()
    app.on_rebalance_end()
    self.log.info("Worker ready")


def _groups_or_end(cls: Any, topics: set[str], cluster: Any, subscriptions: Any) -> Any:
    missing = [topic for topic in topics if not cluster.partitions_for_topic(topic)]
    if missing:
        fail_stop(Exit.METADATA, "the group's leader has no metadata of a topic", topics=missing)
    return _copartitioned_groups(cls, topics, cluster, subscriptions)


def install() -> None:
    """Idempotent. To be called before an app is made."""
    _Thread._fetch_records = _fetch_frozen
    _Thread._create_worker_consumer = _create_worker_consumer_of_ours
    _Consumer.perform_seek = _seek_by_state
    _Recovery.on_recovery_completed = _recovery_completed
    _Assignor._get_copartitioned_groups = classmethod(_groups_or_end)
