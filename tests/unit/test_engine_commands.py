"""Records of the command topic as the engine reads them, and decisions as it writes them: the shortcuts agree with the envelope itself."""

import time
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn

import orjson
import pytest

from services.seats.engine import commands, events
from services.seats.engine.commands import BODY_BYTES_MAX, Command, CommandReader, Head, Rejected, read_head
from services.seats.replay.replay import Decisions
from shared.errors import Poison
from shared.kafka import partition_of
from shared.schemas import seats_v1
from shared.schemas.envelope import ATTRIBUTE_CHARACTERS_MAX, Envelope, unreadable
from shared.schemas.registry import CLI, INVOICING, REGISTRY, SEATS, USERS, type_of
from shared.schemas.seats_v1 import Reason
from shared.schemas.topics import SEATS_COMMANDS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PARTITIONS = 4
ASSIGN, ADD = type_of(seats_v1.AssignSeats), type_of(seats_v1.AddLicences)
CLOCK, RULES = type_of(seats_v1.ClockAdvanced), type_of(seats_v1.RulesActivated)
BODY = b'{"user":"u1","revision":1,"reason":"hired","modules":["time"],"created_at":"2026-03-01T12:00:00Z","added_later":1}'
ADDED = (
    b'{"number":1,"order":"o1","items":[{"module":"time","quantity":1}],"approved_at":"2026-03-01T12:00:00Z",'
    b'"expected":{"pools":[{"module":"time","licences":%d,"next_period":1}]}}'
)


class Raw(NamedTuple):
    headers: Any
    value: bytes | None = BODY
    key: bytes | None = b"acme"
    partition: int = partition_of(b"acme", PARTITIONS)
    offset: int = 7
    timestamp: int = 1000


def envelope(**changes: Any) -> Envelope:
    fields: dict[str, Any] = {"id": "c1", "source": "seatpool/users", "type": ASSIGN, "time": NOON, "tenant": "acme"}
    return Envelope(**fields | changes)


ENVELOPES = [
    envelope(),
    envelope(correlation="w1", causation="x", traceparent="00-a-b-01", subject="u1"),
    envelope(tenant=None, type=type_of(seats_v1.Tick)),
]


@pytest.mark.parametrize("given", ENVELOPES)
def test_the_head_has_the_values_of_the_envelope(given: Envelope) -> None:
    read = Envelope.from_headers(given.headers())
    correlation, traceparent = (None if text is None else text.encode() for text in (read.correlation, read.traceparent))
    assert read_head(given.headers(), 1000) == Head(read.id, read.source, read.type, read.tenant, correlation, traceparent)


def changed(name: str, *values: bytes | None) -> list[tuple[str, bytes | None]]:
    """The headers with these values of one of them."""
    return [header for header in envelope().headers() if header[0] != name] + [(name, value) for value in values]


WRONG: list[list[tuple[str, bytes | None]]] = [
    [],
    *[changed(name) for name in ("ce_specversion", "ce_id", "ce_source", "ce_type")],
    *[changed(name, None) for name in ("ce_specversion", "ce_id", "ce_source", "ce_type")],
    *[changed(name, b"x" * 2_000_000) for name in ("ce_specversion", "ce_id", "ce_type", "ce_time", "ce_correlationid")],
    *[changed(name, b"x\0") for name in ("ce_id", "ce_source", "ce_type", "ce_correlationid", "ce_traceparent")],
    *[changed(name, b"1", b"2") for name in ("ce_id", "ce_source", "ce_type", "ce_time", "ce_tenantid", "ce_correlationid")],
    *[changed("ce_time", time) for time in (b"0001-01-01T00:00:00+01:00", b"9999-12-31T23:59:59-23:59", b"2026-03-01T12:00:00", b"")],
    [*changed("ce_time", b"0001-01-01T00:00:00+01:00"), ("ce_correlationid", "\N{SNOWMAN}".encode())],
    [(name, b"" if name == "ce_source" else value) for name, value in envelope().headers()],
    [(name, b"0.3" if name == "ce_specversion" else value) for name, value in envelope().headers()],
    [(name, b"yesterday" if name == "ce_time" else value) for name, value in envelope().headers()],
    [(name, b"\xff" if name == "ce_type" else value) for name, value in envelope().headers()],
]


@pytest.mark.parametrize("headers", WRONG)
def test_a_wrong_envelope_is_refused_with_the_error_of_the_envelope(headers: list[tuple[str, bytes | None]]) -> None:
    with pytest.raises(Poison) as expected:
        Envelope.from_headers(headers, 1000)
    with pytest.raises(Poison) as found:
        read_head(headers, 1000)
    assert len(found.value.detail) < 500
    assert found.value.detail == expected.value.detail
    rejected = CommandReader(PARTITIONS).read(Raw(headers))
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.tenant, rejected.expected) == (Reason.UNREADABLE, None, expected.value.detail)


def test_a_command_is_read_and_unknown_fields_are_ignored() -> None:
    command = CommandReader(PARTITIONS).read(Raw(envelope().headers()))
    assert isinstance(command, Command)
    assert (command.offset, command.head.id, command.payload.user) == (7, "c1", "u1")  # type: ignore[attr-defined]


