"""The engine: it takes records of the command topic and writes decisions and frames, each step awaited before the next.

For a batch of commands: decide (in memory, ahead of the durable state) -> send the decisions and await their acknowledgement -> send one
frame for each partition and await it -> make the rows visible -> continue. A crash at any point leaves a prefix of that. Decisions
without a frame are decided again, to the same bytes with the same ids. A frame that nobody has seen is found at the next start.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import structlog
from aiokafka.producer.message_accumulator import BatchBuilder

from services.seats.engine import events, frames
from services.seats.engine.commands import CommandReader, Rejected
from services.seats.engine.decider import At, Decided, Decider, InvariantViolation, Published
from services.seats.engine.failstop import Exit, fail_stop
from services.seats.engine.faults import Faults, Place
from services.seats.engine.frames import Marker, Row, RowCodec
from services.seats.engine.partition import Partition
from services.seats.engine.pause import PauseDetector
from services.seats.engine.producer import Sender, pack, pack_into
from shared.clock import Clock
from shared.schemas import seats_v1

_log = structlog.get_logger("seats.engine")

# A broker's clock that runs ahead would end grace periods at once. An operator must look before anything is decided.
AHEAD_MS_MAX = 10 * 60 * 1000

YIELD_EVERY = 50  # commands

_new = tuple.__new__  # the constructor of a NamedTuple takes more than twice as long

# A partition, its records, and the index of the first one that is not decided yet.
Chunk = tuple[int, Sequence[Any], int]

# (partition, offset of the first decision in the events topic, offset of the command, how many) -> the decisions in order
ReadDecisions = Callable[[int, int, int, int], Awaitable[Sequence[Published]]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one frame and of one round."""

    rows_max: int = frames.FRAME_ROWS_MAX
    bytes_max: int = frames.FRAME_BYTES_MAX
    commands_max: int = 1_000  # of a round, over all partitions


@dataclass(slots=True)
class Live:
    """A partition that this worker decides. `decided`, `clock_ms` and `rules` run ahead of the durable marker by one batch."""

    number: int
    decider: Decider
    durable: Partition
    decided: int
    clock_ms: int
    rules: int


class Step(NamedTuple):
    """One decided command of a batch, as its part of a frame needs it."""

    offset: int
    clock_ms: int
    rules: int
    rows: Mapping[str, Row | None]
    first: int  # index of its first decision among those of the batch
    events: int


@dataclass(slots=True)
class Batch:
    """The decisions about a round of commands of one partition, before they are written."""

    live: Live
    steps: list[Step] = field(default_factory=list)
    packed: list[BatchBuilder] = field(default_factory=list)  # the decisions
    decisions: int = 0  # their number
    bases: list[tuple[int, int]] = field(default_factory=list)  # of the acknowledged record batches of decisions
    rejected: dict[str, list[int]] = field(default_factory=dict)  # reason -> offsets

    def begin_of(self, step: Step) -> int:
        """Return the offset in the events topic of the step's first decision."""
        index = step.first
        for base, count in self.bases:
            if index < count:
                return base + index
            index -= count
        return 0  # it has no decision


@dataclass(frozen=True, slots=True)
class Topics:
    """Topic names at the broker."""

    commands: str
    events: str
    changelog: str


@dataclass(slots=True)
class Counters:
    commands: int = 0
    decisions: int = 0
    duplicates: int = 0
    rejected: int = 0
    batches: int = 0
    rows: int = 0
    frames: int = 0


