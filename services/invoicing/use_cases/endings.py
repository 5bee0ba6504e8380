"""The end of a subscription: ordered, taken back, reminded of, and carried out when seats has closed its pools."""

from dataclasses import dataclass
from datetime import date, datetime
from functools import partial
from typing import Any, Final

from services.invoicing import store
from services.invoicing.domain.calendar import add_days, local_day, start_of_day
from services.invoicing.domain.ending import document_of_end, next_reminder, reminder_of, restored
from services.invoicing.domain.quote import Situation, not_priced_now
from services.invoicing.settings import Settings
from services.invoicing.store.endings import Ending
from services.invoicing.store.subscriptions import Subscription
from services.invoicing.use_cases.issue_invoices import book_and_issue, read_facts
from services.invoicing.use_cases.locked_tenants import lock_tenant, time_of
from services.invoicing.use_cases.price_lists import look_for_lists
from services.invoicing.use_cases.publishing import publish, publish_fact
from services.invoicing.use_cases.quotes import ended, refuse, situation_of
from services.invoicing.use_cases.request_states import expire_with_subscription
from services.invoicing.use_cases.seats_commands import send
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.schemas.base import Actor, Change
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import (
    KeptModule,
    SubscriptionEnded,
    SubscriptionEnding,
    SubscriptionEndingSoon,
    SubscriptionKept,
    SubscriptionStarted,
)
from shared.schemas.seats_v1 import CloseAt, ClosePool, Expected, LicenceCount, PeriodStarted, PoolClosed, ScheduleReduction

END, KEEP, CLOSE_AGAIN = "end_pool", "keep_subscription", "close_pool_again"
KINDS: Final = (END, KEEP, CLOSE_AGAIN)
NOT_ACTIVE: Final = ("pending", "failed")  # states of a subscription of which nothing was charged yet
REMINDER: Final = "subscription_ending"  # kind of the due action; its reference is the subscription


async def end_subscription(
    uow: UnitOfWork, tenant_id: str, actor: Actor, reason: str, *, settings: Settings, clock: Clock, at_once: bool = False
) -> None:
    """End the subscription at the end of its period, or at once. If it is to end already, nothing changes. Raises Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    found = await store.subscriptions.find(uow.connection, tenant_id)
    if at_once and found is not None and found.status in NOT_ACTIVE:
        await _give_up(uow, tenant_id, found, at, actor, reason, settings)
        return
    situation = await situation_of(uow, tenant, at)
    refusal = not_priced_now(situation, ())
    if refusal is not None:
        raise refuse(refusal)
    known = await store.endings.find(uow.connection, tenant_id)
    if known is not None and known.kept_by is None and known.at_once >= at_once:
        return
    contract, period = situation.contract, situation.account.period
    assert period is not None
    today = local_day(at, contract.time_zone)
    ends_on = today if at_once else period.end
    ending = Ending(
        subscription=contract.subscription,
        ends_on=ends_on,
        at_once=at_once,
        reason=reason,
        ordered_by=actor.model_dump_json(),
        ordered_at=at,
    )
    await store.endings.put(uow.connection, tenant_id, ending)
    await _set_reminder(uow, tenant_id, contract, ending, today)
    event = SubscriptionEnding(
        at=at,
        actor=actor,
        reason=reason,
        subscription=contract.subscription,
        ends_on=ends_on,
        at_once=at_once,
        changes=(Change(field="subscription.ends_on", old=known.ends_on.isoformat() if known else None, new=ends_on.isoformat()),),
    )
    publish(uow, tenant_id, event, subject=contract.subscription)
    for module in situation.pools:
        await _close(uow, tenant_id, module, at_once=at_once, time=at)


async def _give_up(
    uow: UnitOfWork, tenant_id: str, found: Subscription, at: datetime, actor: Actor, reason: str, settings: Settings
) -> None:
    """End a subscription that never became active: seats has not opened all its pools, or rejected one. Nothing of it was charged."""
    contract, c = found.contract, uow.connection
    if await store.endings.find(c, tenant_id) is not None:
        return
    today = local_day(at, contract.time_zone)
    ending = Ending(found.subscription, today, at_once=True, reason=reason, ordered_by=actor.model_dump_json(), ordered_at=at)
    await store.endings.put(c, tenant_id, ending)
    changes = (Change(field="subscription.ends_on", old=None, new=today.isoformat()),)
    about: dict[str, Any] = {"subscription": found.subscription, "ends_on": today, "at_once": True, "changes": changes}
    publish(uow, tenant_id, SubscriptionEnding(at=at, actor=actor, reason=reason, **about), subject=found.subscription)
    pools = await store.pools.reported(c, tenant_id)
    for module in pools:
        await _close(uow, tenant_id, module, at_once=True, time=at)
    if not pools:
        await _ended(uow, tenant_id, settings, ending, at, None)


@dataclass(frozen=True, slots=True)
class EndAtOnce:
    """What an end at once would do: the first day without the subscription, and the net amounts that are credited and charged."""

    ends_on: date
    currency: str
    credit_net_minor: int = 0
    charge_net_minor: int = 0


async def preview_end(uow: UnitOfWork, tenant_id: str, *, clock: Clock) -> EndAtOnce:
    """Return what an end at once would do now. Raises Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    found = await store.subscriptions.find(uow.connection, tenant_id)
    if found is not None and found.status in NOT_ACTIVE:
        return EndAtOnce(local_day(at, found.contract.time_zone), found.contract.currency)
    situation = await situation_of(uow, tenant, at)
    refusal = not_priced_now(situation, ())
    if refusal is not None:
        raise refuse(refusal)
    contract = situation.contract
    today = local_day(at, contract.time_zone)
    return EndAtOnce(today, contract.currency, *document_of_end(await read_facts(uow, tenant_id), situation))


