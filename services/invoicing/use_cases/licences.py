"""The licences of a tenant: the subscription, and what seats knows of its pools."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from services.invoicing import store
from services.invoicing.domain.calendar import local_day
from services.invoicing.domain.plan_change import period_after
from services.invoicing.domain.prices import FollowingPlan, NextStart, limits_of, lowered, of_one_more, prices_of
from services.invoicing.domain.quote import Pool
from services.invoicing.domain.reduction import PERIOD_END
from services.invoicing.store.open_items import OpenItems
from services.invoicing.store.subscriptions import Module, Subscription
from services.invoicing.use_cases.locked_tenants import time_of
from services.invoicing.use_cases.ordering import ordering_by
from services.invoicing.use_cases.price_lists import next_price_list, own_price_list
from services.invoicing.use_cases.renewal_forecasts import Asked, ask
from services.invoicing.use_cases.scheduled_plans import following_plan
from services.invoicing.use_cases.seats_questions import Seats
from shared.clock import Clock
from shared.database import Database, UnitOfWork
from shared.errors import Transient
from shared.schemas.invoicing_v1 import PlanDefined
from shared.schemas.position import Position
from shared.schemas.seats_v1 import Policies, PoolState


@dataclass(frozen=True, slots=True)
class OfModule:
    """A module of the subscription. `use`: None while seats does not answer. `pending`: orders with the licences that they add.
    `minimum`: the fewest licences to which it can be reduced; `may_reduce`: False if the subscription ends before.
    `flagged_at_renewal`, `cancelled_at_renewal`: how many people the renewal would flag, and how many reservations it would cancel; None:
    not known."""

    module: str
    name: str
    base: bool
    bought: int
    next_period: int
    use: PoolState | None
    unit_price_minor: int | None
    pending: Sequence[tuple[str, int]]
    minimum: int
    may_reduce: bool
    flagged_at_renewal: int | None = None
    cancelled_at_renewal: int | None = None

    @property
    def may_lose_seats(self) -> bool:
        """Tell whether the next period has fewer licences than now, and fewer than active and held seats."""
        return self.use is not None and 0 < self.next_period < min(self.bought, self.use.active + self.use.held)


@dataclass(frozen=True, slots=True)
class Buying:
    """How the tenant buys today, and what waits for one of its people."""

    ordering: str
    allows_extra_licences: bool
    purchases_blocked: bool
    open_items: OpenItems


@dataclass(frozen=True, slots=True)
class Licences:
    """The answer: the modules, base modules first."""

    subscription: Subscription
    plan: PlanDefined
    modules: Sequence[OfModule]
    position: Position | None
    next_period_net_minor: int | None  # None: the price list lacks one of the modules
    following_renewal: date | None  # the first day of the period after the next one; None: the subscription ends
    ends_on: date | None
    buying: Buying


def _before_it_opens(module: Module) -> Pool:
    """Return the numbers of a module without an open pool: those it will open with, or none if the subscription has ended."""
    return Pool(0, 0) if module.opened else Pool(module.licences, module.licences)


async def read_licences(database: Database, seats: Seats, tenant_id: str, clock: Clock, *, with_forecast: bool = False) -> Licences:
    """Seats is asked outside of any transaction, and its numbers win: they are newer. Raises NotFound."""
    read = await seats.pools(tenant_id)
    async with database.unit_of_work(tenant_id) as uow:
        c = uow.connection
        found = await store.subscriptions.need(c, tenant_id)
        plan = await own_price_list(uow, found.contract, found.period_end)
        next_list = await next_price_list(uow, tenant_id, found.contract, found.period_end)
        names = {module: fields.name for module, fields in (await store.catalogue.modules(c)).items()}
        reported, subscribed = await store.pools.reported(c, tenant_id), await store.subscriptions.modules(c, tenant_id)
        orders = await store.orders.pending(c, tenant_id)
        following, ending = await following_plan(uow, tenant_id, found.contract), await store.endings.find(c, tenant_id)
        discounts = await store.discounts.of_subscription(c, tenant_id, found.subscription)
        buying = await _buying(uow, tenant_id, found, clock)
    prices = prices_of(plan, found.contract.term)
    pending: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for order, quote in orders:
        for line in quote.lines:
            pending[line.module].append((order, line.quantity))
    modules = list[OfModule]()
    for module in subscribed:
        use = read.pools.get(module.module) if read else None
        known = use or reported.get(module.module) or _before_it_opens(module)
        minimum, at_end = _reduction_of(module, plan, following)
        modules.append(
            OfModule(
                module=module.module,
                name=names.get(module.module, module.module),
                base=module.base,
                bought=known.licences,
                next_period=known.next_period,
                use=use,
                unit_price_minor=of_one_more(prices.get(module.module), known.licences),
                pending=pending[module.module],
                minimum=minimum,
                may_reduce=ending is None or not at_end,
            )
        )
    modules.sort(key=lambda each: (not each.base, each.name, each.module))
    numbers = {each.module: each.next_period for each in modules}
    fewer = {} if following is None else lowered(following.plan, following.term, numbers)
    modules = [replace(each, next_period=fewer.get(each.module, each.next_period)) for each in modules]
    net_minor = NextStart(next_list, found.contract.term, found.period_end, discounts, following).net_minor(numbers)
    if with_forecast and read is not None:
        modules = await _with_forecast(database, seats, tenant_id, modules)
    following_renewal = None if ending is not None else period_after(found.contract, following, found.period_end).end
    ends_on = ending.ends_on if ending is not None else None
    return Licences(found, plan, modules, read.position if read else None, net_minor, following_renewal, ends_on, buying)


async def _buying(uow: UnitOfWork, tenant_id: str, found: Subscription, clock: Clock) -> Buying:
    """Read how the tenant buys on its local day, and what waits for its people."""
    c, tenant = uow.connection, await store.tenants.find(uow.connection, tenant_id)
    assert tenant is not None, "a subscription belongs to a tenant"
    today = local_day(time_of(tenant, clock), found.contract.time_zone)
    plan = await own_price_list(uow, found.contract, today)
    return Buying(
        ordering=ordering_by(await store.purchase_settings.find(c, tenant_id), plan),
        allows_extra_licences=plan.allows_extra_licences,
        purchases_blocked=(await store.overdue.find(c, tenant_id)).blocked,
        open_items=await store.open_items.of_tenant(c, tenant_id, today),
    )


def _reduction_of(module: Module, plan: PlanDefined, following: FollowingPlan | None) -> tuple[int, bool]:
    """Return the fewest licences to which the module can be reduced, and whether a reduction takes effect at the end of the period."""
    at_end = (Policies.model_validate_json(module.policies).reduce_at or PERIOD_END) == PERIOD_END
    limiting = following.plan if following is not None and at_end else plan
    return limits_of(limiting, module.module).minimum, at_end


async def _with_forecast(database: Database, seats: Seats, tenant_id: str, modules: Sequence[OfModule]) -> list[OfModule]:
    """Add whom the renewal would flag, and whose reservations it would cancel: known leavers and policies count, so seats is asked where it
    could be somebody."""
    asked = Asked()
    if any(each.may_lose_seats for each in modules):
        try:
            asked = await ask(database, seats, tenant_id)
        except Transient:
            return list(modules)
    flagged = {each.module: each.count for each in asked.would_flag}
    cancelled = {each.module: each.count for each in asked.would_cancel}
    return [
        replace(each, flagged_at_renewal=flagged.get(each.module, 0), cancelled_at_renewal=cancelled.get(each.module, 0))
        for each in modules
    ]
