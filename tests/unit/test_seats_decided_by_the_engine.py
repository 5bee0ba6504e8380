"""What the specification leaves open and the engine decides (docs/rules.md, "Decided by the engine"), where no other test shows it."""

from datetime import timedelta

from services.seats import domain
from shared.schemas import seats_v1
from shared.schemas.seats_v1 import Reason
from tests.support.seat_world import INVOICING, START, World

DAY = timedelta(days=1)


def company(base: tuple[str, ...] = (), over_limit: str = "flag", **licences: int) -> World:
    world = World()
    for module, number in licences.items():
        world.pool(module, number, base=module in base, over_limit=over_limit)
    return world


def test_E8_A6_a_licence_freed_by_a_due_item_and_taken_by_the_same_command_is_no_crossing() -> None:
    world = company(time=1)
    world.need("ada", "time", hold_until=START + DAY)
    world.now += DAY
    assert world.need("ben", "time") == ["hold_expired ada time (hold_expired)", "seats_assigned ben: time=active/licence_free"]


def test_a_rejected_command_uses_up_its_number_and_an_unreadable_one_does_not() -> None:
    world = company(time=2)
    number = world.number(INVOICING)
    assert world.send(seats_v1.ClosePool(number=number, module="docs", at="now")) == ["command_rejected (unknown_module)"]
    assert world.send(seats_v1.ClosePool(number=number, module="time", at="now")) == ["command_ignored (stale)"]
    command = domain.Command("c", INVOICING, "acme", None, 0, world.offset + 1)
    event = domain.rejected(command, world.tenant, domain.to_ms(world.now), str(Reason.UNREADABLE))
    assert event.type.endswith("command_rejected")
    assert dict(world.tenant.rows()) == world.rows, "it changes nothing"


def test_a_person_who_drops_the_full_module_of_two_is_served_before_the_answer() -> None:
    world = company(over_limit="wait", docs=1, plan=1)
    world.need("ben", "docs")
    assert world.need("ada", "docs", "plan") == ["seats_queued ada: docs=waiting/pool_full plan=waiting/pool_full"]
    assert world.need("ada", "plan") == [
        "seat_granted ada plan (seat_released)",
        "seats_assigned ada: plan=active",
        "pool_at_limit plan (limit_reached)",
    ]


def test_a_hold_is_claimed_also_when_the_rest_of_the_assignment_is_refused() -> None:
    world = company(over_limit="reject", time=1, docs=1)
    world.need("ada", "docs")
    world.need("ben", "time", hold_until=START + DAY)
    assert world.need("ben", "time", "docs") == ["seats_refused ben: time=active docs=refused/pool_full"]
    assert world.wait(days=2) == []


def test_an_administrator_with_only_a_hold_does_not_count_as_seated() -> None:
    world = company(base=("time",), time=3)
    world.need("ada", "time", administrator=True)
    world.need("eve", "time", administrator=True, hold_until=START + 9 * DAY)
    world.need("ben", "time", created_at=START - DAY)
    expected = ["licences_reduced (ordered)", "hold_cancelled eve time (reduction)", "seat_flagged ben time (reduction)"]
    assert world.cut(time=2) == expected, "ada stays: the hold of eve leaves the tenant without another administrator"


def test_a_flag_without_a_deadline_is_not_remembered() -> None:
    world = company(base=("time",), time=1)
    world.need("ben", "time", hold_until=START + 9 * DAY)
    assert world.need("ada", "time", administrator=True) == ["seats_assigned ada: time=flagged/last_administrator"]
    assert world.deadline("ada", "time") is None
    world.wait(days=1)
    world.need("ada", administrator=True)
    assert world.need("ada", "time") == ["seats_assigned ada: time=flagged/over_limit"]
    assert world.deadline("ada", "time") == 7 * DAY


def test_T6_exactly_thirty_days_after_the_flag_it_is_still_remembered() -> None:
    world = company(time=1)
    world.need("ada", "time")
    world.need("ben", "time")
    world.wait(days=30)
    assert world.need("ben", "time", reactivate=("time",)) == ["seats_refused ben: time=refused/grace_used"]


def test_A17_a_replacement_releases_the_rest_without_counting_the_source_user_as_a_leaver() -> None:
    world = World()
    for module in ("time", "docs"):
        world.pool(module, 2, terminate_reduces_pool=True, reduce_at="now")
    world.need("ada", "time", "docs")
    assert world.replace("ada", "eve", "docs") == ["seats_moved eve: docs=active"]
    assert (world.seats("time"), world.licences("time"), world.licences("docs")) == ({}, (2, 2), (2, 2))


def test_A17_a_user_cannot_be_replaced_with_the_same_user() -> None:
    world = company(time=1)
    world.need("ada", "time")
    assert world.replace("ada", "ada", "time") == ["replacement_refused ada (unknown_user)"]
    assert world.seats("time") == {"ada": "active"}


def test_B12_under_block_the_present_number_of_licences_is_allowed_also_below_use() -> None:
    world = World()
    world.pool("docs", 1, reduce_below_use="block")
    world.need("ada", "docs")
    world.need("ben", "docs")  # flagged: two in use, one licence
    assert world.next_period(docs=1) == ["reduction_scheduled (scheduled)"]


def test_an_order_that_expects_no_period_is_refused_while_the_tenant_has_one() -> None:
    world = company(time=1)
    world.schedule("2013-11", START)
    assert world.buy(time=1, expected=world.expected({"time": 1}, None)) == ["order_refused (expected_differs)"]


def test_only_the_pools_that_an_order_names_in_expected_are_compared() -> None:
    world = company(time=1, docs=1)
    nothing = seats_v1.Expected(period=None, pools=())
    assert world.buy(time=1, expected=nothing) == ["licences_added (ordered)"]
    another = seats_v1.Expected(period=None, pools=(seats_v1.ExpectedPool(module="docs", licences=9, next_period=9),))
    assert world.buy(time=1, expected=another) == ["order_refused (expected_differs)"]
