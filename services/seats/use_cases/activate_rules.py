"""Activate a rules version: a `rules_activated` record in each partition. Commands after it are decided by that version."""

from services.seats.engine.events import SOURCE
from shared.clock import SystemClock
from shared.ids import new_id
from shared.kafka import make_producer, started
from shared.schemas import seats_v1, topics
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of
from shared.settings import KafkaSettings


async def activate(kafka: KafkaSettings, rules: int) -> dict[int, int]:
    """Write the record to each partition and return its offsets. A second activation of the same version changes nothing."""
    payload = seats_v1.RulesActivated(rules=rules)
    envelope = Envelope(id=new_id(), source=SOURCE, type=type_of(seats_v1.RulesActivated), time=SystemClock().now())
    topic, value = kafka.topic_name(topics.SEATS_COMMANDS), payload.model_dump_json().encode()
    offsets = {}
    async with started(make_producer(kafka)) as producer:
        for partition in range(kafka.seats_partitions):
            sent = await producer.send_and_wait(topic, value, key=envelope.key, headers=envelope.headers(), partition=partition)
            offsets[partition] = sent.offset
    return offsets
