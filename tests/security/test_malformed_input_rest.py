"""Odd input at the doors of users, against the real database and the real topic: refused by name, and no dead letter."""

import json
from typing import Any

import pytest

from shared.ids import new_id
from shared.schemas.base import Payload
from shared.schemas.hr_v1 import PersonHired, PersonReported
from shared.schemas.registry import type_of
from tests.support.users import NOON, Bench

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


UNICODE = "a text of Unicode characters without NUL"
NO_TEXTS = [rb"a\u0000b", rb"\ud800", rb"a\udfffb", b"\xed\xa0\x80"]  # as JSON carries NUL and half a surrogate pair
RAW_NUL = b"a\x00b"  # no JSON


@pytest.mark.parametrize("text", [*NO_TEXTS, RAW_NUL])
async def test_an_hr_event_with_a_text_that_nobody_can_store_becomes_a_dead_letter_and_the_next_one_is_applied(
    bench: Bench, text: bytes
) -> None:
    tenant, rest = await bench.open_tenant()
    source = bench.source(tenant)
    hired = {"effective_date": "2026-01-01", "external_id": "1", "login": "a", "email": "a@acme.example", "name": "A", "department": "B"}
    known = {"since": "2026-01-01", "login": "a", "name": "A", "department": "B"}
    reported = {"external_id": "1", "version": 1, "employment": [{"starts_on": "2026-01-01"}], "attributes": [known]}
    wrong: list[tuple[type[Payload], dict[str, Any], str]] = [(PersonHired, hired | {name: "HERE"}, name) for name in hired]
    wrong += [(PersonReported, reported | {"external_id": "HERE"}, "external_id")]
    wrong += [(PersonReported, reported | {"attributes": [known | {name: "HERE"}]}, f"attributes.0.{name}") for name in known]
    good = PersonHired(external_id="good", effective_date=NOON.date(), login="good", email="good@acme.example", department="Makers")
    for model, body, _ in wrong:
        await bench.send(good, tenant, source=source, type_=type_of(model), raw=json.dumps(body).encode().replace(b"HERE", text))
    await bench.send(good, tenant, source=source)
    await bench.until_person(rest, tenant, "good", status="active")
    letters = (await rest.get(f"/v1/operator/dead-letters?tenant={tenant}&limit=200"))["items"]
    details = [each["detail"] for each in letters]
    is_json = text == NO_TEXTS[0]  # what is no JSON has no fields
    expected = [f"{field}: " if is_json else "body: Invalid JSON: " for *_, field in wrong]
    assert [detail[: len(begin)] for detail, begin in zip(details, expected, strict=True)] == expected, details
    assert {each["reason"] for each in letters} <= {"body", "rule"}
    assert [each["external_id"] for each in (await rest.get(f"/v1/tenants/{tenant}/people?status=all"))["items"]] == ["good"]


@pytest.mark.parametrize("text", [*NO_TEXTS, RAW_NUL])
async def test_bulk_requests_about_people_refuse_a_text_that_nobody_can_store_by_its_field(bench: Bench, text: bytes) -> None:
    tenant, rest = await bench.open_tenant()
    at, source = f"/v1/tenants/{tenant}", bench.source(tenant)
    event = {"type": "person_hired", "effective_date": "2026-01-01", "external_id": "1", "login": "a", "email": "a@acme.example"}
    known = {"since": "2026-01-01", "name": "A", "department": "B"}
    report = {"external_id": "1", "employment": [{"starts_on": "2026-01-01"}], "attributes": [known]}
    begun = await rest.post(f"{at}/imports", {"source": source})
    upload = f"{at}/imports/{begun['import']}/people/0"

    async def refused(method: str, path: str, body: Any) -> Any:
        headers = {"authorization": f"Bearer {rest.token}", "content-type": "application/json", "idempotency-key": new_id()}
        content = json.dumps(body).encode().replace(b"HERE", text)
        answer = await bench.http.request(method, path, content=content, headers=headers)
        if text == RAW_NUL or "bulk-changes" in path:
            assert answer.status_code == 422, answer.text
            return answer.json()["errors"]
        assert answer.is_success, answer.text
        (item,) = answer.json()["rejected" if path.endswith("hr-events") else "invalid"]
        return item["errors"]

    requests: list[tuple[str, str, dict[str, Any], str]] = [
        ("POST", f"{at}/people/bulk-changes", {"action": "activate", "people": [{"user": "HERE"}]}, "body.people.0.user")
    ]
    requests += [
        ("POST", f"{at}/hr-events", {"source": source, "events": [event | {name: "HERE"}]}, name)
        for name in ("external_id", "login", "email", "name")
    ]
    requests += [("PUT", upload, {"people": [report | {"external_id": "HERE"}]}, "external_id")]
    requests += [("PUT", upload, {"people": [report | {"attributes": [known | {name: "HERE"}]}]}, f"attributes.0.{name}") for name in known]
    for method, path, body, field in requests:
        (error,) = await refused(method, path, body)
        if text == RAW_NUL:
            assert (error["field"], error["expected"].partition(" (")[0]) == ("body", "JSON")
        else:
            assert (error["field"], error["expected"]) == (field, UNICODE), (path, error)
    report_of_check = await rest.post(f"{at}/imports/{begun['import']}/check")
    assert [each["index"] for each in report_of_check["invalid"]] == ([] if text == RAW_NUL else [0])
    assert (await rest.get(f"{at}/people?status=all"))["items"] == []
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
