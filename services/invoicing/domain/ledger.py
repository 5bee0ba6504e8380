"""The licences of one module in one period, and what they cost.

What a module costs in a period is a function of all its changes; a line is the rounded cost with a change, minus everything that was
charged before it. So the parts of a period sum to its exact price, rounded half up once. The value of a day is the number of licences at
its end. A credit undoes the most recently charged licences first, at their own price, discount and tax.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from itertools import groupby
from typing import Final

from services.invoicing.domain.calendar import Period
from services.invoicing.domain.discounts import WHOLE
from services.invoicing.domain.money import Tax, round_half_up, share
from shared.schemas.invoicing_v1 import UnitPrice

NO_TAX = Tax("", "0")
NOTHING = Fraction(0)


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of a licence for a whole period, what discounts take off it, and its tax."""

    unit_price_minor: int
    tax: Tax = NO_TAX
    left: Fraction | int = WHOLE  # the part of the price that percentages leave
    off: Fraction | int = 0  # the licence's share of an amount per period

    @property
    def price(self) -> Fraction | int:
        """Return the price less the discounts; it is never negative."""
        if self.left == WHOLE and not self.off:
            return self.unit_price_minor
        return max(self.unit_price_minor * self.left - self.off, NOTHING)


NO_RATE: Final = Rate(0)  # of licences that are taken away


@dataclass(frozen=True, slots=True)
class Change:
    """Licences that are added at a rate (positive), or taken away (negative; they have the rate of what they undo).

    `charge` names the charge that the change belongs to. `reprice`: from the day on, all licences so far have the rate. `price`: the price
    of each licence follows from their number; the rate has the rest. `bought`: an approved amount is charged for the licences.
    """

    day: date
    quantity: int
    rate: Rate = NO_RATE
    charge: str = ""
    reprice: bool = False
    price: UnitPrice | None = None
    bought: bool = False


@dataclass(frozen=True, slots=True)
class Lot:
    """Licences that began on one day at one rate, and the days since which some of them are gone again."""

    day: date
    rate: Rate
    quantity: int
    charge: str = ""
    removed: tuple[tuple[date, int], ...] = ()
    price: UnitPrice | None = None  # that depends on the number of licences

    @property
    def left(self) -> int:
        return self.quantity - sum(quantity for _, quantity in self.removed)

    def amount(self, period: Period) -> Fraction:
        return self._at(self.rate.price, period)

    def discount(self, period: Period) -> Fraction:
        """Return what discounts take off the price of these licences."""
        off = self.rate.unit_price_minor - self.rate.price
        return self._at(off, period) if off else NOTHING

    def _at(self, price: Fraction | int, period: Period) -> Fraction:
        def cost(quantity: int, until: date) -> Fraction:
            return share(quantity, price, (until - self.day).days, period.days)

        return cost(self.left, period.end) + sum((cost(quantity, day) for day, quantity in self.removed), NOTHING)


def lots(period: Period, changes: Iterable[Change], opening: Sequence[Change] = ()) -> list[Lot]:
    """Return the licences that the changes make. They are netted day by day, those of one day in the order of the log."""
    result = [Lot(period.start, each.rate, each.quantity, each.charge, price=each.price) for each in opening]
    for day, of_day in groupby(sorted(changes, key=lambda change: change.day), key=lambda change: change.day):
        assert day in period, f"{day} is not in {period}"
        todays = list(of_day)
        repriced = [change for change in todays if change.reprice]
        before = {change.charge for change in todays[: todays.index(repriced[-1])]} if repriced else set()
        added, gone = _netted(todays)
        result = _remove(result, gone, day)
        if repriced:
            result = _reprice([*result, *(lot for lot in added if lot.charge in before)], repriced[-1])
            added = [lot for lot in added if lot.charge not in before]
        result = _priced([*result, *added], day, todays[-1].charge)
    return result


def by_number(price: UnitPrice | None) -> UnitPrice | None:
    """Return the price if it depends on the number of licences."""
    return None if price is None or price.is_flat else price


def _priced(held: Sequence[Lot], day: date, charge: str) -> list[Lot]:
    """Give each licence the price of its place among all licences, where the price depends on their number."""
    if all(lot.price is None for lot in held):
        return list(held)
    total, place, result = sum(lot.left for lot in held), 0, list[Lot]()
    for lot in held:
        parts = _first(lot.price.parts(total, place), lot.left) if lot.price is not None else []
        place += lot.left
        if lot.price is None or all(unit == lot.rate.unit_price_minor for _, unit in parts):
            result.append(lot)
            continue
        name = lot.charge
        if lot.day < day:
            result.append(replace(lot, removed=(*lot.removed, (day, lot.left))))
            name = charge
        result += [Lot(day, replace(lot.rate, unit_price_minor=unit), count, name, price=lot.price) for count, unit in parts]
    return result


