"""The rights that roles give, and who may give roles to others."""

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from services.users.domain.facts import Kind, Record
from services.users.domain.person import Cause, Person, Tenant, with_standing
from services.users.domain.required_modules import Account, Profile, Settings
from services.users.domain.roles import BUILT_IN, OWNER, Authority, Role, departments_of, rights_of_roles, with_shorthand
from services.users.domain.status import Status
from services.users.use_cases.rights import check_change, check_same_human
from shared.errors import Forbidden
from shared.schemas.base import Actor
from shared.schemas.rights import TENANT_RIGHTS

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
OWN = {"auditor": Role("Auditor", ("log:read", "account:read")), "chief": Role("Chief", ("users:manage", "roles:manage"))}
SETTINGS = Settings({"makers": Profile(("time",))}, {"Makers": "makers"}, roles=OWN, subscribed={"time": ()})
TENANT = Tenant("acme", ZoneInfo("UTC"), NOW, SETTINGS, 1)
ANN = Record(True, "ann", "ann@acme.example", department="Makers")
OWNERS = Authority(frozenset(TENANT_RIGHTS))


def person(*roles: str, record: Record = ANN, **account: object) -> Person:
    return with_standing(Person("u1", "hr/acme", "1", NOW, record, Account(roles=roles, **account)), TENANT)  # type: ignore[arg-type]


def allowed(before: Person, after: Person, authority: Authority) -> str | None:
    """Return the type of the refusal; None if there is none."""
    try:
        check_change(TENANT, before, after, Cause(Actor(kind="user", id="u2"), authority=authority))
    except Forbidden as error:
        return error.type
    return None


def test_T24_the_rights_of_a_person_are_those_of_all_roles_together() -> None:
    assert rights_of_roles([OWNER], {}) == TENANT_RIGHTS
    assert rights_of_roles(["auditor", "people-manager"], OWN) == ("account:read", "users:read", "users:manage", "log:read")
    assert rights_of_roles(["unknown"], OWN) == ()
    assert person("auditor", group_roles=("reader",)).standing.rights == ("account:read", "users:read", "log:read")


@pytest.mark.parametrize(("role", "administrator"), [(OWNER, True), ("licence-manager", True), ("people-manager", True), ("reader", False)])
def test_T23_an_administrator_is_a_person_who_may_buy_or_manage_people(role: str, administrator: bool) -> None:
    assert person(role).standing.required.administrator is administrator


def test_the_shorthand_gives_two_roles_and_takes_away_what_makes_an_administrator() -> None:
    assert with_shorthand((), True, OWN) == ("licence-manager", "people-manager")
    assert with_shorthand(("chief",), True, OWN) == ("chief",), "this person is one already"
    assert with_shorthand(("reader",), False, OWN) == ("reader",)
    assert with_shorthand((OWNER, "chief", "reader"), False, OWN) == ("reader",)


@pytest.mark.parametrize(
    ("record", "account", "expected"),
    [
        (ANN, {}, True),
        (replace(ANN, kind=Kind.EXTERNAL, login=""), {}, True),
        (replace(ANN, employed=False), {}, False),
        (replace(ANN, login_allowed=False), {}, False),
        (replace(ANN, valid_to=date(2026, 3, 1)), {}, False),
        (replace(ANN, valid_to=date(2026, 3, 2)), {}, True),
        (ANN, {"may_log_in": False}, False),
    ],
)
def test_a_holder_of_a_right_signs_in_to_the_console_unless_blocked(record: Record, account: dict[str, object], expected: bool) -> None:
    assert person("reader", record=record, **account).standing.may_sign_in is expected
    assert not person(record=record, **account).standing.may_sign_in, "without a right nobody signs in"


def test_a_holder_of_a_right_signs_in_without_a_seat() -> None:
    refused = replace(person("reader"), account=Account(roles=("reader",), seat_status="refused"))  # type: ignore[arg-type]
    found = with_standing(refused, TENANT).standing
    assert (found.status, found.may_log_in, found.may_sign_in) == (Status.REFUSED, False, True)


def test_E9_a_viewset_of_ones_own_department_follows_the_person() -> None:
    assert person("reader").departments is None
    assert person("reader", departments=("Makers", "Sales")).departments == frozenset({"Makers", "Sales"})
    moved = replace(person("reader", own_department=True), record=replace(ANN, department="Sales"))
    assert moved.departments == frozenset({"Sales"})
    assert departments_of(None, True, None) == frozenset(), "without a department, only oneself is visible"


def test_T24_a_change_of_roles_needs_the_right_for_it_and_every_right_that_is_given_or_taken() -> None:
    chief = Authority(frozenset({"users:manage", "roles:manage", "log:read", "account:read"}))
    manager = Authority(frozenset({"users:manage", "log:read", "account:read"}))
    assert allowed(person(), person("auditor"), manager) == "no-right"
    assert allowed(person(), person("auditor"), chief) is None
    assert allowed(person(), person(OWNER), chief) == "wider-than-own"
    assert allowed(person(OWNER), person(), chief) == "wider-than-own", "nobody takes what they do not have"
    assert allowed(person(OWNER), person(OWNER, "auditor"), chief) is None
    assert allowed(person(OWNER), person(), OWNERS) is None
    assert allowed(person("reader"), person("reader", departments=("Makers",)), chief) == "wider-than-own", "a viewset is part of a role"


def test_T24_roles_of_groups_are_given_and_taken_as_those_of_people_are() -> None:
    chief = Authority(frozenset({"users:manage", "roles:manage", "log:read", "account:read"}))
    manager = Authority(frozenset({"users:manage", "log:read", "account:read"}))
    assert allowed(person(), person(group_roles=("auditor",)), manager) == "no-right"
    assert allowed(person(), person(group_roles=("auditor",)), chief) is None
    assert allowed(person(), person(group_roles=("licence-manager",)), chief) == "wider-than-own"
    assert allowed(person("auditor"), person("auditor", group_roles=("auditor",)), manager) == "no-right", "it stays without the other"


def test_nobody_decides_whether_people_with_more_rights_are_one_human() -> None:
    manager = Cause(Actor(kind="user", id="u2"), authority=Authority(frozenset(BUILT_IN["people-manager"].rights)))
    with pytest.raises(Forbidden):
        check_same_human((person(), person(OWNER)), manager)
    check_same_human((person(), person("reader")), manager)
    check_same_human((person(), person(OWNER)), replace(manager, authority=None))


def test_E9_nobody_gives_a_viewset_that_is_wider_than_their_own() -> None:
    limited = Authority(frozenset(TENANT_RIGHTS), frozenset({"Makers"}))
    assert allowed(person(), person("reader"), limited) == "wider-than-own"
    assert allowed(person(), person("reader", departments=("Makers", "Sales")), limited) == "wider-than-own"
    assert allowed(person(), person("reader", departments=("Makers",)), limited) is None
    assert allowed(person(), person("reader", own_department=True), limited) is None


def test_nobody_changes_the_login_or_e_mail_address_of_somebody_with_more_rights() -> None:
    manager = Authority(frozenset(BUILT_IN["people-manager"].rights))
    for changed in (replace(ANN, email="eve@evil.example"), replace(ANN, login="eve")):
        assert allowed(person(OWNER), person(OWNER, record=changed), manager) == "wider-than-own"
        assert allowed(person("reader"), person("reader", record=changed), manager) is None
        assert allowed(person(OWNER), person(OWNER, record=changed), OWNERS) is None
    assert allowed(person(OWNER), person(OWNER, record=replace(ANN, name="Ann B")), manager) is None
