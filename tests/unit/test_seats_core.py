"""What the engine relies on: all or nothing, replay, rows, rules versions, what-if, and invariants whose violation is found."""

import time
from datetime import timedelta
from typing import Any
from unittest import mock

import orjson
import pytest

from services.seats import domain
from services.seats.domain.assignment import Outcome
from services.seats.domain.decide import decide_1
from services.seats.domain.decision import DecisionBuilder
from shared.schemas import registry, seats_v1
from tests.support.seats_harness import START, USERS, SeatsHarness, line
from tests.support.seats_rows import person

DAY_MS = 24 * 60 * 60 * 1000


def company() -> SeatsHarness:
    harness = SeatsHarness()
    harness.pool("time", 3, base=True)
    harness.pool("docs", 3, over_limit="wait", warn_at="50%")
    harness.assign("ada", "time", "docs")
    harness.assign("ben", "time", "docs")
    harness.assign("dan", "time", hold_until=START + timedelta(days=1))
    harness.assign("cid", "time", "docs")
    return harness


def message(harness: SeatsHarness, *modules: str, user: str = "zoe", revision: int = 1) -> domain.Command:
    payload = seats_v1.AssignSeats(user=user, revision=revision, modules=modules, created_at=START, reason="hired")
    return domain.Command("what", USERS, "acme", payload, 0, harness.offset + 1)


def test_an_error_inside_a_decision_leaves_everything_as_it_was() -> None:
    harness = company()
    with mock.patch.object(DecisionBuilder, "finish", side_effect=ZeroDivisionError), pytest.raises(ZeroDivisionError):
        domain.decide(harness.tenants, message(harness, user="ada", revision=9), domain.to_ms(harness.now))
    assert dict(harness.tenant.rows()) == harness.rows
    domain.check_all(harness.tenant)
    with mock.patch.object(DecisionBuilder, "reallocate", side_effect=ZeroDivisionError), pytest.raises(ZeroDivisionError):
        domain.decide_tick(harness.tenant, "t", 0, 99, domain.to_ms(harness.now) + 9 * DAY_MS)
    assert dict(harness.tenant.rows()) == harness.rows
    expected = ["hold_expired dan time (hold_expired)", "seat_flag_cleared cid time (licence_free)"]
    assert harness.wait(days=1) == expected


def test_an_error_while_a_tenant_is_opened_leaves_no_tenant() -> None:
    command = domain.Command("c", USERS, "new", seats_v1.OpenTenant(number=1, clock="real"), 0, 1)
    tenants: dict[str, domain.Tenant] = {}
    with mock.patch.object(DecisionBuilder, "finish", side_effect=ZeroDivisionError), pytest.raises(ZeroDivisionError):
        domain.decide(tenants, command, 0)
    assert tenants == {}


def test_rows_survive_the_changelog() -> None:
    harness = company()
    harness.assign("ben")
    harness.schedule("2014", START + timedelta(days=3))
    harness.buy(docs=1)
    harness.wait(days=8)
    stored = {key: orjson.dumps(domain.to_json(key, row)) for key, row in harness.rows.items()}
    read = {key: domain.from_json(key, orjson.loads(value)) for key, value in stored.items()}
    assert read == harness.rows
    restored = domain.load(read.items())["acme"]
    domain.check_all(restored)
    assert restored.due() == harness.tenant.due()


def test_every_decision_names_its_rules_version_and_a_new_version_decides_from_its_activation_on() -> None:
    """Version 2 is made up: nobody is flagged any more."""

    def decide_2(tenants: dict[str, domain.Tenant], command: domain.Command, clock_ms: int, rules: int) -> domain.Decision:
        with mock.patch("services.seats.domain.assignment.Assignment._flag_outcome", return_value=refuse):
            return decide_1(tenants, command, clock_ms, rules)

    refuse = Outcome("refused", seats_v1.Reason.POOL_FULL)
    two = domain.Rules(decide_2, domain.RULES[1].apply_due_items)
    harness = SeatsHarness()
    harness.pool("time", 1)
    harness.assign("ada", "time")
    with mock.patch.dict(domain.RULES, {2: two}):
        assert harness.assign("ben", "time") == ["seats_assigned ben: time=flagged/over_limit"]
        assert harness.events[0].body["rules"] == 1
        harness.rules = 2
        assert harness.assign("cid", "time") == ["seats_refused cid: time=refused/pool_full"]
        assert harness.events[0].body["rules"] == 2
        assert harness.wait(days=7) == ["seat_revoked ben time (grace_expired)"]
        assert harness.events[0].body["rules"] == 2
    with pytest.raises(domain.UnknownRules):
        harness.assign("dan", "time")
    with pytest.raises(domain.UnknownRules):
        harness.tick()


