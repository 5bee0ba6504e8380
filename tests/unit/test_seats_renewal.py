"""The confirmation of a scheduled reduction says what the renewal does, if nothing else changes (T18)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.seats import domain
from shared.schemas.seats_v1 import DatedRelease
from tests.support.seats_harness import START, SeatsHarness

DAY = timedelta(days=1)
APRIL = START + 17 * DAY
BOTH = pytest.mark.parametrize("policy", ["block", "flag_newest"])


def company(licences: int, *users: str, base: bool = True, **policies: Any) -> SeatsHarness:
    """People who use the module `time`, the first one created first, and a period that begins in April."""
    harness = SeatsHarness()
    harness.pool("time", licences, base=base, **policies)
    for n, user in enumerate(users):
        harness.assign(user, "time", created_at=START + timedelta(minutes=n))
    harness.schedule("april", APRIL)
    return harness


def leaves(harness: SeatsHarness, user: str, *modules: str, days: int = 0, **rest: Any) -> list[str]:
    """The person's last working day is the last day of March, or so many days later."""
    release = DatedRelease(at=APRIL + days * DAY, modules=(), leaver=True)
    return harness.assign(user, *(modules or ("time",)), release=release, **rest)


def confirmed(harness: SeatsHarness, **numbers: int) -> dict[str, list[str]]:
    assert harness.next_period(**numbers) == ["reduction_scheduled (scheduled)"]
    return {each["module"]: list(each["users"]) for each in harness.event("reduction_scheduled")["would_flag"]}


def confirmed_reservations(harness: SeatsHarness) -> dict[str, list[str]]:
    """Return what the last confirmation says of reservations."""
    return {each["module"]: list(each["users"]) for each in harness.event("reduction_scheduled").get("would_cancel", ())}