async def keep_subscription(uow: UnitOfWork, tenant_id: str, actor: Actor, *, clock: Clock) -> None:
    """Ask seats to take the ending back. It ends all the same if the period has begun before seats decides. Raises Conflict."""
    tenant, at = await lock_tenant(uow, tenant_id, clock)
    situation = await situation_of(uow, tenant, at)
    ending = await store.endings.find(uow.connection, tenant_id)
    if ending is None:
        raise Conflict("subscription-not-ending", "The subscription does not end, so there is no ending to take back.")
    if ending.at_once or local_day(at, situation.contract.time_zone) >= ending.ends_on:
        raise ended(ending.ends_on)
    if ending.kept_by is None:
        # Only the answers of seats have the numbers that come back. Without all of them, a module would close although the others go on.
        waits = sorted(module for module, pool in situation.pools.items() if pool.former_next_period is None)
        if waits:
            detail = f"seats has not answered the ending of {', '.join(waits)} yet. Try again when it has."
            raise Conflict("order-pending", detail, modules=waits)
        await store.endings.set_kept_by(uow.connection, tenant_id, actor)
        await _take_back(uow, tenant_id, situation, at)
        for module in restored(situation.pools)[1]:
            await _close_again(uow, tenant_id, module, at)


async def _take_back(uow: UnitOfWork, tenant_id: str, situation: Situation, at: datetime, **options: Any) -> None:
    """Send the former numbers of all pools in one command, so that seats takes the ending back completely or not at all."""
    numbers, _ = restored(situation.pools)
    items = tuple(LicenceCount(module=module, quantity=number) for module, number in sorted(numbers.items()))
    # No pool is named in `expected`: an expansion meanwhile does not matter.
    make = partial(ScheduleReduction, items=items, expected=Expected(period=situation.period))
    await send(uow, tenant_id, make, kind=KEEP, reference=situation.contract.subscription, time=at, **options)


async def _close_again(uow: UnitOfWork, tenant_id: str, module: str, at: datetime, **options: Any) -> None:
    """Let a pool that was to close by itself close by itself again."""
    again = partial(ClosePool, module=module, at=str(CloseAt.PERIOD_END))
    await send(uow, tenant_id, again, kind=CLOSE_AGAIN, reference=module, time=at, **options)


