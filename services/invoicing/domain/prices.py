"""What a plan sells: the price of a licence of a module for a whole period, and how many licences it allows."""

from collections.abc import Mapping

from shared.schemas.invoicing_v1 import ModuleLimits, PlanDefined


def prices_of(plan: PlanDefined, term: str) -> Mapping[str, int]:
    """Return the price of each module that the plan sells with this term, in minor units."""
    return {price.module: price.amount_minor for price in plan.prices if price.term == term}


def limits_of(plan: PlanDefined, module: str) -> ModuleLimits:
    """Return how many licences of the module the plan allows."""
    return next((limits for limits in plan.limits if limits.module == module), ModuleLimits(module=module))
