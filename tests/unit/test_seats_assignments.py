"""What people require: A-rules, all or nothing, partial, the queue, holds, replacements, duplicates."""

from datetime import timedelta
from typing import Any

import pytest

from services.seats import domain
from shared.schemas import seats_v1
from tests.support.seat_world import START, USERS, World


def company(*, rest: str = "reject", **licences: int) -> World:
    """`time` is the base module; the others reject unless said otherwise."""
    world = World()
    for module, number in licences.items():
        world.pool(module, number, base=module == "time", over_limit="flag" if module == "time" else rest)
    return world


# Seats and pools -------------------------------------------------------------------------------------------------------


def test_A1_A4_A16_removing_a_user_leaves_the_size_of_the_pool_alone() -> None:
    world = company(time=2)
    world.need("ada", "time")
    assert world.need("ada", leaver=True) == ["seats_assigned ada:"]
    assert world.licences("time") == (2, 2)
    assert world.event("seats_assigned")["released"] == ["time"]


def test_A18_each_module_has_its_own_count() -> None:
    world = company(time=3, docs=1)
    world.need("ada", "time", "docs")
    world.need("ben", "time")
    assert world.seats("time") == {"ada": "active", "ben": "active"}
    assert world.seats("docs") == {"ada": "active"}


def test_A14_A15_one_seat_per_module_never_two_in_one() -> None:
    world = company(time=3)
    assert world.need("ada", "time", "time") == ["seats_assigned ada: time=active/licence_free"]
    assert world.need("ada", "time") == ["seats_assigned ada: time=active"]
    assert world.tenant.pools["time"].active == 1


def test_A7_M4_E2_a_seat_that_is_no_longer_required_is_released_at_once_also_if_the_rest_is_refused() -> None:
    world = company(time=2, docs=1, plan=1)
    world.need("ada", "docs")
    world.need("ben", "time", "plan")
    expected = ["seats_refused ben: time=active docs=refused/pool_full"]
    assert world.need("ben", "time", "docs") == expected
    assert world.seats("plan") == {}
    assert world.event("seats_refused")["asked"] == "changed"


def test_A7_a_change_of_profile_first_releases_seats_then_assigns_new_ones() -> None:
    world = company(time=1, docs=1, rest="flag")
    world.need("ada", "docs")
    world.need("ben", "docs")  # flagged
    expected = [
        "seat_flag_cleared ben docs (seat_released)",
        "seats_assigned ada: time=active/licence_free",
        "pool_at_limit time (limit_reached)",
    ]
    assert world.need("ada", "time") == expected


def test_A19_a_profile_without_modules_takes_no_seat() -> None:
    world = company(time=1)
    assert world.need("ada") == ["seats_assigned ada:"]
    assert world.seats("time") == {}


def test_E3_E4_a_deactivated_person_holds_no_licence_and_is_assigned_again_on_return() -> None:
    world = company(time=1)
    world.need("ada", "time")
    world.need("ada")
    world.need("ben", "time")
    assert world.need("ada", "time", reason="reactivated") == ["seats_assigned ada: time=flagged/over_limit"]


def test_A3_E1_reject_refuses_without_a_free_licence_and_shows_the_pool() -> None:
    world = company(docs=1)
    world.need("ada", "docs")
    assert world.need("ben", "docs") == ["seats_refused ben: docs=refused/pool_full"]
    (pool,) = world.event("seats_refused")["pools"]
    assert (pool["licences"], pool["active"], pool["available"]) == (1, 1, 0)


def test_all_or_nothing_one_module_that_rejects_refuses_them_all() -> None:
    world = company(time=2, docs=1)
    world.need("ada", "docs")
    expected = ["seats_refused ben: time=refused/other_module_refused docs=refused/pool_full"]
    assert world.need("ben", "time", "docs") == expected
    assert world.seats("time") == {}


def test_all_or_nothing_a_full_base_module_refuses_the_rest() -> None:
    world = company(docs=1)
    world.pool("time", 1, base=True, over_limit="reject")
    world.need("ada", "time")
    expected = ["seats_refused ben: time=refused/pool_full docs=refused/base_module_refused"]
    assert world.need("ben", "time", "docs") == expected


