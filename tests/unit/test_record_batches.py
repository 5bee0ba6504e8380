"""Record batches of any writer: every codec is read and bounded, and an unreadable batch comes as its offsets, for every reader and from
every position."""

import gzip
import hashlib
import inspect
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiokafka.codec
import cramjam
import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record import MemoryRecords
from aiokafka.record._crecords import default_records
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from shared import kafka, record_batches
from shared.errors import Poison
from shared.record_batches import BATCH_BYTES_MAX, POLL_BYTES_MAX, BatchRecords
from shared.schemas.envelope import Envelope
from shared.schemas.topics import TOPICS

TP = TopicPartition("hr.events.v1", 0)
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
CODECS = [GZIP, SNAPPY, LZ4, ZSTD]
TRANSACTIONAL = 0x10
PRODUCER = 77
MIB = 1024 * 1024
REFUSED = (record_batches.Undecodable, cramjam.DecompressionError, zlib.error)


def batch(base: int, *values: bytes, codec: int = 0, transactional: bool = False) -> bytes:
    """One record batch as it lies on the broker, from `base` on."""
    builder = DefaultRecordBatchBuilder(2, codec, transactional, PRODUCER if transactional else -1, 0, 0, 1 << 30)
    for n, value in enumerate(values):
        assert builder.append(n, 1000, None, value, []) is not None
    return struct.pack(">q", base) + bytes(builder.build())[8:]


def with_records(whole: bytes, records: bytes, codec: int, count: int) -> bytes:
    """The batch with other (compressed) records, and the checksum that they need."""
    attributes = codec | (whole[22] & TRANSACTIONAL)
    checked = struct.pack(">hi", attributes, count - 1) + whole[27:57] + struct.pack(">i", count) + records
    return whole[:8] + struct.pack(">i", 9 + len(checked)) + whole[12:17] + struct.pack(">I", calc_crc32c(checked)) + checked


def broken(base: int, count: int, *, codec: int = ZSTD, transactional: bool = False) -> bytes:
    return with_records(batch(base, b"", transactional=transactional), b"no such codec's bytes", codec, count)


def reader(
    *batches: bytes, begin: int = 0, aborted: Sequence[tuple[int, int]] = (), isolation: int = fetcher.READ_COMMITTED
) -> BatchRecords:
    return BatchRecords(TP, MemoryRecords(b"".join(batches)), list(aborted), begin, None, None, True, isolation)


def offsets(records: BatchRecords) -> list[tuple[int, bool]]:
    """(offset, whether it can be read) of each record."""
    return [(record.offset, record.value is not None) for record in records]


COMPRESS = {
    GZIP: lambda data: gzip.compress(data, 1),
    SNAPPY: lambda data: bytes(cramjam.snappy.compress_raw(data)),
    LZ4: lambda data: bytes(cramjam.lz4.compress(data)),
    ZSTD: lambda data: bytes(cramjam.zstd.compress(data)),
}
DECODE = {
    GZIP: record_batches.gzip_decode,
    SNAPPY: record_batches.snappy_decode,
    LZ4: record_batches.lz4_decode,
    ZSTD: record_batches.zstd_decode,
}


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_of_kafka_is_read(codec: int) -> None:
    values = [b"a", b"", b"x" * 300_000]
    assert [record.value for record in reader(batch(5, *values, codec=codec), begin=5)] == values


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_is_decompressed_up_to_the_limit_and_no_further(codec: int) -> None:
    assert len(DECODE[codec](COMPRESS[codec](bytes(BATCH_BYTES_MAX)))) == BATCH_BYTES_MAX
    with pytest.raises(REFUSED):
        DECODE[codec](COMPRESS[codec](bytes(BATCH_BYTES_MAX + 1)))


@pytest.mark.parametrize("codec", CODECS)
def test_a_batch_that_holds_far_too_much_takes_no_memory(codec: int) -> None:
    whole = with_records(batch(7, b""), COMPRESS[codec](bytes(150 * MIB)), codec, 2)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = resident("VmRSS")
    assert offsets(reader(whole, batch(9, b"next"), begin=7)) == [(7, False), (8, False), (9, True)]
    assert resident("VmHWM") - before < 80 * MIB


