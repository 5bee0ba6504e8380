"""Read record batches of any writer, so that no batch can end a reader or fill its memory.

aiokafka decompresses without a limit, and raises out of the poll what a batch makes it raise: at every start again, since nobody gets
past it. Here a batch is decompressed to at most `BATCH_BYTES_MAX`, and each offset of one that cannot be read is delivered as a record
whose headers say so (`unreadable`); a checksum that does not fit stays an error, because the next attempt may read the batch.

`replace_in_aiokafka` sets the decoders, which are attributes of its compiled module, and the class that unpacks fetched batches. A test
compares both, and a digest of what stands around them, with the pinned release.
"""

import mmap
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import aiokafka
import cramjam
import structlog
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.structs import ConsumerRecord

from shared.schemas.envelope import unreadable

log = structlog.get_logger(__name__)

AIOKAFKA_VERSION = "0.14.0"
assert aiokafka.__version__ == AIOKAFKA_VERSION, f"parts of aiokafka {AIOKAFKA_VERSION} are replaced here; this is {aiokafka.__version__}"

BATCH_BYTES_MAX = 32 * 1024 * 1024  # of one batch, decompressed
POLL_BYTES_MAX = 32 * 1024 * 1024  # of a partition's compressed batches in one poll, before the last of them
UNREADABLE_MAX = 10_000  # records in place of one batch in one poll; the next poll goes on
_XERIAL_HEADER = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"
_WITH_GZIP_HEADER = 16 + zlib.MAX_WBITS


class Undecodable(Exception):
    """A batch that is too large, or that its codec cannot decompress."""


class _Decoded(threading.local):
    """The number of bytes that this thread has decompressed."""

    count = 0


_decoded = _Decoded()


def _too_large() -> NoReturn:
    raise Undecodable(f"a batch of more than {BATCH_BYTES_MAX} bytes, decompressed")


def gzip_decode(payload: Any) -> bytes:
    """One member, as every client writes it."""
    decoder = zlib.decompressobj(_WITH_GZIP_HEADER)
    data = decoder.decompress(payload, BATCH_BYTES_MAX + 1)
    if len(data) > BATCH_BYTES_MAX:
        _too_large()
    if not decoder.eof or decoder.unused_data:
        raise Undecodable("not exactly one gzip member")
    _decoded.count += len(data)
    return data


def _bounded(decompress_into: Callable[[Any, Any], int], payload: Any) -> bytes:
    # Pages of the map that nothing is written to take no memory.
    with mmap.mmap(-1, BATCH_BYTES_MAX) as memory:
        data = memory[: decompress_into(payload, memory)]
    _decoded.count += len(data)
    return data


def lz4_decode(payload: Any) -> bytes:
    return _bounded(cramjam.lz4.decompress_into, payload)


def zstd_decode(payload: Any) -> bytes:
    return _bounded(cramjam.zstd.decompress_into, payload)


def snappy_decode(payload: Any) -> bytes:
    """Java's clients write blocks with their lengths behind a header, others one block without."""
    blocks = _xerial_blocks(payload) if payload[:8] == _XERIAL_HEADER[:8] else [payload]
    if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > BATCH_BYTES_MAX:
        _too_large()
    data = b"".join([bytes(cramjam.snappy.decompress_raw(block)) for block in blocks])
    _decoded.count += len(data)
    return data


def _xerial_blocks(payload: bytes) -> list[bytes]:
    blocks, begin = [], len(_XERIAL_HEADER)
    while begin < len(payload):
        size = int.from_bytes(payload[begin : begin + 4], "big")
        begin += 4 + size
        if size == 0 or begin > len(payload):
            raise Undecodable("a snappy block that ends behind the batch")
        blocks.append(payload[begin - size : begin])
    return blocks


class _Batches:
    """The batches of a fetch, as `PartitionRecords` asks for them; keeps the one that is being read."""

    def __init__(self, records: Any) -> None:
        self._records, self._begin = records, 0
        self.current: Any = None

    def has_next(self) -> bool:
        if self.current is not None and _decoded.count - self._begin > POLL_BYTES_MAX:
            return False  # what is left is fetched again from here
        more: bool = self._records.has_next()
        return more

    def next_batch(self) -> Any:
        if self.current is None:
            self._begin = _decoded.count
        self.current = self._records.next_batch()
        return self.current


class BatchRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka is untyped
    """A partition's records of one fetch. The offsets of an unreadable batch are delivered one by one; the batches behind it
    are read as usual."""

    _records_iterator: Iterator[Any] | None
    next_fetch_offset: int

    def __init__(self, tp: Any, records: Any, *arguments: Any) -> None:
        self._batches = _Batches(records)
        super().__init__(tp, self._batches, *arguments)

    def __next__(self) -> Any:
        try:
            return next(self._records_iterator)  # type: ignore[arg-type]  # as aiokafka's own
        except StopIteration:
            self._records_iterator = None
            raise
        except (MemoryError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic in a codec's Rust is no Exception
            batch = self._batches.current
            if batch is None or batch.is_control_batch or _is_checksum(error) or self.next_fetch_offset >= batch.next_offset:
                raise
            begin = max(self.next_fetch_offset, batch.base_offset)
            log.error("batch_unreadable", alert=True, topic=self._tp.topic, partition=self._tp.partition, offset=begin, error=repr(error))
            self._records_iterator = self._in_place_of(begin, batch.next_offset)
            return next(self._records_iterator)

    def _in_place_of(self, begin: int, end: int) -> Iterator[Any]:
        for offset in range(begin, min(end, begin + UNREADABLE_MAX)):
            self.next_fetch_offset = offset + 1
            # Without a time: a partition's clock stays where it is.
            yield ConsumerRecord(self._tp.topic, self._tp.partition, offset, 0, 0, None, None, None, -1, -1, (unreadable(),))
        if self.next_fetch_offset == end:
            yield from self._unpack_records()


def _is_checksum(error: BaseException) -> bool:
    return isinstance(error, CorruptRecordException) and str(error.args[0] if error.args else "").startswith("Invalid CRC")


def replace_in_aiokafka() -> None:
    """Idempotent; done by `shared.kafka` before it makes any client."""
    decoders = sys.modules[DefaultRecordBatch.__module__]
    for decoder in (gzip_decode, snappy_decode, lz4_decode, zstd_decode):
        setattr(decoders, decoder.__name__, decoder)
    fetcher.PartitionRecords = BatchRecords