def test_all_or_nothing_one_module_that_waits_makes_all_new_ones_wait() -> None:
    world = company(time=2, docs=1, rest="wait")
    world.need("ada", "docs")
    expected = ["seats_queued ben: time=waiting/pool_full docs=waiting/pool_full"]
    assert world.need("ben", "time", "docs") == expected
    assert world.event("seats_queued")["blocked_by"] == ["docs"]
    expected = ["seat_granted ben time (seat_released)", "seat_granted ben docs (seat_released)", "seats_assigned ada:"]
    assert world.need("ada") == expected


def test_all_or_nothing_reject_comes_before_wait_and_wait_before_flag() -> None:
    world = company(docs=1, time=1)
    world.pool("plan", 1, over_limit="wait")
    world.need("ada", "time", "plan", "docs")
    assert world.need("ben", "time", "plan") == ["seats_queued ben: time=waiting/pool_full plan=waiting/pool_full"]
    expected = ["seats_refused cid: time=refused/other_module_refused plan=refused/other_module_refused docs=refused/pool_full"]
    assert world.need("cid", "time", "plan", "docs") == expected


def test_all_or_nothing_seats_that_the_person_already_has_stay() -> None:
    world = company(time=1, docs=1)
    world.need("ada", "docs")
    world.need("ben", "time")
    assert world.need("ben", "time", "docs") == ["seats_refused ben: time=active docs=refused/pool_full"]
    assert world.seats("time") == {"ben": "active"}


def test_partial_decides_each_module_separately() -> None:
    world = company(time=1, docs=1, plan=1)
    world.need("ada", "docs")
    expected = [
        "seats_assigned ben: time=active/licence_free docs=refused/pool_full plan=active/licence_free",
        "pool_at_limit plan (limit_reached)",
        "pool_at_limit time (limit_reached)",
    ]
    assert world.need("ben", "time", "docs", "plan", partial=True) == expected


def test_partial_grants_nothing_without_the_base_module() -> None:
    world = company(docs=1)
    world.pool("time", 1, base=True, over_limit="reject")
    world.need("ada", "time")
    expected = ["seats_assigned ben: time=refused/pool_full docs=refused/base_module_refused"]
    assert world.need("ben", "time", "docs", partial=True) == expected
    world.policy("time", over_limit="wait")
    expected = ["seats_assigned ben: time=waiting/pool_full docs=waiting/pool_full"]
    assert world.need("ben", "time", "docs", partial=True) == expected
    expected = ["seat_granted ben time (seat_released)", "seat_granted ben docs (seat_released)", "seats_assigned ada:"]
    assert world.need("ada")[:3] == expected


def test_M12_expand_grows_by_what_is_needed_up_to_its_cap() -> None:
    world = World()
    world.pool("docs", 1, over_limit="expand", expand_cap=2)
    world.need("ada", "docs")
    expected = ["seats_assigned ben: docs=active/expanded", "pool_expanded docs (expanded)"]
    assert world.need("ben", "docs") == expected
    assert world.event("pool_expanded")["by"] == 1
    assert world.licences("docs") == (2, 2)
    assert world.need("cid", "docs") == ["seats_refused cid: docs=refused/expand_cap"]


def test_M12_T21_an_expansion_adds_the_same_to_the_next_period() -> None:
    world = World()
    world.pool("docs", 3, over_limit="expand")
    for user in ("ada", "ben", "cid"):
        world.need(user, "docs")
    world.next_period(docs=2)
    world.need("dan", "docs")
    assert world.licences("docs") == (4, 3)


def test_M9_a_leavers_active_seat_reduces_the_pool_by_its_licence() -> None:
    world = World()
    world.pool("docs", 2, terminate_reduces_pool=True, reduce_at="now")
    world.need("ada", "docs")
    world.need("ben", "docs")
    world.need("cid", "docs")
    expected = ["pool_reduced docs (terminated)", "seats_assigned ada:"]  # cid stays flagged: no licence came free
    assert world.need("ada", leaver=True) == expected
    assert world.licences("docs") == (1, 1)
    assert world.need("cid", leaver=True) == ["seats_assigned cid:"]  # flagged, it had none
    assert world.need("ben", leaver=True) == ["seats_assigned ben:"]  # never the last licence
    assert world.licences("docs") == (1, 1)


