"""Which modules a person requires, which messages are sent, and what a decision of seats changes."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.users.domain.facts import Fact, FactType, Record
from services.users.domain.logins import claimed_login, login_key
from services.users.domain.merging import Part, Stated
from services.users.domain.module_states import Decided, ModuleState, Seat, base_modules_are_usable, decided, not_done, project, seat_status
from services.users.domain.person import Cause, Person, Tenant, as_of, revise, source_actor, with_standing
from services.users.domain.required_modules import (
    NO_MODULES,
    Account,
    Invitation,
    Note,
    Profile,
    RequiredModules,
    SeatStatus,
    Settings,
    must_send,
)
from services.users.domain.sources import SourceKind
from services.users.domain.status import LISTED, Standing, Status, standing, status_of
from services.users.domain.subscription import Pool, Subscription, subscribed_modules
from services.users.use_cases.licences import limit_and_use
from shared.schemas import seats_v1 as seats
from shared.schemas.base import Actor, Change
from shared.schemas.position import DecisionId, Position
from shared.schemas.users_v1 import PersonAdded, PersonChanged, PersonLeft

D = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SETTINGS = Settings(
    profiles={"makers": Profile(("time", "documents")), "planners": Profile(("planning", "time"), partial=True), "guests": Profile(())},
    departments={"Makers": "makers", "Guests": "guests", "None": None},
    subscribed={"time": (), "documents": (), "planning": ("time",)},
)
ALL = ("documents", "planning", "time")
ANN = Record(True, "ann", "ann@acme.example", department="Makers")
FULL = RequiredModules(("documents", "time"))
TENANT = Tenant("acme", ZoneInfo("UTC"), NOW, SETTINGS, 1)
CAUSE = Cause(Actor(kind="source", id="hr"), fact=FactType.HIRED)


def required(record: Record = ANN, account: Account | None = None, settings: Settings = SETTINGS) -> RequiredModules:
    return standing(record, account or Account(), settings, D).required


def test_A7_a_person_requires_the_modules_of_the_profile_while_all_conditions_hold() -> None:
    assert required() == FULL
    assert required(account=Account(given_profile="planners", roles=("owner",), priority=3)) == RequiredModules(
        ("planning", "time"), True, 3, True
    )


@pytest.mark.parametrize(
    ("record", "account"),
    [
        (replace(ANN, login=""), Account()),
        (ANN, Account(may_log_in=False)),
        (replace(ANN, employed=False), Account()),
        (ANN, Account(given_profile="guests")),
        (replace(ANN, department="None"), Account()),
        (replace(ANN, department=None), Account()),
    ],
    ids=["no credentials", "may not log in", "terminated", "no module", "mapped to none", "no department"],
)
def test_A7_M4_E2_a_person_requires_no_modules_when_one_condition_no_longer_holds(record: Record, account: Account) -> None:
    assert required(record, account) == NO_MODULES


def test_A7_a_person_without_a_login_is_inactive() -> None:
    found = standing(replace(ANN, login=""), Account(), SETTINGS, D)
    assert (found.status, found.may_log_in) == (Status.INACTIVE, False)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("Ann", "aNN"), ("Stra\u00dfe", "STRASSE"), ("\u00e5", "A\u030a"), ("\uff21nn", "ann"), ("\ufb01nn", "finn"), (" ann ", "ann")),
        *(("\u200bann", "ann"), ("ann \u200b", "ann"), ("e\u200d\u0301", "\u00e9"), ("an\u00adn\ufeff", "ann")),
    ],
)
def test_logins_that_people_read_as_one_are_one(one: str, other: str) -> None:
    assert login_key(one) == login_key(other) != login_key(f"{other}a")


@pytest.mark.parametrize("letter", ["a", "\ufdfa", "\u3316", "\U00020000"])
def test_the_key_of_the_longest_login_fits_an_index(letter: str) -> None:
    """An HR event with such a login ended users at every start while the guard held it."""
    longest = letter * 500
    assert len(login_key(longest).encode()) <= 1000
    assert login_key(longest) == login_key(f" {longest} ") != login_key(longest[1:])


def test_a_login_is_claimed_by_who_is_employed_with_it_and_was_not() -> None:
    left = replace(ANN, employed=False)
    assert claimed_login(None, ANN) == claimed_login(left, ANN) == claimed_login(replace(ANN, login="eve"), ANN) == "ann"
    assert claimed_login(ANN, replace(ANN, login="ANN")) is claimed_login(ANN, left) is claimed_login(ANN, replace(ANN, login="")) is None


@pytest.mark.parametrize("kind", ["external", "service"])
def test_M6_external_and_service_people_take_no_seat(kind: str) -> None:
    found = standing(replace(ANN, kind=kind), Account(), SETTINGS, D)
    assert (found.required, found.status, found.may_log_in) == (NO_MODULES, Status.ACTIVE, True)


def test_A19_a_profile_without_modules_keeps_the_login_and_takes_no_seat() -> None:
    found = standing(replace(ANN, department="Guests"), Account(), SETTINGS, D)
    assert (found.status, found.may_log_in, found.profile, found.required, found.notes) == (Status.ACTIVE, True, "guests", NO_MODULES, ())
    assert not must_send(found.required, None)


def test_A20_A21_an_ended_login_blocks_the_person_and_frees_the_seat_only_if_the_tenant_has_chosen_so() -> None:
    ended = replace(ANN, valid_to=D - timedelta(days=1))
    found = standing(ended, Account(), SETTINGS, D)
    assert (found.status, found.may_log_in, found.required) == (Status.INACTIVE, False, replace(FULL, suspended=True))
    assert required(ended, settings=replace(SETTINGS, release_on_expiry=True)) == NO_MODULES
    assert standing(replace(ANN, valid_to=D), Account(), SETTINGS, D).status is Status.ACTIVE


def test_A20_seats_is_told_on_the_day_after_valid_to_that_the_login_has_ended_and_when_it_is_extended() -> None:
    ann = person(replace(ANN, valid_to=D))
    later = replace(TENANT, now=NOW + timedelta(days=1))
    ended = revise(ann, with_standing(ann, later), at=later.now, cause=Cause(CAUSE.actor))
    assert ended.command is not None
    assert (ended.command.modules, ended.command.suspended, ended.command.leaver) == (("documents", "time"), True, False)
    assert ended.person.standing.status is Status.INACTIVE
    extended = with_standing(replace(ended.person, record=replace(ANN, valid_to=D + timedelta(days=9))), later)
    again = revise(ended.person, extended, at=later.now, cause=Cause(CAUSE.actor))
    assert again.command is not None
    assert (again.command.modules, again.command.suspended) == (("documents", "time"), False)


def test_an_unknown_department_gives_no_profile_and_a_note_with_the_reason() -> None:
    found = standing(replace(ANN, department="Alchemy"), Account(), SETTINGS, D)
    assert (found.profile, found.required) == (None, NO_MODULES)
    (note,) = found.notes
    assert note.type == "unknown_department"
    assert "'Alchemy'" in note.detail


def test_a_revocation_in_a_base_module_deactivates_a_person_who_still_requires_the_modules() -> None:
    found = standing(ANN, Account(seat_status=SeatStatus.DEACTIVATED), SETTINGS, D)
    assert (found.status, found.may_log_in, found.required) == (Status.DEACTIVATED, False, FULL)


def subscribed_to(**requires: tuple[str, ...]) -> Settings:
    return replace(SETTINGS, subscribed=requires)


def test_with_a_module_that_is_not_subscribed_the_base_module_is_required_and_the_other_is_not_subscribed() -> None:
    found = standing(ANN, Account(), subscribed_to(time=()), D)
    assert (found.required.modules, found.not_subscribed) == (("time",), ("documents",))
    assert (found.status, found.may_log_in) == (Status.ACTIVE, True), "by the decision of seats about the base module"


def test_M5_a_person_without_any_subscribed_module_is_listed_as_not_subscribed_and_may_not_log_in() -> None:
    found = standing(ANN, Account(), subscribed_to(), D)
    assert (found.status, found.may_log_in, found.required) == (Status.NOT_SUBSCRIBED, False, NO_MODULES)
    assert {each.value for each in LISTED} == {
        "invited", "active", "over_limit", "waiting", "refused", "deactivated", "conflict", "not_subscribed"
    }  # fmt: skip
    assert not must_send(found.required, None), "and seats is not told"
    blocked = standing(ANN, Account(may_log_in=False), subscribed_to(), D)
    assert (blocked.status, blocked.not_subscribed) == (Status.INACTIVE, ()), "who qualifies for no seat lacks none"


def test_an_add_on_is_not_requested_without_the_modules_that_it_requires() -> None:
    def found(**requires: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        each = standing(ANN, Account(given_profile="all"), replace(subscribed_to(**requires), profiles={"all": Profile(ALL)}), D)
        return each.required.modules, each.not_subscribed

    assert found(time=(), documents=("time",), planning=("documents",)) == (("documents", "planning", "time"), ())
    assert found(time=(), planning=("documents",)) == (("time",), ("documents", "planning"))
    assert found(documents=("time",), planning=("documents",)) == ((), ("documents", "planning", "time")), "through another add-on"
    assert found(time=(), documents=("maps",)) == (("time",), ("documents", "planning")), "of which the profile lacks one"


# The history of a subscription, one letter for each message: pools are opened (a, b, c) and closed (A, B, C), and the subscription is
# activated (!) by the decision before. Seats and invoicing publish in this order, each to a topic of its own.
DECISIONS = {"a": 1, "b": 2, "!": 2, "c": 3, "B": 4, "A": 5, "C": 6, "d": 7, "e": 8, "?": 8}


def subscribed_after(messages: str) -> str:
    found, pools = Subscription(), dict[str, Pool]()
    for message in messages:
        decision_id = DecisionId(0, DECISIONS[message], 0)
        if message in "!?":
            found = found.with_activation(decision_id)
            continue
        module, opens = message.lower(), message.islower()
        others = any(pool.open for name, pool in pools.items() if name != module)
        found = found.with_pool(decision_id, opens=opens, others_are_open=others)
        pools[module] = Pool(module, True, opens, decision_id)
    return "".join(sorted(subscribed_modules(found, pools.values(), {})))


@pytest.mark.parametrize(
    ("messages", "subscribed"),
    [
        ("a", ""),  # the first pool of two
        ("ab", ""),  # a crash between the last pool and the activation
        ("ab!", "ab"),
        ("!ab", "ab"),  # invoicing's topic is read first
        ("a!", ""),  # and seats' topic is not read to the end yet
        ("ab!c", "abc"),  # a pool that is added to a running subscription
        ("abc!", "abc"),  # as a rebuilt users may read it
        ("!abc", "abc"),
        ("ab!cB", "ac"),
        ("ab!cBAC", ""),
        ("ab!cBACd", ""),  # the first pool of the next subscription
        ("ab!cBACde", ""),
        ("ab!cBACde?", "de"),
        ("!?abcBACde", "de"),
        ("abcBACde!?", "de"),
    ],
)
def test_pools_count_from_the_activation_of_their_subscription_on_in_whatever_order_both_topics_are_read(
    messages: str, subscribed: str
) -> None:
    assert subscribed_after(messages) == subscribed


# ------------------------------------------------------------------------------------------------------------- messages


def person(record: Record | None = ANN, **more: object) -> Person:
    known = with_standing(Person("u1", "hr/acme", "1", NOW, record=record, version=1), TENANT)
    if record is not None:
        known = replace(known, revision=1, sent=known.standing.required)
    return replace(known, **more)  # type: ignore[arg-type]


def new() -> Person:
    return Person("u1", "hr/acme", "1", NOW)


def hired(day: date) -> Stated:
    fact = Fact("f", FactType.HIRED, day, 0, {"login": "ann", "email": "ann@acme.example", "department": "Makers"})
    return Stated((Part("hr/acme", SourceKind.HR, (fact,)),))


def test_a_hire_is_published_and_sent_with_the_first_revision() -> None:
    after = as_of(new(), hired(D), TENANT)
    found = revise(new(), after, at=NOW, cause=CAUSE)
    assert isinstance(found.event, PersonAdded)
    assert found.event.version == 1
    assert found.command == seats.AssignSeats(user="u1", revision=1, modules=("documents", "time"), created_at=NOW, reason="hired")
    assert found.person.sent == FULL


def test_a_person_hired_for_a_later_day_is_published_on_that_day() -> None:
    found_on_start = hired(D + timedelta(days=3))
    expected = as_of(new(), found_on_start, TENANT)
    found = revise(new(), expected, at=NOW, cause=CAUSE)
    assert (found.event, found.command, found.person.standing.status) == (None, None, Status.EXPECTED)
    later = replace(TENANT, now=NOW + timedelta(days=3))
    added = revise(found.person, as_of(found.person, found_on_start, later), at=later.now, cause=CAUSE)
    assert added.command is not None
    assert (added.command.created_at, added.command.reason) == (later.now, "hired")


@pytest.mark.parametrize("facts", [(), (Fact("f", FactType.CHANGED, D, 0, {"login": "ann", "name": "Ann"}),)])
def test_M5_a_person_whose_only_employment_is_taken_back_counts_as_left_but_not_as_a_leaver(facts: tuple[Fact, ...]) -> None:
    came = revise(new(), as_of(new(), hired(D), TENANT), at=NOW, cause=CAUSE).person
    of = Stated((Part("hr/acme", SourceKind.HR, facts),) if facts else ())
    found = revise(came, as_of(came, of, TENANT), at=NOW, cause=CAUSE)
    assert (found.person.standing.status, found.person.left_on) == (Status.LEFT, D)
    assert isinstance(found.event, PersonLeft)
    assert found.command is not None
    assert (found.command.modules, found.command.leaver, found.command.reversible) == ((), False, False), "no licence is given up (M9)"
    tomorrow = replace(TENANT, now=NOW + timedelta(days=1))
    assert as_of(found.person, of, tomorrow).left_on == D, "the retention counts from the first day"
    back = revise(found.person, as_of(found.person, hired(D), tomorrow), at=tomorrow.now, cause=CAUSE)
    assert back.command is not None
    assert (back.person.standing.status, back.person.left_on, back.command.reason) == (Status.ACTIVE, None, "hired")


def test_a_person_who_was_linked_with_another_one_is_nobody() -> None:
    came = revise(new(), as_of(new(), hired(D), TENANT), at=NOW, cause=CAUSE).person
    nobody = as_of(came, Stated((), is_reported=False), TENANT)
    assert (nobody.record, nobody.standing.status, nobody.left_on) == (None, Status.EXPECTED, None)


def test_no_command_is_sent_when_nothing_that_seats_knows_has_changed() -> None:
    found = revise(person(), person(replace(ANN, job_title="Smith")), at=NOW, cause=CAUSE)
    assert found.command is None
    assert isinstance(found.event, PersonChanged)
    assert found.event.changes == (Change(field="job_title", old="", new="Smith"),)
    assert found.person.version == 2
    assert not revise(person(), person(), at=NOW, cause=CAUSE).changed


@pytest.mark.parametrize(
    "account",
    [
        Account(given_profile="planners"),
        Account(roles=("owner",)),
        Account(priority=1),
        Account(hold_until=NOW + timedelta(days=1)),
        Account(may_log_in=False),
    ],
    ids=["modules and partial", "administrator", "priority", "hold", "nothing"],
)
def test_required_modules_are_sent_when_they_differ_from_the_last_ones(account: Account) -> None:
    after = with_standing(replace(person(), account=account), TENANT)
    found = revise(person(), after, at=NOW, cause=Cause(CAUSE.actor))
    assert found.command is not None
    assert (found.command.revision, found.command.reason) == (2, "changed")
    assert found.person.sent == after.standing.required


def test_a_person_who_leaves_requires_no_modules() -> None:
    found = revise(person(), person(replace(ANN, employed=False)), at=NOW, cause=replace(CAUSE, fact=FactType.LEFT))
    assert isinstance(found.event, PersonLeft)
    assert found.command is not None
    assert (found.command.modules, found.command.reason, found.command.leaver) == ((), "left", True)


def test_M9_a_command_about_a_leaver_that_is_sent_again_still_says_so() -> None:
    gone = person(replace(ANN, employed=False), sent=NO_MODULES, revision=2)
    found = revise(gone, gone, at=NOW, cause=Cause(CAUSE.actor, "changed"), resend=True, above=7)
    assert found.command is not None
    assert (found.command.revision, found.command.reason, found.command.leaver) == (8, "changed", True)


def test_M9_a_person_who_may_no_longer_log_in_is_no_leaver() -> None:
    after = with_standing(replace(person(), account=Account(may_log_in=False)), TENANT)
    found = revise(person(), after, at=NOW, cause=Cause(CAUSE.actor))
    assert found.command is not None
    assert (found.command.modules, found.command.leaver) == ((), False)


def test_E3_E4_a_leaver_who_is_hired_again_requires_modules_again() -> None:
    gone = person(replace(ANN, employed=False), sent=NO_MODULES, revision=2)
    found = revise(gone, person(), at=NOW, cause=CAUSE)
    assert found.command is not None
    assert (found.command.modules, found.command.revision, found.command.reason) == (("documents", "time"), 3, "hired")


def test_an_explicit_reactivation_is_sent_even_when_nothing_differs() -> None:
    found = revise(person(), person(), at=NOW, cause=replace(CAUSE, reason="reactivated"), reactivate=("time",))
    assert found.command is not None
    assert (found.command.reactivate, found.command.revision, found.event) == (("time",), 2, None)


def test_required_modules_that_are_sent_again_get_a_higher_revision_than_seats_has_seen() -> None:
    found = revise(person(), person(), at=NOW, cause=replace(CAUSE, reason="changed"), resend=True, above=7)
    assert found.command is not None
    assert found.command.revision == 8


def test_a_deactivation_is_published_without_a_command() -> None:
    deactivated = with_standing(replace(person(), account=Account(seat_status=SeatStatus.DEACTIVATED)), TENANT)
    found = revise(person(), deactivated, at=NOW, cause=replace(CAUSE, reason="grace_expired"))
    assert found.command is None
    assert found.event is not None
    assert (found.event.status, found.event.reason) == ("deactivated", "grace_expired")


def test_an_hr_source_is_an_actor_whose_name_is_an_id() -> None:
    assert source_actor("hr/acme") == Actor(kind="source", id="hr:acme")
    assert source_actor("//") == Actor(kind="source", id="unknown")


# ------------------------------------------------------------------------------------------------------------ decisions

COMMON: dict[str, Any] = {
    "command": "c",
    "position": Position(partition=0, offset=1),
    "role": "consequence",
    "at": NOW,
    "rules": 1,
    "reason": "why",
    "user": "u1",
}


def test_an_answer_gives_a_state_to_each_module() -> None:
    event = seats.SeatsAssigned(
        **COMMON,
        revision=1,
        need=seats.Need(modules=("a", "b", "c", "d", "e"), created_at=NOW),
        modules=(
            seats.ModuleSeat(module="a", state="active"),
            seats.ModuleSeat(module="b", state="flagged", deadline=NOW),
            seats.ModuleSeat(module="c", state="refused", reason="pool_full"),
            seats.ModuleSeat(module="d", state="revoked", reason="revoked"),
            seats.ModuleSeat(module="e", state="a-state-of-a-later-release"),
        ),
    )
    assert decided(event) == [
        Decided("a", ModuleState.ACTIVE, None, "why"),
        Decided("b", ModuleState.FLAGGED, NOW, "why"),
        Decided("c", ModuleState.REFUSED, None, "pool_full", refused=True),
        Decided("d", ModuleState.REVOKED, None, "revoked", revoked=True),
        Decided("e", ModuleState.PENDING, None, "why"),
    ]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (seats.SeatFlagged(**COMMON, module="a", deadline=NOW), Decided("a", ModuleState.FLAGGED, NOW, "why")),
        (seats.SeatFlagCleared(**COMMON, module="a"), Decided("a", ModuleState.ACTIVE, None, "why")),
        (seats.SeatGranted(**COMMON, module="a"), Decided("a", ModuleState.ACTIVE, None, "why")),
        (seats.SeatRevoked(**COMMON, module="a", base=True, flagged_at=NOW), Decided("a", ModuleState.REVOKED, None, "why", revoked=True)),
        (
            seats.SeatRevoked(**COMMON, module="a", base=False, flagged_at=NOW),
            Decided("a", ModuleState.WITHDRAWN, None, "why", revoked=True),
        ),
        (seats.SeatReleased(**COMMON, module="a"), Decided("a", ModuleState.WITHDRAWN, None, "why")),
        (seats.HoldExpired(**COMMON, module="a"), Decided("a", ModuleState.WITHDRAWN, None, "why")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_T6_an_event_about_one_seat_gives_its_module_the_state(event: seats.PersonEvent, expected: Decided) -> None:
    assert decided(event) == [expected]


def test_a_command_that_was_not_decided_is_noted_with_reason_and_decision_beside_the_other_notes() -> None:
    common = COMMON | {"reason": "invalid_value"}
    del common["user"]
    decision_id = DecisionId(0, 10, 0)
    rejected = not_done(seats.CommandRejected(**common, field="priority", value="-1", expected="0 or more"), decision_id)
    assert (rejected.type, rejected.reason, rejected.decision_id) == ("command_rejected", "invalid_value", decision_id)
    assert "priority is '-1', expected 0 or more" in rejected.detail
    failed = not_done(seats.CommandFailed(**common, error_id="e-1"), decision_id)
    assert (failed.type, failed.decision_id, "e-1" in failed.detail) == ("command_failed", decision_id, True)
    unknown = Note("unknown_department", "…")
    person = Person("u", "s", "x", created_at=NOW, standing=Standing(Status.ACTIVE, True, None, NO_MODULES, (unknown,)))
    assert (person.notes, replace(person, not_done=failed).notes) == ((unknown,), (unknown, failed))


# ----------------------------------------------------------------------------------------------------------- projection

HERE = DecisionId(0, 10, 0)


def seat(state: ModuleState, decision_id: DecisionId = HERE, *, revoked: bool = False, refused: bool = False) -> Seat:
    return Seat(state, None, None, revoked, refused, decision_id)


def test_a_newer_decision_replaces_a_state_and_an_older_one_is_only_counted() -> None:
    seats_ = {"a": seat(ModuleState.ACTIVE)}
    flagged = [Decided("a", ModuleState.FLAGGED, NOW, "over_limit")]
    assert project(seats_, DecisionId(0, 11, 0), flagged, None) == {
        "a": Seat(ModuleState.FLAGGED, NOW, "over_limit", False, False, DecisionId(0, 11, 0))
    }
    assert project(seats_, HERE, flagged, None) == {}
    revoked = [Decided("a", ModuleState.WITHDRAWN, None, "grace_expired", revoked=True)]
    assert project(seats_, DecisionId(0, 9, 5), revoked, None) == {"a": seat(ModuleState.ACTIVE, revoked=True)}


def test_events_of_one_command_are_applied_in_their_order() -> None:
    seats_ = {"a": seat(ModuleState.ACTIVE, DecisionId(0, 10, 1))}
    gone = [Decided("a", ModuleState.WITHDRAWN, None, "why")]
    assert project(seats_, DecisionId(0, 10, 0), gone, None) == {}
    assert project(seats_, DecisionId(0, 10, 2), gone, None)["a"].state is ModuleState.WITHDRAWN


def test_an_answer_releases_the_modules_that_it_does_not_list() -> None:
    seats_ = {
        "a": seat(ModuleState.ACTIVE),
        "b": seat(ModuleState.WITHDRAWN, revoked=True),
        "c": seat(ModuleState.ACTIVE, DecisionId(0, 99, 0)),
    }
    later = DecisionId(0, 11, 0)
    changed = project(seats_, later, [Decided("a", ModuleState.ACTIVE)], ("a",))
    assert {module: row.state for module, row in changed.items()} == {"a": ModuleState.ACTIVE, "b": ModuleState.RELEASED}
    assert changed["b"].revoked
    assert changed["b"].decision_id == later


def test_a_withdrawn_module_that_is_answered_revoked_stays_withdrawn() -> None:
    answered = [Decided("a", ModuleState.REVOKED, None, "revoked", revoked=True)]
    assert project({"a": seat(ModuleState.WITHDRAWN)}, DecisionId(0, 11, 0), answered, ("a",))["a"].state is ModuleState.WITHDRAWN
    assert project({"a": seat(ModuleState.REVOKED)}, DecisionId(0, 11, 0), answered, ("a",))["a"].state is ModuleState.REVOKED
    assert seat_status({"a": seat(ModuleState.REVOKED)}, ()) is SeatStatus.DEACTIVATED
    assert seat_status({"a": seat(ModuleState.WITHDRAWN)}, ()) is SeatStatus.GRANTED


_S = ModuleState


@pytest.mark.parametrize(
    ("base", "other_base", "add_on", "status", "usable"),
    [
        (_S.ACTIVE, _S.ACTIVE, _S.ACTIVE, Status.ACTIVE, True),
        (_S.ACTIVE, _S.FLAGGED, _S.ACTIVE, Status.OVER_LIMIT, True),
        (_S.ACTIVE, _S.ACTIVE, _S.FLAGGED, Status.OVER_LIMIT, True),
        (_S.ACTIVE, _S.ACTIVE, _S.REFUSED, Status.ACTIVE, True),
        (_S.ACTIVE, _S.ACTIVE, _S.WITHDRAWN, Status.ACTIVE, True),
        (_S.ACTIVE, _S.REFUSED, _S.ACTIVE, Status.REFUSED, False),
        (_S.FLAGGED, _S.REFUSED, _S.REFUSED, Status.REFUSED, False),
        (_S.WAITING, _S.WAITING, _S.WAITING, Status.WAITING, False),
        (_S.ACTIVE, _S.ACTIVE, _S.WAITING, Status.ACTIVE, True),
        (_S.REVOKED, _S.WITHDRAWN, _S.WITHDRAWN, Status.DEACTIVATED, False),
        (None, _S.ACTIVE, _S.ACTIVE, Status.ACTIVE, False),  # not answered yet
        (_S.RELEASED, _S.RELEASED, _S.REFUSED, Status.REFUSED, False),  # requires the add-on only
    ],
)
def test_the_status_follows_from_the_decisions_about_base_modules(
    base: ModuleState | None, other_base: ModuleState, add_on: ModuleState, status: Status, usable: bool
) -> None:
    rows = {"base": base, "other": other_base, "add-on": add_on}
    seats_ = {module: seat(state) for module, state in rows.items() if state is not None}
    required = [module for module, state in rows.items() if state is not ModuleState.RELEASED]
    found = seat_status(seats_, ("add-on",))
    by_status, may_log_in = status_of(ANN, Account(seat_status=found), D, requires_modules=True)
    assert (by_status, may_log_in and base_modules_are_usable(required, seats_, ("add-on",))) == (status, usable)


def test_a_refusal_for_want_of_a_pool_is_not_subscribed() -> None:
    refused = replace(seat(ModuleState.REFUSED), reason="unknown_module")
    assert seat_status({"a": refused, "b": seat(ModuleState.REFUSED)}, ()) is SeatStatus.NOT_SUBSCRIBED
    assert base_modules_are_usable((), {}, ()), "who requires nothing may log in"


@pytest.mark.parametrize("found", SeatStatus)
def test_E3_a_blocked_or_left_person_has_no_status_by_seats(found: SeatStatus) -> None:
    account = Account(seat_status=found)
    assert status_of(replace(ANN, employed=False), account, D, requires_modules=True) == (Status.LEFT, False)
    blocked = Status.DEACTIVATED if found is SeatStatus.DEACTIVATED else Status.INACTIVE
    assert status_of(replace(ANN, login_allowed=False), account, D, requires_modules=True) == (blocked, False)
    assert status_of(ANN, account, D, requires_modules=False) == (Status.ACTIVE, True), "A19: no seat is required"


@given(st.permutations(range(6)))
def test_decisions_in_any_order_and_repeated_end_in_the_same_state(order: list[int]) -> None:
    states_ = [ModuleState.ACTIVE, ModuleState.FLAGGED, ModuleState.WITHDRAWN, ModuleState.ACTIVE, ModuleState.REFUSED, ModuleState.WAITING]

    def play(numbers: Sequence[int]) -> dict[str, Seat]:
        rows: dict[str, Seat] = {}
        for n in numbers:
            said = Decided("a", states_[n], None, str(n), revoked=states_[n] is ModuleState.WITHDRAWN, refused=n == 4)
            rows |= project(rows, DecisionId(0, n, 0), [said], None)
        return rows

    assert play([*order, *order[:3]]) == play(range(6)) == {"a": Seat(ModuleState.WAITING, None, "5", True, True, DecisionId(0, 5, 0))}


@pytest.mark.parametrize(
    ("licences", "in_use", "expected"),
    [(1, 1, "time has 1 licence, and 1 seat is in use"), (5, 6, "time has 5 licences, and 6 seats are in use")],
)
def test_A6_the_limit_and_the_use_of_a_pool_are_counted_in_words(licences: int, in_use: int, expected: str) -> None:
    assert limit_and_use("time", licences, in_use) == expected


def test_M5_a_person_who_has_not_accepted_is_invited_whatever_is_subscribed() -> None:
    invited = Account(invitation=Invitation.OPEN)
    unsubscribed = replace(SETTINGS, subscribed={})
    for settings in (SETTINGS, unsubscribed):
        found = standing(ANN, invited, settings, D)
        assert (found.status, found.may_log_in) == (Status.INVITED, False)
    assert standing(ANN, Account(), unsubscribed, D).status is Status.NOT_SUBSCRIBED
    refused = replace(invited, hold_until=NOW, seat_status=SeatStatus.REFUSED)
    assert standing(ANN, refused, SETTINGS, D).status is Status.REFUSED, "nothing could be reserved"
