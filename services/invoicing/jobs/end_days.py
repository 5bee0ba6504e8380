"""Charge the changes of each local day when the day has ended. Any number of processes can run this job: each day is charged once."""

import asyncio

import structlog

from services.invoicing import store
from services.invoicing.domain.calendar import local_day
from services.invoicing.store.subscriptions import OpenDay
from services.invoicing.use_cases.issue_invoices import end_days
from services.invoicing.wiring import Wiring
from shared.errors import Poison, Transient

log = structlog.get_logger(__name__)

LOOK_EVERY_SECONDS = 5  # how late a day may be charged


async def end_days_of_all(wiring: Wiring) -> None:
    """Charge the days that have ended. A tenant whose history cannot be computed keeps nobody else waiting."""
    async with wiring.database.unit_of_work(None) as uow:
        found = await store.subscriptions.open_days(uow.connection)
    for each in found:
        today = local_day(wiring.clock.now(), each.time_zone)
        if each.open_day >= today:
            continue
        try:
            async with wiring.database.unit_of_work(each.tenant_id) as uow:
                await end_days(uow, each.tenant_id, wiring.settings, today, None)
                if each.reason:
                    await store.subscriptions.set_reason(uow.connection, each.tenant_id, "")
        except MemoryError:
            raise
        except Exception as error:  # of this tenant: it is tried again at the next look
            bug = None if isinstance(error, Poison | Transient) else error
            log.error("day_not_charged", tenant=each.tenant_id, day=each.open_day.isoformat(), error=str(error), exc_info=bug)
            if isinstance(error, Poison):
                await _park(wiring, each, error)


async def _park(wiring: Wiring, day: OpenDay, error: Poison) -> None:
    """Save the reason at the subscription, where the operator sees it. The next look tries again."""
    reason = f"the changes of {day.open_day} cannot be charged: {error}"[:500]
    if reason != day.reason:
        async with wiring.database.unit_of_work(day.tenant_id) as uow:
            await store.subscriptions.set_reason(uow.connection, day.tenant_id, reason)


async def keep_ending_days(wiring: Wiring) -> None:
    """Look again and again until cancelled. After a transient error, try again."""
    while True:
        try:
            await end_days_of_all(wiring)
        except Transient as error:
            log.warning("job_temporarily_failed", error=str(error))
        await asyncio.sleep(LOOK_EVERY_SECONDS)
