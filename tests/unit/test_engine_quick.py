"""The quick reading of a body lets nothing through that the model refuses, and reads what users writes."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.seats.engine.quick import _PATTERN, read_assign
from shared.schemas.seats_v1 import AssignSeats

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
NAMES = st.from_regex(re.compile(r"[a-z0-9][a-z0-9-]{0,62}", re.ASCII), fullmatch=True)
COMMANDS = st.builds(
    AssignSeats,
    user=st.from_regex(re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}", re.ASCII), fullmatch=True),
    revision=st.integers(1, 10**11),
    reason=st.sampled_from(["hired", "changed", "left", ""]),
    modules=st.lists(NAMES, max_size=50).map(tuple),
    created_at=st.integers(0, 10**11).map(lambda ms: NOON + timedelta(milliseconds=ms)),
    administrator=st.booleans(),
    priority=st.integers(0, 999_999),
    partial=st.booleans(),
)


@given(COMMANDS)
def test_what_users_writes_is_read_as_the_model_reads_it(command: AssignSeats) -> None:
    value = command.model_dump_json().encode()
    found = read_assign(value)
    assert found is not None
    assert found == AssignSeats.model_validate_json(value) == command
    assert found.model_dump_json().encode() == value
    assert found.created_at.tzinfo is UTC


PLAIN = AssignSeats(user="u1", revision=1, reason="hired", modules=("time", "documents"), created_at=NOON).model_dump_json().encode()


@given(st.from_regex(_PATTERN, fullmatch=True))
@example(PLAIN.replace(b"2026-03-01", b"2026-02-30"))
@example(PLAIN.replace(b"T12:00", b"T24:00"))
@example(PLAIN.replace(b"T12:00", b"T12:60"))
def test_nothing_is_recognised_that_the_model_refuses(value: bytes) -> None:
    found = read_assign(value)
    if found is not None:
        assert found == AssignSeats.model_validate_json(value)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"revision":1', b'"revision":0'),
        (b'"revision":1', b'"revision":01'),
        (b'"revision":1', b'"revision":true'),
        (b'["time","documents"]', b'["time""documents"]'),
        (b'["time","documents"]', b'["time",]'),
        (b'["time","documents"]', b'["Time"]'),
        (b'"user":"u1"', b'"user":"u|1"'),
        (b'"user":"u1"', b'"user":"u1\n"'),
        (b'"user":"u1"', b'"user":""'),
        (b'"reason":"hired"}', b'"reason":"hired"}}'),
        (b'"reason":"hired"}', b'"reason":"hired"}\n'),
        (b"2026-03-01", b"2026-02-30"),
        (b"12:00:00.000Z", b"12:00:00.000"),
    ],
)
def test_what_is_wrong_is_left_to_the_model(old: bytes, new: bytes) -> None:
    assert read_assign(PLAIN) is not None
    assert PLAIN.replace(old, new) != PLAIN
    assert read_assign(PLAIN.replace(old, new)) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"hold_until":null', b'"hold_until":"2026-04-01T12:00:00Z"'),
        (b'"reactivate":[]', b'"reactivate":["time"]'),
        (b"000Z", b"000+01:00"),
    ],
)
def test_what_is_rare_is_read_by_the_model(old: bytes, new: bytes) -> None:
    value = PLAIN.replace(old, new)
    assert read_assign(value) is None
    AssignSeats.model_validate_json(value)


def test_an_instant_of_another_offset_is_made_utc_and_one_without_is_refused() -> None:
    body = PLAIN.replace(b"12:00:00.000Z", b"13:00:00.0009+01:00")
    assert AssignSeats.model_validate_json(body).created_at == NOON
    assert AssignSeats.model_validate_json(body).created_at.tzinfo is UTC
    assert AssignSeats.model_validate_json(PLAIN).created_at.tzinfo is UTC
    with pytest.raises(ValidationError):
        AssignSeats.model_validate_json(PLAIN.replace(b"000Z", b"000"))