async def _close(uow: UnitOfWork, tenant_id: str, module: str, *, at_once: bool, time: datetime, **options: Any) -> None:
    make = partial(ClosePool, module=module, at=str(CloseAt.NOW if at_once else CloseAt.PERIOD_END), ending=True)
    await send(uow, tenant_id, make, kind=END, reference=module, time=time, **options)


async def end_added_module(uow: UnitOfWork, tenant_id: str, module: str, at: datetime, cause: Envelope) -> None:
    """Let a module that was added to a subscription that ends, end with it."""
    ending = await store.endings.find(uow.connection, tenant_id)
    if ending is not None and not ending.ended and ending.kept_by is None:
        await _close(uow, tenant_id, module, at_once=ending.at_once, time=at, cause=cause)


async def close_after_end(uow: UnitOfWork, tenant_id: str, module: str, at: datetime, cause: Envelope) -> bool:
    """Return whether the subscription had ended, or was given up, before seats opened one of its pools, and close the pool again."""
    ending, found = await store.endings.find(uow.connection, tenant_id), await store.subscriptions.find(uow.connection, tenant_id)
    if ending is None or found is None or not (ending.ended or found.status in NOT_ACTIVE):
        return False
    await _close(uow, tenant_id, module, at_once=True, time=at, cause=cause)
    return True


async def modules_to_close(uow: UnitOfWork, tenant_id: str) -> set[str]:
    """Return the modules with an open pool of a subscription that ends or has ended."""
    ending = await store.endings.find(uow.connection, tenant_id)
    if ending is None or ending.kept_by is not None:
        return set()
    return set(await store.pools.reported(uow.connection, tenant_id))


async def send_ending_again(
    uow: UnitOfWork, tenant_id: str, kind: str, reference: str, at: datetime, *, above: int, cause: Envelope | None
) -> None:
    """Send one command of an ending again, with a higher number, if it is still wanted."""
    ending, options = await store.endings.find(uow.connection, tenant_id), {"above": above, "cause": cause}
    if kind == CLOSE_AGAIN and (ending is None or ending.kept_by is not None):
        await _close_again(uow, tenant_id, reference, at, **options)
    elif ending is None:
        return
    elif kind == END and reference in await modules_to_close(uow, tenant_id):
        await _close(uow, tenant_id, reference, at_once=ending.at_once or ending.ended, time=at, **options)
    elif kind == KEEP and ending.kept_by is not None:
        tenant = await store.tenants.find(uow.connection, tenant_id)
        assert tenant is not None
        await _take_back(uow, tenant_id, await situation_of(uow, tenant, at), at, **options)


async def note_kept(uow: UnitOfWork, tenant_id: str, at: datetime, refused: str | None, cause: Envelope) -> None:
    """Note the answer of seats to taking an ending back. `refused`: the period had begun, or a command before was wrong."""
    ending = await store.endings.find(uow.connection, tenant_id)
    if ending is None or ending.kept_by is None:
        return  # ended again meanwhile
    if refused is not None:
        await store.endings.set_kept_by(uow.connection, tenant_id, None)
        return
    await store.endings.remove(uow.connection, tenant_id)
    await store.due_actions.cancel(uow.connection, tenant_id, REMINDER, ending.subscription)
    pools = await store.pools.reported(uow.connection, tenant_id)
    event = SubscriptionKept(
        at=at,
        actor=Actor.model_validate_json(ending.kept_by),
        subscription=ending.subscription,
        modules=tuple(KeptModule(module=m, licences=pool.licences, next_period=pool.next_period) for m, pool in sorted(pools.items())),
        changes=(Change(field="subscription.ends_on", old=ending.ends_on.isoformat(), new=None),),
    )
    publish(uow, tenant_id, event, cause=cause, subject=ending.subscription)
    await look_for_lists(uow, tenant_id, at)


