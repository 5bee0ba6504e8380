"""Fills the command topic: full envelopes and bodies, as users sends them."""

import asyncio
from datetime import UTC, datetime, timedelta

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.kafka import create_topics, make_producer, started
from shared.schemas import seats_v1, topics
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.registry import entry_of
from shared.settings import KafkaSettings
from tests.bench.runners import BARE_TOPICS

NOW = datetime.now(UTC)
WAITING_MAX = 5000
CORRELATION = "0193a0ac-0000-7000-8000-000000000000"


def record(tenant: str, payload: Payload, id_: str) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    entry = entry_of(type(payload))
    envelope = Envelope(id_, entry.sources[0], entry.name, NOW, tenant=tenant, correlation=CORRELATION)
    return tenant.encode(), payload.model_dump_json().encode(), envelope.headers()


def openings(tenants: int, licences: int, modules: tuple[str, ...]) -> list[tuple[str, Payload]]:
    made: list[tuple[str, Payload]] = []
    for number in range(tenants):
        tenant = f"tenant-{number}"
        made.append((tenant, seats_v1.OpenTenant(number=1, clock="real")))
        for place, module in enumerate(modules):
            made.append((tenant, seats_v1.OpenPool(number=2 + place, module=module, base=place == 0, licences=licences)))
    return made


def hire(tenant: str, user: int, modules: tuple[str, ...], revision: int = 1) -> seats_v1.AssignSeats:
    name = f"0193a0aa-0000-7000-8000-{user:012d}"
    created_at = NOW + timedelta(milliseconds=user)
    return seats_v1.AssignSeats(user=name, revision=revision, reason="hired", modules=modules, created_at=created_at)


async def fill(kafka: KafkaSettings, commands: int, tenants: int, modules: tuple[str, ...] = ("time",)) -> int:
    """`commands` hires spread over the tenants, who have licences for 95 % of them. Returns how many records were written."""
    await create_topics(kafka)
    async with started(AIOKafkaAdminClient(**kafka.client_options())) as admin:
        await admin.create_topics([NewTopic(kafka.kafka_topic_prefix + name, kafka.seats_partitions, 1) for name in BARE_TOPICS])
    opening = openings(tenants, max(1, commands // tenants * 95 // 100), modules)
    async with started(make_producer(kafka, linger_ms=5, max_batch_size=500_000)) as producer:
        await _send(producer, kafka, [record(tenant, payload, f"open-{n}") for n, (tenant, payload) in enumerate(opening)])
        for first in range(0, commands, WAITING_MAX):
            users = range(first, min(commands, first + WAITING_MAX))
            hires = [record(f"tenant-{n % tenants}", hire("", n, modules), f"0193a0ab-0000-7000-8000-{n:012d}") for n in users]
            await _send(producer, kafka, hires)
    return len(opening) + commands


async def _send(producer: AIOKafkaProducer, kafka: KafkaSettings, records: list[tuple[bytes, bytes, list[tuple[str, bytes]]]]) -> None:
    topic = kafka.topic_name(topics.SEATS_COMMANDS)
    await asyncio.gather(*[await producer.send(topic, value, key=key, headers=headers) for key, value, headers in records])