def people(events: list[domain.Event], name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for event in events:
        if event.type.endswith(f".{name}"):
            found.setdefault(event.body["module"], []).append(event.body["user"])
    return found


def flagged(events: list[domain.Event]) -> dict[str, list[str]]:
    return people(events, "seat_flagged")


def cancelled(events: list[domain.Event]) -> dict[str, list[str]]:
    return people(events, "hold_cancelled")


def renewal(harness: SeatsHarness) -> list[domain.Event]:
    """Let time pass day by day to the renewal, and return its events."""
    began: list[domain.Event] = []
    while harness.now < APRIL:
        harness.wait(days=1)
        names = [event.type.rpartition(".")[2] for event in harness.events]
        began = harness.events[names.index("period_started") :] if "period_started" in names else []
    return began


def renewed(harness: SeatsHarness) -> dict[str, list[str]]:
    """Let time pass day by day to the renewal, and return whom it flags."""
    return flagged(renewal(harness))


def until_renewal(harness: SeatsHarness) -> list[domain.Event]:
    rows, now, then = harness.tenant.rows(), domain.to_ms(harness.now), domain.to_ms(APRIL)
    return domain.forecast(rows, now, then, domain.Budget(1000), offset=harness.offset + 1).events


def forecast(harness: SeatsHarness) -> dict[str, list[str]]:
    return flagged(until_renewal(harness))


@BOTH
def test_T18_B12_the_seat_of_a_leaver_of_the_last_day_does_not_count_in_the_next_period(policy: str) -> None:
    harness = company(4, "ada", "ben", "cid", "dan", reduce_below_use=policy)
    leaves(harness, "ben")
    assert confirmed(harness, time=3) == {}
    assert renewed(harness) == {}
    assert harness.event("period_started")["reason"] == "period_began"
    assert harness.event("period_started")["former"] == [{"module": "time", "quantity": 4}], "T19: the e-mail names both numbers"
    assert (harness.licences("time"), harness.seats("time")) == ((3, 3), dict.fromkeys(("ada", "cid", "dan"), "active"))


def test_T18_M15_a_leaving_that_is_taken_back_is_in_the_forecast_and_its_event_shows_the_pool() -> None:
    harness = company(4, "ada", "ben", "cid", "dan")
    leaves(harness, "ben")
    assert confirmed(harness, time=3) == {}
    assert forecast(harness) == {}
    leaves(harness, "ben")
    assert harness.event("seats_assigned")["pools"] == [], "the same leaving once more changes no forecast"
    leaves(harness, "ben", days=1)
    assert [pool["active"] for pool in harness.event("seats_assigned")["pools"]] == [4]
    assert forecast(harness) == {"time": ["dan"]}
    leaves(harness, "ben")
    harness.assign("ben", "time")
    assert [pool["active"] for pool in harness.event("seats_assigned")["pools"]] == [4]
    assert forecast(harness) == {"time": ["dan"]} == renewed(harness)


def test_B12_T18_under_block_a_leaving_that_is_taken_back_limits_the_reduction() -> None:
    harness = company(4, "ada", "ben", "cid", "dan", reduce_below_use="block")
    leaves(harness, "ben")
    assert confirmed(harness, time=3) == {}
    harness.assign("ben", "time")
    assert forecast(harness) == {} == renewed(harness)
    assert harness.event("period_started")["reduction_limited"] == ["time"]
    assert harness.event("period_started")["former"] == []
    assert harness.licences("time") == (4, 4)


def test_T18_B13_a_leaver_of_the_first_day_of_the_next_period_still_counts() -> None:
    harness = company(4, "ada", "ben", "cid", "dan")
    leaves(harness, "ben", days=1)
    assert confirmed(harness, time=3) == {"time": ["dan"]}
    harness.next_period(time=4)
    harness.policy("time", reduce_below_use="block")
    assert harness.next_period(time=3) == ["reduction_refused time (below_use)"]
    assert harness.event("reduction_refused")["must_free"] == 1
    assert harness.licences("time") == (4, 4), "a refused reduction changes nothing"


def test_B13_the_refusal_counts_the_seats_in_use_at_the_renewal() -> None:
    harness = company(4, "ada", "ben", "cid", "dan", reduce_below_use="block")
    leaves(harness, "ben")
    assert harness.next_period(time=1) == ["reduction_refused time (below_use)"]
    assert harness.event("reduction_refused")["must_free"] == 2


def test_M8_a_reduction_at_once_counts_the_seats_of_today() -> None:
    harness = company(4, "ada", "ben", "cid", "dan", reduce_below_use="block")
    leaves(harness, "ben")
    assert harness.reduce(time=1) == ["reduction_refused time (below_use)"]
    harness.policy("time", reduce_below_use="flag_newest")
    assert harness.reduce(time=1) == ["licences_reduced (ordered)", "seat_flagged dan time (reduction)"]


def someone_waits(harness: SeatsHarness) -> None:
    harness.policy("time", over_limit="wait")
    harness.assign("eve", "time", created_at=START + DAY)


def someone_is_flagged(harness: SeatsHarness) -> None:
    harness.policy("time", over_limit="flag", grace="P60D")
    harness.assign("eve", "time", created_at=START + DAY)


def a_grace_ends(harness: SeatsHarness) -> None:
    harness.policy("time", over_limit="flag", grace="P3D")
    harness.assign("eve", "time", created_at=START + DAY)


def a_hold_lasts(harness: SeatsHarness) -> None:
    harness.assign("dan")
    harness.assign("hal", "time", hold_until=APRIL + DAY)


def a_hold_ends(harness: SeatsHarness) -> None:
    harness.assign("dan")
    harness.assign("hal", "time", hold_until=APRIL)


def a_leaver_takes_the_licence_along_then(harness: SeatsHarness) -> None:
    harness.policy("time", terminate_reduces_pool=True, reduce_at="period_end")
    leaves(harness, "ben")


def a_leaver_takes_the_licence_along_at_once(harness: SeatsHarness) -> None:
    harness.policy("time", terminate_reduces_pool=True, reduce_at="now")
    leaves(harness, "ben")


def the_other_base_pool_closes_with_the_last_other_administrator(harness: SeatsHarness) -> None:
    """Then dan is the last administrator, whom a reduction passes over."""
    harness.pool("core", 1, base=True)
    harness.assign("eva", "core", administrator=True)
    harness.assign("dan", "time", administrator=True, created_at=START + timedelta(minutes=3))
    harness.close("core", "period_end")


def the_subscription_was_to_end(harness: SeatsHarness) -> None:
    harness.close("time", "period_end", ending=True)


@pytest.mark.parametrize(
    ("happens", "leaver", "number", "expected"),
    [
        (someone_waits, "ben", 3, ["eve"]),  # eve gets ben's seat, and is the newest
        (someone_waits, "ben", 4, []),
        (someone_is_flagged, "ben", 3, ["eve"]),  # ben's seat clears the flag; the reduction sets a new one with a full grace
        (someone_is_flagged, "ben", 4, []),
        (a_grace_ends, None, 3, ["dan"]),  # eve is revoked before
        (a_grace_ends, "ben", 3, []),
        (a_hold_lasts, None, 3, []),  # a reduction takes holds first
        (a_hold_lasts, None, 2, ["cid"]),
        (a_hold_lasts, "ben", 2, []),
        (a_hold_ends, "ben", 1, ["cid"]),
        (a_leaver_takes_the_licence_along_then, None, 4, []),  # his leaving lowers the number to 3
        (a_leaver_takes_the_licence_along_then, None, 3, ["dan"]),  # it is the customer's number that is lowered (M9)
        (a_leaver_takes_the_licence_along_at_once, None, 3, []),
        (a_leaver_takes_the_licence_along_at_once, "cid", 2, []),
        (the_other_base_pool_closes_with_the_last_other_administrator, "ben", 2, ["cid"]),
        (the_subscription_was_to_end, "ben", 3, []),
        (the_subscription_was_to_end, None, 3, ["dan"]),
    ],
)
def test_T18_the_confirmation_names_whom_the_renewal_flags(
    happens: Callable[[SeatsHarness], None], leaver: str | None, number: int, expected: list[str]
) -> None:
    harness = company(4, "ada", "ben", "cid", "dan")
    happens(harness)
    if leaver is not None:
        leaves(harness, leaver, created_at=START + timedelta(minutes=1))
    assert confirmed(harness, time=number).get("time", []) == expected
    assert forecast(harness).get("time", []) == expected
    assert renewed(harness).get("time", []) == expected


@pytest.mark.parametrize(
    ("happens", "number", "reservations", "over"),
    [
        (a_hold_lasts, 4, [], []),
        (a_hold_lasts, 3, ["hal"], []),  # ada, ben and cid keep their seats
        (a_hold_lasts, 2, ["hal"], ["cid"]),
        (a_hold_ends, 3, [], []),  # it expires before
        (someone_waits, 3, [], ["dan"]),
    ],
)
def test_T18_the_confirmation_counts_the_reservations_that_the_renewal_cancels(
    happens: Callable[[SeatsHarness], None], number: int, reservations: list[str], over: list[str]
) -> None:
    harness = company(4, "ada", "ben", "cid", "dan")
    happens(harness)
    assert confirmed(harness, time=number).get("time", []) == over
    assert confirmed_reservations(harness).get("time", []) == reservations
    assert ("would_cancel" in harness.event("reduction_scheduled")) is bool(reservations), "absent, as in older messages, if there is none"
    assert cancelled(until_renewal(harness)).get("time", []) == reservations
    began = renewal(harness)
    assert (cancelled(began).get("time", []), flagged(began).get("time", [])) == (reservations, over)


def test_T18_B12_under_block_no_reservation_ends() -> None:
    harness = company(3, "ada", "ben", reduce_below_use="block")
    confirmed(harness, time=2)
    harness.assign("hal", "time", hold_until=APRIL + DAY)
    assert harness.next_period(time=2) == ["reduction_refused time (below_use)"]
    assert cancelled(renewal(harness)) == {}
    assert harness.licences("time") == (3, 3)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_T18_what_the_confirmation_says_is_what_the_renewal_does(data: st.DataObject) -> None:
    """Generated pools: seats, reservations that last or end before, people who wait or leave, policies, administrators."""
    harness = SeatsHarness()
    modules = ("time", "core", "docs")
    for module in modules:
        licences = data.draw(st.integers(2, 6), label=f"licences of {module}")
        policies = {
            "over_limit": data.draw(st.sampled_from(["flag", "wait", "reject"])),
            "grace": data.draw(st.sampled_from(["P3D", "P60D"])),
        }
        policies["reduce_below_use"] = data.draw(st.sampled_from(["flag_newest", "flag_newest", "flag_newest", "block"]))
        harness.pool(module, licences, base=module != "docs", terminate_reduces_pool=data.draw(st.booleans()), **policies)
    for n in range(data.draw(st.integers(3, 10), label="people")):
        wanted = data.draw(st.lists(st.sampled_from(modules), min_size=1, unique=True))
        day = data.draw(st.sampled_from([None, None, None, -1, 0, 1]), label="of the end of a reservation, counted from the renewal")
        last = data.draw(st.sampled_from([None, None, None, -1, 0, 1]), label="day of leaving")
        release = None if last is None else DatedRelease(at=APRIL + last * DAY, modules=(), leaver=True)
        harness.assign(
            f"user-{n}",
            *wanted,
            created_at=START + timedelta(minutes=data.draw(st.integers(0, 3))),
            hold_until=None if day is None else APRIL + day * DAY,
            administrator=data.draw(st.booleans()),
            partial=True,
            release=release,
        )
    harness.schedule("april", APRIL)
    if data.draw(st.booleans(), label="core closes"):
        harness.close("core", "period_end")
    numbers = {module: data.draw(st.integers(1, harness.licences(module)[0] - 1)) for module in ("time", "docs")}
    if harness.next_period(**numbers) != ["reduction_scheduled (scheduled)"]:
        return
    answer = harness.event("reduction_scheduled")
    foretold = {field: {each["module"]: each["users"] for each in answer.get(field, ())} for field in ("would_cancel", "would_flag")}
    for field, of_module in foretold.items():
        assert {each["module"]: each["count"] for each in answer.get(field, ())} == {
            module: len(users) for module, users in of_module.items()
        }
    began = renewal(harness)
    did = {"would_cancel": cancelled(began), "would_flag": flagged(began)}
    assert foretold == {field: {module: users for module, users in of.items() if module in numbers} for field, of in did.items()}


def test_T18_T6_the_newest_are_flagged_at_the_renewal_with_a_full_grace_and_those_still_flagged_at_its_end_are_revoked() -> None:
    """Day by day. On the third day of the grace somebody leaves, and the first flag of the renewal is cleared."""
    harness = company(4, "ada", "ben", "cid", "dan", grace="P7D")
    assert confirmed(harness, time=2) == {"time": ["dan", "cid"]}
    assert harness.seats("time") == dict.fromkeys(("ada", "ben", "cid", "dan"), "active"), "nobody is flagged before the renewal"
    assert renewed(harness) == {"time": ["dan", "cid"]}
    assert [harness.deadline(user, "time") for user in ("cid", "dan")] == [7 * DAY] * 2
    assert harness.licences("time") == (2, 2)
    days = [harness.wait(days=1) for _ in range(3)]
    leaving = harness.assign("ada", created_at=START, leaver=True)
    days += [harness.wait(days=1) for _ in range(4)]
    assert leaving == ["seat_flag_cleared dan time (seat_released)", "seats_assigned ada:"]
    assert days == [[]] * 6 + [["seat_revoked cid time (grace_expired)"]]
    assert harness.seats("time") == {"ben": "active", "dan": "active"}


def test_T18_A18_a_leaver_counts_in_each_module_and_a_move_only_in_those_it_gives_up() -> None:
    harness = SeatsHarness()
    harness.pool("time", 3, base=True)
    harness.pool("docs", 3)
    for n, user in enumerate(("ada", "ben", "cid")):
        harness.assign(user, "time", "docs", created_at=START + timedelta(minutes=n))
    harness.schedule("april", APRIL)
    leaves(harness, "ada", "time", "docs")
    harness.assign("ben", "time", "docs", release=DatedRelease(at=APRIL, modules=("time",), leaver=False), created_at=START + DAY)
    assert confirmed(harness, time=1, docs=1) == {"time": ["ben"]}
    assert renewed(harness) == {"time": ["ben"]}


def test_T18_only_the_next_of_several_periods_counts_and_without_one_the_seats_of_today() -> None:
    harness = SeatsHarness()
    harness.pool("time", 2, base=True)
    harness.assign("ada", "time")
    harness.assign("ben", "time", created_at=START + DAY)
    leaves(harness, "ada")
    assert confirmed(harness, time=1) == {"time": ["ben"]}, "no period is scheduled"
    harness.schedule("may", APRIL + 30 * DAY)
    assert confirmed(harness, time=1) == {}
    harness.schedule("april", APRIL - DAY)
    assert confirmed(harness, time=1) == {"time": ["ben"]}


def test_T18_the_only_administrator_without_the_pools_that_close_is_passed_over_also_while_no_period_is_scheduled() -> None:
    harness = SeatsHarness()
    harness.pool("time", 2, base=True)
    harness.pool("core", 1, base=True)
    harness.assign("cid", "core", administrator=True)
    harness.assign("ada", "time")
    harness.assign("fay", "time", created_at=START + DAY, administrator=True)
    assert confirmed(harness, time=1) == {"time": ["fay"]}, "cid is an administrator as well"
    harness.close("core", "period_end")
    assert confirmed(harness, time=1) == {"time": ["ada"]}
    harness.schedule("april", APRIL)
    assert confirmed(harness, time=1) == {"time": ["ada"]} == renewed(harness)


def test_the_look_at_the_renewal_leaves_every_row_and_queue_as_it_was() -> None:
    """All kinds of due items before the renewal: releases, holds, graces, thresholds, a pool that closes, a queue that is served."""
    harness = company(3, "ada", "ben", over_limit="wait", warn_at="50%")
    harness.pool("core", 1, base=True, over_limit="flag", grace="P2D")
    harness.pool("docs", 1, over_limit="wait")
    harness.assign("cid", "core", "docs", administrator=True)
    harness.assign("dan", "core")
    harness.assign("hal", "time", hold_until=START + DAY)
    for user in ("eva", "fay"):
        harness.assign(user, "time", "docs", partial=True)
    harness.assign("gus", "docs")
    leaves(harness, "ada")
    harness.close("core", "period_end")
    harness.assign("cid", "core", "docs", administrator=True, release=DatedRelease(at=START + 4 * DAY, modules=(), leaver=True))
    before = dict(harness.tenant.rows())
    assert confirmed(harness, time=1, docs=1) == {"time": ["ben", "fay"]}  # `keep` compares all that is derived from the rows
    after = dict(harness.tenant.rows())
    assert {key for key in after if after[key] != before[key]} == {
        domain.tenant_key("acme"),
        domain.pool_key("acme", "time"),
        domain.pool_key("acme", "docs"),
    }
    assert renewed(harness) == {"time": ["ben", "fay"]}
