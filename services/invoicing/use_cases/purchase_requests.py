"""Purchases and reductions by request (A9, A11): request, estimate of the vendor, approval by the customer, activation."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, Final

import orjson

from services.invoicing import store
from services.invoicing.api.requests import EstimateBody, PurchaseRequestBody, ReductionBody, ReductionTotal
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import Term, add_days, local_day, start_of_day
from services.invoicing.domain.discounts import DISCOUNTS_MAX
from services.invoicing.domain.ledger import by_number
from services.invoicing.domain.money import round_half_up
from services.invoicing.domain.prices import prices_of
from services.invoicing.domain.quote import (
    Item,
    NewModule,
    Refusal,
    Situation,
    TodaysPrice,
    expected,
    not_priced_now,
    price,
    price_new_module,
    whole_price,
)
from services.invoicing.settings import Settings
from services.invoicing.store.purchase_requests import (
    APPROVED,
    DECLINED,
    ESTIMATED,
    EXPIRED,
    REQUESTED,
    WITHDRAWN,
    NewRequest,
    OfferedDiscount,
    PurchaseRequest,
)
from services.invoicing.use_cases.decided_policies import policies_of_new_module
from services.invoicing.use_cases.discounts import discounts_of, grant_offered, with_offered
from services.invoicing.use_cases.locked_tenants import lock_tenant, time_of
from services.invoicing.use_cases.orders import approve_quote
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.quotes import refuse, situation_of
from services.invoicing.use_cases.reductions import approve_reduction, offer_reduction, price_reduction
from services.invoicing.use_cases.request_states import EXPIRE, SUBSCRIPTION_ENDED, change_of, close, publish_state
from services.invoicing.use_cases.seats_questions import Forecast
from shared import ids
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid, NotFound
from shared.schemas.base import Actor
from shared.schemas.invoicing_v1 import PurchaseRequestChanged, QuoteIssued, QuoteLine, RequestItem, SubscriptionStarted, UnitPrice
from shared.schemas.seats_v1 import Policies, ReduceAt

VALID_DAYS: Final = 30  # of an estimate, if the vendor gives no date
A_DAY: Final = timedelta(days=1)


async def make_request(uow: UnitOfWork, tenant_id: str, body: PurchaseRequestBody, actor: Actor, *, clock: Clock) -> str:
    """Save a request, and return its id. Raises Conflict, Invalid."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    await _check_modules(uow, await situation_of(uow, tenant, at), [RequestItem(**item.model_dump()) for item in body.items])
    request = ids.new_id()
    items = [RequestItem(**item.model_dump()) for item in body.items]
    new = NewRequest(
        request=request,
        state=REQUESTED,
        company=body.company,
        contact_name=body.contact.name,
        contact_email=body.contact.email,
        contact_phone=body.contact.phone,
        message=body.message,
        items=store.purchase_requests.items_json(items),
        history=store.purchase_requests.step_json([], REQUESTED, at, actor),
    )
    await store.purchase_requests.add(uow.connection, tenant_id, new)
    event = PurchaseRequestChanged(
        at=at, actor=actor, request=request, state=REQUESTED, items=tuple(items), changes=change_of(None, REQUESTED)
    )
    publish(uow, tenant_id, event, subject=request)
    return request


async def _check_modules(uow: UnitOfWork, situation: Situation, items: Sequence[RequestItem]) -> None:
    known = await store.catalogue.modules(uow.connection)
    unknown = sorted({item.module for item in items} - set(known))
    if unknown:
        raise Invalid("body.items", unknown, f"modules of the catalogue: {', '.join(sorted(known)) or 'none'}")
    for item in items:
        pool = situation.pools.get(item.module)
        if item.reduce and (pool is None or item.reduce > pool.licences):
            has = f"has {pool.licences} licences of {item.module}" if pool is not None else f"does not include {item.module}"
            raise Invalid("body.items", f"{item.module}: reduce {item.reduce}", f"a reduction that fits: the subscription {has}")


