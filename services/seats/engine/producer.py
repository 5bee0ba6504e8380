"""The engine's producer: idempotent, every send awaited, whole record batches to explicit partitions.

Faust's `topic.send` costs about 100 µs for each record and is not awaited before offsets are committed, so the engine uses neither it
nor sinks nor attachments.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from shared.kafka import make_producer
from shared.settings import KafkaSettings

Header = tuple[str, bytes]

# Longer than the producer's own retries (`request_timeout_ms`): a send that is not acknowledged by then ends the worker.
ACK_SECONDS_MAX = 30.0
REQUEST_BYTES_MAX = 8 * 1024 * 1024


# (key, value, headers, time in ms or None for now). A plain tuple: two are made for each command.
Record = tuple[bytes | None, bytes | None, list[Header], int | None]


class BatchTooLarge(Exception):
    """One record or one frame is larger than a record batch can be."""


class Sender(Protocol):
    async def send(self, topic: str, partition: int, packed: Sequence[BatchBuilder]) -> list[tuple[int, int]]: ...


def pack(records: Sequence[Record], *, bytes_max: int, atomic: bool) -> list[BatchBuilder]:
    """Pack records into as few record batches as fit `bytes_max` each; with `atomic` into exactly one (or raise BatchTooLarge)."""
    builders: list[BatchBuilder] = []
    pack_into(builders, records, bytes_max=bytes_max, atomic=atomic)
    return builders


def pack_into(builders: list[BatchBuilder], records: Sequence[Record], *, bytes_max: int, atomic: bool = False) -> None:
    """Pack records as `pack` does, after those that are packed already. A record that is packed as soon as it is made is still in the
    processor's cache, and so is the memory that it frees."""
    builder = builders[-1] if builders else None
    for key, value, headers, timestamp_ms in records:
        if builder is not None and builder.append(timestamp=timestamp_ms, key=key, value=value, headers=headers) is not None:
            continue
        if builder is not None and atomic:
            raise BatchTooLarge(f"{len(records)} records do not fit a record batch of {bytes_max} bytes")
        builder = BatchBuilder(bytes_max, 0)
        # A builder accepts a first record of any size, so the limit is checked here.
        builder.append(timestamp=timestamp_ms, key=key, value=value, headers=headers)
        if builder.size() > bytes_max:
            raise BatchTooLarge(f"a record of {len(value or b'')} bytes does not fit a record batch of {bytes_max} bytes")
        builders.append(builder)


class KafkaSender:
    """`send` returns (base offset, number of records) of each acknowledged record batch, in order."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def send(self, topic: str, partition: int, packed: Sequence[BatchBuilder]) -> list[tuple[int, int]]:
        waiting = [(await self._producer.send_batch(builder, topic, partition=partition), builder.record_count()) for builder in packed]
        return [((await asyncio.wait_for(future, ACK_SECONDS_MAX)).offset, count) for future, count in waiting]


def make_engine_producer(kafka: KafkaSettings) -> AIOKafkaProducer:
    """Return a producer that is not started. linger is 0, because the engine makes its record batches itself."""
    return make_producer(kafka, max_request_size=REQUEST_BYTES_MAX)
