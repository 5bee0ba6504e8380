"""The monthly budget of a tenant: what of it is used, and which purchases and expansions it allows."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Final

from services.invoicing import store
from services.invoicing.domain.budget import Expandable, budget_caps, following_month, month_of
from services.invoicing.domain.calendar import local_day, start_of_day
from services.invoicing.domain.prices import dearest_minor, prices_of
from services.invoicing.store.budget import BudgetUse
from services.invoicing.store.purchase_settings import NONE, PurchaseSettings
from services.invoicing.store.subscriptions import Module
from services.invoicing.use_cases.price_lists import own_price_list
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.money import format_amount
from shared.schemas.invoicing_v1 import QuoteIssued, SubscriptionStarted
from shared.schemas.seats_v1 import OverLimit, Policies, PoolExpanded

NEW_MONTH: Final = "budget_month"  # kind of the due action at the start of each month
REFERENCE: Final = "budget"
NO_TOTALS: Final[Mapping[str, int]] = {}


def added_minor(quote: QuoteIssued) -> int:
    """Return the recurring net amount that a purchase adds to a period."""
    return sum(
        line.recurring_then_minor - line.recurring_now_minor if line.steps else line.quantity * line.unit_price_minor
        for line in quote.lines
    )


async def left_of(uow: UnitOfWork, tenant_id: str, settings: PurchaseSettings, day: date) -> int | None:
    """Return what is left of the budget of the month; None: there is no budget."""
    if settings.monthly_budget_minor is None:
        return None
    return settings.monthly_budget_minor - await store.budget.used_minor(uow.connection, tenant_id, month_of(day))


async def exceeds_budget(uow: UnitOfWork, tenant_id: str, settings: PurchaseSettings, quote: QuoteIssued) -> bool:
    """Return whether a purchase is above what is left of the budget. Raises Conflict if no second approver can approve it."""
    left = await left_of(uow, tenant_id, settings, quote.priced_for)
    added = added_minor(quote)
    if left is None or added <= left:
        return False
    if settings.second_approver == NONE:
        shown = [format_amount(amount, quote.currency, "en") for amount in (added, settings.monthly_budget_minor or 0, max(left, 0))]
        raise Conflict(
            "budget-exceeded",
            f"The purchase adds {shown[0]} net to each period. Of the monthly budget of {shown[1]}, {shown[2]} are left this month. Buy "
            "fewer licences, wait for the next month, or let a person with settings:manage raise the budget or require a second approver "
            "(PUT …/purchase-settings).",
            added_minor=added,
            left_minor=left,
            monthly_budget_minor=settings.monthly_budget_minor,
            currency=quote.currency,
        )
    return True


async def note_purchase(uow: UnitOfWork, tenant_id: str, order: str, quote: QuoteIssued) -> None:
    """Count an approved purchase."""
    await store.budget.add(uow.connection, tenant_id, BudgetUse(order, month_of(quote.priced_for), added_minor(quote)))


async def note_expansion(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted, event: PoolExpanded, decision: str) -> None:
    """Count an expansion, by the price that it is charged with."""
    day = local_day(event.at, contract.time_zone)
    price = prices_of(await own_price_list(uow, contract, day), contract.term).get(event.module)
    now = next((pool.licences for pool in event.pools if pool.module == event.module), event.by)
    net_minor = price.total_minor(now) - price.total_minor(now - event.by) if price is not None else 0
    await store.budget.add(uow.connection, tenant_id, BudgetUse(decision, month_of(day), net_minor))


async def budget_limits(
    uow: UnitOfWork, tenant_id: str, modules: Sequence[Module], at: datetime, totals: Mapping[str, int] = NO_TOTALS
) -> Mapping[str, int]:
    """Return the cap of each module that expands, so that all expansions stay within the budget; empty: there is no budget. `totals`: the
    licences of modules that are about to be reduced."""
    left, pools = await _expandable(uow, tenant_id, modules, at)
    pools = [replace(pool, licences=totals.get(pool.module, pool.licences)) for pool in pools]
    return {} if left is None else budget_caps(left, pools)


async def opening_limits(
    uow: UnitOfWork, tenant_id: str, modules: Sequence[Module], opening: Collection[str], at: datetime
) -> Mapping[str, int]:
    """Return the cap with which each of these pools may open; empty: there is no budget. No other cap is lowered for them."""
    left, pools = await _expandable(uow, tenant_id, modules, at)
    if left is None:
        return {}
    rest = left - sum(pool.room * pool.price_minor for pool in pools if pool.module not in opening)
    return budget_caps(rest, [pool for pool in pools if pool.module in opening])


async def _expandable(uow: UnitOfWork, tenant_id: str, modules: Sequence[Module], at: datetime) -> tuple[int | None, list[Expandable]]:
    """Return what is left of the budget (None: there is none), and the pools that expand. A pool that is not open yet has no room until
    its command was sent."""
    settings = await store.purchase_settings.find(uow.connection, tenant_id)
    contract = await store.subscriptions.contract(uow.connection, tenant_id) if settings.monthly_budget_minor is not None else None
    if contract is None:
        return None, []
    day = local_day(at, contract.time_zone)
    left = await left_of(uow, tenant_id, settings, day)
    assert left is not None
    prices = prices_of(await own_price_list(uow, contract, day), contract.term)
    pools, found = await store.pools.reported(uow.connection, tenant_id), list[Expandable]()
    for module in modules:
        own, pool = Policies.model_validate_json(module.policies), pools.get(module.module)
        if own.over_limit == OverLimit.EXPAND and own.expand_cap is not None and (pool is not None or not module.opened):
            licences = pool.licences if pool is not None and module.opened else module.licences
            known = own.expand_cap if module.opened else licences
            sent = known if module.sent_cap is None else module.sent_cap
            price = dearest_minor(prices.get(module.module), licences, own.expand_cap)
            found.append(Expandable(module.module, licences, own.expand_cap, sent, price))
    return left, found


async def set_new_month(uow: UnitOfWork, tenant_id: str, at: datetime) -> None:
    """Have the caps computed again when the next month begins, as long as there is a budget."""
    settings = await store.purchase_settings.find(uow.connection, tenant_id)
    tenant = await store.tenants.find(uow.connection, tenant_id)
    if settings.monthly_budget_minor is None or tenant is None:
        await store.due_actions.cancel(uow.connection, tenant_id, NEW_MONTH, REFERENCE)
        return
    contract = await store.subscriptions.contract(uow.connection, tenant_id)
    zone = contract.time_zone if contract is not None else tenant.time_zone or "UTC"
    begins_at = start_of_day(following_month(local_day(at, zone)), zone)
    await store.due_actions.set_due(uow.connection, tenant_id, NEW_MONTH, REFERENCE, begins_at)
