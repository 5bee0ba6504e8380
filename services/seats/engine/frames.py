"""Frames: how the state of a command partition is written to its changelog partition.

A frame is one Kafka record batch, which the broker appends completely or not at all: the rows of one or more whole commands, then the
marker `#w|<partition>`. Every record of a frame has the offset of the last of those commands in its header `o`. Therefore

    * of two records of a key the one with the greater `o` is the newer one, independent of their order in the log (a worker that was
      thought dead may write late), and
    * the greatest `o` of the log is exactly what was decided.

The marker says how many rows its frame has. So no worker wrote what is between two frames, and `Merge` can tell it from a row where
compaction has not been yet.

A command whose rows do not fit one frame is written as consecutive frames with the same `o`. The marker says which part of how many it
is, and where in the events topic the command's decisions are. A crash between two parts is completed from them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import orjson

from services.seats.engine.producer import Record

Row = Any  # a row of the domain: immutable, shared between its state and the store
Rows = Mapping[str, Row | None]  # None: the row is removed

FRAME_ROWS_MAX = 10_000
# Maximum of a record batch: the changelog takes 8 MiB (`topics.SEATS_CHANGELOG`).
FRAME_BYTES_MAX = 7 * 1024 * 1024
RECORD_OVERHEAD_BYTES = 40  # what Kafka adds to a record, at most
MARKER_PREFIX = "#w|"
KEY_BYTES_MAX = 1_000  # many times the longest key of a row; a longer one stays in the log, and every reader skips it
VERSION_DIGITS_MAX = 19


class RowCodec(Protocol):
    """The encoding of the domain's rows in the changelog. Equal rows give equal bytes."""

    def encode(self, key: str, row: Row) -> bytes: ...

    def decode(self, key: str, value: bytes) -> Row: ...


@dataclass(frozen=True, slots=True)
class Marker:
    """The last record of every frame."""

    offset: int  # of the last command in the frame
    clock_ms: int  # the partition's clock after it
    rules: int
    part: int = 1
    parts: int = 1
    begin: int = 0  # for a command in parts: offset of its first decision in the events topic
    events: int = 0  # and the number of its decisions
    rows: int = field(default=0, compare=False)  # of its frame

    @property
    def finished(self) -> bool:
        return self.part == self.parts

    @property
    def decided(self) -> int:
        """Return W: the offset of the last command whose rows are all there."""
        return self.offset if self.finished else self.offset - 1

    @property
    def rank(self) -> tuple[int, bool, int]:
        """Return the sort key of markers: the greater one is newer. The parts of one command follow one another, also when another
        worker continues."""
        return (self.offset, self.finished, self.part)

    def encode(self) -> bytes:
        row = {"o": self.offset, "t": self.clock_ms, "r": self.rules, "n": self.rows}
        if self.parts > 1:
            row |= {"p": self.part, "m": self.parts, "b": self.begin, "e": self.events}
        return orjson.dumps(row)

    @classmethod
    def decode(cls, value: bytes) -> "Marker":
        """Read a marker. Raises ValueError for a value that no worker wrote."""
        row = orjson.loads(value)
        if not isinstance(row, dict) or not {"o", "t", "r", "n"} <= row.keys():
            raise ValueError("no marker")
        numbers = [row["o"], row["t"], row["r"], row.get("p", 1), row.get("m", 1), row.get("b", 0), row.get("e", 0), row["n"]]
        if not all(type(number) is int for number in numbers):
            raise ValueError("no marker")
        return cls(*numbers)


NOTHING = Marker(offset=-1, clock_ms=0, rules=1)

Encoded = list[tuple[bytes, bytes | None]]


def marker_key(partition: int) -> bytes:
    return f"{MARKER_PREFIX}{partition}".encode()


def encode_rows(rows: Rows, codec: RowCodec) -> Encoded:
    return [(key.encode(), None if row is None else codec.encode(key, row)) for key, row in rows.items()]


def encoded_bytes(rows: Encoded) -> int:
    """Return the maximum size of the frame with these rows."""
    return sum(len(key) + len(value or b"") for key, value in rows) + RECORD_OVERHEAD_BYTES * (len(rows) + 1)


def frame(partition: int, rows: Encoded, marker: Marker) -> list[Record]:
    """Return the records of one frame, marker last. The broker's timestamp has no meaning here: `o` orders them."""
    headers = [("o", b"%d" % marker.offset)]
    records: list[Record] = [(key, value, headers, None) for key, value in rows]
    records.append((marker_key(partition), replace(marker, rows=len(rows)).encode(), headers, None))
    return records


def parts(rows: Encoded, *, rows_max: int, bytes_max: int) -> Iterator[Encoded]:
    """Yield the rows of one command in parts that each fit a frame, in their order; one part if there are none."""
    part: Encoded = []
    size = 0
    for key, value in rows:
        row_bytes = len(key) + len(value or b"") + RECORD_OVERHEAD_BYTES
        if part and (len(part) >= rows_max or size + row_bytes + RECORD_OVERHEAD_BYTES > bytes_max):
            yield part
            part, size = [], 0
        part.append((key, value))
        size += row_bytes
    yield part


