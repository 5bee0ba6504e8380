"""Policies of a running subscription: what its pools and its invoices do from now on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import orjson

from services.invoicing import store
from services.invoicing.api.requests import PoliciesBody
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.calendar import local_day
from services.invoicing.domain.plan_change import fitting
from services.invoicing.domain.policies import changes_of, difference, merged, wrong_for_plan
from services.invoicing.settings import Settings
from services.invoicing.store.contract_changes import ContractChange, NewChange
from services.invoicing.store.subscriptions import Subscription
from services.invoicing.use_cases.contract_terms import change_terms
from services.invoicing.use_cases.decided_policies import POLICIES, decided_policies
from services.invoicing.use_cases.expand_caps import SET_POLICY, effective_policies, send_caps
from services.invoicing.use_cases.locked_tenants import lock_tenant
from services.invoicing.use_cases.opening_policies import note_pool_policies
from services.invoicing.use_cases.price_lists import own_price_list
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.quotes import ended
from services.invoicing.use_cases.seats_commands import MakeCommand, send
from shared import ids
from shared.clock import Clock
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid
from shared.schemas.base import Actor, Change
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import PlanDefined, PoliciesChanged
from shared.schemas.policies import wrong_expand
from shared.schemas.seats_v1 import Policies, PolicyChanged, SetPolicy

# The reasons of changes that a renewal makes. The event about another plan already has its policies.
PRICE_LIST, PLAN_CHANGED = "price_list", "plan_changed"
OF_SUBSCRIPTION = ("charge_when", "credit_when", "zero_invoices", "price_notice")


@dataclass(frozen=True, slots=True)
class PoolPolicies:
    """The policies of a pool before and after a change."""

    module: str
    before: Policies
    after: Policies


async def active_subscription(uow: UnitOfWork, tenant_id: str) -> Subscription:
    """Return the subscription. Raises Conflict while it cannot be changed."""
    found = await store.subscriptions.find(uow.connection, tenant_id)
    if found is None:
        raise Conflict("no-subscription", "The tenant has no subscription. Start one first.")
    ending = await store.endings.find(uow.connection, tenant_id)
    if found.status == "ended" and ending is not None:
        raise ended(ending.ends_on)
    if found.status != "active":
        raise Conflict(
            "subscription-pending",
            "The subscription is not active yet: its modules are being opened. Try again when its status is `active`.",
        )
    return found


async def change_policies(uow: UnitOfWork, tenant_id: str, body: PoliciesBody, actor: Actor, *, settings: Settings, clock: Clock) -> str:
    """Send the policies that differ to seats, and return the id of the change. They apply to later decisions. Raises Conflict, Invalid."""
    _, at = await lock_tenant(uow, tenant_id, clock)
    found = await active_subscription(uow, tenant_id)
    plan = await own_price_list(uow, found.contract, local_day(at, found.contract.time_zone))
    opened = {each.module for each in await store.subscriptions.modules(uow.connection, tenant_id) if each.opened}
    known = {module: policies for module, policies in (await decided_policies(uow, tenant_id)).items() if module in opened}
    pools = _changed(known, body.modules, plan)
    own = {name: value for name in OF_SUBSCRIPTION if (value := getattr(body, name)) not in (None, getattr(found.contract, name))}
    changes = tuple(Change(field=name, old=getattr(found.contract, name), new=value) for name, value in own.items())
    if "charge_when" in own:
        await _no_order_counts_on_a_credit(uow, tenant_id)
    change = await _change(uow, tenant_id, pools, changes, at, actor)
    if own:
        await change_terms(uow, tenant_id, settings, change, at, actor, changes, **own)
    return change


async def _no_order_counts_on_a_credit(uow: UnitOfWork, tenant_id: str) -> None:
    """Keep what was approved (B9): a credit waits with charges of its module that wait for the next invoice, so a purchase that counts on
    it would cost more if the day's charges waited from now on. Raises Conflict."""
    if any(quote.credit_net_minor for _, quote in await store.orders.pending(uow.connection, tenant_id)):
        detail = "An approved order counts on a credit, and seats has not decided it yet. Change `charge_when` when the order is decided."
        raise Conflict("order-pending", detail)


async def unfit_policies(uow: UnitOfWork, tenant_id: str, plan: PlanDefined, modules: Collection[str]) -> list[PoolPolicies]:
    """Return the policies of these modules that the plan, or its price list, of the period that begins does not allow any more (M12)."""
    known = sorted((await decided_policies(uow, tenant_id)).items())
    fitted = [PoolPolicies(module, policies, fitting(policies, plan, module)) for module, policies in known if module in modules]
    return [pool for pool in fitted if pool.before != pool.after]


async def fit_policies(
    uow: UnitOfWork, tenant_id: str, pools: Sequence[PoolPolicies], at: datetime, *, reason: str, cause: Envelope
) -> None:
    """Change the policies that do not fit."""
    if pools:
        await _change(uow, tenant_id, pools, (), at, SYSTEM, reason=reason, cause=cause)


async def fit_to_present_list(uow: UnitOfWork, tenant_id: str, modules: Collection[str], at: datetime, cause: Envelope) -> None:
    """Change the policies that the price list in force does not allow."""
    found = await store.subscriptions.find(uow.connection, tenant_id)
    if found is None or found.status != "active":
        return
    plan = await own_price_list(uow, found.contract, local_day(at, found.contract.time_zone))
    unfit = await unfit_policies(uow, tenant_id, plan, modules)
    await fit_policies(uow, tenant_id, unfit, at, reason=PRICE_LIST, cause=cause)


async def _change(
    uow: UnitOfWork,
    tenant_id: str,
    pools: Sequence[PoolPolicies],
    changes: tuple[Change, ...],
    at: datetime,
    actor: Actor,
    *,
    reason: str = "",
    cause: Envelope | None = None,
) -> str:
    """Save a change, and send seats the policies of the pools."""
    of_pools = [each for pool in pools for each in changes_of(pool.module, pool.before, pool.after)]
    change = ids.new_id()
    commands = {pool.module: _command(pool, await effective_policies(uow, tenant_id, pool.module, pool.after)) for pool in pools}
    terms: dict[str, Any] = {"changes": [each.model_dump() for each in (*changes, *of_pools)], "commands": commands}
    terms |= {"follows_from": reason} if reason else {}
    new = NewChange(
        change,
        POLICIES,
        "pending" if pools else "completed",
        orjson.dumps(terms).decode(),
        actor.model_dump_json(),
        commands_left=len(pools),
        approved_at=at,
        decided_at=None if pools else at,
    )
    await store.contract_changes.add(uow.connection, tenant_id, new)
    for module, command in commands.items():
        await send(uow, tenant_id, _make(module, command), kind=SET_POLICY, reference=f"{change}/{module}", time=at, cause=cause)
    return change


def _command(pool: PoolPolicies, effective: Policies) -> dict[str, Any]:
    """Return what is sent to seats: the policies that differ, with the cap that seats has to know. `own_cap` is the one of the tenant."""
    policies, unset = difference(pool.before, effective)
    return {"policies": policies.model_dump(exclude_none=True), "unset": unset, "own_cap": pool.after.expand_cap}


def _make(module: str, command: Mapping[str, Any]) -> MakeCommand:
    return partial(SetPolicy, module=module, policies=Policies(**command["policies"]), unset=tuple(command["unset"]))


async def send_policies_again(
    uow: UnitOfWork, tenant_id: str, kind: str, reference: str, at: datetime, *, above: int, cause: Envelope | None
) -> None:
    """Send the command for one pool again, unchanged but for its number."""
    change, _, module = reference.partition("/")
    found = await store.contract_changes.find(uow.connection, tenant_id, change)
    assert found is not None
    make = _make(module, found.content["commands"][module])
    await send(uow, tenant_id, make, kind=kind, reference=reference, time=at, above=above, cause=cause)


def is_follow_up(change: ContractChange) -> bool:
    """Return whether the change follows from a plan or a price list that a period began with, so nobody can ask for it again."""
    return "follows_from" in change.content