def test_M9_with_reduce_at_period_end_only_leavers_lower_the_next_periods_number() -> None:
    world = World()
    world.pool("docs", 3, terminate_reduces_pool=True)
    world.need("ada", "docs")
    world.need("ben", "docs")
    assert world.need("ada") == ["seats_assigned ada:"]
    assert world.need("ben", leaver=True) == ["pool_reduced docs (terminated)", "seats_assigned ben:"]
    assert world.licences("docs") == (3, 2)
    world.next_period(docs=1)
    world.need("cid", "docs")
    assert world.need("cid", leaver=True) == ["seats_assigned cid:"]  # one licence stays
    assert world.licences("docs") == (3, 1)


def test_M9_the_reason_of_the_command_does_not_matter() -> None:
    world = World()
    world.pool("docs", 3, terminate_reduces_pool=True, reduce_at="now")
    for user in ("ada", "ben"):
        world.need(user, "docs")
    assert world.need("ada", reason="left") == ["seats_assigned ada:"]
    assert world.need("ben", reason="a word of another source", leaver=True) == ["pool_reduced docs (terminated)", "seats_assigned ben:"]


def test_M9_a_leaver_reduces_the_pool_before_waiting_people_are_served() -> None:
    world = World()
    world.pool("docs", 2, over_limit="wait", terminate_reduces_pool=True, reduce_at="now")
    for user in ("ada", "ben", "cid"):
        world.need(user, "docs")
    assert world.need("ada", leaver=True) == ["pool_reduced docs (terminated)", "seats_assigned ada:"]
    assert world.seats("docs") == {"ben": "active", "cid": "waiting"}
    assert world.need("ben", leaver=True) == ["seat_granted cid docs (seat_released)", "seats_assigned ben:"]  # the last licence stays


# The queue -------------------------------------------------------------------------------------------------------------


def queue() -> World:
    world = World()
    world.pool("docs", 1, over_limit="wait")
    world.pool("plan", 1, over_limit="wait")
    world.need("ada", "docs", "plan")
    return world


def test_the_queue_is_ordered_by_priority_then_age_then_log_order() -> None:
    world = queue()
    world.need("ben", "docs")
    world.need("cid", "docs")
    world.wait(hours=1)
    world.need("dan", "docs", priority=1)
    expected = ["licences_added (ordered)", *[f"seat_granted {user} docs (licence_bought)" for user in ("dan", "ben", "cid")]]
    assert world.buy(docs=3)[:4] == expected


def test_queue_age_counts_only_an_uninterrupted_wait() -> None:
    world = queue()
    world.need("ben", "docs")
    world.wait(hours=1)
    world.need("cid", "docs")
    world.wait(hours=1)
    world.need("ben")
    world.need("ben", "docs")  # behind cid now
    world.need("cid", "docs", "plan")  # keeps its place for docs
    expected = ["seat_granted cid docs (seat_released)", "seat_granted cid plan (seat_released)", "seats_assigned ada:"]
    assert world.need("ada") == expected


def test_a_person_who_waits_for_several_modules_holds_up_nobody() -> None:
    world = queue()
    world.need("ben", "docs", "plan")
    world.wait(hours=1)
    world.need("cid", "docs")
    expected = ["seat_granted cid docs (seat_released)", "seats_assigned ada: plan=active"]
    assert world.need("ada", "plan") == expected
    assert world.seats("docs") == {"ben": "waiting", "cid": "active"}


def test_the_person_served_is_first_in_every_queue_or_has_waited_longest_of_all() -> None:
    world = queue()
    world.need("ben", "docs")
    world.wait(hours=1)
    world.need("cid", "plan")
    world.wait(hours=1)
    world.need("ben", "docs", "plan")  # first for docs, second for plan
    world.need("cid", "docs", "plan")  # first for plan, second for docs
    expected = ["seat_granted ben docs (seat_released)", "seat_granted ben plan (seat_released)", "seats_assigned ada:"]
    assert world.need("ada") == expected


