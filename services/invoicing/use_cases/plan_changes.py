"""Another plan or term of a running subscription: its offer, its approval, and what happens when the next period begins."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import orjson

from services.invoicing import store
from services.invoicing.api.requests import PlanChangeBody
from services.invoicing.domain.calendar import add_days, local_day, start_of_day
from services.invoicing.domain.plan_change import (
    NOW,
    PlanOffer,
    WantedPlan,
    plan_offer,
)
from services.invoicing.domain.quote import Refusal, Situation, expected
from services.invoicing.settings import Settings
from services.invoicing.store.contract_changes import ContractChange, NewChange
from services.invoicing.use_cases.contract_terms import change_terms
from services.invoicing.use_cases.decided_policies import POLICIES
from services.invoicing.use_cases.expand_caps import follow_budget
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.price_lists import look_for_lists
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.quotes import refuse, situation_of
from services.invoicing.use_cases.reductions import below_use
from services.invoicing.use_cases.scheduled_plans import pool_terms, scheduled_plan
from services.invoicing.use_cases.seats_questions import CONSEQUENCES, Forecast, Seats, consequences
from services.invoicing.use_cases.send_again import is_plan_open
from shared import ids
from shared.clock import Clock
from shared.database import Database, UnitOfWork
from shared.errors import Conflict, Invalid, NotFound
from shared.schemas.base import Actor, Change
from shared.schemas.invoicing_v1 import (
    PlanChangeScheduled,
    PlanChangeWithdrawn,
    SubscriptionStarted,
)
from shared.schemas.seats_v1 import LicenceCount, ScheduleReduction, WouldCancel, WouldFlag

PLAN: Final = "plan"


async def _offer(uow: UnitOfWork, tenant_id: str, body: PlanChangeBody, clock: Clock) -> tuple[Situation, PlanOffer]:
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    situation = await situation_of(uow, tenant, at)
    name = body.plan or situation.contract.plan
    plan = next((plan for plan in situation.plans if plan.plan == name), None)
    if plan is None:
        raise Invalid("body.plan", name, f"a plan of the catalogue: {', '.join(plan.plan for plan in situation.plans) or 'none'}")
    pools = await pool_terms(uow, tenant_id)
    found = plan_offer(situation, pools, WantedPlan(plan, body.term or situation.contract.term, body.takes_effect))
    if isinstance(found, Refusal):
        raise refuse(found)
    return situation, found


async def plan_forecast(database: Database, seats: Seats, tenant_id: str, body: PlanChangeBody, *, clock: Clock) -> Forecast | None:
    """Ask seats who would be flagged, and whose reservations would end. It is asked outside of any transaction. None: seats cannot
    answer now. Raises Conflict."""
    async with database.unit_of_work(tenant_id) as uow:
        situation, found = await _offer(uow, tenant_id, body, clock)
    if not found.reduces:
        return Forecast()
    items = tuple(LicenceCount(module=item.module, quantity=item.total) for item in found.reduces)
    expects = expected(situation, [item.module for item in found.reduces])
    answer = await seats.what_if(tenant_id, ScheduleReduction(number=1, items=items, expected=expects))
    if answer is not None and answer.refused is not None:
        raise below_use(answer.refused)
    return answer


async def offer_plan(
    uow: UnitOfWork,
    tenant_id: str,
    body: PlanChangeBody,
    foreseen: Forecast | None,
    actor: Actor,
    *,
    settings: Settings,
    clock: Clock,
) -> str:
    """Save what the change costs and changes, and return its id. Raises Conflict, Invalid."""
    situation, found = await _offer(uow, tenant_id, body, clock)
    contract = situation.contract
    day = local_day(situation.at, contract.time_zone)
    expires_at = min(situation.at + timedelta(seconds=settings.quote_valid_seconds), start_of_day(add_days(day, 1), contract.time_zone))
    terms = _terms(situation, found) | consequences(foreseen)
    change = ids.new_id()
    content = orjson.dumps(terms).decode()
    new = NewChange(change, PLAN, "offered", content, actor.model_dump_json(), priced_for=day, expires_at=expires_at)
    await store.contract_changes.add(uow.connection, tenant_id, new)
    return change


def _terms(situation: Situation, found: PlanOffer) -> dict[str, Any]:
    return {
        "subscription": situation.contract.subscription,
        "plan": found.plan.plan,
        "plan_version": found.plan.version,
        "term": found.term,
        "takes_effect": found.takes_effect,
        "takes_effect_on": found.takes_effect_on.isoformat(),
        "price": found.price.model_dump(mode="json"),
        "changes": [change.model_dump() for change in found.changes],
        "closes": list(found.closes),
        "reduces": [item.model_dump() for item in found.reduces],
        "ordered": {module: pool.next_period for module, pool in situation.pools.items()},
    }


async def approve_plan(uow: UnitOfWork, tenant_id: str, change: str, actor: Actor, *, settings: Settings, clock: Clock) -> ContractChange:
    """Let the change take effect now, or schedule it for the next period. A second approval changes nothing. Raises NotFound, Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    found = await _find(uow, tenant_id, change)
    if found.status != "offered":
        return found
    terms = found.content
    situation = await situation_of(uow, tenant, at)
    assert found.expires_at is not None
    if at >= found.expires_at or local_day(at, situation.contract.time_zone) != found.priced_for:
        raise Conflict("quote-expired", f"The offer was made for {found.priced_for} and has expired. Request the change again.")
    wanted = PlanChangeBody(plan=terms["plan"], term=terms["term"], takes_effect=terms["takes_effect"])
    situation, again = await _offer(uow, tenant_id, wanted, clock)
    if _terms(situation, again) != {name: value for name, value in terms.items() if name not in CONSEQUENCES}:
        raise Conflict(
            "quote-outdated", "The licences, the prices or the policies have changed since the offer was made. Request the change again."
        )
    await _nothing_open(uow, tenant_id, situation.contract)
    if again.takes_effect == NOW:
        await store.contract_changes.set_status(uow.connection, tenant_id, change, "completed", at, actor)
        about: dict[str, Any] = {"plan": again.plan.plan, "plan_version": again.plan.version, "term": again.term, "price": again.price}
        day, details = again.takes_effect_on, situation.details.version
        changes = tuple(again.changes)
        await change_terms(
            uow, tenant_id, settings, change, at, actor, changes, reason="plan_changed", day=day, billing_details=details, **about
        )
        await store.price_lists.forget(uow.connection, tenant_id)
        await look_for_lists(uow, tenant_id, at)
        await follow_budget(uow, tenant_id, at)  # at the prices of the new plan
    else:
        await store.contract_changes.set_status(uow.connection, tenant_id, change, "scheduled", at, actor)
        named = [{each["module"]: each["count"] for each in terms.get(name) or ()} for name in CONSEQUENCES]
        await store.renewal_forecasts.confirm(uow.connection, tenant_id, *named)
        await store.renewal_forecasts.limit(uow.connection, tenant_id, {item.module: item.total for item in again.reduces})
        _publish_scheduled(uow, tenant_id, change, situation, again, terms, actor)
    return await _find(uow, tenant_id, change)


