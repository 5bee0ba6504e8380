"""Roles by REST: they are defined, given, changed and deleted."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.users.use_cases.rights import Granted, rights_of
from services.users.use_cases.roles import ROLES_MAX
from shared.schemas.rights import TENANT_RIGHTS
from shared.schemas.users_v1 import (
    ApiClientChanged,
    ApiClientRevoked,
    LastOwnerLost,
    PersonChanged,
    PersonInvited,
    RoleDefined,
    RoleDeleted,
    TenantOpenedByOperator,
)
from tests.support.users import Bench, Rest

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]
ANN = {"login": "ann", "email": "ann@acme.example", "department": "Makers"}
TOO_LONG = ["x" * 500] * 7
AUDITOR = {"role": "auditor", "name": "Auditor", "rights": ["log:read", "account:read"]}


async def refusal(rest: Rest, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    answer = await rest.call(method, path, body, **headers)
    return answer.status_code, answer.json()["type"].rpartition(":")[2]


async def test_T24_a_role_is_defined_given_changed_and_deleted(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    base = f"/v1/tenants/{tenant}"
    made = await rest.post(f"{base}/roles", AUDITOR, idempotency_key="r")
    assert made == {"role": "auditor", "name": "Auditor", "rights": ["account:read", "log:read"], "built_in": False, "version": 1}
    pages = await rest.pages(f"{base}/roles", limit=2)
    assert [[role["role"] for role in page] for page in pages] == [["auditor", "licence-manager"], ["owner", "people-manager"], ["reader"]]
    person = await rest.post(f"{base}/people", ANN)
    path = f"{base}/people/{person['user']}"
    assert await refusal(rest, "PUT", f"{path}/roles", {"roles": ["auditor"]}) == (428, "precondition-required")
    given = await rest.call("PUT", f"{path}/roles", {"roles": ["auditor"], "viewset": ["Makers", "Gone"]}, if_match='"1"')
    assert given.json()["unknown_departments"] == ["Gone"]
    assert (await rest.get(f"{path}/roles")) == given.json()
    assert [each["user"] for each in (await rest.get(f"{base}/people?role=auditor"))["items"]] == [person["user"]]
    assert (await rest.get(f"{base}/people?role=owner"))["items"] == []
    assert await refusal(rest, "DELETE", f"{base}/roles/auditor", if_match='"1"') == (409, "role-in-use")
    changed = await rest.patch(f"{base}/roles/auditor", {"rights": ["users:manage"]})
    assert (changed["rights"], changed["version"]) == (["users:manage"], 2)
    async with bench.users.database.unit_of_work(tenant) as uow:
        granted = await rights_of(uow.connection, tenant, person["user"], bench.clock.now())
    assert (granted.rights, granted.departments, granted.may_sign_in) == (frozenset({"users:manage"}), frozenset({"Makers", "Gone"}), True)
    await bench.until_settled(tenant)
    assert (await rest.get(path))["administrator"], "the holder was evaluated again"
    event = (await bench.events(tenant, PersonChanged))[-1]
    assert (event.rights, event.departments, event.administrator) == (("users:manage",), ("Gone", "Makers"), True)
    await rest.call("PUT", f"{path}/roles", {"roles": []}, if_match="*")
    assert (await rest.call("DELETE", f"{base}/roles/auditor", if_match='"2"')).status_code == 204
    assert await refusal(rest, "GET", f"{base}/roles/auditor") == (404, "not-found")
    defined, again = await bench.events(tenant, RoleDefined)
    assert [(change.field, change.old, change.new) for change in again.changes] == [("rights", "account:read, log:read", "users:manage")]
    assert defined.rights == ("account:read", "log:read")
    assert len(await bench.events(tenant, RoleDeleted)) == 1


async def test_T24_wrong_roles_are_refused_by_field(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    base = f"/v1/tenants/{tenant}"
    for body in ({"name": "x", "rights": []}, {"name": "x", "rights": ["operator"]}, {"name": "", "rights": ["log:read"]}):
        assert await refusal(rest, "POST", f"{base}/roles", body) == (422, "invalid")
    assert await refusal(rest, "POST", f"{base}/roles", AUDITOR | {"role": "owner"}) == (409, "role-exists")
    assert await refusal(rest, "PATCH", f"{base}/roles/owner", {"name": "x"}, if_match="*") == (409, "role-built-in")
    person = await rest.post(f"{base}/people", ANN)
    path = f"{base}/people/{person['user']}/roles"
    wrong: tuple[dict[str, Any], ...] = (
        {"roles": ["king"]},
        {"roles": ["owner"], "viewset": "own"},
        {"roles": [], "viewset": ["x" * 500] * 7},
        {"viewset": None},
    )
    for body in wrong:
        assert await refusal(rest, "PUT", path, body, if_match="*") == (422, "invalid"), body
    await bench.execute(
        "INSERT INTO roles SELECT $1, 'r' || n, 'x', '{log:read}', 1 FROM generate_series(1, $2::int) AS n", tenant, ROLES_MAX
    )
    assert await refusal(rest, "POST", f"{base}/roles", AUDITOR) == (409, "too-many-roles")


async def test_T24_nobody_gives_more_than_they_have(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    base = f"/v1/tenants/{tenant}"
    manager = await bench.rest(tenant, "users:read users:manage", "mia")
    chief = await bench.rest(tenant, "users:read users:manage roles:manage", "carl")
    assert await refusal(manager, "POST", f"{base}/people", ANN | {"administrator": True}) == (403, "no-right")
    assert await refusal(chief, "POST", f"{base}/people", ANN | {"administrator": True}) == (403, "wider-than-own")
    assert await refusal(chief, "POST", f"{base}/roles", AUDITOR) == (403, "wider-than-own")
    person = await manager.post(f"{base}/people", ANN)
    path = f"{base}/people/{person['user']}"
    assert await refusal(manager, "PUT", f"{path}/roles", {"roles": []}, if_match="*") == (403, "no-right")
    assert await refusal(chief, "PUT", f"{path}/roles", {"roles": ["owner"]}, if_match="*") == (403, "wider-than-own")
    owner = await rest.call("PUT", f"{path}/roles", {"roles": ["owner"]}, if_match="*")
    assert owner.json()["rights"][-1] == "roles:manage"
    assert await refusal(manager, "PATCH", path, {"email": "eve@evil.example"}, if_match="*") == (403, "wider-than-own")
    assert await refusal(manager, "PATCH", path, {"administrator": False}, if_match="*") == (403, "no-right")
    named = await manager.patch(path, {"name": "Ann B", "administrator": True})
    assert (named["name"], named["roles"]) == ("Ann B", ["owner"]), "what is so already needs no right"


async def test_T23_settings_of_the_tenant_need_their_own_right(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    base = f"/v1/tenants/{tenant}"
    manager = await bench.rest(tenant, "users:read users:manage account:read", "mia")
    setter = await bench.rest(tenant, "settings:manage", "sue")
    for method, path, body in (
        ("PUT", "/profiles/makers", {"name": "makers", "modules": ["time"]}),
        ("PUT", "/department-mapping", {"Makers": "makers"}),
        ("PUT", f"/guard/{bench.source(tenant)}", {"people": 7, "percent": 3}),
        ("PATCH", "", {"release_on_expiry": True}),
    ):
        assert await refusal(manager, method, base + path, body, if_match="*") == (403, "no-right")
        assert (await setter.call(method, base + path, body, if_match="*")).status_code in (200, 202), path
    for field, value in (("time_zone", "Europe/Berlin"), ("support_contact", "x")):
        assert await refusal(setter, "PATCH", base, {field: value}, if_match="*") == (403, "no-right")
        assert (await rest.call("PATCH", base, {field: value}, if_match="*")).status_code == 200


async def test_an_api_client_gets_tokens_with_a_secret_that_is_shown_once_and_can_be_replaced(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    base = f"/v1/tenants/{tenant}/clients"
    body = {"name": "Payroll export", "rights": ["users:read", "account:read"]}
    made = await rest.post(base, body, idempotency_key="c")
    client, first = made["client"], made["secret"]
    again = await rest.post(base, body, idempotency_key="c")
    assert again["client"] == client
    assert "secret" not in again
    stored = [*await bench.execute("SELECT * FROM api_clients"), *await bench.execute("SELECT * FROM idempotency_keys")]
    assert client in str(stored)
    assert first not in str(stored), "only a hash is stored"

    async def token(secret: str, **more: str) -> tuple[int, Any]:
        form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret, "scope": "users:read", **more}
        answer = await bench.http.post("/v1/token", data=form)
        return answer.status_code, answer.json().get("access_token") or answer.json()["type"].rpartition(":")[2]

    status, access = await token(first, ttl_seconds="86400")
    assert status == 200
    program = Rest(bench.http, access, bench.check)
    assert (await program.get(f"/v1/tenants/{tenant}/people"))["items"] == []
    assert (await program.call("GET", f"/v1/tenants/{tenant}")).status_code == 403, "this right was not requested"
    assert (await program.call("GET", "/v1/tenants/other/people")).status_code == 404
    assert [await token(first, scope="users:manage"), await token(first, subject="ann"), await token(first, tenant="other")] == [
        (400, "invalid_scope"),
        (422, "invalid"),
        (422, "invalid"),
    ]
    second = await rest.post(f"{base}/{client}/secrets")
    assert await refusal(rest, "POST", f"{base}/{client}/secrets") == (409, "too-many-secrets")
    assert [(await token(first))[0], (await token(second["secret"]))[0]] == [200, 200]
    secrets = (await rest.get(f"{base}/{client}"))["secrets"]
    assert (await rest.call("DELETE", f"{base}/{client}/secrets/{secrets[0]['secret_id']}")).status_code == 204
    assert [await token(first), (await token(second["secret"]))[0]] == [(401, "invalid-client"), 200]
    changed = await rest.patch(f"{base}/{client}", {"rights": ["log:read"]})
    assert (changed["rights"], await token(second["secret"])) == (["log:read"], (400, "invalid_scope"))
    assert (await rest.call("DELETE", f"{base}/{client}")).status_code == 204
    assert await token(second["secret"], scope="log:read") == (401, "invalid-client")
    assert await refusal(rest, "GET", f"{base}/{client}") == (404, "not-found")
    changes = [",".join(change.field for change in event.changes) for event in await bench.events(tenant, ApiClientChanged)]
    assert changes == ["name,rights,secrets", "secrets", "secrets", "rights"]
    assert len(await bench.events(tenant, ApiClientRevoked)) == 1


async def test_an_api_client_has_no_more_rights_than_its_maker(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    base = f"/v1/tenants/{tenant}/clients"
    chief = await bench.rest(tenant, "users:read roles:manage", "carl")
    client = await rest.post(base, {"name": "x", "rights": ["account:buy"]})
    assert await refusal(chief, "POST", base, {"name": "x", "rights": ["account:buy"]}) == (403, "wider-than-own")
    assert await refusal(chief, "POST", f"{base}/{client['client']}/secrets") == (403, "wider-than-own"), "its holder could buy"
    assert await refusal(chief, "PATCH", f"{base}/{client['client']}", {"rights": ["users:read"]}, if_match="*") == (403, "wider-than-own")
    assert (await chief.post(base, {"name": "x", "rights": ["users:read"]}))["rights"] == ["users:read"]
    assert [[each["name"] for each in page] for page in await rest.pages(base, limit=1)] == [["x"], ["x"], []]


async def test_nobody_gets_the_access_of_a_person_with_more_rights_by_linking_and_separating(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    base, source = f"/v1/tenants/{tenant}/people", bench.source(tenant)
    hired = {"type": "person_hired", "external_id": "1", "effective_date": "2026-01-01", "login": "ann", "email": "ann@acme.example"}
    await rest.post(
        f"/v1/tenants/{tenant}/hr-events", {"source": source, "events": [hired | {"name": "", "job_title": "", "department": ""}]}
    )
    owner = (await bench.until_person(rest, tenant, "1"))["user"]
    await rest.call("PUT", f"{base}/{owner}/roles", {"roles": ["owner"]}, if_match="*")
    manager = await bench.rest(tenant, "users:read users:manage account:read log:read", "carl")
    eve = (await manager.post(base, {"login": "eve", "email": "eve@acme.example"}))["user"]
    apart = {"source": source, "external_id": "1"}
    assert await refusal(manager, "POST", f"{base}/{eve}/link", {"to": owner}) == (403, "wider-than-own")
    assert await refusal(manager, "POST", f"{base}/{owner}/link", {"to": eve}) == (403, "wider-than-own"), "the owner would be nobody"
    await rest.post(f"{base}/{eve}/link", {"to": owner})
    assert await refusal(manager, "POST", f"{base}/{owner}/separate", apart) == (403, "wider-than-own"), "Eve's e-mail address would stay"
    assert (await rest.get(f"{base}/{owner}"))["email"] == "ann@acme.example"
    await rest.post(f"{base}/{owner}/separate", apart)


async def test_a_request_cannot_take_away_the_last_owner(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    base = f"/v1/tenants/{tenant}/people"
    first, second = [(await rest.post(base, ANN | {"login": name, "email": f"{name}@acme.example"}))["user"] for name in ("ann", "bob")]
    await rest.call("PUT", f"{base}/{first}/roles", {"roles": ["owner"]}, if_match="*")
    changes: list[tuple[str, str, dict[str, Any]]] = [
        ("PUT", f"{base}/{first}/roles", {"roles": ["reader"]}),
        ("PATCH", f"{base}/{first}", {"status": "left"}),
        ("PATCH", f"{base}/{first}", {"may_log_in": False}),
        ("PATCH", f"{base}/{first}", {"valid_to": "2026-03-01"}),
        ("PATCH", f"{base}/{first}", {"administrator": False}),
        ("POST", f"{base}/{first}/terminate", {"last_day": "2026-03-31"}),  # on a later day, too
        ("PATCH", f"{base}/{first}", {"valid_to": "2026-03-31"}),
        ("PATCH", f"{base}/{first}", {"email": None}),
    ]
    for method, path, body in changes:
        assert await refusal(rest, method, path, body, if_match="*") == (409, "last-owner"), body
    assert (await rest.get(f"{base}/{first}"))["roles"] == ["owner"]
    await rest.call("PUT", f"{base}/{second}/roles", {"roles": ["owner"]}, if_match="*")
    ends = [f"{base}/{user}/terminate" for user in (second, first)]
    assert (await rest.call("POST", ends[0], {"last_day": "2026-04-30"})).status_code == 202
    for last_day in ("2026-03-31", "2026-04-30", "2026-05-31"):
        assert await refusal(rest, "POST", ends[1], {"last_day": last_day}) == (409, "last-owner"), "nobody would be left later"
    for change in ({"status": "left"}, {"email": None}, {"administrator": False}):
        assert await refusal(rest, "PATCH", f"{base}/{first}", change, if_match="*") == (409, "last-owner"), "the other one leaves"
        assert (await rest.call("PATCH", f"{base}/{first}", {"job_title": "Chief"}, if_match="*")).status_code == 200
    assert (await rest.call("POST", ends[0], {"last_day": "2026-04-15"})).status_code == 202, "the first owner stays"
    assert (await rest.call("DELETE", ends[0])).status_code == 202
    assert (await rest.call("PATCH", f"{base}/{second}", {"email": None}, if_match="*")).status_code == 200
    assert await refusal(rest, "PATCH", f"{base}/{first}", {"may_log_in": False}, if_match="*") == (409, "last-owner"), "no other address"
    assert (await rest.call("PATCH", f"{base}/{second}", {"email": "bob@acme.example"}, if_match="*")).status_code == 200
    both = [rest.call("PATCH", f"{base}/{user}", {"may_log_in": False}, if_match="*") for user in (first, second)]
    assert sorted(answer.status_code for answer in await asyncio.gather(*both)) == [200, 409], "two owners cannot end each other at once"
    assert await bench.events(tenant, LastOwnerLost) == []


async def test_the_loss_of_the_last_owner_is_done_and_reported_when_a_source_reports_it(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    hired = {"type": "person_hired", "external_id": "1", "effective_date": "2026-01-01", "login": "ann", "email": "ann@acme.example"}
    events = {"source": bench.source(tenant), "events": [hired | {"name": "Ann", "job_title": "", "department": "Makers"}]}
    await rest.post(f"/v1/tenants/{tenant}/hr-events", events)
    person = await bench.until_person(rest, tenant, "1")
    path = f"/v1/tenants/{tenant}/people/{person['user']}"
    await rest.call("PUT", f"{path}/roles", {"roles": ["owner"]}, if_match="*")
    left = {"type": "person_left", "external_id": "1", "effective_date": "2026-03-01"}
    await rest.post(f"/v1/tenants/{tenant}/hr-events", events | {"events": [left]})
    await bench.until_person(rest, tenant, "1", status="left")
    (told,) = await bench.events(tenant, LastOwnerLost)
    assert (told.user, told.actor.kind) == (person["user"], "source")


async def test_a_tenant_is_created_with_its_first_owner_who_is_invited(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant(owner={"name": "Ann Lund", "email": "ann@acme.example"})
    (owner,) = (await rest.get(f"/v1/tenants/{tenant}/people?role=owner"))["items"]
    assert (owner["name"], owner["status"], owner["modules"], owner["roles"]) == ("Ann Lund", "invited", [], ["owner"])
    (invited,) = await bench.events(tenant, PersonInvited)
    assert (invited.user, invited.reserved) == (owner["user"], False)
    async with bench.users.database.unit_of_work(tenant) as uow:
        assert (await rights_of(uow.connection, tenant, owner["user"], bench.clock.now())).may_sign_in


async def chief_of_makers(bench: Bench, rest: Rest, tenant: str, user: str, rights: Sequence[str]) -> Rest:
    """Give a person these rights over the people of one department; return the person's client."""
    role = (await rest.post(f"/v1/tenants/{tenant}/roles", {"name": "Chief", "rights": list(rights)}))["role"]
    given = {"roles": [role], "viewset": ["Makers"]}
    changed = await rest.call("PUT", f"/v1/tenants/{tenant}/people/{user}/roles", given, if_match="*")
    assert changed.status_code == 200, changed.text
    chief = Granted(frozenset(rights), (role,), frozenset({"Makers"}), may_sign_in=True)
    token, _ = bench.app.state.context.issuer.issue_to_person(tenant, user, chief, bench.clock.now())
    return Rest(bench.http, token, bench.check)


