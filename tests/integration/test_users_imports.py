"""Staged imports by REST: uploaded in parts, checked as a whole, stopped by the guard, applied in chunks."""

import secrets
from collections import Counter
from collections.abc import Sequence
from datetime import date
from random import Random
from typing import Any

import orjson
import pytest

from services.users.domain.logins import claimed_login
from services.users.use_cases import imports as import_cases
from services.users.use_cases import people as use_cases
from shared.errors import Transient
from shared.schemas.hr_v1 import PersonReported
from shared.schemas.users_v1 import ChangesStopped, PersonAdded, PersonChanged, PersonLeft
from tests.support.hr_timelines import a_company_and_its_edit
from tests.support.users import NOON, Bench, Rest, expanding_by_one_each, with_price_of_time
from tests.support.wait import wait_until

# One service for all tests of this file, as each works in tenants of its own. Its clock stands on 2 March 2026.
pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
TODAY = date(2026, 3, 2)
assert NOON.date() == TODAY
Given = dict[str, Any]


def person(who: str, end: str | None = None, **values: Any) -> Given:
    known = {"since": "2020-01-01", "login": who, "email": f"{who}@acme.example", "department": "Guests"} | values
    return {"external_id": who, "employment": [{"starts_on": "2020-01-01", "ends_on": end}], "attributes": [known]}


class Import:
    """One import of the tenant's source."""

    def __init__(self, bench: Bench, rest: Rest, tenant: str, **more: Any) -> None:
        self.bench, self.rest, self.imports = bench, rest, f"/v1/tenants/{tenant}/imports"
        self.body = {"source": bench.source(tenant)} | more

    async def begin(self) -> Given:
        begun: Given = await self.rest.post(self.imports, self.body)
        self.path = f"{self.imports}/{begun['import']}"
        return begun

    async def put(self, people: Sequence[Given], first: int = 0) -> Given:
        found: Given = await self.rest.put(f"{self.path}/people/{first}", {"people": list(people)})
        return found

    async def check(self) -> Given:
        found: Given = await self.rest.post(f"{self.path}/check")
        return found

    async def changes(self) -> list[Given]:
        found: list[Given] = (await self.rest.get(f"{self.path}/changes?limit=200"))["items"]
        return found

    async def apply(self, confirm: int | None = None) -> Given:
        await self.rest.post(f"{self.path}/apply", {"confirm": confirm})
        return await self.until_applied()

    async def until_applied(self) -> Given:
        async def applied() -> Given | None:
            self.bench.check()
            row: Given = await self.rest.get(self.path)
            return row if row["status"] == "applied" else None

        found = await wait_until(applied, what="the import to be applied")
        assert found is not None
        return found


async def imported(bench: Bench, rest: Rest, tenant: str, people: Sequence[Given], confirm: int | None = None, **more: Any) -> Given:
    """Everything in a row; returns the report."""
    given = Import(bench, rest, tenant, **more)
    await given.begin()
    assert (await given.put(people))["invalid"] == []
    report = await given.check()
    await given.apply(confirm)
    return report


async def statuses(rest: Rest, tenant: str) -> dict[str, str]:
    items = (await rest.get(f"/v1/tenants/{tenant}/people?limit=200&status=all"))["items"]
    return {each["external_id"]: each["status"] for each in items}


async def test_M9_an_import_reports_the_licences_that_its_leavers_give_back_and_what_that_saves(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, rest = await bench.open_tenant()
    await with_price_of_time(bench, tenant, 1250)
    await imported(bench, rest, tenant, [person("ann", department="Makers"), person("bob", department="Makers")])
    asked = expanding_by_one_each(bench, monkeypatch, leavers="now")
    people = [person("ann", department="Makers"), person("cid", department="Makers")]
    report = await imported(bench, rest, tenant, people, complete=True, absent="leave")
    assert [each.leaver for each in asked] == [True, False]
    seats, one_of_time = report["seats"], {"module": "time", "licences": 1}
    price = {"currency": "EUR", "term": "monthly", "net_minor": 1250}
    assert (seats["expansions"], seats["cost"]) == ([one_of_time], price)
    assert (seats["reductions"], seats["saving"]) == ([one_of_time | {"reduce_at": "now"}], price)


async def test_an_import_reports_what_it_changes_before_it_changes_anybody(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await imported(bench, rest, tenant, [person("ann"), person("bob"), person("cid", department="Makers")])
    given = Import(bench, rest, tenant)
    begun = await given.begin()
    assert (begun["status"], begun["version"], begun["people"]) == ("collecting", 2, 0)
    people = [
        person("ann"),
        person("bob", name="Bob", department="Makers"),
        person("cid", "2026-02-20", department="Makers"),
        person("dora"),
        {"external_id": "eve", "employment": [{"starts_on": "2026-02-01", "ends_on": "2026-01-01"}], "attributes": []},
        {"external_id": "finn", "employment": [], "attributes": [{"since": "soon"}]},
        person("twin"),
        person("twin", name="Other"),
    ]
    for _ in range(2):  # the same part again is the same
        answer = await given.put(people[:6])
        assert (answer["accepted"], [each["index"] for each in answer["invalid"]]) == (4, [4, 5])
        assert answer["invalid"][0]["errors"][0]["field"] == "employment.0.ends_on"
    await given.put(people[6:], first=6)
    report = await given.check()
    assert report["counts"] == {"new": 1, "changed": 2, "unchanged": 1, "invalid": 4, "leaving": 1, "absent": 0, "others": 0}
    assert [each["external_id"] for each in report["invalid"]] == ["eve", "finn", "twin", "twin"]
    assert report["guard"] == {"would_end": 1, "limit": 5, "needs_confirmation": False}
    required = {each["module"]: (each["required_before"], each["required"], each["licences"]) for each in report["modules"]}
    assert required == {"documents": (1, 1, 2), "planning": (0, 0, 2), "time": (1, 1, 2)}
    decided = {each["external_id"]: [(m["module"], m["state"]) for m in each["modules"]] for each in report["seats"]["people"]}
    assert [each["status"] for each in report["seats"]["people"]] == ["left", "active"]
    assert (report["seats"]["decided"], decided) == (True, {"cid": [], "bob": [("documents", "active"), ("time", "active")]})
    changes = {each["external_id"]: each for each in await given.changes()}
    assert [changes[who]["kind"] for who in ("bob", "cid", "dora", "eve")] == ["changed", "changed", "new", "invalid"]
    bob = changes["bob"]
    assert (bob["before"]["name"], bob["after"]["name"], bob["after"]["modules"]) == ("", "Bob", ["documents", "time"])
    assert (changes["cid"]["ends"], changes["cid"]["after"]["status"], changes["dora"]["before"]) == (True, "left", None)
    assert await statuses(rest, tenant) == {"ann": "active", "bob": "active", "cid": "active"}
    applied = await given.apply()
    assert (applied["people"], applied["total"], applied["done"]) == (8, 3, 3)
    assert await statuses(rest, tenant) == {"ann": "active", "bob": "active", "cid": "left", "dora": "active"}
    assert (await rest.call("POST", f"{given.path}/apply")).status_code == 202, "the same request again changes nothing"


async def test_an_import_reports_the_employees_without_a_profile_by_department(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    later = person("hal", department="Lab")
    later["employment"][0]["starts_on"] = later["attributes"][0]["since"] = "2027-01-01"
    people = [
        person("ann"),
        person("bob", department="Lab"),
        person("cid", department="Lab"),
        person("dora", department="None"),  # mapped to no profile, as an administrator has decided
        person("eve", department="Lab", kind="external"),
        person("finn", "2026-02-20", department="Lab"),  # has left
        person("gus", department=None),
        later,
    ]
    expected = {"people": 4, "departments": [{"department": "Lab", "people": 3}, {"department": None, "people": 1}]}
    given = Import(bench, rest, tenant)
    await given.begin()
    await given.put(people)
    assert (await given.check())["without_profile"] == expected
    assert (await given.apply())["report"]["without_profile"] == expected
    again = await imported(bench, rest, tenant, [*people[:-1], person("ida", department="Sales")])
    assert again["counts"]["unchanged"] == 7
    assert (await imported(bench, rest, tenant, people))["without_profile"] == expected, "somebody who starts later counts each time"
    assert again["without_profile"]["departments"] == [
        {"department": "Lab", "people": 2},
        {"department": None, "people": 1},
        {"department": "Sales", "people": 1},
    ]
    mapped = {"Guests": "guests", "Lab": "makers", "Sales": None}
    await rest.put(f"/v1/tenants/{tenant}/department-mapping", mapped)
    assert (await imported(bench, rest, tenant, people[:-1]))["without_profile"]["departments"] == [
        {"department": None, "people": 1},
        {"department": "None", "people": 1},
    ]


async def test_the_check_of_the_first_import_of_a_source_names_the_people_who_may_be_duplicates(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await imported(bench, rest, tenant, [person(f"a{number}", department="Makers") for number in range(8)])
    second = f"hr/second/{tenant}"
    await rest.put(f"/v1/operator/sources/{second}", {"tenants": [tenant]})
    given = Import(bench, rest, tenant)
    given.body["source"] = second
    await given.begin()
    await given.put([person(f"b{number}", department="Makers") for number in range(7)])
    report = await given.check()
    assert {each["after"]["status"] for each in await given.changes()} == {"conflict"}
    assert {each["required"] - each["required_before"] for each in report["modules"]} <= {0}, "they take no seats"
    await given.apply()
    assert [status for who, status in (await statuses(rest, tenant)).items() if who.startswith("b")] == ["conflict"] * 7


async def test_one_import_of_a_source_runs_at_a_time_and_an_abandoned_one_expires_after_an_hour(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    first, second = Import(bench, rest, tenant), Import(bench, rest, tenant)
    await first.begin()
    refused = await rest.call("POST", second.imports, second.body)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:seatpool:problem:import-running")
    assert (await rest.call("POST", f"{first.path}/apply")).json()["type"] == "urn:seatpool:problem:import-not-checked"
    assert (await rest.call("DELETE", first.path)).status_code == 204
    assert (await rest.call("GET", first.path)).status_code == 404
    await second.begin()
    await second.put([person("ann")])
    await bench.execute("UPDATE imports SET touched_at = now() - interval '61 minutes' WHERE tenant_id = $1", tenant)
    await first.begin()
    assert (await rest.call("GET", second.path)).status_code == 404
    other = await rest.call("POST", first.imports, {"source": "hr/other"})
    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "body.source")


async def test_an_import_that_nobody_applies_is_deleted_with_its_people_thirty_days_after_its_last_change(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await imported(bench, rest, tenant, [person("ann")])
    await imported(bench, rest, tenant, [person("ann")])
    other = f"hr/second/{tenant}"
    await rest.put(f"/v1/operator/sources/{other}", {"tenants": [tenant]})
    left = Import(bench, rest, tenant)
    left.body["source"] = other
    for given in (left, young := Import(bench, rest, tenant)):
        await given.begin()
        await given.put([person("bob")])
        await given.check()
    age = "UPDATE imports SET touched_at = now() - interval '31 days' WHERE tenant_id = $1 AND import_id <> $2"
    await bench.execute(age, tenant, young.path.rpartition("/")[2])
    bench.users.alarm.wake()

    async def is_gone() -> bool:
        return (await rest.call("GET", left.path)).status_code == 404

    await wait_until(is_gone, what="the import to be deleted")
    kept = await bench.execute("SELECT DISTINCT import_id FROM import_people WHERE tenant_id = $1", tenant)
    assert [row[0] for row in kept] == [young.path.rpartition("/")[2]]
    assert (await rest.get(young.path))["status"] == "checked"


async def test_an_import_that_cannot_be_applied_fails_with_the_reason_and_the_next_ones_are_applied(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    given = Import(bench, rest, tenant)
    await given.begin()
    await given.put([person("ann")])
    await given.check()
    await bench.execute("UPDATE import_people SET report = '{}' WHERE tenant_id = $1", tenant)
    await rest.post(f"{given.path}/apply")

    async def failed() -> Given | None:
        row: Given = await rest.get(given.path)
        return row if row["status"] == "failed" else None

    row = await wait_until(failed, what="the import to fail")
    assert row is not None
    assert row["failure"].startswith("An internal error (KeyError) stopped the import after 0 of 1 people.")
    assert (await rest.call("POST", f"{given.path}/apply")).json()["type"] == "urn:seatpool:problem:import-applied"
    other, others = await bench.open_tenant()
    await imported(bench, others, other, [person("ann")])
    await imported(bench, rest, tenant, [person("ann")])
    assert await statuses(rest, tenant) == await statuses(others, other) == {"ann": "active"}


async def test_a_fact_that_arrives_while_an_import_is_staged_holds_after_it(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    await imported(bench, rest, tenant, [person("ann"), person("bob"), person("cid")])
    given = Import(bench, rest, tenant, complete=True, absent="leave")
    await given.begin()
    await given.put([person("ann", name="Ann"), person("bob")])

    async def sent(*events: Given) -> None:
        await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": bench.source(tenant), "events": events})
        await bench.until_settled(tenant)

    leave = {"type": "person_left", "effective_date": "2026-03-01"}
    hire = {"type": "person_hired", "external_id": "dora", "effective_date": "2026-01-01", "login": "dora", "email": "d@acme.example"}
    await sent(leave | {"external_id": "ann"}, hire)
    assert [each["external_id"] for each in (await given.check())["absent"]] == ["cid"]
    await sent(
        leave | {"external_id": "bob"}, {"type": "person_changed", "external_id": "cid", "effective_date": "2026-03-01", "name": "Cid"}
    )
    await given.apply()
    assert await statuses(rest, tenant) == {"ann": "left", "bob": "left", "cid": "active", "dora": "active"}
    ann = await bench.person(rest, tenant, "ann")
    assert ann is not None
    assert ann["name"] == "Ann", "the report is applied as well"


async def test_a_source_that_has_used_the_highest_version_cannot_begin_an_import(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    report = PersonReported.model_validate_json(orjson.dumps(person("ann") | {"version": 2**63 - 1}))
    await bench.send(report, tenant, source=bench.source(tenant))
    await bench.until_settled(tenant)
    refused = await rest.call("POST", f"/v1/tenants/{tenant}/imports", {"source": bench.source(tenant)})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "body.source")


@pytest.mark.parametrize(("absent", "expected"), [("list", "conflict"), ("leave", "active")])
async def test_the_check_knows_whether_the_login_of_somebody_who_is_absent_becomes_free(bench: Bench, absent: str, expected: str) -> None:
    tenant, rest = await bench.open_tenant()
    await imported(bench, rest, tenant, [person("ann"), person("bob")])
    given = Import(bench, rest, tenant, complete=True, absent=absent)
    await given.begin()
    await given.put([person("bob"), person("ann.new", login="ANN", email="new@acme.example")])
    await given.check()
    changes = (await rest.get(f"{given.path}/changes"))["items"]
    (new,) = [each["after"]["status"] for each in changes if each["external_id"] == "ann.new"]
    await given.apply()
    assert (new, (await statuses(rest, tenant))["ann.new"]) == (expected, expected)


@pytest.mark.parametrize(("absent", "expected"), [("list", "active"), ("leave", "left")])
async def test_people_missing_from_a_complete_import_leave_only_if_it_says_so(bench: Bench, absent: str, expected: str) -> None:
    tenant, rest = await bench.open_tenant()
    await imported(bench, rest, tenant, [person("ann"), person("bob")])
    hire = {"type": "person_hired", "external_id": "cid", "effective_date": "2026-01-01", "login": "cid", "email": "cid@acme.example"}
    await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": bench.source(tenant), "events": [hire]})
    await bench.until_settled(tenant)
    report = await imported(bench, rest, tenant, [person("ann")], complete=True, absent=absent)
    assert sorted(each["external_id"] for each in report["absent"]) == ["bob", "cid"]
    assert (report["counts"]["absent"], report["counts"]["unchanged"]) == (2, 1)
    assert await statuses(rest, tenant) == {"ann": "active", "bob": expected, "cid": expected}
    await imported(bench, rest, tenant, [person("ann"), person("bob"), person("cid")], complete=True, absent=absent)
    assert await statuses(rest, tenant) == {"ann": "active", "bob": "active", "cid": "active"}


async def test_the_guard_stops_an_import_that_would_end_many_people_until_their_number_is_confirmed(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    everybody = [f"p{number}" for number in range(300)]
    await imported(bench, rest, tenant, [person(who) for who in everybody])
    wrong = Import(bench, rest, tenant)
    await wrong.begin()
    await wrong.put([person(who, "2025-12-31") for who in everybody])
    assert (await wrong.check())["guard"] == {"would_end": 300, "limit": 6, "needs_confirmation": True}
    for confirm in (None, 299):
        refused = await rest.call("POST", f"{wrong.path}/apply", {"confirm": confirm})
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:seatpool:problem:import-needs-confirmation")
        assert "300" in refused.json()["detail"]

    async def told() -> list[ChangesStopped]:
        return await bench.events(tenant, ChangesStopped)

    (event,) = await wait_until(told, what="the administrators to be told")
    assert (event.would_end, event.limit, event.import_id) == (300, 6, wrong.path.rsplit("/", 1)[-1])
    assert set((await statuses(rest, tenant)).values()) == {"active"}
    await wrong.apply(300)
    assert set((await statuses(rest, tenant)).values()) == {"left"}
    await imported(bench, rest, tenant, [person(who) for who in everybody])
    assert set((await statuses(rest, tenant)).values()) == {"active"}
    guard = f"/v1/tenants/{tenant}/guard/{bench.source(tenant)}"
    assert await rest.get(guard) == {"people": 5, "percent": 2}
    await rest.put(guard, {"people": 300})
    assert await rest.get(guard) == {"people": 300, "percent": 2}
    settings = await rest.get(f"/v1/tenants/{tenant}/sources/{bench.source(tenant)}")
    assert (settings["guard_people"], settings["kind"]) == (300, "hr"), "the guard is a setting of the source"
    for method in ("GET", "PUT"):
        unknown = await rest.call(method, f"/v1/tenants/{tenant}/guard/hr/unknown", {"people": 1} if method == "PUT" else None)
        assert unknown.status_code == 404
    assert [each["source"] for each in (await rest.get(f"/v1/tenants/{tenant}/sources"))["items"]] == [bench.source(tenant)], (
        "none is added"
    )
    report = await imported(bench, rest, tenant, [person(who, "2027-12-31") for who in everybody])
    assert report["guard"] == {"would_end": 300, "limit": 300, "needs_confirmation": False}


async def test_the_guard_stops_an_import_that_gives_many_people_one_login_but_not_one_in_which_all_logins_move(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    everybody = [f"p{number}" for number in range(300)]
    await imported(bench, rest, tenant, [person(who, department="Makers") for who in everybody])
    wrong = Import(bench, rest, tenant)
    await wrong.begin()
    await wrong.put([person(who, department="Makers", login="Makers") for who in everybody])
    guard = (await wrong.check())["guard"]
    assert guard["would_end"] > 290, "all but one of each step of the check would be in conflict, and in conflict nobody has a seat"
    refused = await rest.call("POST", f"{wrong.path}/apply", {"confirm": None})
    assert refused.json()["type"] == "urn:seatpool:problem:import-needs-confirmation"
    await rest.call("DELETE", wrong.path)
    moved = [
        person(who, department="Makers", login=following) for who, following in zip(everybody, everybody[1:] + everybody[:1], strict=True)
    ]
    report = await imported(bench, rest, tenant, moved)
    assert (report["guard"]["would_end"], report["counts"]["changed"]) == (0, 300)
    assert {each["module"]: each["required"] for each in report["modules"]} == {"documents": 300, "planning": 0, "time": 300}
    assert set((await statuses(rest, tenant)).values()) == {"active"}


async def test_a_check_looks_once_at_each_person_of_a_chain_of_logins(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant, rest = await bench.open_tenant()
    everybody = [f"p{number:02}" for number in range(60)]
    await imported(bench, rest, tenant, [person(who, department="Makers") for who in everybody])
    shifted = Import(bench, rest, tenant)
    await shifted.begin()
    logins = [*everybody[1:], "last"]
    await shifted.put([person(who, department="Makers", login=login) for who, login in zip(everybody, logins, strict=True)])
    looked_at = Counter[str]()

    def claimed(before: Any, record: Any) -> str | None:
        looked_at[record.login] += 1
        return claimed_login(before, record)

    monkeypatch.setattr(import_cases, "AT_ONCE", 10)
    monkeypatch.setattr(import_cases, "claimed_login", claimed)
    report = await shifted.check()
    assert (report["counts"]["changed"], report["guard"]["would_end"]) == (60, 0)
    assert looked_at == Counter(logins), "in each of six steps, the rest of the chain would be looked at again"
    monkeypatch.setattr(import_cases, "TOGETHER_MAX", 20)
    assert (await shifted.check())["counts"]["changed"] == 60, "a chain that is too long is checked step by step"


@pytest.mark.parametrize("seed", range(6))
async def test_a_check_in_small_steps_finds_what_a_check_at_once_finds(bench: Bench, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    tenant, rest = await bench.open_tenant()
    everybody = [f"p{number:02}" for number in range(40)]
    await imported(bench, rest, tenant, [person(who, department="Makers") for who in everybody])
    random = Random(seed)
    logins = random.sample([*everybody, *(f"new{number}" for number in range(10))], 36)
    ends = [random.choice((None, None, None, "2026-02-20", "2027-01-31")) for _ in everybody]
    given = [
        person(who, end, department="Makers", login=login)
        for who, end, login in zip(random.sample([*everybody, "late", "later"], 36), ends, logins, strict=False)
    ]
    edited = Import(bench, rest, tenant, complete=True, absent=random.choice(("leave", "list")))
    await edited.begin()
    await edited.put(given)

    async def checked(at_once: int) -> tuple[Given, list[Given]]:
        monkeypatch.setattr(import_cases, "AT_ONCE", at_once)
        report = await edited.check()
        return {name: report[name] for name in ("counts", "guard", "modules", "absent", "others")}, await edited.changes()

    at_once = await checked(250)
    for size in (1, 7, 13):
        assert await checked(size) == at_once, (seed, size)


async def test_an_import_goes_on_where_it_was_interrupted_and_an_unchanged_one_sends_no_event(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, rest = await bench.open_tenant()
    everybody = [person(f"p{number:04}") for number in range(1000)]
    calls = 0
    apply_statements = use_cases.apply_statements

    async def interrupted(*args: Any, **more: Any) -> None:
        nonlocal calls
        calls += 1
        await apply_statements(*args, **more)
        if calls == 2:
            raise Transient("the database went away before the commit")

    monkeypatch.setattr(use_cases, "apply_statements", interrupted)
    await imported(bench, rest, tenant, everybody)
    assert calls == 5
    assert len(await bench.events(tenant, PersonAdded)) == 1000
    order = await bench.execute("SELECT array_agg(external_id ORDER BY arrival) FROM people WHERE tenant_id = $1", tenant)
    assert order[0][0] == [each["external_id"] for each in everybody]
    report = await imported(bench, rest, tenant, everybody, complete=True, absent="leave")
    assert report["counts"] == {"new": 0, "changed": 0, "unchanged": 1000, "invalid": 0, "leaving": 0, "absent": 0, "others": 0}
    versions = await bench.execute("SELECT version, count(*) FROM timelines WHERE tenant_id = $1 GROUP BY version", tenant)
    assert [tuple(row) for row in versions] == [(2, 1000)]
    assert [*await bench.events(tenant, PersonChanged), *await bench.events(tenant, PersonLeft)] == []


async def test_importing_a_company_twice_leaves_everybody_as_the_second_import_alone(bench: Bench) -> None:
    rng = Random(seed := secrets.randbits(32))
    print(f"seed {seed}")
    first, second = a_company_and_its_edit(rng, TODAY, people=1000)
    (twice, rest), (once, _) = await bench.open_tenant(), await bench.open_tenant()
    for tenant, company in ((twice, first), (twice, second), (once, second)):
        people = [each.model_dump(mode="json") for each in company.values()]
        given = Import(bench, rest, tenant)
        await given.begin()
        for begin in range(0, len(people), 500):
            assert (await given.put(people[begin : begin + 500], begin))["invalid"] == []
        would_end = (await given.check())["guard"]["would_end"]
        assert (would_end > 0) is (company is second and tenant == twice)
        await given.apply(would_end)
    await bench.until_settled(twice)
    # Of somebody about whom nothing is stated any more, the first import has made a person, and the second one alone makes nobody.
    select = (
        "SELECT external_id, CASE WHEN status = 'expected' OR (status = 'left' AND concat(department, email, login, name) = '')"
        " THEN NULL ELSE (status, department, email, login, name, kind, valid_to,"
        " login_allowed, profile, required_modules)::text END FROM people WHERE tenant_id = $1 AND external_id = ANY($2)"
    )
    names = [each.external_id for each in second.values()]
    found: list[dict[str, str | None]] = []
    for tenant in (twice, once):
        rows = await bench.execute(select, tenant, names)
        found.append(dict.fromkeys(names) | {str(row[0]): row[1] for row in rows})
    both, alone = found
    assert both == alone
    assert len({value for value in alone.values() if value}) > 20, "the companies are not all alike"
