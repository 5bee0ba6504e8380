"""The expand caps that seats knows. Each is the lowest of the tenant's own cap and of what else limits expansions.

A lower cap is sent at once, and ahead of what makes it necessary. A higher one is sent when seats has answered every cap that was sent:
then each expansion that was decided before is known here, and all caps together never allow more than the budget does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from services.invoicing import store
from services.invoicing.domain.account import SYSTEM
from services.invoicing.domain.expand_caps import effective_cap
from services.invoicing.store.subscriptions import Module
from services.invoicing.use_cases.budget import NO_TOTALS, budget_limits
from services.invoicing.use_cases.publishing import publish
from services.invoicing.use_cases.seats_commands import send
from shared.database import UnitOfWork
from shared.schemas.envelope import Envelope
from shared.schemas.invoicing_v1 import ExpansionLimited
from shared.schemas.seats_v1 import OverLimit, Policies, SetPolicy

SET_CAP: Final = "set_expand_cap"  # kind of the command; its reference is the module
SET_POLICY: Final = "set_policy"  # of a change of policies, which can change a cap as well
REDUCE: Final = "reduce_licences"  # of a reduction at once
APPLY_PLAN: Final = "apply_plan"  # of a plan that takes effect, which can reduce pools
_OPEN: Final = (SET_CAP, SET_POLICY, REDUCE, APPLY_PLAN)  # no cap is raised before seats has answered these
ENDED: Final = "ended"  # status of a subscription
OVERDUE: Final = "overdue_invoice"
BUDGET: Final = "monthly_budget"


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of expansions beside the own caps of modules. `budget` has the cap of each module that expands."""

    overdue: bool
    budget: Mapping[str, int]

    def cap_of(self, module: str, own: Policies) -> int | None:
        return effective_cap(own, [0 if self.overdue else None, self.budget.get(module)])

    def by(self, module: str, own: Policies) -> str:
        """Return what keeps the module from being expanded up to its own cap; empty: nothing."""
        if own.over_limit != OverLimit.EXPAND or own.expand_cap is None:
            return ""
        return OVERDUE if self.overdue else BUDGET if self.budget.get(module, own.expand_cap) < own.expand_cap else ""


async def effective_policies(uow: UnitOfWork, tenant_id: str, module: str, own: Policies) -> Policies:
    """Return policies of a module as seats has to know them, for a command that changes policies; its cap counts as sent. With a budget,
    the cap allows no more than before: what the budget allows is sent when seats has answered."""
    (row,) = [each for each in await store.subscriptions.modules(uow.connection, tenant_id) if each.module == module]
    limits: list[int | None] = [0 if (await store.overdue.find(uow.connection, tenant_id)).blocked else None]
    if (await store.purchase_settings.find(uow.connection, tenant_id)).monthly_budget_minor is not None:
        limits.append(await _known_limit(uow, tenant_id, row))
    cap = effective_cap(own, limits)
    if cap is None:
        return own
    await store.subscriptions.set_sent_cap(uow.connection, tenant_id, module, cap)
    return own.model_copy(update={"expand_cap": cap})


async def _known_limit(uow: UnitOfWork, tenant_id: str, row: Module) -> int:
    """Return up to how many licences seats expands a module now."""
    known = Policies.model_validate_json(row.policies)
    if known.over_limit == OverLimit.EXPAND and known.expand_cap is not None:
        return known.expand_cap if row.sent_cap is None else row.sent_cap
    pool = (await store.pools.reported(uow.connection, tenant_id)).get(row.module)
    return pool.licences if pool is not None else row.licences


async def send_caps(
    uow: UnitOfWork, tenant_id: str, at: datetime, *, totals: Mapping[str, int] = NO_TOTALS, cause: Envelope | None = None
) -> None:
    """Send seats each cap that has to differ from the one sent last, and publish what limits expansions. `totals`: the licences of modules
    for which a reduction is sent next. A subscription that has ended has no pools, so nothing is sent for it."""
    found, modules = await store.subscriptions.find(uow.connection, tenant_id), await store.subscriptions.modules(uow.connection, tenant_id)
    limits = await _limits(uow, tenant_id, modules, at, totals)
    lower, higher = list[tuple[str, int]](), list[tuple[str, int]]()
    for module in modules:
        own = Policies.model_validate_json(module.policies)
        cap = limits.cap_of(module.module, own)
        known = own.expand_cap if module.sent_cap is None else module.sent_cap
        if cap is not None and cap != known and module.opened:
            (lower if known is None or cap < known else higher).append((module.module, cap))
        await _note_limit(uow, tenant_id, module, own, limits.by(module.module, own), at, cause)
    if found is None or found.status == ENDED:
        return
    for name, cap in lower:
        await _send(uow, tenant_id, name, cap, at, cause=cause)
    if higher and not await store.commands.any_unanswered(uow.connection, tenant_id, _OPEN):
        for name, cap in higher:
            await _send(uow, tenant_id, name, cap, at, cause=cause)


async def follow_budget(
    uow: UnitOfWork, tenant_id: str, at: datetime, *, totals: Mapping[str, int] = NO_TOTALS, cause: Envelope | None = None
) -> None:
    """Send the caps again after something that a budget depends on has changed, or before a reduction to these totals."""
    if (await store.purchase_settings.find(uow.connection, tenant_id)).monthly_budget_minor is not None:
        await send_caps(uow, tenant_id, at, totals=totals, cause=cause)


async def _note_limit(
    uow: UnitOfWork, tenant_id: str, module: Module, own: Policies, by: str, at: datetime, cause: Envelope | None
) -> None:
    """Publish that something else limits the expansions of a module now, so that refusals can name it."""
    if by != module.limited_by:
        await store.subscriptions.set_limited_by(uow.connection, tenant_id, module.module, by)
        event = ExpansionLimited(at=at, actor=SYSTEM, module=module.module, limited_by=by, own_cap=own.expand_cap)
        publish(uow, tenant_id, event, cause=cause, subject=module.module)


async def send_cap_again(
    uow: UnitOfWork, tenant_id: str, kind: str, reference: str, at: datetime, *, above: int, cause: Envelope | None
) -> None:
    """Send the cap of a module again, as it is now."""
    assert kind == SET_CAP
    found = await store.subscriptions.find(uow.connection, tenant_id)
    if found is None or found.status == ENDED:
        return
    modules = await store.subscriptions.modules(uow.connection, tenant_id)
    limits = await _limits(uow, tenant_id, modules, at)
    for module in modules:
        cap = limits.cap_of(module.module, Policies.model_validate_json(module.policies))
        if module.module == reference and cap is not None:
            await _send(uow, tenant_id, reference, cap, at, above=above, cause=cause)


async def _send(
    uow: UnitOfWork, tenant_id: str, module: str, cap: int, at: datetime, *, above: int = 0, cause: Envelope | None = None
) -> None:
    await store.subscriptions.set_sent_cap(uow.connection, tenant_id, module, cap)
    make = partial(SetPolicy, module=module, policies=Policies(expand_cap=cap))
    await send(uow, tenant_id, make, kind=SET_CAP, reference=module, time=at, above=above, cause=cause)


async def _limits(
    uow: UnitOfWork, tenant_id: str, modules: Sequence[Module], at: datetime, totals: Mapping[str, int] = NO_TOTALS
) -> Limits:
    overdue = await store.overdue.find(uow.connection, tenant_id)
    return Limits(overdue.blocked, await budget_limits(uow, tenant_id, modules, at, totals))