async def note_rejected(
    uow: UnitOfWork, tenant_id: str, reference: str, at: datetime, reason: str, detail: Mapping[str, object], cause: Envelope
) -> None:
    """Refuse a change that seats rejected: the pool keeps policies that a period which began meanwhile may not allow. What follows from a
    plan stays pending until an operator resumes the subscription or the pool closes."""
    change, _, module = reference.partition("/")
    found = await store.contract_changes.find(uow.connection, tenant_id, change)
    if found is None or not is_follow_up(found):
        await store.contract_changes.refuse(uow.connection, tenant_id, change, at, reason, detail)
        await fit_to_present_list(uow, tenant_id, [module], at, cause)
    elif module not in await store.pools.reported(uow.connection, tenant_id):
        await _note_done(uow, tenant_id, change, at, cause)


async def note_closed(uow: UnitOfWork, tenant_id: str, module: str, at: datetime, cause: Envelope) -> None:
    """Count what follows from a plan and was rejected for this pool as done: the pool has closed, and one that opens later has its own."""
    rejected = {each.reference for each in await store.commands.not_done(uow.connection, tenant_id, [SET_POLICY])}
    for change in await store.contract_changes.pending(uow.connection, tenant_id, POLICIES):
        if f"{change.change}/{module}" in rejected:
            await _note_done(uow, tenant_id, change.change, at, cause)


def _changed(known: Mapping[str, Policies], given: Mapping[str, Policies], plan: PlanDefined) -> list[PoolPolicies]:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise Conflict(
            "module-not-subscribed",
            f"The subscription does not include {', '.join(unknown)}. It includes {', '.join(sorted(known)) or 'none'}.",
            modules=unknown,
            subscribed=sorted(known),
        )
    found = [PoolPolicies(module, known[module], merged(known[module], given[module])) for module in sorted(given)]
    for pool in found:
        refused = wrong_for_plan(pool.after, plan, pool.module)
        if refused is not None:
            field, value, allowed = refused
            raise Invalid(f"body.modules.{pool.module}.{field}", value, allowed)
        wrong = wrong_expand(pool.after.over_limit, pool.after.expand_cap)
        if wrong is not None:
            raise Invalid(f"body.modules.{pool.module}.{wrong.field}", None, wrong.expected)
    return [pool for pool in found if pool.before != pool.after]


async def note_policies(uow: UnitOfWork, tenant_id: str, reference: str | None, event: PolicyChanged, cause: Envelope) -> None:
    """Save the policies of a pool as seats has them now. `reference` names the change, if it was ours.

    With the last pool of a change, the change is completed and published.
    """
    if reference is None:
        await note_pool_policies(uow, tenant_id, event.module, event.policies)
        return
    of_change = reference.partition("/")[0]
    known = await store.contract_changes.find(uow.connection, tenant_id, of_change)
    assert known is not None
    own = event.policies.model_copy(update={"expand_cap": known.content["commands"][event.module]["own_cap"]})
    await store.subscriptions.set_policies(uow.connection, tenant_id, event.module, own)
    await send_caps(uow, tenant_id, event.at, cause=cause)
    await _note_done(uow, tenant_id, of_change, event.at, cause)


async def _note_done(uow: UnitOfWork, tenant_id: str, change: str, at: datetime, cause: Envelope) -> None:
    """Count one pool of a change as done. After the last one the change is published, with the pools that are still open."""
    found = await store.contract_changes.note_done(uow.connection, tenant_id, change, at)
    if found is None or found.status != "completed" or found.content.get("follows_from") == PLAN_CHANGED:
        return
    contract, pools = await store.subscriptions.contract(uow.connection, tenant_id), await store.pools.reported(uow.connection, tenant_id)
    assert contract is not None
    known = [Change.model_validate(each) for each in found.content["changes"]]
    changes = [each for each in known if "." in each.field and each.field.partition(".")[0] in pools]
    if not changes:
        return
    completed = PoliciesChanged(
        at=at,
        actor=found.by,
        reason=found.content.get("follows_from", "policies_changed"),
        change=found.change,
        subscription=contract.subscription,
        modules=tuple(dict.fromkeys(each.field.partition(".")[0] for each in changes)),
        changes=tuple(changes),
    )
    publish(uow, tenant_id, completed, cause=cause, subject=found.change)
