"""The subclasses of Faust's classes: each is in its place, and each overridden method of Faust is still the one that was read."""

import ast
import asyncio
import hashlib
import inspect
import logging
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import Any, NoReturn

import pytest
from aiokafka.errors import OffsetOutOfRangeError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP
from mode import Service

from services.seats.engine import faust as package
from services.seats.engine.failstop import Exit
from services.seats.engine.faust import assignor, consumer, recovery, tables
from services.seats.engine.faust.app import SeatsApp, make_app
from services.seats.engine.faust.assignor import SeatsAssignor
from services.seats.engine.faust.consumer import FastLaneConsumer, SeatsConsumer, SeatsThread
from services.seats.engine.faust.store import SeatsStore
from services.seats.engine.lane import Lane
from services.seats.settings import Settings

ROOT = Path(__file__).parents[2]
FOLDER = Path(package.__file__).parent
LIBRARIES = ("faust", "mode", "aiokafka")

# Of faust-streaming 0.15.3: the beginning of the SHA-256 of each method's source. When the release changes: read what moved, see whether
# the reason for the override still holds (docs/decisions/faust.md), then write the new hash.
READ: dict[str, str] = {
    "faust.assignor.partition_assignor.PartitionAssignor._get_copartitioned_groups": "82b7a3764ad596f6",
    "faust.stores.memory.Store.__post_init__": "e59c82f3785458b2",
    "faust.stores.memory.Store.apply_changelog_batch": "71863e3cd727aac2",
    "faust.stores.memory.Store.on_recovery_completed": "a00bef343e139602",
    "faust.tables.base.Collection._new_store": "914a2bda605d38f5",
    "faust.tables.manager.TableManager.recovery": "f0bf5de78b4c3d23",
    "faust.tables.recovery.Recovery._build_offsets": "27eec86be06cb51f",
    "faust.tables.recovery.Recovery.on_recovery_completed": "6ef567acf072e46d",
    "faust.transport.consumer.Consumer._drain_messages": "44a2500309e83c63",
    "faust.transport.consumer.Consumer._filter_committable_offsets": "dc5e9baf5d994485",
    "faust.transport.consumer.Consumer.perform_seek": "0e8c130ff4b0afd8",
    "faust.transport.consumer.Consumer.wait_empty": "e4662fe24f094819",
    "faust.transport.consumer.ThreadDelegateConsumer._getmany": "f9d47aa9010b5ff2",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._create_worker_consumer": "c2701bfc3e6f6cad",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._fetch_records": "39a2c6c79fc1455a",
    "faust.transport.drivers.aiokafka.Consumer._new_consumer_thread": "0870ec53dea75083",
    "mode.services.Service._crash": "7bc0c709a151d556",
}


class Ended(Exception):
    pass


class Cluster:
    """Kafka's metadata as the group's leader has it: partitions by topic."""

    def __init__(self, **partitions: set[int]) -> None:
        self.partitions_for_topic = partitions.get


def own_classes() -> Iterator[type]:
    """Each class of the folder that extends one of Faust."""
    for path in sorted(FOLDER.glob("*.py")):
        module = import_module(f"{package.__name__}.{path.stem}" if path.stem != "__init__" else package.__name__)
        for found in vars(module).values():
            if isinstance(found, type) and found.__module__ == module.__name__ and any(_of_library(base) for base in found.__mro__):
                yield found


def _of_library(base: type) -> bool:
    return base.__module__.split(".")[0] in LIBRARIES


def overridden() -> dict[str, str]:
    """Method of Faust or its libraries -> hash of its source, for each that a class of ours overrides."""
    found = {}
    for own in own_classes():
        for name in vars(own):
            upstream = next((base for base in own.__mro__ if _of_library(base) and name in vars(base)), None)
            method = None if upstream is None else vars(upstream)[name]
            method = getattr(method, "__func__", getattr(method, "fget", method))
            if upstream is not None and isinstance(method, FunctionType) and name not in ("__init__", "__doc__"):
                source = inspect.getsource(method)
                found[f"{upstream.__module__}.{upstream.__qualname__}.{name}"] = hashlib.sha256(source.encode()).hexdigest()[:16]
    return found


