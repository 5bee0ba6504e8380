"""Another plan or term of a running subscription: what it costs and changes, or why it cannot be (B2).

A change takes effect `now`, with the difference of the prices for the rest of the period, or with the next period (`period_end`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

from services.invoicing.domain.account import due_when
from services.invoicing.domain.calendar import Period, Term, anchor_of, local_day, period_at
from services.invoicing.domain.discounts import left_of_price, percentages
from services.invoicing.domain.ledger import Change as LedgerChange
from services.invoicing.domain.ledger import Part, Rate, by_number
from services.invoicing.domain.policies import changes_of
from services.invoicing.domain.prices import FollowingPlan, limits_of, prices_of
from services.invoicing.domain.quote import Refusal, Situation, amounts, not_priced_now
from services.invoicing.domain.tax import tax_on
from shared.schemas.base import Change
from shared.schemas.invoicing_v1 import PlanDefined, PlanPrice, ReductionItem, SubscriptionStarted, UnitPrice
from shared.schemas.seats_v1 import OverLimit, Policies, ReduceBelowUse

NOW: Final = "now"
PERIOD_END: Final = "period_end"


@dataclass(frozen=True, slots=True)
class PoolTerms:
    """The terms of a pool that another plan has to fit."""

    base: bool
    policies: Policies
    requires: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WantedPlan:
    plan: PlanDefined
    term: str
    takes_effect: str | None = None  # None: now if it can, or else with the next period


@dataclass(frozen=True, slots=True)
class PlanOffer:
    """A change of plan or term that can be ordered."""

    plan: PlanDefined
    term: str
    takes_effect: str
    takes_effect_on: date
    price: PlanPrice
    changes: Sequence[Change]  # of the subscription and of policies
    closes: Sequence[str] = ()
    reduces: Sequence[ReductionItem] = ()


def plan_offer(situation: Situation, pools: Mapping[str, PoolTerms], wanted: WantedPlan) -> PlanOffer | Refusal:
    """Return what the change costs and changes, or why there is none."""
    contract, plan = situation.contract, wanted.plan
    refusal = not_priced_now(situation, ()) or _never(situation, wanted)
    if refusal is not None:
        return refusal
    sold = prices_of(plan, wanted.term)
    closes = sorted(set(situation.pools) - sold.keys())
    reduces = [
        ReductionItem(module=module, before=pool.next_period, total=maximum)
        for module, pool in situation.pools.items()
        if module in sold and (maximum := limits_of(plan, module).maximum) is not None and pool.next_period > maximum
    ]
    policies = {module: fitting(pools[module].policies, plan, module) for module in situation.pools if module in pools and module in sold}
    policies = {module: after for module, after in policies.items() if after != pools[module].policies}
    over = [module for module, pool in situation.pools.items() if pool.licences > (limits_of(plan, module).maximum or pool.licences)]
    less = [*closes, *over, *policies]
    takes_effect = wanted.takes_effect or (PERIOD_END if less or _is_later(situation, wanted) else NOW)
    refusal = _not_now(situation, wanted, less) if takes_effect == NOW else _not_at_end(situation, pools, wanted, closes)
    refusal = refusal or _too_few(situation, wanted, takes_effect)
    if refusal is not None:
        return refusal
    period = situation.account.period
    assert period is not None
    terms = [("plan", contract.plan, plan.plan), ("term", contract.term, wanted.term)]
    changed = [change for module in sorted(policies) for change in changes_of(module, pools[module].policies, policies[module])]
    return PlanOffer(
        plan=plan,
        term=wanted.term,
        takes_effect=takes_effect,
        takes_effect_on=local_day(situation.at, contract.time_zone) if takes_effect == NOW else period.end,
        price=_price(situation, wanted, takes_effect, period, reduces),
        changes=[*(Change(field=name, old=old, new=new) for name, old, new in terms if old != new), *changed],
        closes=closes,
        reduces=reduces,
    )


def fitting(policies: Policies, plan: PlanDefined, module: str) -> Policies:
    """Return the policies that a pool has with the plan: without extra licences nothing expands, and never above the plan's maximum."""
    if policies.over_limit != OverLimit.EXPAND:
        return policies
    if not plan.allows_extra_licences:
        return policies.model_copy(update={"over_limit": str(OverLimit.REJECT), "expand_cap": None})
    maximum, cap = limits_of(plan, module).maximum, policies.expand_cap
    return policies if maximum is None or cap is None or cap <= maximum else policies.model_copy(update={"expand_cap": maximum})


