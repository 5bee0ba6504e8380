"""Whether everything of a tenant is processed up to the tenant's time."""

from services.invoicing import store
from services.invoicing.use_cases.locked_tenants import time_of
from shared.clock import Clock
from shared.database import Database
from shared.errors import NotFound
from shared.idle import IdleCheck
from shared.messaging import Consumer, unsent


async def check_idle(database: Database, consumer: Consumer, clock: Clock, tenant: str) -> IdleCheck:
    """Check whether everything of the tenant is processed up to its time. Raises Transient and NotFound.

    Invoicing has no due items of its own: seats decides when a period begins.
    """
    # The topics are checked first, so that the database already has the effects of every message when it is read.
    at_end = await consumer.at_end(tenant)
    async with database.unit_of_work(tenant) as uow:
        found = await store.tenants.find(uow.connection, tenant)
        if found is None:
            raise NotFound("tenant")
        statistics = await store.statistics.of_tenant(uow.connection, tenant)
    waiting = {
        "topics": not at_end,
        "tenant": found.time_zone is None,
        "pdfs": statistics.unrendered > 0,
        "outbox": await unsent(database, tenant) > 0,
    }
    waiting_for = (name for name, waits in waiting.items() if waits)
    return IdleCheck.of(time_of(found, clock), waiting_for, None, consumer.positions(tenant), statistics)