def test_a_tick_belongs_to_no_tenant_and_to_any_partition() -> None:
    headers = envelope(tenant=None, type=type_of(seats_v1.Tick), source="seatpool/seats").headers()
    assert isinstance(CommandReader(PARTITIONS).read(Raw(headers, b"{}", b"vendor", 3)), Command)


@pytest.mark.parametrize("name", ["id", "source", "correlation", "traceparent"])
def test_a_header_that_every_decision_would_repeat_is_limited(name: str) -> None:
    longest = envelope(**{name: "x" * ATTRIBUTE_CHARACTERS_MAX})
    assert getattr(Envelope.from_headers(longest.headers()), name) == "x" * ATTRIBUTE_CHARACTERS_MAX
    assert read_head(longest.headers(), 1000).id == longest.id
    rejected = CommandReader(PARTITIONS).read(Raw(envelope(**{name: "x" * (ATTRIBUTE_CHARACTERS_MAX + 1)}).headers()))
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.field, rejected.head) == (Reason.UNREADABLE, "envelope", None)


@pytest.mark.parametrize(
    ("raw", "reason", "field"),
    [
        (Raw(envelope().headers(), b"{"), Reason.UNREADABLE, "body"),
        (Raw(envelope().headers(), None), Reason.UNREADABLE, "body"),
        (Raw(envelope().headers(), BODY.replace(b'"revision":1', b'"revision":0')), Reason.UNREADABLE, "revision"),
        (Raw(envelope(tenant=None, type=RULES, source=CLI).headers(), b'{"rules":9223372036854775807}'), Reason.UNREADABLE, "rules"),
        (Raw(envelope().headers(), BODY.replace(b'"revision":1', b'"revision":%d' % 2**63)), Reason.UNREADABLE, "revision"),
        (Raw(envelope().headers(), BODY.replace(b"{", b'{"priority":-%d,' % 2**63)), Reason.UNREADABLE, "priority"),
        (Raw(envelope(source="seatpool/invoicing").headers()), Reason.WRONG_SOURCE, "ce_source"),
        (Raw(envelope(type=CLOCK).headers(), b'{"number":%d,"to":"2026-03-01T12:00:00Z"}' % 2**63), Reason.UNREADABLE, "number"),
        (Raw(envelope(type=ADD, source="seatpool/invoicing").headers(), ADDED % 2**63), Reason.UNREADABLE, "expected.pools.0.licences"),
        (Raw(envelope().headers(), BODY.replace(b'"user":"u1",', b"")), Reason.UNREADABLE, "user"),
        (Raw(envelope().headers(), BODY.replace(b"2026-03-01T", b"2026-02-30T")), Reason.UNREADABLE, "created_at"),
        (Raw(envelope().headers(), BODY.replace(b":00Z", b":00")), Reason.UNREADABLE, "created_at"),
        (Raw(envelope(type="seatpool.seats.v1.dance").headers()), Reason.UNKNOWN_TYPE, "ce_type"),
        (Raw(envelope(type="seatpool.seats.v1.seat_flagged").headers()), Reason.UNKNOWN_TYPE, "ce_type"),
        (Raw(envelope(tenant=None).headers()), Reason.UNREADABLE, "ce_tenantid"),
        (Raw(envelope(tenant="a|b").headers(), key=b"a|b"), Reason.UNREADABLE, "ce_tenantid"),
        (Raw(envelope().headers(), partition=(partition_of(b"acme", PARTITIONS) + 1) % PARTITIONS), Reason.WRONG_PARTITION, "key"),
        (Raw(envelope().headers(), key=b"other"), Reason.WRONG_PARTITION, "key"),
        (Raw(envelope().headers(), key=None), Reason.WRONG_PARTITION, "key"),
    ],
)
def test_a_command_that_cannot_be_understood_is_rejected_with_its_field(raw: Raw, reason: Reason, field: str) -> None:
    rejected = CommandReader(PARTITIONS).read(raw)
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.field) == (reason, field)


PERMITTED = {
    USERS: {"open_tenant", "assign_seats", "replace_user", "clock_advanced"},
    INVOICING: {"open_pool", "set_policy", "close_pool", "add_licences", "reduce_licences", "schedule_reduction", "schedule_period"},
    SEATS: {"tick", "rules_activated"},
    CLI: {"rules_activated"},
    "hr/acme": set(),
    "seatpool/notifier": set(),
    "Seatpool/Users": set(),
}


@pytest.mark.parametrize("source", PERMITTED)
def test_a_command_is_read_only_from_a_source_that_may_send_its_type(source: str) -> None:
    accepted = set()
    for name in (name for name, entry in REGISTRY.items() if entry.topic is SEATS_COMMANDS):
        read = CommandReader(PARTITIONS).read(Raw(envelope(type=name, source=source).headers(), b"{}"))
        if not isinstance(read, Rejected) or read.reason is not Reason.WRONG_SOURCE:
            accepted.add(name.rpartition(".")[2])
        else:
            assert (read.field, read.value, read.head and read.head.id) == ("ce_source", source, "c1")
            assert read.tenant == (None if name.endswith((".tick", ".rules_activated")) else "acme")
    assert accepted == PERMITTED[source]