def resident(name: str) -> int:
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("payload", [b"", b"junk", b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00"])
def test_bytes_that_no_codec_wrote_are_refused(codec: int, payload: bytes) -> None:
    with pytest.raises(REFUSED):
        DECODE[codec](payload)


def test_more_than_one_gzip_member_is_refused() -> None:
    with pytest.raises(record_batches.Undecodable):
        record_batches.gzip_decode(gzip.compress(b"a") * 2)


@pytest.mark.parametrize("begin", range(7))
def test_the_same_offsets_are_unreadable_wherever_the_reading_begins(begin: int) -> None:
    whole = [batch(0, b"0", b"1"), broken(2, 3), batch(5, b"5"), broken(6, 1)]
    expected = [(offset, offset in (0, 1, 5)) for offset in range(7)]
    assert offsets(reader(*whole, begin=begin))[-(7 - begin) :] == expected[begin:]


def test_a_header_whose_name_is_not_utf_8_spoils_its_batch_from_there_on() -> None:
    record = b"\x00\x00%c\x01\x02a\x02\x02%c\x02v"  # attributes, time, offset, key, value, one header
    good, bad = record % (0, b"h"[0]), record % (2, 0xFF)
    packed = b"".join(bytes([2 * len(one)]) + one for one in (good, bad, record % (4, b"h"[0])))
    assert offsets(reader(with_records(batch(0, b""), packed, 0, 3), batch(3, b"next"))) == [(0, True), (1, False), (2, False), (3, True)]


def test_a_wrong_checksum_is_an_error_and_no_dead_letter() -> None:
    damaged = bytearray(batch(0, b"value"))
    damaged[-2] ^= 1
    with pytest.raises(CorruptRecordException):
        offsets(reader(bytes(damaged)))


def test_nothing_of_an_aborted_transaction_is_unpacked() -> None:
    aborted = broken(0, 2, transactional=True)
    records = reader(aborted, batch(2, b"next"), aborted=[(PRODUCER, 0)])
    assert offsets(records) == [(2, True)]


def test_a_long_unreadable_batch_is_delivered_in_several_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_batches, "UNREADABLE_MAX", 2)
    whole, found, begin = (broken(0, 5), batch(5, b"5")), [], 0
    for _ in range(3):
        records = reader(*whole, begin=begin)
        found += offsets(records)
        begin = records.next_fetch_offset
    assert found == [(offset, offset == 5) for offset in range(6)]


def test_a_poll_ends_when_it_has_unpacked_enough() -> None:
    one = batch(0, bytes(POLL_BYTES_MAX - 1000), codec=ZSTD)
    whole = [struct.pack(">q", offset) + one[8:] for offset in range(4)]
    records = reader(*whole)
    assert [record.offset for record in records] == [0, 1]
    assert records.next_fetch_offset == 2


def test_every_reader_recognises_an_unreadable_record() -> None:
    (record,) = reader(broken(0, 1))
    assert (record.key, record.value, record.timestamp) == (None, None, 0)
    with pytest.raises(Poison) as found:
        Envelope.from_headers(record.headers, record.timestamp)
    assert found.value.reason == "batch"


def test_aiokafka_uses_the_replaced_decoders_and_class() -> None:
    assert vars(kafka)["record_batches"] is record_batches, "shared.kafka replaces them before it makes any client"
    assert fetcher.PartitionRecords is BatchRecords
    for decoder in DECODE.values():
        assert getattr(default_records, decoder.__name__) is decoder


def test_the_replaced_code_of_aiokafka_is_that_of_the_pinned_release() -> None:
    """An upgrade shows here what has changed: the decoders, who calls them, and how a fetch goes on after a batch."""
    codecs: Any = aiokafka.codec
    original = BatchRecords.__base__
    assert original is not None
    parts: list[Any] = [codecs.gzip_decode, codecs.snappy_decode, codecs.lz4_decode, codecs.zstd_decode, original, fetcher.FetchResult]
    digest = hashlib.sha256("".join(map(inspect.getsource, parts)).encode()).hexdigest()
    assert digest == "190288f4c2e87fb70e4d60caa6c67e1da5851543c425b061e643cb08327c1034"


def test_no_topic_makes_the_broker_unpack_a_batch() -> None:
    """A broker that is told to compress differently unpacks each batch, and runs out of memory over one that holds too much."""
    assert {topic.name: topic.config()["compression.type"] for topic in TOPICS} == {topic.name: "producer" for topic in TOPICS}
