"""What the guard replaces in Faust is replaced: without it a worker runs on and looks well, until a rebalance goes wrong."""

import asyncio
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from aiokafka.errors import OffsetOutOfRangeError
from faust.assignor.partition_assignor import PartitionAssignor
from faust.tables.recovery import Recovery
from faust.transport import consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from services.seats.engine.failstop import Exit
from services.seats.engine.faust import consumer as lane
from services.seats.engine.faust import recovery as guard
from services.seats.engine.faust.worker import make_app
from services.seats.settings import Settings


class Ended(Exception):
    pass


class Cluster:
    """Kafka's metadata as the group's leader has it: partitions by topic."""

    def __init__(self, **partitions: set[int]) -> None:
        self.partitions_for_topic = partitions.get


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(exit_code: Exit, why: str, **details: object) -> NoReturn:
        raise Ended(exit_code, details["topics"])

    monkeypatch.setattr(guard, "fail_stop", ended)
    guard.install()


def groups(cluster: Cluster) -> Any:
    assignor: Any = PartitionAssignor
    return assignor._get_copartitioned_groups({"commands", "changelog"}, cluster, {"one": ["commands", "changelog"]})


def test_a_leader_without_the_metadata_of_a_topic_ends_instead_of_handing_out_an_assignment() -> None:
    with pytest.raises(Ended) as found:
        groups(Cluster(commands={0, 1}))
    assert found.value.args == (Exit.METADATA, ["changelog"])


def test_a_leader_that_knows_all_topics_groups_them_as_faust_does() -> None:
    made = groups(Cluster(commands={0, 1}, changelog={0, 1}))
    assert {count: [sorted(group) for group in found] for count, found in made.items()} == {2: [["changelog", "commands"]]}


@pytest.mark.parametrize(
    ("owner", "method"),
    [
        (driver.AIOKafkaConsumerThread, "_fetch_records"),
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer"),
        (consumer.Consumer, "perform_seek"),
        (Recovery, "on_recovery_completed"),
        (PartitionAssignor, "_get_copartitioned_groups"),
    ],
)
def test_every_method_that_the_guard_replaces_is_its_own(owner: type, method: str) -> None:
    assert getattr(owner, method).__module__ == guard.__name__


def test_faust_does_not_take_the_fast_lane_for_a_stalled_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """It never sees an event there, and five minutes after the start it would say so of each partition with a command under way."""
    monkeypatch.setattr(lane, "install", lambda: None)  # for good, and other tests in this process want Faust's own
    assert make_app(Settings(), "http://127.0.0.1:8002").conf.stream_processing_timeout > 365 * 86_400


class Consumer:
    """Polls as Faust's does. The test says when a poll ends, and with what."""

    should_stop, flow_active = False, True

    def __init__(self) -> None:
        self.app: Any = SimpleNamespace(consumer_generation_id=1, lane_batch=2, on_records=self.take)
        self.polling, self.ended = asyncio.Event(), asyncio.Event()
        self.can_resume_flow, self._stopped = asyncio.Event(), asyncio.Event()
        self.said: list[str] = []

    async def take(self, chunks: object) -> None:
        self.said.append("decided")

    def assignment(self) -> list[Any]:
        self.said.append("sought")
        return []

    def _is_changelog_tp(self, tp: TP) -> bool:
        return False

    async def wait(self, event: asyncio.Event) -> None:
        self.said.append("waits for the flow")
        await event.wait()

    async def _wait_next_records(self, timeout: float) -> tuple[dict[TP, list[Any]], set[TP]]:
        self.polling.set()
        await self.ended.wait()
        return {TP("commands", 0): [SimpleNamespace(offset=4)]}, {TP("commands", 0)}