async def make_estimate(uow: UnitOfWork, tenant_id: str, request: str, body: EstimateBody, actor: Actor, *, clock: Clock) -> None:
    """Fix what the vendor offers for a request: modules, numbers and unit prices, until a date. Another estimate replaces it.
    Raises NotFound, Conflict, Invalid."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    found = await _find(uow, tenant_id, request, (REQUESTED, ESTIMATED, EXPIRED))
    situation = await situation_of(uow, tenant, at)
    zone = situation.contract.time_zone
    today = local_day(at, zone)
    valid_until = body.valid_until or add_days(today, VALID_DAYS)
    if valid_until < today:
        raise Invalid("body.valid_until", valid_until.isoformat(), f"{today} or a later day")
    listed = prices_of(situation.plan, situation.contract.term)
    items = [RequestItem(**item.model_dump()) for item in body.items]
    items = [_priced(item, listed.get(item.module)) for item in items]
    await _check_modules(uow, situation, items)
    discounts = _discounts(situation, body, [item.module for item in items])
    situation = replace(situation, offered=tuple(each.content for each in discounts))
    try:
        await todays_price(uow, tenant_id, situation, items, actor)  # refused here and not when the customer approves it
    except Conflict as refused:
        raise Conflict(refused.type, refused.detail, **refused.extra | {"field": _field_of(refused, items)}) from refused
    about = {"valid_until": valid_until.isoformat(), **_prices_are_of(situation.contract)}
    changed = replace(
        found,
        state=ESTIMATED,
        items=store.purchase_requests.items_json(items),
        note=body.note,
        discounts=store.purchase_requests.discounts_json(discounts),
        valid_until=valid_until,
        history=store.purchase_requests.step_json(found.steps, ESTIMATED, at, actor, **about),
    )
    await store.purchase_requests.change(uow.connection, tenant_id, changed)
    await store.due_actions.set_due(uow.connection, tenant_id, EXPIRE, request, start_of_day(add_days(valid_until, 1), zone))
    await publish_state(uow, tenant_id, found, changed, at, actor, currency=situation.contract.currency, note=body.note)


def _prices_are_of(contract: SubscriptionStarted) -> dict[str, str]:
    """Return what the unit prices of an estimate are for."""
    return {"subscription": contract.subscription, "term": contract.term}


def check_prices(found: PurchaseRequest, contract: SubscriptionStarted) -> None:
    """Raise Conflict if the prices of an estimate are for the periods of another term, or for a subscription that has ended."""
    made: Mapping[str, str] = next((step["detail"] for step in reversed(found.steps) if "term" in step["detail"]), {})
    now = _prices_are_of(contract)
    if made and now != {name: made[name] for name in now}:
        raise Conflict(
            "quote-outdated",
            "The subscription or its term has changed since the estimate was made. Ask the vendor for a new estimate of this request, or "
            "send a new request.",
            term=contract.term,
        )


def _field_of(refused: Conflict, items: Sequence[RequestItem]) -> str:
    """Return the field of an estimate that a refusal is about."""
    modules = refused.extra.get("modules")
    named = {refused.extra.get("module"), *(modules if isinstance(modules, list) else ())}
    place = next((place for place, item in enumerate(items) if item.module in named), None)
    return "body.items" if place is None else f"body.items.{place}.{'add' if items[place].add else 'reduce'}"


def _discounts(situation: Situation, body: EstimateBody, modules: Sequence[str]) -> list[OfferedDiscount]:
    """Return the discounts that an estimate fixes, with their days. Raises Invalid, Conflict."""
    contract, period = situation.contract, situation.account.period
    if not body.discounts:
        return []
    refusal = not_priced_now(situation, ())
    if refusal is not None:
        raise refuse(refusal)
    assert period is not None
    if len(situation.account.discounts) + len(body.discounts) > DISCOUNTS_MAX:
        raise Conflict("too-many-discounts", f"A subscription can have {DISCOUNTS_MAX} discounts. Withdraw one that no longer holds first.")
    days: dict[str, date] = {"earliest": local_day(situation.at, contract.time_zone), "next_start": period.end}
    known = {*situation.pools, *modules}
    made = discounts_of(body.discounts, "body.discounts.{place}", known, anchor=contract.anchored_on, term=Term(contract.term), **days)
    return [OfferedDiscount(content=each, periods=asked.periods) for each, asked in zip(made, body.discounts, strict=True)]


def _priced(item: RequestItem, listed: UnitPrice | None) -> RequestItem:
    """Return the item of an estimate with its unit price. A price that depends on the number of licences is left to the price list."""
    if not item.add or item.unit_price_minor is not None or listed is None or by_number(listed) is not None:
        return item
    return item.model_copy(update={"unit_price_minor": listed.amount_minor})


async def todays_price(uow: UnitOfWork, tenant_id: str, situation: Situation, items: Sequence[RequestItem], actor: Actor) -> TodaysPrice:
    """Return the quotes of an estimate for today: one for the modules that the subscription has, and one for each other one. Its reduction
    is priced as well. Raises Conflict."""
    subscribed = [each.module for each in await store.subscriptions.modules(uow.connection, tenant_id)]
    known = await store.catalogue.modules(uow.connection)
    added = [item for item in items if item.add]

    policies = await policies_of_new_module(uow, tenant_id)
    options: dict[str, Any] = {"actor": actor, "valid": A_DAY}
    quotes = list[QuoteIssued]()
    own = [Item(item.module, add=item.add, unit_price_minor=item.unit_price_minor) for item in added if item.module in situation.pools]
    if own:
        quotes.append(_or_refuse(price(situation, own, quote=ids.new_id(), **options)))
    for item in added:
        if item.module not in situation.pools:
            new = NewModule(item.module, item.add, policies, known[item.module].requires, item.unit_price_minor)
            then = replace(situation, undecided=(*situation.undecided, *quotes))  # a credit counts for one quote only
            quotes.append(_or_refuse(price_new_module(then, new, subscribed, quote=ids.new_id(), **options)))
    lines = [line for quote in quotes for line in quote.lines]
    is_last_day = any(line.days <= 1 for line in lines)
    less = None if is_last_day else round_half_up(sum(map(_of_a_day, lines), Fraction(0)))
    body = await reduction_of_request(uow, tenant_id, situation, items)
    reduction = await price_reduction(uow, tenant_id, situation, body) if body is not None else None
    reduced = {item.module: item.total for item in reduction.items} if reduction is not None else {}
    before, after = whole_price(situation, lines, reduced)
    return TodaysPrice(quotes, less, before, after, reduction.credit_net_minor if reduction is not None else 0)


def _or_refuse(found: QuoteIssued | Refusal) -> QuoteIssued:
    if isinstance(found, Refusal):
        raise refuse(found)
    return found


def _of_a_day(line: QuoteLine) -> Fraction:
    """Return the exact price of a day, with the discounts of the line."""
    gross = line.net_minor + line.discount_minor
    left = Fraction(line.net_minor, gross) if gross else Fraction(1)
    added = line.recurring_then_minor - line.recurring_now_minor if line.steps else line.quantity * line.unit_price_minor
    return Fraction(added, line.days_of_period) * left


async def reduction_of_request(uow: UnitOfWork, tenant_id: str, situation: Situation, items: Sequence[RequestItem]) -> ReductionBody | None:
    """Return the reduction in an estimate as its own endpoint takes it; None: it reduces nothing. Raises Conflict if there are fewer
    licences than it takes away, for example because the next period has fewer already."""
    policies = {
        each.module: Policies.model_validate_json(each.policies) for each in await store.subscriptions.modules(uow.connection, tenant_id)
    }
    totals = []
    for item in items:
        pool = situation.pools.get(item.module)
        if item.reduce and pool is not None:
            before = pool.licences if policies[item.module].reduce_at == ReduceAt.NOW else pool.next_period
            if item.reduce > before:
                number = f"{before} licence{'s' if before != 1 else ''}"
                raise Conflict(
                    "reduction-refused",
                    f"The subscription will have {number} of {item.module}, so it cannot have {item.reduce} fewer. A "
                    f"new estimate can take away at most {before}.",
                    module=item.module,
                    present=before,
                )
            totals.append(ReductionTotal(module=item.module, total=before - item.reduce))
    return ReductionBody(items=totals) if totals else None


async def approved_reduction(uow: UnitOfWork, tenant_id: str, request: str, *, clock: Clock) -> ReductionBody | None:
    """Return the reduction that the approval of a request would order. Raises NotFound, Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    found = await _find(uow, tenant_id, request, (ESTIMATED,))
    return await reduction_of_request(uow, tenant_id, await situation_of(uow, tenant, at), found.wanted)


