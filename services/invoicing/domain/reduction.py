"""What fewer licences save, or why there can be no such reduction (T12 T13 T14 B11 B14 M8 M10 M11)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.invoicing.domain.calendar import Period, local_day
from services.invoicing.domain.ledger import Change, Part
from services.invoicing.domain.prices import limits_of
from services.invoicing.domain.quote import Refusal, Situation, amounts, not_priced_now
from services.invoicing.domain.tax import tax_on
from shared.schemas.invoicing_v1 import Amounts, ReductionItem

NOW: Final = "now"
PERIOD_END: Final = "period_end"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The number of licences that a module is to have."""

    module: str
    total: int


@dataclass(frozen=True, slots=True)
class SubscribedModule:
    base: bool
    reduce_at: str  # the pool's policy
    requires: tuple[str, ...] = ()  # modules without which it cannot be used


@dataclass(frozen=True, slots=True)
class Reduction:
    """A reduction that can be ordered. The credit is a positive amount; `credit` says when it is given. The part that undoes charges which
    no invoice has asked for yet is deducted from them."""

    items: Sequence[ReductionItem]
    takes_effect: str
    before: Amounts | None  # the price of the next period
    after: Amounts | None
    credit_net_minor: int
    unbilled_net_minor: int
    credit: str


def reduction_of(situation: Situation, modules: Mapping[str, SubscribedModule], wanted: Sequence[Wanted]) -> Reduction | Refusal:
    """Return what the reduction changes, or why there is none."""
    refusal = not_priced_now(situation, [each.module for each in wanted])
    if refusal is not None:
        return refusal
    modules = {name: _taking_effect(situation, module, name, wanted) for name, module in modules.items()}
    refusal = _refusal(situation, modules, wanted)
    if refusal is not None:
        return refusal
    takes_effect = modules[wanted[0].module].reduce_at
    items = [
        ReductionItem(module=each.module, before=_before(situation, takes_effect, each.module), total=each.total)
        for each in sorted(wanted, key=lambda each: each.module)
    ]
    numbers = {module: pool.next_period for module, pool in situation.pools.items()}
    reduced = {item.module: min(item.total, numbers[item.module]) if takes_effect == NOW else item.total for item in items}
    contract, period = situation.contract, situation.account.period
    assert period is not None
    day = local_day(situation.at, contract.time_zone)
    account, parts = situation.account, dict[str, list[Part]]()
    if takes_effect == NOW:
        for item in items:
            ledger = account.ledgers.get(item.module)
            parts[item.module] = ledger.parts_of(Change(day, item.total - item.before)) if ledger is not None else []
    return Reduction(
        items,
        takes_effect,
        before=_next_period(situation, period, numbers),
        after=_next_period(situation, period, numbers | reduced),
        credit_net_minor=-sum(part.net_minor for of_module in parts.values() for part in of_module),
        unbilled_net_minor=account.unbilled_minor(parts),
        credit=account.credited_when(contract.credit_when, day, parts),
    )


def _taking_effect(situation: Situation, module: SubscribedModule, name: str, wanted: Sequence[Wanted]) -> SubscribedModule:
    """Return the module as this reduction concerns it. The present number is no reduction at once: it takes back one that was scheduled
    before the policy was `now` (T13)."""
    pool = situation.pools[name]
    takes_back = Wanted(name, pool.licences) in wanted and pool.next_period < pool.licences
    return replace(module, reduce_at=PERIOD_END) if takes_back else module


def _before(situation: Situation, takes_effect: str, module: str) -> int:
    pool = situation.pools[module]
    return pool.licences if takes_effect == NOW else pool.next_period


def _refusal(situation: Situation, modules: Mapping[str, SubscribedModule], wanted: Sequence[Wanted]) -> Refusal | None:
    if len({modules[each.module].reduce_at for each in wanted}) > 1:
        return Refusal(
            "different-reduce-at",
            "Some of these modules are reduced at once and others at the end of the period. Order a reduction for each of the two.",
            {"reduce_at": {each.module: modules[each.module].reduce_at for each in wanted}},
        )
    if situation.ends_on is not None and modules[wanted[0].module].reduce_at == PERIOD_END:
        return Refusal(
            "subscription-ending",
            f"The subscription ends on {situation.ends_on}, so it has no next period. To reduce licences for a next period, take the "
            "ending back first (DELETE …/subscription/ending).",
            {"ends_on": situation.ends_on.isoformat()},
        )
    for each in wanted:
        pool, takes_effect = situation.pools[each.module], modules[each.module].reduce_at
        if each.total > pool.licences or (takes_effect == NOW and each.total == pool.licences):
            return Refusal(
                "total-not-below-present",
                f"The subscription has {pool.licences} licences of {each.module}, so a total of {each.total} is no reduction. "
                "To have more licences, request a quote (POST …/quotes).",
                {"module": each.module, "licences": pool.licences, "total": each.total},
            )
        plan = situation.following.plan if situation.following is not None and takes_effect == PERIOD_END else situation.plan
        minimum = limits_of(plan, each.module).minimum
        if 0 < each.total < minimum:
            return Refusal(
                "plan-minimum",
                f"The plan {plan.name} allows no fewer than {minimum} licences of {each.module}. Order {minimum} or more, or 0 "
                "to close the module.",
                {"module": each.module, "minimum": minimum, "total": each.total},
            )
    gone = {each.module for each in wanted if each.total == 0}
    left = [name for name, module in modules.items() if module.base and name not in gone and situation.pools[name].next_period > 0]
    if any(modules[name].base for name in gone) and not left:
        return Refusal(
            "last-base-module",
            "People need a base module, so the last one cannot be reduced to 0. To end the whole subscription at the end of its period, "
            "send POST …/subscription/ending.",
            {"modules": sorted(gone), "instead": "POST …/subscription/ending"},
        )
    after = {name: pool.next_period for name, pool in situation.pools.items()}
    back = {each.module for each in wanted if each.total and not after[each.module] and modules[each.module].reduce_at == PERIOD_END}
    closed = gone | {name for name, number in after.items() if not number} - back
    for name, module in sorted(modules.items()):
        concerned = closed if name in back else gone
        needed = sorted(concerned.intersection(module.requires)) if name not in closed else []
        if needed:
            others = ", ".join(needed)
            detail = f"{name} can be used only together with {others}. Reduce {name} to 0 as well, or keep {others}."
            if name in back:
                detail = (
                    f"{name} can be used only together with {others}, and this reduction would keep {name} alone. Let {name} close as "
                    f"well: do not name it. Or keep {others} too: give each of them a total above 0."
                )
            return Refusal("module-required", detail, {"module": name, "requires": needed})
    return None


def _next_period(situation: Situation, period: Period, numbers: Mapping[str, int]) -> Amounts | None:
    """Return the price of the next period with these numbers; None if the price list lacks one of the modules."""
    net_minor = situation.next_start.net_minor(numbers)
    return None if net_minor is None else amounts(net_minor, tax_on(situation.details, period.end))
