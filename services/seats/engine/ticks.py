"""Ticks bring time to partitions without commands. They are records of the log like any other, so a replay sees the same time."""

import asyncio
import random

import structlog

from services.seats.engine.engine import Engine, Live
from services.seats.engine.events import EVENT_BYTES_MAX, SOURCE
from services.seats.engine.producer import Record, Sender, pack
from shared.clock import Clock
from shared.ids import new_id
from shared.schemas import seats_v1
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of

_log = structlog.get_logger("seats.engine")

LOOK_SECONDS = 1.0


class Ticker:
    """Send a tick to each owned partition with due items, again each second until they are applied (the broker's clock may be behind).
    The other partitions get one now and then, so that the owner of an idle partition notices a foreign write in its changelog."""

    def __init__(self, engine: Engine, sender: Sender, topic: str, clock: Clock, *, idle_seconds: float) -> None:
        self._engine, self._sender, self._topic, self._clock, self._idle_seconds = engine, sender, topic, clock, idle_seconds
        self._sent: dict[int, tuple[int, float]] = {}  # partition -> (offset of our last tick, monotonic seconds)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            for live in list(self._engine.live.values()):
                if self._wanted(live):
                    await self._tick(live)

    def _wanted(self, live: Live) -> bool:
        offset, at = self._sent.get(live.number, (-1, None))
        if at is None:
            # Spread over the first period, so that the partitions of a fresh worker are not all ticked in the same second.
            at = self._clock.monotonic() - self._idle_seconds * random.random()  # noqa: S311 - no secret
            self._sent[live.number] = (offset, at)
        if offset > live.decided:
            return False  # the last tick still waits behind a backlog, whose commands apply the due items
        if live.decider.due(max(live.clock_ms, int(self._clock.now().timestamp() * 1000))):
            return True
        return self._clock.monotonic() - at >= self._idle_seconds

    async def _tick(self, live: Live) -> None:
        envelope = Envelope(id=new_id(), source=SOURCE, type=type_of(seats_v1.Tick), time=self._clock.now())
        record: Record = (envelope.key, b"{}", envelope.headers(), None)
        ((offset, _),) = await self._sender.send(self._topic, live.number, pack([record], bytes_max=EVENT_BYTES_MAX, atomic=True))
        self._sent[live.number] = (offset, self._clock.monotonic())
