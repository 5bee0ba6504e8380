"""Events as entries of the action log (T20, M13), and the log as a file."""

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import orjson
import pytest

from services.notifier.action_log.export import _csv
from services.notifier.domain.action_log import RULES, actor_of, entries_of
from services.notifier.domain.pool_numbers import CHANGES_POOLS, PoolNumbers, pools_changed
from shared.schemas import invoicing_v1, registry, seats_v1, users_v1
from shared.schemas.base import Actor, Change, Payload
from shared.schemas.envelope import Envelope
from shared.schemas.position import Position
from shared.schemas.registry import REGISTRY, type_of
from shared.schemas.topics import INVOICING_EVENTS, SEATS_EVENTS, USERS_EVENTS
from shared.spreadsheets import cell
from tests.chaos.simulate import simulate
from tests.support.notifier import NOON, active, flagged, invoice_issued, person_added, pool_of, refused
from tests.support.seats_harness import SeatsHarness

POSITION = Position(partition=1, offset=7)


def decision(**given: Any) -> dict[str, Any]:
    return {"command": "c1", "position": POSITION, "role": "answer", "at": NOON, "rules": 1, "reason": "hired"} | given


def entries(payload: Payload, known: dict[str, PoolNumbers] | None = None) -> list[Any]:
    """`known` holds the numbers of the pools before the event, and after the call the numbers after it."""
    known = {} if known is None else known
    pools = pools_changed(payload, known) if isinstance(payload, CHANGES_POOLS) else {}
    known |= {module: after for module, (_, after) in pools.items()}
    return entries_of(payload, Envelope(id="e1", source="seatpool/x", type=type_of(type(payload)), time=NOON, tenant="acme"), pools)


def changed_numbers(harness: SeatsHarness, known: dict[str, PoolNumbers]) -> list[tuple[Any, ...]]:
    """Return the entries of the last decision that change numbers of a pool: type, module, (field, from, to) ..."""
    made = [entry for event in harness.events for entry in entries(registry.parse(event.type, orjson.dumps(event.body)), known)]
    return [(entry.type, entry.module, *(each for each in entry.changes if each[0] != "policies")) for entry in made if entry.changes]


def answer(*seats: seats_v1.ModuleSeat, released: tuple[str, ...] = (), user: str = "u1") -> seats_v1.SeatsAssigned:
    need = seats_v1.Need(modules=tuple(seat.module for seat in seats), created_at=NOON)
    return seats_v1.SeatsAssigned(**decision(user=user, revision=1, need=need, modules=seats, released=released))


def test_A17_a_refused_replacement_names_both_people_in_the_log() -> None:
    refusal = seats_v1.ReplacementRefused(**decision(user="ben", from_user="ann", from_revision=2, revision=1, reason="already_seated"))
    (entry,) = entries(refusal)
    assert (entry.type, entry.user, entry.details) == ("replacement_refused", "ben", {"from_user": "ann"})


def test_T20_an_answer_makes_one_entry_for_each_seat_and_releases_come_first() -> None:
    found = entries(answer(active(), flagged("documents"), refused(), released=("archive",)))
    assert [(entry.type, entry.module, entry.new, entry.only_if_changed) for entry in found] == [
        ("seat_released", "archive", "none", False),
        ("seat_granted", "time", "active", True),
        ("seat_flagged", "documents", "flagged", True),
        ("seat_refused", "planning", "refused", False),
    ]
    assert {entry.subject for entry in found if entry.module == "time"} == {"seat:u1:time"}


def test_T20_a_dated_release_makes_an_entry_for_each_seat_that_it_releases() -> None:
    event = seats_v1.SeatsReleased(**decision(user="u1", role="settled", required=("time",), released=("archive", "documents")))
    assert [(entry.type, entry.subject, entry.new) for entry in entries(event)] == [
        ("seat_released", "seat:u1:archive", "none"),
        ("seat_released", "seat:u1:documents", "none"),
    ]
    assert actor_of(event) == RULES


def test_A17_a_replacement_makes_entries_for_both_people() -> None:
    need = seats_v1.Need(modules=("time",), created_at=NOON)
    fields = {"from_revision": 2, "revision": 1, "need": need, "moved": ("time",), "from_released": ("archive",)}
    moved = seats_v1.SeatsMoved(**decision(user="new", from_user="old", **fields, modules=(active(), refused())))
    assert [(entry.type, entry.user, entry.module, entry.new) for entry in entries(moved)] == [
        ("seat_released", "old", "archive", "none"),
        ("seat_moved", "old", "time", "none"),
        ("seat_granted", "new", "time", "active"),
        ("seat_refused", "new", "planning", "refused"),
    ]


