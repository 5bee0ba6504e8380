"""From the transaction to the broker: in commit order per key, at least once, and once for the reader."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError
from prometheus_client import REGISTRY

from shared.database import Database
from shared.kafka import make_reader
from shared.messaging import Relay, unsent
from shared.messaging import relay as relay_module
from shared.observability import metrics
from shared.schemas import registry, topics
from shared.schemas.hr_v1 import PersonLeft
from tests.support.messaging import NOON, Rig, envelope_of, left, rows
from tests.support.wait import wait_until

pytestmark = pytest.mark.stack


async def read_all(rig: Rig, count: int) -> list[Any]:
    """The first `count` records of hr.events.v1, in order per partition."""
    reader = make_reader(rig.kafka)
    await reader.start()
    try:
        name = rig.kafka.topic_name(topics.HR_EVENTS)
        partitions = [TopicPartition(name, number) for number in range(4)]
        reader.assign(partitions)
        for partition in partitions:
            reader.seek(partition, 0)
        records: list[Any] = []
        async with asyncio.timeout(30):
            while len(records) < count:
                for fetched in (await reader.getmany(timeout_ms=500)).values():
                    records += fetched
        return records
    finally:
        await reader.stop()


async def publish(database: Database, who: str, tenant: str = "acme", *, message_id: str | None = None) -> None:
    async with database.unit_of_work(tenant) as uow:
        uow.publish(left(who), source="hr/test", tenant=tenant, time=NOON, id=message_id)


def who(record: Any) -> str:
    payload = registry.parse("seatpool.hr.v1.person_left", record.value)
    assert isinstance(payload, PersonLeft)
    return payload.external_id


async def test_a_committed_message_arrives_with_its_envelope(rig: Rig) -> None:
    cause = envelope_of(left(), message_id="cause-1")
    async with rig.database.unit_of_work("acme") as uow:
        envelope = uow.publish(left("p1"), source="hr/test", tenant="acme", time=NOON, subject="p1", cause=cause)
    assert await unsent(rig.database, "acme") == 1
    async with rig.running(rig.relay()):
        (record,) = await read_all(rig, 1)
        await wait_until(lambda: _none_waiting(rig.database), what="the outbox is empty")
    assert (record.key, list(record.headers)) == (b"acme", envelope.headers())
    assert (envelope.correlation, envelope.causation) == ("cause-1", "cause-1")
    assert await unsent(rig.database, "acme") == 0


async def test_a_message_that_is_rolled_back_is_not_sent(rig: Rig) -> None:
    with suppress(ZeroDivisionError):
        async with rig.database.unit_of_work("acme") as uow:
            uow.publish(left("never"), source="hr/test", tenant="acme", time=NOON)
            raise ZeroDivisionError
    async with rig.database.unit_of_work("acme") as uow:
        uow.publish(left("first"), source="hr/test", tenant="acme", time=NOON)
        with suppress(ZeroDivisionError):
            async with uow.savepoint():
                uow.publish(left("nor-this"), source="hr/test", tenant="acme", time=NOON)
                raise ZeroDivisionError
        uow.publish(left("second"), source="hr/test", tenant="acme", time=NOON)
    async with rig.running(rig.relay()):
        assert [who(record) for record in await read_all(rig, 2)] == ["first", "second"]


async def test_the_outbox_keeps_commit_order_under_parallel_writers(rig: Rig) -> None:
    """Each writer counts up in the tenant's row, pauses, publishes the number: the writer that commits first must arrive first.

    Ids drawn before the commit would let a slow transaction be overtaken by a reader of "id > last"."""
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    tenants = ["acme", "globex", "initech"]
    async with rig.database.unit_of_work(None) as uow:
        await uow.connection.exec_driver_sql("CREATE TABLE counters (tenant text PRIMARY KEY, n int NOT NULL)")
        for tenant in tenants:
            await uow.connection.exec_driver_sql("INSERT INTO counters VALUES ($1, 0)", (tenant,))

    async def write(tenant: str, both: bool, pauses: list[float]) -> None:
        for pause in pauses:
            async with rig.database.unit_of_work(None) as uow:
                for each in sorted({tenant, *(tenants if both else [])}):
                    statement = "UPDATE counters SET n = n + 1 WHERE tenant = $1 RETURNING n"
                    number = (await uow.connection.exec_driver_sql(statement, (each,))).scalar_one()
                    uow.publish(left(f"{number}"), source="hr/test", tenant=each, time=NOON)
                await asyncio.sleep(pause)

    # Two relays at once: the second waits for the first's lock.
    async with rig.running(rig.relay(), rig.relay()):
        await asyncio.gather(*(write(tenants[n % 3], n == 0, [chance.choice([0, 0.001, 0.01]) for _ in range(25)]) for n in range(6)))
        records = await read_all(rig, 6 * 25 + 2 * 25)
    for tenant in tenants:
        arrived = [int(who(record)) for record in records if record.key == tenant.encode()]
        assert arrived == list(range(1, len(arrived) + 1))


async def test_a_crash_between_send_and_delete_repeats_and_the_inbox_drops_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        await publish(rig.database, f"p{number}")
    monkeypatch.setattr(relay_module, "_DELETE", "SELECT 1/0, $1::bigint[]")  # the relay dies after the broker's acknowledgement
    async with rig.running(rig.relay()):
        repeated = await read_all(rig, 6)
    assert [who(record) for record in repeated[:6]] == ["p0", "p1", "p2", "p0", "p1", "p2"]
    monkeypatch.undo()
    consumer = rig.consumer()
    async with rig.running(rig.relay(), consumer):
        await publish(rig.database, "last")
        assert await rig.until_facts(4) == ["p0", "p1", "p2", "last"]


async def test_a_failed_send_is_repeated_in_order(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        await publish(rig.database, f"p{number}")
    failures = iter([KafkaTimeoutError(), KafkaTimeoutError()])
    send = Relay._send

    async def failing(self: Relay, *arguments: Any) -> list[int]:
        if (error := next(failures, None)) is not None:
            raise error
        return await send(self, *arguments)

    monkeypatch.setattr(Relay, "_send", failing)
    async with rig.running(rig.relay()):
        assert [who(record) for record in await read_all(rig, 5)] == [f"p{number}" for number in range(5)]


async def test_rows_that_do_not_fit_one_batch_follow_in_order(rig: Rig) -> None:
    async with rig.database.unit_of_work("acme") as uow:
        for number in range(3000):
            long = left(f"p{number}").model_copy(update={"reason": "x" * 400})
            uow.publish(long, source="hr/test", tenant="acme", time=NOON)
    async with rig.running(rig.relay()):
        assert [who(record) for record in await read_all(rig, 3000)] == [f"p{number}" for number in range(3000)]


async def test_a_message_of_the_largest_size_that_a_topic_allows_is_sent(rig: Rig) -> None:
    """It fills a batch of its own, and those around it keep their order."""
    async with rig.database.unit_of_work("acme") as uow:
        for said, size in (("p0", 1), ("p1", 1_000_000), ("p2", 600_000), ("p3", 1)):
            uow.publish(left(said).model_copy(update={"reason": "x" * size}), source="hr/test", tenant="acme", time=NOON)
    async with rig.running(rig.relay()):
        records = await read_all(rig, 4)
    assert [len(record.value) // 100_000 for record in records] == [0, 10, 6, 0]


async def test_waiting_rows_are_counted_while_the_broker_is_away(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alert on it says that the broker is away: it must not need one."""
    monkeypatch.setattr(relay_module, "COUNT_EVERY_SECONDS", 0.05)
    metrics.OUTBOX_WAITING.set(0)
    for who_left in ("p1", "p2", "p3"):
        await publish(rig.database, who_left)
    nobody = rig.kafka.model_copy(update={"kafka_bootstrap": "127.0.0.1:1"})
    async with rig.running(Relay(database=rig.database, kafka=nobody)):
        await wait_until(lambda: REGISTRY.get_sample_value("seatpool_outbox_waiting_rows") == 3, what="the count")


async def test_each_range_of_keys_has_one_relay(rig: Rig) -> None:
    tenants = [f"tenant-{number}" for number in range(20)]
    relays = [Relay(database=rig.database, kafka=rig.kafka, ranges=3) for _ in range(2)]
    async with rig.running(*relays):
        for number in range(100):
            await publish(rig.database, str(number // 20), tenants[number % 20])
        records = await read_all(rig, 100)
        await wait_until(lambda: _none_waiting(rig.database), what="the outbox is empty")
    for tenant in tenants:
        assert [who(record) for record in records if record.key == tenant.encode()] == ["0", "1", "2", "3", "4"]


async def _none_waiting(database: Database) -> bool:
    return await rows(database, "outbox") == []
