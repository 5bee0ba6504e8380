"""Replay: the state of any tenant at any position, from the topics alone, and the proof that the live table equals it.

`replay` evolves over the recorded decisions. `verify` does so for every tenant, decides every command again if its rules are in this
release, and compares both with the live table, row by row in the canonical form.
"""

import hashlib
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from services.seats import domain
from services.seats.decider import DomainDecider, RowCodec, as_event
from services.seats.engine import events
from services.seats.engine.commands import CommandReader, Rejected, partition_of_tenant
from services.seats.engine.decider import At, Decided, Published
from services.seats.engine.engine import removals_last
from services.seats.engine.frames import ForeignWrite, Marker, Merge, Row
from services.seats.engine.producer import Record
from services.seats.replay.in_turn import Found, in_turn
from services.seats.replay.log_reader import LogOrder, LogReader
from shared.errors import SeatpoolError
from shared.schemas import seats_v1, topics
from shared.schemas.envelope import Envelope
from shared.schemas.position import DecisionId, Position
from shared.settings import KafkaSettings

DIFFERENCES_SHOWN_MAX = 20
SEEN_MAX = 500_000  # decisions; about 100 MB
Canonical = dict[str, bytes]  # row key -> the row's canonical form


class Decisions:
    """Decide the commands of one partition, in order, as a worker would, but without a worker, frames or crashes."""

    def __init__(self, partition: int, partitions: int) -> None:
        self.partition = partition
        self._reader, self._decider = CommandReader(partitions), DomainDecider(partition)
        self.clock_ms, self.rules, self.decided = 0, 1, -1
        self.rows: dict[str, Row] = {}
        self.last_changed: Mapping[str, Row | None] = {}  # by the last command

    def take_over(self, rows: Mapping[str, Row], before: "Decisions") -> None:
        """Continue from these rows, at the position of another one, as a new owner of the partition does."""
        self.rows = dict(rows)
        self._decider.load(self.rows)
        self.clock_ms, self.rules, self.decided = before.clock_ms, before.rules, before.decided

    def complete(self, events: Sequence[Published]) -> dict[str, Row | None]:
        """Return the rows that a crash left unwritten, as `Decider.complete` does."""
        return self._decider.complete(events)

    def feed(self, record: Any) -> list[Record] | None:
        """Return the decisions about one record, or None if this release does not contain its rules."""
        previous, self.clock_ms = self.clock_ms, max(self.clock_ms, record.timestamp)
        if not self._decider.knows(self.rules):
            return None
        command = self._reader.read(record)
        at = At(self.partition, record.offset, self.clock_ms, previous, self.rules)
        if isinstance(command, Rejected):
            decided = self._decider.reject(command, at)
        elif isinstance(command.payload, seats_v1.RulesActivated):
            self.rules, decided = command.payload.rules, Decided()
        else:
            decided = self._decider.decide(command, at)
        decided, made = events.published(self._decider, command, decided, at)
        self.decided, self.last_changed = record.offset, removals_last(decided.rows)
        for key, row in decided.rows.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        return made


class Unfit(SeatpoolError):
    """A decision is readable and does not follow from those before it: seats never made it, or others are missing."""


@dataclass(slots=True)
class Evolution:
    """State from recorded decisions alone. Repeated decisions change nothing."""

    tenants: dict[str, domain.Tenant] = field(default_factory=dict)
    newest: tuple[int, int] = (-1, -1)

    def feed(self, envelope: Envelope, body: dict[str, Any]) -> bool:
        """Apply a decision. Return False if it was seen before. Raises Unfit."""
        order = DecisionId.parse(envelope.id).order
        if order <= self.newest:
            return False
        self.newest = order
        if envelope.tenant is not None:
            try:
                domain.evolve(self.tenants, envelope.tenant, as_event(envelope.type, body, envelope.id))
            except Exception as error:  # a decision can raise anything
                raise Unfit(f"{envelope.id}: {error!r}") from error
        return True

    def rows(self) -> dict[str, Row]:
        return {key: row for tenant in self.tenants.values() for key, row in tenant.rows()}


def canonical(rows: Mapping[str, Row]) -> Canonical:
    codec = RowCodec()
    return {key: codec.encode(key, row) for key, row in rows.items()}


