"""The ends of the command topic's partitions: no decision can be about a command that does not exist."""

import asyncio

from aiokafka import TopicPartition

from shared.clock import Clock
from shared.kafka import Ends
from shared.schemas.topics import SEATS_COMMANDS
from shared.settings import KafkaSettings

ASK_AGAIN_SECONDS = 1.0  # after a position that turned out to be above the end


class CommandEnds:
    """Remembers the greatest end of each partition, as ends only grow.

    The broker is asked only when a position is not below the greatest end known, and at most once a second after an answer that did not
    reach the position: invented positions cause no flood of requests. An answer that did reach it was needed, and the next new
    decision is about a later command, so after such an answer nobody waits. With a second between any two questions each reader took up to
    a second longer to show a decision, and a purchase over three services six (measured in `test_invoicing_process.py`).
    """

    def __init__(self, kafka: KafkaSettings, ends: Ends, clock: Clock) -> None:
        self._topic, self._ends, self._clock = kafka.topic_name(SEATS_COMMANDS), ends, clock
        self._known: dict[int, int] = {}
        self._not_before: dict[int, float] = {}  # when the broker may be asked again

    async def end_for(self, partition: int, offset: int) -> int:
        """Return the end of the partition as far as needed: an end above `offset`, or the end at a time after this call. The command of a
        real decision existed before the decision was read, so no real decision is taken for a false one. Raises Transient."""
        known = self._known.get(partition, 0)
        if offset < known:
            return known
        wait = self._not_before.get(partition, 0.0) - self._clock.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        tp = TopicPartition(self._topic, partition)
        end = max(known, (await self._ends.of([tp]))[tp])
        self._known[partition] = end
        if offset >= end:
            self._not_before[partition] = self._clock.monotonic() + ASK_AGAIN_SECONDS
        return end
