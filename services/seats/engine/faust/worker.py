"""The Faust app around the engine: membership of the group, the table and its changelog, start, rebalances and stop."""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, cast

import structlog
from aiokafka import TopicPartition

from services.seats.engine import metrics
from services.seats.engine.commands import CommandReader
from services.seats.engine.decider import Decider
from services.seats.engine.engine import Engine, Limits, ReadDecisions, Topics
from services.seats.engine.failstop import Exit, fail_stop
from services.seats.engine.faults import Faults
from services.seats.engine.faust.app import make_app
from services.seats.engine.faust.assignor import SeatsAssignor
from services.seats.engine.faust.store import SeatsStore
from services.seats.engine.frames import RowCodec
from services.seats.engine.lane import Lane
from services.seats.engine.pause import PauseDetector
from services.seats.engine.producer import KafkaSender, make_engine_producer
from services.seats.engine.restore import BulkRestore
from services.seats.engine.ticks import Ticker
from services.seats.engine.watchdog import Watchdog
from services.seats.settings import Settings
from shared.clock import Clock
from shared.kafka import Ends, started
from shared.schemas import topics

_log = structlog.get_logger("seats.engine")

TABLE = "rows"
ROUNDS_AT_ONCE = 8  # handed over together; a rebalance, and reads of more than a row, wait for them
TAKE_SECONDS = 0.01  # of the agent's lane: how long a batch is gathered
TOPICS_POLL_SECONDS = 0.5
TOPICS_POLLS_MAX = 60
_RAW: dict[str, Any] = {"key_type": bytes, "key_serializer": "raw", "value_type": bytes, "value_serializer": "raw"}


