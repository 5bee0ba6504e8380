"""What a plan sells: the price of a licence of a module for a whole period, and how many licences it allows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from services.invoicing.domain.discounts import PeriodLine, discounted
from shared.schemas.invoicing_v1 import Discount, ModuleLimits, PlanDefined, UnitPrice

PRICE_MINOR_MAX = 1_000_000_000  # with LICENCES_MAX, it keeps amounts within 63 bits


def prices_of(plan: PlanDefined, term: str) -> Mapping[str, UnitPrice]:
    """Return the price of each module that the plan sells with this term."""
    return {price.module: price for price in plan.prices if price.term == term}


def of_one_more(price: UnitPrice | None, licences: int) -> int | None:
    """Return the price of one more licence; None: there is none."""
    return price.parts(licences + 1)[-1][1] if price is not None else None


def dearest_minor(price: UnitPrice | None, licences: int, most: int) -> int:
    """Return the highest price that one licence adds to a period, from this number of licences up to the greatest one."""
    if price is None:
        return PRICE_MINOR_MAX
    ends = [price.included, *(end for step in price.steps for end in (step.up_to, step.up_to + 1))]
    numbers = [licences, *(end for end in ends if licences <= end < most)]
    return max(0, *(price.total_minor(number + 1) - price.total_minor(number) for number in numbers))


def limits_of(plan: PlanDefined, module: str) -> ModuleLimits:
    """Return how many licences of the module the plan allows."""
    return next((limits for limits in plan.limits if limits.module == module), ModuleLimits(module=module))


def lowered(plan: PlanDefined, term: str, licences: Mapping[str, int]) -> dict[str, int]:
    """Return the licences with which a period of the plan begins, of each module of which the plan allows fewer than there are."""
    sold = prices_of(plan, term)
    most = {module: (limits_of(plan, module).maximum or number) if module in sold else 0 for module, number in licences.items()}
    return {module: most[module] for module, number in licences.items() if most[module] < number}


@dataclass(frozen=True, slots=True)
class FollowingPlan:
    """The plan and term that are scheduled for the next period, and the change that schedules them."""

    change: str
    plan: PlanDefined
    term: str

    def fits(self, module: str, licences: int) -> bool:
        """Return whether the plan sells the module, and allows so many licences of it."""
        return module in prices_of(self.plan, self.term) and licences <= (limits_of(self.plan, module).maximum or licences)


def period_lines(plan: PlanDefined, term: str, numbers: Mapping[str, int]) -> list[PeriodLine] | None:
    """Return the lines of a period with these licences, before discounts; None if the price list lacks one of the modules."""
    prices = prices_of(plan, term)
    in_use = {module: number for module, number in sorted(numbers.items()) if number}
    if not in_use.keys() <= prices.keys():
        return None
    return [PeriodLine(module, *part) for module, number in in_use.items() for part in prices[module].parts(number)]


@dataclass(frozen=True, slots=True)
class NextStart:
    """The next period but for its licences: the plan, the change that is scheduled for it, and the discounts that hold then."""

    plan: PlanDefined
    term: str
    starts_on: date
    discounts: Sequence[Discount] = ()
    following: FollowingPlan | None = None

    def net_minor(self, numbers: Mapping[str, int]) -> int | None:
        """Return the price with these licences; None if the price list lacks one of the modules."""
        if self.following is None:
            lines = period_lines(self.plan, self.term, numbers)
        else:
            plan, term = self.following.plan, self.following.term
            lines = period_lines(plan, term, {**numbers, **lowered(plan, term, numbers)})
        return None if lines is None else sum(each.net_minor for each in discounted(self.discounts, self.starts_on, lines))
