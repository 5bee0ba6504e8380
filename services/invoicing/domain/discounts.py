"""What discounts take off a price.

Percentages come first, each of what the earlier ones leave; then amounts, by the order in which they were granted. An amount counts once
for each period: it is spread over the lines of the period, and no line falls below zero. So licences that are added within the period
have the percentages only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Final

from services.invoicing.domain.calendar import Term, period_at
from services.invoicing.domain.money import round_half_up
from shared.schemas.invoicing_v1 import Discount, SubscriptionStarted

WHOLE: Final = 1
DISCOUNTS_MAX: Final = 50  # of a subscription, without those that were withdrawn


def trial_of(contract: SubscriptionStarted) -> list[Discount]:
    """Return the trial of a subscription as a discount: all that is supplied in it costs nothing."""
    if contract.trial_until is None:
        return []
    return [Discount(discount="trial", percent="100", from_day=contract.period_start, until_day=contract.trial_until, text="trial")]


def holds(discount: Discount, day: date) -> bool:
    """Return whether the discount counts for what is supplied on this day."""
    return discount.from_day <= day and (discount.until_day is None or day < discount.until_day)


def percentages(discounts: Iterable[Discount], day: date) -> tuple[Discount, ...]:
    """Return the percentages for licences that begin on this day."""
    return tuple(each for each in discounts if each.percent is not None and holds(each, day))


def left_of_price(discounts: Iterable[Discount], module: str) -> Fraction | int:
    """Return the part of the module's price that these percentages leave."""
    left: Fraction | int = WHOLE
    for each in discounts:
        if each.percent is not None and each.module in (None, module):
            left *= 1 - Fraction(each.percent) / 100
    return left


def spread(amount_minor: int, nets: Sequence[int]) -> list[int]:
    """Share an amount out in proportion to these nets, by largest remainder; never more than a net."""
    total = sum(nets)
    if amount_minor >= total:
        return list(nets)
    shares = [Fraction(amount_minor * net, total) for net in nets]
    found = [share.numerator // share.denominator for share in shares]
    by_remainder = sorted(range(len(nets)), key=lambda n: (found[n] - shares[n], n))
    for n in by_remainder[: amount_minor - sum(found)]:
        found[n] += 1
    return found


@dataclass(frozen=True, slots=True)
class PeriodLine:
    """Licences of a module with one price with which a period begins, before discounts."""

    module: str
    licences: int
    unit_price_minor: int

    @property
    def gross_minor(self) -> int:
        return self.licences * self.unit_price_minor


@dataclass(frozen=True, slots=True)
class Discounted:
    """A line of a period: the part of its price that percentages leave, the part of the rest that amounts take off, and what is to pay."""

    left: Fraction | int
    taken: Fraction | int
    net_minor: int

    def off(self, line: PeriodLine) -> Fraction | int:
        """Return what comes off the price of each licence beside the percentages."""
        return line.unit_price_minor * self.left * self.taken


def _rounded_once(amounts: Sequence[tuple[str, Fraction]]) -> list[int]:
    """Round so that the lines of each module add up to its exact amount, rounded half up once (money invariant 2)."""
    exact: dict[str, Fraction] = {}
    charged: dict[str, int] = {}
    rounded = []
    for module, amount in amounts:
        exact[module] = exact.get(module, Fraction(0)) + amount
        rounded.append(round_half_up(exact[module]) - charged.get(module, 0))
        charged[module] = charged.get(module, 0) + rounded[-1]
    return rounded


def discounted(discounts: Sequence[Discount], start: date, lines: Sequence[PeriodLine]) -> list[Discounted]:
    """Return what these lines cost in a period that begins on this day."""
    held = [each for each in discounts if holds(each, start)]
    left = [left_of_price(held, line.module) for line in lines]
    nets = _rounded_once([(line.module, line.gross_minor * Fraction(part)) for line, part in zip(lines, left, strict=True)])
    before = list(nets)
    for each in held:
        if each.amount_minor is not None:
            of_lines = [n for n, line in enumerate(lines) if each.module in (None, line.module)]
            for n, off in zip(of_lines, spread(each.amount_minor, [nets[n] for n in of_lines]), strict=True):
                nets[n] -= off
    taken = _taken(lines, left, before, nets)
    return [Discounted(part, taken[line.module], net) for line, part, net in zip(lines, left, nets, strict=True)]


def _taken(
    lines: Sequence[PeriodLine], left: Sequence[Fraction | int], before: Sequence[int], nets: Sequence[int]
) -> dict[str, Fraction | int]:
    """Return which part of each module's price amounts take off, so that its licences cost exactly what is left: the lines add up to that,
    rounded once. Where amounts cover a module, nothing is left of it, also no part of a minor unit."""
    found = dict[str, Fraction | int]()
    for module in {line.module for line in lines}:
        own = [n for n, line in enumerate(lines) if line.module == module]
        exact = sum((lines[n].gross_minor * Fraction(left[n]) for n in own), Fraction(0))
        off = sum(before[n] - nets[n] for n in own)
        found[module] = 0 if not off else 1 if not sum(nets[n] for n in own) else Fraction(off) / exact
    return found


@dataclass(frozen=True, slots=True)
class Days:
    """The days of a discount as somebody asks for them: until a day, or for so many periods; neither: without end."""

    from_day: date | None = None
    until_day: date | None = None
    periods: int | None = None


@dataclass(frozen=True, slots=True)
class WrongDays:
    field: str
    value: object
    expected: str


def dated(discount: Discount, days: Days, earliest: date, next_start: date, anchor: date, term: Term) -> Discount | WrongDays:
    """Return the discount with its days. `next_start`: the first period that it can count for; `earliest`: the first day.

    Periods are counted from the first one that begins on or after `from_day`, with the present term.
    """
    first = days.from_day or earliest
    if first < earliest:
        return WrongDays("from_day", first.isoformat(), f"{earliest} or a later day: what is charged does not change any more")
    start = max(next_start, first)
    period = period_at(anchor, term, start)
    start = start if start == period.start else period.end
    if days.periods is not None:
        until = start
        for _ in range(days.periods):
            until = period_at(anchor, term, until).end
        return discount.model_copy(update={"from_day": start, "until_day": until})
    if days.until_day is not None and days.until_day <= first:
        return WrongDays("until_day", days.until_day.isoformat(), f"a day after {first}")
    if discount.amount_minor is not None and days.until_day is not None and days.until_day <= start:
        return WrongDays(
            "until_day", days.until_day.isoformat(), f"a day after {start}, when the first period begins that the amount counts for"
        )
    return discount.model_copy(update={"from_day": first, "until_day": days.until_day})


def fields_of(discount: Discount) -> dict[str, str | int | bool | None]:
    """Return the fields of a discount for the action log."""
    known = discount.model_dump(mode="json", exclude={"discount"})
    return {f"discount.{name}": value for name, value in known.items()}