def test_of_two_people_who_are_each_first_in_one_queue_the_longer_waiting_is_served_independent_of_module_names() -> None:
    world = queue()
    world.need("cid", "plan")
    world.wait(hours=1)
    world.need("ben", "docs")
    world.wait(hours=1)
    for user in ("ben", "cid"):
        world.need(user, "docs", "plan")  # ben is first for docs, cid for plan, and cid has waited longer
    expected = ["seat_granted cid docs (seat_released)", "seat_granted cid plan (seat_released)", "seats_assigned ada:"]
    assert world.need("ada") == expected


def test_two_people_who_are_each_first_in_their_queue_are_both_served() -> None:
    world = queue()
    world.need("ben", "plan")
    world.wait(hours=1)
    world.need("cid", "docs")
    expected = ["seat_granted cid docs (seat_released)", "seat_granted ben plan (seat_released)", "seats_assigned ada:"]
    assert world.need("ada") == expected


@pytest.mark.parametrize("base", ["abc", "zed"])
@pytest.mark.parametrize("base_first", [True, False])
def test_a_person_who_waits_for_a_base_module_keeps_the_position_in_the_other_queues(base: str, base_first: bool) -> None:
    world = World()
    for module in (base, "docs") if base_first else ("docs", base):
        world.pool(module, 1, base=module == base, over_limit="wait")
    world.need("u0", base, "docs")
    world.need("u1", base, "docs", partial=True)
    world.need("u2", "docs")
    granted = [f"seat_granted u1 {module} (seat_released)" for module in (base, "docs")]
    assert world.need("u0") == [*granted, "seats_assigned u0:"]
    assert world.seats("docs") == {"u1": "active", "u2": "waiting"}


@pytest.mark.parametrize("base", ["abc", "zed"])
def test_nobody_overtakes_a_person_who_gets_the_base_module_only_after_another(base: str) -> None:
    world = World()
    for module in (base, "docs"):
        world.pool(module, 1, base=module == base, over_limit="wait")
    world.need("ada", base, "docs")
    world.need("u5", base)
    world.need("u0", base, "docs", partial=True)  # second for the base module, first for docs
    world.need("u3", "docs")
    world.need("u5", base, "docs")  # first for the base module, third for docs
    licences: dict[str, Any] = {base: 2, "docs": 2}
    world.buy(**licences)
    assert world.seats(base) == {"ada": "active", "u0": "active", "u5": "active"}
    assert world.seats("docs") == {"ada": "active", "u0": "active", "u3": "waiting", "u5": "active"}


@pytest.mark.parametrize("base", ["abc", "zed"])
def test_holds_of_one_command_expire_together_and_what_they_free_is_served_together(base: str) -> None:
    world = World()
    for module in ("docs", base):
        world.pool(module, 1, base=module == base, over_limit="wait")
    world.need("u0", base, "docs", hold_until=START + timedelta(hours=1))
    world.need("u1", base, "docs", partial=True)
    world.need("u2", "docs")
    world.wait(hours=1)
    assert (world.seats(base), world.seats("docs")) == ({"u1": "active"}, {"u1": "active", "u2": "waiting"})


def test_flags_are_cleared_before_the_queue_is_served() -> None:
    world = queue()
    world.need("ben", "docs")
    world.policy("docs", over_limit="flag")
    world.need("cid", "docs")
    expected = ["licences_added (ordered)", "seat_flag_cleared cid docs (licence_bought)"]
    assert world.buy(docs=1) == expected
    assert world.seats("docs") == {"ada": "active", "ben": "waiting", "cid": "active"}


def test_serving_the_queue_never_flags_or_expands() -> None:
    world = queue()
    world.need("ben", "docs", "plan")
    world.policy("plan", over_limit="expand")
    assert world.buy(docs=1) == ["licences_added (ordered)"]
    assert world.seats("docs") == {"ada": "active", "ben": "waiting"}


def test_a_policy_change_applies_to_later_decisions_only() -> None:
    world = queue()
    world.need("ben", "docs")
    assert world.policy("docs", over_limit="expand", grace="PT1S") == ["policy_changed docs (policy_set)"]
    assert world.seats("docs") == {"ada": "active", "ben": "waiting"}
    assert world.need("ben", "docs", priority=1) == ["seats_queued ben: docs=waiting"]


