"""The common part of the harnesses of a service in this process: it reads and writes topics as the neighbours would, and runs parts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from shared import ids
from shared.database import Database
from shared.kafka import make_producer, make_reader, partition_of
from shared.schemas import registry
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.position import DecisionId, Position
from shared.schemas.seats_v1 import Tick
from shared.schemas.topics import SEATS_COMMANDS, Topic
from shared.settings import KafkaSettings
from tests.support.wait import wait_until

FETCH_WAIT_MS = 50
P = TypeVar("P", bound=Payload)


@dataclass(frozen=True, slots=True)
class Sent:
    envelope: Envelope
    payload: Payload
    partition: int
    offset: int
    value: bytes
    written_ms: int  # the broker's time of it

    @property
    def position(self) -> Position:
        return Position(partition=self.partition, offset=self.offset)


@dataclass
class Wire:
    """The topics of a test. Create it with `opened`."""

    kafka: KafkaSettings
    producer: AIOKafkaProducer
    reader: AIOKafkaConsumer
    now: Callable[[], datetime]
    _read: dict[str, list[Sent]] = field(default_factory=dict)  # topic -> everything that was read of it so far
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)  # a test reads, and so does its stand-in for seats
    decided: dict[tuple[int, int], int] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def opened(cls, kafka: KafkaSettings, now: Callable[[], datetime], *read: Topic) -> AsyncIterator["Wire"]:
        async with AsyncExitStack() as stack:
            # A broker answers a connection in order, so the question for the ends waits for the fetch under way: not for the usual 500 ms.
            producer, reader = make_producer(kafka), make_reader(kafka, fetch_max_wait_ms=FETCH_WAIT_MS)
            for client in (producer, reader):
                await client.start()
                stack.push_async_callback(client.stop)
            places = [TopicPartition(kafka.topic_name(topic), number) for topic in read for number in range(kafka.partitions(topic))]
            reader.assign(places)
            await reader.seek_to_beginning(*places)
            yield cls(kafka, producer, reader, now)

    async def topic(self, topic: Topic, tenant: str | None = None) -> list[Sent]:
        """Return the whole topic up to its present end, in order within a partition."""
        name = self.kafka.topic_name(topic)
        places = [TopicPartition(name, number) for number in range(self.kafka.partitions(topic))]
        async with self._reading:
            ends = await self.reader.end_offsets(places)
            while any([await self.reader.position(place) < ends[place] for place in places]):
                for batch in (await self.reader.getmany(*places, timeout_ms=200)).values():
                    for raw in batch:
                        envelope = Envelope.from_headers(raw.headers)
                        payload = registry.parse(envelope.type, raw.value)
                        self._read.setdefault(topic.name, []).append(
                            Sent(envelope, payload, raw.partition, raw.offset, raw.value, raw.timestamp)
                        )
        return [sent for sent in self._read.get(topic.name, []) if tenant in (None, sent.envelope.tenant)]

    async def events(self, topic: Topic, tenant: str | None, model: type[P]) -> list[P]:
        return [sent.payload for sent in once(await self.topic(topic, tenant)) if isinstance(sent.payload, model)]

    async def send(
        self,
        payload: Payload,
        tenant: str | None,
        *,
        source: str,
        message_id: str | None = None,
        type_: str | None = None,
        raw: bytes | None = None,
        topic: Topic | None = None,
    ) -> None:
        """Send a message; `tenant` None: one of the catalogue. `type_` and `raw` make it wrong; `topic`: another one than the type's."""
        topic, type_ = topic or registry.entry_of(type(payload)).topic, type_ or registry.type_of(type(payload))
        time = getattr(payload, "at", None) or self.now()
        envelope = Envelope(id=message_id or ids.new_id(), source=source, type=type_, time=time, tenant=tenant)
        partition = partition_of(envelope.key, self.kafka.partitions(topic))
        value = raw if raw is not None else payload.model_dump_json().encode()
        await self.producer.send_and_wait(
            self.kafka.topic_name(topic), value, key=envelope.key, headers=envelope.headers(), partition=partition
        )

    async def tick(self, tenant: str) -> Position:
        """Return a new position at the end of the tenant's log of commands, for decisions that no command of the service caused. Readers
        drop decisions at an older one, if those of another tenant in the partition came after it."""
        envelope = Envelope(id=ids.new_id(), source="seatpool/seats", type=registry.type_of(Tick), time=self.now())
        partition = partition_of(tenant.encode(), self.kafka.partitions(SEATS_COMMANDS))
        sent = await self.producer.send_and_wait(
            self.kafka.topic_name(SEATS_COMMANDS), b"{}", key=envelope.key, headers=envelope.headers(), partition=partition
        )
        return Position(partition=sent.partition, offset=sent.offset)

    async def decide(self, model: type[Payload], tenant: str, place: Position, **fields: Any) -> None:
        """Publish an event of seats as its worker would, after those of the same command."""
        n = self.decided.get((place.partition, place.offset), 0)
        self.decided[place.partition, place.offset] = n + 1
        common = {"command": ids.new_id(), "position": place, "role": "answer", "rules": 1, "at": self.now()}
        event_id = str(DecisionId(place.partition, place.offset, n))
        await self.send(model(**common | fields), tenant, message_id=event_id, source="seatpool/seats")


def once(messages: Iterable[Sent]) -> list[Sent]:
    """Return each message once, as its readers take it: a relay that dies between sending and deleting sends it again with its id."""
    first: dict[str, Sent] = {}
    for sent in messages:
        first.setdefault(sent.envelope.id, sent)
    return list(first.values())


async def execute(database: Database, statement: str, *parameters: Any) -> Sequence[Any]:
    async with database.unit_of_work(None) as uow:
        result = await uow.connection.exec_driver_sql(statement, parameters)
        return list(result.all()) if result.returns_rows else []


async def until_relayed(database: Database, tenant: str | None) -> None:
    """Wait until each message that the service has committed for the tenant is in its topic."""

    async def relayed() -> bool:
        return not await execute(database, "SELECT 1 FROM outbox WHERE tenant IS NOT DISTINCT FROM $1 LIMIT 1", tenant)

    await wait_until(relayed, what="an empty outbox")


@asynccontextmanager
async def background(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run the coroutines during the block. An error of one ends the block."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        yield tasks
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(error, Exception):
                raise error
