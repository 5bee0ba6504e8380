"""Differences between HR, an identity system, users and seats: who differs, why, and what each difference would change."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from services.users.domain import differences as rules
from services.users.domain.differences import Difference, DifferenceKind
from services.users.domain.facts import Kind
from services.users.domain.merging import Employment, Overrides
from services.users.domain.module_states import ModuleState, Seat
from services.users.domain.person import as_of
from services.users.domain.sources import Key, SourceKind
from services.users.domain.timelines import Report
from services.users.use_cases import differences as use_case
from services.users.use_cases.differences import Comparison
from services.users.use_cases.seats_questions import SeatsQuestions
from shared.schemas.position import DecisionId
from tests.support.company import HR, OKTA, PEOPLE, TODAY, Company, everybody, hr, okta


def seat(state: ModuleState) -> Seat:
    return Seat(state, None, None, revoked=False, refused=False, decision_id=DecisionId(0, 1, 0))


class Compared(SeatsQuestions):
    """A company whose seats are decided: everybody who requires time has it, unless `recorded` or `live` say otherwise."""

    def __init__(self, company: Company) -> None:
        self.company = company
        everyone = {user: person.standing.required.modules for user, person in company.people.items()}
        self.recorded = {user: {module: seat(ModuleState.ACTIVE) for module in modules} for user, modules in everyone.items()}
        self.live = {user: dict.fromkeys(modules, "active") for user, modules in everyone.items() if modules}
        self.is_up = True

    def decide(self, user: str, state: ModuleState) -> None:
        self.recorded[user]["time"] = seat(state)
        self.live.pop(user, None)

    def compare(
        self, sees: Callable[[str, str | None], bool] = lambda *_: True, kinds: Any = use_case.DEFAULT_KINDS, limit: int = 100
    ) -> list[Comparison]:
        """Return all pages."""

        async def pages() -> list[Comparison]:
            found, after = list[Comparison](), ""
            while True:
                page = await use_case.compare(
                    self._database(),
                    self._tenant,
                    self,
                    "acme",
                    after=after,
                    limit=limit,
                    kinds=kinds,
                    sees=sees,
                )
                found.append(page)
                if page.next is None:
                    return found
                after = page.next

        return asyncio.run(pages())

    async def seats(self, tenant: str, first: str, last: str | None) -> Mapping[str, Mapping[str, str]] | None:
        return {user: states for user, states in self.live.items() if first <= user <= (last or user)} if self.is_up else None

    def _database(self) -> Any:
        @asynccontextmanager
        async def unit_of_work(_: str) -> AsyncIterator[Any]:
            yield SimpleNamespace(connection=self)

        return SimpleNamespace(unit_of_work=unit_of_work)

    async def _tenant(self, *_: Any) -> Any:
        return self.company.tenant


@pytest.fixture(autouse=True)
def stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the statements read the company of the test, which is the connection."""

    async def users_after(connection: Compared, _: str, after: str, limit: int) -> list[str]:
        return sorted(user for user in connection.company.people if user > after)[:limit]

    async def get_many(connection: Compared, _: str, users: list[str], __: Any) -> Any:
        return {user: connection.company.people[user] for user in users}

    async def of_users(_: Any, uow: Any, people: Any) -> Any:
        return uow.connection.company.known()

    async def load(connection: Compared, _: str, users: list[str]) -> Any:
        return {user: connection.recorded[user] for user in users}

    async def reporting_sources(connection: Compared, _: str) -> list[str]:
        return list(connection.company.sources)

    monkeypatch.setattr(f"{use_case.__name__}.store.users_after", users_after)
    monkeypatch.setattr(f"{use_case.__name__}.store.reporting_sources", reporting_sources)
    monkeypatch.setattr(f"{use_case.__name__}.people.get_many", get_many)
    monkeypatch.setattr(f"{use_case.__name__}.known_people.of_users", of_users)
    monkeypatch.setattr(f"{use_case.__name__}.module_states.load", load)


@cache
def _company_where_five_differ() -> Company:
    """HR says 500, okta 498, seats 497."""
    company = Company()
    company.report(HR, everybody("", hr))
    company.report(OKTA, {who: values for who, values in everybody("o", okta).items() if who not in ("o7", "o8")})
    for who in ("7", "8"):
        company.report(HR, {who: hr(int(who), login=f"p{who}")})
    company.report(OKTA, {"o9": okta(9, login_allowed=False)})
    company.report(HR, {"10": hr(10, kind=Kind.EXTERNAL)})
    return company


def a_company_where_five_differ() -> Compared:
    company = _company_where_five_differ()
    compared = Compared(company)
    compared.decide(company.of(HR, "11").user, ModuleState.REFUSED)
    return compared