def test_what_if_shows_what_would_be_decided_and_changes_nothing() -> None:
    harness = company()
    commands = [message(harness, "time"), message(harness, user="ada", revision=9)]
    answers = what_if(harness, *commands)
    assert [line(event) for event in answers[0]] == ["seats_assigned zoe: time=flagged/over_limit"]
    assert "seat_flag_cleared cid time (seat_released)" in [line(event) for event in answers[1]]
    assert dict(harness.tenant.rows()) == harness.rows
    domain.check_all(harness.tenant)


def what_if(harness: SeatsHarness, *commands: domain.Command, budget: int = 1000) -> list[list[domain.Event]]:
    return domain.what_if(harness.tenant.rows(), commands, domain.to_ms(harness.now), domain.Budget(budget))


def test_what_if_can_open_and_close_pools() -> None:
    harness = company()
    close = domain.Command("w1", "invoicing", "acme", seats_v1.ClosePool(number=99, module="time", at="now", ending=True), 0, 98)
    pool = domain.Command("w2", "invoicing", "acme", seats_v1.OpenPool(number=100, module="time", base=False, licences=9), 0, 99)
    answers = what_if(harness, close, pool, message(harness, "time"))
    assert line(answers[2][0]) == "seats_assigned zoe: time=active/licence_free"
    assert dict(harness.tenant.rows()) == harness.rows


def test_the_budget_of_a_question_counts_every_row_and_event_and_is_checked_inside_a_decision() -> None:
    """eve is changed by each command: a row and an event each time. A pool that closes stops at the change that is one too many."""
    harness = company()
    harness.pool("labs", 9)
    turns = enumerate([("labs",), ()] * 10, start=1)
    again = [message(harness, *modules, user="eve", revision=n)._replace(id=f"w{n}") for n, modules in turns]
    rows, clock = harness.tenant.rows(), domain.to_ms(harness.now)
    budget = domain.Budget(1000)
    domain.what_if(rows, again, clock, budget)
    spent = budget.limit - budget.left
    assert spent >= 2 * len(again)
    what_if(harness, *again, budget=spent)
    with pytest.raises(domain.BudgetExceeded, match=f"more than {spent - 1} changes"):
        what_if(harness, *again, budget=spent - 1)
    small = domain.Budget(3)
    close = domain.Command("w", "invoicing", "acme", seats_v1.ClosePool(number=99, module="time", at="now", ending=True), 0, 98)
    with pytest.raises(domain.BudgetExceeded):
        domain.what_if(harness.tenant.rows(), [close], clock, small)
    assert small.left == -1


def forecast(harness: SeatsHarness, until: int) -> domain.Forecast:
    return domain.forecast(harness.tenant.rows(), domain.to_ms(harness.now), until, domain.Budget(1000), offset=harness.offset + 1)


def test_a_forecast_shows_each_pool_and_who_is_revoked_when() -> None:
    harness = SeatsHarness()
    harness.pool("time", 1, base=True)
    harness.assign("ada", "time")
    harness.assign("ben", "time")
    harness.wait(days=1)
    harness.assign("cid", "time")
    harness.schedule("2014", START + timedelta(days=7, hours=1))
    now = domain.to_ms(harness.now)
    seen = forecast(harness, now + 8 * DAY_MS)
    told = [(event.body["at"], line(event)) for event in seen.events]
    assert told == [
        ("2013-11-22T09:00:00.000Z", "seat_revoked ben time (grace_expired)"),
        ("2013-11-22T10:00:00.000Z", "period_started (period_began)"),
        ("2013-11-23T09:00:00.000Z", "seat_revoked cid time (grace_expired)"),
    ]
    assert [(pool["active"], pool["flagged"]) for pool in seen.pools] == [(1, 0)]
    assert dict(harness.tenant.rows()) == harness.rows
    domain.check_all(harness.tenant)
    (half,) = forecast(harness, now + 6 * DAY_MS).pools
    assert half["flagged"] == 1


