"""A partition that does not get on is noticed, whatever its loop does meanwhile; an outage is not its fault."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared.clock import FixedClock
from shared.errors import Transient
from shared.kafka_clients import ClientTaskEnded
from shared.messaging import consumer as module
from shared.messaging import positions
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import rows as dead_letters
from shared.messaging.watchdog import FAILING_FACTOR, Stalled, Watchdog
from shared.schemas import topics
from shared.settings import KafkaSettings
from tests.support.messaging import NOON
from tests.support.wait import wait_until

LIMIT, NEVER = 90, 1e9
TP = TopicPartition(topics.HR_EVENTS.name, 0)


class Watched:
    """One partition, looked at every 10 seconds."""

    def __init__(self) -> None:
        self.clock = FixedClock(NOON)
        self.watchdog: Watchdog[str] = Watchdog("test", self.clock, LIMIT)
        self.watchdog.begin("p")

    def looks(self, seconds: float, *, position: int | None, end: int, meanwhile: Callable[[], None] = lambda: None) -> None:
        """Raises Stalled."""
        for _ in range(int(seconds) // 10):
            self.clock.seconds += 10
            meanwhile()
            self.watchdog.look({} if position is None else {"p": position}, {"p": end})
            self.watchdog.check()


@pytest.mark.parametrize("position", [4, None])
def test_a_partition_whose_position_stays_behind_its_end_is_stalled(position: int | None) -> None:
    watched = Watched()
    watched.looks(LIMIT, position=position, end=7)
    with pytest.raises(Stalled, match="3 messages wait in p" if position else "unknown number"):
        watched.looks(20, position=position, end=7)


def test_a_partition_that_gets_on_or_has_nothing_to_do_is_not_stalled() -> None:
    watched = Watched()
    watched.looks(10 * LIMIT, position=7, end=7)
    for position in range(8, 20):
        watched.looks(LIMIT - 10, position=position, end=100)


def test_attempts_that_fail_and_are_repeated_are_a_sign_of_life_for_a_while_only() -> None:
    watched = Watched()
    watched.looks(FAILING_FACTOR * LIMIT, position=4, end=7, meanwhile=lambda: watched.watchdog.failed("p"))
    with pytest.raises(Stalled):
        watched.looks(20, position=4, end=7, meanwhile=lambda: watched.watchdog.failed("p"))


def test_a_partition_that_waits_for_its_turn_is_not_silent_while_others_have_theirs() -> None:
    watched = Watched()
    watched.watchdog.waits_for_turn("p")
    watched.looks(2 * LIMIT, position=4, end=7, meanwhile=lambda: watched.watchdog.has_turn("another"))
    watched.watchdog.has_turn("p")
    with pytest.raises(Stalled):
        watched.looks(LIMIT + 20, position=4, end=7, meanwhile=lambda: watched.watchdog.has_turn("another"))


def test_an_outage_or_a_pause_of_the_process_starts_the_count_again() -> None:
    watched = Watched()
    watched.looks(LIMIT, position=4, end=7)
    watched.watchdog.pardon()
    watched.looks(LIMIT, position=4, end=7)
    watched.clock.seconds += 3600
    watched.looks(LIMIT, position=4, end=7)


def test_a_partition_that_was_taken_away_is_not_watched_any_more() -> None:
    watched = Watched()
    watched.watchdog.end("p")
    watched.looks(10 * LIMIT, position=4, end=7)


def test_a_group_that_shares_out_nothing_is_stalled_until_it_does() -> None:
    watched = Watched()
    watched.watchdog.end("p")
    watched.watchdog.waits_for_partitions()
    watched.looks(FAILING_FACTOR * LIMIT, position=None, end=0)
    with pytest.raises(Stalled, match="shared out no partitions"):
        watched.looks(20, position=None, end=0)
    watched.watchdog.got_partitions()
    watched.looks(10 * LIMIT, position=None, end=0)


class Reader:
    """A client that has one partition with three messages, and returns none of them. Ten seconds pass between two looks at its end."""

    def __init__(self) -> None:
        self.clock, self.looks = FixedClock(NOON), 0
        self.end, self.at, self.group_error, self.knows_topics = 3, 0, False, True
        self.ended = [asyncio.Event() for _ in range(3)]
        self.task_error: Exception | None = None
        self.tasks = [asyncio.create_task(self.until(ended)) for ended in self.ended]
        self._client = SimpleNamespace(_sync_task=self.tasks[0], force_metadata_update=self.find_topics)
        self._fetcher = SimpleNamespace(_fetch_task=self.tasks[1])
        self._coordinator = SimpleNamespace(_coordination_task=self.tasks[2], check_errors=self.check_errors)
        self.listener: Any = None
        self.fetching = asyncio.Event()
        self.topics_read: frozenset[str] = frozenset()

    async def until(self, ended: asyncio.Event) -> None:
        await ended.wait()
        if self.task_error is not None:
            raise self.task_error

    def check_errors(self) -> None:
        if self.group_error:
            raise KafkaError("the group cannot be joined")

    async def start(self) -> None: ...

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()

    def partitions_for_topic(self, _: str) -> set[int] | None:
        return {0} if self.knows_topics else None

    def find_topics(self) -> None:
        self.knows_topics = True

    def look(self) -> None:
        self.looks += 1
        self.clock.seconds += 10

    async def topics(self) -> set[str]:
        if self.listener is not None:
            self.look()
        return {TP.topic}

    def subscription(self) -> frozenset[str]:
        return self.topics_read

    def subscribe(self, topics: list[str], listener: Any) -> None:
        self.topics_read, self.listener = frozenset(topics), listener

    def assignment(self) -> set[TopicPartition]:
        return {TP}

    async def beginning_offsets(self, _: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {TP: 0}

    async def end_offsets(self, _: list[TopicPartition]) -> dict[TopicPartition, int]:
        if self.fetching.is_set():
            self.look()
        return {TP: self.end}

    def seek(self, _: TopicPartition, offset: int) -> None:
        self.at = offset

    async def position(self, _: TopicPartition) -> int:
        return self.at

    async def getmany(self, *_: TopicPartition, timeout_ms: int, max_records: int) -> dict[TopicPartition, list[Any]]:
        self.fetching.set()
        await asyncio.sleep(0.01)
        return {}

    def highwater(self, _: TopicPartition) -> int:
        return self.end

    last_stable_offset = highwater


class Answering:
    """A database that answers, or does not."""

    answers = True

    @asynccontextmanager
    async def unit_of_work(self, _tenant: str | None) -> AsyncIterator[Any]:
        if not self.answers:
            raise Transient("database")
        yield None

    @asynccontextmanager
    async def own_connection(self, _purpose: str) -> AsyncIterator[Any]:
        async with self.unit_of_work(None):
            yield SimpleNamespace(fetchval=self.fetchval)

    async def fetchval(self, _statement: str) -> int:
        return 1


class Running:
    """A consumer that runs on stand-ins, and its partition once it is assigned."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, stall_seconds: float = LIMIT) -> None:
        self.reader, self.database = Reader(), Answering()
        monkeypatch.setattr(module, "make_reader", lambda *_, **__: self.reader)
        monkeypatch.setattr(module, "LOOK_EVERY_SECONDS", 0.02)
        monkeypatch.setattr(module, "WATCH_EVERY_SECONDS", 0.01)
        monkeypatch.setattr(module, "STOP_GRACE_SECONDS", 0.05)

        async def none(*_: Any) -> dict[Any, Any]:
            return {}

        async def zero(*_: Any) -> int:
            return 0

        monkeypatch.setattr(positions, "read", none)
        monkeypatch.setattr(dead_letters, "count_open", zero)
        database: Any = self.database
        options: Any = {"clock": self.reader.clock, "stall_seconds": stall_seconds}
        self.consumer = Consumer(group="test", database=database, kafka=KafkaSettings(), topics=[topics.HR_EVENTS], handlers={}, **options)
        self.consumer._ends._client = self.reader

    async def until_ended(self, *, assigned: Sequence[TopicPartition] = (TP,), meanwhile: Callable[[], Any] = lambda: None) -> None:
        """Raises what ends the consumer."""
        task = asyncio.create_task(self.consumer.run())
        while self.reader.listener is None:
            await asyncio.sleep(0)
        if assigned:
            await self.reader.listener.on_partitions_assigned(set(assigned))
            await self.reader.fetching.wait()
        answer = meanwhile()
        if asyncio.iscoroutine(answer):
            await answer
        try:
            await asyncio.wait_for(task, 20)
        finally:
            task.cancel()


