"""The monthly budget: how far modules may be expanded, so that the expansions of the month stay within what is left of it.

Seats decides an expansion by the log alone. So each pool has a cap ahead of time, and the sum of (cap − licences) × price over all pools
never exceeds what is left. A cap is lowered at once, and raised only when seats has taken over every lower one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Expandable:
    """A pool that expands up to its own cap. `sent_cap` is the cap that seats knows."""

    module: str
    licences: int
    own_cap: int
    sent_cap: int
    price_minor: int

    @property
    def wanted(self) -> int:
        """Return how many licences its own cap leaves for expansions."""
        return max(self.own_cap - self.licences, 0)

    @property
    def room(self) -> int:
        """Return how many licences it can expand by with the cap that seats knows."""
        return max(min(self.sent_cap, self.own_cap) - self.licences, 0)

    @property
    def starves(self) -> bool:
        return self.room == 0 < self.wanted


def month_of(day: date) -> date:
    """Return the first day of the calendar month."""
    return day.replace(day=1)


def following_month(day: date) -> date:
    """Return the first day of the next calendar month."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def budget_caps(left_minor: int, pools: Sequence[Expandable]) -> Mapping[str, int]:
    """Return the cap of each pool. What seats knows stays as long as it fits and nobody needs more: each change is a command."""
    left, used = max(left_minor, 0), sum(pool.room * pool.price_minor for pool in pools)
    rooms = {pool.module: pool.room for pool in pools}
    rest = left - used
    if rest < 0 or any(pool.starves and pool.price_minor > rest for pool in pools):
        rooms, rest = dict.fromkeys(rooms, 0), left
    wanted = {pool.module: pool.wanted - rooms[pool.module] for pool in pools}
    # In proportion to what each wants, and then one pool after the other; those that have nothing come first.
    price = {pool.module: pool.price_minor for pool in pools}
    whole, share = sum(number * price[module] for module, number in wanted.items()), rest
    for pool in sorted(pools, key=lambda pool: (not pool.starves, pool.module)):
        more = wanted[pool.module] if whole <= share else wanted[pool.module] * share // whole
        rooms[pool.module] += more
        rest -= more * pool.price_minor
    for pool in sorted(pools, key=lambda pool: (not pool.starves, pool.module)):
        left_over = pool.wanted - rooms[pool.module]
        more = left_over if not pool.price_minor else min(left_over, rest // pool.price_minor)
        rooms[pool.module] += more
        rest -= more * pool.price_minor
    return {pool.module: min(pool.licences + rooms[pool.module], max(pool.own_cap, 0)) for pool in pools}
