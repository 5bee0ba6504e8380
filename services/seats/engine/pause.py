"""Detects that the process stood still (SIGSTOP, swap, a virtual machine that was moved) before it writes as if nothing had happened.

A worker that stood still longer than the group's session may have lost its partitions without knowing. A race remains: the process can
stop between a check and the send. The single-writer check on the frame's base offset covers it.
"""

import threading
from collections.abc import Callable

from services.seats.engine.failstop import Exit, fail_stop
from shared.clock import Clock

PAUSE_SECONDS_MAX = 2.0
BEAT_SECONDS = 0.1


class PauseDetector:
    """The detector beats in its own thread: CPU time on the event loop is no pause, because the interpreter switches threads."""

    def __init__(self, clock: Clock, *, on_pause: Callable[[float], None] | None = None) -> None:
        self._clock = clock
        self._on_pause = on_pause or _end
        self._beat = clock.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pause-detector", daemon=True)

    def start(self) -> None:
        self._beat = self._clock.monotonic()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def check(self) -> None:
        """Call this right before each send: after a pause, the sender may run before the beating thread does."""
        still = self._clock.monotonic() - self._beat
        if still > PAUSE_SECONDS_MAX:
            self._on_pause(still)

    def _run(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            self.check()
            self._beat = self._clock.monotonic()


def _end(seconds: float) -> None:
    fail_stop(Exit.PAUSED, "the process stood still; its partitions may belong to another worker by now", seconds=round(seconds, 2))