async def test_E9_a_viewset_hides_people_but_not_their_number(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    base = f"/v1/tenants/{tenant}/people"
    users: dict[str, str] = {}
    for name, department in (("ann", "Makers"), ("bob", "Guests"), ("cid", "Makers"), ("dan", None)):
        body = {"login": name, "email": f"{name}@acme.example", "department": department, "name": name}
        users[name] = (await rest.post(base, body))["user"]
    limited = await chief_of_makers(bench, rest, tenant, users["bob"], TENANT_RIGHTS)
    pages = await limited.call("GET", f"{base}?limit=2")
    assert ([each["name"] for each in pages.json()["items"]], pages.json()["hidden"]) == (["ann", "bob"], 1), "one sees oneself"
    assert (await limited.get(f"{base}?text=dan"))["hidden"] == 1, "the number does not depend on what is searched"
    assert (await rest.get(base))["hidden"] is None
    chosen = f"{base}?user={users['ann']}&user={users['dan']}&user=nobody"
    assert [[each["name"] for each in (await reader.get(chosen))["items"]] for reader in (rest, limited)] == [["ann", "dan"], ["ann"]]
    hidden: tuple[tuple[str, str, Any], ...] = (
        ("GET", "", None),
        ("GET", "/why", None),
        ("GET", "/roles", None),
        ("PATCH", "", {"name": "x"}),
        ("PUT", "/roles", {"roles": []}),
        ("POST", "/reactivate", {}),
        ("POST", "/invite", {}),
        ("POST", "/replace", {"to": users["ann"]}),
    )
    for method, path, content in hidden:
        assert await refusal(limited, method, f"{base}/{users['dan']}{path}", content, if_match="*") == (404, "not-found"), path
    assert await refusal(limited, "POST", f"{base}/{users['ann']}/replace", {"to": users["dan"]}) == (404, "not-found")
    assert (await limited.get(f"{base}/{users['ann']}/why"))["user"] == users["ann"]
    new = {"login": "eve", "email": "eve@acme.example"}
    assert await refusal(limited, "POST", base, new) == (403, "wider-than-own")
    assert await refusal(limited, "POST", base, new | {"department": "Guests"}) == (403, "wider-than-own")
    assert (await limited.post(base, new | {"department": "Makers"}))["department"] == "Makers"
    for user in ("ann", "bob"):
        assert await refusal(limited, "PATCH", f"{base}/{users[user]}", {"department": "Planners"}, if_match="*") == (403, "wider-than-own")
    assert (await limited.patch(f"{base}/{users['bob']}", {"department": "Makers"}))["department"] == "Makers"
    roles = f"{base}/{users['ann']}/roles"
    assert await refusal(limited, "PUT", roles, {"roles": ["reader"]}, if_match="*") == (403, "wider-than-own")
    assert (await limited.call("PUT", roles, {"roles": ["reader"], "viewset": ["Makers"]}, if_match="*")).status_code == 200
    for method, path in (("POST", "roles"), ("POST", "clients"), ("GET", "imports/x/changes"), ("GET", "held-events")):
        assert await refusal(limited, method, f"/v1/tenants/{tenant}/{path}", {}) == (403, "viewset"), path


async def test_E9_an_edit_that_moves_the_person_out_of_the_viewset_by_a_link_says_whom_to_ask(bench: Bench) -> None:
    """The second HR system gives Ann the login of somebody else, until Ann is given another one. It also says that she is a planner."""
    tenant, rest = await bench.open_tenant()
    first, second = bench.source(tenant), f"hr/second/{tenant}"
    await rest.put(f"/v1/operator/sources/{second}", {"tenants": [tenant]})
    for source, position in ((first, 2), (second, 1)):
        await rest.call("PUT", f"/v1/tenants/{tenant}/sources/{source}", {"position": position, "match_by": ["email"]})
    for source, who, login, email, department in (
        (first, "ann", "ann", "ann", "Makers"),
        (first, "bob", "bob", "bob", "Makers"),
        (second, "x", "bob", "ann", "Planners"),
    ):
        values = {"since": "2020-01-01", "login": login, "email": f"{email}@acme.example", "department": department}
        event = {"type": "person_reported", "external_id": who, "version": 1, "employment": [{"starts_on": "2020-01-01"}]}
        await rest.post(f"/v1/tenants/{tenant}/hr-events", {"source": source, "events": [event | {"attributes": [values]}]})
        await bench.until_settled(tenant)
    base = f"/v1/tenants/{tenant}/people"
    people = {each["external_id"]: each for each in (await rest.get(base))["items"]}
    assert people["x"]["conflict"]["reason"] == "several_people"
    limited = await chief_of_makers(bench, rest, tenant, people["bob"]["user"], TENANT_RIGHTS)
    path = f"{base}/{people['ann']['user']}"
    refused = (await limited.call("PATCH", path, {"login": "ann-lee"}, if_match="*")).json()
    assert (refused["type"], refused["departments"]) == ("urn:seatpool:problem:wider-than-own", ["Makers"])
    assert "ask somebody who sees all people" in refused["detail"]
    assert (await rest.patch(path, {"login": "ann-lee"}))["department"] == "Planners"


async def test_E9_conflicts_and_logins_in_use_count_people_whom_the_reader_does_not_see_and_name_the_others(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    base = f"/v1/tenants/{tenant}/people"
    users: dict[str, str] = {}
    for name, department in (("ann", "Makers"), ("bob", "Guests"), ("cid", "Makers"), ("dan", None)):
        users[name] = (await rest.post(base, {"login": name, "email": f"{name}@acme.example", "department": department}))["user"]
    conflict = 'UPDATE people SET conflict = \'{"reason": "several_people", "by": "email"}\', conflict_people = $3'
    for name, others in (("ann", ["cid", "dan", "bob"]), ("dan", ["ann"])):
        named = [users[other] for other in others]
        await bench.execute(f"{conflict} WHERE tenant_id = $1 AND user_id = $2", tenant, users[name], named)
    limited = await chief_of_makers(bench, rest, tenant, users["bob"], ["users:read", "users:manage"])
    path = f"{base}/{users['ann']}"
    everything, seen = await rest.get(path), await limited.get(path)
    assert everything["conflict"]["people"] == [users[name] for name in ("cid", "dan", "bob")]
    assert (everything["conflict"]["hidden"], everything["in_conflict"], everything["in_conflict_hidden"]) == (0, [users["dan"]], 0)
    assert (seen["conflict"]["people"], seen["conflict"]["hidden"]) == ([users["cid"], users["bob"]], 1), "readers see themselves"
    assert (seen["in_conflict"], seen["in_conflict_hidden"]) == ([], 1)
    assert users["dan"] not in str(await limited.get(base))
    new = {"login": "DAN", "email": "d@acme.example", "department": "Makers"}
    hidden, shown = await limited.call("POST", base, new), await rest.call("POST", base, new)
    assert [each.json()["type"] for each in (hidden, shown)] == ["urn:seatpool:problem:login-in-use"] * 2
    assert (users["dan"] in hidden.text, shown.json()["user"]) == (False, users["dan"])
    assert (await limited.call("PATCH", path, {"login": "cid"}, if_match="*")).json()["user"] == users["cid"]


async def test_people_switch_digests_off_for_themselves(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    user = (await rest.post(f"/v1/tenants/{tenant}/people", ANN))["user"]
    path = f"/v1/tenants/{tenant}/people/{user}/digests"
    other, nothing = await bench.rest(tenant, "users:read", "bob"), Granted(frozenset(), (), None, may_sign_in=True)
    token, _ = bench.app.state.context.issuer.issue_to_person(tenant, user, nothing, bench.clock.now())
    own = Rest(bench.http, token, bench.check)  # whatever the rights are
    assert await refusal(other, "PUT", path, {"digests": False}) == (403, "no-right")
    assert await own.put(path, {"digests": False}) == {"digests": False}
    assert [event.digests for event in await bench.events(tenant, PersonChanged)] == [False]


async def test_the_vendor_opens_a_tenant_to_read_it_and_the_tenant_can_see_that(bench: Bench) -> None:
    tenant, rest = await bench.open_tenant()
    opened = await rest.post(f"/v1/tenants/{tenant}/operator-access", {"reason": "ticket 4711"})
    assert opened["expires_in"] == 1800
    reader = Rest(bench.http, opened["access_token"], bench.check)
    assert (await reader.get(f"/v1/tenants/{tenant}/people"))["items"] == []
    assert await refusal(reader, "POST", f"/v1/tenants/{tenant}/people", ANN) == (403, "no-right")
    assert await refusal(reader, "GET", "/v1/tenants") == (403, "no-right")
    assert await refusal(reader, "POST", f"/v1/tenants/{tenant}/operator-access", {"reason": "more"}) == (403, "no-right")
    (event,) = await bench.events(tenant, TenantOpenedByOperator)
    assert (event.actor.id, event.reason, event.until) == ("operator", "ticket 4711", bench.clock.now() + timedelta(minutes=30))
