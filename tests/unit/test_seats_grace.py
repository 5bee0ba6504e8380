"""Flags, grace periods and revocations, and how they end: T5 T6, the last administrator, the total orders."""

from datetime import timedelta
from typing import Any

import pytest

from shared.schemas.policies import duration_ms
from tests.support.seats_harness import START, SeatsHarness

WEEK = timedelta(days=7)


def full(**policies: object) -> SeatsHarness:
    """`time` is a base module with two licences, both taken."""
    harness = SeatsHarness()
    harness.pool("time", 2, base=True, **policies)
    harness.pool("docs", 5)
    harness.assign("ada", "time", created_at=START - timedelta(days=3))
    harness.assign("ben", "time", created_at=START - timedelta(days=2))
    return harness


def test_T5_a_seat_over_the_limit_is_allowed_and_flagged() -> None:
    harness = full()
    expected = ["seats_assigned cid: time=flagged/over_limit"]
    assert harness.assign("cid", "time") == expected
    assert harness.deadline("cid", "time") == WEEK
    assert harness.event("seats_assigned")["modules"][0]["deadline"] == "2013-11-22T09:00:00.000Z"


def test_T5_flag_cap_limits_the_flagged_seats_at_one_time() -> None:
    harness = full(flag_cap=1)
    harness.assign("cid", "time")
    expected = ["seats_refused dan: time=refused/flag_cap"]
    assert harness.assign("dan", "time") == expected


def test_T6_flagged_seat_is_revoked_after_seven_days_and_not_a_millisecond_before() -> None:
    harness = full()
    harness.assign("cid", "time")
    assert harness.wait(days=7, milliseconds=-1) == []
    expected = ["seat_revoked cid time (grace_expired)"]
    assert harness.wait(milliseconds=1) == expected
    assert harness.event("seat_revoked")["base"] is True
    assert harness.event("seat_revoked")["prev"] == {"partition": 0, "offset": 6}


@pytest.mark.parametrize("grace", ["PT1S", "P2W", "P1DT12H", "PT90M"])
def test_T6_the_grace_is_a_policy_in_exact_seconds(grace: str) -> None:
    harness = full(grace=grace)
    harness.assign("cid", "time")
    assert harness.deadline("cid", "time") == timedelta(milliseconds=duration_ms(grace) or 0)


def test_T6_the_next_command_of_any_kind_applies_the_due_items_first() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.now += WEEK
    expected = ["seat_revoked cid time (grace_expired)", "policy_changed docs (policy_set)"]
    assert harness.policy("docs", over_limit="wait") == expected
    assert [event.body["role"] for event in harness.events] == ["settled", "answer"]


def test_T6_each_flag_has_its_own_deadline() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.wait(days=3)
    harness.assign("dan", "time")
    expected = ["seat_revoked cid time (grace_expired)"]
    assert harness.wait(days=4) == expected
    assert harness.deadline("dan", "time") == timedelta(days=3)


def test_T6_a_repeated_assignment_does_not_renew_the_grace() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.wait(days=5)
    expected = ["seats_assigned cid: time=flagged"]
    assert harness.assign("cid", "time", priority=1) == expected
    assert harness.deadline("cid", "time") == timedelta(days=2)


def test_T6_a_revoked_seat_is_answered_revoked_until_it_is_reactivated() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.wait(days=40)
    expected = ["seats_refused cid: time=revoked/revoked docs=refused/base_module_refused"]
    assert harness.assign("cid", "time", "docs") == expected
    expected = ["seats_assigned cid: time=flagged/over_limit docs=active/licence_free"]
    assert harness.assign("cid", "time", "docs", reactivate=("time",)) == expected
    assert harness.deadline("cid", "time") == WEEK


def test_T6_a_module_revoked_earlier_does_not_affect_the_other_modules() -> None:
    harness = SeatsHarness()
    harness.pool("time", 1, base=True)
    harness.pool("docs", 1)
    harness.pool("plan", 2)
    harness.assign("ada", "docs")
    harness.assign("ben", "time", "docs")
    harness.wait(days=7)
    assert harness.seats("time") == {"ben": "active"}
    expected = ["seats_assigned ben: time=active docs=revoked/revoked plan=active/licence_free"]
    assert harness.assign("ben", "time", "docs", "plan") == expected


