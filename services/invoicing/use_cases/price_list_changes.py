"""What changes for a running subscription between two price lists, and the news that an announced change does not take place."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from services.invoicing import store
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import Term
from services.invoicing.domain.plan_change import fitting
from services.invoicing.domain.policies import changes_of
from services.invoicing.domain.price_lists import RenewalLists, Renewals, TakenBack
from services.invoicing.domain.prices import NextStart, limits_of, prices_of
from services.invoicing.domain.quote import Situation, amounts
from services.invoicing.domain.tax import tax_on
from services.invoicing.use_cases.decided_policies import decided_policies
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.quotes import situation_of
from shared.database import UnitOfWork
from shared.schemas.base import Change
from shared.schemas.invoicing_v1 import ModuleLimits, PlanDefined, PriceChangeWithdrawn, SubscriptionStarted, UnitPrice
from shared.schemas.seats_v1 import Policies


async def take_back_at_renewal(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted, begins_on: date, at: datetime) -> None:
    """Tell the tenant of lists that were taken back since the last look, when a period has begun with another list.

    `contract`: with the list that it had before.
    """
    known = await store.price_lists.of_plan(uow.connection, tenant_id, contract.plan)
    days = {version: row.taken_from for version, row in known.items() if version > contract.plan_version}
    tenant = await store.tenants.find(uow.connection, tenant_id, lock=True)
    if tenant is None or not days:
        return
    situation, versions = await situation_of(uow, tenant, at), await store.catalogue.versions(uow.connection, contract.plan)
    lists = RenewalLists(versions, contract.plan_version, contract.term, days)
    gone = lists.taken_back(days, Renewals(contract.anchored_on, Term(contract.term), begins_on), situation.pools)
    await take_back(uow, tenant_id, situation, gone, await decided_policies(uow, tenant_id))


async def take_back(
    uow: UnitOfWork, tenant_id: str, situation: Situation, gone: Sequence[TakenBack], policies: Mapping[str, Policies]
) -> None:
    """Forget the announcements of these lists, and tell the tenant. Of several lists for one renewal, that is the one announced last."""
    contract = situation.contract
    for back in gone:
        await store.price_lists.remove(uow.connection, tenant_id, contract.plan, back.told.version)
    for back in {each.begins_on: each for each in gone}.values():
        told = difference(situation, back.told, back.then, back.begins_on, situation.pools, policies)
        if told is not None:
            publish(uow, tenant_id, PriceChangeWithdrawn(reason="price_list", **told), subject=contract.subscription)


def difference(
    situation: Situation,
    before: PlanDefined,
    after: PlanDefined,
    begins_on: date,
    modules: Collection[str],
    policies: Mapping[str, Policies],
) -> dict[str, Any] | None:
    """Return what the tenant is told of two lists; None if no term of these modules differs. A pool that is to close counts for the
    changes: the closing can be taken back. `policies`: those of each pool today."""
    contract, tax = situation.contract, tax_on(situation.details, begins_on)
    numbers = {module: pool.next_period for module, pool in situation.pools.items() if pool.next_period}
    old, new = (NextStart(plan, contract.term, begins_on, situation.discounts).net_minor(numbers) for plan in (before, after))
    changes = list[Change]()
    if before.allows_extra_licences != after.allows_extra_licences:
        changes.append(Change(field="allows_extra_licences", old=before.allows_extra_licences, new=after.allows_extra_licences))
    for module in sorted(modules):
        number = situation.pools[module].next_period or situation.pools[module].licences
        changes += _price_changes(prices_of(before, contract.term).get(module), prices_of(after, contract.term).get(module), number)
        changes += _limit_changes(module, limits_of(before, module), limits_of(after, module))
        if module in policies:
            own = fitting(policies[module], before, module)
            changes += changes_of(module, own, fitting(own, after, module))
    if not changes or old is None or new is None:
        return None
    return {
        "at": situation.at,
        "actor": SYSTEM,
        "changes": tuple(changes),
        "subscription": contract.subscription,
        "plan": contract.plan,
        "plan_version": after.version,
        "takes_effect_on": begins_on,
        "currency": contract.currency,
        "before": amounts(old, tax),
        "after": amounts(new, tax),
    }


def _price_changes(before: UnitPrice | None, after: UnitPrice | None, number: int) -> Iterator[Change]:
    """Yield the price of so many licences, and how many cost nothing, before and after."""
    if before is None or after is None or before == after:
        return
    yield Change(field=f"{before.module}.price", old=before.total_minor(number), new=after.total_minor(number))
    if before.included != after.included:
        yield Change(field=f"{before.module}.included", old=before.included, new=after.included)


def _limit_changes(module: str, before: ModuleLimits, after: ModuleLimits) -> Iterator[Change]:
    for name in ("minimum", "maximum"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield Change(field=f"{module}.{name}", old=old, new=new)