async def approve_request(
    uow: UnitOfWork, tenant_id: str, request: str, flagged: Forecast | None, actor: Actor, *, settings: Settings, clock: Clock
) -> None:
    """Order what an estimate offers, with the amounts of today. Raises NotFound, Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    found = await _find(uow, tenant_id, request, (ESTIMATED,))
    situation = await situation_of(uow, tenant, at)
    assert found.valid_until is not None
    if local_day(at, situation.contract.time_zone) > found.valid_until:
        raise _expired(found.valid_until)
    check_prices(found, situation.contract)
    situation = await with_offered(uow, tenant_id, request, situation)
    price_now = await todays_price(uow, tenant_id, situation, found.wanted, actor)
    sender = Actor.model_validate(found.steps[0]["by"])
    outcome = {name: list(found.ordered.get(name, ())) for name in ("quotes", "orders", "reductions")}
    for quote in price_now.quotes:
        reserved = sum(each.credit_net_minor for each in price_now.quotes if each is not quote)
        event = quote.model_copy(update={"estimate": request, "requested_by": sender, "credit_reserved_minor": reserved})
        await store.quotes.add(uow.connection, tenant_id, event, expected(situation, [line.module for line in event.lines]))
        publish(uow, tenant_id, event, subject=event.quote)
        outcome["quotes"].append(event.quote)
        order = await approve_quote(uow, tenant_id, event.quote, actor, settings=settings, clock=clock)
        outcome["orders"] += [order] if order is not None else []
    if not price_now.quotes:  # else the first order grants them
        await grant_offered(uow, tenant_id, situation.offered, actor, settings=settings, clock=clock)
    body = await reduction_of_request(uow, tenant_id, situation, found.wanted)
    if body is not None:
        reduction = await offer_reduction(uow, tenant_id, body, flagged, settings=settings, clock=clock)
        await approve_reduction(uow, tenant_id, reduction, actor, clock=clock)
        outcome["reductions"].append(reduction)
    history = store.purchase_requests.step_json(found.steps, APPROVED, at, actor, **outcome)
    changed = replace(found, state=APPROVED, outcome=orjson.dumps(outcome).decode(), history=history)
    await store.purchase_requests.change(uow.connection, tenant_id, changed)
    await store.due_actions.cancel(uow.connection, tenant_id, EXPIRE, request)
    ordered = {name: tuple(each) for name, each in outcome.items()}
    await publish_state(uow, tenant_id, found, changed, at, actor, currency=situation.contract.currency, **ordered)


async def close_request(uow: UnitOfWork, tenant_id: str, request: str, state: str, reason: str, actor: Actor, *, clock: Clock) -> None:
    """Decline a request as the vendor, or withdraw it as the customer. A second time changes nothing. Raises NotFound, Conflict."""
    assert state in (DECLINED, WITHDRAWN)
    _, at = await lock_tenant(uow, tenant_id, clock)
    found = await _find(uow, tenant_id, request, (REQUESTED, ESTIMATED, EXPIRED, state))
    if found.state != state:
        await close(uow, tenant_id, found, state, at, actor, reason)


async def expire(uow: UnitOfWork, tenant_id: str, request: str, *, clock: Clock) -> None:
    """Let an estimate expire that nobody approved until its date."""
    tenant = await store.tenants.find(uow.connection, tenant_id, lock=True)
    found = await store.purchase_requests.find(uow.connection, tenant_id, request)
    if tenant is not None and found is not None and found.state == ESTIMATED:
        await close(uow, tenant_id, found, EXPIRED, time_of(tenant, clock), SYSTEM, "")


async def _find(uow: UnitOfWork, tenant_id: str, request: str, states: Sequence[str]) -> PurchaseRequest:
    """Return a request in one of these states. Raises NotFound, Conflict."""
    found = await store.purchase_requests.find(uow.connection, tenant_id, request)
    if found is None:
        raise NotFound("purchase request")
    if found.state in states:
        return found
    step = found.steps[-1]
    if found.state == EXPIRED and found.valid_until is not None:
        raise _expired(found.valid_until, has_ended=step["detail"].get("reason") == SUBSCRIPTION_ENDED)
    raise Conflict(
        "request-closed",
        f"The request was {found.state} at {step['at']}. This is possible only for a request that is {' or '.join(states)}.",
        state=found.state,
        orders=found.ordered.get("orders", []),
    )


def _expired(valid_until: date, *, has_ended: bool = False) -> Conflict:
    why = "The subscription that the estimate was made for has ended." if has_ended else f"The estimate was valid until {valid_until}."
    return Conflict(
        "estimate-expired",
        f"{why} Ask the vendor for a new estimate of this request, or send a new request.",
        valid_until=valid_until.isoformat(),
    )
