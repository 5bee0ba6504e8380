"""The watchdog ends a worker that should move and does not, and no other: above all none that is idle behind a transaction's marker."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest

from services.seats.engine import watchdog as module
from services.seats.engine.engine import Engine
from services.seats.engine.failstop import Exit
from services.seats.engine.watchdog import BESIDE_OTHERS_FACTOR, LOOKS, Watchdog
from shared.clock import FixedClock
from shared.errors import Transient
from tests.support.fake_seats import FakeBroker, FakeRecord, make_engine

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
SECONDS_MAX = 60.0
DECIDED = 5  # commands, so the next offset is 5
NEVER = 10 * LOOKS


class Ended(Exception):
    """`fail_stop` ends the process."""


class Watched:
    """A worker that has decided all commands but what the test adds, and its watchdog, which looks `NEVER` times."""

    def __init__(self, engine: Engine, clock: FixedClock) -> None:
        self.engine, self.clock = engine, clock
        self.ready, self.restored, self.end = True, 0, DECIDED
        self.broker_is_gone = False
        self.at_look: Callable[[int], None] = lambda _: None
        self.looks = 0
        self.said: dict[str, Any] = {}

    async def ends(self, partitions: list[int]) -> dict[int, int]:
        if self.broker_is_gone:
            raise Transient("broker: gone")
        return dict.fromkeys(partitions, self.end)

    async def sleep(self, seconds: float) -> None:
        self.looks += 1
        if self.looks > NEVER:
            raise asyncio.CancelledError
        self.clock.seconds += seconds
        self.at_look(self.looks)

    def end_process(self, code: Exit, why: str, **details: object) -> NoReturn:
        assert code is Exit.STALLED
        self.said = details
        raise Ended

    async def stalls(self) -> bool:
        watchdog = Watchdog(
            self.engine,
            self.clock,
            seconds_max=SECONDS_MAX,
            ready=lambda: self.ready,
            ends=self.ends,
            restored=lambda: self.restored,
        )
        try:
            await watchdog.run()
        except Ended:
            return True
        except asyncio.CancelledError:
            return False
        raise AssertionError("it ended by itself")


@pytest.fixture
async def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    clock = FixedClock(NOW)
    broker = FakeBroker()
    engine = make_engine(broker, clock)
    await engine.take_over({0: broker.restored(0)})
    await engine.on_records([(0, [FakeRecord(0, n, NOW_MS, {"a": 1}) for n in range(DECIDED)])])
    found = Watched(engine, clock)
    monkeypatch.setattr(asyncio, "sleep", found.sleep)
    monkeypatch.setattr(module, "fail_stop", found.end_process)
    return found


async def test_a_worker_that_has_decided_everything_is_left_alone(watched: Watched) -> None:
    assert not await watched.stalls()


async def test_an_idle_worker_behind_the_marker_of_a_transaction_is_left_alone(watched: Watched) -> None:
    watched.end = DECIDED + 3  # two aborted records and the marker
    watched.engine.passed_over(0, DECIDED, DECIDED + 2)
    watched.engine.passed_over(0, DECIDED + 2, DECIDED + 3)
    assert not await watched.stalls()


async def test_a_command_behind_a_marker_that_nobody_decides_ends_the_worker(watched: Watched) -> None:
    watched.end = DECIDED + 2
    watched.engine.passed_over(0, DECIDED, DECIDED + 1)
    assert await watched.stalls()
    assert watched.said == {"ready": True, "behind": {0: 1}}
    assert watched.looks == LOOKS + 1, "not before the time allowed"


async def test_a_worker_that_does_not_become_ready_is_ended(watched: Watched) -> None:
    watched.ready = False
    assert await watched.stalls()


async def test_whatever_moves_starts_the_time_again(watched: Watched) -> None:
    """A restore under way, a frame written, partitions that come and go."""
    watched.end = DECIDED + 1

    def move(look: int) -> None:
        if look % (LOOKS // 2) == 0:
            watched.restored += 1

    watched.at_look = move
    assert not await watched.stalls()


@pytest.mark.parametrize("gets_on", [True, False])
async def test_a_partition_that_stands_still_while_others_get_on_ends_the_worker(watched: Watched, gets_on: bool) -> None:
    watched.end = DECIDED + NEVER + 1

    def move(look: int) -> None:
        watched.engine.counters.frames += 1
        if gets_on:
            watched.engine.passed_over(0, DECIDED + look - 1, DECIDED + look)

    watched.at_look = move
    assert await watched.stalls() is not gets_on
    assert gets_on or watched.looks == BESIDE_OTHERS_FACTOR * LOOKS + 2, "not before the time allowed"


async def test_a_broker_that_is_gone_ends_no_worker_that_is_ready(watched: Watched) -> None:
    watched.end, watched.broker_is_gone = DECIDED + 1, True
    assert not await watched.stalls()