def test_T6_the_memory_ends_when_a_command_no_longer_names_the_module() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.wait(days=40)
    harness.assign("cid")
    expected = ["seats_assigned cid: time=flagged/over_limit"]
    assert harness.assign("cid", "time") == expected


def test_T6_a_flagged_seat_that_is_released_and_assigned_again_keeps_its_deadline() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.wait(days=2)
    harness.assign("cid")
    harness.wait(days=2)
    expected = ["seats_assigned cid: time=flagged/over_limit"]
    assert harness.assign("cid", "time") == expected
    assert harness.deadline("cid", "time") == timedelta(days=3)
    assert harness.event("seats_assigned")["modules"][0]["since"] == "2013-11-15T09:00:00.000Z"


def test_T6_grace_used_when_the_kept_deadline_has_passed_and_nothing_is_free() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.assign("cid")
    harness.wait(days=7)
    expected = ["seats_refused cid: time=refused/grace_used"]
    assert harness.assign("cid", "time") == expected
    harness.assign("ben")
    expected = ["seats_assigned cid: time=active/licence_free", "pool_at_limit time (limit_reached)"]
    assert harness.assign("cid", "time") == expected


def test_T6_a_reactivation_within_thirty_days_of_the_flag_does_not_renew_it_either() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.wait(days=30)
    expected = ["seats_refused cid: time=refused/grace_used"]
    assert harness.assign("cid", "time", reactivate=("time",)) == expected


def test_T6_a_remembered_flag_counts_where_the_pool_would_flag() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.assign("cid")
    harness.wait(days=8)
    assert harness.assign("cid", "time") == ["seats_refused cid: time=refused/grace_used"]
    harness.policy("time", over_limit="wait")
    assert harness.assign("cid", "time") == ["seats_queued cid: time=waiting/pool_full"]


def test_T6_a_pool_opened_again_knows_of_revocations_but_not_of_flags_that_its_end_took() -> None:
    harness = full(grace="P1D")
    harness.assign("dan", "time")
    harness.wait(days=1)
    harness.assign("cid", "time")
    harness.assign("hal", "docs", hold_until=START + timedelta(days=9))
    harness.close("time", ending=True)
    harness.close("docs")
    harness.pool("time", 1, grace="P1D")
    harness.pool("docs", 1)
    assert harness.wait(days=20) == []  # no deadline of a seat that is gone
    harness.assign("ada", "time")
    assert harness.assign("cid", "time") == ["seats_assigned cid: time=flagged/over_limit"]
    assert harness.deadline("cid", "time") == timedelta(days=1)
    assert harness.assign("dan", "time") == ["seats_assigned dan: time=revoked/revoked"]
    assert harness.assign("hal", "docs")[0] == "seats_assigned hal: docs=active/licence_free"


def test_T6_thirty_days_after_the_flag_it_is_forgotten() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.wait(days=30, milliseconds=1)
    expected = ["seats_assigned cid: time=flagged/over_limit"]
    assert harness.assign("cid", "time", reactivate=("time",)) == expected
    assert harness.deadline("cid", "time") == WEEK


def test_T6_A17_the_source_user_of_a_flagged_seat_keeps_its_deadline_when_assigned_again() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.wait(days=6)
    harness.replace("cid", "eve", "time")
    assert harness.assign("cid", "time") == ["seats_assigned cid: time=flagged/over_limit"]
    assert harness.deadline("cid", "time") == harness.deadline("eve", "time") == timedelta(days=1)
    harness.assign("eve")
    harness.replace("cid", "eve", "time")  # and back again
    harness.replace("eve", "cid", "time")
    assert harness.deadline("cid", "time") == timedelta(days=1)


