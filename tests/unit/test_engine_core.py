"""The engine with a broker in memory and a tiny domain: the logs after batches, crashes, foreign writes and long commands."""

import asyncio
import copy
from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import AsyncMock, Mock

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from structlog.testing import capture_logs

from services.seats.engine import engine as engine_module
from services.seats.engine.commands import Rejected
from services.seats.engine.engine import Engine, Limits
from services.seats.engine.failstop import Exit
from services.seats.engine.faust.worker import Worker
from services.seats.engine.frames import Marker, encode_rows, frame
from shared.clock import FixedClock
from shared.schemas import seats_v1
from shared.schemas.seats_v1 import Reason
from tests.support.fake_seats import CODEC, Crash, FakeBroker, FakeRecord, make_engine

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)


class Ended(BaseException):
    def __init__(self, code: Exit) -> None:
        super().__init__(code)
        self.code = code


@pytest.fixture(autouse=True)
def ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """`fail_stop` ends the process; here it ends the test's engine."""

    def end(code: Exit, why: str, **details: object) -> NoReturn:
        if code is Exit.DECISION and "Ended(" in str(details.get("error")):
            raise Ended(Exit(int(str(details["error"]).split(":")[1].strip(" >)"))))
        raise Ended(code)

    monkeypatch.setattr(engine_module, "fail_stop", end)


def records(*adds: dict[str, int], start: int = 0) -> list[FakeRecord]:
    return [FakeRecord(0, start + n, NOW_MS + start + n, add) for n, add in enumerate(adds)]


async def started(broker: FakeBroker, **limits: int) -> Engine:
    engine = make_engine(broker, FixedClock(NOW), limits=Limits(**limits) if limits else None)
    await engine.take_over({0: broker.restored(0)})
    return engine


async def test_a_batch_is_decisions_then_one_frame_and_then_visible() -> None:
    broker = FakeBroker()
    engine = await started(broker)
    await engine.on_records([(0, records({"a": 1}, {"a": 2, "b": 5}))])
    assert broker.batches == [("events", 0, 3), ("changelog", 0, 3)]
    assert engine.live[0].durable.rows == {"acme|a": {"value": 3, "by": 1}, "acme|b": {"value": 5, "by": 1}}
    assert engine.next_offset(0) == 2
    assert [name for name, _ in broker.decisions(0)] == [f"seats.commands.v1/0/{o}/{n}" for o, n in ((0, 0), (1, 0), (1, 1))]


async def test_a_restart_continues_at_the_durable_state_and_skips_decided_commands() -> None:
    broker = FakeBroker()
    await (await started(broker)).on_records([(0, records({"a": 1}, {"a": 2}))])
    engine = await started(broker)
    assert engine.next_offset(0) == 2
    await engine.on_records([(0, records({"a": 1}, {"a": 2}, {"a": 4}))])
    assert engine.counters.duplicates == 2
    assert engine.live[0].durable.rows == {"acme|a": {"value": 7, "by": 2}}


async def test_decisions_without_their_frame_are_decided_again_to_the_same_bytes() -> None:
    broker = FakeBroker()
    engine = await started(broker)
    broker.refuse_after = {"changelog": 0}
    with pytest.raises(Ended):
        await engine.on_records([(0, records({"a": 1, "b": 2}))])
    broker.refuse_after = {}
    engine = await started(broker)
    assert engine.next_offset(0) == 0
    await engine.on_records([(0, records({"a": 1, "b": 2}))])
    log = [stored.record for stored in broker.logs["events", 0]]
    assert log[:2] == log[2:]
    assert len(log) == 4


async def test_very_many_rejected_commands_cost_a_send_a_frame_and_a_log_line_for_each_round() -> None:
    """And none of these for each of them: one megabyte of the command topic holds a million records that nobody can read."""
    broker = FakeBroker()
    engine = await started(broker, commands_max=1_000)
    why = {number: Reason.UNREADABLE if number % 2 else Reason.WRONG_SOURCE for number in range(5_000)}
    with capture_logs() as logs:
        await engine.on_records([(0, [FakeRecord(0, n, NOW_MS, Rejected(n, NOW_MS, None, None, reason)) for n, reason in why.items()])])
    assert broker.batches == [("events", 0, 1_000), ("changelog", 0, 1)] * 5
    assert [body["reason"] for _, body in broker.decisions(0)] == list(why.values())
    assert engine.counters.rejected == 5_000
    said = [(entry["reason"], entry["offset"], entry["last_offset"], entry["commands"]) for entry in logs]
    assert said[:2] == [("wrong_source", 0, 998, 500), ("unreadable", 1, 999, 500)]
    assert len(said) == 10


