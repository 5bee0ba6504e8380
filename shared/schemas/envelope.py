"""CloudEvents 1.0, Kafka binary mode: attributes in `ce_*` headers, JSON in the value, key = tenant id.

Own code, because every command passes here and the SDK costs more than the decision; a contract test holds both against each other.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.errors import Poison
from shared.schemas.base import format_instant, to_milliseconds

JSON_TYPE = ("content-type", b"application/json")
VERSION = ("ce_specversion", b"1.0")
VENDOR_KEY = b"vendor"  # key of messages without a tenant (the catalogue)
UNREADABLE = "seatpool-unreadable"  # header of a record that replaces an unreadable one
ATTRIBUTE_CHARACTERS_MAX = 300  # decisions repeat attributes of their command, and every reader has to be able to read those
SHOWN_CHARACTERS_MAX = 100  # of a wrong value, in the reason for refusing it


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
        """Return the headers in a fixed order: a repeated decision has to be the same bytes."""
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
    def from_headers(cls, headers: Collection[tuple[str, bytes | None]], timestamp_ms: int | None = None) -> "Envelope":
        """`timestamp_ms` is the record's own time, which a message without `ce_time` has. Unknown headers and headers without a value
        are ignored. Raises Poison("envelope") naming the attribute that is missing or wrong."""
        found = _attributes(headers)
        if found.get("ce_specversion") != "1.0":
            if any(name == UNREADABLE for name, _ in headers):
                raise Poison("batch", "its record batch cannot be read, or is larger than 32 MiB when it is decompressed")
            raise Poison("envelope", f"ce_specversion is {_shown(found.get('ce_specversion'))}, expected '1.0'", rule="ce_specversion: 1.0")
        missing = [name for name in ("ce_id", "ce_source", "ce_type") if not found.get(name)]
        if missing:
            raise Poison("envelope", f"missing or empty: {', '.join(missing)}", rule=f"{', '.join(missing)}: present")
        return cls(
            id=found["ce_id"],
            source=found["ce_source"],
            type=found["ce_type"],
            time=_time(found.get("ce_time"), timestamp_ms),
            tenant=found.get("ce_tenantid"),
            subject=found.get("ce_subject"),
            correlation=found.get("ce_correlationid"),
            causation=found.get("ce_causationid"),
            traceparent=found.get("ce_traceparent"),
        )


def unreadable() -> tuple[str, bytes]:
    """Return the only header of a record that replaces an unreadable one. Its reader makes it a dead letter like any other."""
    return (UNREADABLE, b"")


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ATTRIBUTES = frozenset(
    f"ce_{name}"
    for name in ("specversion", "id", "source", "type", "time", "tenantid", "subject", "correlationid", "causationid", "traceparent")
)


def _attributes(headers: Collection[tuple[str, bytes | None]]) -> dict[str, str]:
    """Raises Poison("envelope") for an attribute that nobody could be sure of, or that a reader could not keep."""
    found: dict[str, str] = {}
    for name, value in headers:
        if name not in _ATTRIBUTES or value is None:
            continue
        if name in found:
            raise Poison("envelope", f"{name} is given twice", rule=f"{name}: once")
        try:
            text = found[name] = value.decode()
        except UnicodeDecodeError as error:
            raise Poison("envelope", f"{name} is not UTF-8: {error}", rule=f"{name}: UTF-8") from error
        if len(text) > ATTRIBUTE_CHARACTERS_MAX:
            problem = f"{len(text)} characters, expected at most {ATTRIBUTE_CHARACTERS_MAX}"
            raise Poison("envelope", f"{name} has {problem}", rule=f"{name}: {problem}")
        if "\0" in text:
            raise Poison("envelope", f"{name} holds a NUL", rule=f"{name}: no NUL")
    return found


def _time(text: str | None, timestamp_ms: int | None) -> datetime:
    """Return the time. RFC 3339 allows `t` and `z`, and CloudEvents allows that there is no time."""
    try:
        if text is None:
            if timestamp_ms is None or timestamp_ms < 0:
                raise ValueError("neither the message nor its record has a time")
            return _EPOCH + timedelta(milliseconds=timestamp_ms)
        time = datetime.fromisoformat(text.upper())
        if time.tzinfo is None:
            raise ValueError("no offset")
        return to_milliseconds(time)
    except (ValueError, OverflowError) as error:
        expected = "expected an RFC 3339 time with an offset, of the years 1 to 9999 in UTC"
        raise Poison("envelope", f"ce_time is {_shown(text)}, {expected}", rule=f"ce_time: {expected}") from error


def _shown(text: str | None) -> str:
    return repr(text if text is None else text[:SHOWN_CHARACTERS_MAX])
