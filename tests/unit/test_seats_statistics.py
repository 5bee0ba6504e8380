"""Counts over a tenant's whole life: each decision once, also if the first reading takes longer than a caller waits."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest

from services.seats.replay.log_reader import LogOrder
from services.seats.replay.statistics import Statistics
from shared.errors import Transient
from shared.schemas import seats_v1
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of


class Record(NamedTuple):
    offset: int


class Log:
    """In place of LogReader: decisions of one partition, and a gate before them."""

    def __init__(self) -> None:
        self.events: list[tuple[Envelope, LogOrder, dict[str, Any], Record]] = []
        self.open, self.readers = asyncio.Event(), 0

    def add(self, offset: int, model: type[Payload], **body: Any) -> None:
        envelope = Envelope(f"seats.commands.v1/0/{offset}/0", "seatpool/seats", type_of(model), datetime.now(UTC), tenant="acme")
        self.events.append((envelope, (offset, 0), body, Record(len(self.events))))

    async def decisions(self, partition: int, begin: int) -> AsyncIterator[tuple[Envelope, LogOrder, dict[str, Any], Record]]:
        self.readers += 1
        await self.open.wait()
        for event in self.events[begin:]:
            yield event


def log() -> Log:
    made = Log()
    made.add(0, seats_v1.SeatsRefused, user="ada", modules=[{"module": "time", "state": "refused"}, {"module": "docs", "state": "active"}])
    made.add(1, seats_v1.SeatRevoked, user="ben", module="time")
    made.add(1, seats_v1.SeatRevoked, user="ben", module="time")  # published again by a worker that took over
    return made


async def test_each_decision_counts_once_and_a_second_question_reads_only_new_decisions() -> None:
    made = log()
    made.open.set()
    statistics = Statistics(made)  # type: ignore[arg-type]
    assert await statistics.of("acme", 0) == {"revoked": 1, "refused": 1, "decisions": 2}
    made.add(2, seats_v1.SeatRevoked, user="cid", module="time")
    assert await statistics.of("acme", 0) == {"revoked": 2, "refused": 1, "decisions": 3}
    assert await statistics.of("other", 0) == {"revoked": 0, "refused": 0, "decisions": 0}


async def test_modules_refused_to_a_target_user_count_as_well() -> None:
    made = log()
    made.open.set()
    made.add(2, seats_v1.SeatsMoved, user="eve", modules=[{"module": "time", "state": "active"}, {"module": "docs", "state": "refused"}])
    assert (await Statistics(made).of("acme", 0))["refused"] == 2  # type: ignore[arg-type]


async def test_a_caller_that_cannot_wait_gets_a_transient_error_and_the_reading_continues() -> None:
    made = log()
    statistics = Statistics(made, seconds_max=0.01)  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(Transient, match="still being counted"):
            await statistics.of("acme", 0)
    assert made.readers == 1
    made.open.set()
    while made.readers < 2:
        await asyncio.sleep(0)  # those who asked meanwhile have one reading more in common
    assert (await statistics.of("acme", 0))["decisions"] == 2