def _never(situation: Situation, wanted: WantedPlan) -> Refusal | None:
    contract, plan = situation.contract, wanted.plan
    if (plan.plan, wanted.term) == (contract.plan, contract.term):
        return Refusal("plan-unchanged", f"The subscription already has the plan {plan.plan} with the {wanted.term} term.")
    if plan.currency != contract.currency:
        return Refusal(
            "plan-currency",
            f"The subscription is in {contract.currency}, which cannot be changed, and the plan {plan.plan} is in {plan.currency}. "
            f"Choose a plan in {contract.currency}.",
            {"currency": contract.currency},
        )
    return None


def _is_later(situation: Situation, wanted: WantedPlan) -> bool:
    """Return whether the change waits for the next period by its nature: another term, or a lower price without more rights."""
    contract, own = situation.contract, situation.plan
    if wanted.term != contract.term:
        return True
    before, after = prices_of(own, contract.term), prices_of(wanted.plan, wanted.term)

    def price(listed: Mapping[str, UnitPrice]) -> int:
        return sum(listed[name].total_minor(pool.licences) for name, pool in situation.pools.items() if name in listed)

    cheaper = price(after) < price(before)
    return cheaper and not (wanted.plan.allows_extra_licences and not own.allows_extra_licences)


def _not_now(situation: Situation, wanted: WantedPlan, less: Sequence[str]) -> Refusal | None:
    if not less and not _is_later(situation, wanted):
        return None
    return Refusal(
        "plan-change-at-period-end",
        "Another term, a lower price, and a plan that allows less than the subscription has take effect with the next period only. Request "
        "the change with `takes_effect`: `period_end`.",
        {"modules": sorted(set(less)), "body": {"plan": wanted.plan.plan, "term": wanted.term, "takes_effect": PERIOD_END}},
    )


def _too_few(situation: Situation, wanted: WantedPlan, takes_effect: str) -> Refusal | None:
    sold = prices_of(wanted.plan, wanted.term)
    for module, pool in sorted(situation.pools.items()):
        number = pool.licences if takes_effect == NOW else pool.next_period
        minimum = limits_of(wanted.plan, module).minimum
        if module in sold and 0 < number < minimum:
            return Refusal(
                "plan-minimum",
                f"The plan {wanted.plan.name} allows no fewer than {minimum} licences of {module}; the subscription would have {number}. "
                "Buy the missing licences first (POST …/quotes), or choose another plan.",
                {"module": module, "minimum": minimum, "licences": number},
            )
    return None


def _not_at_end(situation: Situation, pools: Mapping[str, PoolTerms], wanted: WantedPlan, closes: Sequence[str]) -> Refusal | None:
    if situation.ends_on is not None:
        return Refusal(
            "subscription-ending",
            f"The subscription ends on {situation.ends_on}, so it has no next period. Take the ending back first "
            "(DELETE …/subscription/ending).",
            {"ends_on": situation.ends_on.isoformat()},
        )
    left = [module for module in situation.pools if module not in closes and module in pools and situation.pools[module].next_period]
    if not any(pools[module].base for module in left):
        return Refusal(
            "plan-without-base-module",
            f"The plan {wanted.plan.plan} sells none of the subscription's base modules with the {wanted.term} term, and people need one. "
            "Choose another plan, or end the subscription (POST …/subscription/ending).",
            {"modules": list(closes)},
        )
    for module in left:
        lacking = sorted(set(pools[module].requires).intersection(closes))
        if lacking:
            return Refusal(
                "module-required",
                f"{module} can be used only together with {', '.join(lacking)}, which the plan {wanted.plan.plan} does not sell. Close "
                f"{module} as well (POST …/reductions with a total of 0), or choose another plan.",
                {"module": module, "requires": lacking},
            )
    return None