def test_of_500_people_exactly_those_who_differ_are_listed_with_the_reason() -> None:
    compared = a_company_where_five_differ()
    pages = compared.compare()
    (page,) = pages
    assert use_case.summary(page) == "hr/acme says 500, okta says 498, users 500, of whom 498 require modules, seats 497; 5 people differ."
    found = {each.user: [(one.kind.value, one.reason) for one in each.differences] for each in page.found}
    of = compared.company.of
    assert found == {
        of(HR, "7").user: [("not_in_scim", "unknown")],
        of(HR, "8").user: [("not_in_scim", "unknown")],
        of(HR, "9").user: [("blocked", "inactive")],
        of(HR, "10").user: [("no_seat", "kind")],
        of(HR, "11").user: [("no_seat", "refused")],
    }
    texts = {each.user: each.differences[0] for each in page.found}
    blocked = texts[of(HR, "9").user]
    assert blocked.text == "okta blocks the login of Person 9, whom hr/acme employs."
    assert blocked.change == "The person may not log in and takes no seat. If okta activates the person again, the person requires time."
    assert blocked.would_require == ("time",)
    assert texts[of(HR, "11").user].text == "Person 11 requires time; seats refused it."


def test_whom_only_a_blocking_source_knows_is_activated_there_and_not_by_an_administrator() -> None:
    company = Company()
    company.report(OKTA, {"o1": okta(1, login_allowed=False)})
    (page,) = Compared(company).compare()
    (person,) = page.found
    assert [(each.kind.value, each.reason) for each in person.differences] == [("not_in_hr", "unknown"), ("no_seat", "login_blocked")]
    found = person.differences[1]
    assert found.text == "p1@acme.example is employed and requires no modules, because okta blocks the login."
    assert found.change == "Activate the person in okta: an administrator cannot end this block here."


def test_M5_a_source_that_employs_a_person_on_no_day_differs_from_one_that_employs_the_person() -> None:
    company = Company()
    company.report(HR, {"1": hr(1)})
    company.report(OKTA, {"o1": okta(1)})
    user, timeline = company.timelines[Key(HR, "1")]
    company.timelines[Key(HR, "1")] = user, replace(timeline, report=Report((), timeline.report.entries))
    company.next_day()
    (page,) = Compared(company).compare()
    (person,) = page.found
    assert [(each.kind.value, each.reason) for each in person.differences] == [("ended", "left")]


def test_pages_of_differences_hold_each_person_once_and_their_counts_add_up() -> None:
    compared = a_company_where_five_differ()
    pages = compared.compare(limit=2)
    users = [each.user for page in pages for each in page.found]
    assert (len(users), len(set(users)), users) == (5, 5, sorted(users))
    assert all(len(page.found) <= 2 for page in pages)
    assert [use_case.summary(page).partition(",")[0] for page in pages] == [
        f"Of the {page.counts.examined} people of this page" for page in pages
    ]
    assert sum(page.counts.examined for page in pages) == PEOPLE
    assert sum(page.counts.by_source[OKTA] for page in pages) == 498
    assert sum(page.counts.with_seat or 0 for page in pages) == 497


def test_people_outside_the_readers_departments_are_counted_and_not_named() -> None:
    compared = a_company_where_five_differ()
    visible = compared.company.of(HR, "7").user
    (page,) = compared.compare(sees=lambda user, _: user == visible)
    assert [each.user for each in page.found] == [visible]
    assert (page.counts.differing, page.counts.hidden) == (5, 4)
    assert use_case.summary(page).endswith("5 people differ (4 of them outside your departments).")


def test_when_seats_is_down_the_sources_are_compared_and_the_answer_says_so() -> None:
    compared = a_company_where_five_differ()
    compared.is_up = False
    (page,) = compared.compare()
    assert (len(page.found), page.counts.with_seat) == (5, None)
    assert "seats did not answer" in use_case.summary(page)
    assert all(each.examined is not None and each.examined.seats is None for each in page.found)


def test_seats_that_users_has_recorded_otherwise_or_does_not_know_are_differences() -> None:
    company = Company()
    company.report(HR, {"1": hr(1, login="p1"), "2": hr(2, login="p2")})
    company.report(OKTA, {"o1": okta(1), "o2": okta(2)})
    compared = Compared(company)
    one = company.of(HR, "1").user
    compared.live[one] = {"time": "flagged"}
    compared.live["zz"] = {"time": "active"}
    (page,) = compared.compare()
    assert [(each.user, [one.reason for one in each.differences]) for each in page.found] == [
        (one, ["recorded_otherwise"]),
        ("zz", ["unknown_person"]),
    ]
    assert page.found[0].differences[0].text == "seats has flagged time for Person 1; users has recorded active time."
    (page,) = compared.compare(sees=lambda _, department: department is not None)
    assert page.counts.hidden == 1, "nobody with a viewset sees a user of whom no department is known"