@pytest.mark.parametrize(("source", "target"), [("cid", "eve"), ("eve", "cid")])
def test_T6_A17_a_moved_flag_is_older_than_the_flag_that_its_source_user_gets_back(source: str, target: str) -> None:
    harness = full()
    harness.assign(source, "time")
    harness.replace(source, target, "time")
    harness.assign(source, "time")
    assert harness.deadline(source, "time") == harness.deadline(target, "time") == WEEK
    assert harness.buy(time=1)[1] == f"seat_flag_cleared {target} time (licence_bought)"
    assert harness.buy(time=1)[1] == f"seat_flag_cleared {source} time (licence_bought)"
    flagged = [f"seat_flagged {user} time (reduction)" for user in (source, target)]  # the newest first
    assert harness.reduce(time=2)[:3] == ["licences_reduced (ordered)", *flagged]


@pytest.mark.parametrize(("source", "target", "last"), [("cid", "eve", "fay"), ("fay", "eve", "cid")])
def test_T6_A17_a_remembered_flag_that_also_moves_is_no_older_than_before(source: str, target: str, last: str) -> None:
    harness = full()
    harness.assign(source, "time")
    harness.replace(source, target, "time")
    harness.assign(source, "time")
    harness.replace(source, last, "time")
    revoked = [f"seat_revoked {user} time (grace_expired)" for user in (target, last)]
    assert harness.wait(days=7) == revoked


def test_T6_a_flag_cleared_by_a_licence_is_over() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.wait(days=5)
    harness.buy(time=1)
    harness.assign("cid")
    harness.assign("dan", "time")
    expected = ["seats_assigned cid: time=flagged/over_limit"]
    assert harness.assign("cid", "time") == expected
    assert harness.deadline("cid", "time") == WEEK


def test_T6_a_person_revoked_in_a_base_module_loses_all_other_seats() -> None:
    harness = full()
    harness.pool("plan", 1)
    harness.assign("cid", "time", "docs", "plan")
    harness.assign("dan", "plan")  # flagged behind cid
    harness.wait(days=6)
    expected = [
        "seat_revoked cid time (grace_expired)",
        "seat_released cid docs (base_module_revoked)",
        "seat_released cid plan (base_module_revoked)",
        "seat_flag_cleared dan plan (seat_released)",
    ]
    assert harness.wait(days=1) == expected
    assert harness.seats("plan") == {"dan": "active"}


def test_T6_A17_a_target_user_who_is_revoked_in_a_base_module_receives_nothing() -> None:
    harness = full()
    harness.assign("cid", "time", "docs")
    harness.assign("dan", "docs")
    harness.wait(days=40)
    assert harness.replace("dan", "cid", "time", "docs") == ["replacement_refused cid (revoked)"]
    assert harness.seats("docs") == {"dan": "active"}
    assert harness.replace("dan", "cid", "time", "docs", reactivate=("time",))[0] == "seats_moved cid: time=flagged/over_limit docs=active"
    harness.wait(days=40)
    assert harness.seats("docs") == {}
    assert harness.replace("ben", "cid", "time") == ["seats_moved cid: time=active"]  # the seat of that module itself


def test_T6_A17_a_moved_seat_reactivates_the_target_user_in_its_module() -> None:
    harness = full()
    harness.pool("plan", 1)
    harness.assign("ada", "time", "plan")
    harness.assign("cid", "plan")
    harness.wait(days=7)
    assert harness.assign("cid", "plan") == ["seats_assigned cid: plan=revoked/revoked"]
    assert harness.replace("ada", "cid", "plan", "time") == ["seats_moved cid: plan=active time=active"]
    assert harness.assign("cid", "plan", "time") == ["seats_assigned cid: plan=active time=active"]


@pytest.mark.parametrize("partial", [False, True])
def test_T6_a_module_without_a_pool_is_unknown_also_for_a_person_who_was_revoked_in_it(partial: bool) -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.wait(days=7)
    harness.close("time", ending=True)
    docs = "active/licence_free" if partial else "refused/other_module_refused"
    answer = "seats_assigned" if partial else "seats_refused"
    assert harness.assign("cid", "time", "docs", partial=partial) == [f"{answer} cid: time=refused/unknown_module docs={docs}"]
    harness.pool("time", 2, base=True)
    assert harness.assign("cid", "time")[-1] == "seats_refused cid: time=revoked/revoked", "the revocation is remembered all the same"


