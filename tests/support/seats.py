"""Seats workers as processes of their own, and a sender and reader of their topics; for integration tests, the chaos run and the bench."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer, TopicPartition

from deploy.local.ports import pick
from deploy.local.process import LAUNCH
from shared.ids import new_id
from shared.kafka import make_producer, make_reader, partition_of, started
from shared.schemas import seats_v1, topics
from shared.schemas.base import Payload
from shared.schemas.envelope import Envelope
from shared.schemas.position import DecisionId
from shared.schemas.registry import entry_of
from shared.settings import KafkaSettings

ROOT = Path(__file__).parents[2]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STOP_SECONDS_MAX = 20.0


def worker_environment(kafka: KafkaSettings, **settings: object) -> dict[str, str]:
    given = {
        "KAFKA_BOOTSTRAP": kafka.kafka_bootstrap,
        "KAFKA_TOPIC_PREFIX": kafka.kafka_topic_prefix,
        "SEATS_PARTITIONS": kafka.seats_partitions,
        "SEATS_SESSION_SECONDS": 6.0,
        "SEATS_HEARTBEAT_SECONDS": 0.5,
        **{name.upper(): value for name, value in settings.items()},
    }
    return dict(os.environ) | {f"SEATPOOL_{name}": str(value) for name, value in given.items()}


@dataclass(slots=True)
class WorkerProcess:
    environment: Mapping[str, str]
    log: Path
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None)

    @classmethod
    def make(cls, kafka: KafkaSettings, folder: Path, name: str = "worker", **settings: object) -> "WorkerProcess":
        port = pick()
        return cls(worker_environment(kafka, port=port, **settings), folder / f"{name}.log", port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        with self.log.open("ab") as log:
            # `launch` ends the child with this process, in every case.
            launch = [sys.executable, "-I", "-S", str(LAUNCH), str(os.getpid()), str(int(signal.SIGKILL)), "0"]
            command = [*launch, sys.executable, "-m", "services.seats", "worker"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=dict(self.environment), stdout=log, stderr=log)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> int:
        """Send SIGTERM, and return the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(STOP_SECONDS_MAX)

    def owns(self, partitions: int) -> bool:
        """Tell whether the worker owns so many partitions, according to its last log line."""
        said = self.logged("owns")
        return bool(said) and len(said[-1]["partitions"]) == partitions

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the log lines of this event."""
        if not self.log.exists():
            return []
        written = self.log.read_bytes().rpartition(b"\n")[0]  # the last line may be under way
        lines = [line for line in written.splitlines() if line.startswith(b"{")]
        return [entry for entry in map(orjson.loads, lines) if entry.get("event") == event]


@asynccontextmanager
async def supervised(*workers: WorkerProcess) -> AsyncIterator[None]:
    """Run the workers, and start them again when they end, as a supervisor does: on a busy machine a worker may notice a pause."""

    async def keep() -> None:
        while True:
            for worker in workers:
                if worker.process is None or worker.process.poll() is not None:
                    worker.start()
            await asyncio.sleep(0.2)

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@dataclass(slots=True)
class Commands:
    """Sends commands as users and invoicing do. `send` returns the position."""

    kafka: KafkaSettings
    producer: AIOKafkaProducer
    number: int = 0

    async def send(self, tenant: str, payload: Payload, *, id_: str | None = None) -> tuple[int, int]:
        entry = entry_of(type(payload))
        envelope = Envelope(id_ or new_id(), entry.sources[0], entry.name, NOON, tenant=tenant)
        return await self.raw(envelope.key, payload.model_dump_json().encode(), envelope.headers(), partition=None)

    async def raw(self, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]], partition: int | None) -> tuple[int, int]:
        topic = self.kafka.topic_name(topics.SEATS_COMMANDS)
        sent = await self.producer.send_and_wait(topic, value, key=key, headers=headers, partition=partition)
        return sent.partition, sent.offset

    def next_number(self) -> int:
        self.number += 1
        return self.number

    async def open(self, tenant: str, module: str = "time", licences: int = 3, **policies: Any) -> tuple[int, int]:
        await self.send(tenant, seats_v1.OpenTenant(number=self.next_number(), clock="real"))
        return await self.send(
            tenant,
            seats_v1.OpenPool(
                number=self.next_number(), module=module, base=True, licences=licences, policies=seats_v1.Policies(**policies)
            ),
        )

    async def assign(self, tenant: str, user: str, *modules: str, revision: int = 1) -> tuple[int, int]:
        return await self.send(tenant, seats_v1.AssignSeats(user=user, revision=revision, reason="hired", modules=modules, created_at=NOON))


@asynccontextmanager
async def commands_to(kafka: KafkaSettings) -> AsyncIterator[Commands]:
    async with started(make_producer(kafka)) as producer:
        yield Commands(kafka, producer)


@dataclass(frozen=True, slots=True)
class Decision:
    id: str
    type: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        return self.type.rpartition(".")[2]


async def decisions(kafka: KafkaSettings, partition: int, until: tuple[int, float] | None = None) -> list[Decision]:
    """Return each decision of a partition once, in order of the commands. `until` (offset of a command, seconds) waits for its answer."""
    found: dict[tuple[int, int], Decision] = {}
    tp = TopicPartition(kafka.topic_name(topics.SEATS_EVENTS), partition)
    async with started(make_reader(kafka)) as reader:
        reader.assign([tp])
        reader.seek(tp, 0)
        end = (await reader.end_offsets([tp]))[tp]
        last = asyncio.get_running_loop().time() + (until[1] if until else 0.0)
        while True:
            for record in (await reader.getmany(tp, timeout_ms=100)).get(tp, []):
                envelope = Envelope.from_headers(record.headers)
                found.setdefault(DecisionId.parse(envelope.id).order, Decision(envelope.id, envelope.type, orjson.loads(record.value)))
            if await reader.position(tp) < end:
                continue
            if until is None or any(place[0] >= until[0] and decision.body["role"] == "answer" for place, decision in found.items()):
                return [found[place] for place in sorted(found)]
            assert asyncio.get_running_loop().time() < last, f"no answer to {partition}/{until[0]} in {until[1]} s"


async def answered(kafka: KafkaSettings, position: tuple[int, int], seconds: float = 60.0) -> list[Decision]:
    """Wait until the command at this position is answered, and return all decisions of its partition."""
    partition, offset = position
    return await decisions(kafka, partition, (offset, seconds))


def tenant_in(partition: int, partitions: int, name: str = "tenant") -> str:
    """Return a tenant id of this partition."""
    return next(f"{name}-{n}" for n in range(10_000) if partition_of(f"{name}-{n}".encode(), partitions) == partition)


async def verified(kafka: KafkaSettings) -> dict[str, Any]:
    """Run `python -m services.seats verify` as the command line does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.seats",
        "verify",
        cwd=ROOT,
        env=worker_environment(kafka),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert out, error.decode()[-3000:]
    report: dict[str, Any] = orjson.loads(out)
    assert (process.returncode == 0) == report["verified"]
    return report
