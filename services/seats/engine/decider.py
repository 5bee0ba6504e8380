"""The interface between the engine and the decisions. The engine knows offsets, frames and workers; the decider knows what a command
means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from services.seats.engine.commands import Command, Rejected
from services.seats.engine.frames import Row
from shared.schemas.envelope import Envelope

Event = tuple[str, dict[str, Any], int, str | None]
"""One decision: type, body (JSON values only; `body["at"]` is the tenant's time), n, and the person it is about."""


class Published(NamedTuple):
    """A decision read back from the log."""

    envelope: Envelope
    body: dict[str, Any]


@dataclass(slots=True)
class Decided:
    """The decision on one command: events, each with its tenant, and the rows that it changed (None: removed; never changed later)."""

    events: list[tuple[str | None, Event]] = field(default_factory=list)
    rows: dict[str, Row | None] = field(default_factory=dict)


class At(NamedTuple):
    """The position and time of a command: everything that a decision may use beside the state and the command."""

    partition: int
    offset: int
    clock_ms: int  # the partition's clock at this command
    previous_ms: int  # and at the previous command
    rules: int


class Decider(Protocol):
    """The decisions of one partition. Its state can be ahead of the durable state by one batch."""

    def load(self, rows: Mapping[str, Row]) -> None:
        """Rebuild everything from durable rows."""
        ...

    def knows(self, rules: int) -> bool: ...

    def decide(self, command: Command, at: At) -> Decided:
        """Decide a command. Raises InvariantViolation. Any other error inside a decision is answered `command_failed` within `Decided`."""
        ...

    def reject(self, rejected: Rejected, at: At) -> Decided: ...

    def take_back(self, command: Command, at: At) -> Decided:
        """Undo the decision just made, which does not fit a record, and return the answer that says so."""
        ...

    def complete(self, events: Sequence[Published]) -> dict[str, Row | None]:
        """Evolve over all decisions of one command, of which the loaded rows may contain some already. Return the rows that it changes."""
        ...

    def due(self, clock_ms: int) -> bool:
        """Is there a due item for a tick to apply?"""
        ...


class InvariantViolation(Exception):
    """The state after a decision violates an invariant. The worker exits."""
