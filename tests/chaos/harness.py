"""The harness: a broker that may be killed, workers that are killed, stopped and paused, and the load."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import httpx
import orjson
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from deploy.local import ports
from deploy.local.kafka import Broker
from deploy.local.supervisor import Supervisor
from shared.kafka import create_topics, make_producer, make_reader, started
from shared.schemas import topics
from shared.settings import KafkaSettings
from tests.chaos.load import Known, Load, Sent
from tests.chaos.simulate import learn
from tests.support.seats import WorkerProcess

SESSION_SECONDS = 6.0
PAUSE_SECONDS = (7.0, 11.0)  # longer than the session
BETWEEN_SECONDS = (3.0, 8.0)
FAULTS = "after_decisions:0.02,in_frame:0.02,between_parts:0.1,after_frame:0.02"  # of each batch, frame or part
FRAME_ROWS = 40  # so that cuts and closings in the big tenants take several frames
BROKER_AWAY_SECONDS = (0.5, 4.0)
READY_SECONDS_MAX = 30.0
WHOLE_ROUND_SECONDS = 60.0  # a run that is this long sees every kind of fault, however slow the machine
ACTIONS = ("kill", "terminate", "pause", "broker")
# The cleaner works hard, but never before a new owner had the time to repair what a zombie wrote (see topics.SEATS_CHANGELOG).
CLEANER = {"segment.ms": "2000", "min.cleanable.dirty.ratio": "0.01", "min.compaction.lag.ms": "25000", "delete.retention.ms": "60000"}
IDLE_TICK_SECONDS = 5.0
SEND_BATCH = 50


@asynccontextmanager
async def own_broker(folder: Path) -> AsyncIterator[tuple[Supervisor, str]]:
    """A broker of this run's own: it is killed."""
    broker = Broker(folder / "kafka", ports.pick(), ports.pick())
    with (folder / "kafka.log").open("a", buffering=1) as log:
        supervisor = Supervisor([broker.part()], lambda _, line: print(line, file=log))
        await supervisor.start()
        try:
            yield supervisor, broker.bootstrap
        finally:
            await supervisor.stop()


async def make_topics(kafka: KafkaSettings) -> None:
    await create_topics(kafka)
    admin = AIOKafkaAdminClient(**kafka.client_options())
    async with started(admin):
        name = kafka.topic_name(topics.SEATS_CHANGELOG)
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=topics.SEATS_CHANGELOG.config() | CLEANER)])
        await admin.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", configs={"log.cleaner.backoff.ms": "1000"})])


@dataclass(slots=True)
class Sending:
    """Sends the load at a steady rate, also over a broker that is away: what is not acknowledged is sent again, as an outbox would."""

    kafka: KafkaSettings
    load: Load
    rate: float
    sent: int = 0
    stopping: bool = False

    async def run(self) -> None:
        waiting: list[Sent] = []
        began, made = time.monotonic(), 0
        producer: AIOKafkaProducer | None = None
        while waiting or not self.stopping:
            due = int((time.monotonic() - began) * self.rate) - made
            if not self.stopping and due > 0 and len(waiting) < SEND_BATCH:
                waiting += [self.load.next() for _ in range(min(due, SEND_BATCH))]
                made += min(due, SEND_BATCH)
            if not waiting:
                await asyncio.sleep(1 / self.rate)
                continue
            try:
                if producer is None:
                    producer = make_producer(self.kafka)
                    await producer.start()
                await self._send(producer, waiting)
                self.sent += len(waiting)
                waiting = []
            except (KafkaError, OSError):
                if producer is not None:
                    await producer.stop()
                producer = None
                await asyncio.sleep(0.2)
        if producer is not None:
            await producer.stop()

    async def _send(self, producer: AIOKafkaProducer, batch: list[Sent]) -> None:
        topic = self.kafka.topic_name(topics.SEATS_COMMANDS)
        futures = [
            await producer.send(topic, sent.value, key=sent.key, headers=list(sent.headers), partition=sent.partition) for sent in batch
        ]
        await asyncio.gather(*futures)


async def follow(kafka: KafkaSettings, known: Known) -> None:
    """Until cancelled: what the decisions say of the pools, for the senders to price on."""
    topic = kafka.topic_name(topics.SEATS_EVENTS)
    positions: dict[TopicPartition, int] = {TopicPartition(topic, partition): 0 for partition in range(kafka.seats_partitions)}
    while True:
        try:
            async with started(make_reader(kafka, group_id=None)) as reader:
                reader.assign(list(positions))
                for tp, offset in positions.items():
                    reader.seek(tp, offset)
                while True:
                    for tp, records in (await reader.getmany(timeout_ms=200)).items():
                        for record in records:
                            learn(known, dict(record.headers).get("ce_tenantid", b"").decode(), orjson.loads(record.value))
                            positions[tp] = record.offset + 1
        except KafkaError:
            await asyncio.sleep(0.5)


