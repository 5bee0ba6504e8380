"""From command sent to decision read, at a steady 500 commands/s, through the worker and through the bare loop."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.kafka import create_topics, make_producer, make_reader, started
from shared.schemas import topics
from shared.settings import KafkaSettings
from tests.bench.fill import hire, openings, record
from tests.bench.runners import BARE_TOPICS, WITHOUT_END
from tests.bench.speed import percentile
from tests.support.seats import ROOT, WorkerProcess, worker_environment
from tests.support.wait import wait_until

RATE, SECONDS, WARM_SECONDS = 500, 20, 5
TENANTS = 100


async def measure(kafka: KafkaSettings, folder: Path) -> dict[str, Any]:
    await create_topics(kafka)
    async with started(AIOKafkaAdminClient(**kafka.client_options())) as admin:
        await admin.create_topics([NewTopic(kafka.kafka_topic_prefix + name, kafka.seats_partitions, 1) for name in BARE_TOPICS])
    worker = WorkerProcess.make(kafka, folder, "latency")
    worker.start()
    try:
        await wait_until(lambda: worker.logged("owns"), seconds=60, what="the worker")
        seats = await _measure(kafka, kafka.topic_name(topics.SEATS_EVENTS), lambda body: body.get("user"), first=0)
    finally:
        worker.kill()
    environment = worker_environment(kafka)
    bare = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.runners", "bare", str(WITHOUT_END)), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        await asyncio.sleep(WARM_SECONDS)  # it goes through what is there already
        loop = await _measure(kafka, kafka.kafka_topic_prefix + BARE_TOPICS[1], lambda body: body.get("user"), first=10**6)
    finally:
        bare.send_signal(signal.SIGKILL)
        await bare.wait()
    return {"seats": seats, "bare": loop, "p99_is_times": round(seats["p99"] / loop["p99"], 1)}


async def _measure(kafka: KafkaSettings, topic: str, user_of: Callable[[dict[str, Any]], str | None], *, first: int) -> dict[str, float]:
    sent: dict[str, float] = {}
    took: list[float] = []
    async with started(make_producer(kafka)) as producer, started(make_reader(kafka, group_id=None)) as reader:
        partitions = [TopicPartition(topic, number) for number in range(kafka.seats_partitions)]
        reader.assign(partitions)
        await reader.seek_to_end(*partitions)
        commands = kafka.topic_name(topics.SEATS_COMMANDS)
        if first == 0:
            for number, (tenant, payload) in enumerate(openings(TENANTS, 10**6, ("time",))):
                key, value, headers = record(tenant, payload, f"open-{number}")
                await producer.send(commands, value, key=key, headers=headers)
        reading = asyncio.create_task(_read(reader, user_of, sent, took))
        began = time.perf_counter()
        waiting = []
        for number in range(RATE * (SECONDS + WARM_SECONDS)):
            await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            command = hire("", first + number, ("time",))
            key, value, headers = record(f"tenant-{number % TENANTS}", command, f"latency-{first + number}")
            if number >= RATE * WARM_SECONDS:
                sent[command.user] = time.perf_counter()
            waiting.append(await producer.send(commands, value, key=key, headers=headers))
        await asyncio.gather(*waiting)
        await wait_until(lambda: not sent, seconds=30, what="the last decision")
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return {f"p{round(share * 100)}": round(percentile(took, share) * 1000, 1) for share in (0.5, 0.99)}


async def _read(reader: Any, user_of: Callable[[dict[str, Any]], str | None], sent: dict[str, float], took: list[float]) -> None:
    while True:
        for records in (await reader.getmany(timeout_ms=1000)).values():
            now = time.perf_counter()
            for each in records:
                at = sent.pop(user_of(orjson.loads(each.value)) or "", None)
                if at is not None:
                    took.append(now - at)
