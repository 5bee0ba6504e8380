"""The change of plan or term that is scheduled for the next period of a subscription."""

from collections.abc import Mapping
from datetime import date

from services.invoicing import store
from services.invoicing.domain.plan_change import PoolAtStart, PoolTerms, misfits, pool_at_start
from services.invoicing.domain.prices import FollowingPlan
from services.invoicing.domain.quote import Pool
from services.invoicing.store.contract_changes import ContractChange
from services.invoicing.use_cases.decided_policies import decided_policies
from shared.database import UnitOfWork
from shared.schemas.invoicing_v1 import SubscriptionStarted
from shared.schemas.seats_v1 import PeriodStarted


async def scheduled_plan(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted) -> ContractChange | None:
    """Return the change that takes effect with the next period."""
    found = await store.contract_changes.scheduled(uow.connection, tenant_id)
    return next((each for each in found if each.content["subscription"] == contract.subscription), None)


async def following_plan(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted) -> FollowingPlan | None:
    """Return the plan and term of that change, with the price list that was agreed."""
    found = await scheduled_plan(uow, tenant_id, contract)
    return None if found is None else await plan_of(uow, found)


async def plan_of(uow: UnitOfWork, change: ContractChange) -> FollowingPlan:
    """Return the plan and term of a change of plan, with the price list that was agreed."""
    terms = change.content
    versions = await store.catalogue.versions(uow.connection, terms["plan"])
    plan = next(listed for listed in versions if listed.version == terms["plan_version"])
    return FollowingPlan(change.change, plan, terms["term"])


async def pool_terms(uow: UnitOfWork, tenant_id: str) -> dict[str, PoolTerms]:
    """Return what a plan has to fit of each pool."""
    known, policies = await store.catalogue.modules(uow.connection), await decided_policies(uow, tenant_id)
    return {
        each.module: PoolTerms(each.base, policies[each.module], known[each.module].requires)
        for each in await store.subscriptions.modules(uow.connection, tenant_id)
    }


def pools_at_start(event: PeriodStarted, terms: Mapping[str, PoolTerms]) -> dict[str, PoolAtStart]:
    """Return the pools with which the period begins, as a plan has to fit them."""
    in_use = {pool.module: pool.active + pool.flagged + pool.held for pool in event.pools}
    return {item.module: pool_at_start(item.quantity, in_use.get(item.module, 0), terms[item.module]) for item in event.licences}


async def plan_that_begins(
    uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted, pools: Mapping[str, Pool], period: PeriodStarted | None
) -> FollowingPlan | None:
    """Return the scheduled plan that the next period will have, if nothing else changes. None: the present one, or it no longer fits.

    `period`: its start, as seats foresees it. Without it, the present use of the pools counts.
    """
    change = await scheduled_plan(uow, tenant_id, contract)
    if change is None:
        return None
    following, terms = await plan_of(uow, change), await pool_terms(uow, tenant_id)
    at_start = await _with_present_use(uow, tenant_id, pools, terms) if period is None else pools_at_start(period, terms)
    wrong = misfits(following.plan, following.term, at_start, change.content["ordered"], change.content["closes"])
    return None if wrong else following


async def _with_present_use(
    uow: UnitOfWork, tenant_id: str, pools: Mapping[str, Pool], terms: Mapping[str, PoolTerms]
) -> dict[str, PoolAtStart]:
    days = await store.pool_days.since(uow.connection, tenant_id, list(pools), date.max)
    in_use = {day.module: day.in_use for day in days}
    return {
        module: pool_at_start(pool.next_period, in_use.get(module, 0), terms[module])
        for module, pool in pools.items()
        if pool.next_period and module in terms
    }
