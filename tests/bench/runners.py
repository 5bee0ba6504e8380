"""Measured programs, each in a process of its own: `python -m tests.bench.runners seats|bare|faust COMMANDS [WARM]`. Prints a JSON line."""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NoReturn

import faust
import orjson
import uvloop
from aiokafka import TopicPartition
from aiokafka.producer.message_accumulator import BatchBuilder

from services.seats.engine.faust.consumer import FETCH_WAIT_MS_MAX
from services.seats.main import tune_interpreter
from services.seats.replay.log_reader import LogReader
from services.seats.settings import Settings
from services.seats.wiring import make_worker
from shared.kafka import make_producer, make_reader
from shared.observability.logs import configure_logging
from shared.schemas import topics
from tests.bench.speed import Speed

FETCH = {"max_partition_fetch_bytes": 4 * 1024 * 1024, "fetch_max_wait_ms": FETCH_WAIT_MS_MAX}  # as the worker's
WITHOUT_END = 10**9
WARM = 200  # commands before the clock starts, unless said otherwise
BARE_TOPICS = ("bare.one", "bare.two")  # where the bare loop writes what the worker writes to events and changelog


class Meter:
    def __init__(self) -> None:
        self._count, self._seconds, self._cpu = 0, 0.0, 0.0

    def start(self, count: int) -> None:
        self._count, self._seconds, self._cpu = count, time.perf_counter(), time.process_time()

    def say(self, count: int) -> NoReturn:
        """And end at once: what is measured is over."""
        done = count - self._count
        speed = Speed.of(done, time.perf_counter() - self._seconds, time.process_time() - self._cpu)
        sys.__stdout__.write(orjson.dumps(speed._asdict()).decode() + "\n")  # type: ignore[union-attr]
        sys.__stdout__.flush()  # type: ignore[union-attr]
        os._exit(0)


async def run_seats(settings: Settings, commands: int, warm: int) -> None:
    """The worker as it is, but for REST."""
    worker, meter = make_worker(settings, LogReader(settings)), Meter()
    task = asyncio.create_task(worker.run())
    counters = worker.engine.counters
    while counters.commands < warm:
        await asyncio.sleep(0.001)
    meter.start(counters.commands)
    while counters.commands < commands and not task.done():
        await asyncio.sleep(0.005)
    meter.say(counters.commands)


async def run_bare(settings: Settings, commands: int, warm: int) -> None:
    """getmany, decode, one record for each command in one record batch for each partition, awaited; twice: a decision and a row."""
    reader, producer, meter, count, measured = make_reader(settings, group_id=None, **FETCH), make_producer(settings), Meter(), 0, False
    await reader.start()
    await producer.start()
    name = settings.topic_name(topics.SEATS_COMMANDS)
    ends = await reader.end_offsets([TopicPartition(name, number) for number in range(settings.seats_partitions)])
    # A fetch for empty partitions waits at the broker and holds up the busy one: the baseline is not to suffer from that (nor does the
    # worker: `SeatsThread`). For the latency all are there.
    partitions = [partition for partition, end in ends.items() if end or commands >= WITHOUT_END]
    reader.assign(partitions)
    for partition in partitions:
        reader.seek(partition, 0)

    async def put(topic: str, partition: int, records: list[tuple[bytes, bytes]]) -> None:
        builder = BatchBuilder(900_000, 0)
        for key, value in records:
            builder.append(timestamp=None, key=key, value=value, headers=[])
        await (await producer.send_batch(builder, topic, partition=partition))

    while count < commands:
        for partition, records in (await reader.getmany(timeout_ms=500, max_records=settings.seats_round)).items():
            if not measured and count >= warm:
                measured = True
                meter.start(count)
            count += len(records)
            made = [(record.key, orjson.dumps({"d": "accept", "o": record.offset, **orjson.loads(record.value)})) for record in records]
            for topic in BARE_TOPICS:
                await put(settings.kafka_topic_prefix + topic, partition.partition, made)
    meter.say(count)


async def run_faust(settings: Settings, commands: int, warm: int) -> None:
    """An agent that does nothing, with Faust's own settings but for what this broker needs."""
    meter, count = Meter(), 0
    app = faust.App(
        settings.group_name("idle"),
        broker=f"kafka://{settings.kafka_bootstrap}",
        store="memory://",
        topic_partitions=settings.seats_partitions,
        topic_disable_leader=True,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        datadir=Path(tempfile.gettempdir()) / "seatpool-faust",  # as the worker's: empty, and not where the bench was started
    )
    raw: dict[str, Any] = {"key_type": bytes, "key_serializer": "raw", "value_type": bytes, "value_serializer": "raw"}
    source = app.topic(settings.topic_name(topics.SEATS_COMMANDS), **raw)

    async def nothing(stream: Any) -> None:
        nonlocal count
        async for _ in stream:
            count += 1
            if count == warm:
                meter.start(count)
            if count >= commands:
                meter.say(count)

    app.agent(source)(nothing)
    app.finalize()
    app.loop = asyncio.get_running_loop()
    await app.start()
    await asyncio.Event().wait()


RUNNERS = {"seats": run_seats, "bare": run_bare, "faust": run_faust}


def main() -> None:
    name, commands, warm = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else WARM
    settings = Settings(log_level="ERROR", port=0)
    configure_logging("bench", settings)
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    tune_interpreter()
    asyncio.run(RUNNERS[name](settings, commands, warm))


if __name__ == "__main__":
    main()