async def test_a_reader_that_returns_nothing_although_messages_wait_ends_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stalled, match=f"3 messages wait in .*{TP.topic}"):
        await Running(monkeypatch).until_ended()


async def test_a_partition_that_cannot_even_find_its_position_ends_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(monkeypatch)

    async def hang(_: list[TopicPartition]) -> None:
        running.reader.fetching.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(running.reader, "beginning_offsets", hang)
    with pytest.raises(Stalled, match="unknown number of messages wait"):
        await running.until_ended()


async def test_attempts_that_never_succeed_end_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(monkeypatch)

    async def fail(_: list[TopicPartition]) -> None:
        running.reader.fetching.set()
        raise Transient("the client gave up a request")

    monkeypatch.setattr(running.reader, "beginning_offsets", fail)
    with pytest.raises(Stalled):
        await running.until_ended()


async def test_partitions_that_wait_while_the_attempts_of_others_fail_are_given_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """One works at a time, and each attempt waits long for a lock that somebody holds."""
    running, partitions = Running(monkeypatch), [TopicPartition(TP.topic, number) for number in range(4)]
    reader = running.reader

    async def begins(found: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(found, 0)

    async def ends(found: list[TopicPartition]) -> dict[TopicPartition, int]:
        if set(found) == set(partitions):
            reader.look()
        return dict.fromkeys(found, 3)

    async def read(*_: TopicPartition, **__: int) -> dict[TopicPartition, list[Any]]:
        reader.at = 3
        reader.fetching.set()
        return {}

    async def lock(*_: Any) -> int:
        begun = reader.looks
        while reader.looks < begun + LIMIT // 20:
            await asyncio.sleep(0)
        raise Transient("database: lock timeout")

    for name, stand_in in (("beginning_offsets", begins), ("end_offsets", ends), ("getmany", read)):
        monkeypatch.setattr(reader, name, stand_in)
    monkeypatch.setattr(module, "RETRY_SECONDS_MAX", 0)
    monkeypatch.setattr(running.consumer, "_commit", lock)
    monkeypatch.setattr(running.consumer, "_transactions", asyncio.Semaphore(1))
    monkeypatch.setattr(reader, "seek", lambda *_: setattr(reader, "at", 0))
    with pytest.raises(Stalled):
        await running.until_ended(assigned=partitions)
    assert reader.looks * 10 > FAILING_FACTOR * LIMIT


async def test_a_consumer_waits_for_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(monkeypatch)

    async def goes_away_for_a_while() -> None:
        running.database.answers = False
        looks = running.reader.looks + 5 * LIMIT // 10
        await wait_until(lambda: running.reader.looks > looks, what="many looks during the outage")
        running.database.answers = True

    with pytest.raises(Stalled):
        await running.until_ended(meanwhile=goes_away_for_a_while)


@pytest.mark.parametrize("number", range(3), ids=["brokers", "fetches", "group"])
@pytest.mark.parametrize("error", [None, RuntimeError("unable to perform operation")])
async def test_a_task_of_the_client_that_has_ended_ends_the_consumer(
    monkeypatch: pytest.MonkeyPatch, number: int, error: Exception | None
) -> None:
    running = Running(monkeypatch, stall_seconds=NEVER)
    running.reader.task_error = error
    with pytest.raises(ClientTaskEnded):
        await running.until_ended(meanwhile=running.reader.ended[number].set)


async def test_a_partition_whose_loop_ends_by_itself_ends_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(monkeypatch, stall_seconds=NEVER)
    with pytest.raises(RuntimeError, match="has ended, and nobody stopped it"):
        await running.until_ended(meanwhile=lambda: running.consumer._pumps[TP].cancel())


async def test_a_partition_that_cannot_be_stopped_keeps_neither_the_group_nor_the_process_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(monkeypatch, stall_seconds=NEVER)
    go_on = asyncio.Event()

    async def deaf(*_: Any, **__: Any) -> dict[Any, Any]:
        running.reader.fetching.set()
        while not go_on.is_set():
            try:
                await go_on.wait()
            except asyncio.CancelledError:
                continue
        return {}

    monkeypatch.setattr(running.reader, "getmany", deaf)
    with pytest.raises(Stalled, match="cannot be stopped"):
        await running.until_ended(meanwhile=lambda: running.reader.listener.on_partitions_revoked([TP]))
    go_on.set()


async def test_an_error_of_the_group_is_seen_also_while_there_is_no_partition_to_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(monkeypatch, stall_seconds=NEVER)
    running.reader.group_error = True
    with pytest.raises(KafkaError, match="cannot be joined"):
        await running.until_ended(assigned=())


async def test_a_topic_that_the_client_does_not_know_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    running = Running(monkeypatch, stall_seconds=NEVER)
    running.reader.knows_topics = False

    async def until_known() -> None:
        await wait_until(lambda: running.reader.knows_topics, what="the topic to be known")
        running.reader.ended[0].set()

    with pytest.raises(ClientTaskEnded):
        await running.until_ended(meanwhile=until_known)


async def test_a_group_that_shares_out_no_partitions_ends_the_consumer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Stalled, match="shared out no partitions"):
        await Running(monkeypatch).until_ended(assigned=())