def of_person(company: Company, who: str, **changes: Any) -> list[Difference]:
    compared = Compared(company)
    user = company.of(HR, who).user
    if changes:
        person = replace(company.people[user], **changes)
        company.people[user] = person
        company.people[user] = as_of(person, company.known().stated(user), company.tenant)
        compared = Compared(company)
    known = company.known()
    examined = rules.Examined(
        company.people[user],
        known.stated(user),
        rules.said_about(known, user, company.tenant),
        compared.recorded[user],
        compared.live.get(user, {}),
    )
    return rules.differences(known, examined, {SourceKind.HR, SourceKind.SCIM}, company.tenant)


def one_person(**values: Any) -> Company:
    company = Company()
    company.report(HR, {"1": okta(1) | {"name": "Ann"} | values})
    company.report(OKTA, {"o1": okta(1)})
    return company


def test_a_person_whom_HR_has_ended_and_the_identity_system_still_has_says_what_each_correction_would_change() -> None:
    company = one_person()
    company.report(HR, {"1": okta(1, until=TODAY - timedelta(days=1)) | {"name": "Ann"}})
    (found,) = of_person(company, "1")
    assert (found.kind, found.reason, found.would_require) == (DifferenceKind.ENDED, "left", ("time",))
    assert found.text == "hr/acme has ended the employment of Ann; okta still has the person."
    assert "delete or deactivate the person in okta" in found.change


def test_an_override_of_employment_says_what_its_removal_would_change() -> None:
    company = one_person()
    (found,) = of_person(company, "1", overrides=Overrides(employment=Employment(employed=False, since=TODAY)))
    assert (found.kind, found.would_require) == (DifferenceKind.OVERRIDE, ("time",))
    assert found.text == "An administrator has set Ann to not employed; hr/acme and okta say the opposite."


def test_a_hidden_value_says_whether_it_would_change_the_modules() -> None:
    company = one_person()
    company.report(OKTA, {"o1": okta(1, department="Guests")})
    (found,) = of_person(company, "1")
    assert (found.kind, found.reason, found.would_require) == (DifferenceKind.VALUE, "department", ())
    assert found.text == "Ann: department is 'Makers' (hr/acme); okta states 'Guests'."
    assert found.change == "With the value of okta, this changes the modules: the person requires no modules."


def test_a_person_without_a_login_says_what_a_login_would_change() -> None:
    company = Company()
    company.report(HR, {"1": {"name": "Ann"}})
    found = [each for each in of_person(company, "1") if each.kind is DifferenceKind.NO_SEAT]
    assert [(each.reason, each.change) for each in found] == [("no_login", "With a login, the person requires time.")]


def test_a_conflict_says_what_the_person_would_require_when_it_ends() -> None:
    company = Company()
    company.report(HR, {"1": hr(1, login="ann")})
    company.report(HR, {"2": hr(2, login="ANN")})
    (found,) = [each for each in of_person(company, "2") if each.kind is DifferenceKind.CONFLICT]
    assert (found.reason, found.would_require) == ("same_source", ("time",))
    assert found.change.endswith("A person who is not linked then requires time.")


def test_people_about_whom_all_agree_have_no_differences() -> None:
    company = one_person()
    assert of_person(company, "1") == []


def test_the_seats_of_a_range_are_requested_page_by_page() -> None:
    asked: list[dict[str, Any]] = []

    async def request(_: str, url: str, params: dict[str, Any]) -> httpx.Response:
        asked.append({**params, "url": url})
        items = [{"user": "b" if params.get("cursor") else "a", "module": module, "state": "active"} for module in ("time", "documents")]
        return httpx.Response(200, json={"items": items, "next": None if params.get("cursor") else "more"})

    client: Any = SimpleNamespace(request=request)
    found = asyncio.run(SeatsQuestions(client, "http://seats").seats("acme", "a", "b"))
    assert found == {user: {"time": "active", "documents": "active"} for user in "ab"}
    assert [(each["from_user"], each["to_user"], each.get("cursor")) for each in asked] == [("a", "b", None), ("a", "b", "more")]
    down: Any = SimpleNamespace(request=lambda *_, **__: asyncio.sleep(0, httpx.Response(503)))
    assert asyncio.run(SeatsQuestions(down, "http://seats").seats("acme", "", None)) is None
