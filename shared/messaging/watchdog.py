"""Notices partitions that do not get on although broker and database answer."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.clock import Clock

FAILING_FACTOR = 4  # an attempt that fails and is repeated is a sign of life, but not for more than so many times the limit
P = TypeVar("P", bound=Hashable)


class Stalled(Exception):
    """Messages wait and nothing happens: only a new process helps."""


@dataclass(slots=True)
class _Partition:
    moved_at: float  # when its position moved last, or it had nothing to do
    tried_at: float  # when an attempt began or failed last
    waits_for_turn: bool = False
    position: int | None = None
    waiting: int | None = None  # messages


class Watchdog(Generic[P]):
    """Knows when each partition of this process got on last. It compares the position that was committed with the end of the partition:
    a loop that turns, a fetch that returns nothing or an attempt that is repeated is no progress."""

    def __init__(self, group: str, clock: Clock, stall_seconds: float) -> None:
        self._group, self._clock, self._stall_seconds = group, clock, stall_seconds
        self._partitions: dict[P, _Partition] = {}
        self._without_since: float | None = None
        self._looked_at = self._turn_at = clock.monotonic()

    def begin(self, partition: P) -> None:
        now = self._clock.monotonic()
        self._partitions[partition] = _Partition(now, now)

    def end(self, partition: P) -> None:
        self._partitions.pop(partition, None)

    def failed(self, partition: P) -> None:
        """Count an attempt that failed and is repeated."""
        if known := self._partitions.get(partition):
            known.tried_at = self._clock.monotonic()

    def waits_for_turn(self, partition: P) -> None:
        """Count the waiting for other partitions, of which only some work at once, as a sign of life while these begin and end."""
        if known := self._partitions.get(partition):
            known.waits_for_turn = True

    def has_turn(self, partition: P) -> None:
        self._turn_at = self._clock.monotonic()
        if known := self._partitions.get(partition):
            known.waits_for_turn, known.tried_at = False, self._turn_at

    def waits_for_partitions(self) -> None:
        """The group shares out its partitions."""
        if self._without_since is None:
            self._without_since = self._clock.monotonic()

    def got_partitions(self) -> None:
        self._without_since = None

    def pardon(self) -> None:
        """Count from now: broker or database does not answer, so nobody gets on, and a new process would not either."""
        now = self._clock.monotonic()
        for known in self._partitions.values():
            known.moved_at = now
        if self._without_since is not None:
            self._without_since = now

    def look(self, positions: Mapping[P, int], ends: Mapping[P, int]) -> bool:
        """Compare the committed positions with the ends. Return whether somebody waits and has not got on since the last look."""
        now, waits = self._clock.monotonic(), self._without_since is not None
        if now - self._looked_at > self._stall_seconds:
            self.pardon()  # this process itself did not run: it was stopped, or the machine slept
        self._looked_at = now
        for partition, known in self._partitions.items():
            position, end = positions.get(partition), ends.get(partition)
            known.waiting = None if position is None or end is None else end - position
            if position is not None and (position != known.position or (known.waiting is not None and known.waiting <= 0)):
                known.position, known.moved_at = position, now
            else:
                waits = True
        return waits

    def check(self) -> None:
        """Raises Stalled."""
        now = self._clock.monotonic()
        for partition, known in self._partitions.items():
            tried_at = max(known.tried_at, self._turn_at) if known.waits_for_turn else known.tried_at
            still, silent = now - known.moved_at, now - max(known.moved_at, tried_at)
            if silent > self._stall_seconds or still > FAILING_FACTOR * self._stall_seconds:
                count = "an unknown number of" if known.waiting is None else str(known.waiting)
                raise Stalled(f"{self._group}: {count} messages wait in {partition}, no progress for {still:.0f} s")
        if self._without_since is not None and now - self._without_since > FAILING_FACTOR * self._stall_seconds:
            raise Stalled(f"{self._group}: the group has shared out no partitions for {now - self._without_since:.0f} s")
