"""The subscription of a tenant: how it starts, and becomes active when seats has opened its pools."""

from datetime import date, datetime
from typing import Final

from services.invoicing import store
from services.invoicing.api.requests import SubscribedModule, SubscriptionBody
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import Period, Term, add_days, anchor_of, local_day, period_at
from services.invoicing.domain.discounts import fields_of
from services.invoicing.domain.policies import wrong_for_plan
from services.invoicing.domain.price_lists import of_each_plan
from services.invoicing.domain.prices import limits_of, prices_of
from services.invoicing.settings import Settings
from services.invoicing.use_cases.discounts import discounts_of, save
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.publishing import publish, publish_fact
from services.invoicing.use_cases.seats_commands import OPEN_POOL, open_pools
from services.invoicing.use_cases.trials import plan_reminder
from shared import ids
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid
from shared.schemas import seats_v1
from shared.schemas.base import Actor, Change, changes_between
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import Discount, PlanDefined, SubscriptionActivated, SubscriptionModule, SubscriptionStarted

TRIAL_DAYS_MAX: Final = 366
_EXISTS: Final = (
    "The tenant already has a subscription, and can have only one. Buy licences (POST …/quotes) or change the plan "
    "(PUT …/subscription/plan), or start another subscription when this one has ended."
)


async def start_subscription(
    uow: UnitOfWork, tenant_id: str, body: SubscriptionBody, actor: Actor, *, settings: Settings, clock: Clock
) -> None:
    """Start the subscription; it is pending until seats has opened every pool. Raises Conflict, Invalid.

    Before seats knows the tenant, no command is sent to it.
    """
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    assert tenant.time_zone is not None
    former = await store.subscriptions.find(uow.connection, tenant_id)
    if former is not None and former.status != "ended":
        raise Conflict("subscription-exists", _EXISTS)
    if former is not None:
        await _nothing_left(uow, tenant_id)
    details = await store.billing_details.in_force(uow.connection, tenant_id)
    if details is None:
        raise Conflict(
            "billing-details-missing", f"The tenant has no billing details. Set them first: PUT /v1/tenants/{tenant_id}/billing-details."
        )
    today = local_day(at, tenant.time_zone)
    plan = await _plan(uow, tenant_id, body.plan, today)
    known = await store.catalogue.modules(uow.connection)
    _check_modules(body, plan, known)
    anchor = _anchor(body)
    period = _first_period(body, anchor, today)
    discounts = _discounts(body, body.trial_until or period.start, anchor)
    event = SubscriptionStarted(
        at=at,
        actor=actor,
        subscription=ids.new_id(),
        plan=plan.plan,
        plan_version=plan.version,
        term=body.term,
        currency=plan.currency,
        period_start=period.start,
        period_end=period.end,
        billed_until=body.billed_until or body.trial_until or period.start,
        charge_when=body.charge_when,
        credit_when=body.credit_when,
        zero_invoices=body.zero_invoices,
        price_notice=body.price_notice,
        anchor=anchor if anchor != period.start else None,
        billing_details=details.version,
        modules=tuple(SubscriptionModule(module=each.module, licences=each.licences) for each in sorted(body.modules, key=_name)),
        time_zone=tenant.time_zone,
        payment_days=settings.payment_days,
        test=tenant.clock == seats_v1.Clock.TEST,
        changes=(
            *(Change(field=f"{module.module}.licences", old=0, new=module.licences) for module in body.modules),
            *(change for discount in discounts for change in changes_between({}, fields_of(discount))),
        ),
        discounts=tuple(discounts),
        trial_until=body.trial_until,
    )
    modules = [
        store.subscriptions.Module(each.module, known[each.module].base, each.licences, each.policies.model_dump_json())
        for each in body.modules
    ]
    if former is not None:  # its facts stay, and its documents can be rebuilt from them
        await store.subscriptions.remove(uow.connection, tenant_id)
        await store.endings.remove(uow.connection, tenant_id)
        await store.price_lists.forget(uow.connection, tenant_id)
    await store.subscriptions.add(uow.connection, tenant_id, event, modules)
    for discount in discounts:
        await save(uow, tenant_id, event, discount, at, actor)
    await publish_fact(uow, tenant_id, event, subject=event.subscription)
    await plan_reminder(uow, tenant_id, event, today)
    if tenant.opened:
        await open_pools(uow, tenant_id, at)


async def _nothing_left(uow: UnitOfWork, tenant_id: str) -> None:
    """Refuse a subscription while seats still closes pools of the one before, or opens one: its answers would count for the new one."""
    c = uow.connection
    opening = await store.commands.any_unanswered(c, tenant_id, [OPEN_POOL])
    if opening or await store.pools.reported(c, tenant_id) or await store.orders.pending(c, tenant_id):
        detail = "seats has not closed all pools of the former subscription yet. Try again when they are closed."
        raise Conflict("order-pending", detail)


