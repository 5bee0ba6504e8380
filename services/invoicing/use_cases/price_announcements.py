"""The announcement of another price list to a running subscription: an event, which the notifier sends as an e-mail."""

from datetime import date

from services.invoicing import store
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import Term, local_day
from services.invoicing.domain.price_lists import first_renewal, list_at_renewal, taken_from, to_announce
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
    """Tell the tenant of each list with other prices that it does not know yet.

    A subscription that ends or gets another plan needs no announcement; if it stays after all, the action is due again.
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
    known = await store.price_lists.announced(uow.connection, action.tenant_id, contract.plan)
    for listed in to_announce(versions, contract.plan_version, contract.term, known):
        day = taken_from(today, contract.price_notice, listed)
        begins_on = first_renewal(contract.anchored_on, Term(contract.term), found.period_end, day)
        before = list_at_renewal(versions, contract.plan_version, contract.term, known, begins_on)
        known[listed.version] = day
        await store.price_lists.add(uow.connection, AnnouncedList(action.tenant_id, contract.plan, listed.version, day))
        event = _event(situation, before, listed, begins_on)
        if event is not None:
            publish(uow, action.tenant_id, event, subject=contract.subscription)


def _event(situation: Situation, before: PlanDefined, after: PlanDefined, begins_on: date) -> PriceChangeAnnounced | None:
    """Return what the tenant is told; None if no price of its modules changes."""
    contract, tax = situation.contract, tax_on(situation.details, begins_on)
    numbers = {module: pool.next_period for module, pool in situation.pools.items() if pool.next_period}
    old, new = (NextStart(plan, contract.term, begins_on, situation.discounts).net_minor(numbers) for plan in (before, after))
    former, listed = prices_of(before, contract.term), prices_of(after, contract.term)
    changed = [module for module in sorted(numbers) if module in former and former[module] != listed[module]]
    changes = [
        Change(field=f"{module}.price", old=former[module].total_minor(numbers[module]), new=listed[module].total_minor(numbers[module]))
        for module in changed
    ]
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
