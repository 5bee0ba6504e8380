"""The one place where invoicing is put together: every dependency can be another one in a test."""

import hashlib
from dataclasses import dataclass

from services.invoicing import reads, store
from services.invoicing.accounting import Accountant
from services.invoicing.handlers import GROUP, TOPICS, Handlers
from services.invoicing.ordering import Ordering, time_of
from services.invoicing.settings import Settings
from shared.clock import Clock
from shared.database import Database
from shared.messaging import Consumer, partition_of, unsent
from shared.schemas.base import format_instant


@dataclass(frozen=True, slots=True)
class Context:
    settings: Settings
    clock: Clock
    database: Database
    consumer: Consumer
    ordering: Ordering


def make_context(settings: Settings, clock: Clock, database: Database) -> Context:
    handlers = Handlers(Accountant(settings))
    # Behind a parked message the rest of the tenant waits: an amount made of half a history would be wrong.
    consumer = Consumer(
        group=GROUP, database=database, kafka=settings, topics=TOPICS, handlers=handlers.all(), park_tenant=True, clock=clock
    )
    return Context(settings, clock, database, consumer, Ordering(settings, clock))


async def settlement(context: Context, tenant: str) -> dict[str, object]:
    """Is everything of the tenant done up to its time (design, section 2)? Raises Transient.

    Nothing falls due here by itself: a period begins when seats says so, and its instant is seats' to name.
    """
    # The topics first: what a message leads to lies in the database when that is read.
    at_end = await context.consumer.at_end(tenant)
    async with context.database.unit_of_work(tenant) as uow:
        found = await store.tenant(uow.connection, tenant)
        figures = await reads.figures(uow.connection, tenant)
    rows = await unsent(context.database, tenant)
    waiting = {
        "topics": not at_end,
        "tenant": found is None or found.time_zone is None,
        "pdfs": figures["unrendered"] > 0,
        "outbox": rows > 0,
    }
    waiting_for = [name for name, waits in waiting.items() if waits]
    partitions = {f"{topic.name}/{partition_of(tenant.encode(), context.settings.partitions(topic))}" for topic in TOPICS}
    places = [(place, offset) for place, offset in context.consumer.positions().items() if place in partitions]
    return {
        "time": format_instant(time_of(found, context.clock)) if found else None,
        "settled": not waiting_for,
        "waiting_for": waiting_for,
        "next_due": None,
        "fingerprint": hashlib.sha256(repr((places, sorted(figures.items()))).encode()).hexdigest()[:16],
    }
