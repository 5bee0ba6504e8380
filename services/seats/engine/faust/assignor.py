"""Which worker owns which partition."""

from typing import Any

from faust.assignor.partition_assignor import PartitionAssignor
from faust.types import TP

from services.seats.engine.failstop import Exit, fail_stop


class SeatsAssignor(PartitionAssignor):
    def owner_url(self, topic: str, partition: int) -> str | None:
        """Return the address of the worker that owns the partition, or None while nobody is known to own it."""
        return self._external_tps_url.get(TP(topic, partition))

    @classmethod
    def _get_copartitioned_groups(cls, topics: set[str], cluster: Any, subscriptions: Any) -> Any:
        """Runs in the group's leader, before it makes the assignment."""
        missing = [topic for topic in topics if not cluster.partitions_for_topic(topic)]
        if missing:
            fail_stop(Exit.METADATA, "the group's leader has no metadata of a topic", topics=missing)
        return super()._get_copartitioned_groups(topics, cluster, subscriptions)
