"""Read whole topics with a plain consumer, and check a tenant's log. This module imports nothing of the services."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from aiokafka import TopicPartition

from shared.kafka import make_reader
from shared.schemas import seats_v1
from shared.schemas.envelope import Envelope
from shared.schemas.registry import REGISTRY, type_of
from shared.schemas.topics import SEATS_COMMANDS, SEATS_EVENTS, Topic
from shared.settings import KafkaSettings

READ_SECONDS = 30
ASSIGN = type_of(seats_v1.AssignSeats)
IGNORED = type_of(seats_v1.CommandIgnored)


@dataclass(frozen=True, slots=True)
class Record:
    partition: int
    offset: int
    envelope: Envelope
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


async def read_topic(kafka: KafkaSettings, topic: Topic, tenant: str) -> list[Record]:
    """Return every record with this tenant's key, in order within its partition, up to the present end."""
    name = kafka.topic_name(topic)
    reader = make_reader(kafka)
    await reader.start()
    try:
        partitions = [TopicPartition(name, number) for number in range(kafka.partitions(topic))]
        reader.assign(partitions)
        await reader.seek_to_beginning(*partitions)
        ends = await reader.end_offsets(partitions)
        found: list[Record] = []
        while [each for each in partitions if await reader.position(each) < ends[each]]:
            for batch in (await reader.getmany(timeout_ms=1000)).values():
                found += [
                    Record(raw.partition, raw.offset, Envelope.from_headers(raw.headers), tuple(raw.headers), raw.value)
                    for raw in batch
                    if raw.key == tenant.encode()
                ]
        return found
    finally:
        await reader.stop()


@dataclass(frozen=True, slots=True)
class SeatLog:
    """The answers in the log to one tenant's `assign_seats`."""

    needs: int  # distinct command ids
    unanswered: tuple[str, ...]
    answered_twice: tuple[str, ...]  # two different decisions for one command id
    conflicting: tuple[str, ...]  # one event id, different bytes
    repeated_events: int  # the same bytes again, which readers drop


async def seat_log(kafka: KafkaSettings, tenant: str) -> SeatLog:
    commands = {record.envelope.id for record in await read_topic(kafka, SEATS_COMMANDS, tenant) if record.envelope.type == ASSIGN}
    bytes_of: dict[str, set[tuple[object, ...]]] = defaultdict(set)
    seen: Counter[str] = Counter()
    answers: dict[str, set[str]] = defaultdict(set)
    for record in await read_topic(kafka, SEATS_EVENTS, tenant):
        event_id = record.envelope.id
        bytes_of[event_id].add((record.headers, record.value))
        seen[event_id] += 1
        event = REGISTRY[record.envelope.type].model.model_validate_json(record.value, extra="ignore")
        assert isinstance(event, seats_v1.SeatsEvent)
        if event.role == seats_v1.Role.ANSWER and record.envelope.type != IGNORED:
            answers[event.command].add(event_id)
    return SeatLog(
        needs=len(commands),
        unanswered=tuple(sorted(command for command in commands if not answers[command])),
        answered_twice=tuple(sorted(command for command in commands if len(answers[command]) > 1)),
        conflicting=tuple(sorted(event_id for event_id, found in bytes_of.items() if len(found) > 1)),
        repeated_events=sum(count - 1 for count in seen.values()),
    )
