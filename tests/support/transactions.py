"""A writer that uses Kafka's transactions: its markers and aborted records take offsets at which no reader finds a record."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer

from shared.ids import new_id
from shared.kafka import make_producer, started
from shared.settings import KafkaSettings


@asynccontextmanager
async def transactional(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    async with started(make_producer(kafka, transactional_id=f"test-{new_id()}")) as producer:
        yield producer


@asynccontextmanager
async def transaction(producer: AIOKafkaProducer, *, commit: bool = True) -> AsyncIterator[None]:
    """Open a transaction that is committed or aborted at the end of the block. A block that sends nothing leaves no trace."""
    await producer.begin_transaction()
    yield
    await (producer.commit_transaction() if commit else producer.abort_transaction())
