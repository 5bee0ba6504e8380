"""What the engine asks of the decisions. The engine knows offsets, frames and workers; what a command means is behind this."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from services.seats.engine.commands import Command, Rejected
from services.seats.engine.frames import Row
from shared.schemas.envelope import Envelope

Event = tuple[str, dict[str, Any], int, str | None]
"""One decision: type, body (JSON values only; `body["at"]` is the tenant's time), n, and the person it is about."""


class Published(NamedTuple):
    """A decision as read back from the log."""

    envelope: Envelope
    body: dict[str, Any]


@dataclass(slots=True)
class Decided:
    """What one command decided: events with the tenant each belongs to, and the rows it changed (None: removed; never changed later)."""

    events: list[tuple[str | None, Event]] = field(default_factory=list)
    rows: dict[str, Row | None] = field(default_factory=dict)


class At(NamedTuple):
    """Where and when a command is decided: all that a decision may know besides the state and the command."""

    partition: int
    offset: int
    clock_ms: int  # the partition's clock at this command
    previous_ms: int  # and at the one before
    rules: int


class Decider(Protocol):
    """The decisions of one partition. Its state may be ahead of what is durable by one batch."""

    def load(self, rows: Mapping[str, Row]) -> None:
        """Rebuild everything from durable rows."""
        ...

    def knows(self, rules: int) -> bool: ...

    def decide(self, command: Command, at: At) -> Decided:
        """Raises InvariantViolation. Any other error inside a decision is answered `command_failed` within `Decided`."""
        ...

    def reject(self, rejected: Rejected, at: At) -> Decided: ...

    def take_back(self, command: Command, at: At) -> Decided:
        """The decision just made is larger than a record may be: as if it had not been made, and the answer that says so."""
        ...

    def complete(self, events: Sequence[Published]) -> dict[str, Row | None]:
        """Evolve over all decisions of one command, of which the loaded rows may hold some already. Returns the rows it changes."""
        ...

    def due(self, clock_ms: int) -> bool:
        """Is there anything for a tick to settle?"""
        ...


class InvariantViolation(Exception):
    """The state after a decision is one that must not be. Ends the worker."""