def test_T6_a_person_revoked_in_another_module_loses_only_that_module() -> None:
    harness = SeatsHarness()
    harness.pool("time", 3, base=True)
    harness.pool("docs", 1)
    harness.assign("ada", "docs")
    harness.assign("ben", "time", "docs")
    expected = ["seat_revoked ben docs (grace_expired)"]
    assert harness.wait(days=7) == expected
    assert harness.seats("time") == {"ben": "active"}


def test_T6_a_later_flag_has_its_full_grace_also_one_set_by_a_reduction() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.assign("cid")  # gave a flag up
    harness.buy(time=1)
    harness.assign("cid", "time")
    harness.wait(days=6)
    expected = ["licences_reduced (ordered)", "seat_flagged cid time (reduction)", "pool_at_limit time (limit_reached)"]
    harness.assign("ben")
    harness.assign("ada", "time")
    assert harness.reduce(time=2) == expected
    assert harness.deadline("cid", "time") == WEEK


def test_a_freed_licence_clears_the_oldest_flag_then_the_first_in_log_order() -> None:
    harness = full()
    for user in ("cid", "dan", "eve"):
        harness.assign(user, "time")  # all at one instant
    expected = ["seat_flag_cleared cid time (seat_released)", "seats_assigned ada:"]
    assert harness.assign("ada") == expected
    expected = ["licences_added (ordered)", "seat_flag_cleared dan time (licence_bought)"]
    assert harness.buy(time=1) == expected
    assert harness.seats("time") == {"ben": "active", "cid": "active", "dan": "active", "eve": "flagged"}


def test_a_kept_flag_keeps_its_age() -> None:
    harness = full()
    harness.assign("cid", "time")
    harness.wait(hours=1)
    harness.assign("dan", "time")
    harness.assign("cid")
    harness.assign("cid", "time")  # again, later than dan, with the older flag
    expected = ["seat_flag_cleared cid time (seat_released)", "seats_assigned ada:"]
    assert harness.assign("ada") == expected


def test_a_purchase_that_covers_some_leaves_the_other_deadlines() -> None:
    harness = full()
    for user in ("cid", "dan"):
        harness.assign(user, "time")
    harness.wait(days=3)
    harness.buy(time=1)
    assert harness.deadline("dan", "time") == timedelta(days=4)


def test_at_one_instant_holds_end_before_graces_then_the_period_then_log_order() -> None:
    harness = full(grace="P2D")
    harness.assign("ada")
    harness.assign("hal", "time", hold_until=START + timedelta(days=2))
    harness.assign("cid", "time")
    harness.assign("dan", "time")
    harness.schedule("2014", START + timedelta(days=2))
    expected = [
        "hold_expired hal time (hold_expired)",
        "seat_flag_cleared cid time (licence_free)",
        "seat_revoked dan time (grace_expired)",
        "period_started (period_began)",
    ]
    assert harness.wait(days=2) == expected


def test_at_one_instant_thresholds_are_reset_before_the_period() -> None:
    harness = SeatsHarness()
    harness.pool("time", 10, base=True, warn_at="90%")
    harness.buy(time=1)
    for n in range(10):
        harness.assign(f"u{n}", "time")
    harness.assign("u0")  # 9 of 11: below the threshold from now on
    harness.schedule("2014", START + timedelta(days=1))
    assert harness.wait(days=1) == ["warning_armed time (free_for_a_day)", "period_started (period_began)"]


@pytest.mark.parametrize("base", ["abc", "zed"])
def test_at_one_instant_a_persons_other_modules_are_revoked_before_the_base_module(base: str) -> None:
    harness = SeatsHarness()
    harness.pool("docs", 1, grace="P1D")
    harness.pool(base, 1, base=True, grace="P2D")
    harness.assign("ada", base, "docs")
    harness.assign("ben", base)
    harness.wait(days=1)
    harness.assign("ben", base, "docs")
    assert harness.wait(days=1) == [f"seat_revoked ben {module} (grace_expired)" for module in ("docs", base)]


