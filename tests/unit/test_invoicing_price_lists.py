"""Which price list a running subscription has: its own until a renewal that is late enough after the announcement of another one."""

from datetime import date
from typing import Any

import pytest

from services.invoicing.domain.calendar import Term
from services.invoicing.domain.price_lists import RenewalLists, Renewals, in_force, in_turn, own_list, taken_from, to_announce
from shared.schemas.invoicing_v1 import ModuleLimits, PlanDefined, UnitPrice
from tests.support.invoicing_harness import ROOT
from tests.support.messaging import NOON

MAY = date(2026, 5, 1)
JUNE = date(2026, 6, 1)
TIME = {"time"}
BOTH = {"time", "documents"}


def listed(version: int, price: int, holds_from: date | None = None, **more: int) -> PlanDefined:
    """A list of `standard` with the price of a licence of time, and of other modules."""
    prices = tuple(UnitPrice(module=module, term="monthly", amount_minor=amount) for module, amount in ({"time": price} | more).items())
    fields: dict[str, Any] = {"plan": "standard", "name": "Standard", "currency": "EUR", "allows_extra_licences": True}
    return PlanDefined(at=NOON, actor=ROOT, prices=prices, version=version, holds_from=holds_from, **fields)


def test_a_list_holds_for_new_contracts_from_its_day_on_and_the_last_definition_counts() -> None:
    first, second = listed(1, 100), listed(2, 120, MAY)
    assert in_force([first, second], date(2026, 4, 30)) == first
    assert in_force([first, second], MAY) == second
    assert in_force([second], date(2026, 4, 30)) is None, "it is not sold yet"
    corrected = listed(3, 110, MAY)
    assert in_force([first, second, corrected], MAY) == corrected
    assert in_turn([first, second, corrected], date(2026, 4, 30)) == [first, corrected]
    assert in_turn([first, listed(2, 120, JUNE), corrected], date(2026, 4, 30)) == [first, corrected]
    assert in_turn([second], date(2026, 4, 30)) == [second], "a plan that is not sold yet shows from when"


def test_a_running_subscription_takes_a_list_at_the_first_renewal_that_is_late_enough() -> None:
    lists = [listed(1, 100), listed(2, 120)]
    assert own_list(lists, 1, "monthly", MAY) == lists[0], "within a period no price changes"
    day = taken_from(date(2026, 4, 2), "P30D", lists[1])
    assert day == date(2026, 5, 2)
    told = RenewalLists(lists, 1, "monthly", {2: day})
    assert told.at(MAY, TIME) == lists[0], "29 days after the announcement"
    assert told.at(JUNE, TIME) == lists[1]
    assert RenewalLists(lists, 1, "monthly", {}).at(date(2030, 1, 1), TIME) == lists[0], "without an announcement there is no other price"
    assert taken_from(date(2026, 4, 1), "P0D", listed(2, 120, MAY)) == MAY, "not before the list holds"


def test_a_list_that_changes_no_price_of_the_subscription_applies_at_once() -> None:
    lists = [listed(1, 100), listed(2, 120, MAY), listed(3, 100, documents=50)]
    assert own_list(lists, 1, "monthly", date(2026, 4, 1)) == lists[2]
    assert RenewalLists(lists, 1, "monthly", {2: MAY}).at(MAY, TIME) == lists[2], "it takes the list before it back"
    assert to_announce(lists[::2], 1, "monthly", (), TIME) == []


def test_a_list_that_changes_only_modules_without_a_pool_applies_from_the_renewal_on_and_is_announced_if_one_opens_before() -> None:
    lists = [listed(1, 100, documents=50), listed(2, 100, documents=60)]
    assert own_list(lists, 1, "monthly", MAY) == lists[0], "a module that is bought now cannot rise within the period"
    quiet = RenewalLists(lists, 1, "monthly", {})
    assert (quiet.at(JUNE, TIME), quiet.at(JUNE, BOTH)) == (lists[1], lists[0])
    assert (to_announce(lists, 1, "monthly", (), TIME), to_announce(lists, 1, "monthly", (), BOTH)) == ([], [lists[1]])
    later = [*lists, listed(3, 120, documents=60), listed(4, 120, documents=70)]
    assert RenewalLists(later, 1, "monthly", {3: JUNE}).at(JUNE, TIME) == later[3]
    assert RenewalLists(later, 1, "monthly", {3: JUNE}).at(JUNE, BOTH) == later[2]


