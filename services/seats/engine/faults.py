"""Forced exits at critical points, for the chaos run. They are off without `SEATPOOL_SEATS_FAULTS`."""

import random
from enum import StrEnum

from services.seats.engine.failstop import Exit, fail_stop


class Place(StrEnum):
    AFTER_DECISIONS = "after_decisions"  # decisions are acknowledged, the frame is not sent
    IN_FRAME = "in_frame"  # the frame is somewhere on its way
    BETWEEN_PARTS = "between_parts"  # within a command that takes several frames
    AFTER_FRAME = "after_frame"  # the frame is acknowledged, nothing is visible yet


class Faults:
    """Parse `text`: `place:probability,…`. Each pass draws a new random number."""

    def __init__(self, text: str = "") -> None:
        self._chances = {Place(place): float(chance) for place, chance in (part.split(":") for part in text.split(",") if part)}

    def __bool__(self) -> bool:
        return bool(self._chances)

    def at(self, place: Place) -> None:
        if self.drawn(place):
            fail_stop(Exit.FAULT, "forced by the chaos run", place=str(place))

    def drawn(self, place: Place) -> bool:
        return bool(self._chances) and random.random() < self._chances.get(place, 0.0)  # noqa: S311 - no secret