@pytest.mark.parametrize("at", ["now", "period_end"])
@pytest.mark.parametrize("names", [("abc", "zed"), ("zed", "abc")])
def test_graces_of_one_instant_end_in_the_order_of_the_log_whatever_the_names_of_their_modules(names: tuple[str, str], at: str) -> None:
    """Two administrators are flagged by one reduction, each in another base module: the second one's grace finds nobody else."""
    harness = SeatsHarness()
    for module in names:
        harness.pool(module, 2, base=True)
    for user, module in (("ann", names[0]), ("bob", names[1])):
        harness.assign(f"{user}-old", module, created_at=START - timedelta(days=9))
        harness.assign(user, module, administrator=True)
    reduced: dict[str, Any] = dict.fromkeys(names, 1)
    if at == "now":
        harness.reduce(**reduced)
    else:
        harness.next_period(**reduced)
        harness.schedule("2014", START + timedelta(days=1))
        harness.wait(days=1)
    expected = [
        f"seat_revoked ann {names[0]} (grace_expired)",
        f"seat_flag_cleared bob {names[1]} (last_administrator)",
        f"seat_flagged bob-old {names[1]} (last_administrator)",
    ]
    assert harness.wait(days=7) == expected


def test_the_grace_of_a_flag_set_by_due_items_begins_when_they_are_applied() -> None:
    harness = full()
    harness.next_period(time=1)
    harness.schedule("2014", START + timedelta(days=1))
    expected = ["period_started (period_began)", "seat_flagged ben time (reduction)"]
    assert harness.wait(days=3) == expected  # nothing came for two days
    assert harness.deadline("ben", "time") == WEEK


def test_nothing_expires_while_the_clock_stands_or_goes_back() -> None:
    harness = full()
    harness.assign("cid", "time")
    assert harness.wait(days=-1) == []
    assert harness.wait(days=1) == []


# The last administrator ------------------------------------------------------------------------------------------------


def with_administrator() -> SeatsHarness:
    """ada administers and is flagged; ben and cid are active, cid created later."""
    harness = SeatsHarness()
    harness.pool("time", 2, base=True)
    harness.assign("ben", "time", created_at=START - timedelta(days=2))
    harness.assign("cid", "time", created_at=START - timedelta(days=1))
    return harness


def test_the_last_administrator_is_not_flagged_the_newest_other_is() -> None:
    harness = with_administrator()
    expected = ["seats_assigned ada: time=active/last_administrator", "seat_flagged cid time (last_administrator)"]
    assert harness.assign("ada", "time", administrator=True) == expected
    assert harness.deadline("cid", "time") == WEEK


@pytest.mark.parametrize("wanted", [("time", "core"), ("core", "time")])
def test_the_person_flagged_instead_of_the_last_administrator_depends_on_the_pools_and_not_on_the_order_in_the_command(
    wanted: tuple[str, str],
) -> None:
    harness = SeatsHarness()
    for module, user in (("time", "ben"), ("core", "cid")):
        harness.pool(module, 1, base=True)
        harness.assign(user, module)
    flagged = [f"seat_flagged {user} {module} (last_administrator)" for user, module in (("ben", "time"), ("cid", "core"))]
    assert harness.assign("ada", *wanted, administrator=True)[1:] == flagged
    revoked = [f"seat_revoked {user} {module} (grace_expired)" for user, module in (("ben", "time"), ("cid", "core"))]
    assert harness.wait(days=7) == revoked


def test_the_last_administrator_is_determined_again_when_a_flag_falls_due() -> None:
    harness = with_administrator()
    harness.assign("dan", "time", administrator=True)  # takes cid's place
    harness.assign("ada", "time", administrator=True)  # flagged as anybody: dan is there
    harness.assign("dan", "time")  # administers no longer
    harness.buy(time=1)  # clears cid
    harness.wait(days=6)
    expected = ["seat_flag_cleared ada time (last_administrator)", "seat_flagged dan time (last_administrator)"]
    assert harness.wait(days=1) == expected
    assert harness.deadline("dan", "time") == WEEK