@dataclass(slots=True)
class Report:
    """Counts of what was compared, and of every difference."""

    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)  # records that no reader believes; they are no difference

    def note_foreign(self, what: str) -> None:
        self.counts["foreign"] += 1
        if len(self.foreign) < DIFFERENCES_SHOWN_MAX:
            self.foreign.append(f"{topics.SEATS_EVENTS.name}/{what}")

    def differ(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        if len(self.differences) < DIFFERENCES_SHOWN_MAX:
            self.differences.append(f"{kind}: {what}")

    def compare(self, kind: str, expected: Canonical, found: Canonical) -> None:
        for key in sorted(expected.keys() | found.keys()):
            if expected.get(key) != found.get(key):
                self.differ(kind, f"{key}: expected {_text(expected.get(key))}, found {_text(found.get(key))}")

    @property
    def clean(self) -> bool:
        return not self.differences

    def as_json(self) -> dict[str, Any]:
        return {
            "verified": self.clean,
            **dict(sorted(self.counts.items())),
            "differences": self.differences,
            "foreign_records": self.foreign,
        }


def _text(value: bytes | None) -> str:
    return "nothing" if value is None else value.decode()[:300]


class Unclear(Exception):
    """The arguments name no tenant, position or instant."""


class Differs(Exception):
    """The live table differs from the topics."""


class Replay:
    """Rebuilds state from the topics, and compares it with the live table."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka, self._log = kafka, LogReader(kafka)
        self._changelog = kafka.topic_name(topics.SEATS_CHANGELOG)

    async def table(self, partition: int) -> tuple[dict[str, Row], Marker]:
        """Return the live table of one partition from its changelog, up to its last complete command, and its marker."""
        for thorough in (False, True):
            merge = Merge(RowCodec(), partition, thorough=thorough)
            try:
                async for record in self._log.records(self._changelog, partition, 0):
                    merge.feed(record.offset, record.key, record.value, record.headers)
                merge.check()
            except ForeignWrite:
                continue
            return merge.rows, merge.marker
        raise AssertionError("a thorough merge takes any log")

    async def _decisions(self, partition: int, last: int | None, report: Report | None = None) -> AsyncIterator[Found]:
        """Yield the decisions about commands up to `last` that readers believe, and note the other records in the report."""
        end = await self._log.end_of(self._log.commands, partition)

        def foreign(why: str) -> Callable[[Any], None]:
            return lambda record: report.note_foreign(f"{partition}/{record.offset}: {why}") if report is not None else None

        async def of_commands() -> AsyncIterator[Found]:
            nonlocal end
            above_the_end = foreign("it names a command that does not exist")
            async for found in self._log.decisions(partition, 0, foreign("it is no decision of this partition, or disagrees with itself")):
                if found[1][0] >= end:
                    end = await self._log.end_of(self._log.commands, partition)  # workers decide while this reads
                if found[1][0] >= end:
                    above_the_end(found[3])
                elif last is None or found[1][0] <= last:
                    yield Found(*found)

        async for found in in_turn(of_commands(), foreign("it came before the decisions about earlier commands")):
            yield found

    async def state(self, tenant: str, *, until: str | None = None) -> dict[str, Row]:
        """Return a tenant's rows as they were at `until`: a position `<partition>-<offset>`, an instant of the tenant's time, or now."""
        partition = _partition_of(tenant, self._kafka.seats_partitions)
        last, instant = _until(until, partition)
        if last is not None and not [record async for record in self._log.records(self._log.commands, partition, last, last + 1)]:
            raise Unclear(f"{until}: no command has that position yet")
        evolution = Evolution()
        async for envelope, _, body, _ in self._decisions(partition, last):
            if envelope.tenant == tenant and (instant is None or envelope.time <= instant):
                evolution.feed(envelope, body)
        return evolution.rows()

    async def compare(self, tenant: str) -> int:
        """Compare the tenant's rows from the decisions with the live table, and return how many there are. Raises Differs."""
        partition = _partition_of(tenant, self._kafka.seats_partitions)
        table, marker = await self.table(partition)
        if marker.decided < 0:
            return 0
        report = Report()
        live = _of_tenant(canonical(table), tenant)
        until = str(Position(partition=partition, offset=marker.decided))
        report.compare("differs", canonical(await self.state(tenant, until=until)), live)
        if not report.clean:
            raise Differs("\n".join(report.differences))
        return len(live)

    async def verify(self, only: str | None = None) -> Report:
        report = Report()
        wanted = range(self._kafka.seats_partitions) if only is None else [_partition_of(only, self._kafka.seats_partitions)]
        for partition in wanted:
            await self._verify(partition, only, report)
        return report

    async def _verify(self, partition: int, only: str | None, report: Report) -> None:
        table, marker = await self.table(partition)
        if not marker.finished:
            report.differ("unfinished", f"partition {partition}: command {marker.offset} is written in part; ask again")
            return
        evolution, decisions = await self._side_by_side(partition, marker.decided, report)
        live = _of_tenant(canonical(table), only)
        report.counts["rows"] += len(live)
        report.compare("state_differs", live, _of_tenant(canonical(evolution.rows()), only))
        if decisions is not None:
            report.compare("state_differs", live, _of_tenant(canonical(decisions.rows), only))
            if decisions.decided != marker.decided:
                report.differ("state_differs", f"partition {partition}: decided {marker.decided}, the log goes to {decisions.decided}")
        report.counts["tenants"] += len({key.partition("|")[0] for key in live})

    async def _side_by_side(self, partition: int, last: int, report: Report) -> tuple[Evolution, Decisions | None]:
        """Read both logs at once and compare each decision when its command was decided again, because a permanent log does not fit in
        memory. Return None for the decisions if this release does not contain a version of the rules."""
        evolution, seen = Evolution(), _Seen(report)
        async with aclosing(self._log.records(self._log.commands, partition, 0, last + 1)) as commands:
            again = _Again(Decisions(partition, self._kafka.seats_partitions), commands, report)
            async for envelope, order, body, record in self._decisions(partition, last, report):
                report.counts["events"] += 1
                digest = _digest(record.headers, record.value)
                if seen.first(order, digest, envelope.id):
                    await again.until(order[0])
                    again.compare(order, digest, record.value)
                try:
                    evolution.feed(envelope, body)
                except Unfit as error:
                    report.differ("unfit", str(error))
            await again.until(last)
        for offset, n in again.made:
            report.differ("missing", str(DecisionId(partition, offset, n)))
        return evolution, again.decisions if again.shipped else None


@dataclass(slots=True)
class _Seen:
    """Digests of the newest decisions. A decision that is published twice, after a crash or by a worker that was thought dead, is
    repeated soon."""

    report: Report
    digests: OrderedDict[LogOrder, bytes] = field(default_factory=OrderedDict)
    forgotten: LogOrder = (-1, -1)

    def first(self, order: LogOrder, digest: bytes, event_id: str) -> bool:
        """Return False if the decision was published before, and compare the two, unless the first was very long ago (`not_compared`)."""
        if order <= self.forgotten:
            self.report.counts["not_compared"] += 1
            return False
        known = self.digests.setdefault(order, digest)
        if known is not digest:
            if known != digest:
                self.report.differ("conflicting", event_id)
            return False
        if len(self.digests) > SEEN_MAX:
            oldest, _ = self.digests.popitem(last=False)
            self.forgotten = max(self.forgotten, oldest)
        return True


@dataclass(slots=True)
class _Again:
    """Decide the commands again as far as needed. `made` has the decisions that were not found in the log yet."""

    decisions: Decisions
    commands: AsyncIterator[Any]
    report: Report
    shipped: bool = True
    made: dict[LogOrder, tuple[Sequence[tuple[str, bytes]], bytes | None]] = field(default_factory=dict)  # (headers, value)

    async def until(self, offset: int) -> None:
        while self.shipped and self.decisions.decided < offset:
            record = await anext(self.commands, None)
            if record is None:
                return
            self.report.counts["commands"] += 1
            decided = self.decisions.feed(record)
            if decided is None:
                self.report.counts["rules_not_shipped"] += 1
                self.shipped = False
                return
            for _, value, headers, _ in decided:
                self.made[DecisionId.parse(dict(headers)["ce_id"].decode()).order] = (headers, value)

    def compare(self, order: LogOrder, digest: bytes, recorded: bytes | None) -> None:
        where = DecisionId(self.decisions.partition, *order)
        found = self.made.pop(order, None)
        if found is None:
            if self.shipped:
                self.report.differ("unknown", str(where))
        elif digest not in (_digest(*found), _digest(found[0], _as_before(*found, recorded))):
            self.report.differ("differing", f"{where}: decided again it is {_text(found[1])}")


def _digest(headers: Sequence[tuple[str, bytes]], value: bytes | None) -> bytes:
    digest = hashlib.blake2b(value or b"", digest_size=16)
    for name, content in headers:
        digest.update(b"%d:%d:" % (len(name), len(content)) + name.encode() + content)
    return digest.digest()


def _as_before(headers: Sequence[tuple[str, bytes]], value: bytes | None, recorded: bytes | None) -> bytes | None:
    """Return a decision without the information that an earlier release with the same rules did not write."""
    fields = domain.INFORMATION.get(dict(headers)["ce_type"].decode())
    if fields is None or value is None or recorded is None:
        return value
    known = fields - orjson.loads(recorded).keys()
    return orjson.dumps({name: its for name, its in orjson.loads(value).items() if name not in known})


def _of_tenant(rows: Canonical, only: str | None) -> Canonical:
    return rows if only is None else {key: row for key, row in rows.items() if key.startswith(f"{only}|")}


def _partition_of(tenant: str, partitions: int) -> int:
    partition = partition_of_tenant(tenant, partitions)
    if partition is None:
        raise Unclear(f"{tenant!r} is not a tenant id")
    return partition


def _until(text: str | None, partition: int) -> tuple[int | None, datetime | None]:
    """Return (last command offset, instant): one of them, or neither."""
    if text is None:
        return None, None
    with suppress(ValueError):
        position = Position.parse(text)
        if position.partition != partition:
            raise Unclear(f"{text}: this tenant is in partition {partition}")
        return position.offset, None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise Unclear(f"{text} is neither an instant with an offset from UTC nor the position <partition>-<offset> of a command")
    return None, instant
