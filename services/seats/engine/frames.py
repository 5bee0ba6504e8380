"""Frames: how the state of a command partition stands in its changelog partition.

A frame is one Kafka record batch, which the broker appends as a whole or not at all: the rows of one or more whole commands, then the
marker `#w|<partition>`. Every record of a frame carries in its header `o` the offset of the last of those commands, so that

* of two records of a key the one with the greater `o` is the newer, whatever their order in the log (a zombie may write late), and
* the greatest `o` of the log is exactly what was decided.

A command whose rows do not fit one frame is written as consecutive frames with the same `o`; the marker says which part of how many,
and where in the events topic the command's decisions stand, from which the rest is made after a crash between two parts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from services.seats.engine.producer import Record

Row = Any  # of the domain: immutable, shared between its state and the store
Rows = Mapping[str, Row | None]  # None: the row is removed

FRAME_ROWS_MAX = 10_000
# Of a record batch: the changelog takes 8 MiB (`topics.SEATS_CHANGELOG`).
FRAME_BYTES_MAX = 7 * 1024 * 1024
RECORD_OVERHEAD_BYTES = 40  # what Kafka adds to a record, at most
MARKER_PREFIX = "#w|"


class RowCodec(Protocol):
    """How the domain's rows stand in the changelog. Equal rows give equal bytes."""

    def encode(self, key: str, row: Row) -> bytes: ...

    def decode(self, key: str, value: bytes) -> Row: ...


@dataclass(frozen=True, slots=True)
class Marker:
    """Written last in every frame."""

    offset: int  # of the last command in the frame
    clock_ms: int  # the partition's clock after it
    rules: int
    part: int = 1
    parts: int = 1
    begin: int = 0  # of a command in parts: offset of its first decision in the events topic
    events: int = 0  # and how many they are

    @property
    def finished(self) -> bool:
        return self.part == self.parts

    @property
    def decided(self) -> int:
        """W: the offset of the last command whose rows are all there."""
        return self.offset if self.finished else self.offset - 1

    @property
    def rank(self) -> tuple[int, bool, int]:
        """Of two markers the greater is the newer. The parts of one command follow one another, also when another worker goes on."""
        return (self.offset, self.finished, self.part)

    def encode(self) -> bytes:
        row = {"o": self.offset, "t": self.clock_ms, "r": self.rules}
        if self.parts > 1:
            row |= {"p": self.part, "m": self.parts, "b": self.begin, "e": self.events}
        return orjson.dumps(row)

    @classmethod
    def decode(cls, value: bytes) -> "Marker":
        row = orjson.loads(value)
        return cls(row["o"], row["t"], row["r"], row.get("p", 1), row.get("m", 1), row.get("b", 0), row.get("e", 0))


NOTHING = Marker(offset=-1, clock_ms=0, rules=1)

Encoded = list[tuple[bytes, bytes | None]]


def encode_rows(rows: Rows, codec: RowCodec) -> Encoded:
    return [(key.encode(), None if row is None else codec.encode(key, row)) for key, row in rows.items()]


def encoded_bytes(rows: Encoded) -> int:
    """Of the frame that these rows make, at most."""
    return sum(len(key) + len(value or b"") for key, value in rows) + RECORD_OVERHEAD_BYTES * (len(rows) + 1)


def frame(partition: int, rows: Encoded, marker: Marker) -> list[Record]:
    """The records of one frame, marker last. The broker's timestamp says nothing here: `o` orders."""
    headers = [("o", b"%d" % marker.offset)]
    records: list[Record] = [(key, value, headers, None) for key, value in rows]
    records.append((f"{MARKER_PREFIX}{partition}".encode(), marker.encode(), headers, None))
    return records


def parts(rows: Encoded, *, rows_max: int, bytes_max: int) -> Iterator[Encoded]:
    """The rows of one command in parts that fit a frame each, in their order; one part if there are none."""
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


def record_offset(headers: Sequence[tuple[str, bytes]]) -> int:
    """`o`. Raises ValueError for a record that no worker wrote."""
    for name, value in headers:
        if name == "o":
            return int(value)
    raise ValueError("a changelog record without `o`")


class ForeignWrite(Exception):
    """A record stands behind a newer one: another worker wrote late. Whoever reads starts again, keeping the `o` of every key."""


class MarkerLost(Exception):
    """Rows without the marker that was written with them: a foreign write was compacted before anybody repaired it."""


class Merge:
    """Changelog records of one partition -> its state.

    A log that one worker at a time wrote has its `o` in order, so the last record of a key wins and nothing needs to be remembered;
    a record out of order raises ForeignWrite. `thorough` remembers `o` for every key and copes: the greatest wins, and `foreign` names
    the keys whose last record is another one. Those have to be written again before the cleaner makes the wrong one permanent.
    """

    __slots__ = ("_codec", "foreign", "marker", "rows", "top", "versions")

    def __init__(self, codec: RowCodec, *, thorough: bool = False) -> None:
        self._codec = codec
        self.rows: dict[str, Row] = {}
        self.marker = NOTHING
        self.top = -1  # the greatest `o` so far
        self.versions: dict[str, int] | None = {} if thorough else None
        self.foreign: set[str] = set()

    def feed(self, key: bytes, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> None:
        """Raises ForeignWrite (unless thorough), ValueError (a record that no worker wrote)."""
        offset = record_offset(headers)
        name = key.decode()
        if offset >= self.top:
            self.top = offset
        elif self.versions is None:
            raise ForeignWrite(name)
        if name.startswith(MARKER_PREFIX):
            self._mark(name, value)
            return
        if self.versions is not None:
            if offset < self.versions.get(name, -1):
                self.foreign.add(name)
                return
            self.versions[name] = offset
            self.foreign.discard(name)
        if value is None:
            self.rows.pop(name, None)
        else:
            self.rows[name] = self._codec.decode(name, value)

    def _mark(self, name: str, value: bytes | None) -> None:
        if value is None:
            raise ValueError("the marker was removed")
        marker = Marker.decode(value)
        if marker.rank >= self.marker.rank:
            self.marker = marker
            self.foreign.discard(name)
        elif self.versions is None:
            raise ForeignWrite(name)
        else:
            self.foreign.add(name)

    def check(self) -> None:
        """Raises MarkerLost. To be called at the end of the log."""
        if self.top > self.marker.offset:
            raise MarkerLost(f"rows of command {self.top}, but the marker says {self.marker.offset}")
