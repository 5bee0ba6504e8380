"""The next step of a test clock."""

from datetime import UTC, datetime, timedelta

from services.users.clock import has_come, next_instant
from services.users.settlement import Settlement

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def settlement(time: datetime | None = NOW, due: datetime | None = None) -> Settlement:
    return Settlement(time, True, (), due, "f")


def test_the_next_step_is_the_earliest_that_any_service_waits_for() -> None:
    found = [settlement(due=NOW + 3 * HOUR), settlement(due=NOW + HOUR), settlement()]
    assert next_instant(found, NOW, NOW + 5 * HOUR) == NOW + HOUR


def test_a_step_never_goes_beyond_the_target_nor_back() -> None:
    assert next_instant([settlement(due=NOW + 3 * HOUR)], NOW, NOW + 2 * HOUR) == NOW + 2 * HOUR
    assert next_instant([settlement(due=NOW), settlement(due=NOW - HOUR)], NOW, NOW + 2 * HOUR) == NOW + 2 * HOUR
    assert next_instant([], NOW, NOW + HOUR) == NOW + HOUR


def test_a_step_has_come_when_every_service_that_keeps_the_time_has_read_it() -> None:
    assert has_come([settlement(), settlement(None)], None)
    assert has_come([settlement(NOW + HOUR), settlement(None)], NOW + HOUR)
    assert not has_come([settlement(NOW + HOUR), settlement(NOW)], NOW + HOUR)


def test_a_settlement_is_read_as_it_is_written() -> None:
    for found in (settlement(due=NOW + HOUR), Settlement(None, False, ("topics", "outbox"), None, "x")):
        assert Settlement.from_json(found.to_json()) == found
