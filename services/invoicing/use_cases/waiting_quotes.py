"""Quotes that wait for a second approver. At the start of each local day they are issued again, with the amount of that day."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from services.invoicing import store
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.approvals import Approval, requester_of
from services.invoicing.domain.calendar import add_days, local_day, start_of_day
from services.invoicing.domain.quote import Item, NewModule, Refusal, Situation, expected, price, price_new_module
from services.invoicing.store.quotes import EXPIRED, REPLACED, WAITING, StoredQuote
from services.invoicing.use_cases.discounts import take_offered_back, with_offered
from services.invoicing.use_cases.locked_tenants import time_of
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.quotes import situation_of
from services.invoicing.use_cases.request_states import reopen
from shared import ids
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.schemas.invoicing_v1 import QuoteExpired, QuoteIssued, SecondApprovalNeeded

REISSUE: Final = "reissue_quote"  # kind of the due action; its reference is the quote
PRICES_CHANGED: Final = "price_list_changed"
A_DAY: Final = timedelta(days=1)
REMINDER_DAYS: Final = 2  # those who can approve get one reminder, when a waiting quote has so many days left


async def wait_for_second(
    uow: UnitOfWork, tenant_id: str, found: StoredQuote, approval: Approval, zone: str, replaced: QuoteIssued | None = None
) -> None:
    """Let a quote wait for its second approver, at most until the end of its local day. `replaced`: it is issued again in place of this
    quote, with the approval that was given."""
    quote, c = found.issued, uow.connection
    left = quote.lines[0].days
    until = start_of_day(add_days(quote.priced_for, 1), zone)
    at = quote.at if replaced is not None else approval.at
    actor = SYSTEM if replaced is not None else approval.by
    await store.quotes.wait(c, tenant_id, quote.quote, approval, until)
    await store.quotes.move(c, tenant_id, quote.quote, WAITING, at, actor, approved_by=approval.by.id, gross_minor=approval.gross_minor)
    await store.due_actions.set_due(c, tenant_id, REISSUE, quote.quote, until)
    event = SecondApprovalNeeded(
        at=at,
        actor=actor,
        quote=quote.quote,
        requested_by=requester_of(quote),
        approved_by=approval.by,
        approved_gross_minor=approval.gross_minor,
        replaces=replaced.quote if replaced is not None else None,
        lines=quote.lines,
        currency=quote.currency,
        net_minor=quote.net_minor,
        tax_minor=quote.tax_minor,
        gross_minor=quote.gross_minor,
        charge=quote.charge,
        expires_at=until,
        last_day=add_days(quote.priced_for, left - 1),
        reminds=replaced is not None and left <= REMINDER_DAYS < replaced.lines[0].days,
    )
    publish(uow, tenant_id, event, subject=quote.quote)


async def reissue(uow: UnitOfWork, tenant_id: str, quote_id: str, *, clock: Clock) -> None:
    """Issue a waiting quote again for this local day, with the same items. If price list, period or a number of licences to add have
    changed, the quote expires, and those who wait get the reason."""
    tenant = await store.tenants.find(uow.connection, tenant_id, lock=True)
    found = await store.quotes.find(uow.connection, tenant_id, quote_id)
    if tenant is None or found is None or found.state != WAITING:
        return
    at, old = time_of(tenant, clock), found.issued
    try:
        situation = await with_offered(uow, tenant_id, old.estimate, await situation_of(uow, tenant, at))
    except Conflict as refused:  # the subscription has ended meanwhile
        await _expire(uow, tenant_id, found, at, refused.type)
        return
    zone = situation.contract.time_zone
    if at < start_of_day(add_days(old.priced_for, 1), zone):
        return
    again = await _price_again(uow, tenant_id, situation, old)
    if isinstance(again, str):
        await _expire(uow, tenant_id, found, at, again)
        return
    await store.quotes.add(uow.connection, tenant_id, again, expected(situation, [line.module for line in again.lines]))
    await store.quotes.move(uow.connection, tenant_id, quote_id, REPLACED, at, SYSTEM, quote=again.quote)
    publish(uow, tenant_id, again, subject=again.quote)
    new = await store.quotes.find(uow.connection, tenant_id, again.quote)
    assert new is not None
    (approval,) = found.given
    await wait_for_second(uow, tenant_id, new, approval, zone, replaced=old)


async def _price_again(uow: UnitOfWork, tenant_id: str, situation: Situation, old: QuoteIssued) -> QuoteIssued | str:
    """Return the quote with the same items for today, or the reason why there is none."""
    day = local_day(situation.at, situation.contract.time_zone)
    if day >= add_days(old.priced_for, old.lines[0].days):
        return "period_changed"
    if situation.contract.subscription != old.subscription:
        return "subscription_ended"
    if situation.plan.plan != old.plan:
        return PRICES_CHANGED
    beside = await _beside(uow, tenant_id, old)
    situation = replace(situation, undecided=(*situation.undecided, *beside))
    name = ids.new_id()
    fixed = {line.module: line.unit_price_minor for line in old.lines if old.estimate is not None and not line.steps}
    if old.new_module is not None and old.policies is not None:
        known, (line,) = await store.catalogue.modules(uow.connection), old.lines
        wanted = NewModule(old.new_module, line.quantity, old.policies, known[old.new_module].requires, fixed.get(old.new_module))
        subscribed = [each.module for each in await store.subscriptions.modules(uow.connection, tenant_id)]
        found = price_new_module(situation, wanted, subscribed, quote=name, actor=old.actor, valid=A_DAY)
    else:
        items = [Item(line.module, add=line.quantity, unit_price_minor=fixed.get(line.module)) for line in old.lines]
        found = price(situation, items, quote=name, actor=old.actor, valid=A_DAY)
    if isinstance(found, Refusal):
        return found.type
    if _prices(found) != _prices(old):
        return PRICES_CHANGED
    about = {"replaces": old.quote, "estimate": old.estimate, "requested_by": old.requested_by}
    return found.model_copy(update=about | {"credit_reserved_minor": sum(each.credit_net_minor for each in beside)})


async def _beside(uow: UnitOfWork, tenant_id: str, quote: QuoteIssued) -> list[QuoteIssued]:
    """Return the other quotes of the same estimate that wait: a credit counts for one of them only."""
    if quote.estimate is None:
        return []
    waiting = [each.issued for each in await store.quotes.waiting(uow.connection, tenant_id)]
    return [each for each in waiting if each.estimate == quote.estimate and each.quote != quote.quote]


async def _expire(uow: UnitOfWork, tenant_id: str, found: StoredQuote, at: datetime, why: str) -> None:
    reason = why.replace("-", "_")
    await store.quotes.move(uow.connection, tenant_id, found.quote, EXPIRED, at, SYSTEM, reason=reason)
    event = QuoteExpired(at=at, actor=SYSTEM, reason=reason, quote=found.quote, requested_by=requester_of(found.issued))
    publish(uow, tenant_id, event, subject=found.quote)
    await take_offered_back(uow, tenant_id, found.issued, at, reason)
    await reopen(uow, tenant_id, found.issued, reason, at)


async def stop_waiting(uow: UnitOfWork, tenant_id: str, quote_id: str) -> None:
    """Do not issue a quote again that was approved or withdrawn."""
    await store.due_actions.cancel(uow.connection, tenant_id, REISSUE, quote_id)


def _prices(quote: QuoteIssued) -> list[tuple[int, list[int]]]:
    return [(line.unit_price_minor, [step.unit_price_minor for step in line.steps]) for line in quote.lines]