async def end_with_period(uow: UnitOfWork, tenant_id: str, settings: Settings, event: PeriodStarted, cause: Envelope) -> bool:
    """Return whether the subscription ends at this instant, instead of being renewed, and end it."""
    ending = await store.endings.find(uow.connection, tenant_id)
    contract = await store.subscriptions.contract(uow.connection, tenant_id) if ending is not None else None
    if ending is None or contract is None:
        return False
    if not ending.ended and local_day(event.starts_at, contract.time_zone) >= ending.ends_on:
        await store.facts.add(uow.connection, tenant_id, cause.id, event)
        await _ended(uow, tenant_id, settings, ending, event.at, cause)
        for item in event.licences:  # seats decided the ending after the period had begun
            await _close(uow, tenant_id, item.module, at_once=True, time=event.at, cause=cause)
    return ending.ended or local_day(event.starts_at, contract.time_zone) >= ending.ends_on


async def end_with_pool(uow: UnitOfWork, tenant_id: str, settings: Settings, event: PoolClosed, cause: Envelope) -> None:
    """End a subscription that the vendor ended at once, if this was its last pool."""
    ending = await store.endings.find(uow.connection, tenant_id)
    if ending is None or ending.ended or not ending.at_once or await store.pools.reported(uow.connection, tenant_id):
        return
    await _ended(uow, tenant_id, settings, ending, event.at, cause)


async def _ended(uow: UnitOfWork, tenant_id: str, settings: Settings, ending: Ending, at: datetime, cause: Envelope | None) -> None:
    details = await store.billing_details.in_force(uow.connection, tenant_id)
    found = await store.subscriptions.find(uow.connection, tenant_id)
    assert details is not None
    assert found is not None
    ended_on = local_day(at, found.contract.time_zone) if ending.at_once else ending.ends_on
    event = SubscriptionEnded(
        at=at,
        actor=ending.actor,
        reason=ending.reason,
        subscription=ending.subscription,
        decision=cause.id if cause is not None and found.status not in NOT_ACTIVE else "",
        ended_on=ended_on,
        billing_details=details.version,
        at_once=ending.at_once,
        changes=(Change(field="subscription.status", old=found.status, new="ended"),),
    )
    await publish_fact(uow, tenant_id, event, cause=cause, subject=ending.subscription)
    await store.due_actions.cancel(uow.connection, tenant_id, REMINDER, ending.subscription)
    await store.endings.set_ended(uow.connection, tenant_id, ended_on)
    await store.subscriptions.set_status(uow.connection, tenant_id, "ended", ending.reason)
    await expire_with_subscription(uow, tenant_id, at)
    await book_and_issue(uow, tenant_id, settings, cause)


async def _set_reminder(uow: UnitOfWork, tenant_id: str, contract: SubscriptionStarted, ending: Ending, today: date) -> None:
    """Set the next reminder. The e-mail about the ending itself takes the place of one that is due on its day."""
    day = None if ending.at_once else next_reminder(ending.ends_on, today)
    if day is None:
        await store.due_actions.cancel(uow.connection, tenant_id, REMINDER, ending.subscription)
    else:
        at = start_of_day(day, contract.time_zone)
        await store.due_actions.set_due(uow.connection, tenant_id, REMINDER, ending.subscription, at)


async def remind(uow: UnitOfWork, tenant_id: str, *, clock: Clock) -> None:
    """Publish the reminder of an ending, and set the next one."""
    tenant = await store.tenants.find(uow.connection, tenant_id, lock=True)
    ending = await store.endings.find(uow.connection, tenant_id)
    contract = await store.subscriptions.contract(uow.connection, tenant_id)
    if tenant is None or ending is None or contract is None or ending.ended:
        return
    today = local_day(time_of(tenant, clock), contract.time_zone)
    if today >= ending.ends_on:
        return
    days = reminder_of(ending.ends_on, today)
    event = SubscriptionEndingSoon(
        at=start_of_day(add_days(ending.ends_on, -days), contract.time_zone),
        actor=ending.actor,
        subscription=ending.subscription,
        ends_on=ending.ends_on,
        days=days,
    )
    publish(uow, tenant_id, event, subject=ending.subscription)
    await _set_reminder(uow, tenant_id, contract, ending, today)