def _first(parts: Iterable[tuple[int, int]], count: int) -> list[tuple[int, int]]:
    """Return the parts of the first licences."""
    found = list[tuple[int, int]]()
    for number, unit in parts:
        taken = min(number, count)
        found += [(taken, unit)] if taken else []
        count -= taken
    return found


def _reprice(held: Sequence[Lot], change: Change) -> list[Lot]:
    """End all licences on the day of the change, and begin as many at its rate. The last change of a day counts.

    Each licence keeps its share of an amount per period, which counts once however often the price changes.
    """
    ended = [replace(lot, removed=(*lot.removed, (change.day, lot.left))) if lot.left else lot for lot in held if lot.day < change.day]
    begun: dict[Rate, int] = {}
    for lot in held:
        if lot.left:
            rate = follows(change, lot.rate)
            begun[rate] = begun.get(rate, 0) + lot.left
    return [*ended, *(Lot(change.day, rate, quantity, change.charge, price=change.price) for rate, quantity in begun.items())]


def follows(change: Change, rate: Rate) -> Rate:
    """Return the rate of licences that had this rate before their price changed."""
    return replace(change.rate, off=rate.off) if rate.off else change.rate


def _netted(todays: Sequence[Change]) -> tuple[list[Lot], int]:
    """Return what one day adds, and how many earlier licences it takes away.

    What is taken away is first what was added before it on the same day, the last first. What is added brings back what was taken away
    before it; but what somebody buys has the price and the tax that were approved.
    """
    added, gone = list[Lot](), 0
    for change in todays:
        if change.quantity < 0:
            added, left = _cancel(added, -change.quantity)
            gone += left
        elif change.quantity > 0:
            back = 0 if change.bought else min(gone, change.quantity)
            gone -= back
            if change.quantity > back:
                added.append(Lot(change.day, change.rate, change.quantity - back, change.charge, price=change.price))
    return added, gone


def _cancel(added: list[Lot], gone: int) -> tuple[list[Lot], int]:
    """Take what is gone from what was added on the same day, the last first."""
    kept: list[Lot] = []
    for lot in reversed(added):
        taken = min(lot.quantity, gone)
        gone -= taken
        if lot.quantity > taken:
            kept.append(replace(lot, quantity=lot.quantity - taken))
    return kept[::-1], gone


def _remove(held: Sequence[Lot], gone: int, day: date) -> list[Lot]:
    """End licences of earlier lots on `day`, the most recently charged first."""
    result: list[Lot] = []
    for lot in reversed(held):
        taken = min(lot.left, gone)
        gone -= taken
        result.append(replace(lot, removed=(*lot.removed, (day, taken))) if taken else lot)
    assert gone == 0, "more licences are taken away than there are"
    return result[::-1]


@dataclass(frozen=True, slots=True)
class Cost:
    """The licences of one rate: their exact price, their number at the end, and what discounts have taken off the price."""

    amount: Fraction = NOTHING
    quantity: int = 0
    discount: Fraction = NOTHING

    def plus(self, other: "Cost", sign: int = 1) -> "Cost":
        discount = self.discount + sign * other.discount if self.discount or other.discount else NOTHING
        return Cost(self.amount + sign * other.amount, self.quantity + sign * other.quantity, discount)


@dataclass(frozen=True, slots=True)
class State:
    """The exact price of a module in a period, by rate, and by the charge that the licences belong to."""

    by_rate: Mapping[Rate, Cost]
    by_charge: Mapping[str, Fraction]

    @property
    def total(self) -> Fraction:
        return sum((cost.amount for cost in self.by_rate.values()), NOTHING)


@dataclass(frozen=True, slots=True)
class Part:
    """One line of a booking: the licences of one rate that are charged, or credited if `net_minor` is negative.

    `undoes` names the charges of which a credit takes something back.
    """

    rate: Rate
    quantity: int
    net_minor: int
    undoes: tuple[str, ...] = ()
    discount_minor: int = 0  # already deducted; of what is credited, it is negative


