"""The relay sends rows of the outbox to the broker, in order per key, and deletes a row after it is acknowledged."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import orjson
import stamina
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from sqlalchemy import bindparam, func, select

from shared.clock import Clock, SystemClock
from shared.database import Database
from shared.database.prune import prune
from shared.database.tables import outbox
from shared.database.unit_of_work import NOTIFY_CHANNEL, SHARDS, lock_number
from shared.errors import Transient
from shared.kafka import START_TIMEOUT_SECONDS, make_producer, partition_of, start, stop
from shared.messaging.pace import Pace
from shared.observability import metrics
from shared.runtime import together
from shared.schemas import topics
from shared.settings import KafkaSettings

log = structlog.get_logger(__name__)

ROUND_MAX = 2000  # rows of one look
# While rows keep coming: a round of one row costs almost as much as one of twenty.
ROUNDS_PER_SECOND, ROUNDS_AT_ONCE, LARGE_ROUNDS_PER_SECOND = 40, 20, 20
POLL_SECONDS = 1.0  # for rows whose notification was lost with a connection
LOCK_POLL_SECONDS = 1.0
ACK_TIMEOUT_SECONDS = 60
PRUNE_EVERY_SECONDS = 3600
COUNT_EVERY_SECONDS = 10
RETRY_SECONDS_MAX = 5.0

_COUNT = select(func.count()).select_from(outbox)
_OLDEST = select(func.count(), func.min(outbox.c.created_at))
_COUNT_OF_TENANT = _COUNT.where(outbox.c.tenant == bindparam("of_tenant"))
# As text: the relay reads and deletes on the driver's own connection, which holds its lock.
_READ = "SELECT id, topic, key, headers, value FROM outbox WHERE shard >= $1 AND shard < $2 ORDER BY id LIMIT $3"
_DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[])"


class Relay:
    """Sends committed rows. `ranges`: the number of key ranges; this process takes those that no other process has.

    Rows are read as they become visible, by id and never "after the last id": ids are drawn before the commit. For one partition at most
    one batch is under way, and the next is sent when it is acknowledged, so no failure can let a later row overtake an earlier one. After
    a failure everything not acknowledged is sent again by a new producer: readers drop what they have seen.
    """

    def __init__(self, *, database: Database, kafka: KafkaSettings, ranges: int = 1, clock: Clock | None = None) -> None:
        assert 1 <= ranges <= SHARDS
        self._database, self._kafka, self._ranges = database, kafka, ranges
        self._clock = clock or SystemClock()

    async def run(self) -> None:
        """Run until cancelled. Transient errors are retried."""
        await together(
            *(self._keep_range(number) for number in range(self._ranges)),
            self._every(PRUNE_EVERY_SECONDS, lambda: prune(self._database)),
            self._every(COUNT_EVERY_SECONDS, self._count),
        )

    async def _keep_range(self, number: int) -> None:
        while True:
            async for attempt in stamina.retry_context(
                on=Transient, attempts=None, timeout=None, wait_initial=0.05, wait_max=RETRY_SECONDS_MAX, wait_jitter=0.5
            ):
                with attempt:
                    await self._serve_range(number)

    async def _serve_range(self, number: int) -> None:
        """Serve a range with one connection and one producer, until one of them fails (Transient)."""
        low, high = SHARDS * number // self._ranges, SHARDS * (number + 1) // self._ranges
        async with self._database.own_connection("relay") as connection:
            # One relay for a range: held by the connection that reads and deletes, so who loses the lock can do neither any more. What it
            # has sent already is repeated by the next one in the same order.
            lock = lock_number("relay", f"{number}/{self._ranges}")
            while True:
                if await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock):
                    break
                await asyncio.sleep(LOCK_POLL_SECONDS)  # the other relay sends no notice when it ends
            wake = asyncio.Event()
            pace = Pace(self._clock, per_second=ROUNDS_PER_SECOND, burst=ROUNDS_AT_ONCE, per_second_with_many=LARGE_ROUNDS_PER_SECOND)
            await connection.add_listener(NOTIFY_CHANNEL, lambda *_: wake.set())
            log.info("relay_started", range=number, ranges=self._ranges)
            async with self._producer() as producer:
                while True:
                    wake.clear()
                    rows = await connection.fetch(_READ, low, high, ROUND_MAX)
                    if rows:
                        sent = await self._send(producer, rows)
                        await connection.execute(_DELETE, sent)
                        if len(rows) < ROUND_MAX:
                            await asyncio.sleep(pace.took_turn(len(rows)))
                    else:
                        await _wait(wake, POLL_SECONDS)

    @asynccontextmanager
    async def _producer(self) -> AsyncIterator[AIOKafkaProducer]:
        producer = make_producer(self._kafka)
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                await start(producer)
            yield producer
        except KafkaError as error:
            # Also what the client calls fatal (a sequence out of order after a broker's crash): a new producer has new sequence numbers.
            metrics.SEND_FAILED.inc()
            raise Transient(f"broker: {error!r}") from error
        finally:
            await stop(producer)

    async def _send(self, producer: AIOKafkaProducer, rows: list[Any]) -> list[int]:
        """Send one batch for each partition, wait until all are acknowledged, and return the ids of their rows. Other rows wait."""
        batches: dict[tuple[str, int], Any] = {}
        full: set[tuple[str, int]] = set()
        ids: list[int] = []
        counts: dict[str, int] = defaultdict(int)
        for row in rows:
            topic = topics.named(row["topic"])
            place = (self._kafka.topic_name(topic), partition_of(row["key"], self._kafka.partitions(topic)))
            if place in full:
                continue
            batch = batches.get(place)
            if batch is None:
                batch = batches[place] = producer.create_batch()
            headers = [(name, value.encode()) for name, value in orjson.loads(row["headers"])]
            if batch.append(timestamp=None, key=row["key"], value=row["value"], headers=headers) is None:
                full.add(place)
                continue
            ids.append(row["id"])
            counts[topic.name] += 1
        async with asyncio.timeout(ACK_TIMEOUT_SECONDS):
            acknowledgements = [await producer.send_batch(batch, name, partition=partition) for (name, partition), batch in batches.items()]
            await asyncio.gather(*acknowledgements)
        for name, count in counts.items():
            metrics.SENT.labels(name).inc(count)
        return ids

    async def _count(self) -> None:
        """Count waiting rows apart from the rounds: a relay without a broker reads no rows, and then the count matters most."""
        async with self._database.unit_of_work(None) as uow:
            metrics.OUTBOX_WAITING.set((await uow.connection.execute(_COUNT)).scalar_one())

    @staticmethod
    async def _every(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await work()
            except Transient as error:
                log.warning("relay_temporarily_failed", error=str(error))
            await asyncio.sleep(seconds)


async def _wait(event: asyncio.Event, timeout_seconds: float) -> None:
    try:
        async with asyncio.timeout(timeout_seconds):
            await event.wait()
    except TimeoutError:
        return


async def oldest_unsent(database: Database) -> tuple[int, datetime | None]:
    """Return the number of outbox rows that the broker has not acknowledged, and when the oldest of them was written."""
    async with database.unit_of_work(None) as uow:
        count, oldest = (await uow.connection.execute(_OLDEST)).one()
    return count, oldest


async def unsent(database: Database, tenant: str) -> int:
    """Return the number of outbox rows of this tenant that the broker has not acknowledged."""
    async with database.unit_of_work(None) as uow:
        return (await uow.connection.execute(_COUNT_OF_TENANT, {"of_tenant": tenant})).scalar_one()
