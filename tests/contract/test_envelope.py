"""Our envelope beside the CloudEvents SDK, both ways: the SDK reads what we write, and we read what it writes."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event, to_binary_event
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Poison
from shared.schemas.base import to_milliseconds
from shared.schemas.envelope import Envelope

WORDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF, exclude_categories=("Cs", "Cc", "Cn")), min_size=1, max_size=60)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=ZONES)  # noqa: DTZ001 - the zone is drawn
EXTENSIONS = {"tenant": "tenantid", "correlation": "correlationid", "causation": "causationid", "traceparent": "traceparent"}
ENVELOPES = st.builds(
    Envelope,
    id=WORDS,
    source=WORDS,
    type=WORDS,
    time=TIMES.map(to_milliseconds),
    tenant=st.none() | WORDS,
    subject=st.none() | WORDS,
    correlation=st.none() | WORDS,
    causation=st.none() | WORDS,
    traceparent=st.none() | WORDS,
)


def attributes_of(event: CloudEvent) -> dict[str, object]:
    found = {
        "id": event.get_id(),
        "source": event.get_source(),
        "type": event.get_type(),
        "time": event.get_time(),
        "subject": event.get_subject(),
    }
    return found | {ours: event.get_extension(theirs) for ours, theirs in EXTENSIONS.items()}


def fields_of(envelope: Envelope) -> dict[str, object]:
    return {name: getattr(envelope, name) for name in ("id", "source", "type", "time", "subject", *EXTENSIONS)}


@given(ENVELOPES)
def test_the_sdk_reads_what_we_write(envelope: Envelope) -> None:
    message = KafkaMessage(headers=dict(envelope.headers()), key=envelope.key, value=b'{"user": "ann"}')
    event = from_binary_event(message)
    assert isinstance(event, CloudEvent)
    assert attributes_of(event) == fields_of(envelope)
    assert (event.get_specversion(), event.get_datacontenttype(), event.get_data()) == ("1.0", "application/json", {"user": "ann"})


@given(ENVELOPES, TIMES)
def test_we_read_what_the_sdk_writes(envelope: Envelope, time: datetime) -> None:
    fields = fields_of(envelope) | {"time": time}
    attributes = {EXTENSIONS.get(name, name): value for name, value in fields.items() if value is not None}
    event = CloudEvent({"specversion": "1.0", "datacontenttype": "application/json"} | attributes, {"user": "ann"})
    message = to_binary_event(event)
    assert fields_of(Envelope.from_headers(message.headers.items())) == fields | {"time": to_milliseconds(time)}


@given(ENVELOPES)
def test_what_we_write_we_read(envelope: Envelope) -> None:
    assert Envelope.from_headers(envelope.headers()) == envelope


def test_headers_are_in_a_fixed_order_so_that_a_repeated_decision_is_the_same_bytes() -> None:
    envelope = Envelope(id="1", source="s", type="t", time=datetime(2026, 3, 1, tzinfo=UTC), tenant="acme", subject="ann")
    assert [name for name, _ in envelope.headers()] == [
        "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type", "ce_tenantid", "ce_subject",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ce_specversion", b"0.3", "ce_specversion is '0.3'"),
        ("ce_id", b"", "missing or empty: ce_id"),
        ("ce_source", None, "missing or empty: ce_source"),
        ("ce_time", b"yesterday", "ce_time is 'yesterday'"),
        ("ce_time", b"2026-03-01T12:00:00", "with an offset"),
        ("ce_time", None, "ce_time is None"),
        ("ce_time", b"0001-01-01T00:00:00+01:00", "years 1 to 9999"),
        ("ce_time", b"9999-12-31T23:59:59-23:59", "years 1 to 9999"),
        ("ce_tenantid", b"\xff", "not UTF-8"),
        ("ce_subject", b"s" * 301, "ce_subject has 301 characters"),
        ("ce_causationid", b"\0", "ce_causationid holds a NUL"),
    ],
)
def test_each_wrong_attribute_is_named(name: str, value: bytes | None, said: str) -> None:
    envelope = Envelope(id="1", source="s", type="t", time=datetime(2026, 3, 1, tzinfo=UTC), tenant="acme")
    headers = dict(envelope.headers())
    if value is None:
        del headers[name]
    else:
        headers[name] = value
    with pytest.raises(Poison, match=said):
        Envelope.from_headers(headers.items())
