"""The steps of a test clock."""

from collections.abc import Iterable
from datetime import datetime


def next_instant(due: Iterable[datetime | None], *, at: datetime, sent_to: datetime | None, to: datetime) -> datetime:
    """The next instant at which a service has something to do, but never beyond the advance's end, and never one that was sent already:
    `at` was read before the wait for the last step, so it may be the time before that step."""
    now = sent_to or at
    return min([to, *(instant for instant in due if instant is not None and instant > now)])


def has_come(times: Iterable[datetime | None], sent_to: datetime | None) -> bool:
    """Have all services that keep a time for the tenant read that it is `sent_to`?"""
    return sent_to is None or all(time is None or time >= sent_to for time in times)
