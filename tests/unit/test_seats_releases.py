"""Dated releases: from an instant on, a person requires fewer modules."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.schemas.seats_v1 import DatedRelease
from tests.support.seats_harness import START, SeatsHarness

DAY = timedelta(days=1)


def release(at: datetime = START + DAY, *modules: str, leaver: bool = False) -> dict[str, Any]:
    return {"release": DatedRelease(at=at, modules=modules, leaver=leaver)}


def opened(licences: int, *, test: bool = False, **policies: Any) -> SeatsHarness:
    harness = SeatsHarness(test=test)
    harness.pool("time", licences, base=True, **policies)
    harness.pool("docs", licences)
    return harness


def test_M9_a_leaving_after_the_last_day_of_a_period_counts_for_the_period_that_ends() -> None:
    harness = opened(4)
    harness.schedule("april", START + DAY)
    for user in ("ada", "ben", "cid"):
        harness.assign(user, "time")
    harness.assign("dan", "time", **release(leaver=True))
    harness.next_period(time=3)
    assert harness.wait(days=1) == ["seats_released dan (left)", "period_started (period_began)"]
    assert harness.licences("time") == (3, 3)
    assert harness.seats("time") == dict.fromkeys(("ada", "ben", "cid"), "active"), "nobody is flagged"
    assert harness.event("seats_released")["released"] == ["time"]
    assert harness.assign("dan", reason="left", leaver=True) == ["seats_assigned dan:"]


def test_a_dated_release_falls_due_at_its_instant_and_not_before() -> None:
    harness = opened(1)
    harness.assign("ada", "time", **release())
    harness.now = START + DAY - timedelta(milliseconds=1)
    assert harness.tick() == []
    harness.now = START + DAY
    assert harness.tick() == ["seats_released ada (changed)"]
    assert harness.seats("time") == {}
    assert harness.wait(days=9) == [], "it fell due once"


def test_a_move_releases_only_the_modules_that_are_no_longer_required() -> None:
    harness = opened(1, over_limit="flag")
    harness.assign("ada", "time", "docs", **release(START + DAY, "time", "labs"))
    harness.assign("ben", "docs")
    assert harness.seats("docs") == {"ada": "active", "ben": "flagged"}
    assert harness.wait(days=1) == ["seats_released ada (changed)", "seat_flag_cleared ben docs (seat_released)"]
    assert harness.event("seats_released")["required"] == ("time",), "a release never adds a module"
    assert harness.seats("time") == {"ada": "active"}


def test_each_command_replaces_the_dated_release_and_one_without_it_removes_it() -> None:
    harness = opened(2)
    harness.assign("ada", "time", **release())
    harness.assign("ada", "time", **release(START + 3 * DAY))
    assert harness.wait(days=1) == []
    harness.assign("ada", "time")
    assert harness.wait(days=9) == []
    assert harness.seats("time") == {"ada": "active"}


def test_T17_a_dated_release_goes_before_a_hold_a_grace_and_the_period_of_the_same_instant() -> None:
    harness = opened(2, over_limit="flag", grace="P1D")
    harness.schedule("april", START + DAY)
    harness.assign("hal", "time", hold_until=START + DAY)
    harness.assign("ada", "time", **release(leaver=True))
    harness.assign("ben", "time")
    assert harness.deadline("ben", "time") == DAY
    assert harness.wait(days=1) == [
        "seats_released ada (left)",
        "seat_flag_cleared ben time (seat_released)",
        "hold_expired hal time (hold_expired)",
        "period_started (period_began)",
    ]


def test_of_two_dated_releases_of_one_instant_the_one_set_first_is_applied_first() -> None:
    harness = opened(3)
    harness.assign("ben", "time", **release())
    harness.assign("ada", "time", **release())
    assert harness.wait(days=1) == ["seats_released ben (changed)", "seats_released ada (changed)"]


@pytest.mark.parametrize("reduce_at", ["now", "period_end"])
def test_M9_a_dated_release_of_a_leaver_reduces_the_pool_once(reduce_at: str) -> None:
    harness = opened(3, terminate_reduces_pool=True, reduce_at=reduce_at)
    harness.assign("ada", "time", "docs", **release(leaver=True))
    assert harness.wait(days=1) == ["pool_reduced time (terminated)", "seats_released ada (left)"]
    after = (2, 2) if reduce_at == "now" else (3, 2)
    assert harness.licences("time") == after
    assert harness.licences("docs") == (3, 3), "without the policy nothing is reduced"
    assert harness.assign("ada", reason="left", leaver=True) == ["seats_assigned ada:"]
    assert harness.licences("time") == after, "the command of the day does not reduce the pool again"


def test_M9_the_command_of_the_day_reduces_the_pool_where_the_dated_release_has_not() -> None:
    harness = opened(3, terminate_reduces_pool=True, reduce_at="now")
    harness.assign("ada", "time", **release(leaver=True))
    assert harness.assign("ada", leaver=True) == ["pool_reduced time (terminated)", "seats_assigned ada:"]
    assert harness.wait(days=2) == []
    assert harness.licences("time") == (2, 2)


def test_M9_a_dated_release_by_a_move_reduces_no_pool() -> None:
    harness = opened(3, terminate_reduces_pool=True, reduce_at="now")
    harness.assign("ada", "time", **release())
    assert harness.wait(days=1) == ["seats_released ada (changed)"]
    assert harness.licences("time") == (3, 3)


def test_a_command_that_comes_after_its_dated_release_grants_only_what_the_person_still_requires() -> None:
    harness = opened(2, over_limit="expand", expand_cap=9, terminate_reduces_pool=True, reduce_at="now")
    assert harness.assign("ada", "time", "docs", **release(START, "time")) == ["seats_assigned ada: time=active/licence_free"]
    assert harness.assign("ada", "time", "docs", **release(START, leaver=True)) == ["pool_reduced time (terminated)", "seats_assigned ada:"]
    assert harness.wait(days=9) == []


def test_T6_a_person_who_is_revoked_or_waits_when_the_release_falls_due_no_longer_requires_the_module() -> None:
    harness = opened(1, over_limit="flag", grace="PT1H")
    harness.policy("docs", over_limit="wait")
    harness.assign("ada", "time", "docs")
    harness.assign("ben", "time", **release())
    harness.assign("cid", "docs", **release())
    assert harness.wait(hours=1) == ["seat_revoked ben time (grace_expired)"]
    harness.now = START + DAY
    assert harness.tick() == ["seats_released ben (changed)", "seats_released cid (changed)"]
    assert harness.buy(approved=START, time=1, docs=1) == ["licences_added (ordered)"], "nobody is restored or served"


def test_T6_a_flag_that_a_dated_release_gives_up_is_remembered() -> None:
    harness = opened(1, over_limit="flag")
    harness.assign("ada", "time")
    harness.assign("ben", "time", **release())
    harness.wait(days=1)
    harness.assign("ben", "time")
    assert harness.deadline("ben", "time") == 6 * DAY


def test_A17_a_replacement_ends_the_dated_release_of_the_source_user_and_takes_that_of_the_target() -> None:
    harness = opened(1, terminate_reduces_pool=True, reduce_at="now")
    harness.assign("ada", "time", **release(leaver=True))
    assert harness.replace("ada", "ben", "time", **release(START + 2 * DAY)) == ["seats_moved ben: time=active"]
    assert harness.wait(days=1) == []
    assert harness.wait(days=1) == ["seats_released ben (changed)"]


def test_a_dated_release_moves_with_a_test_clock_in_time_order() -> None:
    harness = opened(1, over_limit="flag", grace="P2D", test=True)
    harness.assign("ada", "time", **release())
    harness.assign("ben", "time")
    assert harness.tick() == []
    assert harness.clock(START + 30 * DAY) == [
        "seats_released ada (changed)",
        "seat_flag_cleared ben time (seat_released)",
        "clock_settled (clock_advanced)",
    ]


def test_a_duplicate_or_stale_command_leaves_the_dated_release() -> None:
    harness = opened(1)
    harness.assign("ada", "time", **release())
    harness.repeat()
    assert harness.assign("ada", "time", revision=1) == ["command_ignored ada (stale)"]
    assert harness.wait(days=1) == ["seats_released ada (changed)"]
    assert harness.assign("ada", "time", revision=1) == ["command_ignored ada (stale)"], "an old command does not bring it back"
    assert harness.assign("ada", "time")[0] == "seats_assigned ada: time=active/licence_free"


# A leaving that is taken back -----------------------------------------------------------------------------------------


def left(harness: SeatsHarness, user: str) -> list[str]:
    return harness.assign(user, reason="left", leaver=True, reversible=True)


@pytest.mark.parametrize("reduce_at", ["now", "period_end"])
@pytest.mark.parametrize("dated", [False, True], ids=["on the day", "dated"])
def test_M9_a_leaving_that_is_taken_back_gives_the_licences_back(reduce_at: str, dated: bool) -> None:
    harness = opened(3, terminate_reduces_pool=True, reduce_at=reduce_at)
    people = ["ada", "ben", "cid"]
    for user in people:
        harness.assign(user, "time", **release(leaver=True) if dated else {})
    if dated:
        harness.wait(days=1)
    for user in people:
        left(harness, user)
    assert harness.licences("time") == ((1, 1) if reduce_at == "now" else (3, 1)), "the last licence stays"
    for user in people:
        assert f"seats_assigned {user}: time=active/licence_free" in harness.assign(user, "time", leaving_withdrawn=True)
    assert harness.licences("time") == (3, 3)
    assert harness.seats("time") == dict.fromkeys(people, "active")
    again = harness.assign("ada", "time", leaving_withdrawn=True)
    assert again == ["seats_assigned ada: time=active"], "it is taken back once"


def test_M9_a_licence_that_comes_back_goes_to_the_person_who_comes_back() -> None:
    harness = opened(2, over_limit="flag", terminate_reduces_pool=True, reduce_at="now")
    harness.assign("ada", "time")
    harness.assign("ben", "time")
    left(harness, "ada")
    harness.assign("cid", "time")
    assert harness.seats("time") == {"ben": "active", "cid": "flagged"}
    assert harness.assign("ada", "time", leaving_withdrawn=True)[:2] == [
        "pool_restored time (leaving_withdrawn)",
        "seats_assigned ada: time=active/licence_free",
    ]
    assert harness.seats("time") == {"ada": "active", "ben": "active", "cid": "flagged"}


def test_M9_a_licence_that_comes_back_and_is_not_taken_is_reallocated() -> None:
    harness = opened(2, over_limit="flag", terminate_reduces_pool=True, reduce_at="now")
    harness.pool("plan", 1, over_limit="reject")
    harness.assign("ada", "time")
    left(harness, "ada")
    harness.assign("ben", "time", "plan")
    harness.assign("cid", "time")
    refused = harness.assign("ada", "time", "plan", leaving_withdrawn=True)
    assert refused[1] == "seats_refused ada: time=refused/other_module_refused plan=refused/pool_full"
    assert "seat_flag_cleared cid time (licence_free)" in refused


@pytest.mark.parametrize("since", ["bought", "reduced", "scheduled", "closing", "period"])
def test_M9_a_reduction_stays_if_the_numbers_were_set_since(since: str) -> None:
    harness = opened(4, terminate_reduces_pool=True, reduce_at="now")
    harness.assign("ada", "time")
    left(harness, "ada")
    match since:
        case "bought":
            harness.buy(time=1)
        case "reduced":
            harness.reduce(time=1)
        case "scheduled":
            harness.next_period(time=2)
        case "closing":
            harness.close("time", "period_end", ending=True)
        case "period":
            harness.schedule("april", START + DAY)
            harness.wait(days=1)
    before = harness.licences("time")
    assert harness.assign("ada", "time", leaving_withdrawn=True)[0] == "reduction_kept ada time (leaving_withdrawn)"
    assert harness.licences("time") == before


def test_M9_an_expansion_or_another_leaver_does_not_keep_a_reduction() -> None:
    harness = opened(2, over_limit="expand", expand_cap=9, terminate_reduces_pool=True, reduce_at="now")
    for user in ("ada", "ben"):
        harness.assign(user, "time")
    left(harness, "ada")
    harness.assign("cid", "time")
    left(harness, "cid")
    assert harness.licences("time") == (1, 1)
    assert harness.assign("ada", "time", leaving_withdrawn=True)[0] == "pool_restored time (leaving_withdrawn)"
    assert harness.licences("time") == (2, 2)


def test_M9_only_a_leaving_that_is_taken_back_gives_licences_back() -> None:
    harness = opened(2, over_limit="reject", terminate_reduces_pool=True, reduce_at="now")
    for user in ("ada", "ben"):
        harness.assign(user, "time")
    left(harness, "ada")
    assert harness.assign("ada", "time") == ["seats_refused ada: time=refused/pool_full"], "hired again, under the policy of the pool"
    assert harness.assign("ada", "time", leaving_withdrawn=True) == ["seats_refused ada: time=refused/pool_full"]
    harness.close("time")
    harness.assign("ada", "docs", leaving_withdrawn=True)
    assert harness.licences("docs") == (2, 2)


def test_a_leaver_of_an_earlier_release_of_users_is_decided_to_the_byte_as_before() -> None:
    harness = opened(3, terminate_reduces_pool=True, reduce_at="now")
    harness.assign("ada", "time")
    harness.assign("ada", leaver=True)
    assert "reduced" not in harness.event("seats_assigned")
    assert harness.assign("ada", "time", leaving_withdrawn=True) == ["seats_assigned ada: time=active/licence_free"]