def test_each_overridden_method_of_faust_is_the_one_that_was_read() -> None:
    found = overridden()
    moved = [name for name, read in READ.items() if name in found and found[name] != read]
    assert not moved, f"changed in this release of Faust: {moved}"
    assert found.keys() == READ.keys(), "a method was overridden, or is no longer, without a look at Faust's own"


def test_the_check_of_overridden_methods_names_a_method_whose_source_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def perform_seek(self: object) -> None: ...

    name = "faust.transport.consumer.Consumer.perform_seek"
    monkeypatch.setattr(import_module("faust.transport.consumer").Consumer, "perform_seek", perform_seek)
    assert [each for each, read in overridden().items() if read != READ[each]] == [name]


def assigned(path: Path) -> Iterator[tuple[str, str]]:
    """(variable, attribute) of each assignment to an attribute, and of each `setattr`."""
    for node in ast.walk(ast.parse(path.read_text())):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign) else []
        for target in targets:
            for part in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(part, ast.Attribute):
                    yield ast.unparse(part.value), part.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "setattr":
            yield ast.unparse(node.args[0]), ast.unparse(node.args[1])


def named_of_libraries(path: Path) -> set[str]:
    """Names that the file has from Faust and its libraries."""
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    found = set()
    for node in imports:
        for alias in node.names:
            module = node.module if isinstance(node, ast.ImportFrom) else alias.name
            if (module or "").split(".")[0] in LIBRARIES:
                found.add(alias.asname or alias.name.split(".")[0])
    return found


def test_nothing_is_assigned_to_a_class_or_a_module_of_faust() -> None:
    for path in (ROOT / "services/seats").rglob("*.py"):
        libraries = named_of_libraries(path)
        assert [f"{path.name}: {to}.{name}" for to, name in assigned(path) if to.split(".")[0] in libraries] == []


def test_two_private_attributes_of_aiokafka_s_client_are_set_and_no_others() -> None:
    private = {(to, name) for path in FOLDER.glob("*.py") for to, name in assigned(path) if name.startswith("_") and to != "self"}
    assert private == {("client", "_fetch_max_wait_ms"), ("client", "_isolation_level")}


