"""Every route of users needs a token, its right and its tenant; row-level security is the second check."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

from services.users.sign_in.tokens import REVOCABLE_TTL_SECONDS
from services.users.use_cases import sessions
from services.users.use_cases.sessions import Method
from shared.schemas.rights import RIGHTS
from shared.web.auth import LEEWAY_SECONDS
from tests.support.tables import tables
from tests.support.users import Bench

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
SIGN_IN = {"links", "links/use", "links/choose", "identity-provider", "identity-provider/complete"}
OPEN = {
    "/livez",
    "/readyz",
    "/metrics",
    "/v1/token",
    "/v1/token/revoke",
    "/v1/invitations/accept",
    "/v1/invitations/show",
    "/.well-known/jwks.json",
}
OPEN |= {f"/v1/sign-in/{last}" for last in SIGN_IN}
ANY_TOKEN = {"/v1/me"}  # what a token is for
TENANT_TABLES = {table.name for table in tables("users") if "tenant_id" in table.c}


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Return the routes of the OpenAPI document, which lists every route however it was added, and the probes."""
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            yield method.upper(), path


def filled(path: str, tenant: str) -> str:
    values = {"tenant": tenant, "user": "u", "session": "s", "profile": "p", "source": "hr/x", "source:path": "hr/x", "letter": "1"}
    for name, value in values.items():
        path = path.replace("{" + name + "}", value)
    return path


async def test_every_route_needs_a_token(bench: Bench) -> None:
    asked = 0
    for method, path in routes(bench.app):
        answer = await bench.http.request(method, filled(path, "acme"), json={})
        if path in OPEN:
            assert answer.status_code != 401 or path == "/v1/token", path
            continue
        asked += 1
        assert answer.status_code == 401, f"{method} {path}: {answer.status_code}"
        garbage = await bench.http.request(method, filled(path, "acme"), json={}, headers={"authorization": "Bearer x.y.z"})
        assert garbage.status_code == 401, f"{method} {path}"
    assert asked >= 20
    assert {route.path for route in bench.app.routes if isinstance(route, APIRoute)} >= {"/livez"}


async def test_every_tenant_route_is_hidden_from_another_tenants_token(bench: Bench) -> None:
    mine, _ = await bench.open_tenant()
    other, _ = await bench.open_tenant()
    rights = " ".join(RIGHTS)
    rest = await bench.rest(tenant=mine, scope=rights, subject="ann")
    for method, path in routes(bench.app):
        if "{tenant}" in path:
            answer = await rest.call(method, filled(path, other), {})
            assert answer.status_code == 404, f"{method} {path}: {answer.status_code}"
            assert answer.json()["type"] == "urn:seatpool:problem:not-found"
        elif path.startswith("/v1/operator") or path == "/v1/tenants":
            answer = await rest.call(method, filled(path, other), {})
            assert answer.status_code == 403, f"{method} {path}: {answer.status_code}"


async def test_T22_T23_T24_M1_every_route_needs_its_right(bench: Bench) -> None:
    tenant, _ = await bench.open_tenant()
    reader = await bench.rest(tenant=tenant, scope="users:read", subject="ann")
    nothing = await bench.rest(tenant=tenant, scope="log:read", subject="bob")
    allowed = set()
    for method, path in routes(bench.app):
        if path in OPEN | ANY_TOKEN:
            continue
        assert (await nothing.call(method, filled(path, tenant), {})).status_code == 403, f"{method} {path}"
        if (await reader.call(method, filled(path, tenant), {})).status_code != 403:
            allowed.add((method, path))
    prefix = "/v1/tenants/{tenant}"
    assert allowed == {
        ("GET", f"{prefix}/people"),
        ("GET", f"{prefix}/people/{{user}}"),
        ("GET", f"{prefix}/people/{{user}}/roles"),
        ("GET", f"{prefix}/people/{{user}}/why"),
        ("GET", f"{prefix}/people/{{user}}/timelines"),
        ("GET", f"{prefix}/people/{{user}}/owned-items"),
        ("GET", f"{prefix}/reevaluations/{{reevaluation}}"),
        ("GET", f"{prefix}/roles"),
        ("GET", f"{prefix}/roles/{{role}}"),
        ("GET", f"{prefix}/profiles"),
        ("GET", f"{prefix}/department-mapping"),
    }


