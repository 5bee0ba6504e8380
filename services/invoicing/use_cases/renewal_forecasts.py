"""Forecasts of a renewal that would flag people or cancel reservations: 30, 7 and 1 days before it, and at once when a later change makes
the forecast worse."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from services.invoicing import store
from services.invoicing.domain.calendar import add_days, local_day, start_of_day
from services.invoicing.domain.ending import REMINDER_DAYS, next_reminder, reminder_of
from services.invoicing.domain.prices import lowered
from services.invoicing.store.due_actions import DueAction
from services.invoicing.store.renewal_forecasts import KIND, REFERENCE, Told
from services.invoicing.store.subscriptions import Subscription
from services.invoicing.use_cases.locked_tenants import time_of
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.scheduled_plans import plan_that_begins, pool_terms, scheduled_plan
from services.invoicing.use_cases.seats_questions import Forecast, Seats
from shared.clock import Clock
from shared.database import Database, UnitOfWork
from shared.errors import Transient
from shared.schemas.base import Actor
from shared.schemas.invoicing_v1 import RenewalForecast
from shared.schemas.seats_v1 import Expected, ExpectedPool, LicenceCount, PeriodStarted, ScheduleReduction, WouldCancel, WouldFlag

SYSTEM = Actor(kind="system", id="invoicing")
NOT_TOLD = REMINDER_DAYS[0] + 1  # days before the renewal: no forecast was due yet


@dataclass(frozen=True, slots=True)
class Asked:
    """Whom the renewal would flag, whose reservations it would cancel, and the most licences that the scheduled plan allows of the modules
    that it reduces."""

    would_flag: tuple[WouldFlag, ...] = ()
    would_cancel: tuple[WouldCancel, ...] = ()
    at_most: Mapping[str, int] = field(default_factory=dict)


async def plan_forecasts(uow: UnitOfWork, tenant_id: str, period_end: date, at: datetime, zone: str) -> None:
    """A period has begun: plan the forecasts of the next renewal. If it is near already, any change can make the forecast worse."""
    today = local_day(at, zone)
    await store.renewal_forecasts.forget(uow.connection, tenant_id)
    if today >= add_days(period_end, -REMINDER_DAYS[0]):
        modules = await store.pools.reported(uow.connection, tenant_id)
        await store.renewal_forecasts.put(uow.connection, tenant_id, dict.fromkeys(modules, 0), {}, {}, NOT_TOLD)
    await _plan_next(uow, tenant_id, period_end, today, zone)


async def _plan_next(uow: UnitOfWork, tenant_id: str, period_end: date, today: date, zone: str) -> None:
    day = next_reminder(period_end, today)
    if day is None:
        await store.due_actions.cancel(uow.connection, tenant_id, KIND, REFERENCE)
    else:
        await store.due_actions.set_due(uow.connection, tenant_id, KIND, REFERENCE, start_of_day(day, zone))


async def ask(database: Database, seats: Seats, tenant_id: str) -> Asked:
    """Ask seats whom the renewal would flag, and whose reservations it would cancel; outside of any transaction. Raises Transient: seats
    cannot answer now."""
    async with database.unit_of_work(tenant_id) as uow:
        found = await store.subscriptions.find(uow.connection, tenant_id)
        if found is None or found.status != "active":
            return Asked()
        can_flag = await store.renewal_forecasts.is_above(uow.connection, tenant_id) or await _is_reduced_by_leavers(uow, tenant_id)
        is_planned = await scheduled_plan(uow, tenant_id, found.contract) is not None
    if not can_flag and not is_planned:
        return Asked()
    renewal = _answered(await seats.forecast(tenant_id, start_of_day(found.period_end, found.contract.time_zone)))
    by_plan = None
    if is_planned:
        async with database.unit_of_work(tenant_id) as uow:
            by_plan = await _reductions_of_plan(uow, tenant_id, found, renewal.period)
    if by_plan is None:
        return Asked(tuple(renewal.would_flag), tuple(renewal.would_cancel))
    planned = _answered(await seats.what_if(tenant_id, by_plan))
    would_flag = {each.module: each for each in (*renewal.would_flag, *planned.would_flag)}
    would_cancel = {each.module: each for each in (*renewal.would_cancel, *planned.would_cancel)}
    at_most = {item.module: item.quantity for item in by_plan.items}
    return Asked(tuple(would_flag.values()), tuple(would_cancel.values()), at_most)


async def _is_reduced_by_leavers(uow: UnitOfWork, tenant_id: str) -> bool:
    """Tell whether a leaver can lower a number while people wait for the seat (M9)."""
    return any(terms.policies.terminate_reduces_pool for terms in (await pool_terms(uow, tenant_id)).values())


def _answered(found: Forecast | None) -> Forecast:
    if found is None:
        raise Transient("seats does not answer the forecast of a renewal")
    return found


async def _reductions_of_plan(
    uow: UnitOfWork, tenant_id: str, found: Subscription, period: PeriodStarted | None
) -> ScheduleReduction | None:
    """Return the reductions of the scheduled plan as a question to seats, which does not know of them before the period begins."""
    pools = await store.pools.reported(uow.connection, tenant_id)
    following = await plan_that_begins(uow, tenant_id, found.contract, pools, period)
    if following is None:
        return None
    numbers = {module: pool.next_period for module, pool in pools.items()}
    fewer = {module: number for module, number in lowered(following.plan, following.term, numbers).items() if number}
    if not fewer:
        return None
    tenant = await store.tenants.find(uow.connection, tenant_id)
    assert tenant is not None
    expected = tuple(
        ExpectedPool(module=module, licences=pools[module].licences, next_period=pools[module].next_period) for module in sorted(fewer)
    )
    items = tuple(LicenceCount(module=module, quantity=number) for module, number in sorted(fewer.items()))
    return ScheduleReduction(number=1, items=items, expected=Expected(period=tenant.period, pools=expected))


async def tell(uow: UnitOfWork, action: DueAction, forecast: Asked, clock: Clock) -> None:
    """Publish the forecast if it is due or worse than the last one, and plan the next one. A renewal that flags nobody and cancels no
    reservation needs none."""
    c = uow.connection
    tenant = await store.tenants.find(c, action.tenant_id, lock=True)
    found = await store.subscriptions.find(c, action.tenant_id)
    if tenant is None or found is None or found.status != "active":
        return None
    zone = found.contract.time_zone
    today = local_day(time_of(tenant, clock), zone)
    if not add_days(found.period_end, -REMINDER_DAYS[0]) <= today < found.period_end:
        return await _plan_next(uow, action.tenant_id, found.period_end, today, zone)
    told, days = await store.renewal_forecasts.told(c, action.tenant_id), reminder_of(found.period_end, today)
    would_flag = dict.fromkeys([*told, *(await store.pools.reported(c, action.tenant_id))], 0)
    would_flag |= {each.module: each.count for each in forecast.would_flag}
    would_cancel = {each.module: each.count for each in forecast.would_cancel}
    is_due = all(days < each.days for each in told.values())
    is_worse = any(_is_worse(each, would_flag[module], would_cancel.get(module, 0)) for module, each in told.items())
    if (any(would_flag.values()) or any(would_cancel.values())) and (is_due or is_worse):
        publish(uow, action.tenant_id, _event(action, found, forecast, today), subject=found.subscription)
    await store.renewal_forecasts.put(c, action.tenant_id, would_flag, would_cancel, forecast.at_most, days)
    return await _plan_next(uow, action.tenant_id, found.period_end, today, zone)


def _is_worse(told: Told, would_flag: int, would_cancel: int) -> bool:
    """Tell whether more people or seats lose something. A reservation that is claimed becomes a person over the limit."""
    return would_flag > told.would_flag or would_flag + would_cancel > told.would_flag + told.would_cancel


def _event(action: DueAction, found: Subscription, forecast: Asked, today: date) -> RenewalForecast:
    return RenewalForecast(
        at=action.due_at,
        actor=SYSTEM,
        subscription=found.subscription,
        begins_on=found.period_end,
        days=(found.period_end - today).days,
        would_flag=tuple(each for each in forecast.would_flag if each.count),
        would_cancel=tuple(each for each in forecast.would_cancel if each.count),
    )