def test_only_the_folder_for_faust_knows_faust() -> None:
    knows = set()
    for folder in ("services", "shared", "cli", "deploy"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                if any(module.split(".")[0] in ("faust", "mode") for module in modules):
                    knows.add(path.parent)
    assert knows == {FOLDER}


def test_the_settings_and_the_engine_are_imported_without_faust() -> None:
    program = (
        "import sys, services.seats.settings, services.seats.engine.engine, services.seats.engine.restore; print('faust' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("lane", list(Lane))
async def test_an_app_is_made_of_our_classes(lane: Lane) -> None:
    fast = lane is Lane.FAST
    app = make_app(Settings(seats_lane=lane), "http://127.0.0.1:8002")
    table: Any = app.Table("rows", partitions=4, key_type=bytes, value_type=bytes)
    made: Any = app.consumer
    assert type(made) is (FastLaneConsumer if fast else SeatsConsumer)
    assert type(made._thread) is SeatsThread
    made._thread.thread_loop.close()
    assert type(app.assignor) is SeatsAssignor
    assert type(app.tables.recovery) is recovery.SeatsRecovery  # type: ignore[attr-defined]
    assert type(table) is tables.SeatsTable
    assert type(table.data) is SeatsStore


@pytest.mark.parametrize("lane", list(Lane))
async def test_faust_has_nothing_to_recover_in_either_lane(lane: Lane) -> None:
    """What its recovery drops when another rebalance begins would look like rows that compaction took: a wrong state, without a word."""

    async def earliest_offsets(*tps: TP) -> dict[TP, int]:
        return dict.fromkeys(tps, 0)

    found: Any = make_app(Settings(seats_lane=lane), "http://127.0.0.1:8002").tables
    recovering = found.recovery
    recovering.active_highwaters[CHANGELOG] = 7
    recovering.active_offsets[CHANGELOG] = None
    await recovering._build_offsets(SimpleNamespace(earliest_offsets=earliest_offsets), {CHANGELOG}, recovering.active_offsets, "active")
    assert recovering.active_offsets == {CHANGELOG: 7}
    assert not recovering.need_recovery()


async def test_the_client_waits_briefly_reads_what_was_committed_and_refuses_positions_outside_the_topic() -> None:
    app = make_app(Settings(), "http://127.0.0.1:8002")
    thread: Any = app.consumer._thread  # type: ignore[attr-defined]
    client = thread._create_worker_consumer(app.transport)
    await client.stop()
    thread.thread_loop.close()
    assert (client._fetch_max_wait_ms, client._isolation_level, client._auto_offset_reset) == (100, "read_committed", "none")


def test_parts_of_faust_that_are_ours_do_not_log_that_they_start_and_stop() -> None:
    make_app(Settings(), "http://127.0.0.1:8002")
    services: list[Any] = [own for own in own_classes() if issubclass(own, Service)]
    assert {SeatsApp, SeatsThread, SeatsConsumer, SeatsStore, tables.SeatsTables, recovery.SeatsRecovery} <= set(services)
    assert [own.__name__ for own in services if own.logger.isEnabledFor(logging.INFO)] == []


def groups(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Any:
    def ended(exit_code: Exit, why: str, **details: object) -> NoReturn:
        raise Ended(exit_code, details["topics"])

    monkeypatch.setattr(assignor, "fail_stop", ended)
    return SeatsAssignor._get_copartitioned_groups({"commands", "changelog"}, cluster, {"one": ["commands", "changelog"]})


def test_a_leader_without_the_metadata_of_a_topic_ends_instead_of_handing_out_an_assignment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Ended) as found:
        groups(Cluster(commands={0, 1}), monkeypatch)
    assert found.value.args == (Exit.METADATA, ["changelog"])


def test_a_leader_that_knows_all_topics_groups_them_as_faust_does(monkeypatch: pytest.MonkeyPatch) -> None:
    made = groups(Cluster(commands={0, 1}, changelog={0, 1}), monkeypatch)
    assert {count: [sorted(group) for group in found] for count, found in made.items()} == {2: [["changelog", "commands"]]}


async def test_the_owner_of_a_partition_is_the_worker_to_which_the_leader_gave_it() -> None:
    made = SeatsAssignor(make_app(Settings(), "http://127.0.0.1:8002"))
    made.external_topic_distribution = {"http://one:8002": {"commands": [0, 1]}, "http://two:8002": {"commands": [2]}}
    assert [made.owner_url("commands", number) for number in (1, 2, 3)] == ["http://one:8002", "http://two:8002", None]


def test_faust_does_not_take_the_fast_lane_for_a_stalled_stream() -> None:
    """It never sees an event there, and five minutes after the start it would say so of each partition with a command under way."""
    assert make_app(Settings(), "http://127.0.0.1:8002").conf.stream_processing_timeout > 365 * 86_400


class Polling:
    """In front of a consumer's class: polls as Faust does. The test says when a poll ends, and with what."""

    should_stop, flow_active, not_waiting_next_records = False, True, asyncio.Event()

    def __init__(self) -> None:
        engine = SimpleNamespace(on_records=self.take)
        self.app: Any = SimpleNamespace(consumer_generation_id=1, lane_batch=2, engine=engine, client_only=False)
        self.no_poll, self.deciding = asyncio.Event(), asyncio.Lock()
        self.no_poll.set()
        self.polling, self.ended = asyncio.Event(), asyncio.Event()
        self.can_resume_flow, self._stopped = asyncio.Event(), asyncio.Event()
        self._thread = SimpleNamespace(getmany=self.poll)
        self.said: list[str] = []

    async def take(self, chunks: object) -> None:
        self.said.append("decided")

    def assignment(self) -> list[Any]:
        self.said.append("sought")
        return []

    def _get_active_partitions(self) -> set[TP]:
        return {TP("commands", 0)}

    def _is_changelog_tp(self, tp: TP) -> bool:
        return False

    async def wait(self, event: asyncio.Event) -> None:
        self.said.append("waits for the flow")
        await event.wait()

    async def poll(self, active: set[TP], timeout: float) -> dict[TP, list[Any]]:
        self.polling.set()
        await self.ended.wait()
        return {TP("commands", 0): [SimpleNamespace(offset=4)]}


def polling_consumer(lane: type[SeatsConsumer]) -> Any:
    return type("Polls", (Polling, lane), {})()


async def test_the_seek_of_a_rebalance_waits_for_the_poll_that_began_before_it() -> None:
    """What such a poll takes is dropped: after the seek nobody would fetch it again, and the worker ended at the gap."""
    polling = polling_consumer(FastLaneConsumer)
    draining = asyncio.create_task(polling._drain_messages(SimpleNamespace(_stopped=asyncio.Event())))
    await polling.polling.wait()
    polling.flow_active = False  # a rebalance begins
    seeking = asyncio.create_task(polling.perform_seek())
    await asyncio.sleep(0)
    assert polling.said == []
    polling.ended.set()
    await seeking
    assert sorted(polling.said) == ["sought", "waits for the flow"]
    await polling.perform_seek()  # of another rebalance, while the flow still rests
    polling.flow_active = True
    polling.can_resume_flow.set()
    while polling.said[-1] != "decided":
        await asyncio.sleep(0)
    draining.cancel()


async def test_the_seek_waits_for_the_poll_of_the_agent_s_lane_too_and_what_it_took_is_dropped() -> None:
    polling = polling_consumer(SeatsConsumer)
    taken: list[Any] = []

    async def take() -> None:
        taken.extend([message async for message in polling.getmany(1.0)])

    taking = asyncio.create_task(take())
    await polling.polling.wait()
    polling.flow_active = False  # a rebalance begins
    polling.log = SimpleNamespace(dev=lambda *_: None)
    polling.scheduler = SimpleNamespace(iterate=dict.items)
    seeking = asyncio.create_task(polling.perform_seek())
    await asyncio.sleep(0)
    assert polling.said == []
    polling.ended.set()
    await asyncio.gather(seeking, taking)
    assert taken == []
    assert set(polling.said) == {"sought"}  # Faust seeks again by itself when the flow rests


class Told:
    """The records of a poll as the engine gets them."""

    def __init__(self) -> None:
        self.passed: list[tuple[int, int, int]] = []
        self.hidden: dict[int, int] = {}

    def passed_over(self, partition: int, begin: int, end: int) -> None:
        self.passed.append((partition, begin, end))


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

    monkeypatch.setattr(AIOKafkaConsumerThread, "_fetch_records", fetch)
    client = SimpleNamespace(
        _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=SimpleNamespace(state_value=states.get)))
    )
    assert len(await thread(told)._fetch_records(client, {tp}, timeout=1.0, max_records=None)) == bool(offsets)
    return told


