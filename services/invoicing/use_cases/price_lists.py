"""The price list of a running subscription: the one by which it buys, and the one of its next period."""

from datetime import date, datetime

from services.invoicing import store
from services.invoicing.domain.calendar import Term
from services.invoicing.domain.price_lists import RenewalLists, Renewals, keeps_prices, own_list
from services.invoicing.store.price_lists import KIND, REFERENCE
from shared.database import UnitOfWork
from shared.schemas.invoicing_v1 import PlanDefined, SubscriptionStarted


async def own_price_list(uow: UnitOfWork, contract: SubscriptionStarted, day: date) -> PlanDefined:
    """Return the list by which the subscription buys on this day."""
    versions = await store.catalogue.versions(uow.connection, contract.plan)
    return own_list(versions, contract.plan_version, contract.term, day)


async def next_price_list(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted, begins_on: date) -> PlanDefined:
    """Return the list of the period that begins on this day, if the plan stays the same."""
    versions = await store.catalogue.versions(uow.connection, contract.plan)
    if versions[-1].version == contract.plan_version:  # as for most renewals
        return versions[-1]
    announced = await store.price_lists.announced(uow.connection, tenant_id, contract.plan)
    pools = await store.pools.reported(uow.connection, tenant_id)
    return RenewalLists(versions, contract.plan_version, contract.term, announced).at(begins_on, pools)


async def coming_price_lists(
    uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted, period_end: date
) -> list[tuple[date, PlanDefined]]:
    """Return the lists that were announced, each with the renewal from which it applies, if the plan stays the same."""
    versions = await store.catalogue.versions(uow.connection, contract.plan)
    announced = await store.price_lists.announced(uow.connection, tenant_id, contract.plan)
    pools = await store.pools.reported(uow.connection, tenant_id)
    lists = RenewalLists(versions, contract.plan_version, contract.term, announced)
    renewals = Renewals(contract.anchored_on, Term(contract.term), period_end)
    found, before = list[tuple[date, PlanDefined]](), await own_price_list(uow, contract, period_end)
    for day in sorted({renewals.first(day) for version, day in announced.items() if version > contract.plan_version}):
        listed = lists.course(renewals, pools, day)
        if not keeps_prices(before, listed, contract.term, pools):
            found.append((day, listed))
            before = listed
    return found


async def take_price_list(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted, begins_on: date) -> PlanDefined:
    """Let the subscription have the list of the period that begins."""
    found = await next_price_list(uow, tenant_id, contract, begins_on)
    if found.version != contract.plan_version:
        await store.subscriptions.set_price_list(uow.connection, tenant_id, contract.model_copy(update={"plan_version": found.version}))
    return found


async def look_for_lists(uow: UnitOfWork, tenant_id: str, at: datetime) -> None:
    """Have the tenant told of lists that are newer than its own: its subscription began, or it has another plan or one more module now."""
    contract = await store.subscriptions.contract(uow.connection, tenant_id)
    newest = await store.catalogue.plan(uow.connection, contract.plan) if contract is not None else None
    if contract is not None and newest is not None and newest.version > contract.plan_version:
        await store.due_actions.set_due(uow.connection, tenant_id, KIND, REFERENCE, at)
