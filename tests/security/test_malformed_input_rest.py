"""Odd input at the doors of users, against the real database and the real topic: refused by name, and no dead letter."""

from typing import Any

import pytest

from tests.support.users import Bench

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
ODD = ["a\0b", 2**64, [["a\0b"]]]
MADE_UP = ["WzkyMjMzNzIwMzY4NTQ3NzU4MDhd", "WyJhXHUwMDAwYiJd"]  # [2**63] and ["a\0b"]


@pytest.mark.parametrize("odd", ODD)
async def test_malformed_values_are_refused_by_every_endpoint(bench: Bench, odd: Any) -> None:
    tenant, rest = await bench.open_tenant()
    at = f"/v1/tenants/{tenant}"
    doors = [
        ("POST", f"{at}/people", {"login": odd, "email": "a@acme.example"}),
        ("POST", f"{at}/people", {"login": "a", "email": "a@acme.example", "department": odd}),
        ("PUT", f"{at}/profiles/p", {"name": odd, "modules": []}),
        ("PUT", f"{at}/department-mapping", {"Engineering": odd}),
        ("POST", f"{at}/hr-events", {"source": odd, "events": []}),
        ("POST", "/v1/operator/republish", {"tenant": odd}),
    ]
    for method, path, body in doors:
        answer = await rest.call(method, path, body)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), (path, answer.text)
        assert all(error["field"].startswith("body.") and error["expected"] for error in answer.json()["errors"])
    assert (await rest.get(f"{at}/people"))["items"] == []


async def test_malformed_queries_paths_and_cursors_are_refused(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    lists = ["/v1/tenants", f"/v1/tenants/{tenant}/people", "/v1/operator/dead-letters"]
    paths = [f"{path}?cursor={cursor}" for path in lists for cursor in MADE_UP]
    paths += [
        f"/v1/tenants/{tenant}/people?external_id=%00",
        "/v1/operator/dead-letters?tenant=a%00b",
        f"/v1/tenants/{tenant}/people/a%00b",
    ]
    for path in paths:
        answer = await rest.call("GET", path)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), (path, answer.text)
    assert (await rest.call("PUT", "/v1/operator/sources/a%00b", {"tenants": []})).status_code == 422


async def test_malformed_hr_events_are_listed_and_none_becomes_a_dead_letter(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    fact = {"type": "person_hired", "effective_date": "2026-01-01", "email": "a@acme.example"}
    events = [
        fact | {"external_id": str(n), "login": "x", "name": "n", field: odd} for n, odd in enumerate(ODD) for field in ("login", "name")
    ]
    body = {"source": bench.source(tenant), "events": [*events, fact | {"external_id": "good", "login": "good", "name": "💥"}]}
    answer = await rest.post(f"/v1/tenants/{tenant}/hr-events", body)
    assert answer["accepted"] == 1
    assert [(item["index"], item["errors"][0]["field"].partition(".")[0]) for item in answer["rejected"]] == [
        (index, ("login", "name")[index % 2]) for index in range(len(events))
    ]
    await bench.until_person(rest, tenant, "good", name="💥", status="active")
    assert (await rest.get(f"/v1/operator/dead-letters?tenant={tenant}"))["items"] == []


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z"])
async def test_the_time_of_a_tenant_must_be_far_from_the_ends_of_the_calendar(bench: Bench, at: str) -> None:
    tenant, rest = await bench.open_tenant(clock="test", at="2026-01-01T00:00:00Z")
    body = {"name": "n", "time_zone": "Pacific/Kiritimati", "clock": "test", "contact_email": "a@acme.example", "support_contact": "s"}
    for path, given, field in (("/v1/tenants", body | {"at": at}, "at"), (f"/v1/tenants/{tenant}/clock", {"to": at}, "to")):
        answer = await rest.call("POST", path, given)
        assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [f"body.{field}"])


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "9999-12-30"])
async def test_people_with_days_at_the_ends_of_the_calendar_are_handled_like_others(bench: Bench, day: str) -> None:
    tenant, rest = await bench.open_tenant(time_zone="Pacific/Kiritimati")
    fact = {"type": "person_hired", "login": "x", "email": "x@acme.example", "name": "x"}
    events = [
        fact | {"external_id": "until", "effective_date": "2026-01-01", "valid_to": day},
        fact | {"external_id": "from", "effective_date": day},
    ]
    assert (await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": bench.source(tenant), "events": events}))["accepted"] == 2
    await bench.until_person(rest, tenant, "until", valid_to=day)
    await bench.until_settled(tenant)
    assert (await rest.get(f"/v1/operator/dead-letters?tenant={tenant}"))["items"] == []
