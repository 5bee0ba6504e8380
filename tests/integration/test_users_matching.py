"""One human, one person, on the real database: two HR systems about the same people, conflicts, and what administrators decide."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from functools import partial
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import TextClause, text

from services.users.domain.conflicts import NAMED_MAX
from services.users.domain.person import Cause, source_actor
from services.users.domain.timelines import Entry, Period, Report, Reported
from services.users.jobs.due_people import DuePeople
from services.users.store import identity_providers
from services.users.use_cases import matching, scim_groups
from services.users.use_cases.people import Received, apply_statements
from shared.schemas.users_v1 import ConflictFound, PersonLinked, PersonSeparated, PossibleDuplicates
from tests.support.scim import GROUP
from tests.support.users import NOON, NOTHING_BACK, AskedSeats, Bench, Rest, expanding_by_one_each
from tests.support.wait import wait_until

# One service for all tests of this file, as each works in tenants of its own. Its clock stands on 2 March 2026.
pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
Given = dict[str, Any]


class Company:
    """A tenant with two HR systems, whose reports come by REST."""

    def __init__(self, bench: Bench, tenant: str, rest: Rest) -> None:
        self.bench, self.tenant, self.rest, self.version = bench, tenant, rest, 0
        self.first, self.second = bench.source(tenant), f"hr/second/{tenant}"
        self.people = f"/v1/tenants/{tenant}/people"

    @classmethod
    async def open(cls, bench: Bench, **settings: Any) -> "Company":
        tenant, rest = await bench.open_tenant()
        company = cls(bench, tenant, rest)
        await rest.put(f"/v1/operator/sources/{company.second}", {"tenants": [tenant]})
        for source in (company.first, company.second):
            await rest.put(f"/v1/tenants/{tenant}/sources/{source}", {"match_by": ["login", "email"]} | settings)
        return company

    async def report(self, source: str, people: dict[str, Given]) -> None:
        """By external id: the values, and `ends_on`."""
        self.version += 1
        events = []
        for who, values in people.items():
            known = {"since": "2020-01-01", "department": "Makers"} | {name: value for name, value in values.items() if name != "ends_on"}
            employment = [{"starts_on": "2020-01-01", "ends_on": values.get("ends_on")}]
            events.append(
                {"type": "person_reported", "external_id": who, "version": self.version, "employment": employment, "attributes": [known]}
            )
        answer = await self.rest.post(f"/v1/tenants/{self.tenant}/hr-events", {"source": source, "events": events})
        assert answer["rejected"] == []
        await self.bench.until_settled(self.tenant)

    async def everybody(self) -> dict[str, Given]:
        """Return the people by their first external id."""
        return {each["external_id"]: each for each in (await self.rest.get(f"{self.people}?limit=200&status=all"))["items"]}

    async def seats(self) -> int:
        await self.bench.until_settled(self.tenant)
        required = {need.user: need.modules for need in await self.bench.needs(self.tenant)}
        return sum(bool(modules) for modules in required.values())


def person(who: str, **values: Any) -> Given:
    return {"login": who, "email": f"{who}@acme.example"} | values


async def test_two_sources_about_the_same_people_take_one_seat_each(bench: Bench) -> None:
    company = await Company.open(bench)
    everybody = [f"p{number}" for number in range(30)]
    await company.report(company.first, {f"a{who}": person(who) for who in everybody})
    await company.report(company.second, {f"b{who}": person(who.upper(), name=who) for who in everybody})
    found = await company.everybody()
    assert (len(found), await company.seats()) == (30, 30)
    assert found["ap7"]["timelines"] == [
        {"source": company.first, "external_id": "ap7"},
        {"source": company.second, "external_id": "bp7"},
    ]
    assert (found["ap7"]["login"], found["ap7"]["name"]) == ("p7", "p7")
    timelines = (await company.rest.get(f"{company.people}/{found['ap7']['user']}/timelines"))["timelines"]
    assert [(each["source"], each["kind"], each["external_id"]) for each in timelines] == [
        (company.first, "hr", "ap7"),
        (company.second, "hr", "bp7"),
    ]
    first = await company.rest.get(f"{company.people}/{found['ap7']['user']}/timelines?limit=3")
    rest = await company.rest.get(f"{company.people}/{found['ap7']['user']}/timelines?limit=3&cursor={first['next']}")
    pages = [[(each["source"], len(each["facts"])) for each in page["timelines"]] for page in (first, rest)]
    assert (pages, rest["next"]) == ([[(company.first, 2), (company.second, 1)], [(company.second, 1)]], None)
    stated = [[fact["values"]["login"] for fact in each["facts"] if "login" in fact["values"]] for each in timelines]
    assert stated == [["p7"], ["P7"]]
    assert not any(fact["by_rest"] for each in timelines for fact in each["facts"])
    links = await bench.events(company.tenant, PersonLinked)
    expected = {(found[f"a{who}"]["user"], f"b{who}", "login") for who in everybody}
    assert {(link.user, link.external_id, link.by) for link in links} == expected
    listed = (await company.rest.get(f"{company.people}?source={company.second}&external_id=bp7"))["items"]
    assert [each["external_id"] for each in listed] == ["ap7"]
    await company.report(company.first, {"ap0": person("p0", ends_on="2026-02-01"), "ap1": person("p2"), "ap2": person("p1")})
    found = await company.everybody()
    assert found["ap0"]["status"] == "active", "the other HR system employs them"
    assert (found["ap1"]["login"], found["ap2"]["login"], found["ap1"]["conflict"]) == ("p2", "p1", None)
    order = (await company.rest.get(f"/v1/tenants/{company.tenant}/sources"))["items"]
    assert [each["source"] for each in order] == [company.first, company.second]
    # The other system goes first from now on: everybody is described again.
    path = f"/v1/tenants/{company.tenant}/sources/{company.second}"
    changed = await company.rest.call("PUT", path, {"position": 1, "match_by": ["login", "email"]})
    assert changed.status_code == 202, changed.text
    await company.bench.until_settled(company.tenant)
    progress = await company.rest.get(changed.headers["location"])
    assert (progress["status"], progress["kind"], progress["done"]) == ("finished", "sources", 30)
    assert (await company.everybody())["ap7"]["login"] == "P7"
    assert (await company.rest.call("PUT", path, {"position": 1, "match_by": ["login"]})).status_code == 200, "the order is the same"


async def test_the_report_of_another_source_that_ends_a_conflict_links_the_person_in_conflict(bench: Bench) -> None:
    company = await Company.open(bench)
    await company.report(company.first, {"1": person("ann"), "2": person("cat")})
    await company.report(company.second, {"7": person("ann")})
    await company.report(company.second, {"8": person("ann")})
    assert (await company.everybody())["8"]["conflict"]["reason"] == "same_source"
    await company.report(company.first, {"1": person("bob"), "2": person("ann")})
    found = await company.everybody()
    assert [(each["source"], each["external_id"]) for each in found["2"]["timelines"]] == [(company.first, "2"), (company.second, "8")]
    assert (sorted(found), found["2"]["status"]) == (["1", "2"], "active")
    assert (await bench.events(company.tenant, PersonLinked))[-1].external_id == "8"


@pytest.mark.parametrize("how", ["report", "hand"])
async def test_what_administrators_have_set_for_a_person_in_conflict_holds_for_the_one_who_the_person_is(bench: Bench, how: str) -> None:
    """The block, the profile and the overrides, where nothing else is set for that one. Nobody inherits a role."""
    company = await Company.open(bench)
    await company.report(company.first, {"1": person("ann"), "2": person("cat")})
    await company.report(company.second, {"7": person("ann")})
    await company.report(company.second, {"8": person("ann")})
    found = await company.everybody()
    assert found["8"]["conflict"]["reason"] == "same_source"
    x, cat = (f"{company.people}/{found[who]['user']}" for who in ("8", "2"))
    await company.rest.patch(x, {"may_log_in": False, "profile": "planners", "priority": 7, "name": "Ann X", "job_title": "Baker"})
    assert (await company.rest.call("PUT", f"{x}/roles", {"roles": ["reader"]}, if_match="*")).status_code == 200
    await company.rest.patch(cat, {"job_title": "Cook"})
    if how == "report":
        await company.report(company.first, {"1": person("bob"), "2": person("ann")})
    else:
        await company.rest.post(f"{x}/link", {"to": found["2"]["user"]})
    found = await company.everybody()
    assert sorted(found) == ["1", "2"]
    kept = found["2"]
    assert [each["external_id"] for each in kept["timelines"]] == ["2", "8"]
    assert (kept["status"], kept["profile"], kept["roles"]) == ("inactive", "planners", [])
    assert {name: kept["overrides"].get(name) for name in ("name", "job_title")} == {"name": "Ann X", "job_title": "Cook"}
    assert await company.seats() == 1
    assert (await company.rest.post(f"{cat}/reactivate", {}))["status"] == "active"
    await company.report(company.first, {"2": person("ann" if how == "report" else "cat", name="Cat")})
    assert (await company.everybody())["2"]["status"] == "active", "the block is not set again"
    assert [need for need in await bench.needs(company.tenant) if need.user == kept["user"]][-1].priority == 7


async def test_a_linked_person_leaves_on_the_last_working_day_that_an_administrator_has_set(bench: Bench) -> None:
    company = await Company.open(bench)
    await company.report(company.first, {"1": person("ann"), "2": person("cat")})
    await company.report(company.second, {"7": person("ann")})
    await company.report(company.second, {"8": person("ann")})
    found = await company.everybody()
    await company.rest.post(f"{company.people}/{found['8']['user']}/terminate", {"last_day": "2026-03-20"})
    await company.report(company.first, {"1": person("bob"), "2": person("ann")})
    found = await company.everybody()
    assert (found["2"]["status"], len(found["2"]["timelines"])) == ("active", 2)
    last = [need for need in await bench.needs(company.tenant) if need.user == found["2"]["user"]][-1]
    assert last.release is not None
    assert (last.release.at.isoformat(), last.release.modules) == ("2026-03-20T23:00:00+00:00", ())


async def test_the_end_of_a_conflict_changes_the_person_who_is_linked_though_no_statement_is_about_that_person(bench: Bench) -> None:
    """Two people share the address of the one in conflict. One of them leaves, so the other one is meant, whom no statement is about."""
    company = await Company.open(bench)
    office = {"email": "office@acme.example"}
    await company.report(company.first, {"1": person("ann", **office), "2": person("bob", **office)})
    await company.report(company.second, {"9": {"email": office["email"], "name": "Bob", "may_log_in": False}})
    assert (await company.everybody())["9"]["conflict"]["reason"] == "several_people"
    await company.report(company.first, {"1": person("ann", **office, ends_on="2026-02-01")})
    found = await company.everybody()
    assert sorted(found) == ["1", "2"]
    assert (found["2"]["name"], found["2"]["status"], await company.seats()) == ("Bob", "inactive", 0)


async def test_a_link_that_hides_the_login_of_a_person_ends_the_conflict_of_somebody_else_about_it(bench: Bench) -> None:
    company = await Company.open(bench)
    await company.report(company.second, {"5": person("ann"), "6": person("ann", email="other@acme.example")})
    assert ((await company.everybody())["6"]["conflict"]["reason"], await company.seats()) == ("same_source", 1)
    known = {"since": "2020-01-01", "login": "eva", "email": "ann@acme.example", "department": "Makers"}
    event = {
        "type": "person_reported",
        "external_id": "1",
        "version": 9,
        "employment": [{"starts_on": "2020-01-01"}],
        "attributes": [known],
    }
    await company.rest.post(f"/v1/tenants/{company.tenant}/hr-events", {"source": company.first, "events": [event]})
    found = await bench.until_person(company.rest, company.tenant, "5", login="eva")
    assert len(found["timelines"]) == 2
    bench.users.alarm.wake()  # the background job looks at those in conflict
    await bench.until_person(company.rest, company.tenant, "6", status="active", login="ann", conflict=None)
    assert await company.seats() == 2


async def test_somebody_who_begins_is_linked_with_the_one_whose_conflict_the_same_reports_end(bench: Bench) -> None:
    company = await Company.open(bench)
    later = {"type": "person_hired", "external_id": "1", "effective_date": "2026-04-01", "login": "zoe", "department": "Makers"}
    await company.report(company.first, {"2": person("ann")})
    await company.rest.post(f"/v1/tenants/{company.tenant}/hr-events", {"source": company.first, "events": [later]})
    await company.report(company.second, {"5": person("ann")})
    await company.report(company.second, {"6": person("ann")})
    assert (await company.everybody())["6"]["conflict"]["reason"] == "same_source"
    employment = [{"starts_on": "2020-01-01"}]
    values = {"since": "2020-01-01", "department": "Makers"}
    people = [
        {"external_id": who, "employment": employment, "attributes": [values | person(login)]}
        for who, login in (("1", "ann"), ("2", "zed"))
    ]
    begun = await company.rest.post(f"/v1/tenants/{company.tenant}/imports", {"source": company.first})
    staged = f"/v1/tenants/{company.tenant}/imports/{begun['import']}"
    await company.rest.put(f"{staged}/people/0", {"people": people})
    await company.rest.post(f"{staged}/check")
    await company.rest.post(f"{staged}/apply")
    await bench.until_settled(company.tenant)
    found = await company.everybody()
    assert [(each["source"], each["external_id"]) for each in found["1"]["timelines"]] == [(company.first, "1"), (company.second, "6")]
    assert (found["1"]["status"], found["2"]["status"], await company.seats()) == ("active", "active", 2)


async def test_somebody_who_is_taken_out_of_a_person_does_not_share_the_login_of_a_third_person(bench: Bench) -> None:
    """The first system hides what the second one says, until that is a person of its own: then somebody else has the login."""
    company = await Company.open(bench)
    await company.report(company.first, {"1": person("bob"), "2": person("dan")})
    await company.report(company.second, {"6": person("bob")})
    await company.report(company.second, {"6": person("dan")})
    users = {who: each["user"] for who, each in (await company.everybody()).items()}
    assert (await company.seats(), len(users)) == (2, 2)
    await company.rest.post(f"{company.people}/{users['1']}/separate", {"source": company.second, "external_id": "6"})
    found = (await company.everybody())["6"]
    assert (found["status"], found["conflict"]["reason"], found["conflict"]["people"]) == ("conflict", "login_in_use", [users["2"]])
    assert await company.seats() == 2


@pytest.mark.parametrize("by", ["login", "email", "employee_number"])
async def test_somebody_who_begins_on_a_later_day_is_matched_on_that_day_by_whatever_the_source_matches(bench: Bench, by: str) -> None:
    """HR reports the person ahead, and the other system knows the person before the first day."""
    company = await Company.open(bench, match_by=["login", "employee_number", "email"])
    stated = {"department": "Makers", "name": "Ann Lee"} | {name: value for name, value in person("ann").items() if name == by}
    report = {"employment": [{"starts_on": "2026-03-03"}], "attributes": [{"since": "2026-03-03"} | stated]}
    event = {"type": "person_reported", "external_id": "17", "version": 1} | report
    await company.rest.post(f"/v1/tenants/{company.tenant}/hr-events", {"source": company.first, "events": [event]})
    await bench.until_settled(company.tenant)
    await company.report(company.second, {"x": person("ann", employee_number="17" if by == "employee_number" else "")})
    bench.clock.at = NOON + timedelta(days=1)
    try:
        await DuePeople(bench.users.database, bench.users.tenants, bench.users.alarm).run_chunk(company.tenant)
    finally:
        bench.clock.at = NOON
    found = await company.everybody()
    assert [[each["external_id"] for each in one["timelines"]] for one in found.values()] == [["17", "x"]]
    assert (found["x"]["name"], found["x"]["status"]) == ("Ann Lee", "active")
    assert [(link.external_id, link.by) for link in await bench.events(company.tenant, PersonLinked)] == [("17", by)]


@pytest.mark.parametrize("by", ["login", "email"])
async def test_somebody_who_was_never_employed_is_matched_when_the_employment_begins(bench: Bench, by: str) -> None:
    """HR knows the person, and another system reports the same human before HR does."""
    company = await Company.open(bench)
    ann = {by: person("ann")[by]}

    async def state(type_: str, day: str) -> None:
        event = {"type": type_, "external_id": "1", "fact": type_, "effective_date": day, "department": "Makers", "name": "Ann"} | ann
        await company.rest.post(f"/v1/tenants/{company.tenant}/hr-events", {"source": company.first, "events": [event]})
        await bench.until_settled(company.tenant)

    await state("person_changed", "2026-02-20")
    assert (await company.everybody())["1"]["status"] == "left"
    await company.report(company.second, {"x": person("ann")})
    await state("person_hired", "2026-03-01")
    found = await company.everybody()
    assert [[each["external_id"] for each in one["timelines"]] for one in found.values()] == [["1", "x"]]
    assert (found["x"]["name"], found["x"]["status"], await company.seats()) == ("Ann", "active", 1)


async def test_somebody_whose_first_report_says_nothing_is_matched_by_the_first_report_that_does(bench: Bench) -> None:
    """A system reports a hire that was cancelled, or a person whom it has not filled in yet. That makes no person."""
    company = await Company.open(bench)
    await company.report(company.first, {"1": person("ann"), "2": person("bob")})
    for source, who in ((company.second, "7"), (company.first, "8")):
        events = [{"type": "person_reported", "external_id": who, "version": 1, "employment": [], "attributes": []}]
        await company.rest.post(f"/v1/tenants/{company.tenant}/hr-events", {"source": source, "events": events})
        await bench.until_settled(company.tenant)
    assert list(await company.everybody()) == ["1", "2"]
    imported = {"external_id": "7", "employment": [{"starts_on": "2020-01-01"}], "attributes": [{"since": "2020-01-01", "login": "ANN"}]}
    begun = await company.rest.post(f"/v1/tenants/{company.tenant}/imports", {"source": company.second})
    staged = f"/v1/tenants/{company.tenant}/imports/{begun['import']}"
    await company.rest.put(f"{staged}/people/0", {"people": [imported]})
    await company.rest.post(f"{staged}/check")
    (change,) = (await company.rest.get(f"{staged}/changes"))["items"]
    assert change["match"]["outcome"] == "linked"
    assert (await company.rest.call("DELETE", staged)).status_code == 204
    await company.report(company.second, {"7": person("ann")})
    await company.report(company.first, {"8": person("bob")})
    found = await company.everybody()
    assert [each["external_id"] for each in found["1"]["timelines"]] == ["1", "7"]
    assert (found["8"]["status"], found["8"]["conflict"]["reason"], await company.seats()) == ("conflict", "same_source", 2)


async def test_a_conflict_is_shown_with_both_people_and_ends_by_itself_or_by_an_administrator(bench: Bench) -> None:
    company = await Company.open(bench)
    office = {"email": "office@acme.example"}
    await company.report(company.first, {"1": person("ann", **office), "2": person("bob", **office), "3": person("cid")})
    await company.report(company.first, {"4": person("cid")})
    await company.report(company.second, {"5": person("front"), "6": person("desk", **office)})
    found = await company.everybody()
    users = {who: each["user"] for who, each in found.items()}
    assert [found[who]["status"] for who in "123456"] == ["active", "active", "active", "conflict", "active", "conflict"]
    assert found["4"]["conflict"] == {"reason": "same_source", "by": "login", "people": [users["3"]], "hidden": 0}
    assert found["6"]["conflict"]["reason"] == "several_people"
    assert (found["3"]["in_conflict"], found["1"]["in_conflict"], found["5"]["in_conflict"]) == ([users["4"]], [users["6"]], [])
    assert [each["external_id"] for each in (await company.rest.get(f"{company.people}?status=conflict"))["items"]] == ["4", "6"]
    assert await company.seats() == 4
    await _check_differences(bench, company, users)
    refused = await company.rest.call("POST", f"{company.people}/{users['4']}/separate")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:seatpool:problem:login-in-use")
    await company.report(company.first, {"3": person("cid", ends_on="2026-02-01")})
    assert (await company.everybody())["4"]["status"] == "active"
    separated = await company.rest.post(f"{company.people}/{users['6']}/separate")
    assert (separated["status"], separated["conflict"]) == ("active", None)
    assert (await company.rest.call("POST", f"{company.people}/{users['6']}/separate")).json()["type"] == "urn:seatpool:problem:no-conflict"
    assert await company.seats() == 5


async def _check_differences(bench: Bench, company: Company, users: dict[str, str]) -> None:
    """The people in conflict are listed with what would change, page by page, also while seats is down."""
    path = f"/v1/tenants/{company.tenant}/differences?kind=conflict&kind=seats_differ"
    pages = await company.rest.pages(path, limit=1)
    found = {item["external_id"]: item["differences"] for page in pages for item in page}
    assert sorted(found) == ["4", "6"]
    ((same,), (several,)) = (found["4"], found["6"])
    assert (same["reason"], same["would_require"]) == ("same_source", ["documents", "time"])
    assert (several["reason"], several["kind"]) == ("several_people", "conflict")
    asked = bench.users.seats
    assert isinstance(asked, AskedSeats)
    asked.live = {"somebody": {"time": "active"}, users["1"]: {"time": "active"}}
    page = await company.rest.get(path)
    unknown = {item["user"]: item["differences"][-1]["reason"] for item in page["items"]}
    assert (unknown["somebody"], unknown[users["1"]], page["with_seat"]) == ("unknown_person", "recorded_otherwise", 2)
    asked.live = None
    page = await company.rest.get(path)
    assert (page["with_seat"], page["seats_detail"].startswith("seats did not answer"), len(page["items"])) == (None, True, 2)
    asked.live = {}
    counts = {each["source"]: (each["kind"], each["employed"]) for each in page["sources"]}
    assert counts == {company.first: ("hr", 4), company.second: ("hr", 2)}
    assert "2 people differ" in page["text"]
    assert (await company.rest.call("GET", f"/v1/tenants/{company.tenant}/differences?kind=bogus")).status_code == 422


async def test_a_conflict_is_told_again_when_its_reason_changes_or_somebody_else_may_be_meant(bench: Bench) -> None:
    """Not when only fewer people may be meant: the administrators have the same to decide."""
    company = await Company.open(bench)
    office = {"email": "office@acme.example"}
    await company.report(company.first, {who: person(f"p{who}", **office) for who in "123"})
    await company.report(company.second, {"9": person("front", **office)})
    users = {who: each["user"] for who, each in (await company.everybody()).items()}
    told = [("several_people", {users["1"], users["2"], users["3"]})]

    async def conflict() -> tuple[str, set[str]]:
        found = (await company.everybody())["9"]["conflict"]
        return found["reason"], set(found["people"])

    async def events() -> list[tuple[str, set[str]]]:
        return [(each.conflict, set(each.people)) for each in await bench.events(company.tenant, ConflictFound)]

    assert (await conflict(), await events()) == (told[0], told)
    await company.report(company.first, {"3": person("p3", **office, ends_on="2026-02-01")})
    assert (await conflict(), await events()) == (("several_people", {users["1"], users["2"]}), told)
    # An e-mail address alone does not make somebody a person who may buy.
    roles = f"{company.people}/{users['1']}/roles"
    assert (await company.rest.call("PUT", roles, {"roles": ["licence-manager"]}, if_match="*")).is_success
    await company.report(company.first, {"2": person("p2", **office, ends_on="2026-02-01")})
    told.append(("privileged", {users["1"]}))
    assert (await conflict(), await events()) == (told[-1], told)
    await company.report(company.first, {"1": person("ann", **office), "3": person("p3", **office)})
    told.append(("several_people", {users["1"], users["3"]}))
    assert (await conflict(), await events()) == (told[-1], told)


async def test_a_conflict_is_told_again_when_a_new_person_or_one_with_a_new_address_may_be_meant_as_well(bench: Bench) -> None:
    """Two are in conflict about one address: neither lets the other one be looked at again without end."""
    company = await Company.open(bench)
    office = {"email": "office@acme.example"}
    await company.report(company.first, {"1": person("p1", **office), "2": person("p2", **office), "4": person("p4")})
    await company.report(company.second, {"8": person("back", **office), "9": person("front", **office)})
    due = DuePeople(bench.users.database, bench.users.tenants, bench.users.alarm)
    users = {who: each["user"] for who, each in (await company.everybody()).items()}

    async def looked_at() -> int:
        """Return the number of chunks after which nobody is due; the job of the service itself may be faster."""
        for number in range(10):
            if not await due.run_chunk(company.tenant):
                return number
        raise AssertionError("people are due without end")

    async def meant() -> list[set[str]]:
        found = await company.everybody()
        return [set(found[who]["conflict"]["people"]) for who in "89"]

    assert (await meant(), await looked_at()) == ([{users["1"], users["2"]}] * 2, 0)
    await company.report(company.first, {"3": person("p3", **office)})
    assert await looked_at() <= 1
    users["3"] = (await company.everybody())["3"]["user"]
    assert await meant() == [{users["1"], users["2"], users["3"]}] * 2
    await company.report(company.first, {"4": person("p4", **office)})
    assert await looked_at() <= 1
    assert await meant() == [{users[who] for who in "1234"}] * 2
    told = [len(each.people) for each in await bench.events(company.tenant, ConflictFound)]
    assert told == [2, 2, 3, 3, 4, 4]
    await company.report(company.first, {"5": person("p5"), "4": person("p4", **office, name="Pia")})
    assert await looked_at() == 0, "an address that nobody is in conflict about, and one that is not new"


async def test_of_many_people_with_one_address_the_first_are_compared_and_named(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """If each of thousands with the address of their shop named all others, they would fill the database and the topic."""
    monkeypatch.setattr(matching, "WAITING_MAX", 1)
    company = await Company.open(bench)
    shop, makers, others = {"email": "shop@acme.example"}, [f"p{number}" for number in range(NAMED_MAX + 5)], ("x", "y", "z")
    await company.report(company.first, {who: person(who, **shop) for who in makers})
    await company.report(company.second, {who: person(who, **shop) for who in others})
    users = {who: each["user"] for who, each in (await company.everybody()).items()}
    due = DuePeople(bench.users.database, bench.users.tenants, bench.users.alarm)

    async def meant() -> list[set[str] | None]:
        """Return who may be meant, when nobody is due any more."""
        for _ in range(10):
            if not await due.run_chunk(company.tenant):
                break
        found = await company.everybody()
        conflicts = [found[who]["conflict"] if who in found else None for who in others]
        return [None if conflict is None else set(conflict["people"]) for conflict in conflicts]

    assert await meant() == [{users[who] for who in makers[:NAMED_MAX]}] * 3
    await company.report(company.first, {who: person(who) for who in makers[:NAMED_MAX]})
    assert await meant() == [{users[who] for who in makers[NAMED_MAX:]}] * 3
    await company.report(company.first, {who: person(who) for who in makers[NAMED_MAX:]})
    assert await meant() == [None] * 3, "nobody else has the address"
    assert {len(each.people) for each in await bench.events(company.tenant, ConflictFound)} == {NAMED_MAX, 5}


async def test_somebody_may_be_one_of_many_with_an_address_also_if_the_first_of_them_are_linked_already(bench: Bench) -> None:
    """An HR system tells its own people apart, so those whom it knows are not meant: they must not hide those who are."""
    company = await Company.open(bench)
    shop, makers = {"email": "shop@acme.example"}, [f"p{number:02}" for number in range(NAMED_MAX + 5)]
    await company.report(company.first, {who: person(who, **shop) for who in makers})
    await company.report(company.second, {f"b{who}": person(who, **shop) for who in makers[:NAMED_MAX]})
    users = {who: each["user"] for who, each in (await company.everybody()).items()}
    assert len(users) == len(makers), "linked by their logins"
    await company.report(company.second, {"x": person("x", **shop)})
    conflict = (await company.everybody())["x"]["conflict"]
    assert conflict is not None, "else one human could be two people with two seats"
    assert set(conflict["people"]) == {users[who] for who in makers[NAMED_MAX:]}


async def test_M12_a_dry_run_of_another_address_tells_of_the_seats_that_the_end_of_a_conflict_requests(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = await Company.open(bench)
    office = {"email": "office@acme.example"}
    await company.report(company.first, {"1": person("ann", **office), "2": person("bob", **office)})
    await company.report(company.second, {"3": person("cyd", **office)})
    found = (await company.everybody())["3"]
    assert (found["status"], await company.seats()) == ("conflict", 2)
    expanding_by_one_each(bench, monkeypatch)
    own, address = f"{company.people}/{found['user']}", {"email": "cyd@acme.example"}
    seen = await company.rest.patch(f"{own}?dry_run=true", address)
    assert seen["expansions"] == [{"module": "time", "licences": 1}]
    await company.rest.patch(own, address)
    assert await company.seats() == 3


async def test_a_conflict_ends_when_its_source_matches_otherwise_or_the_other_person_has_no_privileges_any_more(bench: Bench) -> None:
    company = await Company.open(bench)
    await company.report(company.first, {"1": person("ann", email="office@acme.example"), "2": person("bob", email="office@acme.example")})
    await company.report(company.second, {"7": person("ada", email="office@acme.example")})
    assert (await company.everybody())["7"]["conflict"]["reason"] == "several_people"
    await company.rest.put(f"/v1/tenants/{company.tenant}/sources/{company.second}", {"match_by": ["login"]})
    await company.bench.until_settled(company.tenant)
    await bench.until_person(company.rest, company.tenant, "7", conflict=None, status="active")
    # An e-mail address alone does not make somebody a person who may buy, until that person may no longer.
    found = await company.everybody()
    await company.rest.put(f"/v1/tenants/{company.tenant}/sources/{company.second}", {"match_by": ["email"]})
    cat = company.rest.patch(f"{company.people}/{found['1']['user']}", {"email": "cat@acme.example"})
    assert (await cat)["email"] == "cat@acme.example"
    roles = f"{company.people}/{found['1']['user']}/roles"
    assert (await company.rest.call("PUT", roles, {"roles": ["licence-manager"]}, if_match="*")).is_success
    await company.report(company.second, {"8": person("other", email="cat@acme.example")})
    in_conflict = (await company.everybody())["8"]
    assert in_conflict["conflict"]["reason"] == "privileged"
    upgrade = import_module("services.users.migrations.versions.0003_accounts_of_nobody").STATEMENT
    account = identity_providers.IdentityRow(company.tenant, "https://idp.acme.example", "account-of-8", in_conflict["user"], NOON)
    await _bind(bench, account)
    await bench.execute(upgrade)
    assert await _bound_user(bench, account) == in_conflict["user"]
    assert (await company.rest.call("PUT", roles, {"roles": []}, if_match="*")).is_success

    async def linked() -> bool:
        return "8" not in await company.everybody()

    await wait_until(linked, what="the two to be one person")
    assert [each["external_id"] for each in (await company.everybody())["1"]["timelines"]] == ["1", "8"]
    assert await _bound_user(bench, account) is None, "the account can be bound to the person who is left"
    await _bind(bench, account)
    await bench.execute(upgrade)
    assert await _bound_user(bench, account) is None, "earlier releases left it behind"


async def _bind(bench: Bench, account: identity_providers.IdentityRow) -> None:
    async with bench.users.database.unit_of_work(account.tenant_id) as uow:
        assert await identity_providers.bind(uow.connection, account)


async def _bound_user(bench: Bench, account: identity_providers.IdentityRow) -> str | None:
    async with bench.users.database.unit_of_work(account.tenant_id) as uow:
        return await identity_providers.bound_user(uow.connection, account.tenant_id, account.issuer, account.subject)


@pytest.mark.parametrize("is_added", [True, False])
async def test_privileges_that_a_group_gives_or_takes_while_a_report_is_matched_count(bench: Bench, is_added: bool) -> None:
    """The change of the group is stored after the report has looked at the person, and before the report locks the person."""
    company = await Company.open(bench, match_by=["email"])
    await company.report(company.first, {"1": person("ann")})
    user = (await company.everybody())["1"]["user"]
    connection = f"/v1/tenants/{company.tenant}/scim-connections/okta"
    await company.rest.put(connection, {})
    token = (await company.rest.post(f"{connection}/tokens", {}))["secret"]
    sent = {"authorization": f"Bearer {token}", "content-type": "application/scim+json"}
    group = (await bench.http.post("/scim/v2/Groups", json={"schemas": [GROUP], "displayName": "Buyers"}, headers=sent)).json()["id"]
    await company.rest.put(f"{connection}/groups/{group}", {"role": "licence-manager"})
    member = {"tenant": company.tenant, "group": group, "user": user}
    add = text("INSERT INTO scim_members (tenant_id, connection, group_id, resource_id) VALUES (:tenant, 'okta', :group, :user)")
    remove = text("DELETE FROM scim_members WHERE tenant_id = :tenant AND group_id = :group AND resource_id = :user")

    async def change(statement: TextClause) -> AsyncIterator[None]:
        async with bench.users.database.unit_of_work(company.tenant) as uow:
            tenant = await bench.users.tenants.for_write(company.tenant, uow)
            await uow.connection.execute(statement, member)
            await scim_groups.people_changed(tenant, uow, [user], Cause(source_actor("scim/okta")))
            yield

    if not is_added:
        async for _ in change(add):
            pass
    async for _ in change(add if is_added else remove):
        reporting = asyncio.create_task(company.report(company.second, {"8": person("other", email="ann@acme.example")}))
        await wait_until(partial(_waits_for_a_lock, bench), what="the report to wait for the person")
    await reporting
    found = await company.everybody()
    if is_added:
        assert (found["8"]["conflict"]["reason"], found["1"]["roles"]) == ("privileged", ["licence-manager"])
    else:
        assert [each["external_id"] for each in found["1"]["timelines"]] == ["1", "8"]


async def _waits_for_a_lock(bench: Bench) -> bool:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool((await bench.execute(waiting))[0][0])


async def test_the_link_of_two_people_by_hand_links_the_one_whose_conflict_it_ends(bench: Bench) -> None:
    company = await Company.open(bench)
    shared = {"email": "both@acme.example"}
    await company.report(company.first, {"1": person("ann", **shared), "2": person("ann2", **shared)})
    await company.report(company.second, {"x": person("ann3", **shared)})
    found = await company.everybody()
    assert found["x"]["conflict"]["reason"] == "several_people"
    kept = await company.rest.post(f"{company.people}/{found['2']['user']}/link", {"to": found["1"]["user"]})
    found = await company.everybody()
    assert {each["user"] for each in found.values()} == {kept["user"]}
    stated = [(each["source"], each["external_id"]) for each in found["1"]["timelines"]]
    assert sorted(stated) == sorted([(company.first, "1"), (company.first, "2"), (company.second, "x")])
    assert await company.seats() == 1
    linked = [(each.external_id, each.user) for each in await bench.events(company.tenant, PersonLinked)]
    assert sorted(linked) == [("2", kept["user"]), ("x", kept["user"])]


@pytest.mark.parametrize("stated", [person("ann3"), {}])
async def test_the_upgrade_links_people_whom_earlier_releases_lost_by_a_link_by_hand(bench: Bench, stated: Given) -> None:
    """The end of the conflict made them nobody, and left their timeline with them."""
    company = await Company.open(bench)
    shared = {"email": "both@acme.example"}
    await company.report(company.first, {"1": person("ann", **shared), "2": person("ann2", **shared)})
    await company.report(company.second, {"x": stated | shared})
    found = await company.everybody()
    await company.rest.post(f"{company.people}/{found['2']['user']}/link", {"to": found["1"]["user"]})
    lose = "UPDATE timelines SET user_id = $2 WHERE tenant_id = $1 AND external_id = 'x'"
    await bench.execute(lose, company.tenant, found["x"]["user"])
    assert [len(each["timelines"]) for each in (await company.everybody()).values()] == [2]
    await bench.execute(import_module("services.users.migrations.versions.0002_people_whom_nobody_employs").STATEMENT)
    await DuePeople(bench.users.database, bench.users.tenants, bench.users.alarm).run_chunk(company.tenant)
    (kept,) = (await company.everybody()).values()
    assert [each["external_id"] for each in kept["timelines"]] == ["1", "2", "x"]
    assert await company.seats() == 1


async def test_what_is_taken_out_of_a_person_ends_the_conflict_of_the_one_who_is_linked_instead(bench: Bench) -> None:
    company = await Company.open(bench)
    await company.report(company.first, {"1": person("ann")})
    await company.report(company.second, {"old": person("ann")})
    await company.report(company.second, {"new": person("ann")})
    found = await company.everybody()
    ann = found["1"]["user"]
    assert found["new"]["conflict"]["reason"] == "same_source"
    await company.report(company.second, {"old": person("bob")})
    await company.rest.post(f"{company.people}/{ann}/separate", {"source": company.second, "external_id": "old"})
    found = await company.everybody()
    assert {each["external_id"]: [stated["external_id"] for stated in each["timelines"]] for each in found.values()} == {
        "1": ["1", "new"],
        "old": ["old"],
    }
    assert {each["status"] for each in found.values()} == {"active"}
    assert await company.seats() == 2


async def test_a_conflict_of_a_first_report_ends_when_another_report_of_the_batch_is_linked(bench: Bench) -> None:
    """Two people share the address by which the first of the reports is found; the second report belongs to one of them by its login."""
    company = await Company.open(bench)
    office = {"email": "office@acme.example"}
    await company.report(company.first, {"1": person("ann", **office), "2": person("bob", **office)})
    await company.report(company.second, {"7": person("other", **office), "8": person("ann", **office)})
    found = await company.everybody()
    assert sorted(found) == ["1", "2"]
    assert [[each["external_id"] for each in found[who]["timelines"]] for who in ("1", "2")] == [["1", "8"], ["2", "7"]]


async def test_an_administrator_links_two_people_and_separates_them_again(bench: Bench) -> None:
    company = await Company.open(bench, match_by=[])
    await company.report(company.first, {"1": person("ann")})
    bench.clock.at = NOON + timedelta(minutes=1)
    await company.report(company.second, {"2": person("ann.smith", name="Ann Smith"), "3": person("ann")})
    found = await company.everybody()
    users = {who: each["user"] for who, each in found.items()}
    assert found["3"]["conflict"]["reason"] == "login_in_use"
    await _check_matches(company, users)
    missing = await company.rest.call("POST", f"{company.people}/{users['2']}/link", {"to": users["2"]})
    assert missing.status_code == 422
    kept = await company.rest.post(f"{company.people}/{users['1']}/link", {"to": users["2"]})
    assert ([each["external_id"] for each in kept["timelines"]], kept["created_at"]) == (["1", "2"], found["1"]["created_at"])
    assert (kept["login"], kept["name"]) == ("ann", "Ann Smith")
    await bench.until_settled(company.tenant)
    assert (await bench.needs(company.tenant))[-1].created_at.isoformat() == "2026-03-02T12:00:00+00:00"
    assert (set(await company.everybody()), await company.seats()) == ({"2", "3"}, 1)
    look = await company.rest.post(f"{company.people}/{users['3']}/link?dry_run=true", {"to": users["2"]})
    assert (look["status"], look["expansions"]) == ("active", []), "a look changes nothing"
    linked = await company.rest.post(f"{company.people}/{users['3']}/link", {"to": users["2"]})
    assert (linked["conflict"], len(linked["timelines"])) == (None, 3)
    only = {"source": company.first, "external_id": "1"}
    look = await company.rest.post(f"{company.people}/{users['2']}/separate?dry_run=true", only)
    assert (look["status"], look["expansions"]) == ("active", []), "a look changes nothing"
    apart = await company.rest.post(f"{company.people}/{users['2']}/separate", only)
    assert (apart["user"], apart["login"], apart["conflict"]) == (users["1"], "ann", None), "the id of before"
    again = await company.rest.call("POST", f"{company.people}/{users['1']}/separate", only)
    assert again.json()["type"] == "urn:seatpool:problem:only-source"
    assert [event.from_user for event in await bench.events(company.tenant, PersonSeparated)] == [users["2"]]
    bench.clock.at = NOON


async def _check_matches(company: Company, users: dict[str, str]) -> None:
    """Matching is switched off for both systems. A dry run and the check of an import say what it would do."""
    path = f"/v1/tenants/{company.tenant}/matches?source={company.second}"
    pages = await company.rest.pages(path, limit=1)
    shown = {item["external_id"]: (item["outcome"], item["by"]) for page in pages for item in page}
    assert shown == {"2": ("new", None), "3": ("conflict", "login")}
    again = {item["external_id"]: item for item in (await company.rest.get(f"{path}&dry_run=true&match_by=login"))["items"]}
    assert (again["2"]["outcome"], again["3"]["outcome"], again["3"]["by"]) == ("new", "would_link", "login")
    assert [each["user"] for each in again["3"]["people"]] == [users["1"]]
    assert again["3"]["would_require"] == ["documents", "time"]
    source = f"/v1/tenants/{company.tenant}/sources/{company.second}"
    await company.rest.put(source, {"match_by": ["login"]})
    begun = await company.rest.post(f"/v1/tenants/{company.tenant}/imports", {"source": company.second})
    staged = f"/v1/tenants/{company.tenant}/imports/{begun['import']}"
    employment = [{"starts_on": "2020-01-01"}]
    people = [
        {"external_id": who, "employment": employment, "attributes": [{"since": "2020-01-01", "login": login}]}
        for who, login in (("8", "ANN.Smith"), ("9", "nobody"))
    ]
    await company.rest.put(f"{staged}/people/0", {"people": people})
    await company.rest.post(f"{staged}/check")
    matched = {each["external_id"]: each["match"] for each in (await company.rest.get(f"{staged}/changes"))["items"]}
    assert (matched["8"]["outcome"], matched["8"]["people"]) == ("conflict", [users["2"]]), "the same source knows Ann Smith already"
    assert matched["9"]["outcome"] == "new"
    assert (await company.rest.call("DELETE", staged)).status_code == 204
    await company.rest.put(source, {"match_by": []})


async def test_T17_a_linked_person_is_as_old_as_the_older_one_also_while_no_module_is_required(bench: Bench) -> None:
    """As before the subscription: when the modules are bought, the newest people are over the limit."""
    company = await Company.open(bench, match_by=[])
    await company.report(company.first, {"old": {"name": "Ann", "department": "Nowhere"}})
    bench.clock.at = NOON + timedelta(minutes=1)
    try:
        await company.report(company.second, {"new": {"name": "Ann", "department": "Nowhere"}})
        found = await company.everybody()
        kept = await company.rest.post(f"{company.people}/{found['old']['user']}/link", {"to": found["new"]["user"]})
        stored = await company.rest.get(f"{company.people}/{kept['user']}")
    finally:
        bench.clock.at = NOON
    assert stored["modules"] == []
    assert stored["created_at"] == kept["created_at"] == found["old"]["created_at"] != found["new"]["created_at"]


async def test_an_edit_of_somebody_whom_a_source_reports_is_an_override(bench: Bench) -> None:
    company = await Company.open(bench)
    await company.report(company.first, {"1": person("ann")})
    path = f"{company.people}/{(await company.everybody())['1']['user']}"
    edited = await company.rest.patch(path, {"email": "boss@acme.example", "department": None})
    assert (edited["email"], edited["overrides"]) == ("boss@acme.example", {"email": "boss@acme.example", "department": None})
    await company.report(company.first, {"1": person("ann", name="Ann")})
    found = (await company.everybody())["1"]
    assert (found["email"], found["department"], found["name"]) == ("boss@acme.example", None, "Ann")
    shown = (await company.rest.get(path))["values"]
    hidden = [{"source": company.first, "value": "ann@acme.example"}]
    assert shown["email"] == {"value": "boss@acme.example", "source": "override", "hides": hidden}
    assert shown["login"] == {"value": "ann", "source": company.first, "hides": []}
    removed = await company.rest.call("DELETE", f"{path}/overrides/email")
    assert (removed.json()["email"], removed.json()["overrides"]) == ("ann@acme.example", {"department": None})
    assert (await company.rest.call("DELETE", f"{path}/overrides/email")).status_code == 404
    assert (await company.rest.call("DELETE", f"{path}/overrides/department")).json()["department"] == "Makers"
    gone = await company.rest.patch(path, {"status": "left"})
    assert (gone["status"], gone["overrides"]["employed"]) == ("left", False)
    back = await company.rest.post(f"{path}/reactivate")
    assert (back["status"], "employed" in back["overrides"]) == ("active", False), "nothing is left to override"
    await company.report(company.first, {"1": person("ann", ends_on="2026-02-01")})
    back = await company.rest.post(f"{path}/reactivate")
    assert (back["status"], back["overrides"]["employed"]) == ("active", True)
    await company.report(company.first, {"1": person("ann", ends_on="2026-02-02")})
    assert (await company.everybody())["1"]["status"] == "left", "the source states another end"


@pytest.mark.parametrize("source", ["hr", "rest"])
async def test_an_edit_that_ends_the_conflict_of_somebody_who_is_linked_with_the_edited_person_is_kept(bench: Bench, source: str) -> None:
    """The second system gives Ann the login of somebody else, until Ann is given another one."""
    company = await Company.open(bench, match_by=["email"])
    await company.report(company.first, {"bob": person("bob")})
    if source == "hr":
        await company.report(company.first, {"ann": person("ann")})
        first = company.second
    else:
        await company.rest.post(company.people, {"external_id": "ann", "email": "ann@acme.example", "department": "Makers"})
        first = "rest"
    sources = f"/v1/tenants/{company.tenant}/sources"
    assert (await company.rest.call("PUT", f"{sources}/{first}", {"position": 1, "match_by": ["email"]})).status_code == 202
    await bench.until_settled(company.tenant)
    await company.report(company.second, {"x": {"login": "bob", "email": "ann@acme.example", "name": "Ann Lee"}})
    found = await company.everybody()
    assert found["x"]["conflict"]["people"] == [found["ann"]["user"], found["bob"]["user"]]
    path = f"{company.people}/{found['ann']['user']}"
    edited = await company.rest.patch(path, {"login": "ann-lee"})
    assert (edited["login"], edited["name"], len(edited["timelines"])) == ("ann-lee", "Ann Lee", 2)
    await company.report(company.second, {"x": {"login": "bob", "email": "ann@acme.example", "name": "Ann Bee"}})
    found = await company.everybody()
    assert (found["ann"]["login"], found["ann"]["name"], sorted(found)) == ("ann-lee", "Ann Bee", ["ann", "bob"])
    assert await company.seats() == 2


async def test_somebody_whom_an_edit_links_with_a_blocked_person_is_blocked(bench: Bench) -> None:
    company = await Company.open(bench, match_by=["email"])
    await company.report(company.first, {"bob": person("bob"), "ann": person("ann")})
    path = f"/v1/tenants/{company.tenant}/sources/{company.second}"
    assert (await company.rest.call("PUT", path, {"position": 1, "match_by": ["email"]})).status_code == 202
    await bench.until_settled(company.tenant)
    await company.report(company.second, {"x": {"login": "bob", "email": "ann@acme.example"}})
    found = await company.everybody()
    assert found["x"]["conflict"]["people"] == [found["ann"]["user"], found["bob"]["user"]]
    await company.rest.patch(f"{company.people}/{found['x']['user']}", {"may_log_in": False, "job_title": "Baker"})
    edited = await company.rest.patch(f"{company.people}/{found['ann']['user']}", {"login": "ann-lee"})
    assert (edited["status"], edited["overrides"], len(edited["timelines"])) == ("inactive", {"login": "ann-lee", "job_title": "Baker"}, 2)
    assert await company.seats() == 1


async def test_T17_a_possible_duplicate_whom_another_source_reports_meanwhile_is_that_person_after_the_confirmation(bench: Bench) -> None:
    company = await Company.open(bench)
    await company.report(company.first, {f"a{number}": person(f"a{number}") for number in range(12)})
    await company.report(company.second, {f"b{number}": person(f"b{number}") for number in range(7)})
    waiting = (await company.everybody())["b0"]
    assert waiting["conflict"]["reason"] == "possible_duplicate"
    bench.clock.at = NOON + timedelta(minutes=1)
    try:
        await company.report(company.first, {"late": person("b0")})
        assert (await company.everybody())["late"]["user"] != waiting["user"]
        await company.rest.post(f"/v1/tenants/{company.tenant}/possible-duplicates/confirm", {"source": company.second})

        async def confirmed() -> bool:
            return all(each["conflict"] is None for each in (await company.everybody()).values())

        await wait_until(confirmed, what="the conflicts to end")
        found = await company.everybody()
        assert [each["external_id"] for each in found["late"]["timelines"]] == ["late", "b0"]
        assert (found["late"]["status"], found["late"]["created_at"]) == ("active", waiting["created_at"])
        assert await company.seats() == 19
        told = [need for need in await bench.needs(company.tenant) if need.user == found["late"]["user"]]
        assert told[-1].created_at == NOON, "seats flags the newest person first, and this one is as old as the one who waited"
    finally:
        bench.clock.at = NOON


async def test_a_conflict_by_an_employee_number_ends_when_the_other_person_has_another_number(bench: Bench) -> None:
    company = await Company.open(bench, match_by=["login", "employee_number"])
    await company.report(company.second, {"x": person("ann", employee_number="17")})
    await company.report(company.first, {"1": person("ann"), "17": person("bob")})
    found = await company.everybody()
    assert found["17"]["conflict"] == {"reason": "same_source", "by": "employee_number", "people": [found["x"]["user"]], "hidden": 0}
    await company.report(company.second, {"x": person("ann", employee_number="1")})
    assert {who: each["status"] for who, each in (await company.everybody()).items()} == {"17": "active", "x": "active"}
    assert await company.seats() == 2


async def test_somebody_whose_conflict_ends_may_be_meant_by_others_in_conflict(bench: Bench) -> None:
    """Bob's login is free, although the one who gives it up is in conflict then."""
    company = await Company.open(bench, match_by=["email"])
    office = {"email": "office@acme.example"}
    await company.report(company.second, {"y": {"login": "bob"}, "cat": {"login": "cat"} | office, "dan": {"login": "dan"} | office})
    await company.report(company.second, {"x": {"login": "bob"} | office})
    await company.report(company.first, {"3": {"login": "b"} | office})
    found = await company.everybody()
    assert [found[who]["conflict"]["reason"] for who in ("x", "3")] == ["login_in_use", "several_people"]
    assert found["3"]["conflict"]["people"] == [found["cat"]["user"], found["dan"]["user"]]
    await company.report(company.second, {"y": {"login": "cat"}})
    await DuePeople(bench.users.database, bench.users.tenants, bench.users.alarm).run_chunk(company.tenant)
    found = await company.everybody()
    assert (found["x"]["status"], found["y"]["conflict"]["reason"]) == ("active", "login_in_use")
    assert found["3"]["conflict"]["people"] == [found["cat"]["user"], found["dan"]["user"], found["x"]["user"]]


