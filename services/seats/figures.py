"""Counts over a tenant's whole run, from the decisions in the log: the rows keep only what is true now.

Each partition's log is read once and then from where the last reading ended, so a second question costs what was decided since.
"""

import asyncio
from dataclasses import dataclass, field

import orjson

from services.seats.engine.history import History, Place
from shared.schemas import seats_v1
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of

_REVOKED = type_of(seats_v1.SeatRevoked)
_ANSWERS = {type_of(model) for model in (seats_v1.SeatsAssigned, seats_v1.SeatsQueued, seats_v1.SeatsRefused)}


@dataclass(slots=True)
class _Counts:
    decisions: int = 0
    revoked: set[tuple[str, str]] = field(default_factory=set)
    refused: set[tuple[str, str]] = field(default_factory=set)


@dataclass(slots=True)
class _Partition:
    """`newest`: (command offset, n) of the newest decision counted. Repeated decisions are not above it."""

    read: int = 0
    newest: tuple[int, int] = (-1, -1)
    tenants: dict[str, _Counts] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)  # two readers would count the same decisions twice


class Figures:
    def __init__(self, history: History) -> None:
        self._history = history
        self._partitions: dict[int, _Partition] = {}

    async def of(self, tenant: str, partition: int) -> dict[str, int]:
        known = self._partitions.setdefault(partition, _Partition())
        async with known.lock:
            async for envelope, place, record in self._history.decisions(partition, known.read):
                known.read = record.offset + 1
                _count(known, envelope, place, record.value)
        counts = known.tenants.get(tenant, _Counts())
        return {"revoked": len(counts.revoked), "refused": len(counts.refused), "decisions": counts.decisions}


def _count(known: _Partition, envelope: Envelope, place: Place, value: bytes) -> None:
    if place <= known.newest or envelope.tenant is None:
        return
    known.newest = place
    counts = known.tenants.setdefault(envelope.tenant, _Counts())
    counts.decisions += 1
    if envelope.type == _REVOKED:
        body = orjson.loads(value)
        counts.revoked.add((body["user"], body["module"]))
    elif envelope.type in _ANSWERS:
        body = orjson.loads(value)
        counts.refused |= {(body["user"], seat["module"]) for seat in body["modules"] if seat["state"] == "refused"}
