"""The REST API of users: its answers, and its refusals with the fields that they name."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from deploy.local import ports
from services.users.api.requests import SOURCE_TENANTS_MAX
from services.users.main import start
from services.users.use_cases.rights import Granted
from shared import ids
from shared.clock import FixedClock
from shared.schemas import seats_v1 as seats
from shared.schemas.rights import TENANT_RIGHTS
from shared.schemas.users_v1 import DepartmentMapped, PersonAdded, PersonChanged, TenantChanged
from shared.web import encode_cursor
from tests.support.users import SECRET, Bench, Rest, states
from tests.support.wait import wait_until

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
MAKERS = Granted(frozenset(TENANT_RIGHTS), (), frozenset({"Makers", "makers"}), may_sign_in=True)
ANN = {"login": "ann", "email": "ann@acme.example"}


def fields(problem: dict[str, Any]) -> list[str]:
    return [error["field"] for error in problem["errors"]]


# --------------------------------------------------------------------------------------------------------------- tokens


async def test_a_token_is_requested_with_a_form(bench: Bench) -> None:
    form = {"grant_type": "client_credentials", "client_id": "operator", "client_secret": SECRET, "scope": "operator", "ttl_seconds": "60"}
    answer = (await bench.http.post("/v1/token", data=form)).json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 60)
    wrong = await bench.http.post("/v1/token", data=form | {"client_secret": "guess"})
    assert (wrong.status_code, wrong.json()["type"]) == (401, "urn:seatpool:problem:invalid-client")
    assert "guess" not in wrong.text
    bad = await bench.http.post("/v1/token", data=form | {"grant_type": "password", "ttl_seconds": "0"})
    assert (bad.status_code, sorted(fields(bad.json()))) == (422, ["body.grant_type", "body.ttl_seconds"])
    assert SECRET not in bad.text
    keys = await bench.http.get("/.well-known/jwks.json")
    assert keys.json()["keys"][0]["crv"] == "Ed25519"
    for given, status in ((keys.headers["etag"], 304), (f'"x", {keys.headers["etag"]}', 304), ('"x"', 200), (None, 200)):
        again = await bench.http.get("/.well-known/jwks.json", headers={"if-none-match": given} if given else {})
        assert (again.status_code, again.headers["etag"]) == (status, keys.headers["etag"])
        assert again.content == (b"" if status == 304 else keys.content)


@pytest.mark.parametrize(
    "body", [b"client_id=\xff", b"client_id=%ff", b"&".join(b"f%d=1" % n for n in range(21)), b"client_id=a&client_id=b"]
)
async def test_the_refusal_of_a_wrong_form_says_what_is_expected(bench: Bench, body: bytes) -> None:
    answer = await bench.http.post("/v1/token", content=body, headers={"content-type": "application/x-www-form-urlencoded"})
    assert (answer.status_code, fields(answer.json())) == (422, ["body"])
    assert answer.json()["errors"][0]["expected"]


@pytest.mark.parametrize(
    ("blank", "answered"),
    [
        ("tenant=&scope=", (422, ["body.tenant"])),
        ("tenant=&scope=operator", (422, ["body.tenant"])),
        ("tenant=%20&scope=operator", (422, ["body.tenant"])),
        ("subject=&scope=operator", (422, ["body.subject"])),
        ("ttl_seconds=&scope=operator", (422, ["body.ttl_seconds"])),
        ("scope=&scope=operator", (422, ["body"])),
        ("", (400, [])),
        ("scope=", (400, [])),
        ("scope=%20+", (400, [])),
        ("tenant=acme", (400, [])),
        ("tenant=acme&scope=", (400, [])),
        ("scope=users:read", (400, [])),
    ],
)
async def test_a_blank_field_of_the_token_form_never_means_everything(bench: Bench, blank: str, answered: tuple[int, list[str]]) -> None:
    body = f"grant_type=client_credentials&client_id=operator&client_secret={SECRET}&{blank}"
    answer = await bench.http.post("/v1/token", content=body, headers={"content-type": "application/x-www-form-urlencoded"})
    problem = answer.json()
    assert (answer.status_code, sorted(error["field"] for error in problem.get("errors") or [])) == answered, answer.text
    assert problem["type"] == f"urn:seatpool:problem:{'invalid_scope' if answered[0] == 400 else 'invalid'}"


async def test_a_token_request_with_json_is_refused(bench: Bench) -> None:
    answer = await bench.http.post("/v1/token", json={"grant_type": "client_credentials"})
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:seatpool:problem:media-type-not-supported")


async def test_a_client_with_wrong_secrets_must_wait_at_that_address(bench: Bench) -> None:
    form = {"grant_type": "client_credentials", "client_id": "operator", "client_secret": "guess", "scope": "operator"}
    elsewhere = httpx.ASGITransport(bench.app, client=("10.0.0.1", 4000))
    async with httpx.AsyncClient(transport=elsewhere, base_url="http://users") as stranger:
        answers = [await stranger.post("/v1/token", data=form) for _ in range(11)]
        right = await stranger.post("/v1/token", data=form | {"client_secret": SECRET})
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    assert (right.status_code, right.json()["type"], right.headers["retry-after"]) == (429, "urn:seatpool:problem:too-many-requests", "60")
    assert (await bench.http.post("/v1/token", data=form | {"client_secret": SECRET})).status_code == 200
    assert "seatpool_users_tokens_refused_total" in (await bench.http.get("/metrics")).text


# ------------------------------------------------------------------------------------------------------- created at once


async def test_one_of_several_parallel_creations_succeeds_and_the_others_are_conflicts(bench: Bench) -> None:
    """A person and a tenant have unique names; a profile may be put again and again."""
    tenant, rest = await bench.open_tenant()
    person = {"external_id": "E1", "login": "eve", "email": "eve@acme.example"}
    people = await asyncio.gather(*(rest.call("POST", f"/v1/tenants/{tenant}/people", person) for _ in range(12)))
    assert sorted(answer.status_code for answer in people) == [201] + [409] * 11
    assert {answer.json()["type"] for answer in people if answer.status_code == 409} == {"urn:seatpool:problem:person-exists"}
    assert len(await bench.events(tenant, PersonAdded)) == 1
    body = {
        "tenant": f"{tenant}-2",
        "name": "Acme",
        "time_zone": "UTC",
        "contact_email": "it@acme.example",
        "support_contact": "s@v.example",
    }
    tenants = await asyncio.gather(*(rest.call("POST", "/v1/tenants", body) for _ in range(12)))
    assert sorted(answer.status_code for answer in tenants) == [201] + [409] * 11
    profile = {"name": "New", "modules": ["time"], "partial": False}
    profiles = await asyncio.gather(*(rest.call("PUT", f"/v1/tenants/{tenant}/profiles/new", profile) for _ in range(12)))
    assert sorted(answer.status_code for answer in profiles) == [200] * 11 + [202], "the first one changes something"


# -------------------------------------------------------------------------------------------------------------- tenants


async def test_a_tenant_is_created_once_under_one_key(bench: Bench) -> None:
    rest = await bench.rest()
    body = {"name": "Acme", "time_zone": "Europe/Berlin", "contact_email": "it@acme.example", "support_contact": "support@vendor.example"}
    first = await rest.call("POST", "/v1/tenants", body, idempotency_key="k-1")
    again = await rest.call("POST", "/v1/tenants", body, idempotency_key="k-1")
    assert (first.status_code, again.status_code, first.content) == (201, 201, again.content)
    assert first.headers["location"] == f"/v1/tenants/{first.json()['tenant']}"
    other = await rest.call("POST", "/v1/tenants", body | {"name": "Other"}, idempotency_key="k-1")
    assert (other.status_code, other.json()["type"]) == (422, "urn:seatpool:problem:idempotency-key-reused")
    taken = await rest.call("POST", "/v1/tenants", body | {"tenant": first.json()["tenant"]})
    assert (taken.status_code, taken.json()["type"]) == (409, "urn:seatpool:problem:tenant-exists")


async def test_the_refusal_of_a_wrong_tenant_names_every_field(bench: Bench) -> None:
    rest = await bench.rest()
    body = {"name": "", "time_zone": "Mars/Base", "contact_email": "no", "support_contact": "s", "clock": "atomic", "colour": "red"}
    refused = await rest.call("POST", "/v1/tenants", body)
    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    expected = ["body.clock", "body.colour", "body.contact_email", "body.name", "body.time_zone"]
    assert sorted(fields(refused.json())) == expected
    late = {"name": "A", "time_zone": "UTC", "contact_email": "it@acme.example", "support_contact": "s", "at": "2026-01-01T00:00:00Z"}
    assert fields((await rest.call("POST", "/v1/tenants", late)).json()) == ["body.at"]


async def test_tenants_are_listed_in_pages(bench: Bench) -> None:
    rest = await bench.rest()
    mine = {(await bench.open_tenant())[0] for _ in range(3)}
    found = [item["tenant"] for page in await rest.pages("/v1/tenants", 2) for item in page]
    assert mine <= set(found)
    assert len(found) == len(set(found))
    assert fields((await rest.call("GET", "/v1/tenants?cursor=x")).json()) == ["query.cursor"]
    wanted = min(mine)
    assert [each["tenant"] for each in (await rest.call("GET", f"/v1/tenants?text={wanted[2:].upper()}")).json()["items"]] == [wanted]
    assert (await rest.call("GET", "/v1/tenants?text=%25no%20such_tenant")).json()["items"] == []


async def test_a_change_needs_the_version_that_was_read(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}"
    read = await rest.call("GET", path)
    assert (await rest.call("PATCH", path, {"name": "B"})).status_code == 428
    changed = await rest.call("PATCH", path, {"name": "B"}, if_match=read.headers["etag"])
    assert (changed.status_code, changed.json()["name"], changed.json()["version"]) == (200, "B", 2)
    assert (await rest.call("PATCH", path, {"name": "C"}, if_match=read.headers["etag"])).status_code == 412
    await bench.until_settled(tenant)
    (event,) = await bench.events(tenant, TenantChanged)
    assert [(change.field, change.old, change.new) for change in event.changes] == [("name", "Acme", "B")]


async def test_a_tenant_has_a_maximum_of_profiles(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()  # with three
    state, context = bench.app.state, bench.app.state.context
    path, body = f"/v1/tenants/{tenant}/profiles", {"name": "More", "modules": []}
    state.context = replace(context, profiles_max=4)
    try:
        await rest.put(f"{path}/fourth", body)
        refused = await rest.call("PUT", f"{path}/fifth", body)
        again = await rest.put(f"{path}/fourth", body | {"name": "Another"})
    finally:
        state.context = context
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:seatpool:problem:too-many-profiles")
    assert refused.json()["profiles_max"] == 4
    assert again["version"] == 2, "what is there can be replaced"


async def test_changes_of_profiles_and_mapping_are_limited_by_the_number_of_re_evaluated_people_per_day(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    for name in ("ann", "ben"):
        await rest.post(f"/v1/tenants/{tenant}/people", ANN | {"login": name, "department": "Makers"})
    state, context = bench.app.state, bench.app.state.context
    assert (context.reevaluations_per_day, context.profiles_max) == (200_000, 1_000), "the defaults of the settings"
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    guests, mapping = f"/v1/tenants/{tenant}/profiles/guests", f"/v1/tenants/{tenant}/department-mapping"
    try:
        state.context = replace(context, reevaluations_per_day=5, clock=FixedClock(noon))
        await rest.put(guests, {"name": "Guests", "modules": []})
        await rest.put(mapping, {"Guests": None})
        for path, body in ((guests, {"name": "Visitors", "modules": []}), (mapping, {})):
            refused = await rest.call("PUT", path, body)
            assert (refused.status_code, refused.json()["available_at"]) == (429, "2026-03-02T00:00:00.000Z")
            assert (refused.headers["retry-after"], "2026-03-02T00:00" in refused.json()["detail"]) == (str(12 * 3600), True)
        await rest.put(mapping, {"Guests": None})  # a request that changes nothing does not count
        state.context = replace(context, reevaluations_per_day=1, clock=FixedClock(noon + timedelta(days=1)))
        await rest.put(mapping, {})  # the first of a day, however many people there are
        assert (await rest.call("PUT", guests, {"name": "Visitors", "modules": []})).status_code == 429
    finally:
        state.context = context


# --------------------------------------------------------------------------------------------------------------- people


async def test_seats_are_requested_for_a_new_person(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path, body = f"/v1/tenants/{tenant}/people", ANN | {"profile": "planners", "external_id": "DE/7 b"}  # any text
    made = await rest.call("POST", path, body, idempotency_key="p")
    assert made.status_code == 201
    person = made.json()
    assert made.headers["location"] == f"/v1/tenants/{tenant}/people/{person['user']}"
    assert (person["status"], person["profile"], states(person)) == ("active", "planners", {"planning": "pending", "time": "pending"})
    (need,) = await bench.until_needs(tenant, 1)
    assert (need.user, need.modules, need.partial, need.reason) == (person["user"], ("planning", "time"), True, "hired")
    assert (await rest.call("POST", path, body, idempotency_key="p")).json() == person
    twice = await rest.call("POST", f"/v1/tenants/{tenant}/people", ANN | {"external_id": "DE/7 b"})
    assert (twice.status_code, twice.json()["type"]) == (409, "urn:seatpool:problem:person-exists")
    shown = await rest.call("GET", f"/v1/tenants/{tenant}/people/{person['user']}")
    assert shown.headers["etag"] == '"1"'
    values = shown.json()["values"]
    assert {name: value["source"] for name, value in values.items()} == {"login": "rest", "email": "rest", "employed": "rest"}
    assert shown.json() == person | {"values": values}


async def test_A19_an_administrator_without_modules_takes_no_seat(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    body = ANN | {"profile": "guests", "administrator": True}
    person = await rest.post(f"/v1/tenants/{tenant}/people", body)
    assert (person["may_log_in"], person["modules"]) == (True, [])
    await bench.until_settled(tenant)
    assert await bench.needs(tenant) == []
    assert (await rest.get(f"/v1/tenants/{tenant}/statistics"))["hired"] == 0


async def test_the_refusal_of_a_wrong_person_names_every_field(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    body = {"login": "", "email": "x", "kind": "robot", "external_id": "a" * 201, "valid_to": "soon", "extra": 1}
    refused = await rest.call("POST", path, body)
    expected = ["body.email", "body.external_id", "body.extra", "body.kind", "body.login", "body.valid_to"]
    assert (refused.status_code, sorted(fields(refused.json()))) == (422, expected)
    unknown = await rest.call("POST", path, ANN | {"profile": "kings"})
    assert (unknown.status_code, fields(unknown.json())) == (422, ["body.profile"])
    assert (await rest.call("GET", f"{path}/nobody")).status_code == 404
    assert (await rest.call("POST", "/v1/tenants/nowhere/people", ANN)).status_code == 404


async def test_the_required_modules_follow_a_change_of_the_person(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    person = await rest.post(f"/v1/tenants/{tenant}/people", ANN | {"department": "Makers"})
    path = f"/v1/tenants/{tenant}/people/{person['user']}"
    assert (await rest.call("PATCH", path, {"name": "A"})).status_code == 428
    named = await rest.patch(path, {"name": "Ann B", "job_title": "Smith"}, '"1"')
    assert (named["name"], named["job_title"], named["version"]) == ("Ann B", "Smith", 2)
    assert (await rest.call("PATCH", path, {"name": "C"}, if_match='"1"')).status_code == 412
    await rest.patch(path, {"profile": "planners"})
    await rest.patch(path, {"profile": None, "administrator": True})
    blocked = await rest.patch(path, {"may_log_in": False})
    assert (blocked["status"], blocked["may_log_in"]) == ("inactive", False)
    gone = await rest.patch(path, {"status": "left", "may_log_in": True})
    assert gone["status"] == "left"
    needs = await bench.until_needs(tenant, 4)
    assert [(need.modules, need.administrator, need.reason) for need in needs] == [
        (("documents", "time"), False, "hired"),
        (("planning", "time"), False, "changed"),
        (("documents", "time"), True, "changed"),
        ((), False, "changed"),
    ]
    assert [need.revision for need in needs] == [1, 2, 3, 4]
    (first, *_) = await bench.events(tenant, PersonChanged)
    assert [(change.field, change.new) for change in first.changes] == [("name", "Ann B"), ("job_title", "Smith")]
    assert (first.actor.kind, first.actor.id) == ("client", "operator")


async def test_E4_a_reactivation_hires_a_leaver_again(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    person = await rest.post(f"/v1/tenants/{tenant}/people", ANN | {"department": "Makers"})
    path = f"/v1/tenants/{tenant}/people/{person['user']}"
    await rest.patch(path, {"status": "left"})
    odd = await rest.call("POST", f"{path}/reactivate", {"modules": ["planning"]})
    assert (odd.status_code, fields(odd.json())) == (422, ["body.modules"])
    back = await rest.call("POST", f"{path}/reactivate", {"modules": ["time"]})
    assert (back.status_code, back.json()["status"], back.json()["department"]) == (202, "active", "Makers")
    need = (await bench.until_needs(tenant, 3))[2]
    assert (need.modules, need.reactivate, need.reason) == (("documents", "time"), ("time",), "reactivated")
    guest = await rest.post(f"/v1/tenants/{tenant}/people", ANN | {"login": "guest", "profile": "guests"})
    idle = await rest.call("POST", f"/v1/tenants/{tenant}/people/{guest['user']}/reactivate")
    assert (idle.status_code, idle.json()["type"]) == (409, "urn:seatpool:problem:nothing-to-reactivate")


async def test_people_are_listed_in_order_of_arrival_and_filtered(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    for number in range(5):
        await rest.post(
            path, {"login": f"p{number}", "email": f"p{number}@acme.example", "department": "Makers", "external_id": str(9 - number)}
        )
    one = await rest.get(f"{path}?limit=3")
    two = await rest.get(f"{path}?limit=3&cursor={one['next']}")
    assert [person["login"] for person in one["items"] + two["items"]] == ["p0", "p1", "p2", "p3", "p4"]
    assert two["next"] is None
    await bench.until_needs(tenant, 5)
    flagged = seats.ModuleSeat(module="time", state="flagged"), seats.ModuleSeat(module="documents", state="active")
    user = one["items"][1]["user"]
    await bench.answer(await bench.last_need(tenant, user), *flagged)
    await bench.until_person(rest, tenant, "8", pending=False)

    async def logins(query: str) -> list[str]:
        return [person["login"] for person in (await rest.get(f"{path}?{query}"))["items"]]

    assert await logins("seat_state=flagged") == ["p1"]
    assert await logins("seat_state=pending") == ["p0", "p2", "p3", "p4"]
    assert await logins("seat_state=flagged&module=time") == ["p1"]
    assert await logins("seat_state=flagged&module=documents") == []
    assert await logins("seat_state=pending&module=time") == ["p0", "p2", "p3", "p4"]
    assert len(await logins("module=time")) == 5
    assert await logins("module=nothing") == []
    assert await logins("external_id=8") == ["p1"]
    await rest.patch(f"{path}/{user}", {"status": "left"})
    assert await logins("status=left") == ["p1"]
    assert await logins("status=active") == ["p0", "p2", "p3", "p4"]
    assert fields((await rest.call("GET", f"{path}?limit=0&status=gone")).json()) == ["query.status.0", "query.limit"]
    assert fields((await rest.call("GET", f"{path}?knd=external")).json()) == ["query.knd"]


async def test_E7_the_list_of_people_is_sorted_and_paged_by_the_key_also_when_others_arrive(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    for login, name, department in (
        ("d", "Öztürk", "Makers"),
        ("b", "anna", None),
        ("a", "Émile", "Planners"),
        ("C", "Anna", "makers"),
        ("N", None, None),
    ):
        body = {"login": login, "email": f"{login}@acme.example", "name": name, "department": department}
        await rest.post(path, {field: value for field, value in body.items() if value})
    token, _ = bench.app.state.context.issuer.issue_to_person(tenant, "nobody", MAKERS, bench.clock.now())
    limited = Rest(bench.http, token, bench.check)

    async def logins(reader: Rest, sort: str) -> str:
        return "".join(person["login"] for page in await reader.pages(f"{path}?sort={quote(sort)}", 1) for person in page)

    orders = {"name": "bCaNd", "login": "abCdN", "department": "bNdCa", "created_at": "dbaCN"}  # without a name, the login counts
    for key, expected in orders.items():
        assert (await logins(rest, key), await logins(rest, f"-{key}")) == (expected, expected[::-1]), key
        assert await logins(limited, key) == "".join(login for login in expected if login in "dC"), "hidden people leave no trace"
    first = await rest.get(f"{path}?sort=name&limit=2")
    await rest.post(path, {"login": "e", "email": "e@acme.example", "name": "Aaron"})
    await rest.post(path, {"login": "f", "email": "f@acme.example", "name": "Bo"})
    second = await rest.get(f"{path}?sort=name&limit=2&cursor={first['next']}")
    assert [person["login"] for person in first["items"] + second["items"]] == ["b", "C", "f", "a"], "nobody twice, and nobody is missed"
    for query, field in (
        (f"sort=login&cursor={first['next']}", "cursor"),
        (f"cursor={first['next']}", "cursor"),
        ("sort=shoe_size", "sort"),
    ):
        refused = await rest.call("GET", f"{path}?{query}")
        assert (refused.status_code, fields(refused.json())) == (422, [f"query.{field}"])
    for made_up in ("2026", "0001-01-01T00:00:00+14:00", "x"):
        refused = await rest.call("GET", f"{path}?sort=created_at&cursor={encode_cursor('created_at', made_up, 1)}")
        assert (refused.status_code, fields(refused.json())) == (422, ["query.cursor"])
    longest = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}" * 500
    await rest.post(path, {"login": longest, "email": "g@acme.example", "name": longest, "department": longest})
    for key in orders:
        assert len(await logins(rest, key)) == 7 + 500


async def test_a_login_belongs_to_one_employed_person_however_it_is_written(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    ann = await rest.post(path, ANN | {"login": "Ann.Ångström"})
    bob = await rest.post(path, ANN | {"login": "bob"})
    for login in ("ann.ångström", "ANN.A\u030aNGSTRO\u0308M", "\uff21nn.Ångström"):
        posted = await rest.call("POST", path, ANN | {"login": login})
        patched = await rest.call("PATCH", f"{path}/{bob['user']}", {"login": login}, if_match="*")
        for answer in (posted, patched):
            found = answer.status_code, answer.json()["type"], answer.json()["user"]
            assert found == (409, "urn:seatpool:problem:login-in-use", ann["user"]), login
            assert repr(login) in answer.json()["detail"]
    assert (await rest.patch(f"{path}/{ann['user']}", {"login": "ann.ångström"}))["login"] == "ann.ångström", "one's own"
    await rest.patch(f"{path}/{ann['user']}", {"status": "left"})
    con = await rest.post(path, ANN | {"login": "ann.ångström"})
    returning = await rest.call("POST", f"{path}/{ann['user']}/reactivate")
    assert (returning.status_code, returning.json()["user"]) == (409, con["user"]), "the login was given to somebody else since"
    assert len(await bench.events(tenant, PersonAdded)) == 3


async def test_a_login_that_is_given_in_parallel_goes_to_one_person(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    others = [await rest.post(path, ANN | {"login": f"p{number}"}) for number in range(6)]
    answers = await asyncio.gather(
        *(rest.call("POST", path, ANN | {"login": login}) for login in ("eve", "EVE", "Eve", "eVe", "evE", "EVe")),
        *(rest.call("PATCH", f"{path}/{other['user']}", {"login": "eve"}, if_match="*") for other in others),
    )
    assert sorted(answer.status_code for answer in answers)[1:] == [409] * 11
    assert {answer.json()["type"] for answer in answers if answer.is_error} == {"urn:seatpool:problem:login-in-use"}
    logins = [person["login"].lower() for person in (await rest.get(f"{path}?status=all"))["items"]]
    assert logins.count("eve") == 1


async def test_A7_a_login_is_withdrawn_with_null_and_given_again(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    ann = await rest.post(path, ANN | {"department": "Makers"})
    await bench.until_needs(tenant, 1)
    without = await rest.patch(f"{path}/{ann['user']}", {"login": None})
    assert (without["login"], without["status"], without["may_log_in"]) == (None, "inactive", False)
    assert [need.modules for need in await bench.until_needs(tenant, 2)] == [("documents", "time"), ()]
    nameless = await rest.post(path, {"email": "x@acme.example", "department": "Makers"})
    assert (nameless["login"], nameless["modules"]) == (None, [])
    again = await rest.patch(f"{path}/{ann['user']}", {"login": "ann"})
    assert (again["login"], again["status"]) == ("ann", "active")
    assert [need.modules for need in await bench.until_needs(tenant, 3)][2:] == [("documents", "time")]


async def test_a_person_is_added_with_a_blocked_login(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    blocked = await rest.post(path, ANN | {"department": "Makers", "may_log_in": False})
    assert (blocked["status"], blocked["may_log_in"], blocked["modules"]) == ("inactive", False, [])
    allowed = await rest.patch(f"{path}/{blocked['user']}", {"may_log_in": True})
    assert (allowed["status"], allowed["pending"], len(allowed["modules"])) == ("active", True, 2)
    assert len(await bench.until_needs(tenant, 1)) == 1


async def test_M5_the_list_hides_inactive_and_left_people_and_has_filters(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}/people"
    people = [
        ANN | {"name": "Ann Ångström", "department": "Makers"},
        ANN | {"login": "bob", "email": "bob@acme.example", "job_title": "100%_Tester", "department": "Makers", "profile": "planners"},
        ANN | {"login": "con", "kind": "external", "external_id": "X-7", "department": "Planners"},
        ANN | {"login": "dan"},
        ANN | {"login": "eve"},
    ]
    added = [await rest.post(path, body) for body in people]
    await rest.patch(f"{path}/{added[3]['user']}", {"may_log_in": False})
    await rest.patch(f"{path}/{added[4]['user']}", {"status": "left"})

    async def logins(query: str) -> list[str]:
        return [person["login"] for person in (await rest.get(f"{path}?{query}"))["items"]]

    assert await logins("") == ["ann", "bob", "con"]
    assert await logins("status=inactive&status=left") == ["dan", "eve"]
    assert await logins("status=all") == ["ann", "bob", "con", "dan", "eve"]
    assert await logins("kind=external") == ["con"]
    assert await logins("department=Makers") == ["ann", "bob"]
    assert await logins("department=Makers&profile=makers") == ["ann"]
    assert await logins("source=rest&profile=planners") == ["bob", "con"]
    assert await logins("source=hr/acme") == []
    decomposed = quote("a\u030angstro\u0308m")  # the accents are characters of their own
    texts = ("%C3%A5NGSTR%C3%96M", decomposed, "BOB@acme", "100%25_t", "%25", "x-7", "zoe")
    assert [await logins(f"text={text}") for text in texts] == [["ann"], ["ann"], ["bob"], ["bob"], ["bob"], ["con"], []]


# ---------------------------------------------------------------------------------------------------- profiles, mapping


async def test_profiles_and_the_mapping_are_stored_and_published(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    path = f"/v1/tenants/{tenant}"
    again = await rest.call("PUT", f"{path}/profiles/makers", {"name": "makers", "modules": ["documents", "time", "time"]})
    assert again.headers["etag"] == '"1"'
    one = await rest.get(f"{path}/profiles?limit=2")
    two = await rest.get(f"{path}/profiles?limit=2&cursor={one['next']}")
    assert [profile["profile"] for profile in one["items"] + two["items"]] == ["guests", "makers", "planners"]
    assert two["next"] is None
    wrong = await rest.call("PUT", f"{path}/profiles/makers", {"name": "m", "modules": ["Not A Module"]})
    assert (wrong.status_code, fields(wrong.json())) == (422, ["body.modules.0"])
    stale = await rest.call("PUT", f"{path}/profiles/makers", {"name": "m", "modules": []}, if_match='"7"')
    assert stale.status_code == 412
    unknown = await rest.call("PUT", f"{path}/department-mapping", {"Sales": "kings"})
    assert (unknown.status_code, fields(unknown.json())) == (422, ["body.Sales"])
    before = len(await bench.events(tenant, DepartmentMapped))
    await bench.until_settled(tenant)
    before = len(await bench.events(tenant, DepartmentMapped))
    read = (await rest.call("GET", f"{path}/department-mapping")).headers["etag"]
    wanted = {"Makers": "planners", "Guests": "guests", "None": None, "New": None}
    saved = await rest.call("PUT", f"{path}/department-mapping", wanted, if_match=read)
    assert saved.is_success
    late = await rest.call("PUT", f"{path}/department-mapping", {"Makers": "makers"}, if_match=read)
    assert late.status_code == 412, "another department would be lost"
    assert (await rest.call("GET", f"{path}/department-mapping")).headers["etag"] == saved.headers["etag"] != read
    assert (await rest.get(f"{path}/department-mapping"))["Makers"] == "planners"
    await bench.until_settled(tenant)
    told = (await bench.events(tenant, DepartmentMapped))[before:]
    assert [(event.department, event.profile) for event in told] == [("Makers", "planners"), ("New", None), ("Planners", None)]


# ------------------------------------------------------------------------------------------------------------ HR's door


async def test_valid_hr_events_are_accepted_and_the_others_are_listed(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    day = "2026-03-02"
    events = [
        {"type": "person_hired", "external_id": "1", "effective_date": day, "department": "Makers"} | ANN,
        {"type": "person_fired", "external_id": "2", "effective_date": day},
        {"type": "person_hired", "external_id": "3", "effective_date": "soon", "login": "x", "email": "x"},
        {"type": "person_hired", "external_id": "4", "effective_date": day, "kind": "robot"} | ANN,
        {"type": "person_left", "external_id": "5", "effective_date": day, "shoe_size": 44},
        {"type": "person_changed", "external_id": "1", "effective_date": day, "sequence": 1, "name": "Ann"},
    ]
    body = {"source": bench.source(tenant), "events": events}
    answer = await rest.call("POST", f"/v1/tenants/{tenant}/hr-events", body)
    assert answer.status_code == 202
    assert answer.json()["accepted"] == 2
    rejected = {item["index"]: sorted(error["field"] for error in item["errors"]) for item in answer.json()["rejected"]}
    assert rejected == {1: ["type"], 2: ["effective_date", "email"], 3: ["kind"], 4: ["shoe_size"]}
    await bench.until_person(rest, tenant, "1", name="Ann", status="active")
    before = await bench.person(rest, tenant, "1")
    assert (await rest.post(f"/v1/tenants/{tenant}/hr-events", body))["accepted"] == 2
    await bench.until_settled(tenant)
    assert await bench.person(rest, tenant, "1") == before
    assert len(await bench.needs(tenant)) == 1
    many = body | {"events": [events[1]] * 400}
    first, again = [await rest.call("POST", f"/v1/tenants/{tenant}/hr-events", many, idempotency_key="many") for _ in range(2)]
    assert (again.status_code, again.json(), again.headers["idempotency-replayed"]) == (202, first.json(), "true")
    assert len(again.content) > 16 * 1024, "it was not kept, but worked out again"
    foreign = await rest.call("POST", f"/v1/tenants/{tenant}/hr-events", body | {"source": "hr/foreign"})
    assert (foreign.status_code, fields(foreign.json())) == (422, ["body.source"])


async def test_the_allow_list_has_an_entry_for_each_source(bench: Bench) -> None:
    rest = await bench.rest()
    await rest.put("/v1/operator/sources/hr/acme/berlin", {"tenants": ["b", "a", "a"]})
    listed = {item["source"]: item["tenants"] for page in await rest.pages("/v1/operator/sources") for item in page}
    assert listed["hr/acme/berlin"] == ["a", "b"]
    for reserved in ("seatpool/users", "rest", "scim/okta"):
        own = await rest.call("PUT", f"/v1/operator/sources/{reserved}", {"tenants": []})
        assert (own.status_code, fields(own.json())) == (422, ["path.source"])


async def test_two_operators_do_not_overwrite_each_others_tenants_of_a_source(bench: Bench) -> None:
    rest, path, everything = await bench.rest(), f"/v1/operator/sources/hr/shared/{ids.new_id()}", "/v1/operator/sources"
    assert (await rest.call("GET", path)).status_code == 404
    first = await rest.call("PUT", path, {"tenants": ["shared-b"]}, if_match='"0"')
    tag = first.headers["etag"]
    late = await rest.call("PUT", path, {"tenants": ["shared-c"]}, if_match='"0"')
    assert (late.status_code, late.json()["current"]) == (412, tag)
    shown = await rest.call("GET", path)
    assert (shown.headers["etag"], shown.json()["tenants"], shown.json()["topic"]) == (tag, ["shared-b"], "hr.events.v1")
    both = await rest.call("PUT", path, {"tenants": ["shared-b", "shared-c"]}, if_match=tag)
    assert (both.status_code, both.headers["etag"] != tag) == (200, True)
    of_c = await rest.get(f"{everything}?tenant=shared-c")
    assert ([each["tenants"] for each in of_c["items"]], of_c["next"]) == ([["shared-b", "shared-c"]], None)
    assert (await rest.get(f"{everything}?tenant=shared-nobody"))["items"] == []
    emptied = await rest.call("PUT", path, {"tenants": []}, if_match=both.headers["etag"])
    assert emptied.headers["etag"] == '"0"'
    assert (await rest.get(path))["tenants"] == []


async def test_a_refused_if_match_adds_no_source(bench: Bench) -> None:
    rest, path = await bench.rest(), f"/v1/operator/sources/hr/refused/{ids.new_id()}"
    assert (await rest.call("PUT", path, {"tenants": ["a"]}, if_match='"1"')).status_code == 412
    assert (await rest.call("GET", path)).status_code == 404


async def test_sources_are_listed_in_pages_of_as_many_tenants_as_one_source_may_have(bench: Bench) -> None:
    rest = await bench.rest()
    many = [f"tenant-{number}" for number in range(SOURCE_TENANTS_MAX)]
    mine = {f"hr/many/{letter}": many if letter == "b" else many[:3] for letter in "abcd"}
    for source, tenants in mine.items():
        await rest.put(f"/v1/operator/sources/{source}", {"tenants": tenants})
    for limit in (2, 200):
        pages = await rest.pages("/v1/operator/sources", limit)
        names = [item["source"] for page in pages for item in page]
        assert len(names) == len(set(names))
        assert {item["source"]: len(item["tenants"]) for page in pages for item in page if item["source"] in mine} == {
            source: len(tenants) for source, tenants in mine.items()
        }
        assert max(map(len, pages)) <= limit
        (full,) = (page for page in pages if any(item["source"] == "hr/many/b" for item in page))
        assert full[-1]["source"] == "hr/many/b", "no further source on a page that is full of tenants"


async def test_the_openapi_document_names_every_path(bench: Bench) -> None:
    paths = (await bench.http.get("/openapi.json")).json()["paths"]
    assert {"/v1/token", "/v1/tenants/{tenant}/people/{user}/reactivate", "/v1/tenants/{tenant}/clock"} <= set(paths)
    assert (await bench.http.get("/livez")).status_code == 200
    assert (await bench.http.get("/readyz")).status_code == 200


# ------------------------------------------------------------------------------------------------------------ processes


async def test_a_process_without_rest_serves_probes_and_metrics(bench: Bench) -> None:
    """docs/operating.md: every process serves them, so that lag and unanswered people are visible if each role has its process."""
    port = ports.pick()
    alone = asyncio.create_task(
        start(bench.users.settings.model_copy(update={"port": port, "signing_keys_folder": Path("/nobody/has/it")}), "timers")
    )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:

        async def answers() -> bool:
            if alone.done():
                alone.result()
            try:
                return (await http.get("/readyz")).is_success
            except httpx.TransportError:
                return False

        await wait_until(answers, what="the probe")
        assert "seatpool_users_unanswered_people" in (await http.get("/metrics")).text
        assert (await http.get("/v1/tenants/acme/people")).status_code == 404
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone
