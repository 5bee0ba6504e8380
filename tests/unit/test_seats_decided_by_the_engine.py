"""What the specification leaves open and the engine decides (docs/rules.md, "Decided by the engine"), where no other test shows it."""

from datetime import timedelta

from services.seats import domain
from shared.schemas import seats_v1
from shared.schemas.seats_v1 import Reason
from tests.support.seats_harness import INVOICING, START, SeatsHarness

DAY = timedelta(days=1)


def company(base: tuple[str, ...] = (), over_limit: str = "flag", **licences: int) -> SeatsHarness:
    harness = SeatsHarness()
    for module, number in licences.items():
        harness.pool(module, number, base=module in base, over_limit=over_limit)
    return harness


def test_E8_A6_a_licence_freed_by_a_due_item_and_taken_by_the_same_command_is_no_crossing() -> None:
    harness = company(time=1)
    harness.assign("ada", "time", hold_until=START + DAY)
    harness.now += DAY
    assert harness.assign("ben", "time") == ["hold_expired ada time (hold_expired)", "seats_assigned ben: time=active/licence_free"]


def test_a_rejected_command_uses_up_its_number_and_an_unreadable_one_does_not() -> None:
    harness = company(time=2)
    number = harness.number(INVOICING)
    assert harness.send(seats_v1.ClosePool(number=number, module="docs", at="now")) == ["command_rejected (unknown_module)"]
    assert harness.send(seats_v1.ClosePool(number=number, module="time", at="now")) == ["command_ignored (stale)"]
    command = domain.Command("c", INVOICING, "acme", None, 0, harness.offset + 1)
    event = domain.rejected(command, harness.tenant, domain.to_ms(harness.now), str(Reason.UNREADABLE))
    assert event.type.endswith("command_rejected")
    assert dict(harness.tenant.rows()) == harness.rows, "it changes nothing"


def test_a_person_who_drops_the_full_module_of_two_is_served_before_the_answer() -> None:
    harness = company(over_limit="wait", docs=1, plan=1)
    harness.assign("ben", "docs")
    assert harness.assign("ada", "docs", "plan") == ["seats_queued ada: docs=waiting/pool_full plan=waiting/pool_full"]
    assert harness.assign("ada", "plan") == [
        "seat_granted ada plan (seat_released)",
        "seats_assigned ada: plan=active",
        "pool_at_limit plan (limit_reached)",
    ]


def test_a_hold_is_claimed_also_when_the_rest_of_the_assignment_is_refused() -> None:
    harness = company(over_limit="reject", time=1, docs=1)
    harness.assign("ada", "docs")
    harness.assign("ben", "time", hold_until=START + DAY)
    assert harness.assign("ben", "time", "docs") == ["seats_refused ben: time=active docs=refused/pool_full"]
    assert harness.wait(days=2) == []


def test_an_administrator_with_only_a_hold_does_not_count_as_seated() -> None:
    harness = company(base=("time",), time=3)
    harness.assign("ada", "time", administrator=True)
    harness.assign("eve", "time", administrator=True, hold_until=START + 9 * DAY)
    harness.assign("ben", "time", created_at=START - DAY)
    expected = ["licences_reduced (ordered)", "hold_cancelled eve time (reduction)", "seat_flagged ben time (reduction)"]
    assert harness.reduce(time=2) == expected, "ada stays: the hold of eve leaves the tenant without another administrator"


def test_a_flag_without_a_deadline_is_not_remembered() -> None:
    harness = company(base=("time",), time=1)
    harness.assign("ben", "time", hold_until=START + 9 * DAY)
    assert harness.assign("ada", "time", administrator=True) == ["seats_assigned ada: time=flagged/last_administrator"]
    assert harness.deadline("ada", "time") is None
    harness.wait(days=1)
    harness.assign("ada", administrator=True)
    assert harness.assign("ada", "time") == ["seats_assigned ada: time=flagged/over_limit"]
    assert harness.deadline("ada", "time") == 7 * DAY


def test_T6_exactly_thirty_days_after_the_flag_it_is_still_remembered() -> None:
    harness = company(time=1)
    harness.assign("ada", "time")
    harness.assign("ben", "time")
    harness.wait(days=30)
    assert harness.assign("ben", "time", reactivate=("time",)) == ["seats_refused ben: time=refused/grace_used"]


def test_A17_a_replacement_releases_the_rest_without_counting_the_source_user_as_a_leaver() -> None:
    harness = SeatsHarness()
    for module in ("time", "docs"):
        harness.pool(module, 2, terminate_reduces_pool=True, reduce_at="now")
    harness.assign("ada", "time", "docs")
    assert harness.replace("ada", "eve", "docs") == ["seats_moved eve: docs=active"]
    assert (harness.seats("time"), harness.licences("time"), harness.licences("docs")) == ({}, (2, 2), (2, 2))


def test_A17_a_user_cannot_be_replaced_with_the_same_user() -> None:
    harness = company(time=1)
    harness.assign("ada", "time")
    assert harness.replace("ada", "ada", "time") == ["replacement_refused ada (unknown_user)"]
    assert harness.seats("time") == {"ada": "active"}


def test_B12_under_block_the_present_number_of_licences_is_allowed_also_below_use() -> None:
    harness = SeatsHarness()
    harness.pool("docs", 1, reduce_below_use="block")
    harness.assign("ada", "docs")
    harness.assign("ben", "docs")  # flagged: two in use, one licence
    assert harness.next_period(docs=1) == ["reduction_scheduled (scheduled)"]


def test_an_order_that_expects_no_period_is_refused_while_the_tenant_has_one() -> None:
    harness = company(time=1)
    harness.schedule("2013-11", START)
    assert harness.buy(time=1, expected=harness.expected({"time": 1}, None)) == ["order_refused (expected_differs)"]


def test_only_the_pools_that_an_order_names_in_expected_are_compared() -> None:
    harness = company(time=1, docs=1)
    nothing = seats_v1.Expected(period=None, pools=())
    assert harness.buy(time=1, expected=nothing) == ["licences_added (ordered)"]
    another = seats_v1.Expected(period=None, pools=(seats_v1.ExpectedPool(module="docs", licences=9, next_period=9),))
    assert harness.buy(time=1, expected=another) == ["order_refused (expected_differs)"]
