"""The end of a subscription in seats: `ending` of `close_pool`, what a purchase and an expansion change meanwhile, and taking it back."""

from datetime import timedelta
from typing import Any

import pytest

from services.seats import domain
from services.seats.replay.commands import shown
from tests.support.seats_harness import START, SeatsHarness

APRIL = START + timedelta(days=10)


def subscribed(**policies: object) -> SeatsHarness:
    """Three licences of the base module `time` and two of `docs`, in the period `march`; `april` is scheduled."""
    harness = SeatsHarness()
    harness.pool("time", 3, base=True, **policies)
    harness.pool("docs", 2)
    harness.schedule("march", START)
    harness.schedule("april", APRIL)
    for user in ("ada", "ben"):
        harness.assign(user, "time", "docs")
    return harness


def end(harness: SeatsHarness, at: str = "period_end") -> None:
    for module in sorted(harness.tenant.pools):
        harness.close(module, at, ending=True)


def former(harness: SeatsHarness, module: str) -> int | None:
    return harness.tenant.pools[module].row.former_next


@pytest.mark.parametrize("at", ["now", "period_end"])
def test_T14_the_last_base_pool_is_closed_only_with_the_whole_subscription(at: str) -> None:
    harness = subscribed()
    assert harness.close("time", at) == ["reduction_refused time (last_base_module)"]
    assert harness.event("reduction_refused")["instead"].startswith("end the whole subscription")
    assert harness.licences("time") == (3, 3)
    assert harness.close("docs", at)[0] == {"now": "pool_closed docs (pool_closed)"}.get(at, "pool_close_scheduled docs (scheduled)")


def test_T14_of_two_base_pools_the_second_is_not_closed_while_the_first_is_to_close() -> None:
    harness = subscribed()
    harness.pool("core", 1, base=True)
    assert harness.close("core", "period_end") == ["pool_close_scheduled core (scheduled)"]
    assert harness.close("time", "now") == ["reduction_refused time (last_base_module)"]
    assert harness.close("core", "now") == ["pool_closed core (pool_closed)"]


def test_a_purchase_does_not_take_back_that_the_subscription_ends() -> None:
    harness = subscribed()
    end(harness)
    assert harness.buy(time=2) == ["licences_added (ordered)"]
    assert (harness.licences("time"), former(harness, "time")) == ((5, 0), 3)


def test_an_expansion_does_not_take_back_that_the_subscription_ends() -> None:
    harness = subscribed(over_limit="expand", expand_cap=9)
    end(harness)
    for user in ("cid", "dan"):
        harness.assign(user, "time")
    assert (harness.licences("time"), former(harness, "time")) == ((4, 0), 3)
    assert harness.event("pool_expanded")["pools"][0]["former_next_period"] == 3


def test_at_the_end_nobody_keeps_a_seat_and_the_queue_is_not_served() -> None:
    harness = subscribed(over_limit="wait")
    for user in ("cid", "dan"):
        harness.assign(user, "time")
    end(harness)
    assert harness.wait(days=10) == [
        "period_started (period_began)",
        "pool_closed docs (period_began)",
        "seat_released ada docs (pool_closed)",
        "seat_released ben docs (pool_closed)",
        "pool_closed time (period_began)",
        *(f"seat_released {user} time (pool_closed)" for user in ("ada", "ben", "cid", "dan")),
    ]
    assert (harness.tenant.pools, harness.seats("time")) == ({}, {})
    assert harness.assign("ada", "time") == ["seats_refused ada: time=refused/unknown_module"]


def test_an_ending_is_taken_back_with_the_numbers_of_before() -> None:
    harness = subscribed()
    harness.next_period(time=2)
    end(harness)
    harness.buy(time=1)
    harness.close("time", "period_end", ending=True)  # sent again: the number of before is kept
    assert former(harness, "time") == 2
    assert harness.next_period(time=2, docs=2) == ["reduction_scheduled (scheduled)"]
    assert harness.event("reduction_scheduled")["kept"] == ["time", "docs"]
    assert (harness.licences("time"), former(harness, "time"), former(harness, "docs")) == ((4, 2), None, None)
    assert harness.wait(days=10)[0] == "period_started (period_began)"
    assert (harness.licences("time"), harness.licences("docs")) == ((2, 2), (2, 2))


