"""Which login and e-mail address of a person with rights count for sign-in after somebody else has changed them."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.users.domain.confirmation import as_identity_systems_state, confirmed_email, confirmed_login
from services.users.domain.facts import Record
from services.users.domain.person import Cause, Person, Revision, Tenant, revise, source_actor, with_standing
from services.users.domain.required_modules import Account, Settings
from services.users.domain.roles import OWNER, Authority, Role, rights_of_roles
from shared.schemas.base import Actor
from shared.schemas.rights import TENANT_RIGHTS

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TENANT = Tenant("acme", ZoneInfo("UTC"), NOW, Settings({}, {}), 1)
ANN = Record(True, "ann", "ann@acme.example")
EVIL = Record(True, "mallory", "mallory@evil.example")
SOURCE = Cause(source_actor("hr/acme"))
OWNERS = Authority(frozenset(TENANT_RIGHTS))
MANAGERS = Authority(frozenset(rights_of_roles(["people-manager"], {})))


def person(*roles: str, record: Record | None = ANN, **account: object) -> Person:
    return with_standing(Person("u1", "hr/acme", "1", NOW, record, Account(roles=roles, **account)), TENANT)  # type: ignore[arg-type]


def by(authority: Authority) -> Cause:
    return Cause(Actor(kind="user", id="u2"), authority=authority)


def stated(before: Person, record: Record | None, cause: Cause = SOURCE) -> Revision:
    return revise(before, with_standing(replace(before, record=record), TENANT), at=NOW, cause=cause)


def signs_in_with(person: Person) -> tuple[str, str]:
    return person.sign_in_login, person.sign_in_email


@pytest.mark.parametrize("account", [{}, {"group_roles": ("reader",)}], ids=["owner", "role of a group too"])
def test_an_owner_whose_login_and_address_a_source_changes_signs_in_as_before(account: dict[str, object]) -> None:
    revision = stated(person(OWNER, **account), EVIL)  # type: ignore[arg-type]
    assert (revision.person.record, signs_in_with(revision.person)) == (EVIL, ("ann", "ann@acme.example"))
    told = revision.unconfirmed
    assert told is not None
    assert (told.email, told.new_login, told.new_email) == ("ann@acme.example", "mallory", "mallory@evil.example")
    assert told.actor == source_actor("hr/acme")


def test_all_e_mails_go_to_the_address_that_counts_until_another_one_is_confirmed() -> None:
    revision = stated(person(OWNER), EVIL)
    assert revision.event is not None
    assert (revision.event.email, revision.event.confirmed_email) == ("mallory@evil.example", "ann@acme.example")
    confirmed = revise(revision.person, replace(revision.person, confirmed_login=None, confirmed_email=None), at=NOW, cause=by(OWNERS))
    assert confirmed.event is not None, "readers are told"
    assert (confirmed.event.email, confirmed.event.confirmed_email) == ("mallory@evil.example", None)
    nobody = stated(person(OWNER, record=replace(ANN, email="")), EVIL).event
    assert nobody is not None
    assert nobody.confirmed_email == "", "to nobody"
    others = stated(person(), EVIL).event
    assert others is not None
    assert others.confirmed_email is None


NARROW = replace(TENANT, settings=Settings({}, {}, roles={"helper": Role("Helper", ("users:read",))}))
WIDE = replace(TENANT, settings=Settings({}, {}, roles={"helper": Role("Helper", ("users:read", "account:buy"))}))


def widened(before: Person) -> Revision:
    """Return the holder of the role `helper` after the role was changed."""
    return revise(before, with_standing(before, WIDE), at=NOW, cause=SOURCE)


def helper(giver: Authority | None) -> Person:
    plain = with_standing(Person("u1", "hr/acme", "1", NOW, ANN), NARROW)
    given = with_standing(replace(plain, account=Account(roles=("helper",))), NARROW)
    return revise(plain, given, at=NOW, cause=SOURCE if giver is None else by(giver)).person


def test_T24_an_address_counts_for_no_more_rights_than_those_of_the_sender_who_stated_or_confirmed_it() -> None:
    """A role gets more rights after somebody with fewer had set the address of a holder: nothing counts until it is confirmed."""
    by_owner = widened(helper(OWNERS))
    assert signs_in_with(by_owner.person) == ("ann", "ann@acme.example"), "an owner has seen both"
    assert not by_owner.ends_sessions
    written = stated(helper(OWNERS), replace(ANN, login="ANN", email="Ann@acme.example")).person
    assert set(written.confirmed_rights) == set(TENANT_RIGHTS), "the same address in other letters"
    managers = Authority(frozenset({"users:read", "users:manage", "roles:manage"}))
    by_manager = widened(helper(managers))
    assert (signs_in_with(by_manager.person), by_manager.ends_sessions, by_manager.unbinds) == (("", ""), True, True)
    assert by_manager.unconfirmed is not None
    assert (by_manager.unconfirmed.email, by_manager.unconfirmed.new_email) == (None, "ann@acme.example")
    owned = helper(OWNERS)
    moved = revise(owned, with_standing(replace(owned, record=EVIL), NARROW), at=NOW, cause=by(managers)).person
    assert signs_in_with(moved) == ("mallory", "mallory@evil.example"), "a manager has all rights of the holder today"
    assert signs_in_with(widened(moved).person) == ("", "")
    before = widened(moved).person
    confirmed = replace(before, confirmed_login=None, confirmed_email=None)
    again = revise(before, confirmed, at=NOW, cause=by(OWNERS)).person
    assert (signs_in_with(again), set(again.confirmed_rights)) == (("mallory", "mallory@evil.example"), set(TENANT_RIGHTS))


def test_people_without_a_role_sign_in_with_what_sources_state() -> None:
    revision = stated(person(), EVIL)
    assert signs_in_with(revision.person) == ("mallory", "mallory@evil.example")
    assert revision.unconfirmed is None
    assert not revision.person.is_unconfirmed


@pytest.mark.parametrize(
    ("roles", "authority", "counts"),
    [
        ((OWNER,), OWNERS, True),
        ((OWNER,), MANAGERS, False),
        (("people-manager",), MANAGERS, True),
        (("people-manager", "licence-manager"), MANAGERS, False),
        (("reader",), MANAGERS, True),
        (("reader",), Authority(frozenset()), False),
    ],
)
def test_a_change_by_somebody_with_all_rights_of_the_person_counts_at_once(
    roles: tuple[str, ...], authority: Authority, counts: bool
) -> None:
    revision = stated(person(*roles), EVIL, by(authority))
    assert signs_in_with(revision.person) == (("mallory", "mallory@evil.example") if counts else ("ann", "ann@acme.example"))
    assert (revision.unconfirmed is None) is counts


@pytest.mark.parametrize(
    "between",
    [
        [replace(ANN, employed=False)],
        [Record(employed=False)],
        [None],  # the start was postponed
        [replace(ANN, login="", email="")],
        [replace(EVIL, email="ann@acme.example"), None, replace(EVIL, login="ann")],
    ],
    ids=["left", "left without data", "postponed", "login withdrawn", "one after the other"],
)
def test_no_way_over_other_states_makes_a_new_address_count(between: list[Record | None]) -> None:
    now = person(OWNER)
    for record in (*between, EVIL, replace(EVIL, name="Mallory"), EVIL):
        now = stated(now, record).person
    assert signs_in_with(now) == ("ann", "ann@acme.example")


def test_an_owner_whose_role_is_taken_while_a_change_is_open_gets_it_back_with_the_old_address() -> None:
    now = stated(person(OWNER), EVIL).person
    now = revise(now, with_standing(replace(now, account=Account()), TENANT), at=NOW, cause=by(OWNERS)).person
    now = stated(now, replace(EVIL, email="second@evil.example")).person
    now = revise(now, with_standing(replace(now, account=Account(group_roles=("reader",))), TENANT), at=NOW, cause=SOURCE).person
    assert signs_in_with(now) == ("ann", "ann@acme.example")


def test_an_address_counts_again_when_the_source_takes_its_change_back() -> None:
    now = stated(stated(person(OWNER), EVIL).person, ANN)
    assert not now.person.is_unconfirmed
    assert now.unconfirmed is None


def test_another_change_by_an_owner_confirms_nothing() -> None:
    open_ = stated(person(OWNER), EVIL).person
    renamed = stated(open_, replace(EVIL, name="Ann Lund"), by(OWNERS))
    assert signs_in_with(renamed.person) == ("ann", "ann@acme.example")
    assert renamed.unconfirmed is None, "the person is told once of each change"


def test_each_of_the_two_is_confirmed_alone() -> None:
    now = stated(person(OWNER), replace(ANN, email="ann@evil.example"))
    assert (now.person.confirmed_login, now.person.confirmed_email) == (None, "ann@acme.example")
    assert now.unconfirmed is not None
    assert (now.unconfirmed.new_login, now.unconfirmed.new_email) == (None, "ann@evil.example")
    half = stated(now.person, replace(ANN, login="ann2", email="ann@evil.example"), by(OWNERS)).person
    assert signs_in_with(half) == ("ann2", "ann@acme.example")


def test_a_login_or_address_that_an_owner_did_not_have_is_confirmed_too() -> None:
    without = person(OWNER, record=Record(employed=True))
    now = stated(without, EVIL)
    assert signs_in_with(now.person) == ("", "")
    assert now.unconfirmed is not None
    assert now.unconfirmed.email is None, "there is no address to write to"


def test_who_gives_a_role_confirms_what_the_person_has_then() -> None:
    changed = stated(person(), EVIL).person
    given = revise(changed, with_standing(replace(changed, account=Account(roles=("reader",))), TENANT), at=NOW, cause=by(OWNERS)).person
    assert signs_in_with(given) == ("mallory", "mallory@evil.example")
    assert signs_in_with(stated(given, ANN).person) == ("mallory", "mallory@evil.example")


def test_a_person_who_is_added_with_a_role_signs_in_with_what_the_sender_gave() -> None:
    unknown = person(OWNER, record=None)
    assert signs_in_with(stated(unknown, ANN, by(OWNERS)).person) == ("ann", "ann@acme.example")
    assert signs_in_with(stated(unknown, ANN, by(MANAGERS)).person) == ("", "")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ann@acme.example", "Ann@ACME.example", True),
        ("ann@strasse.example", "ann@straße.example", False),  # two domains, though a comparison of logins takes ß for ss
        ("ann@acme.example", "ann@ａcme.example", False),
        ("kim@acme.example", "\u212aim@acme.example", False),  # the sign for Kelvin
        ("ann@acme.example", "ann@acme.example.evil.example", False),
        ("ann@acme.example", "", False),
    ],
)
def test_an_address_that_only_looks_alike_is_another_one(one: str, other: str, same: bool) -> None:
    found = confirmed_email(None, replace(ANN, email=one), replace(ANN, email=other), covers=False)
    assert found == (None if same else one)


def test_a_login_in_other_letters_is_the_same_as_everywhere() -> None:
    assert confirmed_login(None, replace(ANN, login="Ann"), replace(ANN, login="ANN"), covers=False) is None
    assert confirmed_login(None, replace(ANN, login="Ann"), replace(ANN, login="bob"), covers=False) == "ann"


@pytest.mark.parametrize(
    ("value", "stated_by", "counts"),
    [
        ("", [], None),
        ("mallory@evil.example", [], ""),  # an address that only a sender of HR data has stated
        ("mallory@evil.example", [""], ""),
        ("ann@acme.example", ["ann@acme.example", ""], None),
        ("mallory@evil.example", ["ann@acme.example"], "ann@acme.example"),
        ("mallory@evil.example", ["ann@acme.example", "mallory@evil.example"], ""),
    ],
)
def test_a_group_gives_its_role_to_the_person_whom_the_identity_system_describes(
    value: str, stated_by: list[str], counts: str | None
) -> None:
    assert as_identity_systems_state(value, stated_by) == counts
