"""Orders: an approved quote is sent to seats, which decides about it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from services.invoicing import store
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.approvals import Approval, requester_of, second_refusal
from services.invoicing.domain.quote import Situation, approvable
from services.invoicing.settings import Settings
from services.invoicing.store.purchase_settings import ALWAYS
from services.invoicing.store.quotes import ACTIVATED, APPROVED, REFUSED, StoredQuote
from services.invoicing.use_cases.added_modules import open_new_pool
from services.invoicing.use_cases.budget import exceeds_budget, note_purchase
from services.invoicing.use_cases.discounts import grant_offered, take_offered_back, with_offered
from services.invoicing.use_cases.expand_caps import follow_budget
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.overdue import check_purchase
from services.invoicing.use_cases.publishing import publish, publish_fact
from services.invoicing.use_cases.quotes import refuse, situation_of
from services.invoicing.use_cases.request_states import reopen
from services.invoicing.use_cases.seats_commands import add_licences
from services.invoicing.use_cases.waiting_quotes import stop_waiting, wait_for_second
from shared import ids
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict, NotFound, Poison
from shared.schemas import invoicing_v1, seats_v1
from shared.schemas.base import Actor, Change, format_instant
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import OrderCompleted, QuoteApproved, QuoteIssued, QuoteLine, QuoteWithdrawn, SubscriptionModule


async def approve_quote(uow: UnitOfWork, tenant_id: str, quote_id: str, actor: Actor, *, settings: Settings, clock: Clock) -> str | None:
    """Send the order to seats and return its id; None if the quote waits for a second approver. A quote is approved once: of two
    approvals that could complete it, the second one is refused. Raises NotFound, Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    found = await still_open(uow, tenant_id, quote_id, at)
    await check_purchase(uow, tenant_id)
    quote, expects = found.issued, found.expects
    situation = await with_offered(uow, tenant_id, quote.estimate, await situation_of(uow, tenant, at))
    refusal = approvable(situation, quote, expects)
    if refusal is not None:
        raise refuse(refusal)
    given = found.given
    if given:
        refusal = second_refusal(requester_of(quote), given, actor)
        if refusal is not None:
            raise refuse(refusal)
        await stop_waiting(uow, tenant_id, quote_id)
    elif await _needs_second(uow, tenant_id, quote):
        await wait_for_second(uow, tenant_id, found, Approval(actor, at, quote_id, quote.gross_minor), situation.contract.time_zone)
        return None
    await grant_offered(uow, tenant_id, situation.offered, actor, settings=settings, clock=clock)
    counts_on: dict[str, Any] = await _credit_of(uow, tenant_id, situation) if quote.credit_net_minor else {}
    event = QuoteApproved(
        at=at,
        actor=actor,
        quote=quote_id,
        order=ids.new_id(),
        approved_on=quote.priced_for,
        billing_details=situation.details.version,
        first_approver=given[0].by if given else None,
        bought=tuple(SubscriptionModule(module=line.module, licences=line.quantity) for line in quote.lines),
        **counts_on,
    )
    await store.orders.add(uow.connection, tenant_id, event)
    await store.quotes.move(uow.connection, tenant_id, quote_id, APPROVED, at, actor, order=event.order)
    # A quote becomes a fact when it is approved. Many quotes are not, and the account is computed from all facts each time.
    await store.facts.add(uow.connection, tenant_id, f"quote-{quote_id}", quote)
    await publish_fact(uow, tenant_id, event, subject=event.order)
    await note_purchase(uow, tenant_id, event.order, quote)
    await follow_budget(uow, tenant_id, at)  # before the order: seats decides in this sequence
    if quote.new_module is None:
        await add_licences(uow, tenant_id, event.order)
    else:
        await open_new_pool(uow, tenant_id, event.order, quote, at)
    return event.order


async def _credit_of(uow: UnitOfWork, tenant_id: str, situation: Situation) -> dict[str, Any]:
    """Return what an approval says about the credit on which it counts: at which moment it is fixed, and for whom a part is left."""
    return {
        "undecided": tuple(order for order, _ in await store.orders.pending(uow.connection, tenant_id)),
        "after": situation.account.last_decision,
        "number": await store.subscriptions.set_contract(uow.connection, tenant_id, situation.contract),
    }


async def outcome_of_approval(uow: UnitOfWork, tenant_id: str, found: StoredQuote, actor: Actor, at: datetime) -> str | None:
    """Return what an approval by this actor would do now: `orders`, `waits` (for a second approver), or `not_possible`; None: the quote
    can be approved by nobody any more."""
    if found.state_at(at) not in (store.quotes.OPEN, store.quotes.WAITING):
        return None
    if found.given:
        return "orders" if second_refusal(requester_of(found.issued), found.given, actor) is None else "not_possible"
    try:
        return "waits" if await _needs_second(uow, tenant_id, found.issued) else "orders"
    except Conflict:
        return "not_possible"  # above the budget, without a second approver


async def _needs_second(uow: UnitOfWork, tenant_id: str, quote: QuoteIssued) -> bool:
    """Return whether a purchase needs a second approver. Raises Conflict if it is above the budget and cannot have one."""
    settings = await store.purchase_settings.find(uow.connection, tenant_id)
    return await exceeds_budget(uow, tenant_id, settings, quote) or settings.second_approver == ALWAYS


