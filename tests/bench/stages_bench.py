"""The costs of each stage of a command, without Kafka, in CPU microseconds a command, beside a loop that only passes records on.

`python -m tests.bench.stages_bench [--commands n]`, part of `make bench`. Each stage is measured over chunks of commands, and of the chunks
the tenth percentile counts, so that a busy machine says much the same.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import orjson
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record import MemoryRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition
from rich.console import Console
from rich.table import Table

from services.seats.decider import DomainDecider, RowCodec
from services.seats.engine import events, frames
from services.seats.engine.commands import CommandReader
from services.seats.engine.decider import At
from services.seats.engine.producer import Record, pack, pack_into
from services.seats.main import tune_interpreter
from tests.bench.fill import NOW, hire, openings, record
from tests.bench.speed import percentile

CHUNK = 500
MODULES = ("time",)
NOW_MS = int(NOW.timestamp() * 1000)
BYTES_MAX = 7 * 1024 * 1024
BARE = ("records decoded", "a bare loop: parse, write, pack twice")


def fetched(commands: int) -> Iterator[Any]:
    """Hires of one tenant, as aiokafka hands them over."""
    given = openings(1, commands, MODULES)
    written = [record(tenant, payload, f"open-{n}") for n, (tenant, payload) in enumerate(given)]
    written += [record("tenant-0", hire("", n, MODULES), f"0193a0ab-0000-7000-8000-{n:012d}") for n in range(commands)]
    batch = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for offset, (key, value, headers) in enumerate(written):
        batch.append(offset, NOW_MS, key, value, headers)
    return iter(PartitionRecords(TopicPartition("commands", 0), MemoryRecords(bytes(batch.build())), [], 0, None, None, True, 0))


class Stages:
    def __init__(self) -> None:
        self._reader, self._decider, self._codec = CommandReader(1), DomainDecider(0), RowCodec()
        self.took: dict[str, list[float]] = {}

    def _timed(self, name: str, work: Callable[[], Any]) -> Any:
        began = time.thread_time()
        made = work()
        self.took.setdefault(name, []).append((time.thread_time() - began) / CHUNK * 1e6)
        return made

    def chunk(self, source: Iterator[Any]) -> None:
        records = self._timed(BARE[0], lambda: list(islice(source, CHUNK)))
        commands: Any = self._timed("command read and checked", lambda: [self._reader.read(each) for each in records])
        places = [At(0, command.offset, NOW_MS, NOW_MS, 1) for command in commands]
        decided: Any = self._timed(
            "decided", lambda: [self._decider.decide(command, at) for command, at in zip(commands, places, strict=True)]
        )
        self._timed("decisions written and packed", lambda: self._published(commands, decided))
        self._timed("rows written and packed", lambda: self._framed(decided))
        self._timed(BARE[1], lambda: bare(records))

    def _published(self, commands: Any, decided: Any) -> None:
        packed: list[Any] = []
        for command, each in zip(commands, decided, strict=True):
            made = events.records(each.events, partition=0, offset=command.offset, clock_ms=NOW_MS, command=command.head)
            pack_into(packed, made, bytes_max=events.EVENT_BYTES_MAX)

    def _framed(self, decided: Any) -> None:
        rows: dict[str, Any] = {}
        for each in decided:
            rows.update(each.rows)
        encoded = frames.encode_rows(rows, self._codec)
        pack(frames.frame(0, encoded, frames.Marker(1, NOW_MS, 1)), bytes_max=BYTES_MAX, atomic=True)


def bare(records: Any) -> None:
    made: list[Record] = [
        (each.key, orjson.dumps({"d": "accept", "o": each.offset, **orjson.loads(each.value)}), [], None) for each in records
    ]
    for _ in range(2):
        pack(made, bytes_max=BYTES_MAX, atomic=False)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.stages_bench", description=__doc__)
    parser.add_argument("--commands", type=int, default=20_000)
    commands = parser.parse_args().commands
    tune_interpreter()
    stages, source = Stages(), fetched(commands)
    for _ in range(commands // CHUNK):
        stages.chunk(source)
    found = {name: percentile(took, 0.1) for name, took in stages.took.items()}
    table = Table("stage", "us a command", title="A hire of one module, on one core, without Kafka")
    for name, took in found.items():
        table.add_row(name, f"{took:.1f}")
    whole = sum(took for name, took in found.items() if name != BARE[1])
    table.add_row("all stages", f"{whole:.1f}")
    table.add_row("of the bare loop", f"{sum(found[name] for name in BARE) / whole:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
