"""The trial of a subscription: the reminders before its first charged period."""

from datetime import date
from typing import Final

from services.invoicing import store
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import add_days, local_day, start_of_day
from services.invoicing.domain.ending import TRIAL_REMINDER_DAYS, next_reminder, reminder_of
from services.invoicing.use_cases.discounts import next_amounts
from services.invoicing.use_cases.locked_tenants import time_of
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.quotes import situation_of
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.schemas.invoicing_v1 import SubscriptionStarted, TrialEndingSoon

REMINDER: Final = "trial_ending"  # kind of the due action; its reference is the subscription


async def plan_reminder(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted, today: date) -> None:
    """Set the next reminder of the trial after today, if there is one."""
    day = next_reminder(contract.trial_until, today, TRIAL_REMINDER_DAYS) if contract.trial_until is not None else None
    if day is not None:
        at = start_of_day(day, contract.time_zone)
        await store.due_actions.set_due(uow.connection, tenant_id, REMINDER, contract.subscription, at)


async def remind(uow: UnitOfWork, tenant_id: str, subscription: str, *, clock: Clock) -> None:
    """Publish the reminder of a trial, and set the next one. A subscription that ends needs none."""
    c = uow.connection
    tenant, found = await store.tenants.find(c, tenant_id, lock=True), await store.subscriptions.find(c, tenant_id)
    if tenant is None or found is None or found.subscription != subscription or found.status == "ended":
        return
    contract, at = found.contract, time_of(tenant, clock)
    today = local_day(at, contract.time_zone)
    if contract.trial_until is None or today >= contract.trial_until:
        return
    await plan_reminder(uow, tenant_id, contract, today)
    if found.status != "active" or await store.endings.find(c, tenant_id) is not None:
        return
    days = reminder_of(contract.trial_until, today, TRIAL_REMINDER_DAYS)
    event = TrialEndingSoon(
        at=start_of_day(add_days(contract.trial_until, -days), contract.time_zone),
        actor=SYSTEM,
        subscription=contract.subscription,
        ends_on=contract.trial_until,
        days=days,
        currency=contract.currency,
        first_period=next_amounts(await situation_of(uow, tenant, at)),
    )
    publish(uow, tenant_id, event, subject=contract.subscription)
