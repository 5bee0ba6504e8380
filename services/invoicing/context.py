"""The one place where invoicing is put together: every dependency can be another one in a test."""

from dataclasses import dataclass

from services.invoicing import reads, store
from services.invoicing.accounting import Accountant
from services.invoicing.handlers import GROUP, LEDGER, TOPICS, Handlers
from services.invoicing.ordering import Ordering, time_of
from services.invoicing.settings import Settings
from shared.clock import Clock
from shared.database import Database
from shared.errors import NotFound
from shared.idle import IdleCheck
from shared.messaging import Consumer, unsent


@dataclass(frozen=True, slots=True)
class Context:
    settings: Settings
    clock: Clock
    database: Database
    consumer: Consumer
    ordering: Ordering


def make_context(settings: Settings, clock: Clock, database: Database) -> Context:
    handlers = Handlers(Accountant(settings))
    # Behind a dead letter the rest of the tenant waits: an amount made of half a history would be wrong.
    consumer = Consumer(
        group=GROUP,
        database=database,
        kafka=settings,
        topics=TOPICS,
        handlers=handlers.all(),
        tenant_exists=store.tenant_exists,
        genuine=LEDGER,
        clock=clock,
    )
    return Context(settings, clock, database, consumer, Ordering(settings, clock))


async def check_idle(context: Context, tenant: str) -> IdleCheck:
    """Is everything of the tenant done up to its time (design, section 2)? Raises Transient, and NotFound as any read.

    Nothing falls due here by itself: a period begins when seats says so, and its instant is seats' to name.
    """
    # The topics first: what a message leads to lies in the database when that is read.
    at_end = await context.consumer.at_end(tenant)
    async with context.database.unit_of_work(tenant) as uow:
        found = await store.tenant(uow.connection, tenant)
        if found is None:
            raise NotFound("tenant")
        statistics = await reads.statistics(uow.connection, tenant)
    waiting = {
        "topics": not at_end,
        "tenant": found.time_zone is None,
        "pdfs": statistics["unrendered"] > 0,
        "outbox": await unsent(context.database, tenant) > 0,
    }
    waiting_for = (name for name, waits in waiting.items() if waits)
    return IdleCheck.of(time_of(found, context.clock), waiting_for, None, context.consumer.positions(tenant), sorted(statistics.items()))
