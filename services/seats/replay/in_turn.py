"""Find the decisions that readers of the log believe, once all of the log is there.

Readers believe no decision about a command that does not exist yet. When the command exists later, only the decisions behind it show
that the record came too early: a worker publishes all decisions about a command before the first about the next one.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from services.seats.replay.log_reader import LogOrder
from shared.schemas.envelope import Envelope

AHEAD_MAX = 1_000  # decisions that one is compared with; a row of more false ones than these is not found out


class Found(NamedTuple):
    """A decision as read from the log, and its record."""

    envelope: Envelope
    order: LogOrder
    body: dict[str, Any]
    record: Any


async def in_turn(decisions: AsyncIterator[Found], ahead: Callable[[Any], None]) -> AsyncIterator[Found]:
    """Yield the decisions without those in front of one about an earlier command; `ahead` is called with the record of each of these.

    Repeated ones are yielded, too, behind the first.
    """
    held: dict[LogOrder, list[Found]] = {}  # in the order of their commands
    yielded: LogOrder = (-1, -1)
    async for found in decisions:
        if found.order <= yielded:
            yield found
            continue
        if found.order not in held:
            while held and next(reversed(held))[0] > found.order[0]:
                for false in held.popitem()[1]:
                    ahead(false.record)
        held.setdefault(found.order, []).append(found)
        if len(held) > AHEAD_MAX:
            first = next(iter(held))
            yielded = max(yielded, first)
            for each in held.pop(first):
                yield each
    for waiting in held.values():
        for each in waiting:
            yield each
