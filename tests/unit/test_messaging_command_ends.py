"""When the broker is asked how far the commands reach: no more than needed, and no real decision meets an old answer."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

import pytest
from aiokafka import TopicPartition

from shared.clock import FixedClock
from shared.kafka import Ends
from shared.messaging.command_ends import ASK_AGAIN_SECONDS, CommandEnds
from shared.settings import KafkaSettings


class Broker:
    def __init__(self) -> None:
        self.end, self.asked = 10, 0

    async def of(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        self.asked += 1
        assert [tp.topic for tp in partitions] == ["staging.seats.commands.v1"]
        return dict.fromkeys(partitions, self.end)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FixedClock:
    """Sleeping moves it."""
    clock = FixedClock(datetime(2026, 3, 1, tzinfo=UTC))

    async def sleep(seconds: float) -> None:
        clock.seconds += seconds

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return clock


def ends_of(broker: Broker, clock: FixedClock) -> CommandEnds:
    return CommandEnds(KafkaSettings(kafka_topic_prefix="staging."), cast(Ends, broker), clock)


async def test_the_broker_is_asked_only_for_a_command_above_the_greatest_end_known(clock: FixedClock) -> None:
    broker = Broker()
    ends = ends_of(broker, clock)
    assert [await ends.end_for(0, offset) for offset in (3, 9, 0)] == [10, 10, 10]
    assert broker.asked == 1
    await ends.end_for(1, 3)  # another partition
    assert (broker.asked, clock.seconds) == (2, 0)


async def test_a_command_that_was_written_after_the_last_answer_is_found(clock: FixedClock) -> None:
    """Or a real decision would become a dead letter."""
    broker = Broker()
    ends = ends_of(broker, clock)
    await ends.end_for(0, 9)
    for broker.end in (11, 12):
        assert await ends.end_for(0, broker.end - 1) == broker.end
    assert (broker.asked, clock.seconds) == (3, 0)


async def test_false_positions_make_a_reader_ask_once_a_second(clock: FixedClock) -> None:
    broker = Broker()
    ends = ends_of(broker, clock)
    for _ in range(5):
        assert await ends.end_for(0, 2**62) == 10
    assert (broker.asked, clock.seconds) == (5, 4 * ASK_AGAIN_SECONDS)
    broker.end = 20
    assert await ends.end_for(0, 15) == 20  # a real one, meanwhile: it waits, and is found


async def test_a_known_end_stays_when_the_broker_answers_a_smaller_one(clock: FixedClock) -> None:
    """A new leader may know of less for a moment."""
    broker = Broker()
    ends = ends_of(broker, clock)
    await ends.end_for(0, 9)
    broker.end = 5
    assert await ends.end_for(0, 10) == 10
    assert await ends.end_for(0, 9) == 10
