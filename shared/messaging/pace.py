"""How often to begin work that costs little more for many items than for one."""

from shared.clock import Clock

MANY = 5  # items of a turn: more come than one after the other, so fewer turns with more items are as good


class Pace:
    """Lets work begin at once if it has begun rarely (`burst` times), and `per_second` times if it always has something to do. While there
    are `MANY` items each time, it begins `per_second_with_many` times."""

    def __init__(self, clock: Clock, *, per_second: float, burst: int, per_second_with_many: float) -> None:
        self._clock, self._every, self._every_with_many = clock, 1 / per_second, 1 / per_second_with_many
        self._at_once = burst * self._every
        self._even = clock.monotonic()  # when the work would have begun last, had it begun at even intervals

    def took_turn(self, items: int) -> float:
        """Count a turn, and return how many seconds to wait before the next one."""
        now, every = self._clock.monotonic(), self._every_with_many if items >= MANY else self._every
        # Who did not wait when told to, since there was enough to do, need not make up for that.
        self._even = min(max(self._even, now) + every, now + self._at_once + every)
        return max(0.0, self._even - now - self._at_once)
