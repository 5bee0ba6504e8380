"""When people are reminded that a grace ends."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from services.users.domain.module_states import ModuleState, Seat

BEFORE_THE_END: Final = (timedelta(days=3), timedelta(days=1))


def next_reminder(deadline: datetime | None, after: datetime) -> datetime | None:
    """Return the first reminder of a grace that comes after an instant; None if there is none. A flag without a deadline has no end."""
    if deadline is None:
        return None
    return next((deadline - before for before in BEFORE_THE_END if deadline - before > after), None)


def with_reminder(seat: Seat, before: Seat | None, at: datetime) -> Seat:
    """Return the seat with the time of its next reminder; `at` is the time of the decision. A flag that is shown again keeps its reminders:
    none is sent twice."""
    if seat.state is not ModuleState.FLAGGED:
        return replace(seat, remind_at=None)
    if before is not None and (before.state, before.deadline) == (seat.state, seat.deadline):
        return replace(seat, remind_at=before.remind_at)
    return replace(seat, remind_at=next_reminder(seat.deadline, at))
