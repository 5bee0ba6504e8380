"""The next step of a test clock."""

from datetime import UTC, datetime, timedelta

from services.users.domain.test_clock import has_come, next_instant
from shared.idle import IdleCheck

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_the_next_step_is_the_earliest_that_any_service_waits_for() -> None:
    assert next_instant([NOW + 3 * HOUR, NOW + HOUR, None], at=NOW, sent_to=None, to=NOW + 5 * HOUR) == NOW + HOUR


def test_a_step_never_goes_beyond_the_end_of_the_advance_or_back() -> None:
    target = NOW + 2 * HOUR
    assert next_instant([NOW + 3 * HOUR], at=NOW, sent_to=None, to=target) == target
    assert next_instant([NOW, NOW - HOUR], at=NOW, sent_to=None, to=target) == target
    assert next_instant([], at=NOW, sent_to=None, to=NOW + HOUR) == NOW + HOUR


def test_no_instant_is_sent_twice_even_if_the_row_was_read_before_the_step() -> None:
    """`at` is still the time before the step, and the service that named the instant names it again."""
    sent_to, to = NOW + HOUR, NOW + 5 * HOUR
    assert next_instant([NOW + HOUR, NOW + 3 * HOUR], at=NOW, sent_to=sent_to, to=to) == NOW + 3 * HOUR
    assert next_instant([NOW + HOUR], at=NOW, sent_to=sent_to, to=to) == NOW + 5 * HOUR


def test_a_step_is_reached_when_every_service_that_stores_the_time_has_read_it() -> None:
    assert has_come([NOW, None], None)
    assert has_come([NOW + HOUR, None], NOW + HOUR)
    assert not has_come([NOW + HOUR, NOW], NOW + HOUR)


def test_an_idle_check_is_read_as_it_was_written() -> None:
    for found in (IdleCheck.of(NOW, (), NOW + HOUR), IdleCheck.of(None, ("topics", "outbox"), None, "x")):
        assert IdleCheck.model_validate(found.model_dump(mode="json")) == found
        assert found.idle is not bool(found.waiting_for)