async def still_open(uow: UnitOfWork, tenant_id: str, quote_id: str, at: datetime) -> StoredQuote:
    """Return a quote that can be approved or withdrawn. Raises NotFound, Conflict."""
    found = await store.quotes.find(uow.connection, tenant_id, quote_id)
    if found is None:
        raise NotFound("quote")
    how = "Request a new quote (POST …/quotes) with the same items."
    match found.state_at(at):
        case store.quotes.OPEN | store.quotes.WAITING:
            return found
        case store.quotes.REPLACED:
            new, day = await store.quotes.newest(uow.connection, tenant_id, quote_id), found.issued.priced_for
            raise Conflict("quote-replaced", f"The quote was made for {day}. Approve the quote of today instead: {new}.", quote=new)
        case store.quotes.EXPIRED:
            day = found.issued.priced_for
            raise Conflict(
                "quote-expired", f"The quote was made for {day} and has expired. {how}", expired_at=format_instant(found.expires_at)
            )
        case store.quotes.WITHDRAWN:
            (*_, step) = await store.quotes.steps(uow.connection, tenant_id, quote_id)
            raise Conflict("quote-withdrawn", f"The quote was withdrawn. {how}", withdrawn_at=format_instant(step.at))
    order = await store.orders.of_quote(uow.connection, tenant_id, quote_id)
    assert order is not None
    raise Conflict(
        "quote-approved",
        f"The quote was approved already, and its order is {order.status}. Read the order: GET …/orders/{order.order}.",
        order=order.order,
        approved_at=format_instant(order.approved_at),
    )


async def withdraw_quote(uow: UnitOfWork, tenant_id: str, quote_id: str, actor: Actor, *, clock: Clock) -> None:
    """Withdraw a quote that is not an order yet. A second withdrawal changes nothing. Raises NotFound, Conflict."""
    _, at = await lock_tenant(uow, tenant_id, clock)
    known = await store.quotes.find(uow.connection, tenant_id, quote_id)
    if known is not None and known.state == store.quotes.WITHDRAWN:
        return
    found = await still_open(uow, tenant_id, quote_id, at)
    await store.quotes.move(uow.connection, tenant_id, quote_id, store.quotes.WITHDRAWN, at, actor)
    await stop_waiting(uow, tenant_id, quote_id)
    waited = found.state == store.quotes.WAITING
    event = QuoteWithdrawn(at=at, actor=actor, quote=quote_id, requested_by=requester_of(found.issued), waited=waited)
    publish(uow, tenant_id, event, subject=quote_id)
    await take_offered_back(uow, tenant_id, found.issued, at, "quote_withdrawn")
    await reopen(uow, tenant_id, found.issued, "quote_withdrawn", at)


async def complete_order(
    uow: UnitOfWork, tenant: str, order: str, event: seats_v1.LicencesAdded | seats_v1.PoolOpened, cause: Envelope
) -> bool:
    """Record that seats completed an order. Return False if it was completed already. Raises Poison("order")."""
    decided = await store.orders.decide(uow.connection, tenant, order, "completed", "", "{}", event.at)
    if decided is None:
        known = await store.orders.find(uow.connection, tenant, order)
        if known is None or known.status != "completed":
            raise Poison("order", f"licences were added for order {order}, which invoicing {'refused' if known else 'has not sent'}")
        return False
    quote_id, approver = decided
    found = await store.quotes.find(uow.connection, tenant, quote_id)
    assert found is not None
    quote, before = found.issued, {pool.module: pool.licences for pool in found.expects.pools}
    await store.quotes.move(uow.connection, tenant, quote_id, ACTIVATED, event.at, SYSTEM)
    completed = OrderCompleted(
        at=event.at,
        actor=approver,
        reason="licences_bought",
        changes=tuple(_added(line, before.get(line.module, 0)) for line in quote.lines),
        order=order,
        quote=quote.quote,
        lines=quote.lines,
    )
    await store.facts.add(uow.connection, tenant, cause.id, event)
    publish(uow, tenant, completed, cause=cause, subject=order)
    await follow_budget(uow, tenant, event.at, cause=cause)
    return True


def _added(line: QuoteLine, before: int) -> Change:
    return Change(field=f"{line.module}.licences", old=before, new=before + line.quantity)


async def refuse_order(
    uow: UnitOfWork, tenant: str, order: str, reason: str, at: datetime, detail: Mapping[str, object], cause: Envelope
) -> None:
    """Record that seats refused an order. Only the first answer counts."""
    decided = await store.orders.decide(uow.connection, tenant, order, "refused", reason, orjson.dumps(detail).decode(), at)
    if decided is not None:
        quote, approver = decided
        await store.quotes.move(uow.connection, tenant, quote, REFUSED, at, SYSTEM, reason=reason)
        refused = invoicing_v1.OrderRefused(at=at, actor=approver, reason=reason, order=order, quote=quote)
        publish(uow, tenant, refused, cause=cause, subject=order)
        await store.budget.remove(uow.connection, tenant, order)
        found = await store.quotes.find(uow.connection, tenant, quote)
        assert found is not None
        await take_offered_back(uow, tenant, found.issued, at, reason)
        await reopen(uow, tenant, found.issued, reason, at)
        await follow_budget(uow, tenant, at, cause=cause)