@pytest.mark.parametrize(("user", "to"), [("a0", "b0"), ("b0", "a0")])
async def test_a_possible_duplicate_whom_an_administrator_links_waits_no_longer(bench: Bench, user: str, to: str) -> None:
    company = await Company.open(bench)
    await company.report(company.first, {f"a{number}": person(f"a{number}") for number in range(12)})
    await company.report(company.second, {f"b{number}": person(f"b{number}") for number in range(7)})
    found = await company.everybody()
    assert [found[who]["status"] for who in ("a0", "b0", "b1")] == ["active", "conflict", "conflict"]
    linked = await company.rest.post(f"{company.people}/{found[user]['user']}/link", {"to": found[to]["user"]})
    assert (linked["status"], linked["conflict"]) == ("active", None)
    found = await company.everybody()
    assert (found["b1"]["status"], await company.seats()) == ("conflict", 12), "the others wait for the confirmation"


@pytest.mark.parametrize("change", ["confirm", "settings", "guard"])
async def test_people_who_begin_to_wait_while_a_source_is_changed_are_not_forgotten(bench: Bench, change: str) -> None:
    """A step of an import, which is not committed yet, has read the source before the request changes it."""
    company = await Company.open(bench)
    await company.report(company.first, {f"a{number}": person(f"a{number}") for number in range(12)})
    before = 7 if change == "confirm" else 5
    await company.report(company.second, {f"b{number}": person(f"b{number}") for number in range(before)})
    assert any(each["conflict"] for each in (await company.everybody()).values()) is (change == "confirm")
    stated = Report((Period(date(2020, 1, 1), None),), (Entry(date(2020, 1, 1), {"department": "Makers"} | person("late")),))
    late = [Received(company.second, "late", Reported(9, stated), Cause(source_actor(company.second)), None)]
    tenant = f"/v1/tenants/{company.tenant}"
    confirm = partial(company.rest.call, "POST", f"{tenant}/possible-duplicates/confirm", {"source": company.second})
    requests = {
        "confirm": confirm,
        "settings": partial(company.rest.call, "PUT", f"{tenant}/sources/{company.second}", {"guard_people": 9}),
        "guard": partial(company.rest.call, "PUT", f"{tenant}/guard/{company.second}", {"people": 9, "percent": 3}),
    }
    async with bench.users.database.unit_of_work(company.tenant) as uow:
        await apply_statements(await bench.users.tenants.for_write(company.tenant, uow), uow, late)
        changing = asyncio.create_task(requests[change]())
        await wait_until(partial(_waits_or_is_done, bench, changing), what="the request to wait for the step")
    assert (await changing).is_success
    if change != "confirm":
        assert (await company.everybody())["late"]["conflict"]["reason"] == "possible_duplicate"
        assert (await confirm()).is_success, "the source knows that people wait"

    async def confirmed() -> bool:
        return not any(each["conflict"] for each in (await company.everybody()).values())

    await wait_until(confirmed, what="all conflicts to end")
    assert await company.seats() == 12 + before + 1