def test_a_command_from_a_wrong_source_is_answered_and_uses_up_no_number() -> None:
    opens, opens_pool = type_of(seats_v1.OpenTenant), type_of(seats_v1.OpenPool)
    sent = [(INVOICING, opens, 7), (USERS, opens, 1), (USERS, opens_pool, 9), (INVOICING, opens_pool, 1), (USERS, opens, 2)]
    body = b'{"number":%d,"clock":"real","module":"time","base":true,"licences":1}'
    decisions, answers = Decisions(partition_of(b"acme", PARTITIONS), PARTITIONS), []
    for offset, (source, type_, number) in enumerate(sent):
        made = decisions.feed(Raw(envelope(id=f"c{offset}", type=type_, source=source).headers(), body % number, offset=offset))
        answers += [orjson.loads(value or b"")["reason"] for _, value, _, _ in made or []]
    assert answers == ["wrong_source", "opened", "wrong_source", "opened", "tenant_exists"]


@pytest.mark.parametrize("command", ENVELOPES)
@pytest.mark.parametrize(("tenant", "user"), [("acme", "u1"), ("acme", None), (None, None)])
def test_a_decision_has_the_envelope_s_headers_in_its_order(command: Envelope, tenant: str | None, user: str | None) -> None:
    body = {"at": "2026-03-01T12:00:00.000Z", "reason": "hired"}
    decided = [(tenant, ("seatpool.seats.v1.seats_assigned", body, 3, user))]
    (made,) = events.records(decided, partition=2, offset=7, clock_ms=1000, command=read_head(command.headers(), 1000))
    expected = Envelope(
        id="seats.commands.v1/2/7/3",
        source="seatpool/seats",
        type="seatpool.seats.v1.seats_assigned",
        time=NOON,
        tenant=tenant,
        subject=user,
        correlation=command.correlation or command.id,
        causation=command.id,
        traceparent=command.traceparent,
    )
    assert made == (expected.key, b'{"at":"2026-03-01T12:00:00.000Z","reason":"hired"}', expected.headers(), 1000)


USUAL_ENOUGH: list[list[tuple[str, bytes | None]]] = [
    changed("ce_time"),
    changed("ce_time", None),
    changed("ce_time", b"2026-03-01t12:00:00z"),
    [*changed("ce_correlationid", "\N{SNOWMAN}".encode()), ("content-type", None), ("other", b"1"), ("other", b"2")],
]


@pytest.mark.parametrize("headers", USUAL_ENOUGH)
def test_headers_that_the_standards_allow_are_read_equally_by_envelope_and_engine(headers: list[tuple[str, bytes | None]]) -> None:
    read = Envelope.from_headers(headers, 1_772_366_400_000)
    assert read.time == NOON
    head = read_head(headers, 1_772_366_400_000)
    assert (head.id, head.source, head.type, head.tenant) == (read.id, read.source, read.type, read.tenant)
    assert isinstance(CommandReader(PARTITIONS).read(Raw(headers)), Command)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"revision":' + b"9" * 500_000 + b"}", b'{"modules":[' + b"1," * 400_000 + b"1]}"])
def test_a_large_malformed_body_is_answered_at_once(body: bytes) -> None:
    started = time.process_time()
    rejected = CommandReader(PARTITIONS).read(Raw(envelope().headers(), body))
    assert isinstance(rejected, Rejected)
    assert time.process_time() - started < 0.2


def test_a_body_larger_than_the_limit_of_the_topic_is_not_parsed() -> None:
    rejected = CommandReader(PARTITIONS).read(Raw(envelope().headers(), BODY + b" " * BODY_BYTES_MAX))
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.field) == (Reason.UNREADABLE, "body")


@pytest.mark.parametrize("error", [RecursionError, OverflowError, AttributeError, UnicodeError])
def test_an_error_while_a_command_is_read_becomes_its_answer(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(headers: object, timestamp_ms: int) -> NoReturn:
        raise error

    monkeypatch.setattr(commands, "read_head", broken)
    rejected = CommandReader(PARTITIONS).read(Raw(envelope().headers()))
    assert isinstance(rejected, Rejected)
    assert (rejected.reason, rejected.field, rejected.tenant) == (Reason.UNREADABLE, "record", None)


def test_each_offset_of_an_unreadable_batch_is_answered_and_moves_no_clock() -> None:
    partition = partition_of(b"acme", PARTITIONS)
    decisions = Decisions(partition, PARTITIONS)
    decisions.feed(Raw(envelope().headers(), offset=0, timestamp=5000))
    for offset in (1, 2):
        (answer,) = decisions.feed(Raw((unreadable(),), None, None, offset=offset, timestamp=0)) or []
        body = orjson.loads(answer[1] or b"")
        assert (body["reason"], body["error"]["field"] if "error" in body else body["field"]) == ("unreadable", "batch")
    assert (decisions.clock_ms, decisions.decided) == (5000, 2)