class Act(NamedTuple):
    what: str  # of ACTIONS
    worker: int
    lasts: float  # seconds, of a pause and of the broker's absence
    calm: float  # seconds until the next


def schedule(seed: int, workers: int) -> Iterator[Act]:
    """Disturb the workers until cancelled. First a worker is killed, and a run of a minute has seen every kind; then by chance, killed and
    paused more often than the rest."""
    chance = random.Random(seed)
    actions = [ACTIONS[0], *chance.sample(ACTIONS[1:], len(ACTIONS) - 1)]
    while True:
        for what in actions:
            lasts = chance.uniform(*(PAUSE_SECONDS if what == "pause" else BROKER_AWAY_SECONDS))
            yield Act(what, chance.randrange(workers), lasts, chance.uniform(*BETWEEN_SECONDS))
        actions = chance.sample([*ACTIONS, "kill", "pause"], len(ACTIONS) + 2)


@dataclass(slots=True)
class ChaosHarness:
    kafka: KafkaSettings
    folder: Path
    broker: Supervisor
    seed: int
    workers: list[WorkerProcess] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)

    def set_up(self, count: int, **settings: object) -> None:
        for number in range(count):
            options = {
                "seats_session_seconds": SESSION_SECONDS,
                "seats_faults": FAULTS,
                "seats_frame_rows": FRAME_ROWS,
                "seats_idle_tick_seconds": IDLE_TICK_SECONDS,
                "seats_stall_seconds": 30,
                "log_level": "WARNING",
                **settings,
            }
            worker = WorkerProcess.make(self.kafka, self.folder, f"worker-{number}", **options)
            self.workers.append(worker)
            worker.start()

    async def keep(self) -> None:
        """Start ended workers again until cancelled, as a supervisor does."""
        while True:
            for worker in self.workers:
                if worker.process is not None and (code := worker.process.poll()) is not None:
                    self.exits[code] += 1
                    worker.start()
            await asyncio.sleep(0.2)

    async def play(self, seconds: float) -> None:
        """One thing after the other goes wrong, as the seed decides."""
        await self._ready(0)
        end = time.monotonic() + seconds
        for done, act in enumerate(schedule(self.seed, len(self.workers))):
            if time.monotonic() >= end and (done >= len(ACTIONS) or seconds < WHOLE_ROUND_SECONDS):
                return
            worker = await self._ready(act.worker)
            self.counts[act.what] += 1
            if act.what == "kill":
                worker.signal(signal.SIGKILL)
            elif act.what == "terminate":
                worker.signal(signal.SIGTERM)
            elif act.what == "pause":
                await self._pause(worker, act.lasts)
            else:
                await self._kill_broker(act.lasts)
            await asyncio.sleep(min(act.calm, max(0.0, end - time.monotonic())))

    async def _ready(self, number: int) -> WorkerProcess:
        """This worker, or the next one that decides: who is still starting has nothing to lose. This one after all if nobody does."""
        end = time.monotonic() + READY_SECONDS_MAX
        candidates = [self.workers[(number + other) % len(self.workers)] for other in range(len(self.workers))]
        async with httpx.AsyncClient(timeout=1.0) as client:
            while time.monotonic() < end:
                for worker in candidates:
                    try:
                        if (await client.get(f"{worker.url}/readyz")).status_code == 200:
                            return worker
                    except httpx.HTTPError:
                        pass
                await asyncio.sleep(0.2)
        return candidates[0]

    async def _pause(self, worker: WorkerProcess, seconds: float) -> None:
        process = worker.process
        worker.signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)

    async def _kill_broker(self, seconds: float) -> None:
        await self.broker.down("kafka")
        await asyncio.sleep(seconds)
        self.broker.up("kafka")
        await self.broker.until_ready("kafka")

    def calm(self) -> None:
        """Stop the faults: every worker starts again without them."""
        for worker in self.workers:
            worker.kill()
            worker.environment = {**worker.environment, "SEATPOOL_SEATS_FAULTS": ""}
            worker.start()

    def stop(self) -> None:
        for worker in self.workers:
            if worker.process is not None and worker.process.poll() is None:
                worker.process.terminate()
        for worker in self.workers:
            worker.kill()


def real_load(seed: int, known: Known, kafka: KafkaSettings) -> Load:
    return Load(seed, known, lambda: datetime.now(UTC), partitions=kafka.seats_partitions)
