"""The laws of money for one module in one period, for all that Hypothesis thinks of."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.invoicing.domain.calendar import Period, Term, period_at
from services.invoicing.domain.ledger import Change, ModuleLedger, Rate, lots
from services.invoicing.domain.money import Tax, round_half_up, share

PRICES = st.integers(0, 100_000)
RATES = st.builds(Rate, PRICES, st.sampled_from([Tax("S", "25"), Tax("S", "19"), Tax("AE", "0")]))


@dataclass(frozen=True)
class Story:
    period: Period
    opening: Change | None
    changes: tuple[Change, ...]

    @property
    def held(self) -> int:
        return (self.opening.quantity if self.opening else 0) + sum(change.quantity for change in self.changes)

    @property
    def openings(self) -> tuple[Change, ...]:
        return (self.opening,) if self.opening else ()

    def ledger(self, changes: Iterable[Change] = ()) -> ModuleLedger:
        return ModuleLedger(self.period, self.openings, list(changes))


@st.composite
def stories(draw: st.DrawFn, *, one_price: bool = False) -> Story:
    """In the order of the log; never more taken away than there is."""
    anchor = draw(st.dates(date(2010, 1, 1), date(2030, 12, 31)))
    period = period_at(anchor, draw(st.sampled_from(Term)), anchor)
    opening = Change(period.start, draw(st.integers(1, 50)), draw(RATES), "opening") if draw(st.booleans()) else None
    held = opening.quantity if opening else 0
    changes = []
    rate = draw(RATES)
    for number, day in enumerate(sorted(draw(st.lists(st.integers(0, period.days - 1), max_size=12)))):
        quantity = draw(st.integers(-held, 50).filter(bool))
        held += quantity
        used = rate if one_price else draw(RATES)
        changes.append(Change(period.start + timedelta(days=day), quantity, used if quantity > 0 else Rate(0), f"c{number}"))
    return Story(period, opening, tuple(changes))


def lines(story: Story, changes: Iterable[Change]) -> list[int]:
    """Return what each change cost when it was booked alone."""
    ledger, costs = story.ledger(), []
    for change in changes:
        ledger.changes.append(change)
        costs.append(sum(part.net_minor for part in ledger.book()))
    return costs


def full_minor(story: Story) -> int:
    return story.opening.quantity * story.opening.rate.unit_price_minor if story.opening else 0


@given(story=stories())
def test_the_parts_of_a_period_sum_to_its_exact_price_rounded_once(story: Story) -> None:
    exact = sum((lot.amount(story.period) for lot in lots(story.period, story.changes, story.openings)), start=share(0, 0, 0, 1))
    assert full_minor(story) + sum(lines(story, story.changes)) == round_half_up(exact)


@given(story=stories(), every=st.integers(1, 5))
def test_booking_together_or_one_by_one_is_the_same_sum(story: Story, every: int) -> None:
    ledger, total = story.ledger(), 0
    for number, change in enumerate(story.changes, 1):
        ledger.changes.append(change)
        if number % every == 0 or number == len(story.changes):
            total += sum(part.net_minor for part in ledger.book())
    assert total == sum(lines(story, story.changes))


@given(story=stories(), data=st.data())
def test_an_approved_amount_stands_and_the_next_line_makes_up_for_it(story: Story, data: st.DataObject) -> None:
    """A purchase is booked with the amount of its quote, in front of changes that are still open, behind them or without them."""
    ledger, total = story.ledger(), 0
    for change in story.changes:
        if change.quantity > 0 and data.draw(st.booleans()):
            approved = ledger.cost_minor(change) + data.draw(st.integers(-1, 1))
            ledger.buy(change, approved)
            total += approved
        else:
            ledger.changes.append(change)
            total += sum(part.net_minor for part in ledger.book()) if data.draw(st.booleans()) else 0
    total += sum(part.net_minor for part in ledger.book())
    assert total == sum(lines(story, story.changes))


@given(story=stories(), quantity=st.integers(1, 50), rate=RATES)
def test_adding_then_removing_on_one_day_nets_to_zero(story: Story, quantity: int, rate: Rate) -> None:
    day = story.changes[-1].day if story.changes else story.period.start
    back_and_forth = (*story.changes, Change(day, quantity, rate, "new"), Change(day, -quantity))
    assert sum(lines(story, back_and_forth)[-2:]) == 0
    ledger = story.ledger(story.changes)
    ledger.changes += back_and_forth[-2:]
    assert ledger.book() == []


@given(story=stories(), quantity=st.integers(1, 50), rates=st.tuples(RATES, RATES), bought=st.booleans())
def test_what_came_and_went_earlier_on_a_day_does_not_change_the_price_of_what_comes_after_it(
    story: Story, quantity: int, rates: tuple[Rate, Rate], bought: bool
) -> None:
    """With several prices on one day, the changes are netted in the order of the log."""
    day, (first, second) = story.changes[-1].day if story.changes else story.period.start, rates
    back_and_forth = Change(day, quantity, first, "first", bought=bought), Change(day, -quantity)
    after = Change(day, quantity, second, "second", bought=bought)
    ledger = story.ledger(story.changes)
    assert ledger.state(*back_and_forth, after).by_charge == ledger.state(after).by_charge


@given(story=stories(), taken=st.integers(1, 50), quantity=st.integers(1, 50), rate=RATES)
def test_licences_that_are_bought_after_others_were_given_up_on_a_day_have_their_own_price_and_tax(
    story: Story, taken: int, quantity: int, rate: Rate
) -> None:
    day, taken = story.changes[-1].day if story.changes else story.period.start, min(taken, story.held)
    ledger, bought = story.ledger([*story.changes, Change(day, -taken)]), Change(day, quantity, rate, "bought", bought=True)
    assert [(part.rate, part.quantity) for part in ledger.parts_of(bought)] == [(rate, quantity)]
    assert abs(ledger.cost_minor(bought) - share(quantity, rate.unit_price_minor, story.period.remaining(day), story.period.days)) < 1


@given(story=stories(one_price=True), random=st.randoms(use_true_random=False))
def test_the_order_of_same_day_changes_does_not_matter(story: Story, random: object) -> None:
    """The changes can be reordered: nobody takes away what is not there yet. A day has one price list unless it was changed that day."""
    shuffled = list(story.changes)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    shuffled.sort(key=lambda change: change.day)
    assert story.ledger(shuffled).state().total == story.ledger(story.changes).state().total


@given(story=stories())
def test_a_credit_is_never_more_than_what_was_charged(story: Story) -> None:
    charged = full_minor(story)
    for cost in lines(story, story.changes):
        charged += cost
        assert charged >= 0


@given(story=stories(), quantity=st.integers(1, 50), rate=RATES, days=st.integers(0, 400), taken=st.integers(1, 50))
def test_a_credit_undoes_the_most_recently_charged_licences_first(story: Story, quantity: int, rate: Rate, days: int, taken: int) -> None:
    """Licences bought last and given up later on: the credit is their own price for the days that are left, with their own tax."""
    last = story.changes[-1].day if story.changes else story.period.start
    bought, given_up = last + timedelta(days=1), last + timedelta(days=1 + days)
    assume(given_up in story.period)
    taken = min(taken, quantity)
    ledger = story.ledger(story.changes)
    ledger.changes.append(Change(bought, quantity, rate, "last"))
    ledger.book()
    ledger.changes.append(Change(given_up, -taken))
    credit = ledger.book()
    exact = share(taken, rate.unit_price_minor, story.period.remaining(given_up), story.period.days)
    assert abs(sum(part.net_minor for part in credit) + exact) < 1
    assert {(part.rate, part.quantity) for part in credit if part.quantity} == {(rate, -taken)}
    assert {undone for part in credit for undone in part.undoes} <= {"last"}


@given(story=stories(), price=PRICES)
def test_a_licence_for_the_whole_period_costs_its_full_price(story: Story, price: int) -> None:
    alone = Story(story.period, None, ())
    assert lines(alone, [Change(story.period.start, 1, Rate(price))]) == [price]


@settings(max_examples=50)
@given(story=stories())
def test_the_lots_hold_the_licences_that_the_changes_leave(story: Story) -> None:
    held = lots(story.period, story.changes, story.openings)
    assert sum(lot.left for lot in held) == story.held
    assert all(lot.left >= 0 and lot.day in story.period for lot in held)
    assert all(earlier.day <= later.day for earlier, later in pairwise(held))
