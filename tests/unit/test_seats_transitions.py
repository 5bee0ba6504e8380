"""Changes of a person's row: what `decide` writes into an event, `evolve` reads from it."""

import importlib
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.seats.decider import RowCodec
from services.seats.domain.instants import INSTANT_MAX
from services.seats.domain.rows import Flag, Reduced, Release, Revocation, Seat, UserRow, shared_names
from services.seats.domain.transitions import (
    EVENTS_OF_PEOPLE,
    Answered,
    Change,
    Cleared,
    Dated,
    Flagged,
    GivenUp,
    Granted,
    LeaverReduction,
    Moved,
    Released,
    ReleasedAsDated,
    Required,
    RevisionUsed,
    Revoked,
    Shown,
    When,
    apply,
    from_body,
    to_body,
)
from shared.schemas import registry, topics
from shared.schemas.seats_v1 import Reason

# The package exports a function of the same name, which hides this module.
EVOLVE = importlib.import_module("services.seats.domain.evolve")
STATES = ("active", "flagged", "held", "waiting", "refused", "revoked")

names = st.text("abcxyz-", min_size=1, max_size=8)
modules = st.lists(names, max_size=4, unique=True).map(tuple)
instants = st.integers(-INSTANT_MAX, INSTANT_MAX)
numbers = st.integers(0, 2**53)
dated = st.builds(Dated, at=instants, modules=modules.map(shared_names), leaver=st.booleans())
required = st.builds(
    Required,
    modules=modules.map(shared_names),
    created_at=instants,
    administrator=st.booleans(),
    priority=st.integers(-5, 5),
    partial=st.booleans(),
    suspended=st.booleans(),
    reactivate=modules,
    hold_until=st.none() | instants,
    release=st.none() | dated,
)
shown = st.builds(
    Shown,
    module=names,
    state=st.sampled_from(STATES),
    reason=st.none() | st.sampled_from([str(reason) for reason in Reason]),
    since=instants,
    deadline=st.none() | instants,
    order=st.none() | numbers,
    again=numbers,
)
seats = st.lists(shown, max_size=4).map(tuple)
one_module = {"user": names, "module": names}
answer = {"user": names, "revision": numbers, "required": required, "seats": seats, "released": modules}
reduced = st.lists(st.builds(LeaverReduction, module=names, licences=st.integers(0, 1), next_period=st.integers(0, 1)), max_size=2).map(
    tuple
)
RELEASES = [Reason.HOLD_EXPIRED, Reason.REDUCTION, Reason.BASE_MODULE_REVOKED, Reason.POOL_CLOSED]
KINDS: dict[type, st.SearchStrategy[tuple[Change, ...]]] = {
    Granted: st.builds(Granted, **one_module).map(lambda change: (change,)),
    Flagged: st.builds(Flagged, **one_module, deadline=st.none() | instants).map(lambda change: (change,)),
    Cleared: st.builds(Cleared, **one_module).map(lambda change: (change,)),
    Revoked: st.builds(Revoked, **one_module).map(lambda change: (change,)),
    Released: st.builds(Released, **one_module, reason=st.sampled_from([str(each) for each in RELEASES])).map(lambda change: (change,)),
    ReleasedAsDated: st.builds(
        ReleasedAsDated, user=names, required=modules.map(shared_names), released=modules, leaver=st.booleans(), reduced=reduced
    ).map(lambda change: (change,)),
    Answered: st.builds(Answered, **answer, reduced=reduced).map(lambda change: (change,)),
    Moved: st.tuples(st.builds(GivenUp, user=names, revision=numbers, released=modules), st.builds(Moved, **answer, moved=modules)),
    RevisionUsed: st.tuples(*[st.builds(RevisionUsed, user=names, revision=numbers)] * 2),
}
EVENTS = {
    Granted: ["seat_granted"],
    Flagged: ["seat_flagged"],
    Cleared: ["seat_flag_cleared"],
    Revoked: ["seat_revoked"],
    Released: ["seat_released", "hold_expired", "hold_cancelled"],
    ReleasedAsDated: ["seats_released"],
    Answered: ["seats_assigned", "seats_queued", "seats_refused"],
    Moved: ["seats_moved"],
    RevisionUsed: ["replacement_refused"],
}


def body_of(changes: tuple[Change, ...]) -> dict[str, Any]:
    if isinstance(changes[0], RevisionUsed):  # the source user's part has no function of its own
        source, target = changes
        assert isinstance(source, RevisionUsed)
        return {"from_user": source.user, "from_revision": source.revision} | to_body(target)
    body: dict[str, Any] = {}
    for change in changes:
        body |= to_body(change)
    return body


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@given(data=st.data())
def test_a_change_read_from_the_body_of_its_event_is_the_same_change(kind: type, data: st.DataObject) -> None:
    changes = data.draw(KINDS[kind])
    recorded = orjson.loads(orjson.dumps(body_of(changes)))
    for name in EVENTS[kind]:
        read = from_body(name, recorded)
        assert read == changes
        assert list(map(type, read)) == list(map(type, changes)), "named tuples of other kinds may be equal"


def test_every_kind_of_change_is_generated_and_every_event_about_a_person_is_read() -> None:
    assert {GivenUp, *KINDS} == set(get_args(Change))
    assert {name for each in EVENTS.values() for name in each} == EVENTS_OF_PEOPLE.keys()


def test_every_event_type_of_the_topic_has_an_effect_or_is_listed_as_one_without() -> None:
    recorded = {name.rpartition(".")[2] for name, entry in registry.REGISTRY.items() if entry.topic is topics.SEATS_EVENTS}
    parts = [EVENTS_OF_PEOPLE.keys(), EVOLVE.EVENTS_OF_TENANTS.keys(), {"tenant_opened"}, EVOLVE.EVENTS_WITHOUT_EFFECT]
    assert set().union(*parts) == recorded
    assert sum(map(len, parts)) == len(recorded), "an event type is in one of them"


@pytest.mark.parametrize(
    "change", [Flagged("ada", "time", 1), Cleared("ada", "time"), Revoked("ada", "time"), Released("ada", "time", "x")]
)
def test_a_change_of_a_seat_that_nobody_has_is_an_error(change: Change) -> None:
    """`verify` reports it: seats never made such a decision, or others are missing."""
    when = When("c", offset=1, at=1, seq=1 << 24)
    with pytest.raises(KeyError):
        apply(None, change, when)
    known = apply(None, RevisionUsed("ada", 1), when)
    with pytest.raises(KeyError):
        apply(known, change, when)


def test_a_row_with_a_value_in_every_field_is_the_same_after_a_trip_through_the_changelog() -> None:
    row = UserRow(
        required=("time", "docs"),
        seats={"time": Seat("flagged", 5, 6, 7, 8)},
        revision=2,
        command="c",
        offset=3,
        created_at=4,
        administrator=True,
        priority=9,
        partial=True,
        suspended=True,
        revoked=(Revocation("docs", 10, 11),),
        flags=(Flag("plan", 12, 13, 14),),
        lost=(Revocation("labs", 15, 16),),
        release=Release(17, ("time",), True, 18),
        reduced=(Reduced("docs", 1, 1, 19),),
    )
    assert all(row), "a field without a value would not be tested"
    codec = RowCodec()
    assert codec.decode("acme|ada", codec.encode("acme|ada", row)) == row


def test_a_row_of_a_person_cannot_be_made_without_one_of_its_fields() -> None:
    assert not UserRow._field_defaults