@dataclass(slots=True)
class ModuleLedger:
    """One module in one period: its changes in the order of the log, and what was charged for them."""

    period: Period
    opening: Sequence[Change] = ()  # a change for each price
    changes: list[Change] = field(default_factory=list)
    booked_minor: int = field(init=False)  # the sum of all lines
    booked: State = field(init=False)  # the state that they were computed from

    def __post_init__(self) -> None:
        """The opening is a line of its own, which the invoice of the period has."""
        self.booked = self.state()
        self.booked_minor = round_half_up(self.booked.total)

    def state(self, *more: Change) -> State:
        by_rate: dict[Rate, Cost] = {}
        by_charge: dict[str, Fraction] = {}
        for lot in lots(self.period, [*self.changes, *more], self.opening):
            amount = lot.amount(self.period)
            cost = Cost(amount, lot.left, lot.discount(self.period))
            by_rate[lot.rate] = by_rate[lot.rate].plus(cost) if lot.rate in by_rate else cost
            by_charge[lot.charge] = by_charge.get(lot.charge, NOTHING) + amount
        return State(by_rate, by_charge)

    def cost_minor(self, change: Change) -> int:
        """Return what one more change costs; negative: a credit."""
        return round_half_up(self.state(change).total) - round_half_up(self.state().total)

    def parts_of(self, change: Change) -> list[Part]:
        """Return what one more change costs, a part for each rate."""
        return _parts(list(_difference(self.state(change), self.state()).by_rate.items()), self.cost_minor(change), ())

    def buy(self, change: Change, net_minor: int) -> None:
        """Add a change whose amount was approved before. Changes that are open stay open."""
        before = self.state()
        self.changes.append(change)
        self.booked = _sum(self.booked, _difference(self.state(), before))
        self.booked_minor += net_minor

    def open_minor(self) -> int:
        """Return what the changes cost that are not charged yet; negative: a credit."""
        return round_half_up(self.state().total) - self.booked_minor

    def book(self) -> list[Part]:
        """Charge all that is open: a part for each rate. Licences that came and went cost nothing and are no part."""
        now = self.state()
        moved = _difference(now, self.booked)
        undone = tuple(charge for charge, amount in moved.by_charge.items() if amount < 0)
        open_minor = self.open_minor()
        changed = [(rate, cost) for rate, cost in moved.by_rate.items() if cost != Cost()] or list(moved.by_rate.items())[-1:]
        repriced = [change for change in self.changes if change.reprice]
        changed = _by_difference(changed, repriced[-1], self.period) if repriced and repriced[-1].price is None else changed
        self.booked_minor += open_minor
        self.booked = now
        return _parts(changed, open_minor, undone)


def _parts(changed: Sequence[tuple[Rate, Cost]], open_minor: int, undone: tuple[str, ...]) -> list[Part]:
    """Return a part for each rate, which together are the open amount."""
    parts, reached, sum_of_parts = list[Part](), NOTHING, 0
    changed = sorted(changed, key=lambda each: each[1].amount != 0)  # the rounding is no line for what costs nothing
    for number, (rate, cost) in enumerate(changed, 1):
        reached += cost.amount
        net_minor = (open_minor if number == len(changed) else round_half_up(reached)) - sum_of_parts
        sum_of_parts += net_minor
        if net_minor or cost.quantity:
            parts.append(Part(rate, cost.quantity, net_minor, undone if net_minor < 0 else (), round_half_up(cost.discount)))
    return parts


def _by_difference(moved: Sequence[tuple[Rate, Cost]], change: Change, period: Period) -> list[tuple[Rate, Cost]]:
    """Return licences that changed their rate as one part, with the difference of the two prices: of each former rate with the same tax and
    the same percentages.

    The price of a part is never negative: where the licences are cheaper now, their number is.
    """
    begun = {rate: cost for rate, cost in moved if rate == follows(change, rate)}
    parts = list[tuple[Rate, Cost]]()
    days = period.remaining(change.day)
    for rate, cost in moved:
        if rate in begun:
            continue
        to = follows(change, rate)
        alike = (rate.tax, rate.left) == (to.tax, to.left)
        quantity = min(-cost.quantity, begun.get(to, Cost()).quantity) if alike else 0
        if quantity <= 0:
            parts.append((rate, cost))
            continue
        former, since = _cost(rate, quantity, days, period), _cost(to, quantity, days, period)
        begun[to] = begun[to].plus(since, -1)
        more = to.unit_price_minor - rate.unit_price_minor
        difference = replace(since.plus(former, -1), quantity=quantity if more > 0 else -quantity)
        parts.append((Rate(abs(more), rate.tax), difference))
        left = cost.plus(former)
        parts += [(rate, left)] if left != Cost() else []
    parts += [(rate, cost) for rate, cost in begun.items() if cost != Cost()]
    return parts or [(change.rate, Cost())]


def _cost(rate: Rate, quantity: int, days: int, period: Period) -> Cost:
    off = rate.unit_price_minor - rate.price
    return Cost(share(quantity, rate.price, days, period.days), quantity, share(quantity, off, days, period.days))


def _difference(after: State, before: State) -> State:
    return _sum(after, before, sign=-1)


def _sum(one: State, other: State, sign: int = 1) -> State:
    by_rate, by_charge = dict(one.by_rate), dict(one.by_charge)
    for rate, cost in other.by_rate.items():
        by_rate[rate] = by_rate.get(rate, Cost()).plus(cost, sign)
    for charge, amount in other.by_charge.items():
        by_charge[charge] = by_charge.get(charge, NOTHING) + sign * amount
    return State(by_rate, by_charge)
