"""The licences of one module in one period as lots, and what a change of them costs.

What is owed is a function of all changes of the period; what a change costs is the difference it makes to that. From this follow the money
laws: adding then removing on one day nets to zero (only the day's end counts), the order of same-day changes does not matter (as long as
they have one price), a credit undoes the most recently charged licences first and is never more than what was charged for them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from itertools import groupby

from services.invoicing.domain.calendar import Period
from services.invoicing.domain.money import round_half_up, share


@dataclass(frozen=True, slots=True)
class Change:
    """Licences added (positive, at a price for a whole period) or taken away (negative; the price is that of what is undone)."""

    day: date
    quantity: int
    unit_price_minor: int = 0


@dataclass(frozen=True, slots=True)
class Lot:
    """Licences that began on one day at one price, and the days since which some of them are gone again."""

    day: date
    unit_price_minor: int
    quantity: int
    removed: tuple[tuple[date, int], ...] = ()
    opening: bool = False  # there from the period's start, invoiced with it

    @property
    def left(self) -> int:
        return self.quantity - sum(quantity for _, quantity in self.removed)

    def amount(self, period: Period) -> Fraction:
        def cost(quantity: int, until: date) -> Fraction:
            return share(quantity, self.unit_price_minor, (until - self.day).days, period.days)

        return cost(self.left, period.end) + sum((cost(quantity, day) for day, quantity in self.removed), Fraction(0))


def lots(period: Period, changes: Iterable[Change], opening: Change | None = None) -> list[Lot]:
    """The changes in the order of the log, netted day by day: a day's value is the count at its end."""
    result: list[Lot] = []
    if opening is not None:
        result.append(Lot(period.start, opening.unit_price_minor, opening.quantity, opening=True))
    for day, of_day in groupby(sorted(changes, key=lambda change: change.day), key=lambda change: change.day):
        assert day in period, f"{day} is not in {period}"
        todays = list(of_day)
        added = [Lot(day, change.unit_price_minor, change.quantity) for change in todays if change.quantity > 0]
        gone = -sum(change.quantity for change in todays if change.quantity < 0)
        added, gone = _cancel(added, gone)
        result = [*_remove(result, gone, day), *_merged(day, added)]
    return result


def _cancel(added: list[Lot], gone: int) -> tuple[list[Lot], int]:
    """Takes what is gone from what was added on the same day, the last first."""
    kept: list[Lot] = []
    for lot in reversed(added):
        taken = min(lot.quantity, gone)
        gone -= taken
        if lot.quantity > taken:
            kept.append(replace(lot, quantity=lot.quantity - taken))
    return kept[::-1], gone


def _remove(held: Sequence[Lot], gone: int, day: date) -> list[Lot]:
    """Ends licences of earlier lots on `day`, the most recently charged first."""
    result: list[Lot] = []
    for lot in reversed(held):
        taken = min(lot.left, gone)
        gone -= taken
        result.append(replace(lot, removed=(*lot.removed, (day, taken))) if taken else lot)
    assert gone == 0, "more licences are taken away than there are"
    return result[::-1]


def _merged(day: date, added: Iterable[Lot]) -> list[Lot]:
    """One lot for a day and price, so that one by one or all at once rounds to the same sum."""
    by_price: dict[int, int] = {}
    for lot in added:
        by_price[lot.unit_price_minor] = by_price.get(lot.unit_price_minor, 0) + lot.quantity
    return [Lot(day, price, quantity) for price, quantity in by_price.items()]


def owed_minor(period: Period, changes: Iterable[Change], opening: Change | None = None) -> int:
    """Return the net amount of the period's changes. The opening is invoiced with the period; only its reductions count here."""
    total = 0
    for lot in lots(period, changes, opening):
        total += round_half_up(lot.amount(period))
        if lot.opening:
            total -= lot.quantity * lot.unit_price_minor
    return total


def cost_minor(period: Period, before: Sequence[Change], change: Change, opening: Change | None = None) -> int:
    """What one more change costs; negative: a credit."""
    return owed_minor(period, [*before, change], opening) - owed_minor(period, before, opening)
