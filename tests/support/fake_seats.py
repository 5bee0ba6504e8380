"""A broker in memory and a tiny domain, to test the guarantees of the engine without Kafka and without the rules of seats."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record import MemoryRecords

from services.seats.engine.commands import Command, Head, Rejected
from services.seats.engine.decider import At, Decided, InvariantViolation, Published
from services.seats.engine.engine import Engine, Limits, Topics
from services.seats.engine.frames import Merge, Row
from services.seats.engine.partition import Partition
from services.seats.engine.pause import PauseDetector
from services.seats.engine.producer import Record
from shared.clock import Clock
from shared.schemas.envelope import Envelope
from shared.schemas.position import DecisionId

NAMES = Topics("commands", "events", "changelog")


class Stored(NamedTuple):
    offset: int
    record: Record


class FakeBroker:
    """Appends record batches as a whole. `refuse_after` makes sends to a topic hang up after so many batches, as a crash would."""

    def __init__(self) -> None:
        self.logs: dict[tuple[str, int], list[Stored]] = defaultdict(list)
        self.batches: list[tuple[str, int, int]] = []
        self.refuse_after: dict[str, int] = {}

    async def send(self, topic: str, partition: int, packed: Sequence[BatchBuilder]) -> list[tuple[int, int]]:
        acknowledged = []
        for builder in packed:
            if topic in self.refuse_after:
                if self.refuse_after[topic] == 0:
                    raise Crash(topic)
                self.refuse_after[topic] -= 1
            batch = MemoryRecords(bytes(builder._build())).next_batch()
            acknowledged.append(self.append(topic, partition, [(r.key, r.value, [*r.headers], r.timestamp) for r in batch]))
        return acknowledged

    def append(self, topic: str, partition: int, records: Sequence[Record]) -> tuple[int, int]:
        log = self.logs[topic, partition]
        base = len(log)
        log += [Stored(base + n, record) for n, record in enumerate(records)]
        self.batches.append((topic, partition, len(records)))
        return base, len(records)

    def restored(self, partition: int, *, thorough: bool = False) -> Partition:
        merge = Merge(CODEC, partition, thorough=thorough)
        log = self.logs[NAMES.changelog, partition]
        for offset, (key, value, headers, _time) in log:
            merge.feed(offset, key, value, headers)
        merge.check()
        return Partition(merge.rows, merge.marker, len(log), set(merge.foreign))

    def decisions(self, partition: int) -> list[tuple[str, dict[str, Any]]]:
        return [
            (Envelope.from_headers(stored.record[2]).id, orjson.loads(stored.record[1] or b""))
            for stored in self.logs[NAMES.events, partition]
        ]

    async def read_decisions(self, partition: int, begin: int, offset: int, count: int) -> list[Published]:
        found = {}
        for _, (_key, value, headers, _time) in self.logs[NAMES.events, partition][begin:]:
            envelope = Envelope.from_headers(headers)
            found[envelope.id] = Published(envelope, orjson.loads(value or b""))
        return [found[str(DecisionId(partition, offset, n))] for n in range(count)]


class Crash(BaseException):
    """The place where a process would have ended."""


class Codec:
    def encode(self, key: str, row: Row) -> bytes:
        return orjson.dumps(row)

    def decode(self, key: str, value: bytes) -> Row:
        return orjson.loads(value)


CODEC = Codec()


class FakeEvent(NamedTuple):
    type: str
    body: dict[str, Any]
    n: int
    user: str | None


class FakeDecider:
    """A tenant's counters: `add` names and amounts in a JSON body. Rows are {"value": n, "by": offset}."""

    def __init__(self, partition: int) -> None:
        self.rows: dict[str, Row] = {}

    def load(self, rows: Mapping[str, Row]) -> None:
        self.rows = dict(rows)

    def knows(self, rules: int) -> bool:
        return rules in (1, 2)

    def decide(self, command: Command, at: At) -> Decided:
        tenant = command.head.tenant or "none"
        decided = Decided()
        for name, amount in command.payload.add.items():  # type: ignore[attr-defined]
            key = f"{tenant}|{name}"
            value = self.rows.get(key, {"value": 0})["value"] + amount * at.rules
            if value < -1000:
                raise InvariantViolation(key)
            body = {"at": "2026-01-01T00:00:00.000Z", "key": key, "value": value, "clock": at.clock_ms}
            decided.events.append((tenant, FakeEvent("fake.counted", body, len(decided.events), None)))
            decided.rows[key] = {"value": value, "by": at.offset} if value else None
        self._apply(decided.rows)
        return decided

    def reject(self, rejected: Rejected, at: At) -> Decided:
        body = {"at": "2026-01-01T00:00:00.000Z", "reason": str(rejected.reason), "field": rejected.field}
        return Decided([(rejected.tenant, FakeEvent("fake.rejected", body, 0, None))])

    def take_back(self, command: Command, at: At) -> Decided:
        raise NotImplementedError

    def complete(self, events: Sequence[Published]) -> dict[str, Row | None]:
        rows: dict[str, Row | None] = {}
        for envelope, body in events:
            by = DecisionId.parse(envelope.id).offset
            rows[body["key"]] = {"value": body["value"], "by": by} if body["value"] else None
        self._apply(rows)
        return rows

    def due(self, clock_ms: int) -> bool:
        return False

    def _apply(self, rows: Mapping[str, Row | None]) -> None:
        for key, row in rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row


class FakePayload(NamedTuple):
    add: dict[str, int]


class FakeRecord(NamedTuple):
    partition: int
    offset: int
    timestamp: int
    payload: Any  # a dict of what to add, any other payload, or a Rejected


class FakeReader:
    def read(self, record: FakeRecord) -> Command | Rejected:
        if isinstance(record.payload, Rejected):
            return record.payload
        head = Head(f"c{record.offset}", "test", "fake.add", "acme", None, None)
        payload: Any = FakePayload(record.payload) if isinstance(record.payload, dict) else record.payload
        return Command(record.offset, record.timestamp, head, payload)


def make_engine(broker: FakeBroker, clock: Clock, *, limits: Limits | None = None) -> Engine:
    return Engine(
        topics=NAMES,
        reader=FakeReader(),  # type: ignore[arg-type]
        make_decider=FakeDecider,
        codec=CODEC,
        sender=broker,
        read_decisions=broker.read_decisions,
        clock=clock,
        pause=PauseDetector(clock),
        limits=limits,
    )
