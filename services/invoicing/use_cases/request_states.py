"""The states of a request for licences: each change of the state is a step of its history and an event."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from services.invoicing import store
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import add_days, local_day, start_of_day
from services.invoicing.store.purchase_requests import APPROVED, ESTIMATED, EXPIRED, PurchaseRequest
from services.invoicing.use_cases.publishing import publish
from shared.database import UnitOfWork
from shared.schemas.base import Actor, Change
from shared.schemas.invoicing_v1 import PurchaseRequestChanged, QuoteIssued, RequestItem

SUBSCRIPTION_ENDED: Final = "subscription_ended"  # why an estimate has expired before its last day
EXPIRE: Final = "expire_estimate"  # kind of the due action; its reference is the request


def change_of(old: str | None, new: str) -> tuple[Change, ...]:
    return (Change(field="request.state", old=old, new=new),)


async def publish_state(
    uow: UnitOfWork, tenant_id: str, before: PurchaseRequest, now: PurchaseRequest, at: datetime, actor: Actor, **more: Any
) -> None:
    """Publish that a request has another state, with what it asks for or its estimate fixes."""
    event = PurchaseRequestChanged(
        at=at,
        actor=actor,
        request=now.request,
        state=now.state,
        items=now.wanted,
        discounts=tuple(each.content for each in now.offered_discounts),
        valid_until=now.valid_until,
        changes=change_of(before.state, now.state),
        **more,
    )
    publish(uow, tenant_id, event, subject=now.request)


async def close(uow: UnitOfWork, tenant_id: str, found: PurchaseRequest, state: str, at: datetime, actor: Actor, reason: str) -> None:
    """Give a request a state in which it waits for nobody."""
    history = store.purchase_requests.step_json(found.steps, state, at, actor, **({"reason": reason} if reason else {}))
    changed = replace(found, state=state, history=history)
    await store.purchase_requests.change(uow.connection, tenant_id, changed)
    await store.due_actions.cancel(uow.connection, tenant_id, EXPIRE, found.request)
    await publish_state(uow, tenant_id, found, changed, at, actor, reason=reason)


async def expire_with_subscription(uow: UnitOfWork, tenant_id: str, at: datetime) -> None:
    """Let the estimates expire that were made for a subscription which has ended."""
    for found in await store.purchase_requests.estimated(uow.connection, tenant_id):
        await close(uow, tenant_id, found, EXPIRED, at, SYSTEM, SUBSCRIPTION_ENDED)


async def reopen(uow: UnitOfWork, tenant_id: str, quote: QuoteIssued, reason: str, at: datetime) -> None:
    """Let the estimate of a quote that became no order be approved again, with what this quote would have added. After the estimate's last
    day, or the end of the subscription, it expires."""
    found = await store.purchase_requests.find(uow.connection, tenant_id, quote.estimate) if quote.estimate is not None else None
    subscribed = await store.subscriptions.find(uow.connection, tenant_id)
    if found is None or subscribed is None or found.state not in (APPROVED, ESTIMATED) or found.valid_until is None:
        return
    left = [
        RequestItem(module=line.module, add=line.quantity, unit_price_minor=None if line.steps else line.unit_price_minor)
        for line in quote.lines
    ]
    kept = found.wanted if found.state == ESTIMATED else ()
    items = [*kept, *(item for item in left if item.module not in {each.module for each in kept})]
    zone = subscribed.contract.time_zone
    has_ended = subscribed.status == "ended" or subscribed.subscription != quote.subscription  # another one may have begun meanwhile
    state = ESTIMATED if local_day(at, zone) <= found.valid_until and not has_ended else EXPIRED
    reason = SUBSCRIPTION_ENDED if has_ended else reason
    history = store.purchase_requests.step_json(found.steps, state, at, SYSTEM, reason=reason, quote=quote.quote)
    changed = replace(found, state=state, items=store.purchase_requests.items_json(items), history=history)
    await store.purchase_requests.change(uow.connection, tenant_id, changed)
    if state == ESTIMATED:
        ends_at = start_of_day(add_days(found.valid_until, 1), zone)
        await store.due_actions.set_due(uow.connection, tenant_id, EXPIRE, found.request, ends_at)
    await publish_state(uow, tenant_id, found, changed, at, SYSTEM, reason=reason, currency=quote.currency)