def test_the_last_administrator_without_anybody_else_is_flagged_without_a_deadline() -> None:
    harness = SeatsHarness()
    harness.pool("time", 1, base=True)
    harness.assign("hal", "time", hold_until=START + timedelta(days=20))
    expected = ["seats_assigned ada: time=flagged/last_administrator"]
    assert harness.assign("ada", "time", administrator=True) == expected
    assert harness.deadline("ada", "time") is None
    assert harness.wait(days=19) == []
    expected = ["hold_expired hal time (hold_expired)", "seat_flag_cleared ada time (licence_free)"]
    assert harness.wait(days=1) == expected


def test_the_last_administrator_keeps_the_flag_without_a_deadline_if_nobody_else_can_be_flagged() -> None:
    harness = SeatsHarness()
    harness.pool("time", 1, base=True)
    harness.pool("core", 1, base=True)
    harness.assign("bob", "core", administrator=True)
    harness.assign("hal", "time", hold_until=START + timedelta(days=20))
    assert harness.assign("ada", "time", administrator=True) == ["seats_assigned ada: time=flagged/over_limit"]
    harness.assign("bob")
    assert harness.wait(days=7) == ["seat_flagged ada time (last_administrator)"]
    assert harness.deadline("ada", "time") is None


def test_the_last_administrator_is_passed_over_by_a_reduction() -> None:
    harness = SeatsHarness()
    harness.pool("time", 3, base=True)
    harness.assign("ada", "time", administrator=True, created_at=START)
    harness.assign("ben", "time", created_at=START - timedelta(days=1))
    expected = ["licences_reduced (ordered)", "seat_flagged ben time (reduction)", "pool_at_limit time (limit_reached)"]
    assert harness.reduce(time=2) == expected
    assert harness.seats("time") == {"ada": "active", "ben": "flagged"}


def test_the_last_administrator_is_flagged_like_anybody_outside_base_modules() -> None:
    harness = SeatsHarness()
    harness.pool("time", 3, base=True)
    harness.pool("docs", 1)
    harness.assign("ben", "docs")
    harness.assign("ada", "time", "docs", administrator=True)
    expected = ["seat_revoked ada docs (grace_expired)"]
    assert harness.wait(days=7) == expected


def test_of_two_administrators_due_at_one_instant_the_first_is_revoked_and_the_other_stays() -> None:
    harness = with_administrator()
    harness.assign("dan", "time", administrator=True)
    harness.assign("ada", "time", administrator=True)
    harness.assign("eve", "time", administrator=True)
    harness.assign("dan")  # clears cid
    expected = [
        "seat_revoked ada time (grace_expired)",
        "seat_flag_cleared eve time (last_administrator)",
        "seat_flagged cid time (last_administrator)",
    ]
    assert harness.wait(days=7) == expected


def test_the_last_administrator_stays_in_each_of_several_base_modules() -> None:
    """ada is flagged in one base module and active in the other: out of the one she would be out of both."""
    harness = SeatsHarness()
    for module in ("core", "time"):
        harness.pool(module, 2, base=True)
    for user in ("ben", "cid"):
        harness.assign(user, "time")
    harness.assign("dan", "core", administrator=True)
    assert (
        harness.assign("ada", "core", "time", administrator=True)[0]
        == "seats_assigned ada: core=active/licence_free time=flagged/over_limit"
    )
    harness.assign("dan", "core")  # administers no longer
    assert harness.wait(days=7) == ["seat_flag_cleared ada time (last_administrator)", "seat_flagged cid time (last_administrator)"]
    assert harness.seats("core") == {"ada": "active", "dan": "active"}


def test_a_flag_without_a_deadline_stays_so_when_there_is_another_administrator() -> None:
    harness = SeatsHarness()
    harness.pool("time", 1, base=True)
    harness.assign("hal", "time", hold_until=START + timedelta(days=50))
    harness.assign("ada", "time", administrator=True)
    harness.assign("ada", "time")
    assert harness.wait(days=40) == []
    assert (harness.seats("time")["ada"], harness.deadline("ada", "time")) == ("flagged", None)