async def activate(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted, at: datetime, cause: Envelope) -> None:
    """Let the subscription be active, because seats has opened its last pool (`cause`)."""
    found = await store.subscriptions.find(uow.connection, tenant_id)
    if found is not None and found.status == "active":
        return
    await store.subscriptions.set_status(uow.connection, tenant_id, "active")
    event = SubscriptionActivated(at=at, actor=SYSTEM, subscription=contract.subscription, decision=cause.id)
    publish(uow, tenant_id, event, cause=cause, subject=contract.subscription)


async def _plan(uow: UnitOfWork, tenant_id: str, name: str, today: date) -> PlanDefined:
    """Return the plan's list of today. Raises Invalid: it is not sold, or documents in another currency are open since a former
    subscription: a balance has one currency."""
    plans = of_each_plan(await store.catalogue.all_versions(uow.connection), today)
    plan = next((plan for plan in plans if plan.plan == name), None)
    if plan is None:
        raise Invalid("body.plan", name, f"a plan that is sold on {today}: {', '.join(plan.plan for plan in plans) or 'none'}")
    balance = await store.receivables.open_balance(uow.connection, tenant_id)
    others = sorted({each.currency for each in balance.documents.values()} - {plan.currency})
    if others:
        expected = f"a plan in {others[0]}, or any plan after the open invoices and credit notes in {others[0]} are settled"
        raise Invalid("body.plan", plan.plan, f"{expected}; {plan.plan} is in {plan.currency}")
    return plan


def _check_modules(body: SubscriptionBody, plan: PlanDefined, known: dict[str, store.catalogue.Module]) -> None:
    ordered = {module.module for module in body.modules}
    priced = prices_of(plan, body.term)
    if not priced:
        terms = ", ".join(sorted({price.term for price in plan.prices})) or "none"
        raise Invalid("body.term", body.term, f"a term for which the plan {plan.plan} has prices: {terms}")
    for place, module in enumerate(body.modules):
        field = f"body.modules.{place}.module"
        if module.module not in priced:
            raise Invalid(
                field, module.module, f"a module with a price for the {body.term} term in the plan {plan.plan}: {', '.join(sorted(priced))}"
            )
        lacking = sorted(set(known[module.module].requires) - ordered)
        refused, limits = wrong_for_plan(module.policies, plan, module.module), limits_of(plan, module.module)
        if refused is not None:
            of_policy, value, allowed = refused
            raise Invalid(f"{field.removesuffix('.module')}.policies.{of_policy}", value, allowed)
        if not limits.minimum <= module.licences <= (limits.maximum or module.licences):
            numbers = f"{limits.minimum} to {limits.maximum}" if limits.maximum else f"at least {limits.minimum}"
            expected = f"{numbers} licences, as the plan {plan.plan} allows"
            raise Invalid(f"{field.removesuffix('.module')}.licences", module.licences, expected)
        if lacking:
            raise Invalid(field, module.module, f"this module only together with the modules that it requires: {', '.join(lacking)}")
    if not any(known[name].base for name in ordered):
        raise Invalid("body.modules", sorted(ordered), "modules with at least one base module among them")


def _name(module: SubscribedModule) -> str:
    return module.module


def _trial(body: SubscriptionBody, until: date, today: date) -> Period:
    last = add_days(body.period_start, TRIAL_DAYS_MAX)
    if not body.period_start <= today:
        raise Invalid("body.period_start", body.period_start.isoformat(), f"today, {today}, or an earlier day, when the trial began")
    if not today < until <= last:
        raise Invalid("body.trial_until", until.isoformat(), f"a day after today, {today}, and not after {last}")
    if body.billed_until is not None:
        raise Invalid("body.billed_until", body.billed_until.isoformat(), "no value: a trial is not invoiced")
    return Period(body.period_start, until)


def _discounts(body: SubscriptionBody, first: date, anchor: date) -> list[Discount]:
    days = {"earliest": first, "next_start": first, "anchor": anchor}
    modules = [module.module for module in body.modules]
    return discounts_of(body.discounts, "body.discounts.{place}", modules, term=Term(body.term), **days)


def _anchor(body: SubscriptionBody) -> date:
    """Return the day from which the charged periods are counted."""
    field, first = ("trial_until", body.trial_until) if body.trial_until is not None else ("period_start", body.period_start)
    anchor = anchor_of(first, Term(body.term), body.billing_day)
    if anchor is None:
        expected = f"the day of {field}, {first}, or a later one if that is the last day of its month"
        raise Invalid("body.billing_day", body.billing_day, expected)
    return anchor


def _first_period(body: SubscriptionBody, anchor: date, today: date) -> Period:
    if body.trial_until is not None:
        return _trial(body, body.trial_until, today)
    period = period_at(anchor, Term(body.term), body.period_start)
    if today not in period:
        raise Invalid("body.period_start", body.period_start.isoformat(), f"the start of a {body.term} period that contains today, {today}")
    if body.billed_until not in (None, period.start, period.end):
        raise Invalid(
            "body.billed_until",
            str(body.billed_until),
            f"{period.end} (if the first period is already invoiced), {period.start}, or no value",
        )
    return period
