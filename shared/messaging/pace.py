"""How often to begin work that costs little more for many items than for one."""

from shared.clock import Clock


class Pace:
    """Lets work begin at once if it has begun rarely (`burst` times), and `per_second` times if it always has something to do."""

    def __init__(self, clock: Clock, *, per_second: float, burst: int) -> None:
        self._clock, self._every, self._burst = clock, 1 / per_second, burst
        self._even = clock.monotonic()  # when the work would have begun last, had it begun at even intervals

    def took_turn(self) -> float:
        """Count a turn, and return how many seconds to wait before the next one."""
        now = self._clock.monotonic()
        self._even = max(self._even, now) + self._every
        return max(0.0, self._even - now - self._burst * self._every)