def test_T5_M12_a_cap_can_be_unset_and_a_policy_that_is_not_given_keeps_its_value() -> None:
    world = World()
    world.pool("time", 1, flag_cap=0, warn_at="1", grace="P2D")
    world.need("ada", "time")
    assert world.need("ben", "time") == ["seats_refused ben: time=refused/flag_cap"]
    assert world.policy("time", "flag_cap", grace=None) == ["policy_changed time (policy_set)"]
    shown = world.event("policy_changed")["policies"]
    assert ("flag_cap" in shown, shown["grace"], shown["warn_at"]) == (False, "P2D", "1")
    assert world.need("ben", "time") == ["seats_assigned ben: time=flagged/over_limit"]
    world.policy("time", over_limit="expand", expand_cap=1)
    assert world.need("cid", "time") == ["seats_refused cid: time=refused/expand_cap"]
    world.policy("time", "expand_cap", "warn_at")
    assert world.need("cid", "time")[0] == "seats_assigned cid: time=active/expanded"


def test_a_policy_change_leaves_the_deadlines() -> None:
    world = company(time=1)
    world.need("ada", "time")
    world.need("ben", "time")
    world.policy("time", grace="PT1S", over_limit="reject")
    assert world.deadline("ben", "time") == timedelta(days=7)


# Holds -----------------------------------------------------------------------------------------------------------------


def test_a_hold_reserves_a_licence_and_claiming_it_keeps_the_seat() -> None:
    world = company(time=1)
    expected = ["seats_assigned ada: time=held/licence_free", "pool_at_limit time (limit_reached)"]
    assert world.need("ada", "time", hold_until=START + timedelta(days=2)) == expected
    assert world.need("ada", "time") == ["seats_assigned ada: time=active"]
    assert world.wait(days=3) == []


def test_an_answer_shows_the_pool_in_which_a_hold_was_claimed() -> None:
    world = company(time=1, docs=3)
    world.need("ada", "docs", hold_until=START + timedelta(hours=1))
    assert world.need("ada", "docs") == ["seats_assigned ada: docs=active"]
    (shown,) = world.event("seats_assigned")["pools"]
    assert (shown["module"], shown["active"], shown["held"], shown["available"]) == ("docs", 1, 0, 2)


def test_an_answer_shows_every_pool_that_a_replacement_changed() -> None:
    world = company(time=3, docs=3, plan=3, forms=3)
    world.need("ada", "time", "plan")
    world.need("ben", "docs", hold_until=START + timedelta(hours=1))
    assert world.replace("ada", "ben", "time", "docs", "forms")[-1] == "seats_moved ben: time=active docs=active forms=active/licence_free"
    shown = {pool["module"]: (pool["active"], pool["held"]) for pool in world.event("seats_moved")["pools"]}
    assert shown == {"time": (1, 0), "docs": (1, 0), "plan": (0, 0), "forms": (1, 0)}


def test_an_expired_hold_serves_the_next_person() -> None:
    world = company(time=1)
    world.need("ada", "time", hold_until=START + timedelta(days=2))
    world.need("ben", "time")
    assert world.wait(days=2, milliseconds=-1) == []
    expected = ["hold_expired ada time (hold_expired)", "seat_flag_cleared ben time (licence_free)"]
    assert world.wait(milliseconds=1) == expected


@pytest.mark.parametrize("policy", ["flag", "expand", "wait", "reject"])
def test_a_full_pool_refuses_a_hold_with_every_policy(policy: str) -> None:
    world = World()
    world.pool("docs", 1, over_limit=policy)
    world.need("ada", "docs")
    assert world.need("ben", "docs", hold_until=START + timedelta(days=1)) == ["seats_refused ben: docs=refused/pool_full"]


@pytest.mark.parametrize("days", [-1, 1])
def test_a_refused_hold_keeps_the_position_in_the_queue(days: int) -> None:
    world = queue()
    world.need("ben", "docs")
    world.wait(hours=1)
    world.need("cid", "docs")
    why = "hold_past" if days < 0 else "pool_full"
    assert world.need("ben", "docs", hold_until=world.now + timedelta(days=days)) == [f"seats_refused ben: docs=waiting/{why}"]
    assert world.event("seats_refused")["modules"][0]["since"] == "2013-11-15T09:00:00.000Z"
    assert world.need("ada")[0] == "seat_granted ben docs (seat_released)"


