"""A scheduled plan takes effect with the period that begins, if it still fits.

Until then nothing of it is in seats, so a change that no longer fits, or that is withdrawn, costs nobody a seat. When the period begins,
the invoice counts the licences that the plan allows, and seats gets the reductions, closings and policies at once.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

import orjson
import structlog

from services.invoicing import store
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import local_day
from services.invoicing.domain.plan_change import anchor_with, misfits
from services.invoicing.domain.policies import changes_of
from services.invoicing.domain.prices import lowered
from services.invoicing.settings import Settings
from services.invoicing.store.contract_changes import ContractChange
from services.invoicing.use_cases.contract_terms import change_terms
from services.invoicing.use_cases.expand_caps import APPLY_PLAN, follow_budget
from services.invoicing.use_cases.policies import PLAN_CHANGED, fit_policies, unfit_policies
from services.invoicing.use_cases.price_lists import look_for_lists
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.scheduled_plans import plan_of, pool_terms, pools_at_start, scheduled_plan
from services.invoicing.use_cases.seats_commands import MakeCommand, send
from shared.database import UnitOfWork
from shared.schemas.base import Change
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import ModuleTotal, PlanChangeDropped, PlanPrice, SubscriptionStarted
from shared.schemas.seats_v1 import (
    CloseAt,
    ClosePool,
    Expected,
    ExpectedPool,
    LicenceCount,
    PeriodStarted,
    ReduceLicences,
    ReductionRefused,
)

log = structlog.get_logger(__name__)

REDUCE, CLOSE = "reduce", "close"  # in the references of the commands with which a plan takes effect in seats


async def begin_plan(uow: UnitOfWork, tenant_id: str, settings: Settings, event: PeriodStarted, cause: Envelope) -> None:
    """Let the scheduled plan take effect with this period, or drop it and go on with the former one."""
    contract = await store.subscriptions.contract(uow.connection, tenant_id)
    change = await scheduled_plan(uow, tenant_id, contract) if contract is not None else None
    if contract is None or change is None:
        return
    start, terms = local_day(event.starts_at, contract.time_zone), change.content
    if start.isoformat() < terms["takes_effect_on"]:
        return
    plan = (await plan_of(uow, change)).plan
    pools = await pool_terms(uow, tenant_id)
    licences = {item.module: item.quantity for item in event.licences}
    wrong = misfits(plan, terms["term"], pools_at_start(event, pools), terms["ordered"], terms["closes"])
    # A module whose pool seats opens only now: its order said that it cancels this change. Seats refuses other orders of the former period.
    for _, quote in await store.orders.pending(uow.connection, tenant_id):
        if quote.new_module is not None and quote.cancels_plan_change == change.change:
            wrong[quote.new_module] = "bought_since"
    if wrong:
        await _drop(uow, tenant_id, change, contract, event.at, wrong, cause)
        await look_for_lists(uow, tenant_id, event.at)
        return
    fewer = lowered(plan, terms["term"], licences)
    unfit = await unfit_policies(uow, tenant_id, plan, [module for module in licences if fewer.get(module) != 0])
    changes = [Change.model_validate(each) for each in terms["changes"] if "." not in each["field"]]
    changes += [each for pool in unfit for each in changes_of(pool.module, pool.before, pool.after)]
    await change_terms(
        uow,
        tenant_id,
        settings,
        change.change,
        event.at,
        change.by,
        tuple(changes),
        reason="plan_changed",
        cause=cause,
        plan=plan.plan,
        plan_version=plan.version,
        term=terms["term"],
        anchor=anchor_with(terms["term"], start, contract.begins_on_day) if terms["term"] != contract.term else None,
        licences=tuple(ModuleTotal(module=module, licences=number) for module, number in sorted(fewer.items())),
        price=PlanPrice.model_validate_json(orjson.dumps(terms["price"])),
    )
    detail: dict[str, Any] = {"period": event.period, "commands": _reductions(licences, fewer)}
    c = uow.connection
    await store.contract_changes.set_status(c, tenant_id, change.change, "completed", event.at, None, detail=detail)
    await follow_budget(uow, tenant_id, event.at, totals=fewer, cause=cause)
    for reference in detail["commands"]:
        await _send(uow, tenant_id, change.change, reference, detail, event.at, cause=cause)
    await fit_policies(uow, tenant_id, unfit, event.at, reason=PLAN_CHANGED, cause=cause)
    await store.price_lists.forget(c, tenant_id)
    await look_for_lists(uow, tenant_id, event.at)


def _reductions(licences: Mapping[str, int], fewer: Mapping[str, int]) -> dict[str, Any]:
    """Return what seats has to do, by a reference: reduce pools, close them."""
    found = dict[str, Any]()
    reduced = {module: {"licences": licences[module], "total": total} for module, total in sorted(fewer.items()) if total}
    if reduced:
        found[REDUCE] = reduced
    return found | {f"{CLOSE}/{module}": {} for module, total in sorted(fewer.items()) if not total}


async def _send(
    uow: UnitOfWork, tenant_id: str, change: str, reference: str, detail: Mapping[str, Any], at: datetime, **options: Any
) -> None:
    what, _, module = reference.partition("/")
    given = detail["commands"][reference]
    make: MakeCommand
    match what:
        case "reduce":
            items = tuple(LicenceCount(module=name, quantity=each["licences"] - each["total"]) for name, each in given.items())
            pools = tuple(ExpectedPool(module=name, licences=n["licences"], next_period=n["licences"]) for name, n in given.items())
            make = partial(ReduceLicences, order=change, items=items, expected=Expected(period=detail["period"], pools=pools))
        case _:
            make = partial(ClosePool, module=module, at=str(CloseAt.NOW))
    await send(uow, tenant_id, make, kind=APPLY_PLAN, reference=f"{change}/{reference}", time=at, **options)


async def _drop(
    uow: UnitOfWork,
    tenant_id: str,
    change: ContractChange,
    contract: SubscriptionStarted,
    at: datetime,
    wrong: Mapping[str, str],
    cause: Envelope,
) -> None:
    c = uow.connection
    await store.contract_changes.set_status(c, tenant_id, change.change, "refused", at, None, reason="does_not_fit", detail=wrong)
    event = PlanChangeDropped(
        at=at,
        actor=SYSTEM,
        reason=next(iter(wrong.values())),
        change=change.change,
        subscription=contract.subscription,
        plan=change.content["plan"],
        term=change.content["term"],
        modules=tuple(wrong),
    )
    publish(uow, tenant_id, event, cause=cause, subject=change.change)


async def is_wanted(uow: UnitOfWork, tenant_id: str, reference: str, contract: SubscriptionStarted) -> bool:
    """Return whether a command of a plan still has something to take away, and the subscription still has that plan."""
    change, _, rest = reference.partition("/")
    found, pools = (
        await store.contract_changes.find(uow.connection, tenant_id, change),
        await store.pools.reported(uow.connection, tenant_id),
    )
    if found is None or (found.content["subscription"], found.content["plan"]) != (contract.subscription, contract.plan):
        return False
    if rest != REDUCE:
        return rest.rpartition("/")[2] in pools
    wanted = orjson.loads(found.detail)["commands"][REDUCE]
    return any(module in pools and pools[module].licences > each["total"] for module, each in wanted.items())


async def send_plan_again(
    uow: UnitOfWork, tenant_id: str, kind: str, reference: str, at: datetime, *, above: int, cause: Envelope | None
) -> None:
    """Send one command of a plan again, unchanged but for its number."""
    change, _, rest = reference.partition("/")
    found = await store.contract_changes.find(uow.connection, tenant_id, change)
    assert found is not None
    await _send(uow, tenant_id, change, rest, orjson.loads(found.detail), at, above=above, cause=cause)


async def reduce_again(uow: UnitOfWork, tenant_id: str, reference: str, event: ReductionRefused, cause: Envelope) -> None:
    """Send the reduction of a plan again with the licences that seats has now: somebody was added, or bought, when the period began."""
    change, _, rest = reference.partition("/")
    found = await store.contract_changes.find(uow.connection, tenant_id, change)
    assert found is not None
    detail = orjson.loads(found.detail)
    wanted, now = detail["commands"][rest], await store.pools.reported(uow.connection, tenant_id)
    kept = {event.module: event.must_free or 0}  # under `block`
    again = {
        module: {"licences": now[module].licences, "total": each["total"] + kept.get(module, 0)}
        for module, each in wanted.items()
        if module in now and now[module].licences > each["total"] + kept.get(module, 0)
    }
    if not again or again == wanted:
        log.error("plan_reduction_refused", tenant=tenant_id, change=change, reason=event.reason)
        return
    await _send(uow, tenant_id, change, rest, {"period": event.period, "commands": {rest: again}}, event.at, cause=cause)