class Producer:
    """Closed before the batch in hand is written, it refuses the rest."""

    def __init__(self, broker: FakeBroker) -> None:
        self.broker, self.stopped, self.sending, self.go = broker, False, asyncio.Event(), asyncio.Event()
        self._send, broker.send = broker.send, self.send  # type: ignore[method-assign]

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    async def send(self, topic: str, partition: int, packed: Sequence[BatchBuilder]) -> list[tuple[int, int]]:
        self.sending.set()
        await self.go.wait()
        assert not self.stopped, "the producer was closed under the batch"
        return await self._send(topic, partition, packed)


async def test_a_stopped_worker_writes_its_running_batch_before_its_producer_closes() -> None:
    broker = FakeBroker()
    engine, producer = await started(broker), Producer(broker)
    reading = asyncio.ensure_future(engine.on_records([(0, records({"a": 1}, {"a": 2}))]))
    part = SimpleNamespace(run=asyncio.Event().wait, start=Mock(), stop=Mock(), close=AsyncMock())
    app = SimpleNamespace(stop=AsyncMock(side_effect=reading.cancel))
    parts: Any = {"pause": part, "ticker": part, "watchdog": part, "_ends": part, "_start_app": AsyncMock(), "app": app, "engine": engine}
    worker: Any = SimpleNamespace(_producer=producer, _forever=lambda run: run(), **parts)
    running = asyncio.ensure_future(Worker.run(worker))
    await producer.sending.wait()
    running.cancel()
    await asyncio.wait([reading])
    producer.go.set()
    await asyncio.wait([running])
    assert (producer.stopped, [name for name, *_ in broker.batches]) == (True, ["events", "changelog"])


async def test_a_foreign_frame_in_our_changelog_ends_the_worker() -> None:
    broker = FakeBroker()
    engine = await started(broker)
    broker.append("changelog", 0, frame(0, encode_rows({"acme|a": {"value": 9}}, CODEC), Marker(0, 0, 1)))
    with pytest.raises(Ended) as ended:
        await engine.on_records([(0, records({"a": 1}))])
    assert ended.value.code is Exit.FOREIGN_WRITE


async def test_a_gap_ends_the_worker() -> None:
    engine = await started(FakeBroker())
    with pytest.raises(Ended) as ended:
        await engine.on_records([(0, records({"a": 1}, start=3))])
    assert ended.value.code is Exit.GAP


async def test_offsets_that_the_client_passed_over_without_a_record_are_no_gap() -> None:
    broker = FakeBroker()
    engine = await started(broker)
    engine.passed_over(0, 0, 2)
    assert (engine.next_offset(0), engine.position(0)) == (0, 2)
    await engine.on_records([(0, records({"a": 1}, {"a": 2}, start=2))])
    assert (engine.next_offset(0), engine.position(0)) == (4, 4)
    engine.passed_over(0, 4, 5)
    engine.passed_over(0, 5, 7)  # of the next poll
    assert (engine.next_offset(0), engine.position(0)) == (4, 7)
    await engine.on_records([(0, [*records({"a": 4}, start=7)])])
    assert engine.live[0].durable.rows["acme|a"]["value"] == 7

    engine = await started(broker)  # what was passed over is not remembered: it is read again, from W + 1
    assert engine.next_offset(0) == engine.position(0) == 8


@pytest.mark.parametrize("passed", [(0, 2), (1, 3), (0, 4)])
async def test_a_gap_that_the_client_did_not_pass_over_ends_the_worker(passed: tuple[int, int]) -> None:
    engine = await started(FakeBroker())
    engine.passed_over(0, *passed)
    with pytest.raises(Ended) as ended:
        await engine.on_records([(0, records({"a": 1}, start=3))])
    assert ended.value.code is Exit.GAP


async def test_waiting_for_a_position_ends_when_the_client_has_passed_over_it() -> None:
    engine = await started(FakeBroker())
    waiting = asyncio.create_task(engine.wait_for(0, 1))
    await engine.on_records([(0, records({"a": 1}))])
    assert not waiting.done()
    await asyncio.to_thread(engine.passed_over, 0, 1, 2)
    await asyncio.wait_for(waiting, 1)


