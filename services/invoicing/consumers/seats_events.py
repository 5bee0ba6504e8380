"""Handlers of the decisions of seats. Each of them runs in the consumer's transaction and the tenant's scope."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import structlog
from prometheus_client import Counter

from services.invoicing import store
from services.invoicing.domain.calendar import Period, Term, local_day, period_at
from services.invoicing.domain.history import DECISIONS, decision_order
from services.invoicing.settings import Settings
from services.invoicing.use_cases.added_modules import ADD_MODULE, forget_module, note_module
from services.invoicing.use_cases.budget import note_expansion
from services.invoicing.use_cases.endings import (
    KEEP,
    close_after_end,
    end_added_module,
    end_with_period,
    end_with_pool,
    note_kept,
)
from services.invoicing.use_cases.expand_caps import APPLY_PLAN, SET_CAP, SET_POLICY, follow_budget, send_caps
from services.invoicing.use_cases.issue_invoices import apply_terms, book_and_issue, book_change, end_days
from services.invoicing.use_cases.opening_policies import note_pool_policies
from services.invoicing.use_cases.orders import complete_order, refuse_order
from services.invoicing.use_cases.plan_begins import begin_plan, reduce_again
from services.invoicing.use_cases.policies import (
    PRICE_LIST,
    fit_policies,
    fit_to_present_list,
    note_closed,
    note_policies,
    note_rejected,
    unfit_policies,
)
from services.invoicing.use_cases.price_list_changes import take_back_at_renewal
from services.invoicing.use_cases.price_lists import look_for_lists
from services.invoicing.use_cases.reductions import KINDS as REDUCTION_KINDS
from services.invoicing.use_cases.reductions import note_answer
from services.invoicing.use_cases.renewal_forecasts import plan_forecasts
from services.invoicing.use_cases.seats_commands import open_pools, schedule_period
from services.invoicing.use_cases.seats_questions import CONSEQUENCES
from services.invoicing.use_cases.send_again import SEND_AGAIN
from services.invoicing.use_cases.subscriptions import activate
from services.invoicing.use_cases.use_history import Use, note_use
from shared.database import UnitOfWork
from shared.messaging import Handler, Message
from shared.schemas import seats_v1
from shared.schemas.base import Payload
from shared.schemas.position import DecisionId
from shared.schemas.topics import SEATS_EVENTS, Topic

log = structlog.get_logger(__name__)


COMMANDS_NOT_DONE = Counter("seatpool_invoicing_commands_not_done", "Commands that seats rejected or failed at")


async def on_use(uow: UnitOfWork, message: Message[seats_v1.SeatsEvent]) -> None:
    """Note the licences and the use of the pools for their history."""
    if message.envelope.tenant is not None and message.payload.pools:
        place = DecisionId.parse(message.envelope.id)
        event = message.payload
        use = Use(message.tenant, event.at, place.offset, place.n, event.pools, confirmed=isinstance(event, PROJECTED))
        uow.gather(note_use, use)


async def _project(uow: UnitOfWork, message: Message[seats_v1.SeatsEvent]) -> None:
    await on_use(uow, message)
    await store.pools.note(uow.connection, message.tenant, message.payload.pools, decision_order(message.envelope.id))


async def _answered(uow: UnitOfWork, message: Message[seats_v1.SeatsEvent]) -> tuple[str, str] | None:
    """Return (kind, reference) if this is the first answer to a command of invoicing."""
    if message.envelope.tenant is None:
        return None  # seats found no tenant in the command that it rejected; each command of invoicing names one
    found = await store.commands.answer(uow.connection, message.tenant, message.payload.command, message.envelope.type)
    return (found.kind, found.reference) if found else None


# --------------------------------------------------------------------------------------------------------- tenants and pools


async def on_tenant_opened(uow: UnitOfWork, message: Message[seats_v1.TenantOpened]) -> None:
    event, tenant = message.payload, message.tenant
    await store.tenants.note_opened(uow.connection, tenant, event.at, test=event.clock == seats_v1.Clock.TEST)
    found = await store.subscriptions.find(uow.connection, tenant)
    if found is not None and found.status == "pending":  # it was started before seats knew the tenant
        await open_pools(uow, tenant, event.at, cause=message.envelope)


async def on_clock_settled(settings: Settings, uow: UnitOfWork, message: Message[seats_v1.ClockSettled]) -> None:
    """Note the time of the test clock, by which a day can have ended."""
    await store.tenants.note_time(uow.connection, message.tenant, message.payload.at)


async def _end_days(settings: Settings, uow: UnitOfWork, message: Message[seats_v1.SeatsEvent]) -> None:
    """Charge the days before that of the decision."""
    found = await store.subscriptions.find(uow.connection, message.tenant)
    if found is None or found.open_day is None:
        return  # only the consumer of this partition opens a day
    before = local_day(message.payload.at, found.contract.time_zone)
    await end_days(uow, message.tenant, settings, before, message.envelope)


async def _reduction_answered(uow: UnitOfWork, message: Message[seats_v1.SeatsEvent]) -> None:
    """Save the answer to a command of a reduction, or to taking an ending back."""
    answered = await _answered(uow, message)
    if answered is not None and answered[0] == KEEP:
        why = message.payload.reason if isinstance(message.payload, seats_v1.ReductionRefused) else None
        await note_kept(uow, message.tenant, message.payload.at, why, message.envelope)
    if answered is not None and answered[0] == APPLY_PLAN and isinstance(message.payload, seats_v1.ReductionRefused):
        await reduce_again(uow, message.tenant, answered[1], message.payload, message.envelope)
    if answered is None or answered[0] not in REDUCTION_KINDS:
        return
    match message.payload:
        case seats_v1.ReductionRefused() as refused:
            detail = refused.model_dump(mode="json", include={"module", "must_free", "expected", "actual"}, exclude_none=True)
            await note_answer(uow, message.tenant, answered[1], refused.at, refused.reason, detail)
            await follow_budget(uow, message.tenant, refused.at, cause=message.envelope)
        case seats_v1.ReductionScheduled() as scheduled:
            detail = scheduled.model_dump(mode="json", include=set(CONSEQUENCES))
            await note_answer(uow, message.tenant, answered[1], scheduled.at, None, detail)
        case done:
            await note_answer(uow, message.tenant, answered[1], done.at, None, {})


async def on_reduction_answered(uow: UnitOfWork, message: Message[seats_v1.SeatsEvent]) -> None:
    await _project(uow, message)
    if isinstance(message.payload, seats_v1.ReductionRefused):
        await store.facts.add(uow.connection, message.tenant, message.envelope.id, message.payload)
    if isinstance(message.payload, seats_v1.ReductionScheduled):
        scheduled = message.payload
        would_flag = {item.module: 0 for item in scheduled.items} | {each.module: each.count for each in scheduled.would_flag}
        would_cancel = {each.module: each.count for each in scheduled.would_cancel}
        await store.renewal_forecasts.confirm(uow.connection, message.tenant, would_flag, would_cancel)
    await _reduction_answered(uow, message)


async def on_reduced(settings: Settings, uow: UnitOfWork, message: Message[seats_v1.SeatsEvent]) -> None:
    """Count licences that are gone. The end of the local day credits them."""
    await _project(uow, message)
    await _reduction_answered(uow, message)
    if await store.subscriptions.find(uow.connection, message.tenant) is not None:
        await store.facts.add(uow.connection, message.tenant, message.envelope.id, message.payload)
        match message.payload:
            case seats_v1.PoolReduced() as reduced if reduced.reduce_at != seats_v1.ReduceAt.NOW:
                pass  # the number of the next period, which its invoice reads
            case seats_v1.PoolReduced():
                await book_change(uow, message.tenant, settings, message.payload.at, message.envelope)
            case _:
                await book_and_issue(uow, message.tenant, settings, message.envelope)
        await follow_budget(uow, message.tenant, message.payload.at, cause=message.envelope)


async def on_pool_closed(settings: Settings, uow: UnitOfWork, message: Message[seats_v1.PoolClosed]) -> None:
    """Count the licences of a closed pool as gone. With the last pool of a subscription that the vendor ended at once, it has ended."""
    await on_reduced(settings, uow, message)
    await note_closed(uow, message.tenant, message.payload.module, message.payload.at, message.envelope)
    if await store.endings.find(uow.connection, message.tenant) is None:
        await store.subscriptions.remove_module(uow.connection, message.tenant, message.payload.module)
    await end_with_pool(uow, message.tenant, settings, message.payload, message.envelope)


async def on_policy_changed(uow: UnitOfWork, message: Message[seats_v1.PolicyChanged]) -> None:
    """Save the policies of a pool, and complete the change that asked for them."""
    await _project(uow, message)
    answered = await _answered(uow, message)
    if answered is not None and answered[0] == SET_CAP:
        await send_caps(uow, message.tenant, message.payload.at, cause=message.envelope)
        return  # the tenant's own cap is as it was
    reference = answered[1] if answered is not None and answered[0] == SET_POLICY else None
    await note_policies(uow, message.tenant, reference, message.payload, message.envelope)


async def on_pool_opened(settings: Settings, uow: UnitOfWork, message: Message[seats_v1.PoolOpened]) -> None:
    """Open the subscription's pool. With the last pool the subscription becomes active, and its first period is invoiced unless it counts
    as billed."""
    event, tenant = message.payload, message.tenant
    await _project(uow, message)
    answered = await _answered(uow, message)
    contract = await store.subscriptions.contract(uow.connection, tenant)
    if contract is None:
        return
    await note_pool_policies(uow, tenant, event.module, event.policies)
    all_open = await store.subscriptions.set_opened(uow.connection, tenant, event.module)
    if answered is not None and answered[0] == ADD_MODULE:
        if await close_after_end(uow, tenant, event.module, event.at, message.envelope):
            await forget_module(uow, tenant, answered[1])
            await refuse_order(uow, tenant, answered[1], "subscription_ended", event.at, {}, message.envelope)
            return
        await complete_order(uow, tenant, answered[1], event, message.envelope)
        await note_module(uow, tenant, answered[1], event, message.envelope)
        await end_added_module(uow, tenant, event.module, event.at, message.envelope)
        await book_and_issue(uow, tenant, settings, message.envelope)
        await fit_to_present_list(uow, tenant, [event.module], event.at, message.envelope)  # it may have begun since the order
        await send_caps(uow, tenant, event.at, cause=message.envelope)
        await look_for_lists(uow, tenant, event.at)
        return
    if await close_after_end(uow, tenant, event.module, event.at, message.envelope):
        return
    await store.facts.add(uow.connection, tenant, message.envelope.id, event)
    if all_open:
        await activate(uow, tenant, contract, event.at, message.envelope)
        await book_and_issue(uow, tenant, settings, message.envelope)
        period = Period(contract.period_start, contract.period_end)
        await schedule_period(uow, tenant, contract, period, event.at, cause=message.envelope)
        await send_caps(uow, tenant, event.at, cause=message.envelope)
        await plan_forecasts(uow, tenant, period.end, event.at, contract.time_zone)
        await look_for_lists(uow, tenant, event.at)


# -------------------------------------------------------------------------------------------------------------------- orders


async def on_licences_added(settings: Settings, uow: UnitOfWork, message: Message[seats_v1.LicencesAdded]) -> None:
    """Book the charge of an approved order. If it is charged `now`, issue its invoice in this transaction."""
    await _project(uow, message)
    await _answered(uow, message)
    if await complete_order(uow, message.tenant, message.payload.order, message.payload, message.envelope):
        await book_and_issue(uow, message.tenant, settings, message.envelope)


async def on_order_refused(uow: UnitOfWork, message: Message[seats_v1.OrderRefused]) -> None:
    event = message.payload
    await _project(uow, message)
    await _answered(uow, message)
    detail = {"expected": event.expected.model_dump(mode="json"), "actual": event.actual.model_dump(mode="json")}
    await refuse_order(uow, message.tenant, event.order, event.reason, event.at, detail, message.envelope)


# ------------------------------------------------------------------------------------------------------- periods, expansions


async def on_pool_restored(settings: Settings, uow: UnitOfWork, message: Message[seats_v1.PoolRestored]) -> None:
    """Charge the licence that came back; a reduction for the next period has no charge before that period."""
    if message.payload.reduce_at == seats_v1.ReduceAt.NOW:
        await on_pool_expanded(settings, uow, message)
    else:
        await _project(uow, message)


async def on_pool_expanded(settings: Settings, uow: UnitOfWork, message: Message[seats_v1.PoolExpanded | seats_v1.PoolRestored]) -> None:
    await _project(uow, message)
    applied = await apply_terms(uow, message.tenant, message.payload, message.envelope)
    if applied is None:
        return
    await book_change(uow, message.tenant, settings, message.payload.at, message.envelope)
    if isinstance(message.payload, seats_v1.PoolExpanded):
        await note_expansion(uow, message.tenant, applied[0], message.payload, message.envelope.id)
    await follow_budget(uow, message.tenant, message.payload.at, cause=message.envelope)


async def on_period_started(settings: Settings, uow: UnitOfWork, message: Message[seats_v1.PeriodStarted]) -> None:
    """Invoice the renewal by the licences that the decision names (T11, T16), and schedule the next period."""
    event, tenant = message.payload, message.tenant
    await _project(uow, message)
    await store.tenants.note_period(uow.connection, tenant, event.period)
    if await end_with_period(uow, tenant, settings, event, message.envelope):
        return
    await begin_plan(uow, tenant, settings, event, message.envelope)
    applied = await apply_terms(uow, tenant, event, message.envelope)
    if applied is None:
        return
    contract, plan = applied
    period = period_at(contract.anchored_on, Term(contract.term), local_day(event.starts_at, contract.time_zone))
    await store.subscriptions.set_period(uow.connection, tenant, period.start, period.end)
    await book_and_issue(uow, tenant, settings, message.envelope)
    if plan.version != contract.plan_version:
        await take_back_at_renewal(uow, tenant, contract, period.start, event.at)
        unfit = await unfit_policies(uow, tenant, plan, [item.module for item in event.licences])
        await fit_policies(uow, tenant, unfit, event.at, reason=PRICE_LIST, cause=message.envelope)
    await follow_budget(uow, tenant, event.at, cause=message.envelope)
    await schedule_period(uow, tenant, contract, period, event.at, cause=message.envelope)
    await plan_forecasts(uow, tenant, period.end, event.at, contract.time_zone)


# --------------------------------------------------------------------------------------------------------- answers to commands


async def on_answered(uow: UnitOfWork, message: Message[seats_v1.SeatsEvent]) -> None:
    await _project(uow, message)
    await _answered(uow, message)


async def on_command_ignored(uow: UnitOfWork, message: Message[seats_v1.CommandIgnored]) -> None:
    """Send the command again with a higher number: this database was restored from a backup, and seats has seen the number already."""
    event = message.payload
    if event.reason != seats_v1.Reason.STALE:
        return  # a repeated command: it has been answered
    answered = await _answered(uow, message)
    if answered is not None:
        await SEND_AGAIN[answered[0]](uow, message.tenant, *answered, event.at, above=event.last_number or 0, cause=message.envelope)


async def on_command_rejected(uow: UnitOfWork, message: Message[seats_v1.CommandRejected]) -> None:
    event = message.payload
    await _not_done(uow, message, {"field": event.field, "value": event.value, "expected": event.expected})


async def on_command_failed(uow: UnitOfWork, message: Message[seats_v1.CommandFailed]) -> None:
    await _not_done(uow, message, {"error_id": message.payload.error_id})


async def _not_done(uow: UnitOfWork, message: Message[seats_v1.SeatsEvent], detail: Mapping[str, object]) -> None:
    answered = await _answered(uow, message)
    if answered is None:
        return  # a command of another service
    event = message.payload
    kind, reference = answered
    COMMANDS_NOT_DONE.inc()
    log.error(
        "command_refused",
        kind=kind,
        reference=reference,
        reason=event.reason,
        field=detail.get("field"),
        error_id=detail.get("error_id"),
    )
    match kind:
        case "add_licences" | "add_module":
            if kind == ADD_MODULE:
                await forget_module(uow, message.tenant, reference)
            await refuse_order(uow, message.tenant, reference, event.reason, event.at, detail, message.envelope)
        case kind if kind in REDUCTION_KINDS:
            await note_answer(uow, message.tenant, reference, event.at, event.reason, detail)
            await follow_budget(uow, message.tenant, event.at, cause=message.envelope)
        case "keep_subscription":
            await note_kept(uow, message.tenant, event.at, event.reason, message.envelope)
        case kind if kind == SET_POLICY:
            await note_rejected(uow, message.tenant, reference, event.at, event.reason, detail, message.envelope)
        case "open_pool":
            await store.subscriptions.set_status(uow.connection, message.tenant, "failed", f"{reference}: {event.reason}")
        case _:
            pass  # counted and logged: it is sent again when an operator has removed the cause and resumes the subscription


# These events change only the next period's number.
PROJECTED: tuple[type[seats_v1.SeatsEvent], ...] = (seats_v1.PoolCloseScheduled, seats_v1.ReductionScheduled)
# Decisions that change licences or money, and the policies that say when.
LEDGER: tuple[type[seats_v1.SeatsEvent], ...] = (*DECISIONS, *PROJECTED, seats_v1.PolicyChanged)
HANDLERS: Mapping[type[Payload], Handler] = {
    seats_v1.TenantOpened: on_tenant_opened,
    seats_v1.OrderRefused: on_order_refused,
    seats_v1.PeriodScheduled: on_answered,
    seats_v1.PolicyChanged: on_policy_changed,
    seats_v1.CommandIgnored: on_command_ignored,
    seats_v1.CommandRejected: on_command_rejected,
    seats_v1.CommandFailed: on_command_failed,
    seats_v1.ReductionRefused: on_reduction_answered,
    **dict.fromkeys(PROJECTED, on_reduction_answered),
}
# These handlers issue invoices and need the settings for them.
ISSUING: Mapping[type[Payload], Callable[[Settings, UnitOfWork, Message[Any]], Awaitable[None]]] = {
    seats_v1.PoolOpened: on_pool_opened,
    seats_v1.LicencesAdded: on_licences_added,
    seats_v1.PoolExpanded: on_pool_expanded,
    seats_v1.PoolRestored: on_pool_restored,
    seats_v1.PeriodStarted: on_period_started,
    seats_v1.LicencesReduced: on_reduced,
    seats_v1.PoolReduced: on_reduced,
    seats_v1.PoolClosed: on_pool_closed,
    seats_v1.ClockSettled: on_clock_settled,
}
# These events change neither the licences of a pool nor the period, and answer no command of invoicing; some change the use.
USE: tuple[type[seats_v1.SeatsEvent], ...] = (
    seats_v1.SeatsAssigned,
    seats_v1.SeatsQueued,
    seats_v1.SeatsRefused,
    seats_v1.SeatsMoved,
    seats_v1.SeatFlagged,
    seats_v1.SeatFlagCleared,
    seats_v1.SeatGranted,
    seats_v1.SeatRevoked,
    seats_v1.SeatReleased,
    seats_v1.SeatsReleased,
    seats_v1.HoldExpired,
    seats_v1.HoldCancelled,
)
HANDLED: Mapping[Topic, tuple[type[Payload], ...]] = {SEATS_EVENTS: (*HANDLERS, *ISSUING, *USE)}
IGNORED: Mapping[Topic, tuple[type[Payload], ...]] = {
    SEATS_EVENTS: (
        seats_v1.ReplacementRefused,
        seats_v1.ReductionKept,
        seats_v1.PoolNearLimit,
        seats_v1.PoolAtLimit,
        seats_v1.WarningArmed,
        seats_v1.SettleFailed,
    )
}


async def _issuing(
    handler: Callable[[Settings, UnitOfWork, Message[Any]], Awaitable[None]], settings: Settings, uow: UnitOfWork, message: Message[Any]
) -> None:
    """Handle a decision between the ends of days. Before it counts, the days that have ended are charged. It can open one of them again:
    that of its approval, or days of a period that begins late."""
    await _end_days(settings, uow, message)
    await handler(settings, uow, message)
    await _end_days(settings, uow, message)


def handlers(settings: Settings) -> dict[type[Payload], Handler]:
    issuing = {model: partial(_issuing, handler, settings) for model, handler in ISSUING.items()}
    return {**dict.fromkeys(USE, on_use), **HANDLERS, **issuing}
