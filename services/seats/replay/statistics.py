"""Counts over a tenant's whole life, from the decisions in the log. The rows only have the present state.

Each partition's log is read once, and later from where the last reading ended, so that a second question only reads what was decided
since. The first reading can take longer than a caller waits. It then continues in small steps between decisions, and the caller can ask
again.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from services.seats.replay.log_reader import LogOrder, LogReader
from shared.errors import Transient
from shared.schemas import seats_v1
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of

ANSWER_SECONDS_MAX = 5.0
YIELD_EVERY = 100  # decisions: a fetch has thousands, and this loop also decides commands
_REVOKED = type_of(seats_v1.SeatRevoked)
_ANSWERS = {type_of(model) for model in (seats_v1.SeatsAssigned, seats_v1.SeatsQueued, seats_v1.SeatsRefused, seats_v1.SeatsMoved)}


@dataclass(slots=True)
class _Counts:
    decisions: int = 0
    revoked: set[tuple[str, str]] = field(default_factory=set)
    refused: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class _Partition:
    """`newest` is the (command offset, n) of the newest decision counted. Repeated decisions are not above it."""

    number: int
    read: int = 0
    newest: tuple[int, int] = (-1, -1)
    tenants: dict[str, _Counts] = field(default_factory=dict)
    reading: asyncio.Task[None] | None = None  # two readings at once would count the same decisions twice
    following: asyncio.Task[None] | None = None  # for all callers since `reading` began, which may not reach what they have seen


class Statistics:
    """Statistics per tenant, counted from the decisions in the log."""

    def __init__(self, log: LogReader, *, seconds_max: float = ANSWER_SECONDS_MAX) -> None:
        self._log, self._seconds_max = log, seconds_max
        self._partitions: dict[int, _Partition] = {}

    async def of(self, tenant: str, partition: int) -> dict[str, int]:
        """Return the counts over everything decided before the call. Raises Transient if they are not ready yet."""
        known = self._partitions.setdefault(partition, _Partition(partition))
        if known.following is None:
            known.following = asyncio.create_task(self._read(known, known.reading))
        try:
            async with asyncio.timeout(self._seconds_max):
                await asyncio.shield(known.following)
        except TimeoutError:
            raise Transient("the decisions of this partition are still being counted") from None
        counts = known.tenants.get(tenant, _Counts())
        return {"revoked": len(counts.revoked), "refused": len(counts.refused), "decisions": counts.decisions}

    async def _read(self, known: _Partition, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        known.reading, known.following = known.following, None
        async for envelope, order, body, record in self._log.decisions(known.number, known.read):
            known.read = record.offset + 1
            _count(known, envelope, order, body)
            if known.read % YIELD_EVERY == 0:
                await asyncio.sleep(0)


def _count(known: _Partition, envelope: Envelope, order: LogOrder, body: dict[str, Any]) -> None:
    if order <= known.newest or envelope.tenant is None:
        return
    known.newest = order
    counts = known.tenants.setdefault(envelope.tenant, _Counts())
    counts.decisions += 1
    if envelope.type == _REVOKED:
        counts.revoked.add((body["user"], body["module"]))
    elif envelope.type in _ANSWERS:
        counts.refused |= {(body["user"], seat["module"]) for seat in body["modules"] if seat["state"] == "refused"}