async def test_a_record_far_ahead_of_our_clock_ends_the_worker_before_it_is_decided() -> None:
    broker = FakeBroker()
    engine = await started(broker)
    with pytest.raises(Ended) as ended:
        await engine.on_records([(0, [FakeRecord(0, 0, NOW_MS + 10 * 60 * 1000 + 1, {"a": 1})])])
    assert ended.value.code is Exit.CLOCK
    assert broker.batches == []


async def test_the_clock_never_goes_back_also_not_over_a_restart() -> None:
    broker = FakeBroker()
    engine = await started(broker)
    await engine.on_records([(0, [FakeRecord(0, 0, NOW_MS + 500, {"a": 1}), FakeRecord(0, 1, NOW_MS, {"a": 1})])])
    engine = await started(broker)
    await engine.on_records([(0, [FakeRecord(0, 2, NOW_MS - 60_000, {"a": 1})])])
    assert [body["clock"] for _, body in broker.decisions(0)] == [NOW_MS + 500] * 3


async def test_a_violated_invariant_ends_the_worker_and_writes_nothing() -> None:
    broker = FakeBroker()
    engine = await started(broker)
    with pytest.raises(Ended) as ended:
        await engine.on_records([(0, records({"a": 1}, {"a": -5000}))])
    assert ended.value.code is Exit.INVARIANT
    assert broker.batches == []


async def test_a_command_that_cannot_be_understood_is_answered_and_the_next_one_is_decided() -> None:
    broker = FakeBroker()
    engine = await started(broker)
    poison = FakeRecord(0, 1, NOW_MS, Rejected(1, NOW_MS, None, None, Reason.UNREADABLE, "envelope"))
    await engine.on_records([(0, [*records({"a": 1}), poison, *records({"a": 2}, start=2)])])
    assert [body.get("reason") for _, body in broker.decisions(0)] == [None, "unreadable", None]
    assert engine.live[0].durable.rows["acme|a"]["value"] == 3


async def test_rules_activated_switches_in_the_middle_and_stays_over_a_restart() -> None:
    broker = FakeBroker()
    engine = await started(broker)
    switch = FakeRecord(0, 1, NOW_MS, seats_v1.RulesActivated(rules=2))
    await engine.on_records([(0, [*records({"a": 1}), switch, *records({"a": 1}, start=2)])])
    assert engine.live[0].durable.rows["acme|a"]["value"] == 1 + 2
    engine = await started(broker)
    assert engine.live[0].rules == 2
    with pytest.raises(Ended) as ended:
        await engine.on_records([(0, [FakeRecord(0, 3, NOW_MS, seats_v1.RulesActivated(rules=3))])])
    assert ended.value.code is Exit.RULES


async def test_a_batch_of_many_rows_is_cut_between_commands() -> None:
    broker = FakeBroker()
    engine = await started(broker, rows_max=4)
    await engine.on_records([(0, records({"a": 1, "b": 1, "c": 1}, {"d": 1, "e": 1, "f": 1}, {"g": 1}))])
    changelog = [count for topic, _, count in broker.batches if topic == "changelog"]
    assert changelog == [4, 4, 2]  # three rows and a marker, three and a marker, one and a marker
    assert broker.restored(0).marker.decided == 2


@pytest.mark.parametrize("parts_written", [0, 1, 2, 3])
async def test_a_command_in_parts_is_completed_from_its_decisions_after_a_crash_between_two(parts_written: int) -> None:
    adds = [{"a": 1, "k0": 7}, {f"k{n}": 1 for n in range(10)}, {"k3": 5}]
    whole = FakeBroker()
    await (await started(whole, rows_max=3)).on_records([(0, records(*adds))])

    broker = FakeBroker()
    engine = await started(broker, rows_max=3)
    await engine.on_records([(0, records(adds[0]))])
    broker.refuse_after = {"changelog": parts_written}
    with pytest.raises(Ended):
        await engine.on_records([(0, records(*adds[1:], start=1))])
    broker.refuse_after = {}
    engine = await started(broker, rows_max=3)
    assert engine.next_offset(0) == (1 if parts_written == 0 else 2)
    await engine.on_records([(0, records(*adds))])
    assert broker.restored(0).rows == whole.restored(0).rows
    assert dict(broker.decisions(0)) == dict(whole.decisions(0))


