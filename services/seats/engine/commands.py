"""A record of the command topic -> what is to be decided, or why it cannot be: nothing here raises, because the log goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from shared.errors import Poison
from shared.kafka import partition_of
from shared.schemas import seats_v1, topics
from shared.schemas.base import Id, Payload
from shared.schemas.envelope import Envelope
from shared.schemas.registry import REGISTRY
from shared.schemas.seats_v1 import Reason

VALUE_CHARACTERS_MAX = 200  # of a wrong value that an answer repeats
# Records without a tenant, to an explicit partition.
TENANTLESS: tuple[type[Payload], ...] = (seats_v1.Tick, seats_v1.RulesActivated)
_MODELS = {name: entry.model for name, entry in REGISTRY.items() if entry.topic is topics.SEATS_COMMANDS}
_tenant_id: TypeAdapter[str] = TypeAdapter(Id)


@dataclass(frozen=True, slots=True)
class Command:
    offset: int
    timestamp_ms: int  # LogAppendTime
    envelope: Envelope
    payload: Payload


@dataclass(frozen=True, slots=True)
class Rejected:
    """To be answered `command_rejected`. `tenant` is None when the record does not name one that could be."""

    offset: int
    timestamp_ms: int
    envelope: Envelope | None
    tenant: str | None
    reason: Reason
    field: str | None = None
    value: str | None = None
    expected: str | None = None


@lru_cache(maxsize=100_000)  # murmur2 in Python costs more than a decision; a worker meets the same tenants again and again
def partition_of_tenant(tenant: str, partitions: int) -> int | None:
    """Kafka's default partitioner. None: not a tenant id."""
    try:
        _tenant_id.validate_python(tenant)
    except ValidationError:
        return None
    return partition_of(tenant.encode(), partitions)


class CommandReader:
    """Of one deployment: the number of partitions is fixed for life."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions

    def read(self, record: Any) -> Command | Rejected:
        """`record`: an aiokafka ConsumerRecord of the command topic."""
        try:
            envelope = Envelope.from_headers(record.headers)
        except Poison as error:
            return Rejected(record.offset, record.timestamp, None, None, Reason.UNREADABLE, field="envelope", expected=error.detail)
        model = _MODELS.get(envelope.type)
        if model in TENANTLESS:
            tenant = None
        else:
            refusal = self._refuse_tenant(record, envelope)
            if refusal is not None:
                return refusal
            tenant = envelope.tenant
        if model is None:
            return _rejected(record, envelope, tenant, Reason.UNKNOWN_TYPE, "ce_type", envelope.type, "a command of seats")
        try:
            payload = model.model_validate_json(record.value or b"", extra="ignore")
        except ValidationError as error:
            return _rejected(record, envelope, tenant, Reason.UNREADABLE, *_first(error))
        return Command(record.offset, record.timestamp, envelope, payload)

    def _refuse_tenant(self, record: Any, envelope: Envelope) -> Rejected | None:
        if envelope.tenant is None:
            return _rejected(record, envelope, None, Reason.UNREADABLE, "ce_tenantid", None, "a tenant id")
        partition = partition_of_tenant(envelope.tenant, self._partitions)
        if partition is None:
            return _rejected(record, envelope, None, Reason.UNREADABLE, "ce_tenantid", envelope.tenant, "a tenant id")
        if partition != record.partition or record.key != envelope.tenant.encode():
            # The tenant's state lies in its own partition: deciding here would decide without it.
            key = None if record.key is None else record.key.decode(errors="replace")
            expected = f"the tenant id as the record's key, and so partition {partition}"
            return _rejected(record, envelope, envelope.tenant, Reason.WRONG_PARTITION, "key", key, expected)
        return None


def _rejected(
    record: Any, envelope: Envelope, tenant: str | None, reason: Reason, field: str, value: str | None, expected: str
) -> Rejected:
    shown = None if value is None else value[:VALUE_CHARACTERS_MAX]
    return Rejected(record.offset, record.timestamp, envelope, tenant, reason, field, shown, expected)


def _first(error: ValidationError) -> tuple[str, str | None, str]:
    """Field, value and what would be right, of the first error."""
    details: Sequence[Any] = error.errors(include_url=False, include_context=False)
    first = details[0]
    field = ".".join(map(str, first["loc"])) or "body"
    value = None if first["type"] in ("missing", "json_invalid") else str(first["input"])
    return field, value, str(first["msg"])
