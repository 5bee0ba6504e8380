"""Licences, periods, thresholds and closing: T-, B-, E- and M-rules that seats decides, and malformed input."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.seats import domain
from shared.schemas import seats_v1
from shared.schemas.policies import LICENCES_MAX
from tests.support.seats_harness import INVOICING, START, SeatsHarness


def company(licences: int = 2, *people: str, **policies: Any) -> SeatsHarness:
    """`docs` with these people, each created a day after the one before."""
    harness = SeatsHarness()
    harness.pool("docs", licences, **policies)
    for index, user in enumerate(people):
        harness.assign(user, "docs", created_at=START - timedelta(days=100 - index))
    return harness


# Buying ----------------------------------------------------------------------------------------------------------------


def test_T8_B5_an_order_that_still_fits_is_carried_out() -> None:
    harness = company(2)
    assert harness.buy(docs=3) == ["licences_added (ordered)"]
    assert harness.licences("docs") == (5, 5)


@pytest.mark.parametrize("field", ["period", "licences", "next_period"])
def test_T8_an_order_that_no_longer_fits_is_refused_not_repriced(field: str) -> None:
    harness = company(5)
    expected = harness.expected({"docs": 1}, "2012" if field == "period" else None)
    if field == "licences":
        harness.reduce(docs=1)
    if field == "next_period":
        harness.next_period(docs=3)
    before = harness.licences("docs")
    assert harness.buy(docs=1, expected=expected) == ["order_refused (expected_differs)"]
    refused = harness.event("order_refused")
    assert refused["actual"]["pools"] == [{"module": "docs", "licences": before[0], "next_period": before[1]}]
    assert harness.licences("docs") == before


def test_T21_buying_sets_the_next_number_to_the_new_total() -> None:
    harness = company(5)
    harness.next_period(docs=2)
    harness.buy(docs=1)
    assert harness.licences("docs") == (6, 6)


def test_B10_buying_creates_nobody() -> None:
    harness = company(2)
    harness.buy(docs=3)
    assert harness.seats("docs") == {}


def test_an_order_is_applied_once_also_if_its_sender_repeats_it() -> None:
    harness = company(2)
    harness.buy("o-1", docs=1)
    assert harness.repeat() == ["command_ignored (duplicate)"]
    assert harness.buy("o-1", docs=1) == ["command_ignored (duplicate)"]
    assert harness.event("command_ignored")["order"] == "o-1"
    assert harness.licences("docs") == (3, 3)


def test_an_order_for_several_modules_is_carried_out_completely_or_not_at_all() -> None:
    harness = company(2)
    harness.pool("plan", 1)
    assert harness.buy(docs=1, plan=1) == ["licences_added (ordered)"]
    assert harness.buy(docs=1, nowhere=1) == ["order_refused (unknown_module)"]
    assert (harness.licences("docs"), harness.licences("plan")) == ((3, 3), (2, 2))


def test_a_purchase_restores_people_revoked_since_its_approval_before_flags_and_queue() -> None:
    harness = company(1, "ada", grace="P1D")
    harness.assign("ben", "docs")
    harness.wait(hours=1)
    harness.assign("cid", "docs")
    harness.wait(hours=23, minutes=30)  # ben is revoked
    approved = harness.now - timedelta(minutes=30)
    harness.assign("dan", "docs")  # flagged
    harness.policy("docs", over_limit="wait")
    harness.assign("eve", "docs")  # waits
    harness.wait(hours=1)  # cid is revoked
    expected = ["licences_added (ordered)", "seat_granted ben docs (restored)", "seat_granted cid docs (restored)"]
    assert harness.buy(docs=2, approved=approved) == expected
    expected = ["licences_added (ordered)", "seat_flag_cleared dan docs (licence_bought)", "seat_granted eve docs (licence_bought)"]
    assert harness.buy(docs=2)[:3] == expected


def test_a_purchase_too_small_for_all_restores_the_oldest_revocation_first() -> None:
    harness = company(1, "ada", grace="P1D")
    for user in ("zoe", "ben", "cid"):
        harness.assign(user, "docs")
        harness.wait(hours=1)
    harness.wait(days=2)
    for user in ("zoe", "ben", "cid"):
        assert harness.buy(docs=1, approved=START)[:2] == ["licences_added (ordered)", f"seat_granted {user} docs (restored)"]


def test_a_purchase_does_not_restore_people_revoked_before_its_approval_or_who_no_longer_require_the_module() -> None:
    harness = company(1, "ada", grace="P1D")
    harness.assign("ben", "docs")
    harness.assign("cid", "docs")
    harness.wait(days=1)
    harness.assign("cid")
    approved = harness.now
    assert harness.buy(docs=1, approved=approved + timedelta(milliseconds=1)) == ["licences_added (ordered)"]
    expected = ["licences_added (ordered)", "seat_granted ben docs (restored)"]
    assert harness.buy(docs=1, approved=approved)[:2] == expected


def test_a_purchase_applies_due_items_first_and_restores_the_people_whom_they_revoked() -> None:
    harness = company(1, "ada", grace="P1D")
    harness.assign("ben", "docs")
    harness.now += timedelta(days=2)  # no tick came
    expected = ["seat_revoked ben docs (grace_expired)", "licences_added (ordered)", "seat_granted ben docs (restored)"]
    assert harness.buy(docs=1, approved=harness.now - timedelta(hours=1)) == expected


def test_a_purchase_restores_an_add_on_only_for_people_who_are_not_revoked_in_a_base_module() -> None:
    harness = SeatsHarness()
    harness.pool("time", 1, base=True, grace="P2D")
    harness.pool("docs", 1, grace="P1D")
    harness.assign("ada", "time", "docs")
    harness.assign("ben", "time", "docs")
    harness.wait(days=2)
    assert harness.buy(docs=1, approved=START) == ["licences_added (ordered)"]
    expected = ["licences_added (ordered)", "seat_granted ben time (restored)", "seat_granted ben docs (restored)"]
    harness.assign("cid")
    assert harness.buy(docs=1, time=1, approved=START)[:3] == expected


BASES = pytest.mark.parametrize("base", ["abc", "zed"])
ORDERS = pytest.mark.parametrize("order", ["base first", "other first", "together"])


def out_of_both(base: str, base_grace: str = "P7D", docs_grace: str = "P7D") -> SeatsHarness:
    """ada has both modules; ben, who was flagged in both a day ago, is out of both a day after the longer grace."""
    harness = SeatsHarness()
    harness.pool("docs", 1, grace=docs_grace)
    harness.pool(base, 1, base=True, grace=base_grace)
    harness.assign("ada", base, "docs")
    harness.assign("ben", base, "docs")
    harness.wait(days=8)
    assert harness.seats(base) == harness.seats("docs") == {"ada": "active"}
    return harness


def bought(harness: SeatsHarness, base: str, order: str, base_days: int = 1, docs_days: int = 1) -> None:
    """A licence of each, approved so many days after the start."""
    base_licence: dict[str, Any] = {base: 1}
    base_at, docs_at = START + timedelta(days=base_days), START + timedelta(days=docs_days)
    if order == "together":
        harness.buy(approved=base_at, **base_licence, docs=1)
    elif order == "base first":
        harness.buy(approved=base_at, **base_licence)
        harness.buy(approved=docs_at, docs=1)
    else:
        harness.buy(approved=docs_at, docs=1)
        harness.buy(approved=base_at, **base_licence)


@BASES
@ORDERS
@pytest.mark.parametrize(("base_grace", "docs_grace"), [("P7D", "P7D"), ("P6D", "P7D"), ("P7D", "P6D")])
def test_a_purchase_restores_all_that_was_lost_whichever_module_is_bought_first(
    base: str, order: str, base_grace: str, docs_grace: str
) -> None:
    """Both graces end at one instant; docs is released with the base module; docs is revoked before it."""
    harness = out_of_both(base, base_grace, docs_grace)
    bought(harness, base, order)
    assert harness.seats(base) == harness.seats("docs") == {"ada": "active", "ben": "active"}
    assert harness.assign("ben", base, "docs") == [f"seats_assigned ben: {base}=active docs=active"]


@BASES
def test_a_purchase_restores_an_add_on_that_was_revoked_and_bought_before_its_base_module_was_revoked(base: str) -> None:
    harness = out_of_both(base, "P7D", "P3D")
    bought(harness, base, "other first", base_days=5, docs_days=2)
    assert harness.seats(base) == harness.seats("docs") == {"ada": "active", "ben": "active"}


@BASES
def test_a_purchase_gives_bought_add_ons_to_the_oldest_revocation_first_also_when_its_base_module_comes_back_with_it(base: str) -> None:
    harness = SeatsHarness()
    harness.pool("docs", 1, grace="P3D")
    harness.pool(base, 3, base=True)
    for user in ("ada", "cid", "ann"):
        harness.assign(user, base, *(("docs",) if user == "ada" else ()))
    harness.assign("cid", base, "docs")  # out of docs after three days
    harness.wait(days=1)
    harness.assign("ben", base, "docs")  # out of docs a day later, and of the base module in the end
    harness.wait(days=8)
    assert harness.seats("docs") == {"ada": "active"}
    bought(harness, base, "together")
    assert harness.seats(base) == dict.fromkeys(("ada", "ann", "ben", "cid"), "active")
    assert harness.seats("docs") == {"ada": "active", "cid": "active"}


def test_a_purchase_brings_back_a_second_base_module_with_the_first() -> None:
    harness = SeatsHarness()
    for module in ("docs", "time", "core"):
        harness.pool(module, 1, base=module != "docs", grace="P7D" if module == "core" else "P9D")
    harness.assign("ada", "time", "core", "docs")
    harness.assign("ben", "time", "core", "docs")
    harness.wait(days=7)
    assert harness.seats("time") == {"ada": "active"}
    before = START
    assert harness.buy(approved=before, docs=1)[0] == "licences_added (ordered)"
    assert harness.buy(approved=before, time=1) == ["licences_added (ordered)"]  # still out of core
    restored = [f"seat_granted ben {module} (restored)" for module in ("core", "time", "docs")]
    assert harness.buy(approved=before, core=1)[:4] == ["licences_added (ordered)", *restored]


def test_a_seat_lost_with_its_base_module_is_assigned_like_any_other_and_not_answered_as_revoked() -> None:
    harness = out_of_both("time", "P7D", "P30D")
    harness.buy(docs=1)
    assert harness.assign("ben", "docs") == ["seats_assigned ben: docs=active/licence_free", "pool_at_limit docs (limit_reached)"]
    harness.assign("ben", "time", "docs")
    assert harness.seats("docs") == {"ada": "active", "ben": "active"}


def test_a_seat_lost_with_its_base_module_and_no_longer_required_is_not_restored() -> None:
    harness = out_of_both("time", "P7D", "P30D")
    harness.assign("ben", "time")
    harness.assign("ben", "time", "docs")
    bought(harness, "time", "together")
    assert (harness.seats("time"), harness.seats("docs")) == ({"ada": "active", "ben": "active"}, {"ada": "active"})


# Reducing --------------------------------------------------------------------------------------------------------------


def test_T17_a_reduction_below_use_flags_the_most_recently_created_with_a_full_grace() -> None:
    harness = company(4, "ada", "ben", "cid")
    expected = [
        "licences_reduced (ordered)",
        "seat_flagged cid docs (reduction)",
        "seat_flagged ben docs (reduction)",
        "pool_at_limit docs (limit_reached)",
    ]
    assert harness.reduce(docs=3) == expected
    assert harness.deadline("cid", "docs") == timedelta(days=7)


def test_T17_of_people_created_at_one_time_the_seat_decided_last_is_flagged_first() -> None:
    harness = company(3)
    for user in ("zoe", "ada", "ben"):
        harness.assign(user, "docs")
    assert harness.reduce(docs=1)[1] == "seat_flagged ben docs (reduction)"
    assert harness.reduce(docs=1)[1] == "seat_flagged ada docs (reduction)"


def test_B12_B13_M8_A8_under_block_a_reduction_below_use_is_refused_with_the_number_of_seats_to_free() -> None:
    harness = company(4, "ada", "ben", "cid", reduce_below_use="block")
    assert harness.reduce(docs=3) == ["reduction_refused docs (below_use)"]
    assert harness.event("reduction_refused")["must_free"] == 2
    assert harness.next_period(docs=1) == ["reduction_refused docs (below_use)"]
    assert harness.reduce(docs=1) == ["licences_reduced (ordered)", "pool_at_limit docs (limit_reached)"]


def test_M8_a_reduction_at_once_lowers_the_next_periods_number_to_what_is_left() -> None:
    harness = company(4)
    harness.reduce(docs=1)
    assert harness.licences("docs") == (3, 3)
    harness.next_period(docs=1)
    harness.reduce(docs=1)
    assert harness.licences("docs") == (2, 1)


def test_T2_T12_T13_T14_T15_the_next_periods_number_can_be_changed_as_often_as_you_like() -> None:
    harness = company(4)
    for number in (1, 4, 2, 3):
        assert harness.next_period(docs=number) == ["reduction_scheduled (scheduled)"]
        assert harness.licences("docs") == (4, number)


def test_T18_M15_the_confirmation_lists_who_would_be_flagged() -> None:
    harness = company(4, "ada", "ben", "cid", "dan")
    harness.next_period(docs=2)
    assert harness.event("reduction_scheduled")["would_flag"] == [{"module": "docs", "users": ["dan", "cid"], "count": 2}]
    assert set(harness.seats("docs").values()) == {"active"}


def test_T11_T16_B11_B14_a_scheduled_reduction_takes_effect_when_the_period_begins() -> None:
    harness = company(3, "ada", "ben")
    harness.next_period(docs=1)
    harness.schedule("2014", START + timedelta(days=16))
    assert harness.wait(days=16, milliseconds=-1) == []
    expected = ["period_started (period_began)", "seat_flagged ben docs (reduction)", "pool_at_limit docs (limit_reached)"]
    assert harness.wait(milliseconds=1) == expected
    assert harness.event("period_started")["period"] == "2014"
    assert harness.event("period_started")["pools"][0]["licences"] == 1
    assert harness.licences("docs") == (1, 1)


def test_B12_under_block_use_that_grew_before_the_period_limits_the_reduction() -> None:
    harness = company(5, "ada", reduce_below_use="block")
    harness.next_period(docs=2)
    for user in ("ben", "cid", "dan"):
        harness.assign(user, "docs")
    harness.schedule("2014", START + timedelta(days=1))
    assert harness.wait(days=1) == ["period_started (reduction_limited)", "pool_at_limit docs (limit_reached)"]
    assert harness.event("period_started")["reduction_limited"] == ["docs"]
    assert harness.licences("docs") == (4, 4)


def test_B12_under_block_flags_stay_flags_when_the_period_begins() -> None:
    harness = company(2, "ada", "ben", "cid", grace="P9D")
    harness.policy("docs", reduce_below_use="block")
    harness.schedule("2014", START + timedelta(days=1))
    assert harness.wait(days=1) == ["period_started (period_began)"]
    assert harness.seats("docs") == {"ada": "active", "ben": "active", "cid": "flagged"}


def test_a_period_that_should_have_begun_begins_in_the_same_decision() -> None:
    harness = company(2)
    expected = ["period_scheduled (scheduled)", "period_started (period_began)"]
    assert harness.schedule("2013-11", START - timedelta(days=14)) == expected
    assert harness.buy(docs=1, expected=harness.expected({"docs": 1}, None)) == ["order_refused (expected_differs)"]


def test_a_period_scheduled_again_begins_at_its_new_time() -> None:
    harness = company(2)
    harness.schedule("2014", START + timedelta(days=1))
    harness.schedule("2014", START + timedelta(days=2))
    assert harness.wait(days=1) == []
    assert harness.wait(days=1) == ["period_started (period_began)"]
    assert harness.schedule("2014", START) == ["command_rejected (invalid_value)"]
    harness.schedule("2015", START + timedelta(days=9))
    assert harness.schedule("2016", START + timedelta(days=9)) == ["command_rejected (invalid_time)"]


def test_periods_that_passed_without_a_command_begin_in_order_with_the_due_items_between_them() -> None:
    harness = company(2, "ada", "ben", grace="P3D")
    harness.assign("cid", "docs")
    harness.assign("hal", "docs")
    harness.next_period(docs=1)
    harness.schedule("2015", START + timedelta(days=4))
    harness.schedule("2014", START + timedelta(days=1))
    expected = [
        "period_started (period_began)",
        "seat_flagged ben docs (reduction)",
        "seat_revoked cid docs (grace_expired)",
        "seat_revoked hal docs (grace_expired)",
        "period_started (period_began)",
    ]
    assert harness.wait(days=30) == expected
    assert harness.tenant.row.period == "2015"
    assert harness.deadline("ben", "docs") == timedelta(days=3)


# Closing ---------------------------------------------------------------------------------------------------------------


def test_close_pool_now_releases_its_seats_and_serves_people_who_also_waited_for_it() -> None:
    harness = company(1, "ada")
    harness.pool("plan", 2, over_limit="wait")
    harness.policy("docs", over_limit="wait")
    harness.assign("ben", "docs", "plan")
    expected = [
        "pool_closed docs (pool_closed)",
        "seat_released ada docs (pool_closed)",
        "seat_released ben docs (pool_closed)",
        "seat_granted ben plan (seat_released)",
    ]
    assert harness.close("docs") == expected
    assert harness.assign("ada", "docs") == ["seats_refused ada: docs=refused/unknown_module"]


def test_T2_close_pool_at_the_periods_end_sets_the_next_periods_number_to_zero() -> None:
    harness = company(2, "ada")
    assert harness.close("docs", "period_end") == ["pool_close_scheduled docs (scheduled)"]
    assert harness.licences("docs") == (2, 0)
    harness.schedule("2014", START + timedelta(days=1))
    expected = ["period_started (period_began)", "pool_closed docs (period_began)", "seat_released ada docs (pool_closed)"]
    assert harness.wait(days=1) == expected


@pytest.mark.parametrize("how", ["buy", "next_period"])
def test_T2_T21_a_pool_scheduled_to_close_can_be_kept(how: str) -> None:
    harness = company(2)
    harness.close("docs", "period_end")
    getattr(harness, how)(docs=1)
    harness.schedule("2014", START + timedelta(days=1))
    assert harness.wait(days=1) == ["period_started (period_began)"]


def test_an_expansion_does_not_keep_a_pool_that_is_scheduled_to_close() -> None:
    harness = company(1, "ada", over_limit="expand", expand_cap=9)
    harness.close("docs", "period_end")
    assert harness.assign("ben", "docs") == ["seats_assigned ben: docs=active/expanded", "pool_expanded docs (expanded)"]
    assert harness.licences("docs") == (2, 0)
    harness.schedule("2014", START + timedelta(days=1))
    released = [f"seat_released {user} docs (pool_closed)" for user in ("ada", "ben")]
    assert harness.wait(days=1) == ["period_started (period_began)", "pool_closed docs (period_began)", *released]
    assert harness.tenant.pools == {}


# Thresholds -----------------------------------------------------------------------------------------------------------------


def test_E8_A6_crossing_the_threshold_and_reaching_the_limit_are_each_recorded_once() -> None:
    harness = company(4, warn_at="75%")
    harness.assign("ada", "docs")
    harness.assign("ben", "docs")
    assert harness.assign("cid", "docs")[1:] == ["pool_near_limit docs (mark_crossed)"]
    assert harness.assign("dan", "docs")[1:] == ["pool_at_limit docs (limit_reached)"]
    harness.assign("dan")
    assert harness.assign("dan", "docs")[1:] == ["pool_at_limit docs (limit_reached)"]  # the limit was left and reached again
    assert harness.assign("eve", "docs")[1:] == []


def test_E8_the_threshold_is_reset_after_a_licence_above_it_was_free_for_a_day() -> None:
    harness = company(3, "ada", warn_at="1")
    assert harness.assign("ben", "docs")[1:] == ["pool_near_limit docs (mark_crossed)"]
    harness.assign("ben")
    harness.wait(hours=23)
    assert harness.assign("ben", "docs")[1:] == []  # not long enough
    harness.assign("ben")
    assert harness.wait(hours=24, milliseconds=-1) == []
    assert harness.wait(milliseconds=1) == ["warning_armed docs (free_for_a_day)"]
    assert harness.assign("ben", "docs")[1:] == ["pool_near_limit docs (mark_crossed)"]


def test_E8_a_changed_threshold_counts_as_not_crossed() -> None:
    harness = company(4, "ada", "ben", "cid", warn_at="2")
    assert harness.policy("docs", warn_at="1") == ["policy_changed docs (policy_set)", "pool_near_limit docs (mark_crossed)"]
    assert harness.policy("docs", warn_at="1") == ["policy_changed docs (policy_set)"]


# Test clocks -----------------------------------------------------------------------------------------------------------


def test_only_clock_advanced_moves_a_test_clock() -> None:
    harness = SeatsHarness(test=True)
    harness.pool("time", 1, base=True)
    harness.assign("ada", "time")
    harness.assign("ben", "time")
    assert harness.wait(days=30) == []
    assert harness.tenant.tick_due() is None
    expected = ["seat_revoked ben time (grace_expired)", "clock_settled (clock_advanced)"]
    assert harness.clock(START + timedelta(days=7)) == expected
    assert harness.event("clock_settled")["at"] == "2013-11-22T09:00:00.000Z"
    assert harness.clock(START) == ["command_rejected (invalid_time)"]


def test_a_real_clock_is_not_advanced() -> None:
    assert SeatsHarness().clock(START + timedelta(days=1)) == ["command_rejected (not_a_test_clock)"]


# Input that makes no sense ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, -1, LICENCES_MAX + 1])
def test_bad_counts_are_rejected(number: int) -> None:
    harness = company(4)
    assert harness.pool("plan", number) == ["command_rejected (invalid_count)"]
    assert harness.buy(docs=number) == ["command_rejected (invalid_count)"]
    assert harness.event("command_rejected")["field"] == "items.0.quantity"
    assert harness.event("command_rejected")["order"] == "o3"
    assert harness.reduce(docs=number) == ["command_rejected (invalid_count)"]


def test_bad_input_without_items_or_with_one_module_twice_is_rejected() -> None:
    harness = company(4)
    assert harness.buy() == ["command_rejected (invalid_count)"]
    items = harness.items({"docs": 1}) * 2
    command = seats_v1.AddLicences(number=9, order="o", items=items, expected=harness.expected({}), approved_at=START)
    assert harness.send(command, INVOICING) == ["command_rejected (invalid_count)"]


def test_commands_for_unknown_modules_are_rejected() -> None:
    harness = company(4)
    expected = ["command_rejected (unknown_module)"]
    assert harness.policy("plan", grace="P1D") == expected
    assert harness.close("plan") == expected
    assert harness.buy(plan=1) == ["order_refused (unknown_module)"]
    assert harness.reduce(plan=1) == ["reduction_refused plan (unknown_module)"]
    assert harness.next_period(plan=1) == ["reduction_refused plan (unknown_module)"]


def test_a_next_periods_number_above_the_licences_is_refused() -> None:
    harness = company(4)
    assert harness.next_period(docs=5) == ["reduction_refused docs (above_licences)"]
    assert harness.next_period(docs=-1) == ["command_rejected (invalid_count)"]
    assert harness.reduce(docs=5) == ["reduction_refused docs (above_licences)"]


def test_a_reduction_to_zero_is_refused_and_says_how_to_terminate() -> None:
    harness = company(4)
    assert harness.next_period(docs=0) == ["reduction_refused docs (terminate_instead)"]
    assert "close_pool" in harness.event("reduction_refused")["instead"]
    assert harness.reduce(docs=4) == ["reduction_refused docs (terminate_instead)"]


def test_a_reduction_whose_expectation_no_longer_holds_is_refused() -> None:
    harness = company(4)
    expected = harness.expected({"docs": 1})
    harness.buy(docs=1)
    assert harness.reduce(docs=1, expected=expected) == ["reduction_refused (expected_differs)"]
    assert harness.event("reduction_refused")["actual"]["pools"][0]["licences"] == 5
    assert harness.next_period(docs=1, expected=expected) == ["reduction_refused (expected_differs)"]


BAD_GRACES = ["P1M", "P1Y", "P0D", "PT0S", "PT0.5S", "PT1.5S", "7 days", "", "P", "PT", "P1DT", "-P1D", "P1.5D", "P99999D"]


@pytest.mark.parametrize("grace", BAD_GRACES)
def test_bad_graces_are_rejected(grace: str) -> None:
    harness = company(4)
    assert harness.policy("docs", grace=grace) == ["command_rejected (invalid_duration)"]
    assert "months and years" in harness.event("command_rejected")["expected"]


@pytest.mark.parametrize(
    "policy",
    [{"over_limit": "maybe"}, {"flag_cap": -1}, {"expand_cap": -1}, {"reduce_below_use": "ask"}, {"reduce_at": "later"}]
    + [{"warn_at": mark} for mark in ("0%", "101%", "150%", "0", "some", "-1", "1.5", "")],
)
def test_bad_policies_are_rejected(policy: dict[str, Any]) -> None:
    harness = company(4)
    assert harness.policy("docs", **policy) == ["command_rejected (invalid_policy)"]
    assert harness.pool("plan", 1, **policy) == ["command_rejected (invalid_policy)"]
    assert harness.event("command_rejected")["field"] == f"policies.{next(iter(policy))}"


@pytest.mark.parametrize("policy", [{"flag_cap": 0}, {"expand_cap": 0}])
def test_caps_of_zero_are_accepted(policy: dict[str, Any]) -> None:
    assert company(4).policy("docs", **policy) == ["policy_changed docs (policy_set)"]


@pytest.mark.parametrize("field", ["grace", "over_limit", "other"])
def test_policies_that_cannot_be_unset_are_rejected(field: str) -> None:
    harness = company(4)
    assert harness.policy("docs", field) == ["command_rejected (invalid_policy)"]
    assert harness.policy("docs", "flag_cap", flag_cap=1) == ["command_rejected (invalid_policy)"]
    assert harness.event("command_rejected")["field"] == "unset"


def test_bad_dates_and_words_are_rejected() -> None:
    harness = company(4)
    assert harness.close("docs", "tomorrow") == ["command_rejected (invalid_value)"]
    far = datetime.fromisoformat("9999-01-01T00:00:00Z")
    assert harness.schedule("2014", far) == ["command_rejected (invalid_time)"]
    assert harness.event("command_rejected")["value"] == "9999-01-01T00:00:00.000Z"
    assert harness.assign("ada", "docs", hold_until=far) == ["seats_refused ada: docs=refused/hold_past"]


@pytest.mark.parametrize(
    ("clock", "at", "reason"),
    [("lunar", START, "invalid_value"), ("test", None, "invalid_time")]
    + [("test", START.replace(year=year), "invalid_time") for year in (1969, 2201)],
)
def test_bad_clocks_are_rejected(clock: str, at: datetime | None, reason: str) -> None:
    harness = SeatsHarness()
    harness.tenants.clear()

    message = domain.Command("c", INVOICING, "acme", seats_v1.OpenTenant(number=1, clock=clock, at=at), 0, 1)
    (event,) = domain.decide(harness.tenants, message, 0).events
    assert (event.type, event.body["reason"]) == ("seatpool.seats.v1.command_rejected", reason)
    assert harness.tenants == {}


def test_a_pool_or_tenant_that_exists_is_not_opened_again() -> None:
    harness = company(4)
    assert harness.pool("docs", 1) == ["command_rejected (pool_exists)"]
    assert harness.send(seats_v1.OpenTenant(number=99, clock="real"), INVOICING) == ["command_rejected (tenant_exists)"]