async def _waits_or_is_done(bench: Bench, request: asyncio.Task[Any]) -> bool:
    return request.done() or await _waits_for_a_lock(bench)


async def test_many_new_people_without_a_match_take_no_seats_until_somebody_confirms_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = await Company.open(bench)
    await company.report(company.first, {f"a{number}": person(f"a{number}") for number in range(12)})
    await company.report(company.second, {f"b{number}": person(f"b{number}") for number in range(3)})
    await company.report(company.second, {f"c{number}": person(f"c{number}") for number in range(4)})
    found = await company.everybody()
    assert [found[who]["status"] for who in ("a0", "b0", "c0", "c3")] == ["active", "active", "conflict", "conflict"]
    assert found["c0"]["conflict"] == {"reason": "possible_duplicate", "by": "", "people": [], "hidden": 0}
    (told,) = await bench.events(company.tenant, PossibleDuplicates)
    assert (told.source, told.people, told.other_source, told.other_people) == (company.second, 7, company.first, 12)
    assert await company.seats() == 15
    settings = {"match_by": ["login", "email"], "duplicates": "allow"}
    await company.rest.put(f"/v1/tenants/{company.tenant}/sources/{company.second}", settings)
    await company.report(company.second, {"d0": person("d0")})
    found = await company.everybody()
    assert [found[who]["status"] for who in ("c0", "d0")] == ["conflict", "active"], "new people take seats, the others wait"
    assert await company.seats() == 16
    confirm = f"/v1/tenants/{company.tenant}/possible-duplicates/confirm"
    asked = expanding_by_one_each(bench, monkeypatch)
    seen = await company.rest.post(f"{confirm}?dry_run=true", {"source": company.second})
    assert (len(asked), seen) == (4, {"decided": True, "expansions": [{"module": "time", "licences": 4}], "cost": None, **NOTHING_BACK})
    assert await company.seats() == 16, "a look changes nothing"
    assert (await company.rest.post(confirm, {"source": company.second}))["duplicates_held"] is False

    async def confirmed() -> bool:
        return await company.seats() == 20

    await wait_until(confirmed, what="the people to take seats")
    assert {each["status"] for each in (await company.everybody()).values()} == {"active"}
    refused = await company.rest.call("POST", confirm, {"source": company.second})
    assert refused.json()["type"] == "urn:seatpool:problem:nothing-held"


@pytest.mark.parametrize("wait", [False, True])
async def test_new_people_are_counted_again_after_they_were_allowed_for_a_while(bench: Bench, wait: bool) -> None:
    """Those who took seats meanwhile are confirmed. While people still wait, new people wait as well."""
    company = await Company.open(bench)
    settings = {"match_by": ["login", "email"], "guard_people": 100}
    path = f"/v1/tenants/{company.tenant}/sources/{company.second}"
    await company.report(company.first, {f"a{number}": person(f"a{number}") for number in range(30)})
    await company.report(company.second, {f"b{number}": person(f"b{number}") for number in range(7)})
    await company.rest.put(path, settings | {"duplicates": "allow"})
    ended = {} if wait else {"ends_on": "2026-02-01"}
    await company.report(company.second, {f"b{number}": person(f"b{number}", **ended) for number in range(7)})
    await company.report(company.second, {f"c{number}": person(f"c{number}") for number in range(7)})
    assert (await company.rest.put(path, settings | {"duplicates": "hold"}))["duplicates_held"] is wait
    await company.report(company.second, {f"d{number}": person(f"d{number}") for number in range(5)})
    found = await company.everybody()
    assert {found[f"c{number}"]["status"] for number in range(7)} == {"active"}
    assert {found[f"d{number}"]["status"] for number in range(5)} == {"conflict" if wait else "active"}
    if not wait:
        assert len(await bench.events(company.tenant, PossibleDuplicates)) == 1
        await company.report(company.second, {"e": person("e")})
        assert (await company.everybody())["e"]["status"] == "conflict", "the sixth one"
        assert len(await bench.events(company.tenant, PossibleDuplicates)) == 2
