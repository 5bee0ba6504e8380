"""The announcement of another price list to a running subscription: an event, which the notifier sends as an e-mail."""

from collections.abc import Collection
from datetime import date

import orjson

from services.invoicing import store
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import Term, local_day
from services.invoicing.domain.price_lists import RenewalLists, first_renewal, taken_from, to_announce
from services.invoicing.domain.prices import NextStart, prices_of
from services.invoicing.domain.quote import Situation, amounts
from services.invoicing.domain.tax import tax_on
from services.invoicing.store.due_actions import DueAction
from services.invoicing.store.price_lists import AnnouncedList
from services.invoicing.use_cases.locked_tenants import time_of
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.quotes import situation_of
from services.invoicing.wiring import Wiring
from shared.database import UnitOfWork
from shared.schemas.base import Change
from shared.schemas.invoicing_v1 import PlanDefined, PriceChangeAnnounced


async def announce(wiring: Wiring, uow: UnitOfWork, action: DueAction) -> None:
    """Tell the tenant of each list with other prices that it does not know yet, and of the prices of modules that were added since.

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
    days = dict[int, date]()
    for listed in versions:
        row = known.get(listed.version)
        if listed.version <= contract.plan_version or (row is None and listed.version not in fresh):
            continue
        day = row.taken_from if row is not None else taken_from(today, contract.price_notice, listed)
        begins_on = first_renewal(contract.anchored_on, Term(contract.term), found.period_end, day)
        before = RenewalLists(versions, contract.plan_version, contract.term, days).at(begins_on, situation.pools)
        told = row.told if row is not None else frozenset()
        event = _event(situation, before, listed, begins_on, situation.pools.keys() - told)
        if row is not None or event is not None:
            days[listed.version] = day
        if event is not None:
            modules = orjson.dumps(sorted(told | situation.pools.keys())).decode()
            await store.price_lists.put(uow.connection, AnnouncedList(action.tenant_id, contract.plan, listed.version, day, modules))
            publish(uow, action.tenant_id, event, subject=contract.subscription)


def _event(
    situation: Situation, before: PlanDefined, after: PlanDefined, begins_on: date, modules: Collection[str]
) -> PriceChangeAnnounced | None:
    """Return what the tenant is told; None if no price of these modules changes. A pool that is to close counts for the changes: the
    closing can be taken back."""
    contract, tax = situation.contract, tax_on(situation.details, begins_on)
    numbers = {module: pool.next_period for module, pool in situation.pools.items() if pool.next_period}
    old, new = (NextStart(plan, contract.term, begins_on, situation.discounts).net_minor(numbers) for plan in (before, after))
    former, listed = prices_of(before, contract.term), prices_of(after, contract.term)
    changes = list[Change]()
    for module in sorted(modules):
        number = situation.pools[module].next_period or situation.pools[module].licences
        if module in former and former[module] != listed[module]:
            old_minor, new_minor = former[module].total_minor(number), listed[module].total_minor(number)
            changes.append(Change(field=f"{module}.price", old=old_minor, new=new_minor))
    if not changes or old is None or new is None:
        return None
    return PriceChangeAnnounced(
        at=situation.at,
        actor=SYSTEM,
        reason="price_list",
        changes=tuple(changes),
        subscription=contract.subscription,
        plan=contract.plan,
        plan_version=after.version,
        takes_effect_on=begins_on,
        currency=contract.currency,
        before=amounts(old, tax),
        after=amounts(new, tax),
    )
