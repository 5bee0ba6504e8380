"""The announcement of another price list to a running subscription: an event, which the notifier sends as an e-mail."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import orjson

from services.invoicing import store
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import Term, local_day
from services.invoicing.domain.plan_change import fitting
from services.invoicing.domain.policies import changes_of
from services.invoicing.domain.price_lists import RenewalLists, Renewals, TakenBack, taken_from, to_announce
from services.invoicing.domain.prices import NextStart, limits_of, prices_of
from services.invoicing.domain.quote import Situation, amounts
from services.invoicing.domain.tax import tax_on
from services.invoicing.store.due_actions import DueAction
from services.invoicing.store.price_lists import AnnouncedList
from services.invoicing.use_cases.decided_policies import decided_policies
from services.invoicing.use_cases.locked_tenants import time_of
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.quotes import situation_of
from services.invoicing.wiring import Wiring
from shared.database import UnitOfWork
from shared.schemas.base import Change
from shared.schemas.invoicing_v1 import ModuleLimits, PlanDefined, PriceChangeAnnounced, PriceChangeWithdrawn, UnitPrice
from shared.schemas.seats_v1 import Policies


async def announce(wiring: Wiring, uow: UnitOfWork, action: DueAction) -> None:
    """Tell the tenant of each list with other terms that it does not know yet, of the terms of modules that were added since, and of each
    list that it knows and that will not apply.

    Such a module takes the list at the same renewal as the others. A subscription that ends or gets another plan needs no announcement; if
    it stays after all, the action is due again.
    """
    tenant = await store.tenants.find(uow.connection, action.tenant_id, lock=True)
    found = await store.subscriptions.find(uow.connection, action.tenant_id)
    if tenant is None or found is None or found.status != "active":
        return
    situation = await situation_of(uow, tenant, time_of(tenant, wiring.clock))
    if situation.ends_on is not None or (situation.following is not None and situation.following.plan.plan != found.contract.plan):
        return
    contract, today = found.contract, local_day(situation.at, found.contract.time_zone)
    versions = await store.catalogue.versions(uow.connection, contract.plan)
    known = await store.price_lists.of_plan(uow.connection, action.tenant_id, contract.plan)
    fresh = {listed.version for listed in to_announce(versions, contract.plan_version, contract.term, known, situation.pools)}
    renewals = Renewals(contract.anchored_on, Term(contract.term), found.period_end)
    days, policies = dict[int, date](), await decided_policies(uow, action.tenant_id)
    for listed in versions:
        row = known.get(listed.version)
        if listed.version <= contract.plan_version or (row is None and listed.version not in fresh):
            continue
        day = row.taken_from if row is not None else taken_from(today, contract.price_notice, listed)
        begins_on = renewals.first(day)
        before, after = (
            RenewalLists(versions, contract.plan_version, contract.term, announced).course(renewals, situation.pools, begins_on)
            for announced in (dict(days), days | {listed.version: day})
        )
        told = row.told if row is not None else frozenset()
        difference = _difference(situation, before, after, begins_on, situation.pools.keys() - told, policies)
        if row is not None or difference is not None:
            days[listed.version] = day
        if difference is not None:
            modules = orjson.dumps(sorted(told | situation.pools.keys())).decode()
            await store.price_lists.put(uow.connection, AnnouncedList(action.tenant_id, contract.plan, listed.version, day, modules))
            publish(uow, action.tenant_id, PriceChangeAnnounced(reason="price_list", **difference), subject=contract.subscription)
    lists = RenewalLists(versions, contract.plan_version, contract.term, days)
    await _take_back(uow, action.tenant_id, situation, lists.taken_back(known, renewals, situation.pools), policies)


async def _take_back(
    uow: UnitOfWork, tenant_id: str, situation: Situation, gone: Sequence[TakenBack], policies: Mapping[str, Policies]
) -> None:
    """Forget the announcements of these lists, and tell the tenant. Of several lists for one renewal, that is the one announced last."""
    contract = situation.contract
    for back in gone:
        await store.price_lists.remove(uow.connection, tenant_id, contract.plan, back.told.version)
    for back in {each.begins_on: each for each in gone}.values():
        difference = _difference(situation, back.told, back.then, back.begins_on, situation.pools, policies)
        if difference is not None:
            publish(uow, tenant_id, PriceChangeWithdrawn(reason="price_list", **difference), subject=contract.subscription)


def _difference(
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