@pytest.mark.parametrize("days", [-1, 1])
def test_A17_a_refused_hold_of_the_target_user_keeps_the_position_in_the_queue(days: int) -> None:
    world = queue()
    world.need("ben", "docs")
    world.wait(hours=1)
    world.need("cid", "docs")
    why = "hold_past" if days < 0 else "pool_full"
    moved = f"seats_moved ben: plan=active docs=waiting/{why}"
    world.need("dan", "plan")
    world.need("eve", "plan")
    world.need("ada", "docs")
    assert world.replace("dan", "ben", "plan", "docs", hold_until=world.now + timedelta(days=days))[-1] == moved
    assert world.need("ada")[0] == "seat_granted ben docs (seat_released)"


def test_a_person_who_waits_for_several_modules_and_is_refused_a_hold_keeps_all_queue_positions() -> None:
    world = queue()
    world.need("ben", "docs", "plan")
    world.need("ada", "docs")  # plan is free again, docs is not
    refused = "seats_refused ben: docs=waiting/pool_full plan=waiting/other_module_refused"
    assert world.need("ben", "docs", "plan", hold_until=START + timedelta(days=1)) == [refused]
    assert world.need("ada")[:2] == [f"seat_granted ben {module} (seat_released)" for module in ("docs", "plan")]


def test_a_hold_applies_to_newly_granted_modules_only() -> None:
    world = company(time=2, docs=2)
    world.need("ada", "time")
    expected = ["seats_assigned ada: time=active docs=held/licence_free"]
    assert world.need("ada", "time", "docs", hold_until=START + timedelta(days=1)) == expected


def test_a_hold_that_would_have_expired_is_refused() -> None:
    world = company(time=2)
    assert world.need("ada", "time", hold_until=START) == ["seats_refused ada: time=refused/hold_past"]


def test_a_reduction_cancels_the_newest_holds_first() -> None:
    world = company(time=4)
    world.need("ada", "time")
    for user in ("hal", "ian", "joe"):
        world.need(user, "time", hold_until=START + timedelta(days=9))
    expected = ["licences_reduced (ordered)", "hold_cancelled joe time (reduction)", "hold_cancelled ian time (reduction)"]
    assert world.cut(time=2) == expected
    assert world.seats("time") == {"ada": "active", "hal": "held"}


# Replacing -------------------------------------------------------------------------------------------------------------


def test_A17_replacing_a_user_changes_no_pool_and_moves_states_and_deadlines() -> None:
    world = company(time=1, docs=1)
    world.need("ada", "docs")
    world.need("ben", "docs")
    world.need("cid", "time")
    world.need("dan", "time")  # flagged
    world.wait(days=2)
    before = world.licences("time")
    assert world.replace("dan", "eve", "time") == ["seats_moved eve: time=flagged"]
    assert world.deadline("eve", "time") == timedelta(days=5)
    assert (world.licences("time"), world.seats("time")) == (before, {"cid": "active", "eve": "flagged"})
    assert world.event("seats_moved")["from_prev"] == {"partition": 0, "offset": 7}


def test_A17_the_audit_trail_of_the_source_user_continues_before_the_due_items_of_the_same_command() -> None:
    world = company(time=3, docs=1)
    world.policy("docs", over_limit="flag")
    world.need("ada", "docs")
    world.need("ben", "time", "docs")
    before, world.now = world.offset, world.now + timedelta(days=7)
    assert world.replace("ben", "eve", "time") == ["seat_revoked ben docs (grace_expired)", "seats_moved eve: time=active"]
    assert [world.event(name)[prev]["offset"] for name, prev in (("seat_revoked", "prev"), ("seats_moved", "from_prev"))] == [
        before,
        before,
    ]


