"""A small service to test messaging with: one table of facts, on the run's broker and PostgreSQL."""

import asyncio
import secrets
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from deploy.local import postgres
from shared import ids
from shared.database import Database, UnitOfWork, tables, tenancy
from shared.database.engine import driver_url
from shared.errors import Poison
from shared.kafka import make_producer, partition_of
from shared.messaging import Consumer, Message, Relay
from shared.schemas import registry, topics
from shared.schemas.base import Actor, Payload
from shared.schemas.envelope import Envelope
from shared.schemas.hr_v1 import PersonLeft
from shared.schemas.position import DecisionId, Position
from shared.schemas.seats_v1 import ClockSettled
from shared.schemas.topics import Topic
from shared.schemas.users_v1 import ClockReady
from shared.settings import KafkaSettings
from tests.support.wait import wait_until

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD = "pw-messaging"
FACTS = """
CREATE TABLE facts (place bigint GENERATED ALWAYS AS IDENTITY, tenant_id text NOT NULL, said text NOT NULL, message_id text NOT NULL)
"""


class _Operations:
    """The part of `alembic.op` that the helpers for migrations use, on a plain connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def get_bind(self) -> Any:
        return self._connection

    def execute(self, statement: str) -> Any:
        return self._connection.exec_driver_sql(statement)


async def make_tables(url: str) -> None:
    engine = create_async_engine(driver_url(url))
    async with engine.begin() as connection:

        def create(sync: Any) -> None:
            operations = _Operations(sync)
            tables.create(operations)
            operations.execute(FACTS)
            tenancy.protect(operations, "facts")

        await connection.run_sync(create)
    await engine.dispose()


@pytest.fixture
def make_empty_database(postgres_url: str) -> Callable[[], Awaitable[str]]:
    """Return a function that makes a database whose owner is no superuser, and returns its URL."""

    async def make() -> str:
        name = f"messaging_{secrets.token_hex(4)}"
        await postgres.ensure_role(postgres_url, name, PASSWORD)
        await postgres.ensure_database(postgres_url, name, name)
        return postgres.database_url(postgres_url, name, user=name, password=PASSWORD)

    return make


@pytest.fixture
async def plain_database_url(make_empty_database: Callable[[], Awaitable[str]]) -> str:
    """Return the URL of a database with the tables of messaging and `facts`."""
    url = await make_empty_database()
    await make_tables(url)
    return url


@pytest.fixture
async def plain_database(plain_database_url: str) -> AsyncIterator[Database]:
    database = Database(plain_database_url, application_name="test", pool_size=8)
    yield database
    await database.dispose()


def left(who: str = "p1") -> PersonLeft:
    return PersonLeft(external_id=who, effective_date=date(2026, 3, 1))


def ready(who: str = "p1") -> ClockReady:
    """Return an event of users, whose topic has one owner."""
    return ClockReady(at=NOON, actor=Actor(kind="system", id="test"), reason=who)


def settled(partition: int, offset: int) -> ClockSettled:
    position = Position(partition=partition, offset=offset)
    return ClockSettled(command=ids.new_id(), position=position, role="answer", at=NOON, rules=1, reason="test")


def envelope_of(payload: Payload, tenant: str | None = "acme", *, message_id: str | None = None, source: str | None = None) -> Envelope:
    source = source or registry.entry_of(type(payload)).topic.source or "hr/test"
    return Envelope(id=message_id or ids.new_id(), source=source, type=registry.type_of(type(payload)), time=NOON, tenant=tenant)


@dataclass
class Handled:
    """The messages that a handler got, and how it behaves."""

    said: list[str] = field(default_factory=list)
    poison: set[str] = field(default_factory=set)  # external ids that the handler refuses
    before: Callable[[Message], Any] | None = None

    async def on_left(self, uow: UnitOfWork, message: Message) -> None:
        assert isinstance(message.payload, PersonLeft)
        assert message.envelope.tenant is not None
        await self.keep(uow, message, message.envelope.tenant, message.payload.external_id)

    async def on_ready(self, uow: UnitOfWork, message: Message) -> None:
        assert isinstance(message.payload, ClockReady)
        assert message.envelope.tenant is not None
        await self.keep(uow, message, message.envelope.tenant, message.payload.reason)

    async def on_settled(self, uow: UnitOfWork, message: Message) -> None:
        assert message.envelope.tenant is not None
        await self.keep(uow, message, message.envelope.tenant, message.envelope.id)

    async def keep(self, uow: UnitOfWork, message: Message, tenant: str, said: str) -> None:
        if self.before is not None:
            answer = self.before(message)
            if asyncio.iscoroutine(answer):
                await answer
        await uow.connection.exec_driver_sql(
            "INSERT INTO facts (tenant_id, said, message_id) VALUES ($1, $2, $3)", (tenant, said, message.envelope.id)
        )
        if said in self.poison:
            raise Poison("test", f"{said} is refused")
        self.said.append(said)


async def facts(database: Database, tenant: str | None = None) -> list[str]:
    async with database.unit_of_work(tenant) as uow:
        rows = await uow.connection.exec_driver_sql("SELECT said FROM facts ORDER BY place")
        return [row.said for row in rows]


async def rows(database: Database, table: str) -> list[Any]:
    async with database.unit_of_work(None) as uow:
        return list((await uow.connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY 1")).all())


async def fill(producer: AIOKafkaProducer, kafka: KafkaSettings, partition: int, offset: int) -> None:
    """Fill the partition of the command topic up to this offset: readers refuse a decision without a command."""
    name = kafka.topic_name(topics.SEATS_COMMANDS)
    while (await producer.send_and_wait(name, b"filler", partition=partition)).offset < offset:
        pass


@dataclass
class Rig:
    """The messaging of one service."""

    database: Database
    kafka: KafkaSettings
    producer: AIOKafkaProducer
    handled: Handled = field(default_factory=Handled)
    tenants: set[str] = field(default_factory=lambda: {"acme", "globex"})

    def consumer(self, topic: Topic = topics.HR_EVENTS, **options: Any) -> Consumer:
        handlers: dict[type[Payload], Any] = {PersonLeft: self.handled.on_left} if topic is topics.HR_EVENTS else {}
        if topic is topics.USERS_EVENTS:
            handlers = {ClockReady: self.handled.on_ready}
        if topic is topics.SEATS_EVENTS:
            handlers = {ClockSettled: self.handled.on_settled}
        return Consumer(group="test", database=self.database, kafka=self.kafka, topics=[topic], handlers=handlers, **options)

    def relay(self) -> Relay:
        return Relay(database=self.database, kafka=self.kafka)

    async def tenant_exists(self, _connection: AsyncConnection, tenant: str) -> bool:
        return tenant in self.tenants

    def in_order(self, **options: Any) -> Consumer:
        """Return a consumer that keeps later messages of a tenant waiting behind a dead letter."""
        return self.consumer(topics.USERS_EVENTS, tenant_exists=self.tenant_exists, **options)

    async def send(self, payload: Payload, tenant: str = "acme", *, message_id: str | None = None) -> tuple[int, int]:
        """Send as an upstream system does; return (partition, offset)."""
        envelope = envelope_of(payload, tenant, message_id=message_id)
        topic = registry.entry_of(type(payload)).topic
        return await self.send_raw(topic, envelope.key, envelope.headers(), payload.model_dump_json().encode())

    async def decide(self, message_id: str, tenant: str = "acme") -> None:
        """Send a decision as seats does: the position of the body is that of the id, and there is a command."""
        id_ = DecisionId.parse(message_id)
        await fill(self.producer, self.kafka, id_.partition, id_.offset)
        await self.send(settled(id_.partition, id_.offset), tenant, message_id=message_id)

    async def send_raw(self, topic: Topic, key: bytes, headers: list[tuple[str, bytes]], value: bytes | None) -> tuple[int, int]:
        partition = partition_of(key, self.kafka.partitions(topic))
        sent = await self.producer.send_and_wait(self.kafka.topic_name(topic), value, key=key, headers=headers, partition=partition)
        return sent.partition, sent.offset

    @asynccontextmanager
    async def running(self, *parts: Any) -> AsyncIterator[list[asyncio.Task[None]]]:
        tasks = [asyncio.create_task(part.run()) for part in parts]
        try:
            yield tasks
        finally:
            ended = [error for task in tasks if task.done() and not task.cancelled() and (error := task.exception())]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for error in ended:  # a part that ended by itself is what the test's own failure comes from
                traceback.print_exception(error)

    async def until_facts(self, count: int) -> list[str]:
        async def there() -> list[str] | None:
            found = await facts(self.database)
            return found if len(found) >= count else None

        return await wait_until(there, what=f"{count} facts")

    async def until_at_end(self, consumer: Consumer, tenant: str = "acme") -> None:
        await wait_until(lambda: consumer.at_end(tenant), what="the end of the topics")


@pytest.fixture
async def rig(plain_database: Database, kafka_settings: KafkaSettings) -> AsyncIterator[Rig]:
    producer = make_producer(kafka_settings)
    await producer.start()
    yield Rig(plain_database, kafka_settings, producer)
    await producer.stop()
