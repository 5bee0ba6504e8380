"""Whether everything of a tenant is processed up to the tenant's time."""

from datetime import datetime

from services.invoicing import store
from services.invoicing.domain.calendar import local_day
from services.invoicing.store.subscriptions import Subscription
from services.invoicing.use_cases.locked_tenants import time_of
from shared.clock import Clock
from shared.database import Database
from shared.errors import NotFound
from shared.idle import IdleCheck
from shared.messaging import Consumer, unsent


async def check_idle(database: Database, consumer: Consumer, clock: Clock, tenant: str) -> IdleCheck:
    """Check whether everything of the tenant is processed up to its time. Raises Transient and NotFound.

    The end of a local day on which licences changed, and due actions, are due by time. Everything else is due when seats decides it.
    """
    # The topics are checked first, so that the database already has the effects of every message when it is read.
    at_end = await consumer.at_end(tenant)
    async with database.unit_of_work(tenant) as uow:
        found = await store.tenants.find(uow.connection, tenant)
        if found is None:
            raise NotFound("tenant")
        subscription = await store.subscriptions.find(uow.connection, tenant)
        next_due = await store.due_actions.next_due(uow.connection, tenant)
        statistics = await store.statistics.of_tenant(uow.connection, tenant)
    now = time_of(found, clock)
    waiting = {
        "day": subscription is not None and _has_ended(subscription, now),
        "actions": next_due is not None and next_due <= now,
        "topics": not at_end,
        "tenant": found.time_zone is None,
        "pdfs": statistics.unrendered > 0,
        "outbox": await unsent(database, tenant) > 0,
    }
    waiting_for = (name for name, waits in waiting.items() if waits)
    return IdleCheck.of(now, waiting_for, next_due, consumer.positions(tenant), statistics, next_due)


def _has_ended(subscription: Subscription, now: datetime) -> bool:
    """Return whether a day has ended that is not charged yet. A day after the period's end waits for seats to begin the next period."""
    day, zone = subscription.open_day, subscription.contract.time_zone
    return day is not None and day < min(local_day(now, zone), subscription.period_end)