async def test_no_route_accepts_a_revoked_session_and_its_last_token_changes_nothing_and_ends_after_five_minutes(bench: Bench) -> None:
    """Ann is an owner beside Bob and is blocked, which ends her session."""
    tenant, rest = await bench.open_tenant()
    people = f"/v1/tenants/{tenant}/people"
    for login in ("bob", "ann"):
        user = (await rest.post(people, {"login": login, "email": f"{login}@{tenant}.example"}))["user"]
        assert (await rest.call("PUT", f"{people}/{user}/roles", {"roles": ["owner"]}, if_match="*")).status_code == 200
    async with bench.users.database.unit_of_work(None) as uow:
        session = await sessions.begin(uow, tenant, user, Method.LINK, bench.clock.now())
    exchange = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:seatpool:token-type:session",
        "subject_token": session.secret,
    }
    token = (await bench.http.post("/v1/token", data=exchange)).json()["access_token"]
    await rest.patch(f"{people}/{user}", {"may_log_in": False})
    assert (await bench.http.post("/v1/token", data=exchange)).json()["error"] == "invalid_grant"
    guarded = [(method, filled(path, tenant)) for method, path in routes(bench.app) if path not in OPEN]

    async def accepted(bearer: str) -> set[tuple[str, str]]:
        headers = {"authorization": f"Bearer {bearer}"}
        asked = {(m, path): await bench.http.request(m, path, json={}, headers=headers) for m, path in guarded}
        return {route for route, answer in asked.items() if answer.status_code != 401}

    assert await accepted(session.secret) == set()
    assert await accepted(token) == {route for route in guarded if route[0] == "GET"}, "it reads until it ends"
    rest_of_token = timedelta(seconds=REVOCABLE_TTL_SECONDS + LEEWAY_SECONDS + 1)
    bench.clock.at += rest_of_token
    try:
        assert await accepted(token) == set()
    finally:
        bench.clock.at -= rest_of_token


async def test_a_person_of_another_tenant_is_not_found(bench: Bench) -> None:
    mine, rest = await bench.open_tenant()
    other, _ = await bench.open_tenant()
    person = await rest.post(f"/v1/tenants/{other}/people", {"login": "eve", "email": "eve@acme.example"})
    insider = await bench.rest(tenant=mine, scope="users:read users:manage", subject="ann")
    assert (await insider.call("GET", f"/v1/tenants/{mine}/people/{person['user']}")).status_code == 404
    assert (await insider.call("PATCH", f"/v1/tenants/{mine}/people/{person['user']}", {"name": "x"}, if_match="*")).status_code == 404


async def test_A13_refusals_name_the_support_contact_of_the_tokens_tenant(bench: Bench) -> None:
    mine, operator = await bench.open_tenant(support_contact="help@mine.example")
    other, _ = await bench.open_tenant(support_contact="help@other.example")
    insider = await bench.rest(tenant=mine, scope="users:read users:manage", subject="ann")
    person = {"external_id": "E1", "login": "eve", "email": "eve@acme.example"}
    await insider.post(f"/v1/tenants/{mine}/people", person)
    contacts = [
        (await rest.call(method, path, body)).json().get("support_contact")
        for rest, method, path, body in (
            (insider, "GET", f"/v1/tenants/{mine}/people/nobody", None),
            (insider, "POST", f"/v1/tenants/{mine}/people", person),
            (insider, "POST", "/v1/tenants", {}),
            (insider, "GET", f"/v1/tenants/{other}/people/nobody", None),
            (insider, "GET", "/v1/tenants/nowhere/people/nobody", None),
            (operator, "GET", f"/v1/tenants/{mine}/people/nobody", None),
        )
    ]
    assert contacts == ["help@mine.example"] * 3 + [None] * 3


async def test_the_database_shows_a_tenant_nothing_of_another(bench: Bench) -> None:
    mine, rest = await bench.open_tenant()
    other, _ = await bench.open_tenant()
    await rest.post(f"/v1/tenants/{other}/people", {"login": "eve", "email": "eve@acme.example", "department": "Makers"})
    async with bench.users.database.unit_of_work(mine) as uow:
        for table in TENANT_TABLES:
            rows = await uow.connection.exec_driver_sql(f"SELECT DISTINCT tenant_id FROM {table}")
            assert {row.tenant_id for row in rows} <= {mine}, table
            changed = await uow.connection.exec_driver_sql(f"DELETE FROM {table} WHERE tenant_id = $1", (other,))
            assert changed.rowcount == 0, table


async def test_every_table_with_a_tenant_has_a_forced_policy(bench: Bench) -> None:
    statement = (
        "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity AS fenced FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE a.attname = 'tenant_id' AND c.relkind = 'r'"
    )
    found = {row.relname: row.fenced for row in await bench.execute(statement)}
    assert set(found) == TENANT_TABLES
    assert all(found.values())