@pytest.mark.parametrize(
    ("kind", "state", "more"),
    [
        (seats_v1.SeatFlagged, "flagged", {"deadline": NOON}),
        (seats_v1.SeatFlagCleared, "active", {}),
        (seats_v1.SeatGranted, "active", {}),
        (seats_v1.SeatRevoked, "revoked", {"base": True, "flagged_at": NOON}),
        (seats_v1.SeatReleased, "none", {}),
        (seats_v1.HoldExpired, "none", {}),
        (seats_v1.HoldCancelled, "none", {}),
    ],
)
def test_T20_the_entry_of_a_consequence_has_the_state_after_it(kind: type[seats_v1.SeatEvent], state: str, more: dict[str, Any]) -> None:
    (entry,) = entries(kind(**decision(user="u1", module="time", **more)))
    assert (entry.subject, entry.new) == ("seat:u1:time", state)


def test_T20_M13_every_entry_that_changes_a_number_has_from_and_to() -> None:
    harness, known = SeatsHarness(), dict[str, PoolNumbers]()
    harness.pool("docs", 5, over_limit="expand", expand_cap=9)
    assert changed_numbers(harness, known) == [("pool_opened", "docs", ("licences", "0", "5"), ("next_period", "0", "5"))]
    steps: list[tuple[Callable[[], object], list[tuple[Any, ...]]]] = [
        (lambda: harness.next_period(docs=3), [("reduction_scheduled", "docs", ("next_period", "5", "3"))]),
        (lambda: harness.buy(docs=2), [("licences_added", "docs", ("licences", "5", "7"), ("next_period", "3", "7"))]),
        (lambda: harness.next_period(docs=6), [("reduction_scheduled", "docs", ("next_period", "7", "6"))]),
        (lambda: harness.reduce(docs=2), [("licences_reduced", "docs", ("licences", "7", "5"), ("next_period", "6", "5"))]),
        (lambda: [harness.assign(f"u{n}", "docs") for n in range(5)], []),
        (lambda: harness.assign("u5", "docs"), [("pool_expanded", "docs", ("licences", "5", "6"), ("next_period", "5", "6"))]),
        (lambda: harness.next_period(docs=4), [("reduction_scheduled", "docs", ("next_period", "6", "4"))]),
        (lambda: harness.schedule("p2", harness.now + timedelta(days=1)), []),
        (lambda: harness.wait(days=2), [("period_started", "docs", ("licences", "6", "4"))]),
        (lambda: harness.schedule("p3", harness.now + timedelta(days=1)), []),
        (lambda: harness.wait(days=2), [("period_started", "docs", ("licences", "4", "4"))]),
        (lambda: harness.close("docs", "period_end"), [("pool_close_scheduled", "docs", ("next_period", "4", "0"))]),
        (lambda: harness.close("docs"), [("pool_closed", "docs", ("licences", "4", "0"))]),
        (lambda: harness.pool("docs", 2), [("pool_opened", "docs", ("licences", "0", "2"), ("next_period", "0", "2"))]),
    ]
    for step, expected in steps:
        step()
        assert changed_numbers(harness, known) == expected


def test_M13_two_changes_of_one_pool_in_one_decision_have_numbers_of_their_own() -> None:
    """The pools of both events show the end of the decision."""
    known = {"time": PoolNumbers(10, 8, "")}
    both = decision(pools=(pool_of("time", 10).model_copy(update={"next_period": 9}),), module="time", by=1)
    (left,) = entries(seats_v1.PoolReduced(**both, reduce_at="now"), known)
    (grown,) = entries(seats_v1.PoolExpanded(**both), known)
    assert left.changes == (("licences", "10", "9"),)
    assert grown.changes == (("licences", "9", "10"), ("next_period", "8", "9"))


def test_M9_M13_a_leaver_who_lowers_the_next_period_has_from_and_to() -> None:
    (entry,) = entries(
        seats_v1.PoolReduced(**decision(pools=(pool_of("time", 9),)), module="time", by=1, reduce_at="period_end"),
        {"time": PoolNumbers(10, 10, "")},
    )
    assert (entry.changes, entry.details) == ((("next_period", "10", "9"),), {"by": 1, "reduce_at": "period_end"})


def test_M13_a_change_of_policies_has_from_and_to() -> None:
    harness, known = SeatsHarness(), dict[str, PoolNumbers]()
    harness.pool("docs", 5)
    changed_numbers(harness, known)
    harness.policy("docs", flag_cap=3)
    (entry,) = [entry for event in harness.events for entry in entries(registry.parse(event.type, orjson.dumps(event.body)), known)]
    ((field, old, new),) = entry.changes
    assert (field, "flag_cap=3" in new, new.replace("flag_cap=3, ", "")) == ("policies", True, old)


def test_M13_in_random_histories_the_log_agrees_with_the_pools_of_each_decision() -> None:
    """No event changes a number without an entry, and each entry begins where the one before it ended."""
    kinds: Counter[str] = Counter()
    for logs in simulate(seed=3, commands=1500).values():
        known: dict[str, dict[str, PoolNumbers]] = {}
        shown: dict[str, dict[str, tuple[int, int]]] = {}
        last: dict[str, int] = {}
        for event in logs.events:
            envelope = Envelope.from_headers(event.headers)
            payload = registry.parse(envelope.type, event.value)
            assert isinstance(payload, seats_v1.SeatsEvent)
            tenant, offset = envelope.tenant or "", payload.position.offset
            pools, numbers = known.setdefault(tenant, {}), shown.setdefault(tenant, {})
            if last.setdefault(tenant, offset) != offset:
                assert {module: pools[module][:2] for module in numbers} == numbers, (tenant, last[tenant])
                last[tenant] = offset
            for entry in entries(payload, pools):
                assert all(old is not None and new is not None for field, old, new in entry.changes if field != "policies"), entry
                kinds.update([entry.type] if entry.changes else [])
            numbers |= {pool.module: (pool.licences, pool.next_period) for pool in payload.pools}
    assert {"licences_added", "licences_reduced", "reduction_scheduled", "pool_expanded", "pool_reduced", "pool_closed"} <= set(kinds)


