"""The consumer on a real broker and database: each message has its effect once, whatever happens around it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import REGISTRY

from shared.clock import FixedClock
from shared.database import UnitOfWork
from shared.errors import Transient
from shared.messaging import consumer as consumer_module
from shared.messaging.batch import Item
from shared.messaging.consumer import PositionLost
from shared.schemas import topics
from shared.schemas.envelope import Envelope
from shared.settings import KafkaSettings
from tests.support.messaging import NOON, Rig, envelope_of, facts, left, rows
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack


class OtherGroup(KafkaSettings):
    def group_name(self, group: str) -> str:
        return f"{super().group_name(group)}-zombie"


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_a_group_without_a_position_starts_at_the_beginning_and_a_new_process_goes_on_from_there(rig: Rig) -> None:
    for number in range(3):
        await rig.send(left(f"before-{number}"))
    async with rig.running(rig.consumer()):
        assert await rig.until_facts(3) == ["before-0", "before-1", "before-2"]
    await rig.send(left("after"))
    async with rig.running(rig.consumer()):
        assert await rig.until_facts(4) == ["before-0", "before-1", "before-2", "after"]


async def test_the_stored_position_is_the_one_that_counts(rig: Rig) -> None:
    """No offset that Kafka keeps for the group is trusted: moving the row moves the reader."""
    sent = [await rig.send(left(f"p{number}")) for number in range(4)]
    async with rig.database.unit_of_work(None) as uow:
        await uow.connection.exec_driver_sql(
            "INSERT INTO consumer_positions (consumer_group, topic, partition, next_offset) VALUES ('test', 'hr.events.v1', $1, $2)",
            sent[2],
        )
    async with rig.running(rig.consumer()):
        assert await rig.until_facts(2) == ["p2", "p3"]


async def test_a_message_at_two_offsets_is_handled_once(rig: Rig) -> None:
    await rig.send(left("once"), message_id="m1")
    await rig.send(left("once"), message_id="m1")
    consumer = rig.consumer()
    async with rig.running(consumer):
        await rig.until_at_end(consumer)
        await rig.send(left("once"), message_id="m1")  # in another batch
        await rig.send(left("last"))
        assert await rig.until_facts(2) == ["once", "last"]


async def test_a_repeated_decision_is_dropped_by_the_watermark(rig: Rig) -> None:
    """A zombie, or a worker after a crash, writes decisions again: the same ids at later offsets."""
    expected = ["seats.commands.v1/0/5/0", "seats.commands.v1/0/5/1", "seats.commands.v1/0/7/0", "seats.commands.v1/0/10/0"]
    tenant = "acme"  # partition 0 of 4
    for id_ in (*expected[:3], *expected[1:3], *expected):
        await rig.decide(id_, tenant)
    consumer = rig.consumer(topics.SEATS_EVENTS)
    async with rig.running(consumer):
        await rig.until_at_end(consumer)
        for id_ in expected[2:]:
            await rig.decide(id_, tenant)
        await rig.until_at_end(consumer)
    assert await facts(rig.database) == expected
    assert await rows(rig.database, "inbox") == []


async def test_unknown_and_unwanted_types_are_counted_and_skipped(rig: Rig) -> None:
    before = counted("seatpool_messages_skipped_total", group="test", why="unknown-type")
    foreign = Envelope(id="x1", source="hr/test", type="seatpool.hr.v1.person_promoted", time=envelope_of(left()).time, tenant="acme")
    await rig.send_raw(topics.HR_EVENTS, foreign.key, foreign.headers(), b"{}")
    await rig.send(left("next"))
    async with rig.running(rig.consumer()):
        assert await rig.until_facts(1) == ["next"]
    assert counted("seatpool_messages_skipped_total", group="test", why="unknown-type") == before + 1
    assert await rows(rig.database, "dead_letters") == []


async def test_two_consumers_of_a_group_apply_each_message_once(rig: Rig) -> None:
    """While partitions move from one to the other and back, under load."""
    tenants = [f"tenant-{number}" for number in range(12)]
    first, second = rig.consumer(batch_max=7), rig.consumer(batch_max=7)
    expected = []
    async with rig.running(first):
        for number in range(300):
            expected.append(f"p{number}")
            await rig.send(left(f"p{number}"), tenants[number % len(tenants)])
        async with rig.running(second):
            for number in range(300, 600):
                expected.append(f"p{number}")
                await rig.send(left(f"p{number}"), tenants[number % len(tenants)])
            await wait_until(lambda: first.positions() and second.positions(), what="both have partitions")
        for number in range(600, 700):
            expected.append(f"p{number}")
            await rig.send(left(f"p{number}"), tenants[number % len(tenants)])
        found = await rig.until_facts(700)
    assert sorted(found) == sorted(expected)


async def test_only_the_reader_of_a_partition_reports_its_lag(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the old owner would report its last lag without end."""
    monkeypatch.setattr(consumer_module, "WATCH_EVERY_SECONDS", 0.05)

    def lag() -> float | None:
        labels = {"group": "test", "topic": topics.HR_EVENTS.name, "partition": "0"}
        return REGISTRY.get_sample_value("seatpool_consumer_lag_messages", labels)

    async with rig.running(rig.consumer()):
        await wait_until(lambda: lag() is not None, what="the lag")
    assert lag() is None