class Engine:
    """Decides the commands of its partitions, and writes decisions and rows. It knows no rule of seats and no Faust."""

    def __init__(
        self,
        *,
        topics: Topics,
        reader: CommandReader,
        make_decider: Callable[[int], Decider],
        codec: RowCodec,
        sender: Sender,
        read_decisions: ReadDecisions,
        clock: Clock,
        pause: PauseDetector,
        faults: Faults | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._topics, self._reader, self._make_decider, self._codec = topics, reader, make_decider, codec
        self._sender, self._read_decisions, self._clock, self._pause = sender, read_decisions, clock, pause
        self._faults, self._limits = faults or Faults(), limits or Limits()
        self.live: dict[int, Live] = {}
        self.counters = Counters()
        self._visible = asyncio.Condition()
        self._passed: dict[int, dict[int, int]] = {}  # by partition: offsets without a command, from -> to; kept in memory only
        self.hidden: dict[int, int] = {}  # by partition: records that an open transaction hides
        self._loop: asyncio.AbstractEventLoop | None = None
        # Held by a batch or a take-over while state and log differ. A reader of more than single rows takes it between batches.
        self._busy = asyncio.Lock()

    # ------------------------------------------------------------------------------------------------------------ state

    def next_offset(self, partition: int) -> int:
        """Return the offset after the last durable command: where the source partition starts, and what is committed as a metric."""
        live = self.live.get(partition)
        return 0 if live is None else live.durable.marker.decided + 1

    def position(self, partition: int) -> int:
        """Return the reading position of this worker in the command topic: after the durable commands and the offsets without a command
        behind them."""
        return self._next_command(partition, self.next_offset(partition))

    def passed_over(self, partition: int, begin: int, end: int) -> None:
        """Note that there is no command from `begin` up to `end`. The client's thread calls this."""
        durable = self.next_offset(partition)
        kept = {first: last for first, last in self._passed.get(partition, {}).items() if last > durable}
        self._passed[partition] = kept | {begin: end}
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake)

    def _next_command(self, partition: int, offset: int) -> int:
        passed = self._passed.get(partition, {})
        while (end := passed.get(offset)) is not None:
            offset = end
        return offset

    def _wake(self) -> None:
        """Wake the callers that wait for a position."""
        self._waking = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._visible:
            self._visible.notify_all()

    @asynccontextmanager
    async def between_batches(self) -> AsyncIterator[None]:
        """Inside, the deciders' state is the durable state: nothing is decided and not yet acknowledged. Leave it quickly."""
        async with self._busy:
            yield

    async def wait_for(self, partition: int, offset: int) -> None:
        """Wait until the command at this position is decided and durable. The caller sets the timeout."""
        async with self._visible:
            await self._visible.wait_for(lambda: self.position(partition) > offset)

    def release(self) -> None:
        """Forget the partitions when they are revoked: a read then gets nothing instead of old data."""
        self.live, self._passed, self.hidden = {}, {}, {}

    async def take_over(self, partitions: Mapping[int, Partition]) -> None:
        """Take over after a restore: repair what a foreign worker overwrote, complete a command that was written in part, and derive the
        rest of the state."""
        self._loop = asyncio.get_running_loop()
        async with self._busy:
            live = {}
            for number, partition in sorted(partitions.items()):
                live[number] = await self._take_over(number, partition)
            self.live = live
        await self._notify()

    async def _take_over(self, number: int, partition: Partition) -> Live:
        if partition.foreign:
            await self._repair(number, partition)
        decider = self._make_decider(number)
        decider.load(partition.rows)
        marker = partition.marker
        if not decider.knows(marker.rules):
            fail_stop(Exit.RULES, "the state was decided by rules that this release does not know", partition=number, rules=marker.rules)
        if not marker.finished:
            await self._complete(number, partition, decider)
            marker = partition.marker
            decider = self._make_decider(number)
            decider.load(partition.rows)
        return Live(number, decider, partition, marker.decided, marker.clock_ms, marker.rules)

    async def _repair(self, number: int, partition: Partition) -> None:
        """Write these keys again before the log cleaner makes wrong records permanent: their last record is an older one, or one that no
        worker wrote."""
        keys = sorted(partition.foreign - {frames.marker_key(number)})
        _log.warning("repairing", alert=True, partition=number, keys=len(keys), first=[repr(key[:100]) for key in keys[:5]])
        rows: frames.Encoded = []
        for key in keys:
            row = partition.rows.get(name := key.decode(errors="replace"))
            rows.append((key, None if row is None else self._codec.encode(name, row)))
        for part in frames.parts(rows, rows_max=self._limits.rows_max, bytes_max=self._limits.bytes_max):
            await self._send_frame(number, partition, part, partition.marker)
        partition.foreign = set()

    async def _complete(self, number: int, partition: Partition, decider: Decider) -> None:
        """Complete a command whose worker ended between two parts, from its decisions, before anything else is decided."""
        marker = partition.marker
        _log.warning("completing", partition=number, offset=marker.offset, part=marker.part, parts=marker.parts)
        rows = decider.complete(await self._read_decisions(number, marker.begin, marker.offset, marker.events))
        in_order = frames.encode_rows(removals_last(rows), self._codec)
        encoded = list(frames.parts(in_order, rows_max=self._limits.rows_max, bytes_max=self._limits.bytes_max))
        last = marker.part + len(encoded)
        for place, part in enumerate(encoded, start=marker.part + 1):
            written = Marker(marker.offset, marker.clock_ms, marker.rules, place, last, marker.begin, marker.events)
            await self._send_frame(number, partition, part, written)
            self._faults.at(Place.BETWEEN_PARTS)
            partition.marker = written
        partition.written(rows, partition.marker, partition.end)

    # ---------------------------------------------------------------------------------------------------------- batches

    async def on_records(self, chunks: Sequence[tuple[int, Sequence[Any]]]) -> None:
        """Decide records of owned partitions, in order. It is shielded: a cancelled caller must not leave memory ahead of the log."""
        await asyncio.shield(asyncio.ensure_future(self._guarded(chunks)))

    async def _guarded(self, chunks: Sequence[tuple[int, Sequence[Any]]]) -> None:
        try:
            async with self._busy:
                await self._rounds([(number, records, 0) for number, records in chunks if records])
        except InvariantViolation as error:
            fail_stop(Exit.INVARIANT, "an invariant of the domain is violated", error=str(error))
        except BaseException as error:
            _log.error("batch_failed", exc_info=True)
            fail_stop(Exit.DECISION, "a batch could not be decided or written", error=repr(error))

    async def _rounds(self, left: list[Chunk]) -> None:
        """Decide the next round in memory while one round is written. Nothing of it is sent before the previous round is acknowledged as
        a whole, so the logs are the same as without this, and a crash loses one more round that nobody has seen."""
        writing: asyncio.Future[None] | None = None
        try:
            while left:
                batches, left = await self._decide_round(left)
                if writing is not None:
                    await writing
                writing = asyncio.ensure_future(self._write(batches)) if batches else None
            if writing is not None:
                await writing
        finally:
            if writing is not None and not writing.done():
                writing.cancel()

    async def _decide_round(self, left: Sequence[Chunk]) -> tuple[list[Batch], list[Chunk]]:
        """Decide as much as makes a round, and return what is left of each chunk."""
        batches, rest = [], []
        share = max(1, self._limits.commands_max // len(left))
        for number, records, start in left:
            live = self.live.get(number)
            if live is None:
                raise RuntimeError(f"partition {number} is not ours")
            batch = Batch(live)
            end = await self._decide(batch, records, start, min(len(records), start + share))
            for reason, offsets in batch.rejected.items():  # one line each would cost more than the decisions
                places = {"partition": number, "offset": offsets[0], "last_offset": offsets[-1], "commands": len(offsets)}
                _log.warning("command_rejected", alert=True, **places, reason=reason)
            if batch.steps:
                batches.append(batch)
            if end < len(records):
                rest.append((number, records, end))
        return batches, rest

    async def _decide(self, batch: Batch, records: Sequence[Any], start: int, end: int) -> int:
        """Decide records from `start` up to `end`, or until a frame is full. Returns where it stopped."""
        live, rows = batch.live, 0
        latest_ms = int(self._clock.now().timestamp() * 1000) + AHEAD_MS_MAX
        for index in range(start, end):
            record = records[index]
            offset = record.offset
            if offset <= live.decided:
                self.counters.duplicates += 1
                continue
            if offset != live.decided + 1 or record.timestamp > latest_ms:
                self._check_next(live, record, latest_ms)
            step = self._decide_one(batch, record)
            batch.steps.append(step)
            live.decided = offset
            rows += len(step.rows)
            if rows >= self._limits.rows_max:
                return index + 1
            if index % YIELD_EVERY == 0:
                await asyncio.sleep(0)  # acknowledgements of the previous round, probes, access checks
        return end

    def _check_next(self, live: Live, record: Any, latest_ms: int) -> None:
        if record.offset != self._next_command(live.number, live.decided + 1):
            # Markers and aborted records of transactions are known, so a record was lost on the way.
            why = "the next command is not the one after the last decided"
            fail_stop(Exit.GAP, why, partition=live.number, offset=record.offset, decided=live.decided)
        if record.timestamp > latest_ms:
            why = "the broker's time is more than 10 minutes ahead of this machine's"
            fail_stop(Exit.CLOCK, why, partition=live.number, offset=record.offset, record_ms=record.timestamp)

    def _decide_one(self, batch: Batch, record: Any) -> Step:
        live, offset, counters = batch.live, record.offset, self.counters
        clock_ms = previous_ms = live.clock_ms
        if record.timestamp > clock_ms:
            clock_ms = live.clock_ms = record.timestamp
        command = self._reader.read(record)
        at = _new(At, (live.number, offset, clock_ms, previous_ms, live.rules))
        if isinstance(command, Rejected):
            batch.rejected.setdefault(str(command.reason), []).append(offset)
            counters.rejected += 1
            decided = live.decider.reject(command, at)
        elif type(command.payload) is seats_v1.RulesActivated:
            self._activate(live, command.payload.rules, offset)
            decided = Decided()
        else:
            decided = live.decider.decide(command, at)
        decided, made = events.published(live.decider, command, decided, at)
        counters.commands += 1
        count = len(made)
        counters.decisions += count
        step = _new(Step, (offset, clock_ms, live.rules, decided.rows, batch.decisions, count))
        pack_into(batch.packed, made, bytes_max=events.EVENT_BYTES_MAX)
        batch.decisions += count
        return step

    def _activate(self, live: Live, rules: int, offset: int) -> None:
        if not live.decider.knows(rules):
            fail_stop(Exit.RULES, "rules that this release does not know were activated", partition=live.number, offset=offset, rules=rules)
        _log.info("rules_activated", partition=live.number, offset=offset, rules=rules)
        live.rules = rules

    # ---------------------------------------------------------------------------------------------------------- writing

    async def _write(self, batches: Sequence[Batch]) -> None:
        self._pause.check()
        await asyncio.gather(*[self._send_decisions(batch) for batch in batches if batch.decisions])
        self._faults.at(Place.AFTER_DECISIONS)
        await asyncio.gather(*[self._write_frames(batch) for batch in batches])
        self.counters.batches += 1
        await self._notify()

    async def _send_decisions(self, batch: Batch) -> None:
        batch.bases = await self._sender.send(self._topics.events, batch.live.number, batch.packed)

    async def _write_frames(self, batch: Batch) -> None:
        number, durable = batch.live.number, batch.live.durable
        for steps, rows, encoded in self._cut(batch.steps):
            last = steps[-1]
            pieces = list(frames.parts(encoded, rows_max=self._rows_max(steps), bytes_max=self._limits.bytes_max))
            begin = batch.begin_of(last) if len(pieces) > 1 else 0
            for place, piece in enumerate(pieces, start=1):
                marker = Marker(last.offset, last.clock_ms, last.rules, place, len(pieces), begin, last.events)
                await self._send_frame(number, durable, piece, marker)
                if not marker.finished:
                    self._faults.at(Place.BETWEEN_PARTS)
            self._faults.at(Place.AFTER_FRAME)
            durable.written(rows, marker, durable.end)

    def _rows_max(self, steps: Sequence[Step]) -> int:
        """Return the maximum number of rows. Only a single command is cut into parts; several together fit by bytes, and by rows except
        for the last of them."""
        return self._limits.rows_max if len(steps) == 1 else sum(len(step.rows) for step in steps)

    def _cut(self, steps: Sequence[Step]) -> list[tuple[Sequence[Step], dict[str, Row | None], frames.Encoded]]:
        """Return the commands of a batch in as few frames as possible, cut between commands."""
        rows: dict[str, Row | None] = {}
        for step in steps:
            rows.update(step.rows)
        if len(rows) > self._limits.rows_max:
            rows = removals_last(rows)
        encoded = frames.encode_rows(rows, self._codec)
        fits = len(rows) <= self._limits.rows_max and frames.encoded_bytes(encoded) <= self._limits.bytes_max
        if fits or len(steps) == 1:
            return [(steps, rows, encoded)]
        middle = len(steps) // 2
        return self._cut(steps[:middle]) + self._cut(steps[middle:])

    async def _send_frame(self, number: int, partition: Partition, rows: frames.Encoded, marker: Marker) -> None:
        self._pause.check()
        bytes_max = self._limits.bytes_max + frames.RECORD_OVERHEAD_BYTES * 4
        packed = pack(frames.frame(number, rows, marker), bytes_max=bytes_max, atomic=True)
        sending = asyncio.ensure_future(self._sender.send(self._topics.changelog, number, packed))
        if self._faults.drawn(Place.IN_FRAME):
            await asyncio.sleep(0)  # the frame leaves this process, or does not
            fail_stop(Exit.FAULT, "forced by the chaos run", place=str(Place.IN_FRAME))
        ((base, count),) = await sending
        if base != partition.end:
            # No check before the send can close this race: this worker stood still, and the new owner wrote meanwhile.
            why = "another worker wrote to a changelog partition that is ours"
            fail_stop(Exit.FOREIGN_WRITE, why, partition=number, base=base, expected=partition.end)
        partition.end = base + count
        self.counters.frames += 1


def removals_last(rows: Mapping[str, Row | None]) -> dict[str, Row | None]:
    """Put removals last, so that a state with only the first parts of a command can be loaded: no row in it refers to a removed one."""
    kept: dict[str, Row | None] = {key: row for key, row in rows.items() if row is not None}
    return kept | {key: None for key, row in rows.items() if row is None}