def test_A17_other_required_modules_of_the_target_user_are_assigned_and_the_rest_is_released() -> None:
    world = company(time=1, docs=1, plan=1)
    world.need("ada", "time", "docs")
    world.need("ben", "time")  # flagged
    expected = ["seats_moved eve: docs=active plan=active/licence_free"]
    assert world.replace("ada", "eve", "docs", "plan")[1:2] == expected
    assert world.seats("time") == {"ben": "active"}


def test_A17_a_hold_moves_with_its_end_and_an_assignment_without_a_hold_claims_it() -> None:
    world = company(time=2)
    for user in ("ada", "ben"):
        world.need(user, "time", hold_until=START + timedelta(days=2))
    assert world.replace("ada", "eve", "time", hold_until=START + timedelta(days=9)) == ["seats_moved eve: time=held"]
    assert world.deadline("eve", "time") == timedelta(days=2)
    assert world.replace("ben", "fay", "time") == ["seats_moved fay: time=active"]


def test_A17_a_replacement_is_refused_if_the_target_user_has_one_of_the_seats() -> None:
    world = company(time=2)
    world.need("ada", "time")
    world.need("eve", "time")
    assert world.replace("ada", "eve", "time") == ["replacement_refused eve (already_seated)"]
    refused = world.sent
    world.need("eve")
    assert refused is not None
    world.sent = refused
    assert world.again() == ["command_ignored eve (stale)"]


def test_A17_a_replacement_is_refused_if_there_is_nothing_to_move() -> None:
    world = company(time=2)
    world.need("ada", "time")
    world.need("ada")
    assert world.replace("ada", "eve", "time") == ["replacement_refused eve (nothing_to_replace)"]
    assert world.replace("nobody", "eve", "time") == ["replacement_refused eve (unknown_user)"]
    assert world.again() == ["command_ignored eve (duplicate)"]


# Order and repetition --------------------------------------------------------------------------------------------------


def test_the_same_command_again_is_a_duplicate() -> None:
    world = company(time=1)
    world.need("ada", "time")
    before = dict(world.rows)
    assert world.again() == ["command_ignored ada (duplicate)"]
    assert world.event("command_ignored")["last_revision"] == 1
    assert world.rows == before


def test_a_revision_not_above_the_last_is_stale_also_for_a_person_without_seats() -> None:
    world = company(time=1)
    world.need("ada", "time", revision=5)
    world.need("ada", revision=7)
    assert world.need("ada", "time", revision=7) == ["command_ignored ada (stale)"]
    assert world.need("ada", "time", revision=6) == ["command_ignored ada (stale)"]
    assert world.event("command_ignored")["last_revision"] == 7
    assert world.seats("time") == {}


def test_a_number_not_above_the_last_of_its_sender_is_ignored() -> None:
    world = company(time=1)
    command = seats_v1.ClosePool(number=1, module="time", at="now")
    assert world.send(command) == ["command_ignored (stale)"]
    assert world.event("command_ignored")["last_number"] == 1
    assert world.send(seats_v1.ClosePool(number=9, module="docs", at="now"), "another/sender") == ["command_rejected (unknown_module)"]
    assert world.again() == ["command_ignored (duplicate)"]


def test_every_command_before_open_tenant_is_answered_unknown_tenant() -> None:
    world = World()
    world.tenants.clear()
    world.rows.clear()
    world.replica.clear()
    command = seats_v1.AssignSeats(user="ada", revision=1, modules=("time",), created_at=START, reason="hired")

    message = domain.Command("c", USERS, "acme", command, 3, 9)
    decision = domain.decide(world.tenants, message, 1_000)
    assert [event.type for event in decision.events] == ["seatpool.seats.v1.command_rejected"]
    assert decision.events[0].body["reason"] == "unknown_tenant"
    assert decision.events[0].body["user"] == "ada"
    assert (decision.changed, world.tenants) == ({}, {})


def test_unknown_fields_of_an_assignment_are_no_error_and_unknown_modules_are_refused() -> None:
    world = company(time=1)
    assert world.need("ada", "time", "nowhere") == ["seats_refused ada: time=refused/other_module_refused nowhere=refused/unknown_module"]
    assert (
        world.need("ada", "time", "nowhere", partial=True)[0]
        == "seats_assigned ada: time=active/licence_free nowhere=refused/unknown_module"
    )
