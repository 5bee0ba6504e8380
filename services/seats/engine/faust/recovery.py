"""The time between an assignment of partitions and the first command after it."""

import asyncio
from collections import Counter
from typing import Any

from faust.tables.recovery import Recovery
from faust.types import TP


class SeatsRecovery(Recovery):
    """Replaces two steps of Faust's recovery: what it reads (nothing, as the store restores in bulk), and its end (seek first)."""

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        """Seek before the flow of records is resumed."""
        app: Any = self.app
        consumer = app.consumer
        await app.on_rebalance_complete.send()
        self._set_recovery_ended()
        await asyncio.gather(
            *[table.on_recovery_completed(self.actives_for_table[table], self.standbys_for_table[table]) for table in self.tables.values()]
        )
        if app.consumer_generation_id != generation_id:
            self.log.warning("another rebalance began during recovery")
            return
        assignment = consumer.assignment()
        if assignment:
            await self._wait(consumer.perform_seek(), timeout=app.conf.broker_request_timeout)
        self.completed.set()
        app.flow_control.resume()  # clears the streams' queues, which are still empty here
        consumer.resume_flow()
        consumer.resume_partitions({tp for tp in assignment if not self._is_changelog_tp(tp)})
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()
        self.log.info("Worker ready")

    async def _build_offsets(self, consumer: Any, tps: set[TP], destination: Counter[TP], title: str) -> None:
        """Leave nothing for Faust to recover: the store's bulk restore reads the changelog. Faust's recovery drops records when another
        rebalance begins, and rows that are missing look like rows that compaction took."""
        await super()._build_offsets(consumer, tps, destination, title)
        if title == "active":
            for tp in tps:
                destination[tp] = self.active_highwaters[tp]
