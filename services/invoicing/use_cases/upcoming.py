"""The next invoice of a tenant, before it is issued."""

from datetime import date, datetime

from services.invoicing import store
from services.invoicing.domain.calendar import start_of_day
from services.invoicing.domain.plan_change import PoolTerms
from services.invoicing.domain.quote import Pool
from services.invoicing.domain.upcoming import upcoming
from services.invoicing.store.subscriptions import Subscription
from services.invoicing.use_cases.issue_invoices import read_facts
from services.invoicing.use_cases.price_lists import next_price_list
from services.invoicing.use_cases.quotes import ended
from services.invoicing.use_cases.scheduled_plans import plan_that_begins, pool_terms, scheduled_plan
from services.invoicing.use_cases.seats_questions import Seats
from shared.database import Database, UnitOfWork
from shared.errors import Conflict
from shared.schemas.invoicing_v1 import InvoiceIssued
from shared.schemas.seats_v1 import PeriodStarted, ReduceBelowUse


async def upcoming_invoice(
    database: Database, seats: Seats, tenant_id: str, *, if_ended: bool = False
) -> tuple[date, str, InvoiceIssued | None]:
    """Return the day of the next invoice, its currency, and the document as it would be today. Raises NotFound, Conflict.

    Seats is asked outside of any transaction. While it does not answer, the next period's numbers count as they are. `if_ended`: the last
    document, if the subscription ends with its period.
    """
    async with database.unit_of_work(tenant_id) as uow:
        active = await _active(uow, tenant_id)
        begins_at = None if if_ended else await _question(uow, tenant_id, active)
    foreseen = await seats.forecast(tenant_id, begins_at) if begins_at is not None else None
    async with database.unit_of_work(tenant_id) as uow:
        return await _document(uow, tenant_id, foreseen.period if foreseen is not None else None, if_ended=if_ended)


async def _active(uow: UnitOfWork, tenant_id: str) -> Subscription:
    found = await store.subscriptions.need(uow.connection, tenant_id)
    if found.status == "ended":
        ending = await store.endings.find(uow.connection, tenant_id)
        if ending is not None:
            raise ended(ending.ends_on)
    if found.status != "active":
        raise Conflict(
            "subscription-pending",
            "The subscription is not active yet, so there is no next invoice. Try again when its status is `active`.",
        )
    return found


async def _question(uow: UnitOfWork, tenant_id: str, found: Subscription) -> datetime | None:
    """Return the instant about which seats has to be asked: the start of the next period, if it can have other numbers than the pools
    have for it. None: it cannot."""
    pools, terms = await store.pools.reported(uow.connection, tenant_id), await pool_terms(uow, tenant_id)
    is_planned = await scheduled_plan(uow, tenant_id, found.contract) is not None
    differs = any(_can_differ(pool, terms[module], is_planned=is_planned) for module, pool in pools.items() if module in terms)
    return start_of_day(found.period_end, found.contract.time_zone) if differs else None


def _can_differ(pool: Pool, terms: PoolTerms, *, is_planned: bool) -> bool:
    """Tell whether people decide about the number: leavers reduce it, or under `block` the seats in use limit a reduction (B12)."""
    if terms.policies.terminate_reduces_pool:
        return True
    is_reduced = 0 < pool.next_period < pool.licences or is_planned
    return is_reduced and terms.policies.reduce_below_use == ReduceBelowUse.BLOCK


async def _document(
    uow: UnitOfWork, tenant_id: str, period: PeriodStarted | None, *, if_ended: bool
) -> tuple[date, str, InvoiceIssued | None]:
    c, found = uow.connection, await _active(uow, tenant_id)
    contract, ending = found.contract, await store.endings.find(c, tenant_id)
    plan, details = await next_price_list(uow, tenant_id, contract, found.period_end), await store.billing_details.in_force(c, tenant_id)
    assert details is not None
    pools = await store.pools.reported(c, tenant_id)
    following = await plan_that_begins(uow, tenant_id, contract, pools, period) if ending is None and not if_ended else None
    numbers = {module: 0 if if_ended else pool.next_period for module, pool in pools.items()}
    if period is not None:
        numbers = {item.module: item.quantity for item in period.licences}
    document = upcoming(await read_facts(uow, tenant_id), contract, numbers, plan.version, details.version, following)
    return found.period_end, contract.currency, document