async def _nothing_open(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted) -> None:
    """Refuse a change while another one is scheduled, or while seats has not answered an order, a reduction or a change of policies."""
    scheduled = await scheduled_plan(uow, tenant_id, contract)
    if scheduled is not None:
        raise Conflict(
            "plan-change-scheduled",
            f"A change to the plan {scheduled.content['plan']} ({scheduled.content['term']}) is scheduled already. Withdraw it first: "
            f"POST …/subscription/plan-changes/{scheduled.change}/withdraw.",
            change=scheduled.change,
        )
    if await store.orders.pending(uow.connection, tenant_id):
        raise Conflict("order-pending", "seats has not decided an order yet. Try again when the order is decided.")
    if await store.reductions.any_pending(uow.connection, tenant_id):
        raise Conflict("order-pending", "seats has not decided a reduction yet. Try again when the reduction is decided.")
    if await is_plan_open(uow, tenant_id):
        raise Conflict(
            "order-pending",
            "seats has not yet removed what the present plan does not allow. Try again in a minute. If this lasts, contact support.",
        )
    if await store.contract_changes.pending(uow.connection, tenant_id, POLICIES):
        raise Conflict("order-pending", "seats has not answered a change of policies yet. Try again when the change is completed.")


def _publish_scheduled(
    uow: UnitOfWork, tenant_id: str, change: str, situation: Situation, offer: PlanOffer, terms: Mapping[str, Any], actor: Actor
) -> None:
    event = PlanChangeScheduled(
        at=situation.at,
        actor=actor,
        change=change,
        subscription=situation.contract.subscription,
        takes_effect_on=offer.takes_effect_on,
        plan=offer.plan.plan,
        term=offer.term,
        closes=tuple(offer.closes),
        reduces=tuple(offer.reduces),
        would_flag=tuple(WouldFlag(**each | {"users": tuple(each["users"])}) for each in terms["would_flag"] or ()),
        would_cancel=tuple(WouldCancel(**each | {"users": tuple(each["users"])}) for each in terms.get("would_cancel") or ()),
        price=offer.price,
        changes=tuple(offer.changes),
    )
    publish(uow, tenant_id, event, subject=change)


async def withdraw_plan(uow: UnitOfWork, tenant_id: str, change: str, actor: Actor, *, clock: Clock) -> ContractChange:
    """Take a scheduled change back, until its period begins. A second withdrawal changes nothing. Raises NotFound, Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    found = await _find(uow, tenant_id, change)
    if found.status == "withdrawn":
        return found
    situation = await situation_of(uow, tenant, at)
    today = local_day(at, situation.contract.time_zone)
    if found.status != "scheduled" or today.isoformat() >= found.content["takes_effect_on"]:
        raise Conflict("plan-change-not-scheduled", f"The change is {found.status}. Only a scheduled change can be withdrawn.")
    await store.contract_changes.set_status(uow.connection, tenant_id, change, "withdrawn", at, None)
    reduced = [each["module"] for each in found.content["reduces"]]
    await store.renewal_forecasts.confirm(uow.connection, tenant_id, dict.fromkeys(reduced, 0), {})
    await store.renewal_forecasts.limit(uow.connection, tenant_id, dict.fromkeys(reduced))
    event = PlanChangeWithdrawn(
        at=at,
        actor=actor,
        change=change,
        subscription=situation.contract.subscription,
        plan=found.content["plan"],
        term=found.content["term"],
        changes=tuple(Change(field=each["field"], old=each["new"], new=each["old"]) for each in found.content["changes"]),
    )
    publish(uow, tenant_id, event, subject=change)
    await look_for_lists(uow, tenant_id, at)
    return await _find(uow, tenant_id, change)


async def _find(uow: UnitOfWork, tenant_id: str, change: str) -> ContractChange:
    found = await store.contract_changes.find(uow.connection, tenant_id, change)
    if found is None or found.kind != PLAN:
        raise NotFound("plan change")
    return found
