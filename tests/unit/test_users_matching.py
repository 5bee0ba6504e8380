"""One human, one person: HR systems and identity systems that report the same people, in every order, with every kind of login."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.users.domain.conflicts import Conflict, ConflictReason
from services.users.domain.facts import Record
from services.users.domain.merging import Employment, Overrides
from services.users.domain.person import Person, with_settings_of
from services.users.domain.required_modules import Account
from services.users.domain.sources import Duplicates, Key, MatchBy, SourceKind, may_be_duplicates, new_source
from services.users.domain.status import Status
from tests.support.company import HR, OKTA, PEOPLE, TODAY, Company, everybody, hr, okta

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def check_linked(company: Company, seats: int = PEOPLE) -> None:
    assert (company.seats, len(company.people)) == (seats, seats)
    assert all(company.of(HR, str(number)) is company.of(OKTA, f"o{number}") for number in range(PEOPLE))


def test_HR_without_logins_and_then_an_identity_system_are_500_people() -> None:
    company = Company()
    company.report(HR, everybody("", hr))
    assert company.seats == 0, "without a login nobody requires a seat (A7)"
    company.report(OKTA, everybody("o", okta))
    check_linked(company)


def test_short_logins_of_HR_and_addresses_as_user_names_are_500_people() -> None:
    company = Company()
    company.report(HR, {str(number): hr(number, login=f"p{number}") for number in range(PEOPLE)})
    company.report(OKTA, everybody("o", okta))
    check_linked(company)
    assert company.of(HR, "7").record is not None
    assert getattr(company.of(HR, "7").record, "login", None) == "p7", "HR goes first"


def test_an_identity_system_that_comes_first_makes_the_same_500_people() -> None:
    company = Company()
    company.report(OKTA, everybody("o", okta))
    assert company.seats == PEOPLE
    company.report(HR, {str(number): hr(number, login=f"p{number}") for number in range(PEOPLE)})
    check_linked(company)


def test_people_are_recognised_by_their_employee_number_in_either_order() -> None:
    for first in (HR, OKTA):
        company = Company()
        reports = {
            HR: {str(number): {"login": f"p{number}"} for number in range(PEOPLE)},
            OKTA: {f"o{number}": {"login": f"{number}@acme.example", "employee_number": str(number)} for number in range(PEOPLE)},
        }
        company.report(first, reports.pop(first))
        ((source, people),) = reports.items()
        matched = company.report(source, people)
        assert {link.by for link in matched.links.values()} == {MatchBy.EMPLOYEE_NUMBER}
        check_linked(company)


@pytest.mark.parametrize("source", [HR, OKTA])
def test_two_people_who_swap_their_logins_in_one_report_are_in_no_conflict(source: str) -> None:
    company = Company()
    company.report(source, {"1": okta(1), "2": okta(2), "3": okta(3)})
    seats = company.seats
    company.report(source, {"1": okta(2), "2": okta(1)})
    company.report(source, {"1": okta(2), "2": okta(3), "3": okta(1)})
    assert (company.seats, [company.conflict(source, who) for who in "123"]) == (seats, [None] * 3)


def test_a_login_that_is_in_use_is_a_conflict_of_the_person_who_claims_it_and_ends_with_its_cause() -> None:
    company = Company()
    company.report(HR, {"1": okta(1), "2": okta(2)})
    holder = company.of(HR, "1").user
    company.report(HR, {"2": okta(1)})
    assert company.conflict(HR, "2") == Conflict(ConflictReason.LOGIN_IN_USE, MatchBy.LOGIN, (holder,))
    assert (company.seats, company.conflict(HR, "1")) == (1, None)
    company.report(HR, {"1": okta(7)})
    assert (company.seats, company.conflict(HR, "2")) == (2, None)
    company.report(HR, {"1": okta(1)})
    assert company.conflict(HR, "1") is not None, "now the other one has it"
    company.edit(company.of(HR, "1").user, login="somebody")
    assert (company.seats, company.conflict(HR, "1")) == (2, None)


def test_one_login_under_three_ids_of_one_source_is_one_seat() -> None:
    company = Company()
    company.report(HR, {"1": okta(1), "2": okta(1), "3": okta(1) | {"login": " P1@ACME.example"}})
    assert company.seats == 1
    assert [(company.conflict(HR, who) or Conflict("")).reason for who in "123"] == ["", "same_source", "same_source"]


def test_one_login_in_three_sources_is_one_person() -> None:
    company = Company(replace(new_source("entra", SourceKind.SCIM), arrival=3))
    for source in (OKTA, HR, "entra"):
        company.report(source, {"1": okta(1)})
    assert (company.seats, len(company.people)) == (1, 1)


def test_more_than_one_person_of_an_address_is_a_conflict_and_ends_when_nobody_is_meant() -> None:
    company = Company()
    shared = {"email": "office@acme.example"}
    company.report(HR, {"1": {"login": "a"} | shared, "2": {"login": "b"} | shared})
    assert company.seats == 2, "an HR system tells its own people apart"
    company.report(OKTA, {"o": {"login": "office"} | shared})
    assert company.conflict(OKTA, "o") == Conflict("several_people", "email", (company.of(HR, "1").user, company.of(HR, "2").user))
    company.report(HR, {"1": {"login": "a", "email": "a@acme.example"}, "2": {"login": "b", "email": "b@acme.example"}})
    assert (company.seats, company.conflict(OKTA, "o")) == (3, None)


def test_a_conflict_with_two_people_stays_when_one_of_them_changes_the_login() -> None:
    """The one who changes it was reported after the person in conflict."""
    company = Company()
    shared = {"email": "office@acme.example"}
    company.report(HR, {"1": {"login": "a"} | shared, "2": {"login": "b"} | shared})
    company.report(OKTA, {"o": {"login": "office"} | shared})
    company.report(HR, {"3": {"login": "c"} | shared})
    company.report(HR, {"2": {"login": "b", "email": "b@acme.example"}})
    meant = Conflict("several_people", "email", (company.of(HR, "1").user, company.of(HR, "3").user))
    assert company.conflict(OKTA, "o") == meant
    company.report(HR, {"3": {"login": "d"} | shared})
    assert company.conflict(OKTA, "o") == meant
    assert company.seats == 3


def test_somebody_who_may_manage_people_is_not_taken_over_by_an_address() -> None:
    company = Company()
    company.report(HR, {"1": hr(1, login="p1")})
    boss = company.of(HR, "1").user
    company.promote(boss)
    company.report(OKTA, {"o1": okta(1)})
    assert company.conflict(OKTA, "o1") == Conflict("privileged", "email", (boss,))
    other = Company()
    other.report(HR, {"1": hr(1, login="p1@acme.example")})
    boss = other.of(HR, "1").user
    other.promote(boss)
    other.report(OKTA, {"o1": okta(1)})
    assert other.of(OKTA, "o1").user == boss, "the login is the same"


@pytest.mark.parametrize(("employed", "leaves"), [(True, True), (False, False)])
def test_only_the_termination_of_somebody_who_is_still_employed_holds_for_the_person_with_whom_that_one_is_linked(
    employed: bool, leaves: bool
) -> None:
    """A leaver is linked with somebody who works here again."""
    person = Person("ann", HR, "1", NOON, record=Record(employed=True))
    ended = Overrides({}, Employment(False, TODAY))
    kept = with_settings_of(person, replace(person, user="old", record=Record(employed), overrides=ended))
    assert (kept.overrides == ended) is leaves


@pytest.mark.parametrize("sources", [(HR, OKTA), (OKTA, HR)])
@pytest.mark.parametrize("days_before", [0, 1])
def test_a_login_that_is_given_to_a_new_hire_belongs_to_the_new_person_when_the_old_one_has_left(
    days_before: int, sources: tuple[str, str]
) -> None:
    """`days_before`: the new hire starts on the last day of the holder, or on the day after."""
    company = Company()
    company.report(HR, {"1": okta(1), "2": okta(2)})
    company.report(OKTA, {"o1": okta(1), "o2": okta(2)})
    holder = company.of(HR, "1").user
    company.promote(holder)
    start = TODAY + timedelta(days=1 - days_before)
    reports = {HR: {"1": okta(1, until=TODAY), "3": okta(1, since=start)}, OKTA: {"o3": okta(1)}}
    for source in sources:
        company.report(source, reports[source])
    assert company.seats == 2
    company.next_day()
    newcomer = company.of(HR, "3")
    assert company.seats == 2
    assert (newcomer.user != holder, newcomer.account, newcomer.conflict) == (True, Account(), None), "nobody inherits a role"
    assert company.of(OKTA, "o3").user == newcomer.user
    assert (company.people[holder].standing.status, company.people[holder].account.roles) == (Status.LEFT, ("owner",))


def test_a_new_hire_of_an_identity_system_alone_never_becomes_the_leaver_of_that_login() -> None:
    company = Company()
    company.report(HR, {"1": okta(1, until=TODAY - timedelta(days=1))})
    company.report(OKTA, {"o9": okta(1)})
    assert company.of(OKTA, "o9").user != company.of(HR, "1").user
    assert company.seats == 1


def test_a_person_who_starts_later_is_linked_to_the_account_that_was_prepared() -> None:
    company = Company()
    company.report(OKTA, {"o1": okta(1)})
    company.report(HR, {"1": okta(1, since=TODAY + timedelta(days=3))})
    assert company.of(HR, "1") is company.of(OKTA, "o1")
    assert company.seats == 0, "HR decides when the employment begins"


def test_a_source_can_switch_matching_off_but_no_login_is_used_twice() -> None:
    company = Company(replace(new_source("entra", SourceKind.SCIM), match_by=(), arrival=3))
    company.report(HR, {"1": okta(1), "2": hr(2, login="p2")})
    company.report("entra", {"e1": okta(1), "e2": okta(2)})
    assert (company.conflict("entra", "e1") or Conflict("")).reason == ConflictReason.LOGIN_IN_USE
    assert (company.seats, company.of("entra", "e2").user == company.of(HR, "2").user) == (3, False)


def test_a_later_change_of_login_moves_no_timeline_to_another_person() -> None:
    company = Company()
    company.report(HR, {"1": hr(1), "2": hr(2)})
    company.report(OKTA, {"o1": okta(1), "o2": okta(2)})
    company.report(OKTA, {"o1": okta(9)})
    assert company.of(OKTA, "o1") is company.of(HR, "1")
    company.report(OKTA, {"o1": okta(2), "o2": okta(1)})
    assert company.of(OKTA, "o1") is company.of(HR, "1")
    assert company.seats == 2


def test_people_who_are_separated_are_not_compared_again_but_by_their_login() -> None:
    company = Company()
    company.report(HR, {"1": {"login": "a", "email": "office@acme.example"}, "2": {"login": "b", "email": "office@acme.example"}})
    company.report(OKTA, {"o": {"login": "office", "email": "office@acme.example"}})
    third = company.of(OKTA, "o")
    company.people[third.user] = replace(third, separated=third.conflict.people if third.conflict else ())
    company.next_day()
    assert (company.seats, company.conflict(OKTA, "o")) == (3, None)


@pytest.mark.parametrize(
    ("unmatched", "confirmed", "employed", "other"),
    [
        ({OKTA: 6, HR: 6}, 0, 100, HR),
        ({OKTA: 5, HR: 50}, 0, 100, None),  # so few may be a coincidence
        ({OKTA: 20, HR: 500}, 0, 1000, None),  # 2 %
        ({OKTA: 21, HR: 500}, 0, 1000, HR),
        ({OKTA: 6, HR: 5}, 0, 100, None),  # there are not as many without a match
        ({OKTA: 506, HR: 500}, 500, 1000, None),
        ({OKTA: 521, HR: 500}, 500, 1000, HR),
    ],
)
def test_new_people_may_be_duplicates_if_as_many_of_another_source_have_no_match(
    unmatched: dict[str, int], confirmed: int, employed: int, other: str | None
) -> None:
    source = replace(new_source(OKTA, SourceKind.SCIM), duplicates_confirmed=confirmed)
    assert may_be_duplicates(source, unmatched, employed) == other
    assert may_be_duplicates(replace(source, duplicates=Duplicates.ALLOW), unmatched, employed) is None


@pytest.mark.parametrize(("others", "waits"), [((), True), ((HR,), False), (("entra",), True), (("entra", HR), False)])
def test_a_possible_duplicate_waits_until_an_HR_system_and_an_identity_system_know_the_person(others: tuple[str, ...], waits: bool) -> None:
    company = Company(replace(new_source("entra", SourceKind.SCIM), arrival=3))
    company.report(OKTA, {"o1": okta(1)})
    user, timeline = company.timelines[Key(OKTA, "o1")]
    company.sources[OKTA] = replace(company.sources[OKTA], duplicates_held=True)
    company.people[user] = replace(company.people[user], conflict=Conflict(ConflictReason.POSSIBLE_DUPLICATE))
    for source in others:
        company.timelines[Key(source, "1")] = (user, timeline)
    company.edit(user, name="One")
    conflict = company.people[user].conflict
    assert (conflict is not None, company.seats) == (waits, 0 if waits else 1)


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize(("held", "people"), [(True, 2), (False, 1)])
def test_a_possible_duplicate_is_matched_as_at_first_once_nobody_is_held(held: bool, people: int, repeated: bool) -> None:
    """An HR system reported the same human meanwhile, and was not compared with somebody who waits. `repeated`: the source of that person
    reports again before the confirmation."""
    company = Company()
    company.report(OKTA, {"o1": okta(1)})
    user, _ = company.timelines[Key(OKTA, "o1")]
    company.sources[OKTA] = replace(company.sources[OKTA], duplicates_held=True)
    company.people[user] = replace(company.people[user], conflict=Conflict(ConflictReason.POSSIBLE_DUPLICATE))
    company.report(HR, {"h1": hr(1, login=okta(1)["login"])})
    if repeated:
        company.report(OKTA, {"o1": okta(1, name="One")})
        assert company.conflict(OKTA, "o1") == Conflict(ConflictReason.POSSIBLE_DUPLICATE)
    company.sources[OKTA] = replace(company.sources[OKTA], duplicates_held=held)
    company.next_day()
    assert len({user for user, _ in company.timelines.values()}) == people
    assert company.seats == 1
    assert company.conflict(HR, "h1") is None