async def test_a_second_crash_while_completing_is_completed_too() -> None:
    broker = FakeBroker()
    engine = await started(broker, rows_max=3)
    broker.refuse_after = {"changelog": 2}
    with pytest.raises(Ended):
        await engine.on_records([(0, records({f"k{n}": 1 for n in range(10)}))])
    broker.refuse_after = {"changelog": 1}
    with pytest.raises(Crash):
        await started(broker, rows_max=3)
    broker.refuse_after = {}
    engine = await started(broker, rows_max=3)
    assert engine.next_offset(0) == 1
    assert len(engine.live[0].durable.rows) == 10
    assert broker.restored(0).marker.finished


async def test_readers_see_nothing_of_a_command_in_parts_before_it_is_finished() -> None:
    broker = FakeBroker()
    engine = await started(broker, rows_max=3)
    seen = []
    send = broker.send

    async def watching(topic: str, *args: object, **kwargs: object) -> list[tuple[int, int]]:
        seen.append((topic, len(engine.live[0].durable.rows), engine.next_offset(0)))
        return await send(topic, *args, **kwargs)  # type: ignore[arg-type]

    broker.send = watching  # type: ignore[method-assign]
    await engine.on_records([(0, records({f"k{n}": 1 for n in range(10)}))])
    assert [entry for entry in seen if entry[0] == "changelog"] == [("changelog", 0, 0)] * 4
    assert engine.next_offset(0) == 1


async def test_rows_that_an_old_worker_overwrote_are_written_again_before_work_starts() -> None:
    broker = FakeBroker()
    engine = await started(broker)
    await engine.on_records([(0, records({"a": 1, "b": 1}))])
    zombie = copy.deepcopy(broker.logs["changelog", 0])
    await engine.on_records([(0, records({"a": 5, "b": -1}, start=1))])
    broker.append("changelog", 0, [stored.record for stored in zombie])

    engine = make_engine(broker, FixedClock(NOW))
    await engine.take_over({0: broker.restored(0, thorough=True)})
    last_wins = {stored.record[0]: stored.record[1] for stored in broker.logs["changelog", 0]}
    assert last_wins[b"acme|b"] is None
    assert last_wins[b"acme|a"] == CODEC.encode("", {"value": 6, "by": 1})
    assert engine.next_offset(0) == 2
    await engine.on_records([(0, records({"a": 1}, start=2))])  # our next frame lands where we expect it


async def test_waiting_for_a_position_ends_when_it_is_durable() -> None:
    engine = await started(FakeBroker())
    waiting = asyncio.create_task(engine.wait_for(0, 1))
    await engine.on_records([(0, records({"a": 1}))])
    await asyncio.sleep(0)
    assert not waiting.done()
    await engine.on_records([(0, records({"a": 1}, start=1))])
    await asyncio.wait_for(waiting, 1)


@pytest.mark.parametrize("decided", [True, False])
async def test_a_record_that_no_worker_wrote_ends_one_start_and_is_overwritten(decided: bool) -> None:
    broker = FakeBroker()
    engine = await started(broker)
    if decided:
        await engine.on_records([(0, records({"a": 1, "b": 1}))])
    rows = [b"acme|a", b"acme|new", b"#w|0", b"\xff"]
    broker.append("changelog", 0, [(key, b"nonsense", headers, None) for key in rows for headers in ([], [("o", b"7")])])
    with pytest.raises(Ended) as ended:
        await engine.on_records([(0, records({"a": 1}, start=int(decided)))])
    assert ended.value.code is Exit.FOREIGN_WRITE

    engine = make_engine(broker, FixedClock(NOW))
    await engine.take_over({0: broker.restored(0, thorough=True)})
    last_wins = {stored.record[0]: stored.record[1] for stored in broker.logs["changelog", 0]}
    assert [last_wins[key] for key in (b"acme|new", b"\xff")] == [None, None]
    assert last_wins[b"acme|a"] == CODEC.encode("", {"value": 1 + decided, "by": int(decided)})
    await engine.on_records([(0, records({"b": 1}, start=1 + decided))])
    assert broker.restored(0, thorough=True).rows == engine.live[0].durable.rows