@pytest.mark.parametrize(
    "conditions",
    [
        {"allows_extra_licences": False},
        {"limits": (ModuleLimits(module="time", minimum=2),)},
        {"limits": (ModuleLimits(module="time", maximum=9),)},
        {"prices": (UnitPrice(module="time", term="monthly", amount_minor=100, included=1),)},
    ],
    ids=["extra licences", "minimum", "maximum", "included"],
)
def test_B2_a_list_with_other_conditions_waits_for_its_renewal_as_one_with_other_prices(conditions: dict[str, Any]) -> None:
    lists = [listed(1, 100), listed(2, 100).model_copy(update=conditions)]
    assert own_list(lists, 1, "monthly", MAY) == lists[0]
    assert to_announce(lists, 1, "monthly", (), TIME) == [lists[1]]
    told = RenewalLists(lists, 1, "monthly", {2: JUNE})
    assert (told.at(MAY, TIME), told.at(JUNE, TIME)) == (lists[0], lists[1])
    other = [lists[0], listed(2, 100).model_copy(update={"limits": (ModuleLimits(module="documents", maximum=9),)})]
    assert own_list(other, 1, "monthly", MAY) == other[1], "of a module that the plan did not sell"


@pytest.mark.parametrize(
    ("lists", "announced", "versions"),
    [
        ([listed(1, 100), listed(2, 120), listed(3, 130, MAY)], {}, [2, 3]),
        ([listed(1, 100), listed(2, 120), listed(3, 130, MAY)], {2: MAY}, [3]),
        ([listed(1, 100), listed(2, 120, MAY), listed(3, 130, MAY)], {}, [3]),
        ([listed(1, 100), listed(2, 120, MAY), listed(3, 100)], {2: MAY}, [3]),
    ],
    ids=["two", "one is known", "the later one replaces it", "a known one is taken back"],
)
def test_lists_with_other_prices_are_announced_once(lists: list[PlanDefined], announced: dict[int, date], versions: list[int]) -> None:
    found = to_announce(lists, 1, "monthly", announced, TIME)
    assert [each.version for each in found] == versions
    assert to_announce(lists, 1, "monthly", announced | {each.version: MAY for each in found}, TIME) == []


@pytest.mark.parametrize(
    ("not_before", "expected"),
    [(date(2026, 4, 2), date(2026, 4, 30)), (date(2026, 4, 30), date(2026, 4, 30)), (MAY, date(2026, 5, 31))],
)
def test_the_renewals_keep_the_day_of_the_month(not_before: date, expected: date) -> None:
    assert Renewals(date(2026, 1, 31), Term.MONTHLY, date(2026, 4, 30)).first(not_before) == expected


FROM_APRIL = Renewals(date(2026, 1, 1), Term.MONTHLY, date(2026, 4, 1))
APRIL = date(2026, 4, 1)


def test_lists_apply_renewal_by_renewal() -> None:
    """The second list applies in April and May. The third one has the first one's price again, but only from June on."""
    lists = [listed(1, 100), listed(2, 120), listed(3, 100, JUNE)]
    told = RenewalLists(lists, 1, "monthly", {2: APRIL})
    assert [told.course(FROM_APRIL, TIME, day).version for day in (APRIL, MAY, JUNE)] == [2, 2, 2], "the third one was not announced"
    both = RenewalLists(lists, 1, "monthly", {2: APRIL, 3: JUNE})
    assert [both.course(FROM_APRIL, TIME, day).version for day in (APRIL, MAY, JUNE)] == [2, 2, 3]
    assert both.taken_back([2, 3], FROM_APRIL, TIME) == []


@pytest.mark.parametrize(
    ("lists", "announced", "known", "expected"),
    [
        ([listed(2, 120), listed(3, 100)], {2: MAY}, [2], [(2, 3, MAY)]),
        ([listed(2, 120), listed(3, 130), listed(4, 100)], {2: APRIL, 3: MAY}, [2, 3], [(2, 4, APRIL), (3, 4, MAY)]),
        ([listed(2, 120), listed(3, 130), listed(4, 120)], {2: APRIL, 3: MAY}, [2, 3], [(3, 4, MAY)]),
        ([listed(2, 120), listed(3, 130)], {2: MAY, 3: MAY}, [2], []),
        ([listed(2, 150, JUNE), listed(3, 120)], {2: JUNE, 3: MAY}, [2], [(2, 3, JUNE)]),
        ([listed(2, 120), listed(3, 100, MAY)], {2: APRIL, 3: MAY}, [2], []),
    ],
    ids=["taken back", "two lists", "the last of two", "replaced for the same renewal", "an earlier one replaces it", "it ends later"],
)
def test_an_announced_list_that_will_not_apply_is_found(
    lists: list[PlanDefined], announced: dict[int, date], known: list[int], expected: list[tuple[int, int, date]]
) -> None:
    found = RenewalLists([listed(1, 100), *lists], 1, "monthly", announced).taken_back(known, FROM_APRIL, TIME)
    assert [(each.told.version, each.then.version, each.begins_on) for each in found] == expected
