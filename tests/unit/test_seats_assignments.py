"""What people require: A-rules, all or nothing, partial, the queue, holds, replacements, duplicates."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.seats import domain
from services.seats.api import responses
from services.seats.engine.frames import NOTHING
from shared.schemas import seats_v1
from tests.support.seats_harness import START, USERS, SeatsHarness, counts


def company(*, rest: str = "reject", **licences: int) -> SeatsHarness:
    """`time` is the base module; the others reject unless said otherwise."""
    harness = SeatsHarness()
    for module, number in licences.items():
        harness.pool(module, number, base=module == "time", over_limit="flag" if module == "time" else rest)
    return harness


# Seats and pools -------------------------------------------------------------------------------------------------------


def test_A1_A4_A16_removing_a_user_leaves_the_size_of_the_pool_alone() -> None:
    harness = company(time=2)
    harness.assign("ada", "time")
    assert harness.assign("ada", leaver=True) == ["seats_assigned ada:"]
    assert harness.licences("time") == (2, 2)
    assert harness.event("seats_assigned")["released"] == ["time"]


def test_A18_each_module_has_its_own_count() -> None:
    harness = company(time=3, docs=1)
    harness.assign("ada", "time", "docs")
    harness.assign("ben", "time")
    assert harness.seats("time") == {"ada": "active", "ben": "active"}
    assert harness.seats("docs") == {"ada": "active"}


def test_A14_A15_one_seat_per_module_never_two_in_one() -> None:
    harness = company(time=3)
    assert harness.assign("ada", "time", "time") == ["seats_assigned ada: time=active/licence_free"]
    assert harness.assign("ada", "time") == ["seats_assigned ada: time=active"]
    assert harness.tenant.pools["time"].active == 1


def test_A7_M4_E2_a_seat_that_is_no_longer_required_is_released_at_once_also_if_the_rest_is_refused() -> None:
    harness = company(time=2, docs=1, plan=1)
    harness.assign("ada", "docs")
    harness.assign("ben", "time", "plan")
    expected = ["seats_refused ben: time=active docs=refused/pool_full"]
    assert harness.assign("ben", "time", "docs") == expected
    assert harness.seats("plan") == {}
    assert harness.event("seats_refused")["asked"] == "changed"


def test_A7_a_change_of_profile_first_releases_seats_then_assigns_new_ones() -> None:
    harness = company(time=1, docs=1, rest="flag")
    harness.assign("ada", "docs")
    harness.assign("ben", "docs")  # flagged
    expected = [
        "seat_flag_cleared ben docs (seat_released)",
        "seats_assigned ada: time=active/licence_free",
        "pool_at_limit time (limit_reached)",
    ]
    assert harness.assign("ada", "time") == expected


def test_A19_a_profile_without_modules_takes_no_seat() -> None:
    harness = company(time=1)
    assert harness.assign("ada") == ["seats_assigned ada:"]
    assert harness.seats("time") == {}


def test_E3_E4_a_deactivated_person_holds_no_licence_and_is_assigned_again_on_return() -> None:
    harness = company(time=1)
    harness.assign("ada", "time")
    harness.assign("ada")
    harness.assign("ben", "time")
    assert harness.assign("ada", "time", reason="reactivated") == ["seats_assigned ada: time=flagged/over_limit"]


@pytest.mark.parametrize("licences", [5, 1], ids=["fast path", "general path"])
def test_A20_a_person_whose_login_has_ended_keeps_the_seat_and_has_no_access(licences: int) -> None:
    harness = company(time=licences)

    def access() -> tuple[bool, str | None, str | None]:
        row = harness.tenant.users["ada"]
        live: Any = SimpleNamespace(number=0, durable=SimpleNamespace(marker=NOTHING))
        answer = responses.access("ada", "time", row, live)
        assert responses.person("ada", row, live).suspended is row.suspended
        return answer.allowed, answer.state, answer.reason

    harness.assign("ada", "time", suspended=True)
    assert access() == (False, "active", "login_blocked")
    assert counts(harness.tenant)["time"] == (1, 0, 0, 0), "the seat counts"
    harness.assign("ada", "time")
    assert access() == (True, "active", None)
    harness.assign("ada", "time", suspended=True)
    harness.replace("ada", "eve", "time")
    assert access() == (False, None, None), "nothing is left of a source user"


def test_A3_E1_reject_refuses_without_a_free_licence_and_shows_the_pool() -> None:
    harness = company(docs=1)
    harness.assign("ada", "docs")
    assert harness.assign("ben", "docs") == ["seats_refused ben: docs=refused/pool_full"]
    (pool,) = harness.event("seats_refused")["pools"]
    assert (pool["licences"], pool["active"], pool["available"]) == (1, 1, 0)


def test_all_or_nothing_one_module_that_rejects_refuses_them_all() -> None:
    harness = company(time=2, docs=1)
    harness.assign("ada", "docs")
    expected = ["seats_refused ben: time=refused/other_module_refused docs=refused/pool_full"]
    assert harness.assign("ben", "time", "docs") == expected
    assert harness.seats("time") == {}


def test_all_or_nothing_a_full_base_module_refuses_the_rest() -> None:
    harness = company(docs=1)
    harness.pool("time", 1, base=True, over_limit="reject")
    harness.assign("ada", "time")
    expected = ["seats_refused ben: time=refused/pool_full docs=refused/base_module_refused"]
    assert harness.assign("ben", "time", "docs") == expected


def test_all_or_nothing_one_module_that_waits_makes_all_new_ones_wait() -> None:
    harness = company(time=2, docs=1, rest="wait")
    harness.assign("ada", "docs")
    expected = ["seats_queued ben: time=waiting/pool_full docs=waiting/pool_full"]
    assert harness.assign("ben", "time", "docs") == expected
    assert harness.event("seats_queued")["blocked_by"] == ["docs"]
    expected = ["seat_granted ben time (seat_released)", "seat_granted ben docs (seat_released)", "seats_assigned ada:"]
    assert harness.assign("ada") == expected


def test_all_or_nothing_reject_comes_before_wait_and_wait_before_flag() -> None:
    harness = company(docs=1, time=1)
    harness.pool("plan", 1, over_limit="wait")
    harness.assign("ada", "time", "plan", "docs")
    assert harness.assign("ben", "time", "plan") == ["seats_queued ben: time=waiting/pool_full plan=waiting/pool_full"]
    expected = ["seats_refused cid: time=refused/other_module_refused plan=refused/other_module_refused docs=refused/pool_full"]
    assert harness.assign("cid", "time", "plan", "docs") == expected


def test_all_or_nothing_seats_that_the_person_already_has_stay() -> None:
    harness = company(time=1, docs=1)
    harness.assign("ada", "docs")
    harness.assign("ben", "time")
    assert harness.assign("ben", "time", "docs") == ["seats_refused ben: time=active docs=refused/pool_full"]
    assert harness.seats("time") == {"ben": "active"}


def test_partial_decides_each_module_separately() -> None:
    harness = company(time=1, docs=1, plan=1)
    harness.assign("ada", "docs")
    expected = [
        "seats_assigned ben: time=active/licence_free docs=refused/pool_full plan=active/licence_free",
        "pool_at_limit plan (limit_reached)",
        "pool_at_limit time (limit_reached)",
    ]
    assert harness.assign("ben", "time", "docs", "plan", partial=True) == expected


def test_partial_grants_nothing_without_the_base_module() -> None:
    harness = company(docs=1)
    harness.pool("time", 1, base=True, over_limit="reject")
    harness.assign("ada", "time")
    expected = ["seats_assigned ben: time=refused/pool_full docs=refused/base_module_refused"]
    assert harness.assign("ben", "time", "docs", partial=True) == expected
    harness.policy("time", over_limit="wait")
    expected = ["seats_assigned ben: time=waiting/pool_full docs=waiting/pool_full"]
    assert harness.assign("ben", "time", "docs", partial=True) == expected
    expected = ["seat_granted ben time (seat_released)", "seat_granted ben docs (seat_released)", "seats_assigned ada:"]
    assert harness.assign("ada")[:3] == expected


def test_M12_expand_grows_by_what_is_needed_up_to_its_cap() -> None:
    harness = SeatsHarness()
    harness.pool("docs", 1, over_limit="expand", expand_cap=2)
    harness.assign("ada", "docs")
    expected = ["seats_assigned ben: docs=active/expanded", "pool_expanded docs (expanded)"]
    assert harness.assign("ben", "docs") == expected
    assert harness.event("pool_expanded")["by"] == 1
    assert harness.licences("docs") == (2, 2)
    assert harness.assign("cid", "docs") == ["seats_refused cid: docs=refused/expand_cap"]


def test_M12_T21_an_expansion_adds_the_same_to_the_next_period() -> None:
    harness = SeatsHarness()
    harness.pool("docs", 3, over_limit="expand", expand_cap=9)
    for user in ("ada", "ben", "cid"):
        harness.assign(user, "docs")
    harness.next_period(docs=2)
    harness.assign("dan", "docs")
    assert harness.licences("docs") == (4, 3)


def test_M9_a_leavers_active_seat_reduces_the_pool_by_its_licence() -> None:
    harness = SeatsHarness()
    harness.pool("docs", 2, terminate_reduces_pool=True, reduce_at="now")
    harness.assign("ada", "docs")
    harness.assign("ben", "docs")
    harness.assign("cid", "docs")
    expected = ["pool_reduced docs (terminated)", "seats_assigned ada:"]  # cid stays flagged: no licence came free
    assert harness.assign("ada", leaver=True) == expected
    assert harness.licences("docs") == (1, 1)
    assert harness.assign("cid", leaver=True) == ["seats_assigned cid:"]  # flagged, it had none
    assert harness.assign("ben", leaver=True) == ["seats_assigned ben:"]  # never the last licence
    assert harness.licences("docs") == (1, 1)


def test_M9_with_reduce_at_period_end_only_leavers_lower_the_next_periods_number() -> None:
    harness = SeatsHarness()
    harness.pool("docs", 3, terminate_reduces_pool=True)
    harness.assign("ada", "docs")
    harness.assign("ben", "docs")
    assert harness.assign("ada") == ["seats_assigned ada:"]
    assert harness.assign("ben", leaver=True) == ["pool_reduced docs (terminated)", "seats_assigned ben:"]
    assert harness.licences("docs") == (3, 2)
    harness.next_period(docs=1)
    harness.assign("cid", "docs")
    assert harness.assign("cid", leaver=True) == ["seats_assigned cid:"]  # one licence stays
    assert harness.licences("docs") == (3, 1)


def test_M9_the_reason_of_the_command_does_not_matter() -> None:
    harness = SeatsHarness()
    harness.pool("docs", 3, terminate_reduces_pool=True, reduce_at="now")
    for user in ("ada", "ben"):
        harness.assign(user, "docs")
    assert harness.assign("ada", reason="left") == ["seats_assigned ada:"]
    assert harness.assign("ben", reason="a word of another source", leaver=True) == [
        "pool_reduced docs (terminated)",
        "seats_assigned ben:",
    ]


def test_M9_a_leaver_reduces_the_pool_before_waiting_people_are_served() -> None:
    harness = SeatsHarness()
    harness.pool("docs", 2, over_limit="wait", terminate_reduces_pool=True, reduce_at="now")
    for user in ("ada", "ben", "cid"):
        harness.assign(user, "docs")
    assert harness.assign("ada", leaver=True) == ["pool_reduced docs (terminated)", "seats_assigned ada:"]
    assert harness.seats("docs") == {"ben": "active", "cid": "waiting"}
    assert harness.assign("ben", leaver=True) == ["seat_granted cid docs (seat_released)", "seats_assigned ben:"]  # the last licence stays


# The queue -------------------------------------------------------------------------------------------------------------


def queue() -> SeatsHarness:
    harness = SeatsHarness()
    harness.pool("docs", 1, over_limit="wait")
    harness.pool("plan", 1, over_limit="wait")
    harness.assign("ada", "docs", "plan")
    return harness


def test_the_queue_is_ordered_by_priority_then_age_then_log_order() -> None:
    harness = queue()
    harness.assign("ben", "docs")
    harness.assign("cid", "docs")
    harness.wait(hours=1)
    harness.assign("dan", "docs", priority=1)
    expected = ["licences_added (ordered)", *[f"seat_granted {user} docs (licence_bought)" for user in ("dan", "ben", "cid")]]
    assert harness.buy(docs=3)[:4] == expected


def test_queue_age_counts_only_an_uninterrupted_wait() -> None:
    harness = queue()
    harness.assign("ben", "docs")
    harness.wait(hours=1)
    harness.assign("cid", "docs")
    harness.wait(hours=1)
    harness.assign("ben")
    harness.assign("ben", "docs")  # behind cid now
    harness.assign("cid", "docs", "plan")  # keeps its place for docs
    expected = ["seat_granted cid docs (seat_released)", "seat_granted cid plan (seat_released)", "seats_assigned ada:"]
    assert harness.assign("ada") == expected


def test_a_person_who_waits_for_several_modules_holds_up_nobody() -> None:
    harness = queue()
    harness.assign("ben", "docs", "plan")
    harness.wait(hours=1)
    harness.assign("cid", "docs")
    expected = ["seat_granted cid docs (seat_released)", "seats_assigned ada: plan=active"]
    assert harness.assign("ada", "plan") == expected
    assert harness.seats("docs") == {"ben": "waiting", "cid": "active"}


def test_the_person_served_is_first_in_every_queue_or_has_waited_longest_of_all() -> None:
    harness = queue()
    harness.assign("ben", "docs")
    harness.wait(hours=1)
    harness.assign("cid", "plan")
    harness.wait(hours=1)
    harness.assign("ben", "docs", "plan")  # first for docs, second for plan
    harness.assign("cid", "docs", "plan")  # first for plan, second for docs
    expected = ["seat_granted ben docs (seat_released)", "seat_granted ben plan (seat_released)", "seats_assigned ada:"]
    assert harness.assign("ada") == expected


def test_of_two_people_who_are_each_first_in_one_queue_the_longer_waiting_is_served_independent_of_module_names() -> None:
    harness = queue()
    harness.assign("cid", "plan")
    harness.wait(hours=1)
    harness.assign("ben", "docs")
    harness.wait(hours=1)
    for user in ("ben", "cid"):
        harness.assign(user, "docs", "plan")  # ben is first for docs, cid for plan, and cid has waited longer
    expected = ["seat_granted cid docs (seat_released)", "seat_granted cid plan (seat_released)", "seats_assigned ada:"]
    assert harness.assign("ada") == expected


def test_two_people_who_are_each_first_in_their_queue_are_both_served() -> None:
    harness = queue()
    harness.assign("ben", "plan")
    harness.wait(hours=1)
    harness.assign("cid", "docs")
    expected = ["seat_granted cid docs (seat_released)", "seat_granted ben plan (seat_released)", "seats_assigned ada:"]
    assert harness.assign("ada") == expected


@pytest.mark.parametrize("base", ["abc", "zed"])
@pytest.mark.parametrize("base_first", [True, False])
def test_a_person_who_waits_for_a_base_module_keeps_the_position_in_the_other_queues(base: str, base_first: bool) -> None:
    harness = SeatsHarness()
    for module in (base, "docs") if base_first else ("docs", base):
        harness.pool(module, 1, base=module == base, over_limit="wait")
    harness.assign("u0", base, "docs")
    harness.assign("u1", base, "docs", partial=True)
    harness.assign("u2", "docs")
    granted = [f"seat_granted u1 {module} (seat_released)" for module in (base, "docs")]
    assert harness.assign("u0") == [*granted, "seats_assigned u0:"]
    assert harness.seats("docs") == {"u1": "active", "u2": "waiting"}


@pytest.mark.parametrize("base", ["abc", "zed"])
def test_nobody_overtakes_a_person_who_gets_the_base_module_only_after_another(base: str) -> None:
    harness = SeatsHarness()
    for module in (base, "docs"):
        harness.pool(module, 1, base=module == base, over_limit="wait")
    harness.assign("ada", base, "docs")
    harness.assign("u5", base)
    harness.assign("u0", base, "docs", partial=True)  # second for the base module, first for docs
    harness.assign("u3", "docs")
    harness.assign("u5", base, "docs")  # first for the base module, third for docs
    licences: dict[str, Any] = {base: 2, "docs": 2}
    harness.buy(**licences)
    assert harness.seats(base) == {"ada": "active", "u0": "active", "u5": "active"}
    assert harness.seats("docs") == {"ada": "active", "u0": "active", "u3": "waiting", "u5": "active"}


@pytest.mark.parametrize("base", ["abc", "zed"])
def test_holds_of_one_command_expire_together_and_what_they_free_is_served_together(base: str) -> None:
    harness = SeatsHarness()
    for module in ("docs", base):
        harness.pool(module, 1, base=module == base, over_limit="wait")
    harness.assign("u0", base, "docs", hold_until=START + timedelta(hours=1))
    harness.assign("u1", base, "docs", partial=True)
    harness.assign("u2", "docs")
    harness.wait(hours=1)
    assert (harness.seats(base), harness.seats("docs")) == ({"u1": "active"}, {"u1": "active", "u2": "waiting"})


def test_flags_are_cleared_before_the_queue_is_served() -> None:
    harness = queue()
    harness.assign("ben", "docs")
    harness.policy("docs", over_limit="flag")
    harness.assign("cid", "docs")
    expected = ["licences_added (ordered)", "seat_flag_cleared cid docs (licence_bought)"]
    assert harness.buy(docs=1) == expected
    assert harness.seats("docs") == {"ada": "active", "ben": "waiting", "cid": "active"}


def test_serving_the_queue_never_flags_or_expands() -> None:
    harness = queue()
    harness.assign("ben", "docs", "plan")
    harness.policy("plan", over_limit="expand", expand_cap=9)
    assert harness.buy(docs=1) == ["licences_added (ordered)"]
    assert harness.seats("docs") == {"ada": "active", "ben": "waiting"}


def test_a_policy_change_applies_to_later_decisions_only() -> None:
    harness = queue()
    harness.assign("ben", "docs")
    assert harness.policy("docs", over_limit="expand", expand_cap=9, grace="PT1S") == ["policy_changed docs (policy_set)"]
    assert harness.seats("docs") == {"ada": "active", "ben": "waiting"}
    assert harness.assign("ben", "docs", priority=1) == ["seats_queued ben: docs=waiting"]


def test_T5_M12_a_cap_can_be_unset_and_a_policy_that_is_not_given_keeps_its_value() -> None:
    harness = SeatsHarness()
    harness.pool("time", 1, flag_cap=0, warn_at="1", grace="P2D")
    harness.assign("ada", "time")
    assert harness.assign("ben", "time") == ["seats_refused ben: time=refused/flag_cap"]
    assert harness.policy("time", "flag_cap", grace=None) == ["policy_changed time (policy_set)"]
    shown = harness.event("policy_changed")["policies"]
    assert ("flag_cap" in shown, shown["grace"], shown["warn_at"]) == (False, "P2D", "1")
    assert harness.assign("ben", "time") == ["seats_assigned ben: time=flagged/over_limit"]
    harness.policy("time", over_limit="expand", expand_cap=1)
    assert harness.assign("cid", "time") == ["seats_refused cid: time=refused/expand_cap"]
    harness.policy("time", "warn_at", expand_cap=2)
    assert harness.assign("cid", "time")[0] == "seats_assigned cid: time=active/expanded"


def test_a_policy_change_leaves_the_deadlines() -> None:
    harness = company(time=1)
    harness.assign("ada", "time")
    harness.assign("ben", "time")
    harness.policy("time", grace="PT1S", over_limit="reject")
    assert harness.deadline("ben", "time") == timedelta(days=7)


# Holds -----------------------------------------------------------------------------------------------------------------


def test_a_hold_reserves_a_licence_and_claiming_it_keeps_the_seat() -> None:
    harness = company(time=1)
    expected = ["seats_assigned ada: time=held/licence_free", "pool_at_limit time (limit_reached)"]
    assert harness.assign("ada", "time", hold_until=START + timedelta(days=2)) == expected
    assert harness.assign("ada", "time") == ["seats_assigned ada: time=active"]
    assert harness.wait(days=3) == []


def test_an_answer_shows_the_pool_in_which_a_hold_was_claimed() -> None:
    harness = company(time=1, docs=3)
    harness.assign("ada", "docs", hold_until=START + timedelta(hours=1))
    assert harness.assign("ada", "docs") == ["seats_assigned ada: docs=active"]
    (shown,) = harness.event("seats_assigned")["pools"]
    assert (shown["module"], shown["active"], shown["held"], shown["available"]) == ("docs", 1, 0, 2)


def test_an_answer_shows_every_pool_that_a_replacement_changed() -> None:
    harness = company(time=3, docs=3, plan=3, forms=3)
    harness.assign("ada", "time", "plan")
    harness.assign("ben", "docs", hold_until=START + timedelta(hours=1))
    assert (
        harness.replace("ada", "ben", "time", "docs", "forms")[-1] == "seats_moved ben: time=active docs=active forms=active/licence_free"
    )
    shown = {pool["module"]: (pool["active"], pool["held"]) for pool in harness.event("seats_moved")["pools"]}
    assert shown == {"time": (1, 0), "docs": (1, 0), "plan": (0, 0), "forms": (1, 0)}


def test_an_expired_hold_serves_the_next_person() -> None:
    harness = company(time=1)
    harness.assign("ada", "time", hold_until=START + timedelta(days=2))
    harness.assign("ben", "time")
    assert harness.wait(days=2, milliseconds=-1) == []
    expected = ["hold_expired ada time (hold_expired)", "seat_flag_cleared ben time (licence_free)"]
    assert harness.wait(milliseconds=1) == expected


def test_a_hold_that_is_requested_again_lasts_until_the_later_end_and_keeps_its_log_order() -> None:
    harness = company(time=2)
    harness.assign("ada", "time", hold_until=START + timedelta(days=2))
    harness.assign("ben", "time", hold_until=START + timedelta(days=2))
    harness.wait(days=1)
    assert harness.assign("ada", "time", hold_until=START + timedelta(days=8)) == ["seats_assigned ada: time=held"]
    assert harness.event("seats_assigned")["modules"][0]["deadline"] == "2013-11-23T09:00:00.000Z"
    assert harness.assign("ada", "time", hold_until=START + timedelta(days=3)) == ["seats_assigned ada: time=held"]
    assert harness.event("seats_assigned")["modules"][0]["deadline"] == "2013-11-23T09:00:00.000Z"
    assert harness.wait(days=1) == ["hold_expired ben time (hold_expired)"]
    assert harness.wait(days=6, milliseconds=-1) == []
    assert harness.wait(milliseconds=1) == ["hold_expired ada time (hold_expired)"]


def test_a_renewed_hold_is_cancelled_after_a_newer_one() -> None:
    harness = company(time=2)
    harness.assign("ada", "time", hold_until=START + timedelta(days=2))
    harness.assign("ben", "time", hold_until=START + timedelta(days=2))
    harness.assign("ada", "time", hold_until=START + timedelta(days=8))
    assert harness.reduce(time=1) == ["licences_reduced (ordered)", "hold_cancelled ben time (reduction)"]


def test_a_hold_is_renewed_also_when_the_rest_of_the_assignment_is_refused() -> None:
    harness = company(time=1)
    harness.pool("docs", 1, over_limit="reject")
    harness.assign("ben", "docs")
    harness.assign("ada", "time", hold_until=START + timedelta(days=2))
    expected = ["seats_refused ada: time=held docs=refused/pool_full"]
    assert harness.assign("ada", "time", "docs", hold_until=START + timedelta(days=8)) == expected
    assert harness.wait(days=3) == []


@pytest.mark.parametrize("policy", ["flag", "expand", "wait", "reject"])
def test_a_full_pool_refuses_a_hold_with_every_policy(policy: str) -> None:
    harness = SeatsHarness()
    harness.pool("docs", 1, over_limit=policy, expand_cap=9)
    harness.assign("ada", "docs")
    assert harness.assign("ben", "docs", hold_until=START + timedelta(days=1)) == ["seats_refused ben: docs=refused/pool_full"]


@pytest.mark.parametrize("days", [-1, 1])
def test_a_refused_hold_keeps_the_position_in_the_queue(days: int) -> None:
    harness = queue()
    harness.assign("ben", "docs")
    harness.wait(hours=1)
    harness.assign("cid", "docs")
    why = "hold_past" if days < 0 else "pool_full"
    assert harness.assign("ben", "docs", hold_until=harness.now + timedelta(days=days)) == [f"seats_refused ben: docs=waiting/{why}"]
    assert harness.event("seats_refused")["modules"][0]["since"] == "2013-11-15T09:00:00.000Z"
    assert harness.assign("ada")[0] == "seat_granted ben docs (seat_released)"


@pytest.mark.parametrize("days", [-1, 1])
def test_A17_a_refused_hold_of_the_target_user_keeps_the_position_in_the_queue(days: int) -> None:
    harness = queue()
    harness.assign("ben", "docs")
    harness.wait(hours=1)
    harness.assign("cid", "docs")
    why = "hold_past" if days < 0 else "pool_full"
    moved = f"seats_moved ben: plan=active docs=waiting/{why}"
    harness.assign("dan", "plan")
    harness.assign("eve", "plan")
    harness.assign("ada", "docs")
    assert harness.replace("dan", "ben", "plan", "docs", hold_until=harness.now + timedelta(days=days))[-1] == moved
    assert harness.assign("ada")[0] == "seat_granted ben docs (seat_released)"


def test_a_person_who_waits_for_several_modules_and_is_refused_a_hold_keeps_all_queue_positions() -> None:
    harness = queue()
    harness.assign("ben", "docs", "plan")
    harness.assign("ada", "docs")  # plan is free again, docs is not
    refused = "seats_refused ben: docs=waiting/pool_full plan=waiting/other_module_refused"
    assert harness.assign("ben", "docs", "plan", hold_until=START + timedelta(days=1)) == [refused]
    assert harness.assign("ada")[:2] == [f"seat_granted ben {module} (seat_released)" for module in ("docs", "plan")]


def test_a_hold_applies_to_newly_granted_modules_only() -> None:
    harness = company(time=2, docs=2)
    harness.assign("ada", "time")
    expected = ["seats_assigned ada: time=active docs=held/licence_free"]
    assert harness.assign("ada", "time", "docs", hold_until=START + timedelta(days=1)) == expected


def test_a_hold_that_would_have_expired_is_refused() -> None:
    harness = company(time=2)
    assert harness.assign("ada", "time", hold_until=START) == ["seats_refused ada: time=refused/hold_past"]


def test_a_reduction_cancels_the_newest_holds_first() -> None:
    harness = company(time=4)
    harness.assign("ada", "time")
    for user in ("hal", "ian", "joe"):
        harness.assign(user, "time", hold_until=START + timedelta(days=9))
    expected = ["licences_reduced (ordered)", "hold_cancelled joe time (reduction)", "hold_cancelled ian time (reduction)"]
    assert harness.reduce(time=2) == expected
    assert harness.seats("time") == {"ada": "active", "hal": "held"}


# Replacing -------------------------------------------------------------------------------------------------------------


def test_A17_replacing_a_user_changes_no_pool_and_moves_states_and_deadlines() -> None:
    harness = company(time=1, docs=1)
    harness.assign("ada", "docs")
    harness.assign("ben", "docs")
    harness.assign("cid", "time")
    harness.assign("dan", "time")  # flagged
    harness.wait(days=2)
    before = harness.licences("time")
    assert harness.replace("dan", "eve", "time") == ["seats_moved eve: time=flagged"]
    assert harness.deadline("eve", "time") == timedelta(days=5)
    assert (harness.licences("time"), harness.seats("time")) == (before, {"cid": "active", "eve": "flagged"})
    assert harness.event("seats_moved")["from_prev"] == {"partition": 0, "offset": 7}


def test_A17_the_audit_trail_of_the_source_user_continues_before_the_due_items_of_the_same_command() -> None:
    harness = company(time=3, docs=1)
    harness.policy("docs", over_limit="flag")
    harness.assign("ada", "docs")
    harness.assign("ben", "time", "docs")
    before, harness.now = harness.offset, harness.now + timedelta(days=7)
    assert harness.replace("ben", "eve", "time") == ["seat_revoked ben docs (grace_expired)", "seats_moved eve: time=active"]
    assert [harness.event(name)[prev]["offset"] for name, prev in (("seat_revoked", "prev"), ("seats_moved", "from_prev"))] == [
        before,
        before,
    ]


def test_A17_other_required_modules_of_the_target_user_are_assigned_and_the_rest_is_released() -> None:
    harness = company(time=1, docs=1, plan=1)
    harness.assign("ada", "time", "docs")
    harness.assign("ben", "time")  # flagged
    expected = ["seats_moved eve: docs=active plan=active/licence_free"]
    assert harness.replace("ada", "eve", "docs", "plan")[1:2] == expected
    assert harness.seats("time") == {"ben": "active"}


def test_A17_a_hold_moves_with_its_end_and_an_assignment_without_a_hold_claims_it() -> None:
    harness = company(time=2)
    for user in ("ada", "ben"):
        harness.assign(user, "time", hold_until=START + timedelta(days=2))
    assert harness.replace("ada", "eve", "time", hold_until=START + timedelta(days=9)) == ["seats_moved eve: time=held"]
    assert harness.deadline("eve", "time") == timedelta(days=2)
    assert harness.replace("ben", "fay", "time") == ["seats_moved fay: time=active"]


def test_A17_a_replacement_is_refused_if_the_target_user_has_one_of_the_seats() -> None:
    harness = company(time=2)
    harness.assign("ada", "time")
    harness.assign("eve", "time")
    assert harness.replace("ada", "eve", "time") == ["replacement_refused eve (already_seated)"]
    refused = harness.sent
    harness.assign("eve")
    assert refused is not None
    harness.sent = refused
    assert harness.repeat() == ["command_ignored eve (stale)"]


def test_A17_a_replacement_is_refused_if_there_is_nothing_to_move() -> None:
    harness = company(time=2)
    harness.assign("ada", "time")
    harness.assign("ada")
    assert harness.replace("ada", "eve", "time") == ["replacement_refused eve (nothing_to_replace)"]
    assert harness.replace("nobody", "eve", "time") == ["replacement_refused eve (unknown_user)"]
    assert harness.repeat() == ["command_ignored eve (duplicate)"]


# Order and repetition --------------------------------------------------------------------------------------------------


def test_the_same_command_again_is_a_duplicate() -> None:
    harness = company(time=1)
    harness.assign("ada", "time")
    before = dict(harness.rows)
    assert harness.repeat() == ["command_ignored ada (duplicate)"]
    assert harness.event("command_ignored")["last_revision"] == 1
    assert harness.rows == before


def test_a_revision_not_above_the_last_is_stale_also_for_a_person_without_seats() -> None:
    harness = company(time=1)
    harness.assign("ada", "time", revision=5)
    harness.assign("ada", revision=7)
    assert harness.assign("ada", "time", revision=7) == ["command_ignored ada (stale)"]
    assert harness.assign("ada", "time", revision=6) == ["command_ignored ada (stale)"]
    assert harness.event("command_ignored")["last_revision"] == 7
    assert harness.seats("time") == {}


def test_a_number_not_above_the_last_of_its_sender_is_ignored() -> None:
    harness = company(time=1)
    command = seats_v1.ClosePool(number=1, module="time", at="now")
    assert harness.send(command) == ["command_ignored (stale)"]
    assert harness.event("command_ignored")["last_number"] == 1
    assert harness.send(seats_v1.ClosePool(number=9, module="docs", at="now"), "another/sender") == ["command_rejected (unknown_module)"]
    assert harness.repeat() == ["command_ignored (duplicate)"]


def test_every_command_before_open_tenant_is_answered_unknown_tenant() -> None:
    harness = SeatsHarness()
    harness.tenants.clear()
    harness.rows.clear()
    harness.replica.clear()
    command = seats_v1.AssignSeats(user="ada", revision=1, modules=("time",), created_at=START, reason="hired")

    message = domain.Command("c", USERS, "acme", command, 3, 9)
    decision = domain.decide(harness.tenants, message, 1_000)
    assert [event.type for event in decision.events] == ["seatpool.seats.v1.command_rejected"]
    assert decision.events[0].body["reason"] == "unknown_tenant"
    assert decision.events[0].body["user"] == "ada"
    assert (decision.changed, harness.tenants) == ({}, {})


def test_unknown_fields_of_an_assignment_are_no_error_and_unknown_modules_are_refused() -> None:
    harness = company(time=1)
    assert harness.assign("ada", "time", "nowhere") == [
        "seats_refused ada: time=refused/other_module_refused nowhere=refused/unknown_module"
    ]
    assert (
        harness.assign("ada", "time", "nowhere", partial=True)[0]
        == "seats_assigned ada: time=active/licence_free nowhere=refused/unknown_module"
    )