def test_the_events_of_a_forecast_come_after_all_earlier_events_in_log_order() -> None:
    """ben is served when dan's hold ends; of ada and ben, created at one time, the cut then takes him whose seat was decided last."""
    harness = SeatsHarness()
    harness.pool("time", 2, over_limit="wait")
    harness.assign("ada", "time")
    harness.assign("dan", "time", hold_until=START + timedelta(days=1))
    harness.assign("ben", "time")
    harness.next_period(time=1)
    harness.schedule("2014", START + timedelta(days=2))
    now = domain.to_ms(harness.now)
    seen = forecast(harness, now + 3 * DAY_MS)
    assert [line(event) for event in seen.events][:4] == harness.wait(days=1) + harness.wait(days=1)[:2]
    assert [line(event) for event in seen.events if event.user][-1] == "seat_flagged ben time (reduction)"


def test_a_forecast_predicts_what_the_ticks_then_decide_at_each_instant() -> None:
    """Pools as they are at each, marks crossed and armed again on the way; and the last command is not taken back with it."""
    harness = company()
    harness.pool("labs", 2, warn_at="1", reduce_below_use="block")
    harness.assign("eva", "labs", hold_until=START + timedelta(days=2))
    harness.next_period(time=1, docs=2, labs=1)
    harness.schedule("2014", START + timedelta(days=4))
    now = domain.to_ms(harness.now)
    until = now + 20 * DAY_MS
    assert forecast(harness, now + 1).events == []
    assert dict(harness.tenant.rows()) == harness.rows
    seen = forecast(harness, until)
    assert dict(harness.tenant.rows()) == harness.rows
    happened: list[domain.Event] = []
    while (due := harness.tenant.due()) is not None and due <= until:
        harness.now = START + timedelta(milliseconds=due - domain.to_ms(START))
        harness.tick()
        happened += harness.events

    def told(events: list[domain.Event]) -> list[tuple[str, str, object]]:
        return [(line(event), event.body["at"], event.body["pools"]) for event in events]

    assert told(seen.events) == told(happened)
    assert seen.pools == [domain.pool_state(harness.tenant.pools[module]) for module in ("docs", "labs", "time")]
    names = {event.type.rpartition(".")[2] for event in happened}
    assert names >= {"hold_expired", "warning_armed", "period_started", "seat_flagged", "seat_revoked"}


def test_a_tick_applies_at_most_its_limit_of_due_items_and_the_next_tick_the_rest() -> None:
    harness = SeatsHarness()
    harness.pool("time", 1)
    for user in ("ada", "ben", "cid", "dan"):
        harness.assign(user, "time")
    harness.now += timedelta(days=7)
    assert harness.tick(limit=2) == ["seat_revoked ben time (grace_expired)", "seat_revoked cid time (grace_expired)"]
    assert harness.tick(limit=2) == ["seat_revoked dan time (grace_expired)"]
    assert harness.tenant.tick_due() is None


def test_event_numbers_continue_over_the_tenants_of_a_tick() -> None:
    harness = SeatsHarness()
    harness.pool("time", 1)
    harness.assign("ada", "time")
    harness.assign("ben", "time")
    decision = domain.decide_tick(harness.tenant, "t", 0, 50, domain.to_ms(harness.now) + 8 * DAY_MS, n=7)
    assert [event.n for event in decision.events] == [7]


