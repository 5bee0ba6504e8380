"""Measure the costs of messaging per message: `pytest tests/bench/bench_messaging.py -s`.

One consumer whose handler writes a row and publishes a message, then one relay; each beside a baseline of the same run: the reader without
any work, and a producer that sends the same bytes.
"""

import asyncio
import time
from typing import Any

import pytest

from shared.database import UnitOfWork
from shared.kafka import make_producer, make_reader
from shared.messaging import Consumer, Message, Relay
from shared.schemas import topics
from shared.schemas.hr_v1 import PersonLeft
from shared.settings import KafkaSettings
from tests.support.messaging import NOON, Rig, envelope_of, left
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.slow]

MESSAGES = 10_000
TENANTS = ["acme", "globex", "initech", "umbrella"]


class Stopwatch:
    def __init__(self, what: str, count: int = MESSAGES) -> None:
        self._what, self._count = what, count

    def __enter__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        each = 1e6 / self._count
        print(f"{self._what:<44} {self._count / wall:>9,.0f}/s  wall {wall * each:>6.0f} us  cpu {cpu * each:>6.0f} us each")


async def fill(rig: Rig, tenants: list[str]) -> None:
    body = left().model_dump_json().encode()
    name = rig.kafka.topic_name(topics.HR_EVENTS)
    for number in range(MESSAGES):
        envelope = envelope_of(left(), tenants[number % len(tenants)])
        await rig.producer.send(name, body, key=envelope.key, headers=envelope.headers())
    await rig.producer.flush()


async def read_bare(kafka: KafkaSettings) -> None:
    reader = make_reader(kafka, kafka.topic_name(topics.HR_EVENTS), auto_offset_reset="earliest")
    await reader.start()
    with Stopwatch("baseline: a bare aiokafka loop"):
        count = 0
        while count < MESSAGES:
            for records in (await reader.getmany(timeout_ms=1000)).values():
                count += len(records)
    await reader.stop()


async def drained(rig: Rig) -> bool:
    async with rig.database.unit_of_work(None) as uow:
        return (await uow.connection.exec_driver_sql("SELECT NOT EXISTS (SELECT FROM outbox)")).scalar_one() is True


@pytest.mark.parametrize("tenants", [TENANTS[:1], TENANTS], ids=["one-tenant", "four-tenants"])
@pytest.mark.parametrize("work", ["nothing", "row", "row-and-message"])
async def test_bench(rig: Rig, tenants: list[str], work: str) -> None:
    done = 0
    finished = asyncio.Event()

    async def handle(uow: UnitOfWork, message: Message) -> None:
        nonlocal done
        if work != "nothing":
            await uow.connection.exec_driver_sql(
                "INSERT INTO facts (tenant_id, said, message_id) VALUES ($1, $2, $3)", (message.envelope.tenant, "x", message.envelope.id)
            )
        if work == "row-and-message":
            uow.publish(message.payload, source="seatpool/bench", tenant=message.envelope.tenant, time=NOON, cause=message.envelope)
        done += 1
        if done >= MESSAGES:
            finished.set()

    await fill(rig, tenants)
    print(f"\n--- {len(tenants)} tenant(s), handler: {work}")
    await read_bare(rig.kafka)
    consumer = Consumer(group="bench", database=rig.database, kafka=rig.kafka, topics=[topics.HR_EVENTS], handlers={PersonLeft: handle})
    async with rig.running(consumer):
        await wait_until(lambda: bool(consumer.positions()), what="the assignment")
        done_at_start = done
        with Stopwatch("consumer", MESSAGES - done_at_start):
            await finished.wait()
            await wait_until(lambda: _at_end(consumer, tenants), what="the end")
    if work == "row-and-message":
        with Stopwatch("relay"):
            async with rig.running(Relay(database=rig.database, kafka=rig.kafka)):
                await wait_until(lambda: drained(rig), seconds=120, what="the outbox is empty")
        await send_bare(rig.kafka)


async def _at_end(consumer: Consumer, tenants: list[str]) -> bool:
    return all([await consumer.at_end(tenant) for tenant in tenants])


async def send_bare(kafka: KafkaSettings) -> None:
    producer: Any = make_producer(kafka)
    await producer.start()
    headers, body = envelope_of(left()).headers(), left().model_dump_json().encode()
    with Stopwatch("baseline: aiokafka send"):
        for _ in range(MESSAGES):
            await producer.send(kafka.topic_name(topics.USERS_EVENTS), body, key=b"acme", headers=headers)
        await producer.flush()
    await producer.stop()
