"""Events as entries of the action log (T20, M13), and the log as a file."""

from typing import Any

import pytest

from services.notifier.action_log import RULES, actor_of, entries_of
from services.notifier.export import cell
from shared.schemas import seats_v1, users_v1
from shared.schemas.base import Actor, Change, Payload
from shared.schemas.envelope import Envelope
from shared.schemas.registry import REGISTRY, type_of
from shared.schemas.topics import INVOICING_EVENTS, SEATS_EVENTS, USERS_EVENTS
from tests.support.notifier import NOON, active, flagged, invoice_issued, person_added, pool_of, refused

POSITION = seats_v1.Position(partition=1, offset=7)


def decision(**given: Any) -> dict[str, Any]:
    return {"command": "c1", "position": POSITION, "role": "answer", "at": NOON, "rules": 1, "reason": "hired"} | given


def entries(payload: Payload) -> list[Any]:
    return entries_of(payload, Envelope(id="e1", source="seatpool/x", type=type_of(type(payload)), time=NOON, tenant="acme"))


def answer(*seats: seats_v1.ModuleSeat, released: tuple[str, ...] = (), user: str = "u1") -> seats_v1.SeatsAssigned:
    need = seats_v1.Need(modules=tuple(seat.module for seat in seats), created_at=NOON)
    return seats_v1.SeatsAssigned(**decision(user=user, revision=1, need=need, modules=seats, released=released))


def test_T20_an_answer_is_an_entry_for_each_seat_releases_first() -> None:
    found = entries(answer(active(), flagged("documents"), refused(), released=("archive",)))
    assert [(entry.type, entry.module, entry.new, entry.only_if_changed) for entry in found] == [
        ("seat_released", "archive", "none", False),
        ("seat_granted", "time", "active", True),
        ("seat_flagged", "documents", "flagged", True),
        ("seat_refused", "planning", "refused", False),
    ]
    assert {entry.subject for entry in found if entry.module == "time"} == {"seat:u1:time"}


def test_A17_a_replacement_is_an_entry_for_both_people() -> None:
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
def test_T20_a_consequence_says_the_state_after_it(kind: type[seats_v1.SeatEvent], state: str, more: dict[str, Any]) -> None:
    (entry,) = entries(kind(**decision(user="u1", module="time", **more)))
    assert (entry.subject, entry.new) == ("seat:u1:time", state)


def test_T20_a_purchase_says_the_licences_after_it_for_each_module() -> None:
    items = (seats_v1.LicenceCount(module="time", quantity=6), seats_v1.LicenceCount(module="documents", quantity=1))
    pools = (pool_of("time", 286), pool_of("documents", 31))
    added = seats_v1.LicencesAdded(**decision(order="o1", items=items, approved_at=NOON, pools=pools))
    assert [(entry.subject, entry.new) for entry in entries(added)] == [("licences:time", "286"), ("licences:documents", "31")]


def test_M13_the_actor_is_who_said_it_the_rules_for_what_fell_due_and_open_for_an_answered_command() -> None:
    assert actor_of(invoice_issued()) == Actor(kind="user", id="anna")
    assert actor_of(seats_v1.SeatReleased(**decision(user="u1", module="time", role="settled"))) == RULES
    assert actor_of(answer(active())) is None


def test_T20_a_change_of_a_person_keeps_from_and_to_of_each_field() -> None:
    changes = (Change(field="email", old="a@x.example", new="b@x.example"), Change(field="administrator", old=False, new=True))
    (entry,) = entries(person_added("p1", kind=users_v1.PersonChanged, changes=changes))
    assert entry.changes == (("email", "a@x.example", "b@x.example"), ("administrator", False, True))


def test_what_changes_nothing_is_not_in_the_log() -> None:
    silent = [
        person_added("p1", kind=users_v1.PersonRepublished),
        seats_v1.CommandIgnored(**decision(reason="duplicate")),
        seats_v1.ClockSettled(**decision()),
        users_v1.ClockReady(at=NOON, actor=RULES),
    ]
    assert [entries(payload) for payload in silent] == [[], [], [], []]


def test_every_type_of_the_three_topics_has_its_place_in_the_log() -> None:
    """A type added later is either silent on purpose or makes entries of its own name; here its class is at least one that is known."""
    known = (users_v1.UsersEvent, seats_v1.SeatsEvent)
    models = [entry.model for entry in REGISTRY.values() if entry.topic in (USERS_EVENTS, SEATS_EVENTS)]
    assert all(issubclass(model, known) for model in models)
    assert any(entry.topic is INVOICING_EVENTS for entry in REGISTRY.values())


@pytest.mark.parametrize("text", ["=1+1", "+49 30", "-5", "@here", "\tx", "\r=1"])
def test_a_cell_is_never_a_formula(text: str) -> None:
    assert cell(text) == f"'{text}"


def test_numbers_and_plain_text_of_a_cell_stay_as_they_are() -> None:
    assert [cell(value) for value in (7, "Berg = Bo", None, "")] == [7, "Berg = Bo", "", ""]