async def test_messages_that_take_long_are_committed_in_small_transactions(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that takes longer than the watchdog lets a process stand still would be begun again and again."""
    clock, taken = FixedClock(NOON), list[int]()
    consumer = rig.consumer(clock=clock)
    apply = consumer.group.apply

    async def counted(uow: UnitOfWork, items: Sequence[Item], *arguments: Any, **options: Any) -> Any:
        taken.append(len(items))
        return await apply(uow, items, *arguments, **options)

    def take_long(_: Any) -> None:
        clock.seconds += 3.0

    monkeypatch.setattr(consumer.group, "apply", counted)
    rig.handled.before = take_long
    for number in range(30):
        await rig.send(left(f"p{number}"))
    async with rig.running(consumer):
        await rig.until_facts(30)
        assert taken == [16, 4, *[1] * 10]
        rig.handled.before = None
        for number in range(30, 100):
            await rig.send(left(f"p{number}"))
        assert await rig.until_facts(100) == [f"p{number}" for number in range(100)]
    assert max(taken[12:]) > 1, "messages that are handled fast share a transaction again"


async def test_one_of_two_owners_of_a_partition_loses_it_and_nothing_is_applied_twice(rig: Rig) -> None:
    """A zombie whose partition was given away is stopped by the position's row, not by Kafka."""
    for number in range(20):
        await rig.send(left(f"p{number}"))
    first, second = rig.consumer(batch_max=3), rig.consumer(batch_max=3)
    # Another group at the broker, the same one in the database: both own all partitions.
    second._kafka = OtherGroup(**rig.kafka.model_dump())
    async with rig.running(first, second):
        await rig.until_facts(20)
        for number in range(20, 60):
            await rig.send(left(f"p{number}"))
        await rig.until_facts(60)
        await rig.until_at_end(first)
    assert await facts(rig.database) == [f"p{number}" for number in range(60)]


async def test_a_transient_error_is_retried_and_delays_no_other_partition(rig: Rig) -> None:
    failures = {"acme": 3}

    def fail(message: Any) -> None:
        if failures.get(message.envelope.tenant, 0) > 0:
            failures[message.envelope.tenant] -= 1
            raise Transient("not now")

    rig.handled.before = fail
    await rig.send(left("slow"), "acme")  # partition 0
    await rig.send(left("quick"), "globex")  # partition 3
    async with rig.running(rig.consumer()):
        assert sorted(await rig.until_facts(2)) == ["quick", "slow"]
    assert failures["acme"] == 0


async def test_a_position_outside_the_topic_ends_the_consumer(rig: Rig) -> None:
    """The topic was cut or created again: reading on would miss messages silently."""
    async with rig.database.unit_of_work(None) as uow:
        await uow.connection.exec_driver_sql(
            "INSERT INTO consumer_positions (consumer_group, topic, partition, next_offset) VALUES ('test', 'hr.events.v1', 0, 99)"
        )
    async with rig.running(rig.consumer()) as (task,):
        with pytest.raises(PositionLost, match="stands at 99"):
            await asyncio.wait_for(asyncio.shield(task), 30)


async def test_at_end_answers_also_without_a_running_consumer(rig: Rig) -> None:
    reader, observer = rig.consumer(), rig.consumer()
    assert await observer.at_end("acme")
    await rig.send(left("p1"))
    assert not await observer.at_end("acme")
    assert await observer.at_end("globex")  # another partition
    async with rig.running(reader):
        await rig.until_at_end(observer)
    assert observer.positions()["hr.events.v1/0"] == 1
    await observer.close()
