"""Readers and other people's transactions: what was aborted was never there, markers hold up nobody, what is open hides what follows."""

import pytest
from prometheus_client import REGISTRY

from shared.kafka import partition_of
from shared.messaging import consumer as consumer_module
from shared.messaging.consumer import Consumer
from shared.schemas import topics
from tests.support.messaging import Rig, facts, left
from tests.support.transactions import transaction, transactional
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack
PARTITION = partition_of(b"acme", 4)


async def reaches(rig: Rig, consumer: Consumer, offset: int) -> None:
    """Wait until the stored position is there, and check that this is the end. The broker writes the marker of a transaction only after
    it has answered the commit, so the end of a moment ago can be in front of it."""

    def position() -> int | None:
        return consumer.positions("acme").get(f"{topics.HR_EVENTS.name}/{PARTITION}")

    await wait_until(lambda: position() == offset, what=f"position {offset}")
    await rig.until_at_end(consumer)
    assert position() == offset


async def test_only_committed_messages_are_handled_and_the_position_passes_every_marker(rig: Rig) -> None:
    async with transactional(rig.kafka) as producer:
        writer = Rig(rig.database, rig.kafka, producer)
        async with transaction(producer):
            for number in range(4):  # with two in a batch, one ends in front of the marker
                await writer.send(left(f"committed-{number}"))
        async with transaction(producer, commit=False):
            await writer.send(left("aborted"))
        async with transaction(producer):
            pass
        async with transaction(producer):
            await writer.send(left("last"))
        first = rig.consumer(batch_max=2)
        async with rig.running(first):
            await reaches(rig, first, 4 + 1 + 1 + 1 + 1 + 1)
        async with transaction(producer, commit=False):
            await writer.send(left("aborted-as-well"))
    second = rig.consumer()
    async with rig.running(second):
        await reaches(rig, second, 9 + 2)
        await rig.send(left("behind"))
        await reaches(rig, second, 12)
    assert await facts(rig.database) == [*(f"committed-{number}" for number in range(4)), "last", "behind"]


async def test_an_open_transaction_hides_what_follows_and_a_gauge_says_how_much(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_module, "WATCH_EVERY_SECONDS", 0.25)

    def hidden() -> float | None:
        labels = {"group": "test", "topic": topics.HR_EVENTS.name, "partition": str(PARTITION)}
        return REGISTRY.get_sample_value("seatpool_open_transaction_messages", labels)

    consumer = rig.consumer()
    async with transactional(rig.kafka) as producer, rig.running(consumer):
        async with transaction(producer):
            await Rig(rig.database, rig.kafka, producer).send(left("open"))
            await rig.send(left("behind"))
            await wait_until(lambda: hidden() == 2, what="the gauge")
            await reaches(rig, consumer, 0)
        await reaches(rig, consumer, 3)
        await wait_until(lambda: hidden() == 0, what="the gauge")
    assert await facts(rig.database) == ["open", "behind"]
