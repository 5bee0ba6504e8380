"""The next step of a test clock."""

from datetime import UTC, datetime, timedelta

from services.users.clock import has_come, next_instant
from services.users.store.tenants import TenantRow
from shared.idle import IdleCheck

NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def answer(time: datetime | None = NOW, due: datetime | None = None) -> IdleCheck:
    return IdleCheck.of(time, (), due)


def advance(to: datetime, sent_to: datetime | None = None) -> TenantRow:
    """A tenant whose clock stands at NOW and goes on to `to`."""
    names = dict.fromkeys(("tenant", "name", "time_zone", "locale", "contact_email", "support_contact"), "acme")
    versions = {"release_on_expiry": False, "config_version": 1, "version": 1}
    return TenantRow(**names, **versions, clock="test", advancing_to=to, created_at=NOW, at=NOW, sent_to=sent_to)


def test_the_next_step_is_the_earliest_that_any_service_waits_for() -> None:
    found = [answer(due=NOW + 3 * HOUR), answer(due=NOW + HOUR), answer()]
    assert next_instant(found, advance(NOW + 5 * HOUR)) == NOW + HOUR


def test_a_step_never_goes_beyond_the_target_nor_back() -> None:
    assert next_instant([answer(due=NOW + 3 * HOUR)], advance(NOW + 2 * HOUR)) == NOW + 2 * HOUR
    assert next_instant([answer(due=NOW), answer(due=NOW - HOUR)], advance(NOW + 2 * HOUR)) == NOW + 2 * HOUR
    assert next_instant([], advance(NOW + HOUR)) == NOW + HOUR


def test_no_instant_is_sent_twice_though_the_row_was_read_before_it_came() -> None:
    """`at` is still the time before the step; whoever named it names it once more."""
    row = advance(NOW + 5 * HOUR, sent_to=NOW + HOUR)
    assert next_instant([answer(due=NOW + HOUR), answer(due=NOW + 3 * HOUR)], row) == NOW + 3 * HOUR
    assert next_instant([answer(due=NOW + HOUR)], row) == NOW + 5 * HOUR


def test_a_step_has_come_when_every_service_that_keeps_the_time_has_read_it() -> None:
    assert has_come([answer(), answer(None)], None)
    assert has_come([answer(NOW + HOUR), answer(None)], NOW + HOUR)
    assert not has_come([answer(NOW + HOUR), answer(NOW)], NOW + HOUR)


def test_an_idle_check_is_read_as_it_is_written() -> None:
    for found in (answer(due=NOW + HOUR), IdleCheck.of(None, ("topics", "outbox"), None, "x")):
        assert IdleCheck.model_validate(found.model_dump(mode="json")) == found
        assert found.idle is not bool(found.waiting_for)