class Worker:
    """Everything of one worker process but its REST. Made on the loop it runs on."""

    def __init__(
        self,
        settings: Settings,
        *,
        advertised_url: str,
        make_decider: Callable[[int], Decider],
        codec: RowCodec,
        read_decisions: ReadDecisions,
        clock: Clock,
    ) -> None:
        self.settings, self.advertised_url, self.clock = settings, advertised_url, clock
        self._ends = Ends(settings)
        self.pause = PauseDetector(clock)
        self._producer = make_engine_producer(settings)
        sender = KafkaSender(self._producer)
        self.names = Topics(*[settings.topic_name(topic) for topic in (topics.SEATS_COMMANDS, topics.SEATS_EVENTS, topics.SEATS_CHANGELOG)])
        self.engine = Engine(
            topics=self.names,
            reader=CommandReader(settings.seats_partitions),
            make_decider=make_decider,
            codec=codec,
            sender=sender,
            read_decisions=read_decisions,
            clock=clock,
            pause=self.pause,
            faults=Faults(settings.seats_faults),
            limits=Limits(rows_max=settings.seats_frame_rows, commands_max=settings.seats_round),
        )
        self.restore = BulkRestore(settings, self.names.changelog, codec, clock)
        self.app = make_app(settings, advertised_url)
        self.app.engine, self.app.lane_batch = self.engine, settings.seats_round * ROUNDS_AT_ONCE
        self._table = self._make_table()
        self._make_agent()
        self._ready = False
        metrics.expose(self.engine, lambda: self.ready)
        self.ticker = Ticker(self.engine, sender, self.names.commands, clock, idle_seconds=settings.seats_idle_tick_seconds)
        self.watchdog = Watchdog(
            self.engine,
            clock,
            seconds_max=settings.seats_stall_seconds,
            ready=lambda: self.ready,
            ends=self.ends,
            restored=lambda: self.restore.records,
        )

    @property
    def ready(self) -> bool:
        """Neither rebalancing nor restoring: what is read now is what this worker owns."""
        return self._ready and not self.app.rebalancing

    def owner_url(self, partition: int) -> str | None:
        """Where the partition's owner is reached; None while nobody is known to own it."""
        return cast(SeatsAssignor, self.app.assignor).owner_url(self.names.commands, partition)

    async def ends(self, partitions: Iterable[int]) -> dict[int, int]:
        """How far the command topic goes. Raises Transient."""
        ends = await self._ends.of([TopicPartition(self.names.commands, number) for number in partitions])
        return {tp.partition: end for tp, end in ends.items()}

    async def run(self) -> None:
        """Run until cancelled. An error of a part ends the process."""
        self.pause.start()
        async with started(self._producer):  # also when the broker is not there yet
            try:
                await self._start_app()
                await asyncio.gather(self._forever(self.ticker.run), self._forever(self.watchdog.run))
            finally:
                await self.app.stop()
                async with self.engine.between_batches():  # a running batch is shielded from the stop and written first
                    await self._ends.close()
                    self.pause.stop()

    async def _start_app(self) -> None:
        await self._wait_for_topics()
        self.app.finalize()
        self._store().restore = self.restore
        self.app.loop = asyncio.get_running_loop()
        await self.app.maybe_start()

    async def _forever(self, part: Callable[[], Awaitable[None]]) -> None:
        try:
            await part()
        except Exception as error:
            fail_stop(Exit.CRASH, "a part of the worker failed", error=repr(error))

    async def _wait_for_topics(self) -> None:
        """Join the group only when all topics are visible: the leader makes the assignment from what it knows."""
        for _ in range(TOPICS_POLLS_MAX):
            found = {name: await self._partitions_of(name) for name in (self.names.commands, self.names.events, self.names.changelog)}
            if all(count == self.settings.seats_partitions for count in found.values()):
                return
            await asyncio.sleep(TOPICS_POLL_SECONDS)
        why = "topics are missing or have the wrong number of partitions"
        fail_stop(Exit.TOPICS, why, found=found, expected=self.settings.seats_partitions)

    async def _partitions_of(self, topic: str) -> int:
        try:
            return len(await self._producer.partitions_for(topic))
        except Exception as error:
            _log.info("waiting_for_topic", topic=topic, error=repr(error))
            return 0

    def _store(self) -> SeatsStore:
        return cast(SeatsStore, self._table.data)

    def _make_table(self) -> Any:
        app: Any = self.app
        # Raw: Faust logs an error in its recovery and goes on without the record, so nothing may be left for it to decode.
        table = app.Table(TABLE, partitions=self.settings.seats_partitions, key_type=bytes, value_type=bytes)

        async def rebuild() -> None:
            try:
                await self.engine.take_over(self._store().partitions)
                self._ready = True
                # What was restored lives long and refers to nothing that dies: the collector need not look through it again and again.
                gc.freeze()
                _log.info("owns", partitions=sorted(self.engine.live), decided={n: live.decided for n, live in self.engine.live.items()})
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                _log.error("take_over_failed", exc_info=True)
                fail_stop(Exit.RESTORE, "the state could not be taken over", error=repr(error))

        async def revoked(app: Any, revoked: Any, **kwargs: Any) -> None:
            self._ready = False
            self.engine.release()

        table.on_recover(rebuild)
        app.on_partitions_revoked.connect(revoked, weak=False)
        return table

    def _make_agent(self) -> None:
        """In the fast lane it only subscribes the topic."""
        engine, batch = self.engine, self.settings.seats_round
        commands = self.app.topic(self.names.commands, partitions=self.settings.seats_partitions, **_RAW)

        async def subscribe(stream: Any) -> None:
            async for _ in stream:
                raise AssertionError("a record came past the fast lane")

        async def decide(stream: Any) -> None:
            async for taken in stream.noack_take(batch, within=TAKE_SECONDS):
                await engine.on_records(_by_partition([event.message for event in taken]))
                for event in taken:
                    event.ack()

        self.app.agent(commands, name="decide")(subscribe if self.settings.seats_lane is Lane.FAST else decide)


class _AgentRecord:
    """A Faust message in the form of an aiokafka record: its timestamp is in seconds there."""

    __slots__ = ("headers", "key", "offset", "partition", "timestamp", "value")

    def __init__(self, message: Any) -> None:
        self.partition, self.offset, self.key, self.value = message.partition, message.offset, message.key, message.value
        self.timestamp = round(message.timestamp * 1000)
        self.headers = message.headers or ()


def _by_partition(messages: Sequence[Any]) -> list[tuple[int, list[_AgentRecord]]]:
    chunks: dict[int, list[_AgentRecord]] = {}
    for message in messages:
        chunks.setdefault(message.partition, []).append(_AgentRecord(message))
    return sorted(chunks.items())