def test_M13_the_actor_of_a_due_item_is_the_rules_and_that_of_an_answer_is_found_in_its_chain() -> None:
    assert actor_of(invoice_issued()) == Actor(kind="user", id="anna")
    assert actor_of(seats_v1.SeatReleased(**decision(user="u1", module="time", role="settled"))) == RULES
    assert actor_of(answer(active())) is None


def test_T14_T20_the_end_of_a_subscription_has_from_and_to_and_the_reason() -> None:
    who: dict[str, Any] = {"at": NOON, "actor": Actor(kind="user", id="ann"), "subscription": "s1", "reason": "we move"}
    change = Change(field="subscription.ends_on", old=None, new="2013-12-01")
    event = invoicing_v1.SubscriptionEnding(**who, ends_on=date(2013, 12, 1), changes=(change,))
    (entry,) = entries(event)
    assert (entry.type, entry.changes) == ("subscription_ending", (("subscription.ends_on", None, "2013-12-01"),))
    assert entry.details == {"subscription": "s1", "ends_on": "2013-12-01", "at_once": False}
    assert actor_of(event) == Actor(kind="user", id="ann")


def test_T20_the_entry_of_a_changed_person_has_from_and_to_of_each_field() -> None:
    changes = (Change(field="email", old="a@x.example", new="b@x.example"), Change(field="administrator", old=False, new=True))
    (entry,) = entries(person_added("p1", kind=users_v1.PersonChanged, changes=changes))
    assert entry.changes == (("email", "a@x.example", "b@x.example"), ("administrator", False, True))


def test_an_event_that_changes_nothing_makes_no_entry() -> None:
    silent = [
        person_added("p1", kind=users_v1.PersonRepublished),
        seats_v1.CommandIgnored(**decision(reason="duplicate")),
        seats_v1.ClockSettled(**decision()),
        users_v1.ClockReady(at=NOON, actor=RULES),
    ]
    assert [entries(payload) for payload in silent] == [[], [], [], []]


def test_T20_the_log_of_a_module_has_the_event_that_added_it() -> None:
    who: dict[str, Any] = {"at": NOON, "actor": RULES, "subscription": "s1"}
    (added,) = entries(invoicing_v1.ModuleAdded(**who, decision="d", order="o1", module="documents", licences=5))
    assert (added.type, added.module, added.details["licences"]) == ("module_added", "documents", 5)


def test_the_terms_of_an_expansion_make_no_entry_beside_that_of_the_expansion() -> None:
    terms = invoicing_v1.TermsApplied(
        at=NOON, actor=RULES, decision="d", subscription="s1", plan="basic", plan_version=1, billing_details="v1"
    )
    assert [each.type for each in entries(terms)] == ["terms_applied"], "of a renewal, and of an earlier release"
    assert entries(terms.model_copy(update={"module": "time"})) == []


def test_every_type_of_the_three_topics_is_known_to_the_log() -> None:
    """A type that is added later makes entries of its own name, unless it is listed as one without entries."""
    known = (users_v1.UsersEvent, seats_v1.SeatsEvent)
    models = [entry.model for entry in REGISTRY.values() if entry.topic in (USERS_EVENTS, SEATS_EVENTS)]
    assert all(issubclass(model, known) for model in models)
    assert any(entry.topic is INVOICING_EVENTS for entry in REGISTRY.values())


@pytest.mark.parametrize("text", ["=1+1", "+49 30", "-5", "@here", "\tx", "\r=1", "\uff1d1+1"])
def test_no_cell_of_the_exported_log_is_a_formula(text: str) -> None:
    assert str(cell(text)).startswith("'")
    assert str(cell(text)).replace("'", "") == text


@pytest.mark.parametrize("between", [";", "; ", "\t", "\n", "\r\n", ";;"])
def test_a_formula_behind_a_separator_of_another_country_is_exported_as_text(between: str) -> None:
    """A spreadsheet whose list separator is the semicolon begins a new cell in the middle of ours."""
    written = _csv([[cell(f"Sales{between}=cmd|' /C calc'!A0"), cell("next")]]).decode()
    assert f"{between.strip(' ')}{' ' if between.endswith(' ') else ''}'=cmd" in written


def test_numbers_and_plain_text_are_exported_unchanged() -> None:
    assert [cell(value) for value in (7, "Berg = Bo; a-b", None, "")] == [7, "Berg = Bo; a-b", "", ""]