async def test_the_seek_of_a_rebalance_waits_for_the_poll_that_began_before_it() -> None:
    """What such a poll takes is dropped: after the seek nobody would fetch it again, and the worker ended at the gap."""
    consumer = Consumer()
    draining = asyncio.create_task(lane._drain(consumer, SimpleNamespace(_stopped=asyncio.Event())))
    await consumer.polling.wait()
    consumer.flow_active = False  # a rebalance begins
    seeking = asyncio.create_task(guard._seek_by_state(consumer))
    await asyncio.sleep(0)
    assert consumer.said == []
    consumer.ended.set()
    await seeking
    assert sorted(consumer.said) == ["sought", "waits for the flow"]
    await guard._seek_by_state(consumer)  # of another rebalance, while the flow still rests
    consumer.flow_active = True
    consumer.can_resume_flow.set()
    while consumer.said[-1] != "decided":
        await asyncio.sleep(0)
    draining.cancel()


class Told:
    """What the app is told of a poll."""

    def __init__(self) -> None:
        self.passed: list[tuple[int, int, int]] = []
        self.hidden: dict[int, int] = {}

    def passed_over(self, partition: int, begin: int, end: int) -> None:
        self.passed.append((partition, begin, end))

    def hides(self, partition: int, records: int) -> None:
        self.hidden[partition] = records


COMMANDS, CHANGELOG = TP("commands", 3), TP("changelog", 3)


async def polled(monkeypatch: pytest.MonkeyPatch, begin: int, end: int | None, *offsets: int, tp: TP = COMMANDS, stable: int = 100) -> Told:
    """One poll of a client that stood at `begin`, stands at `end` then, and gave records with these offsets."""
    told = Told()
    state = SimpleNamespace(position=begin, has_valid_position=True, highwater=100, lso=stable)
    states = {tp: state}

    async def fetch(self: object, consumer: object, active: object, **limits: object) -> dict[TP, list[Any]]:
        if end is None:
            states.clear()  # a rebalance
        else:
            state.position = end
        return {tp: [SimpleNamespace(offset=offset) for offset in offsets]} if offsets else {}

    monkeypatch.setattr(guard, "_fetch_records", fetch)
    client = SimpleNamespace(
        _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=SimpleNamespace(state_value=states.get)))
    )
    thread = SimpleNamespace(consumer=SimpleNamespace(app=told, _is_changelog_tp=lambda tp: tp.topic == "changelog"))
    assert len(await guard._fetch_frozen(thread, client, {tp})) == bool(offsets)
    return told


@pytest.mark.parametrize(
    ("begin", "end", "offsets", "passed"),
    [
        (5, 5, (), []),
        (5, 7, (5, 6), []),
        (5, 6, (), [(5, 6)]),
        (5, 8, (5, 6), [(7, 8)]),
        (5, 8, (6, 7), [(5, 6)]),
        (5, 12, (5, 7, 10), [(6, 7), (8, 10), (11, 12)]),
        (5, None, (5,), []),
        (9, 7, (5, 6), []),  # sought back meanwhile
    ],
)
async def test_the_app_is_told_which_offsets_a_poll_passed_over(
    begin: int, end: int | None, offsets: tuple[int, ...], passed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await polled(monkeypatch, begin, end, *offsets)
    assert told.passed == [(3, *span) for span in passed]


async def test_what_compaction_took_from_the_changelog_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await polled(monkeypatch, 5, 9, 6, tp=CHANGELOG)).passed == []


async def test_the_app_is_told_what_an_open_transaction_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await polled(monkeypatch, 5, 6, 5, stable=6)).hidden == {3: 94}


async def test_a_position_outside_the_topic_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust's client would go back to the topic's beginning, or leave out what was cut away, without a word."""

    async def fetch(*given: object, **limits: object) -> NoReturn:
        raise OffsetOutOfRangeError({COMMANDS: 5})

    def ended(exit_code: Exit, why: str, **details: object) -> NoReturn:
        raise Ended(exit_code)

    monkeypatch.setattr(guard, "_fetch_records", fetch)
    monkeypatch.setattr(guard, "fail_stop", ended)
    client = SimpleNamespace(_subscription=SimpleNamespace(subscription=None))
    thread = SimpleNamespace(consumer=SimpleNamespace(_is_changelog_tp=lambda tp: False))
    with pytest.raises(Ended) as found:
        await guard._fetch_frozen(thread, client, {COMMANDS})
    assert found.value.args == (Exit.RANGE,)