def _price(situation: Situation, wanted: WantedPlan, takes_effect: str, period: Period, reduces: Sequence[ReductionItem]) -> PlanPrice:
    contract, details = situation.contract, situation.details
    day = local_day(situation.at, contract.time_zone)
    tax, next_tax = tax_on(details, day), tax_on(details, period.end)
    after, discounts = prices_of(wanted.plan, wanted.term), situation.discounts
    most = {item.module: item.total for item in reduces}
    numbers = {module: pool.next_period for module, pool in situation.pools.items()}
    account, parts = situation.account, dict[str, list[Part]]()
    if takes_effect == NOW:
        for module, ledger in account.ledgers.items():
            if module in situation.pools:
                rate = Rate(after[module].amount_minor, tax, left_of_price(percentages(discounts, day), module))
                parts[module] = ledger.parts_of(LedgerChange(day, 0, rate, "offer", reprice=True, price=by_number(after[module])))
    net = sum(part.net_minor for of_module in parts.values() for part in of_module)
    own = replace(situation.next_start, following=None)
    next_before = own.net_minor({module: number for module, number in numbers.items() if module in prices_of(own.plan, own.term)})
    then = replace(own, plan=wanted.plan, term=wanted.term)
    next_after = then.net_minor({module: min(number, most.get(module, number)) for module, number in numbers.items() if module in after})
    assert next_before is not None
    assert next_after is not None
    return PlanPrice(
        currency=contract.currency,
        charge=due_when(contract.charge_when, day, period.end) if net >= 0 else account.credited_when(contract.credit_when, day, parts),
        now=amounts(net, tax),
        next_before=amounts(next_before, next_tax),
        next_after=amounts(next_after, next_tax),
    )


@dataclass(frozen=True, slots=True)
class PoolAtStart:
    """A pool when a period begins: its licences, its seats in use, and whether `block` is its policy."""

    licences: int
    in_use: int = 0
    base: bool = False
    blocks: bool = False


def misfits(
    plan: PlanDefined, term: str, pools: Mapping[str, PoolAtStart], ordered: Mapping[str, int], closes: Sequence[str]
) -> dict[str, str]:
    """Return each module that no longer fits the scheduled plan when its period begins, with the reason.

    `ordered` has the next period's number of each module when the change was ordered.
    """
    found, sold = dict[str, str](), prices_of(plan, term)
    for module, pool in pools.items():
        maximum = limits_of(plan, module).maximum
        if module not in sold:
            if module not in closes:
                found[module] = "not_sold"
            elif pool.licences > ordered.get(module, 0):
                found[module] = "bought_since"
        elif maximum is not None and pool.licences > maximum:
            if pool.licences > ordered.get(module, 0):
                found[module] = "bought_since"
            elif pool.blocks and pool.in_use > maximum:
                found[module] = "below_use"
    if not found and not any(pool.base and module in sold for module, pool in pools.items()):
        return dict.fromkeys(closes, "last_base_module")
    return found


def pool_at_start(licences: int, in_use: int, terms: PoolTerms) -> PoolAtStart:
    return PoolAtStart(licences, in_use, terms.base, terms.policies.reduce_below_use == ReduceBelowUse.BLOCK)


def anchor_with(term: str, start: date, billing_day: int) -> date:
    """Return the anchor of periods of another term that begin on `start`; the day of the month is kept where it can be."""
    days = range(billing_day, start.day, -1)  # of the term's months, none may have the last of them
    return next((anchor for day in days if (anchor := anchor_of(start, Term(term), day)) is not None), start)


def period_after(contract: SubscriptionStarted, following: FollowingPlan | None, begin: date) -> Period:
    """Return the period that begins on `begin`. `following`: the plan or term that is scheduled for it."""
    term = contract.term if following is None else following.term
    anchor = contract.anchored_on if term == contract.term else anchor_with(term, begin, contract.begins_on_day)
    return period_at(anchor, Term(term), begin)
