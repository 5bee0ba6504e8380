"""When people are reminded that a grace ends."""

from datetime import UTC, datetime, timedelta

import pytest

from services.users.domain.module_states import ModuleState, Seat
from services.users.domain.reminders import next_reminder, with_reminder
from shared.schemas.position import DecisionId

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def seat(state: ModuleState, deadline: datetime | None, remind_at: datetime | None = None) -> Seat:
    return Seat(state, deadline, None, False, False, DecisionId(0, 1, 0), remind_at)


@pytest.mark.parametrize(
    ("grace_days", "reminders"), [(7, [4, 6]), (3, [2]), (3.5, [0.5, 2.5]), (1, []), (0.5, []), (400, [397, 399])], ids=str
)
def test_T6_only_the_reminders_within_the_grace_are_sent(grace_days: float, reminders: list[float]) -> None:
    deadline, at, found = NOW + grace_days * DAY, NOW, []
    while (reminder := next_reminder(deadline, at)) is not None:
        found.append((reminder - NOW) / DAY)
        at = reminder
    assert found == reminders


def test_T6_a_flag_that_an_answer_shows_again_keeps_its_reminders() -> None:
    deadline = NOW + 7 * DAY
    first = with_reminder(seat(ModuleState.FLAGGED, deadline), None, NOW)
    assert first.remind_at == NOW + 4 * DAY
    sent = seat(ModuleState.FLAGGED, deadline, None)
    assert with_reminder(seat(ModuleState.FLAGGED, deadline), sent, NOW + DAY).remind_at is None


def test_T6_a_seat_that_is_no_longer_flagged_has_no_reminder_and_a_later_flag_has_its_own() -> None:
    flagged = seat(ModuleState.FLAGGED, NOW + 7 * DAY, NOW + 4 * DAY)
    cleared = with_reminder(seat(ModuleState.ACTIVE, None), flagged, NOW + DAY)
    assert cleared.remind_at is None
    assert with_reminder(seat(ModuleState.FLAGGED, NOW + 9 * DAY), cleared, NOW + 2 * DAY).remind_at == NOW + 6 * DAY
    assert with_reminder(seat(ModuleState.FLAGGED, None), None, NOW).remind_at is None, "the last administrator's flag has no end"
