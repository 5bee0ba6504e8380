"""The money laws of rules.md on random histories of licences added and taken away.

Run one again: pytest -k <name> --hypothesis-seed=<the seed that was printed>.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.invoicing.domain.calendar import Period, Term, period_at
from services.invoicing.domain.ledger import Change, cost_minor, lots, owed_minor
from services.invoicing.domain.money import round_half_up, share

PRICES = st.integers(0, 100_000)


@dataclass(frozen=True)
class Story:
    period: Period
    opening: Change | None
    changes: tuple[Change, ...]

    @property
    def held(self) -> int:
        return (self.opening.quantity if self.opening else 0) + sum(change.quantity for change in self.changes)


@st.composite
def stories(draw: st.DrawFn, *, one_price: bool = False) -> Story:
    """In the order of the log; never more taken away than there is."""
    anchor = draw(st.dates(date(2010, 1, 1), date(2030, 12, 31)))
    period = period_at(anchor, draw(st.sampled_from(Term)), anchor)
    opening = Change(period.start, draw(st.integers(1, 50)), draw(PRICES)) if draw(st.booleans()) else None
    held = opening.quantity if opening else 0
    changes = []
    price = draw(PRICES)
    for day in sorted(draw(st.lists(st.integers(0, period.days - 1), max_size=12))):
        quantity = draw(st.integers(-held, 50).filter(bool))
        held += quantity
        cost = price if one_price else draw(PRICES)
        changes.append(Change(period.start + timedelta(days=day), quantity, cost if quantity > 0 else 0))
    return Story(period, opening, tuple(changes))


def costs(story: Story, changes: Sequence[Change]) -> list[int]:
    """What each change cost when it came."""
    return [cost_minor(story.period, changes[:n], change, story.opening) for n, change in enumerate(changes)]


@given(story=stories())
def test_the_charges_sum_to_what_is_owed(story: Story) -> None:
    assert sum(costs(story, story.changes)) == owed_minor(story.period, story.changes, story.opening)


@given(story=stories(), quantity=st.integers(1, 50), price=PRICES)
def test_adding_then_removing_on_one_day_nets_to_zero(story: Story, quantity: int, price: int) -> None:
    day = story.changes[-1].day if story.changes else story.period.start
    back_and_forth = (*story.changes, Change(day, quantity, price), Change(day, -quantity))
    assert sum(costs(story, back_and_forth)[-2:]) == 0


@given(story=stories(one_price=True), random=st.randoms(use_true_random=False))
def test_the_order_of_same_day_changes_does_not_matter(story: Story, random: object) -> None:
    """The changes can be reordered: nobody takes away what is not there yet. A day has one price list unless it was changed that day."""
    shuffled = list(story.changes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    shuffled.sort(key=lambda change: change.day)
    assert owed_minor(story.period, shuffled, story.opening) == owed_minor(story.period, story.changes, story.opening)


@given(story=stories())
def test_a_credit_is_never_more_than_what_was_charged(story: Story) -> None:
    full = story.opening.quantity * story.opening.unit_price_minor if story.opening else 0
    charged = full
    for cost in costs(story, story.changes):
        charged += cost
        assert charged >= 0


@given(story=stories(), quantity=st.integers(1, 50), price=PRICES, days=st.integers(0, 400), taken=st.integers(1, 50))
def test_a_credit_undoes_the_most_recently_charged_licences_first(story: Story, quantity: int, price: int, days: int, taken: int) -> None:
    """Licences bought last and given up later on: the credit is their own price for the days that are left, and not above their charge."""
    last = story.changes[-1].day if story.changes else story.period.start
    bought, given_up = last + timedelta(days=1), last + timedelta(days=1 + days)
    assume(given_up in story.period)
    taken = min(taken, quantity)
    charge, credit = costs(story, (*story.changes, Change(bought, quantity, price), Change(given_up, -taken)))[-2:]
    whole = share(quantity, price, story.period.remaining(bought), story.period.days)
    kept = whole - share(taken, price, story.period.remaining(given_up), story.period.days)
    assert charge == round_half_up(whole)
    assert -credit == round_half_up(whole) - round_half_up(kept)
    assert 0 <= -credit <= charge


@given(story=stories(), price=PRICES)
def test_a_licence_for_the_whole_period_costs_its_full_price(story: Story, price: int) -> None:
    alone = Story(story.period, None, ())
    assert costs(alone, [Change(story.period.start, 1, price)]) == [price]


@given(story=stories(one_price=True), quantity=st.integers(2, 30), price=PRICES)
def test_one_by_one_or_all_at_once_is_the_same(story: Story, quantity: int, price: int) -> None:
    day = story.changes[-1].day if story.changes else story.period.start
    at_once = owed_minor(story.period, [*story.changes, Change(day, quantity, price)], story.opening)
    assert owed_minor(story.period, [*story.changes, *[Change(day, 1, price)] * quantity], story.opening) == at_once


@settings(max_examples=50)
@given(story=stories())
def test_the_lots_hold_the_licences_that_the_changes_leave(story: Story) -> None:
    held = lots(story.period, story.changes, story.opening)
    assert sum(lot.left for lot in held) == story.held
    assert all(lot.left >= 0 and lot.day in story.period for lot in held)
    assert all(earlier.day <= later.day for earlier, later in pairwise(held))
