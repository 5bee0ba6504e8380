"""A consumer group reads one record, before any database: as a message or a dead letter; it never ends the process."""

from typing import Any, NoReturn

import pytest

from shared.errors import Transient
from shared.messaging.batch import Group, Item
from shared.messaging.message import Record
from shared.schemas import topics
from shared.schemas.hr_v1 import PersonLeft
from tests.support.messaging import envelope_of, left

Headers = list[tuple[str, bytes | None]]
BODY = left().model_dump_json().encode()


async def handled(uow: Any, message: Any) -> None:
    raise AssertionError("nothing is handled here")


GROUP = Group("readers", [topics.HR_EVENTS], {PersonLeft: handled})


def headers(name: str = "", *values: bytes | None) -> Headers:
    return [header for header in envelope_of(left()).headers() if header[0] != name] + [(name, value) for value in values]


async def read(headers: Headers, *, value: bytes | None = BODY, key: bytes | None = b"acme", time: int = 0) -> Item:
    return await GROUP.read(Record(topics.HR_EVENTS, 0, 7, time, key, headers, value))


@pytest.mark.parametrize("name", ["ce_specversion", "ce_id", "ce_source", "ce_type"])
@pytest.mark.parametrize("values", [(None,), (b"",), (b"\xff",), (b"1.0", b"1.0"), (b"x" * 100_000,), (b"\0",)])
async def test_an_attribute_without_a_value_or_with_a_malformed_one_makes_a_dead_letter(
    name: str, values: tuple[bytes | None, ...]
) -> None:
    item = await read(headers(name, *values))
    assert item.poison is not None
    assert item.poison.reason == "envelope"


ODD_TIMES = [b"0001-01-01T00:00:00+01:00", b"9999-12-31T23:59:59-23:59", b"9999-99-99T99:99:99Z", b"2026-03-01T12:00:00", b"", b"\xff"]


@pytest.mark.parametrize("time", ODD_TIMES)
async def test_a_time_that_no_clock_shows_makes_a_dead_letter(time: bytes) -> None:
    item = await read(headers("ce_time", time))
    assert item.poison is not None
    assert item.poison.reason == "envelope"


@pytest.mark.parametrize("time", [-1, -(2**63), 2**63 - 1])
async def test_a_message_without_a_time_in_a_record_without_one_makes_a_dead_letter(time: int) -> None:
    item = await read(headers("ce_time"), time=time)
    assert item.poison is not None


async def test_a_message_without_a_time_has_the_time_of_its_record() -> None:
    item = await read(headers("ce_time"), time=1_772_366_400_123)
    assert item.message is not None
    assert item.message.envelope.time.isoformat() == "2026-03-01T12:00:00.123000+00:00"


@pytest.mark.parametrize(
    ("tenant", "said"),
    [
        ((), "key is b'acme', but ce_tenantid is missing: both have to be the id of the tenant"),
        ((b"globex",), "key is b'acme', but ce_tenantid is 'globex': both have to be the id of the tenant"),
    ],
)
async def test_a_key_that_is_not_the_tenant_makes_a_dead_letter_that_names_both(tenant: tuple[bytes, ...], said: str) -> None:
    item = await read(headers("ce_tenantid", *tenant))
    assert item.poison is not None
    assert (item.poison.reason, item.poison.detail) == ("key", said)


@pytest.mark.parametrize("value", [None, b"", b"null", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"external_id":' + b"9" * 10_000 + b"}"])
async def test_a_body_that_is_no_message_makes_a_dead_letter(value: bytes | None) -> None:
    item = await read(headers(), value=value)
    assert item.poison is not None
    assert item.poison.reason == "body"


async def test_a_body_that_is_uncompressed_larger_than_its_topic_allows_makes_a_dead_letter() -> None:
    item = await read(headers(), value=BODY + b" " * topics.HR_EVENTS.max_message_bytes)
    assert item.poison is not None
    assert item.poison.reason == "body"


def raising(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(record: Record, envelope: object) -> NoReturn:
        raise error

    monkeypatch.setattr(Record, "message", broken)


@pytest.mark.parametrize("error", [RecursionError, OverflowError, AttributeError, UnicodeError, AssertionError])
async def test_every_error_of_reading_makes_a_dead_letter(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    raising(error, monkeypatch)
    item = await read(headers())
    assert item.poison is not None
    assert item.poison.reason == "unreadable"


@pytest.mark.parametrize("error", [Transient, MemoryError])
async def test_a_transient_error_of_reading_makes_no_dead_letter(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    raising(error, monkeypatch)
    with pytest.raises(error):
        await read(headers())
