"""Which policies a pool of a subscription can have, beyond what seats checks (M12, E8)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from services.invoicing.domain.prices import limits_of
from shared.schemas.base import Change
from shared.schemas.invoicing_v1 import PlanDefined
from shared.schemas.policies import POLICY_NAMES
from shared.schemas.seats_v1 import OverLimit, Policies

WARN_AT: Final = "90%"  # of a pool whose threshold nobody chose
NO_POLICIES: Final = Policies()
_ABOUT_MONEY: Final = frozenset({"expand_cap", "reduce_at", "reduce_below_use", "terminate_reduces_pool"})


def about_money(given: Policies) -> Iterator[str]:
    """Yield the names of the given policies that cause or end charges, and so need the right to buy. Of `over_limit`, it is `expand`."""
    for name in sorted(given.model_fields_set):
        if name in _ABOUT_MONEY or (name == "over_limit" and given.over_limit == OverLimit.EXPAND):
            yield name


def wrong_for_plan(policies: Policies, plan: PlanDefined, module: str) -> tuple[str, object, str] | None:
    """M12: return (field, value, what is allowed) if the plan does not allow that the pool expands, or not as far."""
    if policies.over_limit != OverLimit.EXPAND:
        return None
    if not plan.allows_extra_licences:
        return "over_limit", "expand", f"another policy than expand, because the plan {plan.plan} allows no extra licences"
    maximum = limits_of(plan, module).maximum
    if maximum is not None and policies.expand_cap is not None and policies.expand_cap > maximum:
        return "expand_cap", policies.expand_cap, f"at most {maximum}, because the plan {plan.plan} allows no more licences of {module}"
    return None


def merged(before: Policies, given: Policies) -> Policies:
    """Return the policies after a change: what the change sets, and what it removes with null."""
    return before.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})


def of_new_module(base: Sequence[Policies]) -> Policies:
    """Return the policies of a module that a running subscription gets: those of its first base module, so that people who were refused
    until now are refused there as well (E1). Nobody has set how far the new pool may expand, so it rejects where that one expands."""
    if not base:
        return Policies(warn_at=WARN_AT)
    first = base[0]
    if first.over_limit != OverLimit.EXPAND:
        return first.model_copy(update={"expand_cap": None})
    return first.model_copy(update={"over_limit": str(OverLimit.REJECT), "expand_cap": None})


def difference(before: Policies, after: Policies) -> tuple[Policies, tuple[str, ...]]:
    """Return the policies that have another value, and the names of those that are removed."""
    other = [name for name in POLICY_NAMES if getattr(before, name) != getattr(after, name)]
    values: Mapping[str, Any] = {name: getattr(after, name) for name in other}
    changed = {name: value for name, value in values.items() if value is not None}
    return Policies(**changed), tuple(name for name in other if name not in changed)


def changes_of(module: str, before: Policies, after: Policies) -> Iterator[Change]:
    for name in POLICY_NAMES:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield Change(field=f"{module}.{name}", old=old, new=new)
