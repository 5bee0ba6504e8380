"""The reader of a consumer group: state, outbox and position change in one transaction. Kafka's group only shares out partitions."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import stamina
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError

from shared.clock import Clock, SystemClock
from shared.database import Database
from shared.errors import Poison, Transient
from shared.kafka import Ends, make_reader, partition_of, started, translated
from shared.kafka_clients import ask_for_missing_topics, check_group, check_tasks, tasks_of
from shared.messaging import positions
from shared.messaging.batch import Admit, Care, Group, HandlerRefused, Item, TenantExists
from shared.messaging.batch_size import BatchSize
from shared.messaging.command_ends import CommandEnds
from shared.messaging.dead_letters import rows as dead_letters
from shared.messaging.dead_letters import waiting
from shared.messaging.message import Handler, Record
from shared.messaging.pace import Pace
from shared.messaging.positions import LostPartition, ReadingPosition
from shared.messaging.watchdog import Stalled, Watchdog
from shared.observability import metrics
from shared.schemas.base import Payload
from shared.schemas.topics import Topic
from shared.settings import KafkaSettings

log = structlog.get_logger(__name__)

BATCH_MAX = 500  # messages in one transaction, if they are handled fast
POLL_MS = 1000
# A batch of one message costs almost as much as one of twenty. A partition that always has messages is read this often, others at once.
BATCHES_PER_SECOND, BATCHES_AT_ONCE, LARGE_BATCHES_PER_SECOND = 20, 10, 5
MORE_MS = 20  # for what the broker has by then
STALL_SECONDS = 90  # lag without progress for longer than this ends the process, as long as broker and database answer
WATCH_EVERY_SECONDS = 10
LOOK_EVERY_SECONDS = 2  # for topics that came or went
STOP_GRACE_SECONDS = 5  # a batch under way may finish when its partition is taken away or the process ends, and then be rolled back
TRANSACTIONS_MAX = 3  # at once, below the size of the pool, so that REST in the same process finds a connection
RETRY_SECONDS_MAX = 5.0
WAITING_POLL_SECONDS = 1.0  # until what waited behind a resolved dead letter is noticed


class PositionLost(Exception):
    """The stored position lies outside the topic: it was cut or created again, and going on would miss messages silently."""


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Reads the topics of one group, batch by batch, and keeps its position in the transaction of each batch."""

    def __init__(
        self,
        *,
        group: str,
        database: Database,
        kafka: KafkaSettings,
        topics: Sequence[Topic],
        handlers: Mapping[type[Payload], Handler],
        more_topics: Callable[[], Awaitable[Sequence[Topic]]] | None = None,
        admit: Admit | None = None,
        tenant_exists: TenantExists | None = None,
        genuine: Collection[type[Payload]] | None = None,
        together: bool = False,
        clock: Clock | None = None,
        batch_max: int = BATCH_MAX,
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        """`more_topics` returns topics besides `topics` that come and go; it is called regularly."""
        self.group = Group(group, topics, handlers, admit, tenant_exists=tenant_exists, genuine=genuine, together=together)
        self._database, self._kafka = database, kafka
        self._clock = clock or SystemClock()
        self._batch_max, self._stall_seconds = batch_max, stall_seconds
        self._topics = {kafka.topic_name(topic): topic for topic in topics}  # every one that was ever read
        self._wanted = self._always = frozenset(self._topics)
        self._missing: frozenset[str] = frozenset()
        self._more_topics = more_topics
        self._reader: AIOKafkaConsumer | None = None
        self._ends = Ends(kafka)
        self._command_ends = CommandEnds(kafka, self._ends, self._clock)
        self._transactions = asyncio.Semaphore(TRANSACTIONS_MAX)
        self._pumps: dict[TopicPartition, asyncio.Task[None]] = {}
        self._stopping: set[TopicPartition] = set()
        self._next: dict[TopicPartition, int] = {}  # where the reader stands; absent: seek first
        self._paces: dict[TopicPartition, Pace] = {}
        self._pauses: dict[TopicPartition, float] = {}  # seconds before the next batch
        self._sizes: dict[TopicPartition, BatchSize] = {}
        self._watchdog: Watchdog[TopicPartition] = Watchdog(group, self._clock, stall_seconds)
        self._positions: dict[tuple[str, int], int] = {}
        self._failed: asyncio.Future[None] | None = None

    # ------------------------------------------------------------------------------------------------------------- running

    async def run(self) -> None:
        """Run until cancelled. Transient errors are retried; any other exception ends this call."""
        self._failed = asyncio.get_running_loop().create_future()
        reader = make_reader(
            self._kafka,
            group_id=self._kafka.group_name(self.group.name),
            # A killed process holds its partitions until its session ends; 6 s is the least a broker allows.
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_500,
            max_poll_interval_ms=600_000,
            fetch_max_wait_ms=250,
        )
        async with started(reader, timeout_seconds=None):
            self._reader = reader
            await self._wait_for_topics(reader)
            await self._subscribe(reader)
            background = [asyncio.create_task(work) for work in (self._watch(), self._count(), self._keep_subscribed(reader))]
            if self.group.tenant_exists is not None:
                background.append(asyncio.create_task(self._process_waiting()))
            try:
                await asyncio.wait([*background, *tasks_of(reader), self._failed], return_when=asyncio.FIRST_COMPLETED)
                for ended in (*background, self._failed):
                    if ended.done():
                        ended.result()
                check_tasks(reader)
            finally:
                for task in background:
                    task.cancel()
                await asyncio.wait(background, timeout=STOP_GRACE_SECONDS)
                await self._stop_pumps(list(self._pumps))
                self._reader = None
                await self.close()

    async def _wait_for_topics(self, reader: AIOKafkaConsumer) -> None:
        """A group joined while a topic is not known yet gets an assignment without it."""
        while True:
            try:
                with translated():
                    missing = self._always - await reader.topics()
            except Transient:
                missing = self._always  # the broker went away again
            if not missing:
                return
            log.warning("topics_missing", group=self.group.name, topics=sorted(missing))
            await asyncio.sleep(1)

    async def _find_topics(self) -> None:
        """Raises Transient."""
        if self._more_topics is not None:
            more = {self._kafka.topic_name(topic): topic for topic in await self._more_topics()}
            self._topics |= more
            self._wanted = self._always | more.keys()

    async def _subscribe(self, reader: AIOKafkaConsumer) -> None:
        """Subscribe to the present topics if they have changed. A topic of `more_topics` that is not on the broker delays no other."""
        before = reader.subscription()
        try:
            await self._find_topics()
            wanted = self._always | (self._wanted & before)
            if missing := self._wanted - wanted:
                with translated():
                    wanted |= missing & await reader.topics()
        except Transient:
            wanted = before or self._always  # the next look finds them
        if (missing := self._wanted - wanted) != self._missing:
            self._missing = missing
            log.warning("topics_missing", group=self.group.name, topics=sorted(missing))
        if wanted != before:
            self._watchdog.waits_for_partitions()
            reader.subscribe(topics=sorted(wanted), listener=self)

    async def _keep_subscribed(self, reader: AIOKafkaConsumer) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_SECONDS)
            await self._subscribe(reader)
            ask_for_missing_topics(reader)
            if not self._pumps:
                with suppress(Transient), translated():
                    check_group(reader)

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        self._watchdog.waits_for_partitions()
        await self._stop_pumps(list(revoked))

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        log.info("partitions_assigned", group=self.group.name, partitions=sorted(f"{tp.topic}/{tp.partition}" for tp in assigned))
        self._watchdog.got_partitions()
        for tp in assigned:
            if tp not in self._pumps:
                self._next.pop(tp, None)
                self._stopping.discard(tp)
                self._watchdog.begin(tp)
                self._pumps[tp] = asyncio.create_task(self._pump(tp), name=f"pump {tp.topic}/{tp.partition}")
                self._pumps[tp].add_done_callback(partial(self._on_pump_done, tp))

    def _on_pump_done(self, tp: TopicPartition, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is None and self._pumps.get(tp) is task:
            error = RuntimeError(f"{task.get_name()} has ended, and nobody stopped it")
        if error is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _stop_pumps(self, tps: list[TopicPartition]) -> None:
        tasks = [self._pumps.pop(tp) for tp in tps if tp in self._pumps]
        self._stopping.update(tps)
        for tp in tps:
            self._watchdog.end(tp)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_GRACE_SECONDS)
            for task in late:
                task.cancel()
            if late and (stuck := (await asyncio.wait(late, timeout=STOP_GRACE_SECONDS))[1]):
                # The group would wait for its member, and the process for its end.
                self._fail(Stalled(f"{self.group.name}: {', '.join(sorted(task.get_name() for task in stuck))} cannot be stopped"))
        for tp in tps:
            with suppress(KeyError):  # of a partition that is another's now this process knows no lag
                metrics.LAG.remove(self.group.name, self._topics[tp.topic].name, str(tp.partition))
                metrics.HIDDEN.remove(self.group.name, self._topics[tp.topic].name, str(tp.partition))

    async def _pump(self, tp: TopicPartition) -> None:
        """Handle one partition, batch after batch. A transient error here delays no other partition."""
        while tp not in self._stopping:
            async for attempt in stamina.retry_context(
                on=(Transient, LostPartition), attempts=None, timeout=None, wait_initial=0.05, wait_max=RETRY_SECONDS_MAX, wait_jitter=0.5
            ):
                if tp in self._stopping:
                    return
                if attempt.num > 1:
                    metrics.RETRIED.labels(self.group.name).inc()
                    self._watchdog.failed(tp)
                with attempt, self._sought_again(tp), translated():
                    await self._step(tp)

    @contextmanager
    def _sought_again(self, tp: TopicPartition) -> Iterator[None]:
        """Seek again after any failure: the stored position says what was committed, which may differ from what we meant to commit."""
        try:
            yield
        except BaseException:
            self._next.pop(tp, None)
            raise

    async def _step(self, tp: TopicPartition) -> None:
        assert self._reader is not None
        if tp not in self._next:
            await self._seek(tp)
        size = self._sizes.setdefault(tp, BatchSize(self._batch_max))
        most = size.messages
        try:
            records = await self._fetch(self._reader, tp, most)
        except NoOffsetForPartitionError:
            # The client looked for a committed offset before we had sought; now it has the stored position.
            self._next.pop(tp, None)
            return
        # Behind the last record, or further: behind a transaction's marker or records that were aborted there comes none.
        reached = await self._reader.position(tp)
        if reached == self._next[tp] or tp in self._stopping:
            return
        topic = self._topics[tp.topic]
        items = await self.read([Record(topic, r.partition, r.offset, r.timestamp, r.key, r.headers, r.value) for r in records])
        self._watchdog.waits_for_turn(tp)
        async with self._transactions:
            self._watchdog.has_turn(tp)
            begun, committed = self._clock.monotonic(), False
            try:
                self._next[tp] = await self._commit(topic, tp.partition, items, self._next[tp], reached)
                committed = True
            finally:
                size.took(len(records), self._clock.monotonic() - begun, committed=committed)
        self._positions[topic.name, tp.partition] = self._next[tp]
        if (pause := self._pace(tp).took_turn(len(records))) and len(records) < most:
            self._pauses[tp] = pause

    def _pace(self, tp: TopicPartition) -> Pace:
        if tp not in self._paces:
            self._paces[tp] = Pace(
                self._clock, per_second=BATCHES_PER_SECOND, burst=BATCHES_AT_ONCE, per_second_with_many=LARGE_BATCHES_PER_SECOND
            )
        return self._paces[tp]

    async def _fetch(self, reader: AIOKafkaConsumer, tp: TopicPartition, most: int) -> list[Any]:
        """Wait for records and return them. Of a partition that always has some, those of the next moment come in the same batch."""
        if pause := self._pauses.pop(tp, 0.0):
            await asyncio.sleep(pause)
        records = list((await reader.getmany(tp, timeout_ms=POLL_MS, max_records=most)).get(tp, ()))
        if pause and 0 < len(records) < most:
            # Meanwhile the client held no more than the first fetch of the pause; now the broker gives it the rest at once.
            more = await reader.getmany(tp, timeout_ms=MORE_MS, max_records=most - len(records))
            records += more.get(tp, ())
        return records

    async def read(self, records: Sequence[Record]) -> list[Item]:
        """Decode records of one partition, in their order. Raises Transient."""
        items: list[Item] = []
        for record in records:
            if items and items[-1].takes(record):
                items[-1].records += 1
            else:
                items.append(await self.group.read(record))
        decisions = [(offset, item) for item in items if (offset := self.group.names_command(item)) is not None]
        if decisions:
            end = await self._command_ends.end_for(records[0].partition, max(offset for offset, _ in decisions))
            for offset, item in decisions:
                if offset >= end:
                    detail = f"the id names a command at {offset}, but the commands of this partition end at {end}"
                    refused = item.poison or Poison("position", detail, rule="ce_id: of a command that exists")
                    item.refuse(refused, may_block=False)
        return items

    async def _seek(self, tp: TopicPartition) -> None:
        assert self._reader is not None
        topic = self._topics[tp.topic]
        async with self._database.unit_of_work(None) as uow:
            stored = (await positions.read(uow, self.group.name)).get((topic.name, tp.partition))
        begin = (await self._reader.beginning_offsets([tp]))[tp]
        end = (await self._reader.end_offsets([tp]))[tp]
        wanted = begin if stored is None else stored
        if not begin <= wanted <= end:
            raise PositionLost(
                f"{self.group.name} stands at {wanted} of {tp.topic}/{tp.partition}, which holds {begin} to {end}: "
                "it was cut or created again; rebuild this service's state, or set the position by hand"
            )
        self._reader.seek(tp, wanted)
        self._next[tp] = self._positions[topic.name, tp.partition] = wanted

    async def _commit(self, topic: Topic, partition: int, items: list[Item], expected: int, reached: int) -> int:
        """Commit a batch and return the next offset, `reached`. `expected` is where we read from; it is compared under the row's lock."""
        with metrics.BATCH_SECONDS.labels(self.group.name).time():
            care = Care()
            while True:
                try:
                    return await self._transaction(topic, partition, items, expected, reached, care)
                except HandlerRefused as refused:
                    care = care.more(refused)

    async def _transaction(self, topic: Topic, partition: int, items: list[Item], expected: int, reached: int, care: Care) -> int:
        async with self._database.unit_of_work(None) as uow:
            position = await positions.lock(uow, self.group.name, topic, partition, expected)
            watermark, tally = await self.group.apply(uow, items, position.watermark, care=care)
            await positions.store(uow, self.group.name, topic, partition, ReadingPosition(reached, watermark))
        self.group.count(topic, tally)
        return reached

    async def _process_waiting(self) -> None:
        """Process the messages that wait behind a dead letter which an operator resolved, one message of each tenant in turn."""
        while True:
            try:
                async with self._database.unit_of_work(None) as uow:
                    tenants = await dead_letters.ready_tenants(uow, self.group.name)
                while tenants:
                    tenants = [tenant for tenant in tenants if await self._process_next(tenant)]
            except Transient as error:
                log.warning("waiting_messages_delayed", group=self.group.name, error=str(error))
            await asyncio.sleep(WAITING_POLL_SECONDS)

    async def _process_next(self, tenant: str) -> bool:
        async with self._transactions, self._database.unit_of_work(None) as uow:
            return await waiting.process_next(self.group, uow, tenant)

    # ------------------------------------------------------------------------------------------------------------ watching

    async def _watch(self) -> None:
        """Raises Stalled. What it asks for it gets beside the pool and the reader, which may be what is stuck."""
        while True:
            await asyncio.sleep(min(WATCH_EVERY_SECONDS, self._stall_seconds / 4))
            try:
                ends = await self._ends.of(list(self._pumps))
                if not ends:
                    await self._ends.knows(next(iter(self._topics)))
                positions = {tp: at for tp in ends if (at := self._positions.get((self._topics[tp.topic].name, tp.partition))) is not None}
                self._show_lag(ends, positions)
                if self._watchdog.look(positions, ends):
                    async with self._database.own_connection("watch") as connection:
                        await connection.fetchval("SELECT 1")
            except Transient:
                self._watchdog.pardon()
            self._watchdog.check()

    def _show_lag(self, ends: Mapping[TopicPartition, int], positions: Mapping[TopicPartition, int]) -> None:
        for tp in positions.keys() & self._pumps.keys():
            labels = (self.group.name, self._topics[tp.topic].name, str(tp.partition))
            metrics.LAG.labels(*labels).set(max(0, ends[tp] - positions[tp]))
            metrics.HIDDEN.labels(*labels).set(self._hidden(tp))

    async def _count(self) -> None:
        while True:
            with suppress(Transient):
                async with self._database.unit_of_work(None) as uow:
                    metrics.DEAD_LETTERS_OPEN.labels(self.group.name).set(await dead_letters.count_open(uow, self.group.name))
            await asyncio.sleep(WATCH_EVERY_SECONDS)

    def _hidden(self, tp: TopicPartition) -> int:
        """Return the number of messages behind the beginning of an open transaction, according to the last fetch."""
        reader = self._reader
        if reader is None or tp not in reader.assignment():
            return 0
        highwater, stable = reader.highwater(tp), reader.last_stable_offset(tp)
        return highwater - stable if highwater is not None and stable is not None else 0

    def _partitions_of(self, tenant: str) -> list[TopicPartition]:
        key = tenant.encode()
        return [TopicPartition(name, partition_of(key, self._kafka.partitions(self._topics[name]))) for name in sorted(self._wanted)]

    async def at_end(self, tenant: str) -> bool:
        """Tell whether this group has read the tenant's partition of each of its topics to the end. The stored positions of all processes
        of the group count, whether this consumer runs or not. Raises Transient."""
        await self._find_topics()
        # Ends first: what is written in between is the next call's.
        ends = await self._ends.of(self._partitions_of(tenant))
        if self.group.tenant_exists is not None:
            async with self._database.unit_of_work(None) as uow:
                if await dead_letters.is_ready(uow, self.group.name, tenant):
                    return False  # what waited behind a dead letter is still to be processed
        return await self.has_read(ends)

    async def has_read(self, ends: Mapping[TopicPartition, int]) -> bool:
        """Tell whether any process of the group has read up to these offsets. Raises Transient."""
        async with self._database.unit_of_work(None) as uow:
            stored = await positions.read(uow, self.group.name)
        self._positions |= stored
        return all(stored.get((self._topics[tp.topic].name, tp.partition), 0) >= end for tp, end in ends.items())

    async def behind(self) -> dict[str, int]:
        """Return for each topic how many messages no process of the group has read. A topic that the broker does not have yet is left
        out. Raises Transient."""
        await self._find_topics()
        names = [name for name in sorted(self._wanted) if name in self._always or await self._ends.knows(name)]
        ends = {name: await self.ends_of(self._topics[name]) for name in names}
        async with self._database.unit_of_work(None) as uow:
            stored = await positions.read(uow, self.group.name)
        return {
            self._topics[name].name: sum(max(0, end - stored.get((self._topics[name].name, tp.partition), 0)) for tp, end in found.items())
            for name, found in ends.items()
        }

    async def is_readable(self, topic: Topic) -> bool:
        """Tell whether the topic is on the broker, with the stored position, if any, within it. Raises Transient."""
        if not await self._ends.knows(self._kafka.topic_name(topic)):
            return False
        ends = await self.ends_of(topic)
        async with self._database.unit_of_work(None) as uow:
            stored = await positions.read(uow, self.group.name)
        return all(stored.get((topic.name, tp.partition), 0) <= end for tp, end in ends.items())

    async def ends_of(self, topic: Topic) -> dict[TopicPartition, int]:
        """Return the present end of each partition of the topic. Raises Transient."""
        name = self._kafka.topic_name(topic)
        self._topics[name] = topic
        return await self._ends.of([TopicPartition(name, number) for number in range(self._kafka.partitions(topic))])

    def positions(self, tenant: str | None = None) -> dict[str, int]:
        """Return "topic/partition" -> next offset, as last committed here or seen by `at_end`: for the tenant's partitions, or for all."""
        mine = None if tenant is None else {(self._topics[tp.topic].name, tp.partition) for tp in self._partitions_of(tenant)}
        return {f"{topic}/{n}": offset for (topic, n), offset in sorted(self._positions.items()) if mine is None or (topic, n) in mine}

    async def close(self) -> None:
        """Close the clients. Needed only where `at_end` was called without `run`."""
        await self._ends.close()
