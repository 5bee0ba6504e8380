"""Is everything of a tenant done up to its time (design, section 2)? This service's own answer, and how the others' is read."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.users import domain
from services.users.context import Tenants
from services.users.store import people, reviews
from shared.database import Database
from shared.errors import NotFound
from shared.messaging import Consumer, partition_of, unsent
from shared.schemas.base import format_instant
from shared.schemas.topics import Topic
from shared.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class Settlement:
    """`time`: the tenant's time as this service knows it; `next_due`: when it has something to do next; `fingerprint` changes whenever
    something of the tenant was done."""

    time: datetime | None
    settled: bool
    waiting_for: tuple[str, ...]
    next_due: datetime | None
    fingerprint: str

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> "Settlement":
        def instant(name: str) -> datetime | None:
            return datetime.fromisoformat(body[name]) if body.get(name) else None

        waiting_for = tuple(str(what) for what in body.get("waiting_for", ()))
        return cls(instant("time"), bool(body["settled"]), waiting_for, instant("next_due"), str(body["fingerprint"]))

    def to_json(self) -> dict[str, object]:
        return {
            "time": format_instant(self.time) if self.time else None,
            "settled": self.settled,
            "waiting_for": list(self.waiting_for),
            "next_due": format_instant(self.next_due) if self.next_due else None,
            "fingerprint": self.fingerprint,
        }


class OwnSettlement:
    def __init__(self, database: Database, tenants: Tenants, kafka: KafkaSettings, consumer: Consumer, topics: Sequence[Topic]) -> None:
        self._database, self._tenants, self._kafka, self._consumer, self._topics = database, tenants, kafka, consumer, topics

    async def __call__(self, tenant: str) -> Settlement:
        """Raises NotFound, Transient. The topics are looked at first: what a message leads to lies in the database when it is read."""
        at_end = await self._consumer.at_end(tenant)
        async with self._database.unit_of_work(tenant) as uow:
            found = await self._tenants.peek(tenant, uow)
            if found is None:
                raise NotFound("tenant")
            open_reviews = await reviews.count(tenant, uow.connection)
            day = await people.next_day(tenant, uow.connection)
        waiting_rows = await unsent(self._database, tenant)
        due = domain.local_midnight(day, found.zone) if day is not None else None
        is_due = day is not None and day <= found.today
        waiting = {"topics": not at_end, "reviews": open_reviews > 0, "due": is_due, "outbox": waiting_rows > 0}
        waiting_for = tuple(name for name, waits in waiting.items() if waits)
        return Settlement(found.now, not waiting_for, waiting_for, due, self._fingerprint(tenant, day))

    def _fingerprint(self, tenant: str, day: object) -> str:
        """Of the tenant's partitions alone, or another tenant's traffic would look like this one's."""
        positions = self._consumer.positions()
        mine = [f"{topic.name}/{partition_of(tenant.encode(), self._kafka.partitions(topic))}" for topic in self._topics]
        return hashlib.sha256(repr(([positions.get(place) for place in mine], day)).encode()).hexdigest()[:16]
