"""The change of plan or term that is scheduled for the next period of a subscription."""

from services.invoicing import store
from services.invoicing.domain.prices import FollowingPlan
from services.invoicing.store.contract_changes import ContractChange
from shared.database import UnitOfWork
from shared.schemas.invoicing_v1 import SubscriptionStarted


async def scheduled_plan(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted) -> ContractChange | None:
    """Return the change that takes effect with the next period."""
    found = await store.contract_changes.scheduled(uow.connection, tenant_id)
    return next((each for each in found if each.content["subscription"] == contract.subscription), None)


async def following_plan(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted) -> FollowingPlan | None:
    """Return the plan and term of that change, with the present price list."""
    found = await scheduled_plan(uow, tenant_id, contract)
    if found is None:
        return None
    plan = await store.catalogue.plan(uow.connection, found.content["plan"])
    assert plan is not None
    return FollowingPlan(found.change, plan, found.content["term"])
