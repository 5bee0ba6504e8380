"""The speed of a measured run, and percentiles."""

from collections.abc import Sequence
from typing import NamedTuple


class Speed(NamedTuple):
    """`cpu_us`: microseconds of CPU time of the measured process, for each command."""

    commands: int
    per_second: int
    cpu_us: float

    @classmethod
    def of(cls, commands: int, seconds: float, cpu_seconds: float) -> "Speed":
        return cls(commands, round(commands / seconds), round(cpu_seconds / commands * 1e6, 1))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of them do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
