"""Discounts of a subscription: granted with its start or while it runs, and withdrawn."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from services.invoicing import store
from services.invoicing.api.requests import DiscountBody
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import Term, local_day
from services.invoicing.domain.discounts import DISCOUNTS_MAX, Days, WrongDays, dated, fields_of
from services.invoicing.domain.quote import Situation, amounts, not_priced_now
from services.invoicing.domain.tax import tax_on
from services.invoicing.settings import Settings
from services.invoicing.store.discounts import NewDiscount, StoredDiscount
from services.invoicing.store.purchase_requests import OfferedDiscount
from services.invoicing.use_cases.issue_invoices import end_days
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.publishing import publish_fact
from services.invoicing.use_cases.quotes import refuse, situation_of
from shared import ids
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid, NotFound
from shared.schemas.base import Actor, changes_between
from shared.schemas.invoicing_v1 import Amounts, Discount, DiscountGranted, DiscountWithdrawn, QuoteIssued, SubscriptionStarted


@dataclass(frozen=True, slots=True)
class DiscountPreview:
    """A discount that nobody has granted yet, and the price of the next period without and with it; None: there is none."""

    situation: Situation
    discount: Discount
    before: Amounts | None
    after: Amounts | None


def discounts_of(
    bodies: Sequence[DiscountBody], field: str, modules: Collection[str], *, earliest: date, next_start: date, anchor: date, term: Term
) -> list[Discount]:
    """Return the discounts that these bodies describe. `field` is the path of the first one. Raises Invalid."""
    found = []
    for place, body in enumerate(bodies):
        path = field.format(place=place)
        if body.module is not None and body.module not in modules:
            raise Invalid(f"{path}.module", body.module, f"a module of the subscription: {', '.join(sorted(modules)) or 'none'}")
        about = body.model_dump(include={"module", "percent", "amount_minor", "text"})
        draft = Discount(discount=ids.new_id(), from_day=earliest, **about)
        made = dated(draft, Days(body.from_day, body.until_day, body.periods), earliest, next_start, anchor, term)
        if isinstance(made, WrongDays):
            raise Invalid(f"{path}.{made.field}", made.value, made.expected)
        found.append(made)
    return found


async def save(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted, discount: Discount, at: datetime, actor: Actor) -> None:
    new = NewDiscount(discount.discount, contract.subscription, contract.currency, discount.model_dump_json(), at, actor.model_dump_json())
    await store.discounts.add(uow.connection, tenant_id, new)


async def grant(uow: UnitOfWork, tenant_id: str, body: DiscountBody, actor: Actor, *, settings: Settings, clock: Clock) -> str:
    """Give the running subscription a discount, and return its id. Raises Conflict, Invalid."""
    found = await preview(uow, tenant_id, body, settings=settings, clock=clock)
    await grant_discount(uow, tenant_id, found.situation, found.discount, actor)
    return found.discount.discount


async def preview(uow: UnitOfWork, tenant_id: str, body: DiscountBody, *, settings: Settings, clock: Clock) -> DiscountPreview:
    """Return the discount that a grant would make, with the price of the next period without and with it. Raises Conflict, Invalid."""
    situation = await _now(uow, tenant_id, settings, clock)
    contract, period = situation.contract, situation.account.period
    assert period is not None
    if len(situation.account.discounts) >= DISCOUNTS_MAX:
        raise Conflict("too-many-discounts", f"The subscription has {DISCOUNTS_MAX} discounts. Withdraw one that no longer holds first.")
    today, term = local_day(situation.at, contract.time_zone), Term(contract.term)
    days: dict[str, date] = {"earliest": today, "next_start": period.end, "anchor": contract.anchored_on}
    (discount,) = discounts_of([body], "body", situation.pools.keys(), term=term, **days)
    with_it = replace(situation, offered=(*situation.offered, discount))
    return DiscountPreview(situation, discount, next_amounts(situation), next_amounts(with_it))


async def with_offered(uow: UnitOfWork, tenant_id: str, request: str | None, situation: Situation) -> Situation:
    """Return the situation with the discounts that the estimate of a request fixes and that nobody has granted yet."""
    found = await store.purchase_requests.find(uow.connection, tenant_id, request) if request is not None else None
    offered = found.offered_discounts if found is not None else ()
    granted = [await store.discounts.find(uow.connection, tenant_id, each.content.discount) for each in offered]
    open_now = [as_of_now(each, situation) for each, row in zip(offered, granted, strict=True) if row is None]
    return replace(situation, offered=tuple(open_now))


def as_of_now(offered: OfferedDiscount, situation: Situation) -> Discount:
    """Return the discount with the days that it has if the estimate is approved now: a period that has begun since the estimate is
    charged already, so the number of periods is counted from the next one."""
    discount, contract, period = offered.content, situation.contract, situation.account.period
    if offered.periods is None or period is None or discount.from_day >= period.end:
        return discount
    today, term = local_day(situation.at, contract.time_zone), Term(contract.term)
    again = dated(discount, Days(periods=offered.periods), today, period.end, contract.anchored_on, term)
    assert isinstance(again, Discount)  # only given days can be wrong
    return again


async def grant_offered(
    uow: UnitOfWork, tenant_id: str, discounts: Sequence[Discount], actor: Actor, *, settings: Settings, clock: Clock
) -> None:
    """Let the discounts of an approved estimate hold from now on. Their events name no price of the next period: seats has not decided yet
    about the licences of the estimate, which change it as well."""
    for discount in discounts:
        await grant_discount(uow, tenant_id, await _now(uow, tenant_id, settings, clock), discount, actor, priced=False)


async def grant_discount(
    uow: UnitOfWork, tenant_id: str, situation: Situation, discount: Discount, actor: Actor, *, priced: bool = True
) -> None:
    """Let a discount hold from now on: one that the vendor grants, or that an approved estimate fixes."""
    await save(uow, tenant_id, situation.contract, discount, situation.at, actor)
    about = await _about(uow, tenant_id, situation, discount)
    changes = changes_between({}, fields_of(discount))
    if priced:
        with_it = replace(situation, offered=(*situation.offered, discount))
        about |= {"next_before": next_amounts(situation), "next_after": next_amounts(with_it)}
    event = DiscountGranted(at=situation.at, actor=actor, reason=discount.text, changes=changes, **about)
    await publish_fact(uow, tenant_id, event, subject=discount.discount)


async def withdraw(uow: UnitOfWork, tenant_id: str, discount: str, actor: Actor, *, settings: Settings, clock: Clock) -> StoredDiscount:
    """Let a discount hold no more from now on. If it is withdrawn already, nothing changes. Raises NotFound, Conflict."""
    found = await store.discounts.find(uow.connection, tenant_id, discount)
    if found is None:
        raise NotFound("discount")
    if found.withdrawn_at is not None:
        return found
    situation = await _now(uow, tenant_id, settings, clock)
    if found.subscription != situation.contract.subscription:
        raise NotFound("discount")
    await _withdraw(uow, tenant_id, situation, found, actor)
    again = await store.discounts.find(uow.connection, tenant_id, discount)
    assert again is not None
    return again


async def _withdraw(uow: UnitOfWork, tenant_id: str, situation: Situation, found: StoredDiscount, actor: Actor, reason: str = "") -> None:
    await store.discounts.withdraw(uow.connection, tenant_id, found.discount, situation.at, actor)
    account = situation.account
    kept = tuple(each for each in account.discounts if each.discount != found.discount)
    without = replace(situation, account=replace(account, discounts=kept))
    about = await _about(uow, tenant_id, situation, found.content)
    changes = changes_between(fields_of(found.content), {})
    about |= {"next_before": next_amounts(situation), "next_after": next_amounts(without)}
    event = DiscountWithdrawn(at=situation.at, actor=actor, reason=reason, changes=changes, **about)
    await publish_fact(uow, tenant_id, event, subject=found.discount)


async def take_offered_back(uow: UnitOfWork, tenant_id: str, quote: QuoteIssued, at: datetime, reason: str) -> None:
    """Withdraw the discounts of an estimate if nothing of it is bought: seats refused its orders, and its other quotes were withdrawn or
    have expired. Its next approval grants them again, by other ids."""
    c = uow.connection
    request = await store.purchase_requests.find(c, tenant_id, quote.estimate) if quote.estimate is not None else None
    tenant, subscription = await store.tenants.find(c, tenant_id, lock=True), await store.subscriptions.find(c, tenant_id)
    if request is None or tenant is None or subscription is None or request.ordered.get("reductions"):
        return
    if subscription.status == "ended" or subscription.contract.subscription != quote.subscription:
        return
    for each in request.ordered.get("quotes", ()):
        other = await store.quotes.find(c, tenant_id, await store.quotes.newest(c, tenant_id, each))
        if other is not None and other.state in (store.quotes.WAITING, store.quotes.APPROVED, store.quotes.ACTIVATED):
            return
    for offered in request.offered_discounts:
        row = await store.discounts.find(c, tenant_id, offered.content.discount)
        if row is not None and row.withdrawn_at is None:
            situation = await situation_of(uow, tenant, max(at, row.granted_at))
            await _withdraw(uow, tenant_id, situation, row, SYSTEM, reason)
    renewed = [
        each.model_copy(update={"content": each.content.model_copy(update={"discount": ids.new_id()})})
        for each in request.offered_discounts
    ]
    changed = replace(request, discounts=store.purchase_requests.discounts_json(renewed))
    await store.purchase_requests.change(c, tenant_id, changed)


async def _now(uow: UnitOfWork, tenant_id: str, settings: Settings, clock: Clock) -> Situation:
    """Return the situation of a subscription whose past days are all charged. Raises Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    contract = (await situation_of(uow, tenant, at)).contract
    await end_days(uow, tenant_id, settings, local_day(at, contract.time_zone), None)
    situation = await situation_of(uow, tenant, at)
    refusal = not_priced_now(situation, ())
    if refusal is not None:
        raise refuse(refusal)
    return situation


async def _about(uow: UnitOfWork, tenant_id: str, situation: Situation, discount: Discount) -> dict[str, Any]:
    contract = situation.contract
    number = await store.subscriptions.set_contract(uow.connection, tenant_id, contract)
    fields = {"number": number, "after": situation.account.last_decision, "currency": contract.currency}
    return {"subscription": contract.subscription, "discount": discount} | fields


def next_amounts(situation: Situation) -> Amounts | None:
    """Return the price of the next period; None if there is none, or if the price list lacks one of the modules."""
    start = situation.next_start
    numbers = {module: pool.next_period for module, pool in situation.pools.items()}
    net_minor = start.net_minor(numbers) if situation.ends_on is None else None
    return None if net_minor is None else amounts(net_minor, tax_on(situation.details, start.starts_on))