def test_an_ending_is_taken_back_on_its_last_day_but_not_after_it() -> None:
    for late, answer in ((0, "reduction_refused time (unknown_module)"), (1, "reduction_scheduled (scheduled)")):
        harness = subscribed()
        end(harness)
        harness.wait(days=10, seconds=-late)
        assert harness.next_period(time=3, docs=2)[-1] == answer


def test_B12_an_ending_is_taken_back_also_where_block_and_use_would_refuse_the_number_of_before() -> None:
    harness = subscribed(reduce_below_use="block")
    end(harness)
    harness.buy(time=2)
    for user in ("cid", "dan", "eve"):
        harness.assign(user, "time")
    assert harness.next_period(time=3, docs=2) == ["reduction_scheduled (scheduled)"]
    assert harness.wait(days=10) == ["period_started (reduction_limited)"]
    assert harness.licences("time") == (5, 5)
    assert harness.next_period(time=3) == ["reduction_refused time (below_use)"]


def test_a_pool_that_was_to_close_by_itself_can_be_made_to_close_by_itself_again() -> None:
    harness = subscribed()
    harness.close("docs", "period_end")
    end(harness)
    assert former(harness, "docs") == 0
    harness.next_period(time=3)
    assert harness.close("docs", "period_end") == ["pool_close_scheduled docs (scheduled)"]
    assert (harness.licences("docs"), former(harness, "docs")) == ((2, 0), None)
    harness.buy(docs=1)
    assert harness.licences("docs") == (3, 3), "a purchase keeps a pool that closes by itself"


def test_M9_a_leaver_lowers_the_licences_of_a_pool_that_ends_and_not_the_number_of_before() -> None:
    harness = subscribed(terminate_reduces_pool=True, reduce_at="now")
    end(harness)
    harness.assign("ada", leaver=True, reversible=True)
    assert (harness.licences("time"), former(harness, "time")) == ((2, 0), 3)
    harness.assign("ada", "time", leaving_withdrawn=True)
    assert (harness.licences("time"), former(harness, "time")) == ((3, 0), 3)


def test_the_scheduled_period_of_a_subscription_that_ended_at_once_does_not_begin_in_a_later_one() -> None:
    harness = subscribed()
    end(harness, "now")
    assert harness.tenant.row.scheduled == ()
    harness.pool("time", 4, base=True)
    harness.next_period(time=1)
    assert harness.wait(days=30) == []
    assert harness.licences("time") == (4, 1)


def test_what_if_and_forecast_know_of_the_end() -> None:
    harness = subscribed()
    end(harness)
    rows = list(harness.tenant.rows())
    seen = domain.forecast(rows, domain.to_ms(harness.now), domain.to_ms(APRIL), domain.Budget(1000), offset=harness.offset + 1)
    assert (seen.pools, [event.type.rpartition(".")[2] for event in seen.events].count("seat_released")) == ([], 4)
    assert "ends with the subscription" in "\n".join(shown("acme", dict(rows)))  # `seatpool replay`


@pytest.mark.parametrize("by", ["open", "policy", "unset"])
def test_M12_a_pool_without_expand_cap_does_not_expand(by: str) -> None:
    harness = SeatsHarness()
    if by == "open":
        answer = harness.pool("docs", 1, over_limit="expand")
    else:
        given: dict[str, Any] = {"over_limit": "expand", "expand_cap": 2} if by == "unset" else {}
        harness.pool("docs", 1, **given)
        answer = harness.policy("docs", *(["expand_cap"] if by == "unset" else []), over_limit="expand")
    assert answer == ["command_rejected (invalid_policy)"]
    rejected = harness.event("command_rejected")
    assert (rejected["field"], rejected["value"]) == ("policies.expand_cap", "none")
    assert "over_limit is expand" in rejected["expected"]


def test_M12_a_cap_that_was_set_before_is_enough() -> None:
    harness = SeatsHarness()
    harness.pool("docs", 1, expand_cap=2)
    assert harness.policy("docs", over_limit="expand") == ["policy_changed docs (policy_set)"]
    assert harness.policy("docs", "expand_cap", over_limit="flag") == ["policy_changed docs (policy_set)"]