def test_the_engines_own_answers_fit_their_schemas() -> None:
    harness = company()
    command = domain.Command("c", USERS, "acme", None, 3, 8)
    events = [
        domain.failed(harness.tenant, command, 0, "3-8"),
        domain.due_items_failed(harness.tenant, "t", 3, 8, 0, 5, "3-8"),
        domain.rejected(command, None, 0, seats_v1.Reason.UNREADABLE, "modules", "x" * 500, "a list"),
    ]
    for event in events:
        registry.REGISTRY[event.type].model.model_validate_json(orjson.dumps(event.body))
        domain.evolve(harness.replica, "acme", domain.Event(event.type, orjson.loads(orjson.dumps(event.body)), event.n))
    assert dict(harness.replica["acme"].rows()) == harness.rows
    assert events[1].n == 5
    assert len(events[2].body["value"]) == 200


def test_unknown_events_and_fields_change_nothing_in_a_replay() -> None:
    harness = company()
    body = {**harness.events[0].body, "later": 1, "pools": []}
    domain.evolve(harness.replica, "acme", domain.Event("seatpool.seats.v1.of_a_later_version", body, 0))
    domain.evolve({}, "acme", domain.Event("seatpool.seats.v1.seat_granted", body, 0))
    assert dict(harness.replica["acme"].rows()) == harness.rows


# Laws ------------------------------------------------------------------------------------------------------------------


def broken(harness: SeatsHarness, key: str, **fields: Any) -> domain.Tenant:
    """The tenant as a table with one wrong row would have it."""
    rows = dict(harness.rows)
    rows[key] = rows[key]._replace(**fields)
    return domain.load(rows.items())["acme"]


def test_the_invariants_find_an_overfull_pool_a_flag_beside_a_free_licence_and_a_forgotten_queue() -> None:
    harness = company()
    pool = domain.pool_key("acme", "time")
    with pytest.raises(domain.InvariantViolation, match="2 active and 1 held on 1 licences"):
        domain.check_invariants(broken(harness, pool, licences=1, next_period=1), ["time"])
    with pytest.raises(domain.InvariantViolation, match="flagged while"):
        domain.check_invariants(broken(harness, pool, licences=9), ["time"])
    harness.assign("eve", "docs")
    with pytest.raises(domain.InvariantViolation, match="a person waits"):
        domain.check_invariants(broken(harness, domain.pool_key("acme", "docs"), licences=9), ["docs"])
    with pytest.raises(domain.InvariantViolation, match="for the next period"):
        domain.check_invariants(broken(harness, pool, next_period=9), ["time"])


def test_the_full_check_finds_a_wrong_count_a_lost_deadline_and_a_seat_without_a_pool() -> None:
    harness = company()
    tenant = domain.load(harness.rows.items())["acme"]
    tenant.pools["docs"].waiting += 1
    with pytest.raises(domain.InvariantViolation, match="counted"):
        domain.check_all(tenant)
    tenant = domain.load(harness.rows.items())["acme"]
    tenant.administrators.add("ada")
    with pytest.raises(domain.InvariantViolation, match="administrators"):
        domain.check_all(tenant)
    rows = {key: row for key, row in harness.rows.items() if key != domain.pool_key("acme", "docs")}
    with pytest.raises(domain.InvariantViolation, match="without a pool"):
        domain.check_all(domain.load(rows.items())["acme"])


# Fan-out and speed -----------------------------------------------------------------------------------------------------


def crowd(people: int, licences: int) -> tuple[dict[str, domain.Tenant], int]:
    """A pool of that many people, by rows: faster than by commands."""
    tenants: dict[str, domain.Tenant] = {}
    opened = domain.Command("c1", USERS, "acme", seats_v1.OpenTenant(number=1, clock="real"), 0, 1)
    domain.decide(tenants, opened, 0)
    pool = seats_v1.OpenPool(number=1, module="time", base=True, licences=licences)
    domain.decide(tenants, domain.Command("c2", "invoicing", "acme", pool, 0, 2), 0)
    rows = dict(tenants["acme"].rows())
    for n in range(people):
        seat = domain.Seat("active", (n + 3) << 24)
        rows[domain.user_key("acme", f"u{n}")] = person({"time": seat}, created_at=n, offset=n + 3)
    return domain.load(rows.items()), people + 3


