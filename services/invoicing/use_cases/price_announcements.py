"""The announcement of another price list to a running subscription: an event, which the notifier sends as an e-mail."""

from datetime import date

import orjson

from services.invoicing import store
from services.invoicing.domain.calendar import Term, local_day
from services.invoicing.domain.price_lists import RenewalLists, Renewals, taken_from, to_announce
from services.invoicing.store.due_actions import DueAction
from services.invoicing.store.price_lists import AnnouncedList
from services.invoicing.use_cases.decided_policies import decided_policies
from services.invoicing.use_cases.locked_tenants import time_of
from services.invoicing.use_cases.price_list_changes import difference, take_back
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.quotes import situation_of
from services.invoicing.wiring import Wiring
from shared.database import UnitOfWork
from shared.schemas.invoicing_v1 import (
    PriceChangeAnnounced,
)


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
        differs = difference(situation, before, after, begins_on, situation.pools.keys() - told, policies)
        if row is not None or differs is not None:
            days[listed.version] = day
        if differs is not None:
            modules = orjson.dumps(sorted(told | situation.pools.keys())).decode()
            await store.price_lists.put(uow.connection, AnnouncedList(action.tenant_id, contract.plan, listed.version, day, modules))
            publish(uow, action.tenant_id, PriceChangeAnnounced(reason="price_list", **differs), subject=contract.subscription)
    lists = RenewalLists(versions, contract.plan_version, contract.term, days)
    await take_back(uow, action.tenant_id, situation, lists.taken_back(known, renewals, situation.pools), policies)