def thread(told: Told) -> Any:
    """A thread that was never started."""
    made: Any = SeatsThread.__new__(SeatsThread)
    made.app = SimpleNamespace(engine=told)
    made.consumer = SimpleNamespace(_is_changelog_tp=lambda tp: tp.topic == "changelog")
    return made


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
async def test_the_engine_is_told_which_offsets_a_poll_passed_over(
    begin: int, end: int | None, offsets: tuple[int, ...], passed: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = await polled(monkeypatch, begin, end, *offsets)
    assert told.passed == [(3, *span) for span in passed]


async def test_what_compaction_took_from_the_changelog_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await polled(monkeypatch, 5, 9, 6, tp=CHANGELOG)).passed == []


async def test_the_engine_is_told_what_an_open_transaction_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await polled(monkeypatch, 5, 6, 5, stable=6)).hidden == {3: 94}


async def test_a_position_outside_the_topic_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust's client would go back to the topic's beginning, or leave out what was cut away, without a word."""

    async def fetch(*given: object, **limits: object) -> NoReturn:
        raise OffsetOutOfRangeError({COMMANDS: 5})

    def ended(exit_code: Exit, why: str, **details: object) -> NoReturn:
        raise Ended(exit_code)

    monkeypatch.setattr(AIOKafkaConsumerThread, "_fetch_records", fetch)
    monkeypatch.setattr(consumer, "fail_stop", ended)
    client = SimpleNamespace(_subscription=SimpleNamespace(subscription=None))
    with pytest.raises(Ended) as found:
        await thread(Told())._fetch_records(client, {COMMANDS})
    assert found.value.args == (Exit.RANGE,)
