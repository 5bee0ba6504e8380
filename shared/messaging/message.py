"""One message as a handler gets it, and the bytes it was read from."""

import base64
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import orjson

from shared.database import UnitOfWork
from shared.errors import Poison
from shared.schemas import registry
from shared.schemas.base import Payload
from shared.schemas.envelope import VENDOR_KEY, Envelope
from shared.schemas.topics import Topic

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}")


@dataclass(frozen=True, slots=True)
class Message:
    envelope: Envelope
    payload: Payload
    topic: Topic
    partition: int
    offset: int
    timestamp_ms: int


# Runs in the message's row-level scope; raises Poison (or Refused) to make the message a dead letter, Transient to try the batch again. It
# may run more than once for a message, each time in a new transaction: whatever it does outside the unit of work has to bear that.
Handler = Callable[[UnitOfWork, Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Record:
    """What was read, untouched: a dead letter keeps exactly this."""

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
            raise Poison("envelope", f"ce_tenantid is {envelope.tenant[:100]!r}, expected an id")
        return envelope

    def message(self, envelope: Envelope) -> Message:
        """Raises Poison("body"), and KeyError for an unknown type."""
        payload = registry.parse(envelope.type, self.value)
        return Message(envelope, payload, self.topic, self.partition, self.offset, self.timestamp_ms)

    def tenant(self) -> str | None:
        """Whose message it is, as far as that can be told: of one whose envelope cannot be read, the key says it."""
        try:
            return self.envelope().tenant
        except Poison:
            key = (self.key or VENDOR_KEY).decode(errors="replace")
            return key if key != VENDOR_KEY.decode() and _ID.fullmatch(key) else None

    def stored_headers(self) -> bytes:
        return orjson.dumps([(name, None if value is None else base64.b64encode(value).decode()) for name, value in self.headers])

    @staticmethod
    def read_headers(stored: bytes) -> list[tuple[str, bytes | None]]:
        return [(name, None if value is None else base64.b64decode(value)) for name, value in orjson.loads(stored)]
