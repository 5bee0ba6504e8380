"""CloudEvents 1.0, Kafka binary mode: attributes in `ce_*` headers, JSON in the value, key = tenant id.

Own code, because every command passes here and the SDK costs more than the decision; a contract test holds both against each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from shared.errors import Poison
from shared.schemas.base import format_instant, to_milliseconds

JSON_TYPE = ("content-type", b"application/json")
VERSION = ("ce_specversion", b"1.0")
VENDOR_KEY = b"vendor"  # key of what belongs to no tenant (the catalogue)


@dataclass(frozen=True, slots=True)
class Envelope:
    """The attributes of one message. `tenant` is None for what belongs to none (ticks, the catalogue)."""

    id: str
    source: str
    type: str
    time: datetime
    tenant: str | None = None
    subject: str | None = None
    correlation: str | None = None  # of the whole chain: the id of what began it
    causation: str | None = None  # id of the message that caused this one
    traceparent: str | None = None

    @property
    def key(self) -> bytes:
        return self.tenant.encode() if self.tenant else VENDOR_KEY

    def headers(self) -> list[tuple[str, bytes]]:
        """In a fixed order: a repeated decision has to be the same bytes."""
        headers = [
            VERSION,
            ("ce_id", self.id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.type.encode()),
            ("ce_time", format_instant(self.time).encode()),
            JSON_TYPE,
        ]
        optional = (
            ("ce_tenantid", self.tenant),
            ("ce_subject", self.subject),
            ("ce_correlationid", self.correlation),
            ("ce_causationid", self.causation),
            ("ce_traceparent", self.traceparent),
        )
        headers += [(name, value.encode()) for name, value in optional if value is not None]
        return headers

    @classmethod
    def from_headers(cls, headers: Iterable[tuple[str, bytes]]) -> "Envelope":
        """Raises Poison("envelope") naming the attribute that is missing or wrong. Unknown headers are ignored."""
        try:
            found = {name: value.decode() for name, value in headers if name.startswith("ce_")}
        except UnicodeDecodeError as error:
            raise Poison("envelope", f"a ce_ header is not UTF-8: {error}") from error
        if found.get("ce_specversion") != "1.0":
            raise Poison("envelope", f"ce_specversion is {found.get('ce_specversion')!r}, expected '1.0'")
        missing = [name for name in ("ce_id", "ce_source", "ce_type") if not found.get(name)]
        if missing:
            raise Poison("envelope", f"missing or empty: {', '.join(missing)}")
        try:
            time = datetime.fromisoformat(found["ce_time"])
            if time.tzinfo is None:
                raise ValueError("no offset")
        except (KeyError, ValueError) as error:
            raise Poison("envelope", f"ce_time is {found.get('ce_time')!r}, expected an RFC 3339 time with an offset") from error
        return cls(
            id=found["ce_id"],
            source=found["ce_source"],
            type=found["ce_type"],
            time=to_milliseconds(time),
            tenant=found.get("ce_tenantid"),
            subject=found.get("ce_subject"),
            correlation=found.get("ce_correlationid"),
            causation=found.get("ce_causationid"),
            traceparent=found.get("ce_traceparent"),
        )
