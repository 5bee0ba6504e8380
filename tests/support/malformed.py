"""Records that no reader of a topic can use: a golden sample with one thing wrong, in any codec, in record batches of their own."""

import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import orjson
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c

from shared.record_batches import BATCH_BYTES_MAX
from shared.schemas.registry import REGISTRY
from shared.schemas.topics import Topic
from tests.support import samples

Headers = list[tuple[str, bytes | None]]
Parts = tuple[bytes | None, bytes | None, Headers]  # key, value, headers
CODECS = (0, 0, 0, 1, 2, 3, 4)
NO_NAME = b"no-name"

ATTRIBUTES = ("ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_tenantid")
TIMES = (
    b"0001-01-01T00:00:00+01:00", b"9999-12-31T23:59:59-23:59", b"0000-00-00T00:00:00Z", b"10000-01-01T00:00:00Z", b"2026-03-01T12:00:00",
    b"2026-03-01T12:00:00+99:99", b"noon", b"", b"\xff", "２０２６-03-01T12:00:00Z".encode(), b"2026-03-01T12:00:00.0Z" * 20,
)  # fmt: skip
VALUES: tuple[bytes | None, ...] = (
    None, b"", b"null", b"[]", b"0", b'"text"', b"{", b"{}", b"\xff\xfe", b"\0", b"[" * 50_000, b'{"a":' * 50_000, b"9" * 10_000,
    b'{"user":"\\ud800"}', b'{"user":"\\u0000"}', b'{"revision":1e999}', b'{"modules":[' + b"1," * 50_000 + b"1]}", b"x" * 900_000,
)  # fmt: skip
KEYS = (b"", b"\xff", b"nobody", b"vendor", b"a|b", b"\0", b"k" * 50_000)
ODD: tuple[Any, ...] = (None, [], {}, -1, 2**63 - 1, 1e300, "", "\0", "x" * 10_000, "9999-12-31", "0001-01-01T00:00:00+01:00")


class Flood:
    """Malformed records of one topic, the same ones for the same seed."""

    def __init__(self, topic: Topic, seed: int) -> None:
        self._chance = random.Random(f"{topic.name} {seed}")
        self._samples = [sample for name, sample in samples.committed().items() if REGISTRY[samples.type_of(name)].topic == topic]
        self._kinds: tuple[Callable[[Parts], Parts], ...] = (
            self._time,
            self._attribute,
            self._doubled,
            self._value,
            self._field,
            self._key,
        )

    def batches(self, count: int) -> Iterator[tuple[BatchBuilder, bool]]:
        """Yield so many records, and of each batch whether a reader can take it apart.

        One batch in a hundred holds more than a reader unpacks, one a header without a readable name.
        """
        while count > 0:
            size = min(count, self._chance.choice((1, 1, 1, 3)))
            draw = self._chance.random()
            builder = Unnamed(1 << 20, 0) if draw < 0.01 else BatchBuilder(1 << 30, self._chance.choice(CODECS) if draw < 0.99 else 4)
            for _ in range(size):
                key, value, headers = self._chance.choice(self._kinds)(self._sample())
                if draw < 0.01:
                    headers.append((NO_NAME.decode(), b""))
                elif draw >= 0.99:
                    value = bytes(BATCH_BYTES_MAX)
                builder.append(timestamp=self._chance.choice((None, 0)), key=key, value=value, headers=headers)
            count -= size
            yield builder, 0.01 <= draw < 0.99

    def _sample(self) -> Parts:
        sample = self._chance.choice(self._samples)
        headers = {name: value.encode() for name, value in sample["headers"].items()} | {"ce_id": b"%030x" % self._chance.getrandbits(120)}
        return headers["ce_tenantid"], orjson.dumps(sample["body"]), list(headers.items())

    def _time(self, parts: Parts) -> Parts:
        return parts[0], parts[1], _changed(parts[2], "ce_time", self._chance.choice(TIMES))

    def _attribute(self, parts: Parts) -> Parts:
        value = self._chance.choice((None, b"", b"\xff", b"\0", b"x" * 100_000))
        return parts[0], parts[1], _changed(parts[2], self._chance.choice(ATTRIBUTES), value)

    def _doubled(self, parts: Parts) -> Parts:
        name = self._chance.choice(ATTRIBUTES)
        return parts[0], parts[1], [*parts[2], (name, self._chance.choice((b"other", b"1.0", dict(parts[2])[name])))]

    def _value(self, parts: Parts) -> Parts:
        return parts[0], self._chance.choice(VALUES), parts[2]

    def _field(self, parts: Parts) -> Parts:
        body = orjson.loads(parts[1] or b"{}")
        name = self._chance.choice([*body, "module"])
        return parts[0], orjson.dumps(body | {name: self._chance.choice(ODD)}), parts[2]

    def _key(self, parts: Parts) -> Parts:
        return self._chance.choice((*KEYS, None)), parts[1], parts[2]


def _changed(headers: Headers, name: str, value: bytes | None) -> Headers:
    return [header for header in headers if header[0] != name] + [(name, value)]


class Unnamed(BatchBuilder):  # type: ignore[misc]  # aiokafka is untyped
    """A batch with a header whose name is no UTF-8. No builder of a client writes one."""

    _buffer: bytearray | None

    def _build(self) -> bytearray:
        if self._buffer is None:
            whole = bytearray(super()._build().replace(NO_NAME, b"\xff" * len(NO_NAME)))
            whole[17:21] = struct.pack(">I", calc_crc32c(bytes(whole[21:])))
            self._buffer = whole
        return bytearray(self._buffer)


def foreign_rows(seed: int, partition: int, count: int) -> Iterator[tuple[bytes, bytes | None, Headers]]:
    """Records for the changelog that no worker wrote."""
    chance = random.Random(f"changelog {seed}")
    keys = (b"acme|u1", b"acme|#pool|base", b"\xff", b"nobody|u1", b"#w|%d" % partition, b"#w|99", b"k" * 5_000)
    versions: tuple[Headers, ...] = (
        [], [("o", None)], [("o", b"")], [("o", b"x")], [("o", b"-5")], [("o", b"0")], [("o", b"9" * 18)], [("o", b"9" * 5_000)],
        [("o", b"0"), ("o", b"0")], [("p", b"0")],
    )  # fmt: skip
    values = (None, b"", b"{", b"[]", b"\xff", b'{"o":0}', b"x" * 100_000)
    for _ in range(count):
        yield chance.choice(keys), chance.choice(values), chance.choice(versions)