def test_a_reduction_that_flags_twenty_thousand_people_and_the_purchase_that_clears_them_are_fast() -> None:
    tenants, offset = crowd(30_000, 30_000)
    empty = seats_v1.Expected()
    items = (seats_v1.LicenceCount(module="time", quantity=20_000),)
    cut = seats_v1.ReduceLicences(number=2, order="o1", items=items, expected=empty)
    decision = domain.decide(tenants, domain.Command("cut", "invoicing", "acme", cut, 0, offset), 0)
    assert len(decision.changed) == 20_003  # people, pool, order, the sender's number
    assert decision.events[1].user == "u29999"
    buy = seats_v1.AddLicences(number=3, order="o2", items=items, expected=empty, approved_at=START)
    decision = domain.decide(tenants, domain.Command("buy", "invoicing", "acme", buy, 0, offset + 1), 0)
    assert len(decision.events) == 20_001
    assert decision.events[1].user == "u29999"  # the oldest flag, then log order: the cut took the newest people first
    domain.check_all(tenants["acme"])


def test_the_time_of_a_decision_does_not_grow_with_the_pool() -> None:
    """The count of people multiplied by a hundred costs nothing that grows with it: far less than twice the time."""

    def seconds(people: int) -> float:
        tenants, offset = crowd(people, people + 2_000)
        clock = domain.to_ms(START)
        best = float("inf")
        for attempt in range(5):
            commands = [
                domain.Command(
                    f"c{attempt}-{n}",
                    USERS,
                    "acme",
                    seats_v1.AssignSeats(user=f"n{n}", revision=attempt + 1, modules=modules, created_at=START, reason="hired"),
                    0,
                    offset + attempt * 400 + n,
                )
                for n in range(400)
                for modules in ((("time",), ())[attempt % 2],)
            ]
            began = time.process_time()
            for command in commands:
                domain.decide(tenants, command, clock)
            best = min(best, time.process_time() - began)
        return best

    small, large = seconds(500), seconds(50_000)
    assert large < 4 * small, f"{small:.4f} s with 500 people, {large:.4f} s with 50,000"


def test_a_row_written_before_the_crash_stays_as_it_is() -> None:
    """cid's flag is cleared by a hold's end and set again by the period's cut, in one decision; only cid's row was written."""
    harness = company()
    harness.next_period(time=2)
    harness.schedule("2014", START + timedelta(days=1))
    before = dict(harness.rows)
    expected = [
        "hold_expired dan time (hold_expired)",
        "seat_flag_cleared cid time (licence_free)",
        "period_started (period_began)",
        "seat_flagged cid time (reduction)",
    ]
    assert harness.wait(days=1) == expected
    key = domain.user_key("acme", "cid")
    tenants = domain.load({**before, key: harness.rows[key]}.items())
    rest = domain.complete(tenants, "acme", harness.events)
    assert key not in rest
    assert dict(tenants["acme"].rows()) == harness.rows


def test_rows_are_completed_if_the_removal_of_a_pool_was_written_before_the_crash() -> None:
    """One decision starts a period, which sets the numbers of all pools, and then closes one of them."""
    harness = SeatsHarness()
    harness.pool("time", 2, base=True)
    harness.pool("docs", 2)
    harness.assign("ada", "time", "docs")
    harness.schedule("2014", START + timedelta(days=1))
    before = dict(harness.rows)
    harness.now += timedelta(days=1)
    expected = ["period_started (period_began)", "pool_closed docs (pool_closed)", "seat_released ada docs (pool_closed)"]
    assert harness.close("docs") == expected
    written = domain.pool_key("acme", "docs")
    tenants = domain.load({key: row for key, row in before.items() if key != written}.items())
    rest = domain.complete(tenants, "acme", harness.events)
    assert written not in rest
    assert dict(tenants["acme"].rows()) == harness.rows


def test_A17_an_unknown_target_user_is_served_at_once_if_the_moved_queue_entry_can_be_served() -> None:
    harness = SeatsHarness()
    harness.pool("time", 1, over_limit="wait")
    harness.pool("docs", 2)
    harness.assign("ada", "time")
    harness.assign("dan", "time", "docs")  # waits for both
    expected = ["seat_granted eve docs (seat_released)", "seats_moved eve: docs=active"]
    assert harness.replace("dan", "eve", "docs") == expected
