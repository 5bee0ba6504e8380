"""Reads a record of the command topic and returns the command to decide, or why it cannot be decided. Nothing here raises, because the
log continues."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import structlog
from pydantic import TypeAdapter, ValidationError

from shared.errors import Poison
from shared.kafka import partition_of
from shared.schemas import seats_v1, topics
from shared.schemas.base import Id, Payload
from shared.schemas.envelope import ATTRIBUTE_CHARACTERS_MAX, Envelope
from shared.schemas.faults import field_of
from shared.schemas.registry import REGISTRY
from shared.schemas.seats_v1 import Reason

_log = structlog.get_logger("seats.engine")

VALUE_CHARACTERS_MAX = 200  # of a wrong value in an answer
BODY_BYTES_MAX = topics.SEATS_COMMANDS.max_message_bytes  # a compressed batch may hold more
UNREAD_HEADERS = ("ce_subject", "ce_causationid")
# Records without a tenant, sent to an explicit partition.
TENANTLESS: tuple[type[Payload], ...] = (seats_v1.Tick, seats_v1.RulesActivated)
_MODELS = {name: entry.model for name, entry in REGISTRY.items() if entry.topic is topics.SEATS_COMMANDS}
_SOURCES = {name: entry.sources for name, entry in REGISTRY.items() if entry.topic is topics.SEATS_COMMANDS}
_tenant_id: TypeAdapter[str] = TypeAdapter(Id)
_new = tuple.__new__  # the constructor of a NamedTuple takes more than twice as long


class Head(NamedTuple):
    """The parts of an envelope that a decision and its answer need. What is only copied into the answers stays bytes."""

    id: str
    source: str
    type: str
    tenant: str | None
    correlation: bytes | None
    traceparent: bytes | None


class Command(NamedTuple):
    offset: int
    timestamp_ms: int  # LogAppendTime
    head: Head
    payload: Payload


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command to answer with `command_rejected`. `tenant` is None if the record names no possible tenant."""

    offset: int
    timestamp_ms: int
    head: Head | None
    tenant: str | None
    reason: Reason
    field: str | None = None
    value: str | None = None
    expected: str | None = None


@lru_cache(maxsize=100_000)  # murmur2 in Python costs more than a decision; a worker meets the same tenants again and again
def partition_of_tenant(tenant: str, partitions: int) -> int | None:
    """Return the partition by Kafka's default partitioner, or None if this is not a tenant id."""
    try:
        _tenant_id.validate_python(tenant)
    except ValidationError:
        return None
    return partition_of(tenant.encode(), partitions)


class CommandReader:
    """Reads the commands of one deployment, whose number of partitions is fixed."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions

    def read(self, record: Any) -> Command | Rejected:
        """Read an aiokafka ConsumerRecord of the command topic."""
        try:
            return self._read(record)
        except Poison as error:
            return Rejected(record.offset, record.timestamp, None, None, Reason.UNREADABLE, field=error.reason, expected=error.detail)
        except MemoryError:
            raise
        except Exception:
            # A restart would raise the same error. The answer does not name it, because it must be the same in every release.
            _log.exception("command_unreadable", alert=True, partition=record.partition, offset=record.offset)
            expected = "a command that can be read"
            return Rejected(record.offset, record.timestamp, None, None, Reason.UNREADABLE, field="record", expected=expected)

    def _read(self, record: Any) -> Command | Rejected:
        """Raises Poison."""
        head = read_head(record.headers, record.timestamp)
        model = _MODELS.get(head.type)
        if model in TENANTLESS:
            tenant = None
        else:
            refusal = self._refuse_tenant(record, head)
            if refusal is not None:
                return refusal
            tenant = head.tenant
        if model is None:
            return _rejected(record, head, tenant, Reason.UNKNOWN_TYPE, "ce_type", head.type, "a command of seats")
        if head.source not in _SOURCES[head.type]:
            return _rejected(record, head, tenant, Reason.WRONG_SOURCE, "ce_source", head.source, " or ".join(_SOURCES[head.type]))
        value = record.value or b""
        if len(value) > BODY_BYTES_MAX:
            return _rejected(record, head, tenant, Reason.UNREADABLE, "body", None, f"at most {BODY_BYTES_MAX} bytes")
        try:
            payload = model.__pydantic_validator__.validate_json(value, extra="ignore")
        except ValidationError as error:
            return _rejected(record, head, tenant, Reason.UNREADABLE, *_first(error))
        return _new(Command, (record.offset, record.timestamp, head, payload))

    def _refuse_tenant(self, record: Any, head: Head) -> Rejected | None:
        if head.tenant is None:
            return _rejected(record, head, None, Reason.UNREADABLE, "ce_tenantid", None, "a tenant id")
        partition = partition_of_tenant(head.tenant, self._partitions)
        if partition is None:
            return _rejected(record, head, None, Reason.UNREADABLE, "ce_tenantid", head.tenant, "a tenant id")
        if record.key != head.tenant.encode() or partition != record.partition:
            # The tenant's state is in its own partition; a decision here would lack it.
            key = None if record.key is None else record.key.decode(errors="replace")
            expected = f"the tenant id as the record's key, and so partition {partition}"
            return _rejected(record, head, head.tenant, Reason.WRONG_PARTITION, "key", key, expected)
        return None


def _rejected(record: Any, head: Head, tenant: str | None, reason: Reason, field: str, value: str | None, expected: str) -> Rejected:
    shown = None if value is None else value[:VALUE_CHARACTERS_MAX]
    return Rejected(record.offset, record.timestamp, head, tenant, reason, field, shown, expected)


def _first(error: ValidationError) -> tuple[str, str | None, str]:
    """Return the field, the value and what is allowed, for the first error."""
    details: Sequence[Any] = error.errors(include_url=False, include_context=False)
    first = details[0]
    field = field_of(first) or "body"
    value = None if first["type"] in ("missing", "json_invalid") else str(first["input"])
    return field, value, str(first["msg"])


def read_head(headers: Sequence[tuple[str, bytes | None]], timestamp_ms: int) -> Head:
    """Read the envelope as `Envelope.from_headers` does, which takes over for its exact error texts if anything is unusual. Raises
    Poison.

    Every command passes here, and an envelope with a parsed and rounded time costs a quarter of a decision, so this is own code.
    """
    try:
        found: dict[str, Any] = dict(headers)
        get, id_, source, type_ = found.get, found["ce_id"], found["ce_source"], found["ce_type"]
        tenant, correlation, traceparent, time = get("ce_tenantid"), get("ce_correlationid"), get("ce_traceparent"), get("ce_time")
        copied = id_ + source + type_ + (correlation or b"") + (traceparent or b"")
        usual = found["ce_specversion"] == b"1.0" and len(found) == len(headers) and len(copied) <= ATTRIBUTE_CHARACTERS_MAX
        if usual and id_ and source and type_ and copied.isascii() and b"\0" not in copied:
            at = None if time is None else datetime.fromisoformat(time.decode())  # no decision needs it, but it must be an id
            if at is None or (at.tzinfo is not None and 1 < at.year < 9999):
                tenant_id = None if tenant is None else tenant.decode()
                return _new(Head, (id_.decode(), source.decode(), type_.decode(), tenant_id, correlation, traceparent))
    except (KeyError, ValueError, TypeError):
        pass  # missing, without a value, or a time in another form
    envelope = Envelope.from_headers(headers, timestamp_ms)
    copied_bytes = [None if text is None else text.encode() for text in (envelope.correlation, envelope.traceparent)]
    return Head(envelope.id, envelope.source, envelope.type, envelope.tenant, *copied_bytes)
