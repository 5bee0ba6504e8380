"""The only place that reads the wall clock. Decisions take their time from the log instead (docs/architecture.md)."""

import time
from datetime import UTC, datetime
from typing import Protocol

from shared.schemas.base import to_milliseconds


class Clock(Protocol):
    def now(self) -> datetime:
        """Return the time in UTC, in whole milliseconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds for durations and timeouts."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return to_milliseconds(datetime.now(UTC))

    def monotonic(self) -> float:
        return time.monotonic()


class FixedClock:
    """A clock for tests: it stands still until a test moves it."""

    def __init__(self, at: datetime) -> None:
        self.at, self.seconds = to_milliseconds(at), 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds
