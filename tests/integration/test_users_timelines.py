"""Reports and facts of HR sources that correct each other, by REST and on the topic (issue: HR data that can be corrected)."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import orjson
import pytest

from shared.ids import derived_id
from shared.schemas.base import Payload
from shared.schemas.hr_v1 import PersonChanged as Changed
from shared.schemas.hr_v1 import PersonFactWithdrawn, PersonHired, PersonLeft, PersonReported
from shared.schemas.users_v1 import PersonAdded, PersonChanged
from tests.support.users import AskedSeats, Bench, Rest

# One service for all tests of this file, as each works in tenants of its own. Its clock stands on 2 March 2026.
pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
TODAY = date(2026, 3, 2)
ENTRY_POINTS = ("rest", "topic")
MODELS: Mapping[str, type[Payload]] = {
    "person_hired": PersonHired,
    "person_changed": Changed,
    "person_left": PersonLeft,
    "person_reported": PersonReported,
    "person_fact_withdrawn": PersonFactWithdrawn,
}
Event = dict[str, Any]


async def send(bench: Bench, entry_point: str, rest: Rest, tenant: str, *events: Event) -> list[str | None]:
    """One request, or one message each; returns the ids of the facts."""
    if entry_point == "rest":
        answer = await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": bench.source(tenant), "events": list(events)})
        assert answer["rejected"] == []
        return list(answer["facts"])
    facts: list[str | None] = []
    for event in events:
        content = {name: value for name, value in event.items() if name != "type"}
        if "effective_date" in content:
            content["fact"] = derived_id(orjson.dumps(event).decode())
        facts.append(content.get("fact"))
        await bench.send(MODELS[event["type"]].model_validate_json(orjson.dumps(content)), tenant, source=bench.source(tenant))
    return facts


def report(who: str, version: int, *periods: tuple[str, str | None], attributes: Sequence[Event] = (), **values: Any) -> Event:
    known = {"since": "2020-01-01", "login": who, "email": f"{who.split()[0]}@acme.example", "department": "Makers"} | values
    employment = [{"starts_on": start, "ends_on": end} for start, end in periods]
    return {"type": "person_reported", "external_id": who, "version": version, "employment": employment, "attributes": [known, *attributes]}


def hired(who: str, day: str = "2025-01-01", **more: Any) -> Event:
    values = {"login": who, "email": f"{who}@acme.example", "department": "Makers"} | more
    return {"type": "person_hired", "external_id": who, "effective_date": day} | values


def fact(type_: str, who: str, day: str, **more: Any) -> Event:
    return {"type": type_, "external_id": who, "effective_date": day} | more


MOVE = {"since": "2026-02-10", "department": "Planners"}
# (case, first import, second import, (status, department) or None for nobody)
CASES: Sequence[tuple[str, Event, Event | None, tuple[str, str] | None]] = (
    (
        "no-end",
        report("no-end", 1, ("2020-01-01", "2026-02-20")),
        report("no-end", 2, ("2020-01-01", None)),
        ("active", "Makers"),
    ),
    (
        "later-end",
        report("later-end", 1, ("2020-01-01", "2026-02-20")),
        report("later-end", 2, ("2020-01-01", "2027-06-30")),
        ("active", "Makers"),
    ),
    (
        "rehired",
        report("rehired", 1, ("2020-01-01", "2025-06-30")),
        report("rehired", 2, ("2020-01-01", "2025-06-30"), ("2026-01-01", None)),
        ("active", "Makers"),
    ),
    ("postponed", report("postponed", 1, ("2026-02-20", None)), report("postponed", 2, ("2027-01-04", None)), None),
    (
        "not-moved",
        report("not-moved", 1, ("2020-01-01", None), attributes=[MOVE]),
        report("not-moved", 2, ("2020-01-01", None)),
        ("active", "Makers"),
    ),
    (
        "moves-later",
        report("moves-later", 1, ("2020-01-01", None), attributes=[MOVE]),
        report("moves-later", 2, ("2020-01-01", None), attributes=[MOVE | {"since": "2026-05-01"}]),
        ("active", "Makers"),
    ),
    ("row-mended", report("row-mended", 1, ("2020-01-01", None)), report("row-mended", 2, ("2020-01-01", None)), ("active", "Makers")),
    (
        "row-ends-on-next",
        report("row-ends-on-next", 1, ("2020-01-01", "2026-02-10"), ("2026-02-10", None), attributes=[MOVE]),
        None,
        ("active", "Planners"),
    ),
    (
        "row-ends-before-next",
        report("row-ends-before-next", 1, ("2020-01-01", "2026-02-09"), ("2026-02-10", None), attributes=[MOVE]),
        None,
        ("active", "Planners"),
    ),
    ("open", report("open", 1, ("2020-01-01", "9999-12-31"), valid_to="2999-12-31"), None, ("active", "Makers")),
    (
        "id with spaces/and a slash",
        report("id with spaces/and a slash", 1, ("2020-01-01", None), email=None),
        None,
        ("active", "Makers"),
    ),
)


async def people(rest: Rest, tenant: str) -> dict[str, dict[str, Any]]:
    found: list[dict[str, Any]] = (await rest.get(f"/v1/tenants/{tenant}/people?limit=200&status=all"))["items"]
    return {person["external_id"]: person for person in found}


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
async def test_a_second_report_corrects_the_first_one(bench: Bench, entry_point: str) -> None:
    tenant, rest = await bench.open_tenant()
    await send(bench, entry_point, rest, tenant, *(first for _, first, _, _ in CASES))
    await bench.until_settled(tenant)
    await send(bench, entry_point, rest, tenant, *(second for _, _, second, _ in CASES if second is not None))
    await bench.until_settled(tenant)
    found = await people(rest, tenant)
    seen = {case: (found[case]["status"], found[case]["department"]) if case in found else None for case, *_ in CASES}
    assert seen == {case: right for case, _, _, right in CASES}
    assert found["id with spaces/and a slash"]["email"] == ""
    (required,) = [need for need in await bench.needs(tenant) if need.revision == 2 and need.modules == ()]
    (gone,) = [event for event in await bench.events(tenant, PersonChanged) if event.status == "expected"]
    assert (gone.user, gone.external_id, required.leaver) == (required.user, "postponed", False)


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
async def test_everybody_has_the_email_address_of_the_second_report_and_an_equal_report_sends_no_event(
    bench: Bench, entry_point: str
) -> None:
    tenant, rest = await bench.open_tenant()
    everybody = [f"p{number}" for number in range(1_000)]

    def reports(version: int, domain: str) -> list[Event]:
        return [report(who, version, ("2020-01-01", None), department="Guests", email=f"{who}@{domain}") for who in everybody]

    for version, domain in ((1, "a.example"), (2, "b.example"), (3, "b.example")):
        await send(bench, entry_point, rest, tenant, *reports(version, domain))
        await bench.until_settled(tenant)
    rows = await bench.execute("SELECT count(*) FROM people WHERE tenant_id = $1 AND email LIKE '%@b.example'", tenant)
    versions = await bench.execute("SELECT DISTINCT version FROM timelines WHERE tenant_id = $1", tenant)
    assert (rows[0][0], [row[0] for row in versions]) == (1_000, [3])
    assert len(await bench.events(tenant, PersonAdded)) == len(await bench.events(tenant, PersonChanged)) == 1_000


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
async def test_of_two_changes_of_one_field_on_one_day_the_later_request_wins(bench: Bench, entry_point: str) -> None:
    tenant, rest = await bench.open_tenant()
    everybody = [f"p{number}" for number in range(8)]
    await send(bench, entry_point, rest, tenant, *map(hired, everybody))
    for name in ("First", "Second", "First"):  # also what was stated before, once more
        await send(bench, entry_point, rest, tenant, *(fact("person_changed", who, "2026-02-01", name=name) for who in everybody))
        await bench.until_settled(tenant)
        assert {person["name"] for person in (await people(rest, tenant)).values()} == {name}


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
async def test_a_leaving_and_a_hire_of_one_day_are_a_transfer(bench: Bench, entry_point: str) -> None:
    tenant, rest = await bench.open_tenant()
    everybody = [f"p{number}" for number in range(8)]
    await send(bench, entry_point, rest, tenant, *map(hired, everybody))
    for number, who in enumerate(everybody):
        events = [fact("person_left", who, "2026-02-01"), hired(who, "2026-02-01", department="Planners")]
        await send(bench, entry_point, rest, tenant, *(events if number % 2 else reversed(events)))
    await bench.until_settled(tenant)
    assert {(person["status"], person["department"]) for person in (await people(rest, tenant)).values()} == {("active", "Planners")}


@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
async def test_a_fact_that_is_withdrawn_was_never_stated_and_can_be_stated_again(bench: Bench, entry_point: str) -> None:
    tenant, rest = await bench.open_tenant()
    leaving = fact("person_left", "ann", "2026-02-01")
    _, leaving_id = await send(bench, entry_point, rest, tenant, hired("ann"), leaving)
    for events, status in (
        ([], "left"),
        ([{"type": "person_fact_withdrawn", "external_id": "ann", "fact": leaving_id}], "active"),
        ([leaving], "left"),
    ):
        if events:
            await send(bench, entry_point, rest, tenant, *events)
        await bench.until_settled(tenant)
        assert (await people(rest, tenant))["ann"]["status"] == status


async def test_a_version_that_was_reported_with_other_content_is_a_dead_letter_and_409_by_rest(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    first, other = report("ann", 7, ("2020-01-01", None)), report("ann", 7, ("2020-01-01", "2026-02-01"))
    await send(bench, "topic", rest, tenant, first, other, report("ann", 6, ("2020-01-01", "2026-02-01")))
    await bench.until_settled(tenant)
    letters = (await rest.get(f"/v1/operator/dead-letters?tenant={tenant}"))["items"]
    assert [letter["reason"] for letter in letters] == ["version"]
    body = {"source": bench.source(tenant), "events": [hired("bob"), other]}
    refused = await rest.call("POST", f"/v1/tenants/{tenant}/hr-events", body)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:seatpool:problem:version-conflict")
    assert "ann" in refused.json()["detail"]
    await send(bench, "rest", rest, tenant, first)  # the same content once more is no conflict
    await bench.until_settled(tenant)
    found = await people(rest, tenant)
    assert (list(found), found["ann"]["status"]) == (["ann"], "active")


async def test_HR_can_block_a_login_and_a_person_without_login_requires_nothing(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    blocked, nameless = report("ann", 1, ("2020-01-01", None), may_log_in=False), report("bob", 1, ("2020-01-01", None), login=None)
    await send(bench, "rest", rest, tenant, blocked, nameless)
    await bench.until_settled(tenant)
    found = await people(rest, tenant)
    assert (found["ann"]["status"], found["ann"]["may_log_in"], found["bob"]["login"]) == ("inactive", False, None)
    assert await bench.needs(tenant) == []


async def test_M9_A17_a_person_is_terminated_after_a_last_working_day_and_taken_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant, rest = await bench.open_tenant()
    await send(bench, "rest", rest, tenant, report("ann", 1, ("2020-01-01", None)))
    ann = await bench.until_person(rest, tenant, "ann", status="active")
    path = f"/v1/tenants/{tenant}/people/{ann['user']}"
    await bench.until_needs(tenant, 1)
    await bench.answer(await bench.last_need(tenant, ann["user"]))
    await bench.until_person(rest, tenant, "ann", pending=False)
    asked: list[Any] = []

    async def what_if(_: object, __: str, commands: Any) -> Any:
        asked.extend(commands)
        pools = [{"module": module, "available": 1, "next_period": 3} for module in ("documents", "time")]
        return [[{"type": "seatpool.seats.v1.seats_assigned", "data": {"released": ["documents", "time"], "pools": pools}}]]

    monkeypatch.setattr(AskedSeats, "what_if", what_if)
    seen = await rest.post(f"{path}/terminate?dry_run=true", {"last_day": "2026-03-31"})
    assert ({each["state"] for each in seen["licences"]}, (await rest.get(path))["last_day"]) == ({"free"}, None)
    asked.clear()
    later = await rest.post(f"{path}/terminate", {"last_day": "2026-03-31"})
    assert (later["person"]["status"], later["last_day"]) == ("active", "2026-03-31")
    assert (await rest.get(path))["last_day"] == "2026-03-31"
    assert later["reduction"] == {"items": [{"module": "documents", "total": 2}, {"module": "time", "total": 2}]}
    assert {each["state"] for each in later["licences"]} == {"free"}
    (leaver,) = asked
    assert (leaver.modules, leaver.leaver) == ((), True)
    past = await rest.post(f"{path}/terminate", {"last_day": "2026-02-27"})
    assert past["person"]["status"] == "left", "the day is replaced"
    assert (await rest.post(f"{path}/terminate", {"last_day": "2026-02-26"}))["person"]["status"] == "left"
    refused = await rest.call("POST", f"{path}/terminate", {"last_day": "2026-03-31"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:seatpool:problem:person-has-left")
    assert "2026-02-26" in refused.json()["detail"]
    for wrong in ("2019-12-31", "2999-12-31", "2026-02-30", None):
        assert (await rest.call("POST", f"{path}/terminate", {"last_day": wrong})).status_code == 422
    back = await rest.call("DELETE", f"{path}/terminate")
    assert (back.status_code, back.json()["status"]) == (202, "active")
    again = await rest.call("DELETE", f"{path}/terminate")
    assert (again.status_code, again.json()["type"]) == (409, "urn:seatpool:problem:nothing-to-take-back")
    needs = await bench.until_needs(tenant, 4)
    assert [(need.modules, need.leaver, need.release is not None) for need in needs] == [
        (("documents", "time"), False, False),
        (("documents", "time"), False, True),
        ((), True, False),
        (("documents", "time"), False, False),
    ]


@pytest.mark.parametrize("periods", [[("2020-01-01", "2026-02-20")], []], ids=["left", "never-employed"])
async def test_M9_A17_somebody_whom_only_an_administrator_employs_leaves_after_the_last_working_day(
    bench: Bench, periods: Sequence[tuple[str, str | None]]
) -> None:
    tenant, rest = await bench.open_tenant()
    await send(bench, "rest", rest, tenant, report("ann", 1, *periods))
    ann = await bench.until_person(rest, tenant, "ann", status="left")
    path = f"/v1/tenants/{tenant}/people/{ann['user']}"
    assert (await rest.post(f"{path}/reactivate"))["status"] == "active"
    later = await rest.post(f"{path}/terminate", {"last_day": "2026-03-31"})
    assert (later["person"]["status"], later["person"]["overrides"]) == ("active", {"employed": False})
    assert (await rest.get(path))["last_day"] == "2026-03-31"
    assert (await rest.call("DELETE", f"{path}/terminate")).json()["overrides"] == {"employed": True}
    assert (await rest.get(path))["last_day"] is None
    assert (await rest.patch(path, {"status": "left"}))["status"] == "left"
    needs = await bench.until_needs(tenant, 4)
    assert [(need.modules, need.leaver, None if need.release is None else need.release.leaver) for need in needs] == [
        (("documents", "time"), False, None),
        (("documents", "time"), False, True),
        (("documents", "time"), False, None),
        ((), True, None),
    ]
