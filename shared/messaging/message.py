"""One message as a handler gets it, and the bytes it was read from."""

import base64
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic

import orjson
from typing_extensions import TypeVar

from shared.database import UnitOfWork
from shared.errors import Poison
from shared.schemas import registry
from shared.schemas.base import Payload
from shared.schemas.envelope import ATTRIBUTE_CHARACTERS_MAX, VENDOR_KEY, Envelope
from shared.schemas.position import DecisionId
from shared.schemas.topics import Topic

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}")


P_co = TypeVar("P_co", bound=Payload, default=Payload, covariant=True)


@dataclass(frozen=True, slots=True)
class Message(Generic[P_co]):
    envelope: Envelope
    payload: P_co
    topic: Topic
    partition: int
    offset: int
    timestamp_ms: int

    @property
    def tenant(self) -> str:
        """The tenant of the message. Raises Poison if it has none."""
        if self.envelope.tenant is None:
            raise Poison("envelope", "ce_tenantid is missing", rule="ce_tenantid: present")
        return self.envelope.tenant


# Runs in the message's row-level scope; raises Poison (or Refused) to make the message a dead letter, Transient to try the batch again. It
# may run more than once for a message, each time in a new transaction, so all that it does outside the unit of work must tolerate that.
Handler = Callable[[UnitOfWork, Message[Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Record:
    """A record exactly as it was read. A dead letter keeps this."""

    topic: Topic
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    value: bytes | None

    def envelope(self) -> Envelope:
        """Raises Poison("envelope")."""
        envelope = Envelope.from_headers(self.headers, self.timestamp_ms)
        if envelope.tenant is not None and not _ID.fullmatch(envelope.tenant):
            raise Poison("envelope", f"ce_tenantid is {envelope.tenant[:100]!r}, expected an id", rule="ce_tenantid: an id")
        return envelope

    def message(self, envelope: Envelope) -> Message:
        """Raises Poison("body"), and KeyError for an unknown type."""
        payload = registry.parse(envelope.type, self.value)
        return Message(envelope, payload, self.topic, self.partition, self.offset, self.timestamp_ms)

    def tenant_of_key(self) -> str | None:
        """Return the tenant that the record's key names. It is the only hint at the tenant if the envelope cannot be read."""
        key = (self.key or VENDOR_KEY).decode(errors="replace")
        return key if key != VENDOR_KEY.decode() and _ID.fullmatch(key) else None

    def _attribute(self, name: str) -> str | None:
        """Return one header as text, however broken the others are; None if it is missing, given twice, or cannot be stored."""
        match [value for found, value in self.headers if found == f"ce_{name}"]:
            case [bytes(value)] if len(value) <= ATTRIBUTE_CHARACTERS_MAX and b"\0" not in value:
                with suppress(UnicodeDecodeError):
                    return value.decode()
        return None

    def identity(self) -> tuple[str, str] | None:
        """Return (source, id), which identify a repeated message."""
        source, id_ = self._attribute("source"), self._attribute("id")
        return (source, id_) if source and id_ else None

    def blocked_tenant(self) -> str | None:
        """Return the tenant whose later messages would have to wait if this record cannot be processed.

        None unless the headers are single, the source is the topic's owner, and the key (of a decision its id, too) agrees with the
        tenant: everybody else could stop a tenant by naming it.
        """
        names = [name for name, _ in self.headers if name.startswith("ce_")]
        tenant = self._attribute("tenantid")
        if len(names) != len(set(names)) or tenant is None or not _ID.fullmatch(tenant) or self.key != tenant.encode():
            return None
        if self.topic.source is None or self._attribute("source") != self.topic.source:
            return None
        return tenant if self.topic.outbox_fed or self.decision_id() else None

    def decision_id(self) -> DecisionId | None:
        """Return the decision id if it belongs to this record's partition; None for any other id."""
        with suppress(ValueError):
            found = DecisionId.parse(self._attribute("id") or "")
            return found if found.partition == self.partition else None
        return None

    def stored_headers(self) -> bytes:
        return orjson.dumps([(name, None if value is None else base64.b64encode(value).decode()) for name, value in self.headers])

    @staticmethod
    def read_headers(stored: bytes) -> list[tuple[str, bytes | None]]:
        return [(name, None if value is None else base64.b64decode(value)) for name, value in orjson.loads(stored)]