def version_of(headers: Sequence[tuple[str, bytes | None]]) -> int | None:
    """Return `o`, or None for a record that no worker wrote."""
    if len(headers) != 1:
        return None
    name, value = headers[0]
    if name != "o" or value is None or len(value) > VERSION_DIGITS_MAX:
        return None
    try:
        version = int(value)
    except ValueError:
        return None
    return version if b"%d" % version == value else None


def _is_row_key(key: bytes) -> bool:
    return key.isascii() and not key.startswith(MARKER_PREFIX.encode())


class ForeignWrite(Exception):
    """A record that no worker wrote, or that comes after a newer one. The reader starts again and keeps the `o` of every key."""


class MarkerLost(Exception):
    """Rows without the marker that was written with them: a foreign write was compacted before a repair."""


class Merge:
    """Merge changelog records of one partition into its state.

    A log that one worker at a time wrote consists of frames with `o` in order, so the last record of a key wins and nothing has to be
    remembered. Anything else raises ForeignWrite. `thorough` remembers `o` for every key: of the workers' records the greatest `o` wins,
    records that no worker wrote are skipped, and `foreign` has the keys whose last record is a wrong one. They must be written again
    before the log cleaner makes the wrong record permanent.

    Records are collected up to a marker, whose frame consists of the last ones before it. Compaction takes rows and markers out of
    frames and leaves gaps in the offsets: after a gap, records are taken as they come, up to the next marker.
    """

    __slots__ = ("_codec", "_gathered", "_marker_key", "_next", "_whole", "foreign", "marker", "rows", "top", "versions")

    def __init__(self, codec: RowCodec, partition: int, *, thorough: bool = False) -> None:
        self._codec, self._marker_key = codec, marker_key(partition)
        self.rows: dict[str, Row] = {}
        self.marker = NOTHING
        self.top = -1  # the greatest `o` so far
        self.versions: dict[bytes, int] | None = {} if thorough else None
        self.foreign: set[bytes] = set()
        self._next = 0
        self._whole = True  # no gap since the last marker, so that a frame's rows are all there
        self._gathered: list[tuple[bytes | None, bytes | None, int | None]] = []

    def feed(self, offset: int, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> None:
        """Take one record. Raises ForeignWrite (unless thorough), and ValueError for a worker's row that this release cannot read."""
        if offset != self._next and self._whole:
            self._whole = False
            self._take_gathered()
        self._next = offset + 1
        version = version_of(headers)
        if key == self._marker_key:
            self._mark(value, version)
        elif self._whole:
            self._gathered.append((key, value, version))
        else:
            self._take(key, value, version)

    def _mark(self, value: bytes | None, version: int | None) -> None:
        try:
            marker = Marker.decode(value or b"")
        except ValueError:
            marker = None
        gathered = self._gathered
        if marker is None or marker.offset != version or (self._whole and not self._ends_a_frame(marker)):
            self._pass_over(self._marker_key)
            return
        if self._whole:
            begin = len(gathered) - marker.rows
            for key, _, _ in gathered[:begin]:
                self._pass_over(key)
            self._gathered = gathered[begin:]
            self._take_gathered()
        self._whole = True
        if marker.rank >= self.marker.rank:
            self.marker = marker
            self.foreign.discard(self._marker_key)
        else:
            self._pass_over(self._marker_key)

    def _ends_a_frame(self, marker: Marker) -> bool:
        frame = self._gathered[len(self._gathered) - marker.rows :] if marker.rows else []
        return len(frame) == marker.rows and all(version == marker.offset for _, _, version in frame)

    def _take_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        for key, value, version in gathered:
            self._take(key, value, version)

    def _take(self, key: bytes | None, value: bytes | None, version: int | None) -> None:
        if key is None or version is None or len(key) > KEY_BYTES_MAX or (value is not None and not _is_row_key(key)):
            self._pass_over(key)
            return
        if version >= self.top:
            self.top = version
        elif self.versions is None:
            raise ForeignWrite(repr(key))
        if self.versions is not None:
            if version < self.versions.get(key, -1):
                self.foreign.add(key)
                return
            self.versions[key] = version
            self.foreign.discard(key)
        name = key.decode(errors="replace")
        if value is None:
            self.rows.pop(name, None)
        else:
            self.rows[name] = self._codec.decode(name, value)

    def _pass_over(self, key: bytes | None) -> None:
        if self.versions is None:
            raise ForeignWrite(repr(key))
        if key is not None and len(key) <= KEY_BYTES_MAX:
            self.foreign.add(key)

    def check(self) -> None:
        """Check the end of the log. Raises ForeignWrite (unless thorough) and MarkerLost."""
        gathered, self._gathered = self._gathered, []
        for key, _, _ in gathered:
            self._pass_over(key)
        if self.top > self.marker.offset:
            raise MarkerLost(f"rows of command {self.top}, but the marker says {self.marker.offset}")
