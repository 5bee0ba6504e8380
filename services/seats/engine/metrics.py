"""The engine's counters for Prometheus. They are read when Prometheus asks, so counting costs a decision nothing."""

from collections.abc import Callable

from prometheus_client import Gauge

from services.seats.engine.engine import Engine

_COMMANDS = Gauge("seatpool_seats_commands", "Commands decided since this process started")
_DECISIONS = Gauge("seatpool_seats_decisions", "Decisions published")
_REJECTED = Gauge("seatpool_seats_rejected", "Commands that could not be understood")
_DUPLICATES = Gauge("seatpool_seats_duplicates", "Commands read again and skipped")
_FRAMES = Gauge("seatpool_seats_frames", "Frames written to the changelog")
_OWNED = Gauge("seatpool_seats_partitions_owned", "Partitions that this worker decides")
_ROWS = Gauge("seatpool_seats_rows", "Durable rows of the owned partitions")
_READY = Gauge("seatpool_seats_ready", "1: neither rebalancing nor restoring")


_HIDDEN = Gauge("seatpool_seats_open_transaction_messages", "Commands that an open transaction hides, of all owned partitions")


def expose(engine: Engine, ready: Callable[[], bool]) -> None:
    """Expose the counters of the one engine of this process."""
    counters = engine.counters
    _COMMANDS.set_function(lambda: counters.commands)
    _DECISIONS.set_function(lambda: counters.decisions)
    _REJECTED.set_function(lambda: counters.rejected)
    _DUPLICATES.set_function(lambda: counters.duplicates)
    _FRAMES.set_function(lambda: counters.frames)
    _OWNED.set_function(lambda: len(engine.live))
    _ROWS.set_function(lambda: sum(len(live.durable.rows) for live in engine.live.values()))
    _HIDDEN.set_function(lambda: sum(engine.hidden.values()))
    _READY.set_function(lambda: int(ready()))
