"""Reads the two logs that are kept permanently: the decisions about a command after a crash between two parts, those for `why`, and the
end of a topic."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.seats.engine.decider import Published
from services.seats.engine.events import SOURCE
from shared.errors import Poison
from shared.kafka import make_reader, started
from shared.schemas import registry, topics
from shared.schemas.envelope import Envelope
from shared.schemas.position import DecisionId
from shared.settings import KafkaSettings

POLL_MS = 500
ANSWER_SECONDS_MAX = 10.0


LogOrder = tuple[int, int]  # (offset of the command, number among its decisions)


def order_of(event_id: str, partition: int) -> LogOrder | None:
    """Return the order of a decision id, or None for an id that no decision of this partition has."""
    try:
        found = DecisionId.parse(event_id)
    except ValueError:
        return None
    return found.order if found.partition == partition else None


def _decision(record: Any, partition: int) -> tuple[Envelope, LogOrder, dict[str, Any]] | None:
    """Return the decision in a record, or None for a record that readers of the topic do not believe either."""
    try:
        envelope = Envelope.from_headers(record.headers)
        order = order_of(envelope.id, partition)
        if order is None or envelope.source != SOURCE or record.key != envelope.key:
            return None
        body = orjson.loads(record.value or b"")
        if not isinstance(body, dict) or body.get("position") != {"partition": partition, "offset": order[0]}:
            return None
        entry = registry.REGISTRY.get(envelope.type)
        if entry is not None:  # another one may be of a later release
            registry.parse(envelope.type, record.value)
            if entry.topic is not topics.SEATS_EVENTS:
                return None
    except (Poison, orjson.JSONDecodeError):
        return None
    return envelope, order, body


class DecisionsMissing(Exception):
    """The events topic lacks decisions that a marker says were published. It was recreated or truncated."""


class LogReader:
    """Each call opens its own consumer: calls are rare, and two callers at once would move a shared one. `kept` serves one caller with
    many short readings, one after the other."""

    def __init__(self, kafka: KafkaSettings, consumer: AIOKafkaConsumer | None = None) -> None:
        self._kafka, self._consumer = kafka, consumer
        self.commands, self.events = kafka.topic_name(topics.SEATS_COMMANDS), kafka.topic_name(topics.SEATS_EVENTS)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator["LogReader"]:
        async with started(make_reader(self._kafka, group_id=None), timeout_seconds=ANSWER_SECONDS_MAX) as consumer:
            yield LogReader(self._kafka, consumer)

    @asynccontextmanager
    async def _reader(self, topic: str, partition: int) -> AsyncIterator[tuple[AIOKafkaConsumer, TopicPartition]]:
        tp = TopicPartition(topic, partition)
        if self._consumer is not None:
            self._consumer.assign([tp])
            yield self._consumer, tp
            return
        async with started(make_reader(self._kafka, group_id=None)) as consumer:
            consumer.assign([tp])
            yield consumer, tp

    async def offset_at(self, topic: str, partition: int, timestamp_ms: int) -> int:
        """Return the offset of the first record that is not older than this."""
        async with self._reader(topic, partition) as (consumer, tp):
            found = (await consumer.offsets_for_times({tp: timestamp_ms}))[tp]
            return int(found.offset) if found is not None else int((await consumer.end_offsets([tp]))[tp])

    async def end_of(self, topic: str, partition: int) -> int:
        """Return the offset that the next record will have."""
        async with self._reader(topic, partition) as (consumer, tp):
            return int((await consumer.end_offsets([tp]))[tp])

    async def records(self, topic: str, partition: int, begin: int, end: int | None = None) -> AsyncGenerator[Any, None]:
        """Yield the records from `begin` up to `end` (default: where the topic ended when this began)."""
        async with self._reader(topic, partition) as (consumer, tp):
            first = int((await consumer.beginning_offsets([tp]))[tp])
            last = int((await consumer.end_offsets([tp]))[tp])
            stop = last if end is None else min(end, last)
            consumer.seek(tp, max(begin, first))
            while await consumer.position(tp) < stop:
                for batch in (await consumer.getmany(tp, timeout_ms=POLL_MS)).values():
                    for record in batch:
                        if record.offset >= stop:
                            return
                        yield record

    async def decisions(
        self, partition: int, begin: int, passed_over: Callable[[Any], None] | None = None
    ) -> AsyncIterator[tuple[Envelope, LogOrder, dict[str, Any], Any]]:
        """(envelope, order, body, record) of each decision. Records that seats never wrote are passed over: nobody else may write there,
        and one that somebody did write must not keep a worker from starting. To readers it is a dead letter."""
        async for record in self.records(self.events, partition, begin):
            found = _decision(record, partition)
            if found is not None:
                yield *found, record
            elif passed_over is not None:
                passed_over(record)

    async def read_decisions(self, partition: int, begin: int, offset: int, count: int) -> Sequence[Published]:
        """Return the `count` decisions about the command at `offset`, in order, each once: a worker that was thought dead may have
        published some again.

        Raises DecisionsMissing.
        """
        wanted = {str(DecisionId(partition, offset, n)): n for n in range(count)}
        found: dict[int, Published] = {}
        async for envelope, _, body, _ in self.decisions(partition, begin):
            n = wanted.get(envelope.id)
            if n is not None:
                found[n] = Published(envelope, body)
                if len(found) == count:
                    break
        if len(found) != count:
            raise DecisionsMissing(f"{count - len(found)} of the {count} decisions about {partition}/{offset}, from offset {begin} on")
        return [found[n] for n in range(count)]
