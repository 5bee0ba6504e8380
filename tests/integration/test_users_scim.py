"""SCIM 2.0 as identity providers use it, on the real application of users, with PostgreSQL and without a broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import httpx
import orjson
import pytest
from scim2_client import BaseSyncSCIMClient
from scim2_client.engines.asgi import ASGISCIMClient
from scim2_tester import Status, check_server
from sqlalchemy import text
from starlette.routing import Match

from services.users.domain.scim_connections import CONNECTIONS_MAX, ScimConnection
from services.users.jobs.bulk_reevaluation import BulkReevaluation
from services.users.jobs.scim_tokens import ScimTokens
from services.users.scim import on_full
from services.users.scim.callers import KNOWN_SECONDS, Caller, Callers
from services.users.scim.routes import make_router
from services.users.scim.storage import Storage
from services.users.store import held_statements as held_store
from services.users.store import people as people_store
from services.users.store import scim_connections, scim_users
from services.users.store.held_statements import RELEASING
from services.users.use_cases import held_statements, remove_connection
from services.users.use_cases import scim_connections as connections
from shared import ids
from shared.database import UnitOfWork
from shared.database.unit_of_work import lock_number
from shared.schemas import hr_v1
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of
from shared.web.tenant_limits import COSTLY_MAX
from tests.bench.scim_bench import FILL
from tests.support.scim import ENTERPRISE, GROUP, PATCH, SEATS, USER, Client, ScimBench, scim
from tests.support.statements import counted_statements
from tests.support.traces import traces
from tests.support.users import NOON, NOTHING_BACK, expanding_by_one_each
from tests.support.wait import wait_until
from tests.support.wire import execute

__all__ = ["scim"]

HELD_UP_MAX = 0.25  # seconds of the processor
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]


class FromThread(BaseSyncSCIMClient):
    """A client for the checks of scim2-tester, which are synchronous: they run in a thread, and the application in the loop."""

    def __init__(self, bench: ScimBench, client: Client) -> None:
        super().__init__()
        headers = {"authorization": f"Bearer {client.token}"}
        self._asgi = ASGISCIMClient(bench.app, "http://users/scim/v2", headers)
        self._loop = asyncio.get_running_loop()

    def request(self, method: str, url: str, **kwargs: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(self._asgi.request(method, url, **kwargs), self._loop).result(60)

    def _stays_under_base_url(self, endpoint: str) -> bool:
        return self._asgi._stays_under_base_url(endpoint)

    def _parse_json(self, response: Any) -> Any:
        return response.json()


# Each with its reason. A search of several resource types is answered 501, as RFC 7644 allows. All attributes of the extension Seats are
# read-only, so no request changes them; the checks look for that in attributes, but not in extensions. They give a group members at random,
# and ids that no user has are ignored.
EXPECTED = {
    ("SKIPPED", "search_with_attributes", "searching several resource types at once is not supported"),
    ("ERROR", "check_add_attribute", "2.0:Seats"),
    ("ERROR", "check_add_attribute", "'members' was not added"),
    ("ERROR", "check_replace_attribute", "'members' was not replaced"),
    ("ERROR", "check_remove_attribute", "2.0:Seats"),
    ("ERROR", "check_replace_attribute", "2.0:Seats"),
}


async def test_all_checks_of_scim2_tester_succeed(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    await rest.put(f"/v1/tenants/{tenant}/guard/scim/okta", {"people": 1000})  # the checks delete the users that they make
    results = await asyncio.to_thread(check_server, FromThread(scim, client))
    others = [each for each in results if each.status is not Status.SUCCESS]
    unexpected = [
        f"{each.status.name} {each.title} {each.resource_type}: {each.reason}"
        for each in others
        if not any(each.status.name == status and each.title == title and text in str(each.reason) for status, title, text in EXPECTED)
    ]
    assert unexpected == []
    assert len(results) - len(others) > 100


# --------------------------------------------------------------------------------------------------- as identity providers do it


async def test_okta_finds_nobody_creates_deactivates_reactivates_and_renames_a_user(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    assert (await client.found('userName eq "ann@acme.example"', startIndex="1", count="100"))["totalResults"] == 0
    okta = {
        "name": {"givenName": "Ann", "familyName": "Ash"},
        "emails": [{"primary": True, "value": "ann@acme.example", "type": "work"}],
        "displayName": "Ann Ash",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": True,
    }
    made = await client.create("ann@acme.example", **okta)
    assert (made["active"], made["externalId"], made["meta"]["resourceType"]) == (True, okta["externalId"], "User")
    assert "password" not in made
    assert made["meta"]["location"] == f"http://users/scim/v2/Users/{made['id']}"
    again = await client.call("POST", "/Users", {"schemas": [USER], "userName": "ANN@acme.example"} | okta)
    assert (again.status_code, again.json()["scimType"]) == (409, "uniqueness")
    connection = await rest.get(f"/v1/tenants/{tenant}/scim-connections/okta")
    assert (connection["people"], connection["last_error"]["detail"]) == (1, "409 uniqueness")
    assert connection["last_request_at"] is not None
    found = await client.found('userName eq "Ann@Acme.example"')
    assert [each["id"] for each in found["Resources"]] == [made["id"]]
    path = f"/Users/{made['id']}"
    blocked = await client.patch(path, {"op": "replace", "value": {"active": False}})
    assert (blocked["active"], blocked[SEATS]["status"]) == (False, "inactive")
    back = await client.patch(path, {"op": "replace", "value": {"active": True}})
    assert (back["active"], back[SEATS]["status"]) == (True, "active")
    renamed = {name: value for name, value in back.items() if name != "meta"} | {"userName": "ann.berg@acme.example"}
    put = await client.call("PUT", path, renamed)
    assert (put.status_code, put.json()["userName"], put.json()["id"]) == (200, "ann.berg@acme.example", made["id"])
    assert (await client.found('userName eq "ann@acme.example"'))["totalResults"] == 0
    assert (await client.call("GET", "/Users/010101001010101011001010101011")).status_code == 404
    assert (await client.get("/Users?count=1&startIndex=1"))["itemsPerPage"] == 1


async def test_the_resource_of_a_person_whose_data_are_erased_is_gone(scim: ScimBench) -> None:
    """The outbox is not searched: without a broker, it is never sent."""
    words = ["zoe.quill", "zoe@quill.example", "Zoë Quill", "ext-zoe-4711"]
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    await scim.hr(tenant, "zoe-4711", 1, login=words[0], email=words[1], name=words[2])
    (found,) = (await client.found(f'userName eq "{words[0]}"'))["Resources"]
    path = f"/Users/{found['id']}"
    await client.patch(path, {"op": "replace", "value": {"externalId": words[3], "displayName": words[2]}})
    await scim.hr(tenant, "zoe-4711", 2, "2026-01-31", login=words[0], email=words[1], name=words[2])
    (person,) = (await rest.get(f"/v1/tenants/{tenant}/people?status=left"))["items"]
    exported = await rest.get(f"/v1/tenants/{tenant}/people/{person['user']}/data")
    assert exported["data"]["scim_users"][0]["external_id"] == words[3]
    await rest.post(f"/v1/tenants/{tenant}/people/{person['user']}/erase", {})
    left = await traces(partial(execute, scim.users.database), [*words, "zoe-4711"])
    assert [trace for trace in left if trace[0] != "outbox"] == []
    assert (await client.call("GET", path)).status_code == 404


async def test_entra_creates_with_its_own_spelling_and_soft_deletes_and_undeletes(scim: ScimBench) -> None:
    client = await scim.client()
    assert (await client.found('externalId eq "bo"'))["Resources"] == []
    made = await client.create(
        "bo@acme.example",
        schemas=[USER, ENTERPRISE],
        externalId="bo",
        active=True,
        emails=[{"primary": True, "type": "work", "value": "bo@acme.example"}],
        roles=[],
        **{ENTERPRISE: {"employeeNumber": "17", "department": "Makers", "manager": "99"}},
    )
    path = f"/Users/{made['id']}"
    assert made[ENTERPRISE] == {"employeeNumber": "17", "department": "Makers", "manager": {"value": "99"}}
    changed = await client.patch(
        path,
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "bo.new@acme.example"},
        {"op": "Add", "path": "name.familyName", "value": "Berg"},
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "555"},
        {"op": "Replace", "path": f"{ENTERPRISE}:department", "value": "Sales"},
        {"op": "Remove", "path": "displayName"},
    )
    assert changed["emails"] == [{"primary": True, "type": "work", "value": "bo.new@acme.example"}]
    assert (changed["name"]["familyName"], changed[ENTERPRISE]["department"]) == ("Berg", "Sales")
    assert changed["phoneNumbers"] == [{"type": "mobile", "value": "555"}]
    body = {"schemas": [PATCH], "operations": [{"op": "Replace", "path": "active", "value": "False"}]}
    assert (await client.call("PATCH", path, body)).json()["active"] is False
    assert (await client.get(path))["active"] is False, "a soft-deleted user is there"
    undeleted = await client.patch(path, {"op": "Replace", "path": "active", "value": "True"})
    assert (undeleted["active"], undeleted[SEATS]["status"]) == (True, "active")
    assert (await client.call("DELETE", path)).status_code == 204
    for method in ("GET", "DELETE", "PATCH"):
        body = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": True}]}
        assert (await client.call(method, path, body if method == "PATCH" else None)).status_code == 404, (
            "a deleted id is never there again"
        )
    assert (await client.create("bo@acme.example"))["id"] != made["id"]


async def test_ten_parallel_creates_of_one_user_make_one(scim: ScimBench) -> None:
    client = await scim.client()
    body = {"schemas": [USER], "userName": "kim", "externalId": "kim"}
    answers = await asyncio.gather(*(client.call("POST", "/Users", body) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    assert (await client.get("/Users"))["totalResults"] == 1


async def test_parallel_creates_whose_joint_commit_breaks_get_their_own_answers(scim: ScimBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection to the database breaks once after the commit of several users, and once before it."""
    client = await scim.client()
    await client.create("old")
    opened, breaks = scim.users.database.unit_of_work, ["after the commit", "before the commit"]
    stored_now = text("SELECT count(*) FROM scim_users WHERE xmin = pg_current_xact_id()::xid")

    @asynccontextmanager
    async def breaking(tenant: str) -> AsyncIterator[UnitOfWork]:
        async with opened(tenant) as uow:
            yield uow
            is_joint = await uow.connection.scalar(stored_now) > 1
            if is_joint and breaks == ["before the commit"]:
                raise ConnectionError(breaks.pop())
        if is_joint and breaks:
            raise ConnectionError(breaks.pop(0))

    monkeypatch.setattr(scim.users.database, "unit_of_work", breaking)
    for round_ in ("a", "b"):
        names = [f"{round_}{number}" for number in range(4)] + ["old"]
        body = [{"schemas": [USER], "userName": name} for name in names]
        answers = await asyncio.gather(*(client.call("POST", "/Users", each) for each in body))
        assert [answer.status_code for answer in answers] == [201] * 4 + [409], round_
        assert [answer.json()["userName"] for answer in answers[:4]] == names[:4]
    assert breaks == []
    assert (await client.get("/Users"))["totalResults"] == 9


async def test_a_create_takes_few_statements_and_those_of_parallel_creates_together_hardly_more(scim: ScimBench) -> None:
    client = await scim.client()
    await client.create("first")
    with counted_statements(scim.users.database) as alone:
        await client.create("ann", emails=[{"value": "ann@acme.example"}])
    with counted_statements(scim.users.database) as together:
        await asyncio.gather(*(client.create(f"new{number}") for number in range(10)))
    assert len(alone) <= 11, alone
    assert len(together) <= 2 * len(alone), "one user begins, and the others wait and are stored together"
    assert len(await scim.needs(client.tenant)) == 0
    assert (await client.get("/Users"))["totalResults"] == 12


async def test_messages_about_users_who_are_stored_together_carry_the_correlation_of_each_request(scim: ScimBench) -> None:
    client = await scim.client()
    names = [f"new{number}" for number in range(5)]
    bodies = [{"schemas": [USER], "userName": name} for name in names]
    await asyncio.gather(*(client.call("POST", "/Users", body, x_correlation_id=f"request-{body['userName']}") for body in bodies))
    statement = "SELECT json_build_object('value', convert_from(value, 'UTF8'), 'headers', convert_from(headers, 'UTF8'))::text FROM outbox"
    sent = await scim.messages(client.tenant, f"{statement} WHERE tenant = $1 AND topic LIKE '%users.events%'")
    found = {name: [each["headers"] for each in sent if f'"{name}"' in each["value"]] for name in names}
    assert all(len(headers) == 1 and f"request-{name}" in headers[0] for name, headers in found.items()), found


async def test_a_user_without_a_licence_is_created_and_the_extension_says_why(scim: ScimBench) -> None:
    client = await scim.client()
    made = await client.create("lee", **{ENTERPRISE: {"department": "Makers"}})
    assert made[SEATS] == {
        "status": "active",
        "modules": [{"value": "documents", "state": "pending"}, {"value": "time", "state": "pending"}],
    }
    ((user, modules),) = await scim.needs(client.tenant)
    assert modules == ["documents", "time"]
    await scim.decide(client.tenant, user, documents="refused", time="refused")
    shown = await client.get(f"/Users/{made['id']}")
    assert (shown[SEATS]["status"], [each["state"] for each in shown[SEATS]["modules"]]) == ("refused", ["refused", "refused"])
    assert shown["meta"]["version"] != made["meta"]["version"]


async def test_a_decision_of_seats_while_a_change_is_served_does_not_fail_the_change(
    scim: ScimBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await scim.client()
    made = await client.create("ann", **{"schemas": [USER, ENTERPRISE], ENTERPRISE: {"department": "Makers"}})
    path, states = f"/Users/{made['id']}", iter(("waiting", "active", "flagged"))
    update, delete = Storage.update, Storage.delete
    ((user, _),) = await scim.needs(client.tenant)

    async def after_a_decision(change: Callable[..., Any], *given: Any, **more: Any) -> Any:
        await scim.decide(client.tenant, user, time=next(states), documents="active")
        return await change(*given, **more)

    monkeypatch.setattr(Storage, "update", lambda *given, **more: after_a_decision(update, *given, **more))
    monkeypatch.setattr(Storage, "delete", lambda *given, **more: after_a_decision(delete, *given, **more))
    patched = await client.patch(path, {"op": "replace", "path": "displayName", "value": "Ann"})
    assert patched["displayName"] == "Ann"
    outdated = await client.call("PUT", path, {"schemas": [USER], "userName": "ann"}, if_match=made["meta"]["version"])
    assert outdated.status_code == 412, "the client asked for it"
    replaced = await client.call("PUT", path, {"schemas": [USER], "userName": "ann"})
    assert (replaced.status_code, (await client.call("DELETE", path)).status_code) == (200, 204)
    assert next(states, None) is None


async def test_put_active_true_on_a_revoked_person_is_no_reactivation(scim: ScimBench) -> None:
    client = await scim.client()
    made = await client.create("mo", active=True, **{ENTERPRISE: {"department": "Makers"}})
    ((user, _),) = await scim.needs(client.tenant)
    await scim.decide(client.tenant, user, documents="revoked", time="revoked")
    for _ in range(10):
        put = await client.call("PUT", f"/Users/{made['id']}", made)
        assert (put.status_code, put.json()["active"], put.json()[SEATS]["status"]) == (200, True, "deactivated")
    assert len(await scim.needs(client.tenant)) == 1
    for active in (False, True):
        await client.patch(f"/Users/{made['id']}", {"op": "replace", "path": "active", "value": active})
    assert [modules for _, modules in await scim.needs(client.tenant)][1:] == [[], ["documents", "time"]]


# ------------------------------------------------------------------------------------------------------------ beside an HR system


async def test_a_connection_finds_the_employed_people_of_other_sources_and_starts_its_timeline_with_the_first_change(
    scim: ScimBench,
) -> None:
    client = await scim.client()
    await scim.hr(client.tenant, "7", 1, login="nia", email="nia@acme.example", name="Nia", department="Makers")
    await scim.hr(client.tenant, "8", 1, name="No Login")
    await scim.hr(client.tenant, "9", 1, ends_on="2021-01-01", login="gone")
    listed = await client.get("/Users")
    assert [each["userName"] for each in listed["Resources"]] == ["nia"]
    assert (await client.call("POST", "/Users", {"schemas": [USER], "userName": "NIA"})).status_code == 409
    (found,) = (await client.found('userName eq "NIA"'))["Resources"]
    assert (found["active"], found["displayName"], found["emails"][0]["value"]) == (True, "Nia", "nia@acme.example")
    assert (await client.found('emails.value eq "NIA@acme.example"'))["totalResults"] == 1
    assert (await client.found('displayName co "ni"'))["totalResults"] == 1
    put = await client.call("PUT", f"/Users/{found['id']}", found | {"externalId": "x7"})
    assert (put.status_code, put.json()["id"], put.json()["externalId"]) == (200, found["id"], "x7")
    assert (await client.get("/Users"))["totalResults"] == 1
    assert len(await scim.needs(client.tenant)) == 1, "one person, one request for seats"
    assert (await client.found('externalId eq "x7"'))["Resources"][0]["id"] == found["id"]


async def test_a_login_that_hr_still_states_of_a_renamed_user_is_refused_with_where_to_change_it(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    await scim.hr(tenant, "1", 1, login="ann", department="Makers")
    (ann,) = (await client.found('userName eq "ann"'))["Resources"]
    await client.patch(f"/Users/{ann['id']}", {"op": "replace", "path": "userName", "value": "ann.ash"})
    assert (await client.found('userName eq "ann"'))["totalResults"] == 0
    refused = await client.call("POST", "/Users", {"schemas": [USER], "userName": "ann"})
    assert (refused.status_code, "change it in that source" in refused.json()["detail"]) == (409, True)
    await scim.hr(tenant, "1", 2, login="ann.ash", department="Makers")
    assert (await client.create("ann"))["userName"] == "ann"


async def test_active_false_blocks_whom_hr_employs_and_active_true_brings_nobody_back_whom_hr_has_ended(scim: ScimBench) -> None:
    client = await scim.client()
    person = {"login": "ole", "department": "Makers"}
    await scim.hr(client.tenant, "1", 1, **person)
    (found,) = (await client.found('userName eq "ole"'))["Resources"]
    path = f"/Users/{found['id']}"

    async def patched(active: bool) -> Any:
        return await client.patch(path, {"op": "replace", "path": "active", "value": active})

    assert (await patched(False))[SEATS]["status"] == "inactive"
    rest, people = await scim.rest(), f"/v1/tenants/{client.tenant}/people"
    ((listed,),) = await rest.pages(f"{people}?status=inactive")
    refused = await rest.call("POST", f"{people}/{listed['user']}/reactivate")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:seatpool:problem:nothing-to-reactivate")
    assert "because scim/okta blocks the login. Activate the person in scim/okta" in refused.json()["detail"]
    # Blocked here as well: the reactivation ends this block, and says that of the other one.
    assert (await rest.patch(f"{people}/{listed['user']}", {"may_log_in": False}))["obstacle"]["reason"] == "login_blocked"
    both = (await rest.get(f"{people}/{listed['user']}"))["obstacle"]["detail"]
    assert both.startswith("The person may not log in, because scim/okta blocks the login and an administrator has blocked the login.")
    request = {"action": "activate", "people": [{"user": listed["user"]}]}
    (preview,) = (await rest.post(f"{people}/bulk-changes?dry_run=true", request))["people"]
    accepted = await rest.call("POST", f"{people}/{listed['user']}/reactivate")
    assert (accepted.status_code, accepted.json()["status"]) == (202, "inactive")
    assert (
        accepted.json()["obstacle"]
        == preview["obstacle"]
        == {
            "reason": "login_blocked",
            "detail": "The person may not log in, because scim/okta blocks the login. Activate the person in scim/okta: an administrator "
            "cannot end this block here.",
        }
    )
    (unchanged,) = (await rest.post(f"{people}/bulk-changes", request))["people"]
    assert (unchanged["outcome"], unchanged["obstacle"]) == ("unchanged", preview["obstacle"])
    await scim.hr(client.tenant, "1", 2, **person)
    assert (await client.get(path))[SEATS]["status"] == "inactive", "HR reports again unchanged"
    assert (await patched(True))[SEATS]["status"] == "active"
    assert (await rest.get(f"{people}/{listed['user']}"))["obstacle"] is None
    assert [modules for _, modules in await scim.needs(client.tenant)] == [["documents", "time"], [], ["documents", "time"]]
    await scim.hr(client.tenant, "1", 3, ends_on="2026-03-01", **person)
    assert (await client.get(path))[SEATS]["status"] == "left"
    await patched(False)
    back = await patched(True)
    assert (back["active"], back[SEATS]["status"]) == (True, "left")
    assert [modules for _, modules in await scim.needs(client.tenant)][3:] == [[]]


async def test_delete_ends_whom_only_the_connection_knows_and_keeps_whom_hr_employs(scim: ScimBench) -> None:
    client = await scim.client()
    await scim.hr(client.tenant, "1", 1, login="pia", department="Makers")
    (pia,) = (await client.found('userName eq "pia"'))["Resources"]
    await client.patch(f"/Users/{pia['id']}", {"op": "replace", "path": "title", "value": "Boss"})
    assert (await client.call("DELETE", f"/Users/{pia['id']}")).status_code == 204
    assert (await client.call("GET", f"/Users/{pia['id']}")).status_code == 404
    (again,) = (await client.found('userName eq "pia"'))["Resources"]
    assert (again["id"] != pia["id"], again[SEATS]["status"], "title" in again) == (True, "active", False)
    assert (await client.get(f"/Users/{again['id']}"))["userName"] == "pia"
    quin = await client.create("quin", **{ENTERPRISE: {"department": "Makers"}})
    assert (await client.call("DELETE", f"/Users/{quin['id']}")).status_code == 204
    last = (await scim.commands(client.tenant))[-1]
    assert (last["modules"], last["leaver"]) == ([], True)
    assert (await client.get("/Users"))["totalResults"] == 1


async def test_deactivation_can_mean_that_people_leave_whom_no_other_source_employs(scim: ScimBench) -> None:
    client = await scim.client(deactivation="leaves", user_types={"Contractor": "external"})
    await scim.hr(client.tenant, "1", 1, login="rob", department="Makers")
    (rob,) = (await client.found('userName eq "rob"'))["Resources"]
    sue = await client.create("sue", **{ENTERPRISE: {"department": "Makers"}})
    guest = await client.create("tom", userType="Contractor", **{ENTERPRISE: {"department": "Makers"}})
    assert "modules" not in guest[SEATS]
    off = {"op": "replace", "path": "active", "value": False}
    assert (await client.patch(f"/Users/{rob['id']}", off))[SEATS]["status"] == "inactive"
    assert (await client.patch(f"/Users/{sue['id']}", off))[SEATS]["status"] == "left"
    leavers = [each["leaver"] for each in await scim.commands(client.tenant) if each.get("modules") == []]
    assert leavers == [False, True]
    on = await client.patch(f"/Users/{sue['id']}", off | {"value": True})
    assert (on["active"], on[SEATS]["status"]) == (True, "active")


# ---------------------------------------------------------------------------------------------------------------------- groups


async def test_members_of_a_group_are_added_and_removed_in_both_spellings_and_in_pages(scim: ScimBench) -> None:
    client = await scim.client()
    ids = [(await client.create(f"m{number}"))["id"] for number in range(6)]
    group = await client.create_group("Makers", *ids[:2])
    path = f"/Groups/{group['id']}"

    async def members() -> set[str]:
        return {each["value"] for each in (await client.get(path)).get("members", ())}

    assert await members() == set(ids[:2])
    await client.patch(path, {"op": "Add", "path": "members", "value": [{"value": each} for each in ids[1:4]]})
    await client.patch(path, {"op": "add", "value": {"members": [{"value": ids[4]}]}})
    assert await members() == set(ids[:5])
    await client.patch(path, {"op": "Remove", "path": "members", "value": [{"value": ids[0]}]})
    await client.patch(path, {"op": "remove", "path": f'members[value eq "{ids[1]}"]'})
    assert await members() == set(ids[2:5])
    await client.patch(path, {"op": "replace", "value": {"id": group["id"], "displayName": "Planners", "members": [{"value": ids[5]}]}})
    assert (await members(), (await client.get(path))["displayName"]) == ({ids[5]}, "Planners")
    shown = await client.get(f"{path}?excludedAttributes=members")
    assert ("members" in shown, shown["displayName"]) == (False, "Planners")
    assert "members" not in (await client.found('displayName eq "planners"', "Groups", excludedAttributes="members"))["Resources"][0]
    assert (await client.found(f'id eq "{group["id"]}" and members eq "{ids[5]}"', "Groups"))["totalResults"] == 1
    assert (await client.found(f'members.value eq "{ids[0]}"', "Groups"))["totalResults"] == 0
    for selected, count in ((f'value eq "{ids[5]}"', 1), (f'value eq "{ids[0]}"', 0), (f'value eq "{ids[0]}" or value eq "{ids[5]}"', 1)):
        assert (await client.found(f"Members[{selected}]", "Groups", excludedAttributes="members"))["totalResults"] == count, selected
    assert (await client.get(f"/Users/{ids[5]}"))["groups"][0]["display"] == "Planners"
    old, other = shown["meta"]["version"], {"op": "replace", "path": "members", "value": [{"value": ids[4]}]}
    assert (await client.call("PATCH", path, {"schemas": [PATCH], "Operations": [other]}, if_match=old)).is_success
    one = {"schemas": [GROUP], "displayName": "Planners", "members": [{"value": ids[5]}]}
    for method, sent in (("PATCH", {"schemas": [PATCH], "Operations": [other]}), ("PUT", one), ("DELETE", None)):
        stale = await client.call(method, path, sent, if_match=old)
        assert stale.status_code == 412, "another member is another version"
    now = (await client.get(path))["meta"]["version"]
    assert (await client.call("PUT", path, one, if_match=now)).is_success
    assert (await client.get(path))["meta"]["version"] != now
    body = {"schemas": [GROUP], "displayName": "All", "members": [{"value": each} for each in ids]}
    assert (await client.call("PUT", path, body)).status_code == 200
    assert await members() == set(ids)
    assert (await client.call("DELETE", f"/Users/{ids[0]}")).status_code == 204
    assert await members() == set(ids[1:])
    await client.patch(path, {"op": "remove", "path": "members"})
    assert await members() == set()
    assert (await client.call("DELETE", path)).status_code == 204
    assert (await client.call("GET", path)).status_code == 404


async def test_a_group_with_fifty_thousand_members_changes_without_reading_them_and_has_at_most_a_hundred_thousand(scim: ScimBench) -> None:
    client = await scim.client()
    group = await client.create_group("Everybody")
    path, fill = f"/Groups/{group['id']}", "SELECT $1, 'okta', $2, 'm' || n FROM generate_series(1, 50000) n"
    async with scim.users.database.unit_of_work(None) as uow:
        await uow.connection.exec_driver_sql(f"INSERT INTO scim_members {fill}", (client.tenant, group["id"]))
        await uow.connection.exec_driver_sql("UPDATE scim_groups SET members = 50000 WHERE tenant_id = $1", (client.tenant,))
        people = "SELECT $1, 'm' || n, 'rest', n, now() FROM generate_series(50001, 50051) n"
        columns = "tenant_id, user_id, source, external_id, created_at"
        await uow.connection.exec_driver_sql(f"INSERT INTO people ({columns}) {people}", (client.tenant,))
    added = [{"value": f"m{number}"} for number in range(49_951, 50_051)]
    with counted_statements(scim.users.database) as statements:
        await client.patch(path, {"op": "add", "path": "members", "value": added})
    of_members = [each for each in statements if "scim_members" in each]
    assert (len(of_members), len(statements) <= 10) == (1, True), "one statement adds them all, and none reads the others"
    rows = await scim.execute("SELECT members FROM scim_groups WHERE tenant_id = $1", client.tenant)
    assert rows[0][0] == 50_050
    assert len((await client.get(path))["members"]) == 50_050
    unknown = [{"value": f"n{number}"} for number in range(49_951)]
    await client.patch(path, {"op": "add", "path": "members", "value": unknown})
    assert (await scim.execute("SELECT count(*) FROM scim_members WHERE tenant_id = $1", client.tenant))[0][0] == 50_050, "nobody has them"
    await scim.execute("UPDATE scim_groups SET members = 100000 WHERE tenant_id = $1", client.tenant)
    more = {"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": [{"value": "m50051"}]}]}
    refused = await client.call("PATCH", path, more)
    assert (refused.status_code, refused.headers["content-type"]) == (413, "application/scim+json")
    assert (await scim.execute("SELECT count(*) FROM scim_members WHERE tenant_id = $1", client.tenant))[0][0] == 50_050


@pytest.mark.parametrize("wanted", ["attributes=members", "attributes=displayName,members.value", "excludedAttributes=meta"])
async def test_a_group_with_fifty_thousand_members_is_read_without_holding_up_the_process(scim: ScimBench, wanted: str) -> None:
    client = await scim.client()
    group = await client.create_group("Everybody")
    await scim.execute(
        "INSERT INTO scim_members (tenant_id, connection, group_id, resource_id) "
        "SELECT $1, 'okta', $2, 'm' || n FROM generate_series(1, 50000) n",
        client.tenant,
        group["id"],
    )
    await scim.execute("UPDATE scim_groups SET members = 50000 WHERE tenant_id = $1", client.tenant)
    path, rename = f"/Groups/{group['id']}", {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "displayName", "value": "All"}]}
    for method, asked, body in (
        ("GET", f"{path}?{wanted}", None),
        ("GET", f"/Groups?{wanted}", None),
        ("POST", "/Groups/.search", {"schemas": [SEARCH]} | {name: value.split(",") for name, value in [wanted.split("=")]}),
        ("PATCH", f"{path}?{wanted}", rename),
        ("PUT", f"{path}?{wanted}", {"schemas": [GROUP], "displayName": "Everybody"}),
    ):
        answer, held_up = await holding_up(client.call(method, asked, body))
        assert answer.status_code == 200, answer.text
        assert held_up < HELD_UP_MAX, f"{method} {asked}: nobody else was answered for {held_up} seconds"
        shown = answer.json()
        shown = shown["Resources"][0] if "Resources" in shown else shown
        is_change_without_members = method in ("PATCH", "PUT") and wanted.startswith("excluded")
        assert (shown["id"], len(shown.get("members", ()))) == (group["id"], 0 if is_change_without_members else 50_000)
        assert ("displayName" in shown, "meta" in shown) == (wanted != "attributes=members", False)


async def test_users_are_listed_with_attributes_and_changed_by_many_operations_without_holding_up_the_process(scim: ScimBench) -> None:
    client = await scim.client()
    for statement in FILL:
        await scim.execute(statement, client.tenant, *([400] if "$2" in statement else []))
    operations = [{"op": "replace", "path": "displayName", "value": f"Name {number}"} for number in range(1000)]
    for method, path, body in (
        ("GET", "/Users?count=200&attributes=userName,emails,name", None),
        ("GET", '/Users?filter=userName sw "u" and meta.version ne "x"', None),
        ("PATCH", "/Users/r1", {"schemas": [PATCH], "Operations": operations}),
    ):
        answer, held_up = await holding_up(client.call(method, path, body))
        assert answer.status_code == 200, answer.text
        assert held_up < HELD_UP_MAX, f"{method} {path}: nobody else was answered for {held_up} seconds"
    assert answer.json()["displayName"] == "Name 999"
    listed = await client.get("/Users?count=3&startIndex=2&attributes=userName,emails.value")
    assert (listed["totalResults"], listed["startIndex"], listed["itemsPerPage"]) == (400, 2, 3)
    assert listed["Resources"][1] == {"schemas": [USER], "id": "r3", "userName": "u3", "emails": [{"value": "u3@acme.example"}]}


async def test_large_requests_of_one_tenant_that_announce_no_size_are_told_to_wait_and_fail_no_others(scim: ScimBench) -> None:
    """Ten PATCHes of 1,000 operations waited for the database until they failed. The size is known when the body is read."""
    client = await scim.client()
    users = [await client.create(f"large{number}") for number in range(10)]
    operations = [{"op": "replace", "path": "displayName", "value": f"Name {number}"} for number in range(1000)]
    content = orjson.dumps({"schemas": [PATCH], "Operations": operations})

    async def in_parts() -> AsyncIterator[bytes]:
        for begin in range(0, len(content), 8192):
            yield content[begin : begin + 8192]

    async def change(user: dict[str, Any]) -> httpx.Response:
        headers = {"authorization": f"Bearer {client.token}", "content-type": "application/scim+json"}
        return await scim.http.patch(f"/scim/v2/Users/{user['id']}", content=in_parts(), headers=headers)

    answers = await asyncio.gather(*map(change, users))
    assert {answer.status_code for answer in answers} == {200, 429}, [answer.text for answer in answers]
    # On a machine that is busy, one that is answered may wait too long for those before it: that one is told to wait for 2 seconds.
    wait = [answer.headers["retry-after"] for answer in answers if answer.status_code == 429]
    assert set(wait) - {"2"} == {"1"}
    assert len(answers) - wait.count("1") >= COSTLY_MAX
    again = [await change(user) for user, answer in zip(users, answers, strict=True) if answer.status_code == 429]
    assert {answer.json()["displayName"] for answer in again} == {"Name 999"}


async def test_a_list_of_groups_with_too_many_members_for_one_answer_says_how_to_ask(scim: ScimBench) -> None:
    client = await scim.client()
    for name in ("Makers", "Planners"):
        await client.create_group(name)
    await scim.execute("UPDATE scim_groups SET members = 125001 WHERE tenant_id = $1", client.tenant)
    refused = await client.call("GET", "/Groups")
    assert (refused.status_code, refused.json()["scimType"]) == (400, "tooMany")
    assert "`excludedAttributes=members`" in refused.json()["detail"]
    for parameters in ("count=1", "excludedAttributes=members", "attributes=displayName"):
        assert (await client.get(f"/Groups?{parameters}"))["totalResults"] == 2


async def test_a_search_that_is_to_be_sorted_is_answered_in_the_usual_order(scim: ScimBench) -> None:
    client = await scim.client()
    names = ["zoe", "ann", "max"]
    for name in names:
        await client.create(name)
    assert (await client.get("/ServiceProviderConfig"))["sort"]["supported"] is False
    for parameters in ("sortBy=userName", "sortBy=userName&sortOrder=descending", "SortBy=unknown&sortOrder=sideways"):
        assert [each["userName"] for each in (await client.get(f"/Users?{parameters}"))["Resources"]] == names
    body = {"schemas": [SEARCH], "sortBy": "userName", "sortOrder": "ascending"}
    found = (await client.call("POST", "/Users/.search", body)).json()
    assert [each["userName"] for each in found["Resources"]] == names


async def test_a_cycle_of_managers_is_refused_by_field(scim: ScimBench) -> None:
    client = await scim.client()
    ann, bob, eve = [await client.create(name) for name in ("ann", "bob", "eve")]

    async def reports_to(user: Any, manager: str) -> httpx.Response:
        operation = {"op": "replace", "path": f"{ENTERPRISE}:manager", "value": manager}
        return await client.call("PATCH", f"/Users/{user['id']}", {"schemas": [PATCH], "Operations": [operation]})

    for user, manager in ((ann, bob), (bob, eve), (eve, {"id": "unknown"})):
        assert (await reports_to(user, manager["id"])).status_code == 200
    for user, manager in ((eve, ann), (eve, eve), (bob, ann)):
        refused = await reports_to(user, manager["id"])
        assert (refused.status_code, refused.json()["scimType"]) == (400, "invalidValue")
        assert "manager: a user who does not report to this user expected" in refused.json()["detail"]


async def test_a_user_of_another_tenant_is_ignored_as_a_member_as_an_unknown_one_is(scim: ScimBench) -> None:
    ours, theirs = await scim.client(), await scim.client()
    ann, eve = await ours.create("ann", displayName="Ann"), await theirs.create("eve", displayName="Eve")
    await scim.hr(theirs.tenant, "1", 1, login="hal", department="Makers")
    hal = (await theirs.found('userName eq "hal"'))["Resources"][0]
    group = await ours.create_group("Makers", ann["id"], eve["id"], hal["id"], "nobody")
    path, added = f"/Groups/{group['id']}", {"op": "add", "path": "members", "value": [{"value": eve["id"]}, {"value": hal["id"]}]}
    await ours.patch(path, added)
    assert [each["value"] for each in (await ours.get(path))["members"]] == [ann["id"]]
    assert await scim.execute("SELECT resource_id FROM scim_members WHERE tenant_id = $1", ours.tenant) == [(ann["id"],)]
    for other in (eve, hal):
        assert (await ours.found(f'members eq "{other["id"]}"', "Groups"))["totalResults"] == 0
        assert "groups" not in await theirs.get(f"/Users/{other['id']}")
        assert (await ours.call("GET", f"/Users/{other['id']}")).status_code == 404
    assert (await theirs.call("GET", path)).status_code == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"op": "replace", "path": "displayName", "value": "Ann\u202egnp.exe"},
        {"op": "replace", "path": "userName", "value": "bob"},
        {"op": "replace", "path": "displayName", "value": 7},
        {"op": "replace", "path": "urn:acme:hr:badge", "value": "7"},
        {"op": "swap", "path": "title", "value": "Boss"},
    ],
)
async def test_a_patch_of_which_one_operation_is_refused_changes_nothing(scim: ScimBench, wrong: dict[str, Any]) -> None:
    """RFC 7644, section 3.5.2: all operations or none, also if one of them blocks the user."""
    client = await scim.client()
    ann, _ = [await client.create(name, displayName=name.title()) for name in ("ann", "bob")]
    operations = [{"op": "replace", "path": "active", "value": False}, {"op": "replace", "path": "title", "value": "Head"}, wrong]
    refused = await client.call("PATCH", f"/Users/{ann['id']}", {"schemas": [PATCH], "Operations": operations})
    assert refused.status_code in (400, 409), refused.text
    shown = await client.get(f"/Users/{ann['id']}")
    assert (shown["active"], shown["displayName"], shown.get("title"), shown["meta"]) == (True, "Ann", None, ann["meta"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"displayName": "Ann\u202egnp.exe"},
        {"userName": "an\u200bn"},
        {"userName": "bob"},
        {"title": "t" * 501},
        {"emails": [{"value": "no address"}]},
        {"displayName": 7},
        {"emails": "ann@acme.example"},
        {"name": ["Ann"]},
        {ENTERPRISE: {"manager": {"value": "{eve}"}}},
    ],
)
async def test_a_put_or_a_bulk_operation_of_which_one_value_is_refused_changes_nothing(scim: ScimBench, wrong: dict[str, Any]) -> None:
    """As a PATCH (RFC 7644, section 3.5.2), also if another value blocks the user."""
    client = await scim.client()
    ann, _, eve = [await client.create(name) for name in ("ann", "bob", "eve")]
    path, known = f"/Users/{ann['id']}", {"schemas": [USER, ENTERPRISE], "userName": "ann", "displayName": "Ann", "title": "Head"}
    assert (await client.call("PUT", path, known)).status_code == 200
    lead = {"op": "replace", "path": f"{ENTERPRISE}:manager", "value": ann["id"]}
    assert (await client.call("PATCH", f"/Users/{eve['id']}", {"schemas": [PATCH], "Operations": [lead]})).status_code == 200
    if ENTERPRISE in wrong:
        wrong = {ENTERPRISE: {"manager": {"value": eve["id"]}}}
    before = await client.get(path)
    assert before["active"] is True
    put = known | {"title": "Boss"} | wrong | {"active": False}
    patch = {
        "schemas": [PATCH],
        "Operations": [{"op": "replace", "path": name, "value": put[name]} for name in ("active", "title", *wrong)],
    }
    refused = await client.call("PUT", path, put)
    assert refused.status_code in (400, 409), refused.text
    operations = [{"method": "PUT", "path": path, "data": put}, {"method": "PATCH", "path": path, "data": patch}]
    allowed = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": "Lead"}]}
    operations.append({"method": "PATCH", "path": f"/Users/{eve['id']}", "data": allowed})
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations}
    answer = await client.call("POST", "/Bulk", body)
    statuses = [each["status"] for each in answer.json()["Operations"]]
    assert (statuses[0], statuses[2]) == (str(refused.status_code), "200")
    assert statuses[1] in ("400", "409")
    assert await client.get(path) == before
    assert (await client.get(f"/Users/{eve['id']}"))["title"] == "Lead"


async def holding_up(call: Awaitable[httpx.Response]) -> tuple[httpx.Response, float]:
    """Return the answer, and the longest time of the processor in which nothing else in this process could be done."""
    answered, longest = asyncio.ensure_future(call), 0.0
    while not answered.done():
        began = time.thread_time()
        await asyncio.sleep(0)
        longest = max(longest, time.thread_time() - began)
    return answered.result(), longest


# ---------------------------------------------------------------------------------------------------------- lists, bulk, refusals


async def test_a_client_pages_through_all_users_while_others_are_added_and_deleted(scim: ScimBench) -> None:
    client = await scim.client()
    kept = [(await client.create(f"kept{number}"))["id"] for number in range(30)]
    gone = [(await client.create(f"gone{number}"))["id"] for number in range(10)]
    kept += [(await client.create(f"late{number}"))["id"] for number in range(30)]
    seen: list[str] = []
    while True:
        page = await client.get(f"/Users?startIndex={len(seen) + 1}&count=10")
        seen += [each["id"] for each in page["Resources"]]
        if len(seen) >= page["totalResults"] or not page["Resources"]:
            break
        if len(seen) == 40:
            for each in gone:
                await client.call("DELETE", f"/Users/{each}")
        await client.create(f"new{len(seen)}")
    assert sorted(set(seen) & set(kept)) == sorted(kept)


PAGED = 10_000


async def test_each_user_who_exists_all_the_time_is_seen_once_by_a_client_that_pages_through_ten_thousand_while_others_write(
    scim: ScimBench,
) -> None:
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    await rest.put(f"/v1/tenants/{tenant}/guard/scim/okta", {"people": 1000})
    for statement in FILL:
        async with scim.users.database.unit_of_work(None) as uow:
            await uow.connection.exec_driver_sql(statement, (tenant, PAGED))
    seen: list[str] = []
    gone: list[str] = []
    page: dict[str, Any] = {"totalResults": 1}
    while len(seen) < page["totalResults"]:
        with counted_statements(scim.users.database) as statements:
            page = await client.get(f"/Users?startIndex={len(seen) + 1}&count=200")
        assert len(statements) <= 9 + 2, statements  # two of them, each half minute, note that the connection was used
        seen += [each["id"] for each in page["Resources"]]
        if len(seen) % 1000 == 0 and len(seen) < PAGED:
            assert (await client.call("DELETE", f"/Users/{seen[-1]}")).status_code == 204
            later = f"r{PAGED - len(gone) * 2 - 1}"
            assert (await client.call("DELETE", f"/Users/{later}")).status_code == 204
            await client.create(f"new{len(seen)}")
            gone += [seen[-1], later]
    always = {f"r{number}" if number % 2 else f"fill-{number}" for number in range(1, PAGED + 1)} - set(gone)
    assert len(seen) == len(set(seen)), "nobody twice"
    assert always <= set(seen)


TEXT_FILTERS = [
    ('userName co "NN"', {"ann", "dan.nn"}),
    ('userName sw "an"', {"ann"}),
    ('userName ew "nn"', {"ann", "dan.nn"}),
    ('displayName co "bergst"', {"ann", "hr"}),
    ('displayName sw "berg"', {"ann"}),
    ('displayName ew "STRÖM"', {"ann"}),
    ('displayName eq "bergström"', {"ann"}),
    ('displayName co "engineer"', set()),
    ('displayName co "bergst" and active eq true', {"ann", "hr"}),
    ('displayName co "bergst" and userName co "r"', {"hr"}),
    ('displayName co "bergst" or userName co "dan"', {"ann", "hr", "dan.nn"}),
    ('not (displayName co "bergst")', {"dan.nn", "lea"}),
    ('displayName co ""', {"ann", "hr"}),
    ("active eq true", {"ann", "dan.nn", "hr", "lea"}),
    ("active ne true", set()),
    ("emails.value eq null", {"ann", "dan.nn", "lea"}),
    ("emails ne null", {"hr"}),
    ("title eq null", {"lea"}),
    ('title lt "C"', {"dan.nn"}),
    ('name ge ""', set()),
    ('not (name co "givenName")', {"ann", "dan.nn", "hr", "lea"}),
]


async def test_filters_by_text_find_users_of_the_connection_and_of_other_sources(scim: ScimBench, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await scim.client()
    await client.create("ann", active=True, displayName="Bergstro\u0308m", title="Engineer")
    await client.create("dan.nn", title="bergst", name={"givenName": "Dan"})
    await scim.hr(client.tenant, "8", 1, login="lea")
    await scim.hr(client.tenant, "7", 1, login="hr", name="Eva Bergström-Holm", email="eva@bergst.example", job_title="Engineer")
    for limit in (1000, 0):
        monkeypatch.setattr(scim_users, "CANDIDATES_MAX", limit)
        for scim_filter, expected in TEXT_FILTERS:
            found = await client.found(scim_filter)
            assert ({each["userName"] for each in found["Resources"]}, found["totalResults"]) == (expected, len(expected)), scim_filter


async def test_bulk_creates_a_group_of_new_users_and_tells_what_failed(scim: ScimBench) -> None:
    client = await scim.client()
    await client.create("taken")
    operations: list[Any] = [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"schemas": [USER], "userName": "una"}},
        {"method": "POST", "path": "/Users", "bulkId": "b", "data": {"schemas": [USER], "userName": "taken"}},
        {
            "method": "POST",
            "path": "/Groups",
            "bulkId": "g",
            "data": {"schemas": [GROUP], "displayName": "G", "members": [{"value": "bulkId:a"}]},
        },
    ]
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations}
    answer = await client.call("POST", "/Bulk", body)
    assert [each["status"] for each in answer.json()["Operations"]] == ["201", "409", "201"]
    (una,) = (await client.found('userName eq "una"'))["Resources"]
    assert una["groups"][0]["display"] == "G"


async def test_what_is_wrong_is_refused_as_scim_says(scim: ScimBench) -> None:
    client = await scim.client()
    made = await client.create("vic")
    path, big = f"/Users/{made['id']}", "x" * 1000

    def patch(**operation: Any) -> Any:
        return {"schemas": [PATCH], "Operations": [operation]}

    cases: list[tuple[str, str, Any, int, str | None]] = [
        ("GET", "/Users?filter=userName", None, 400, "invalidFilter"),
        ("GET", "/Users?filter=userName eq", None, 400, "invalidFilter"),
        ("GET", '/Users?filter=nothing eq "x"', None, 400, "invalidFilter"),
        ("GET", "/Users?filter=(((", None, 400, "invalidFilter"),
        ("GET", '/Users?filter=active gt "x"', None, 400, "invalidFilter"),
        ("GET", "/Users?filter=userName sw 1", None, 400, "invalidFilter"),
        ("GET", "/Users?filter=userName co true", None, 400, "invalidFilter"),
        ("GET", r'/Users?filter=userName eq "\ud800"', None, 400, "invalidFilter"),
        ("GET", r'/Users?filter=not (title pr or displayName co "a\u0000")', None, 400, "invalidFilter"),
        ("GET", r'/Users?filter=emails[value eq "\u0000"]', None, 400, "invalidFilter"),
        ("GET", r'/Groups?filter=displayName eq "\u0000"', None, 400, "invalidFilter"),
        ("GET", '/Users?filter=meta.created lt "0001-01-01T00:00:00%2B23:59"', None, 400, "invalidFilter"),
        ("GET", '/Users?filter=name[familyName eq "x"]', None, 400, "invalidFilter"),
        ("GET", '/Users?filter=addresses eq "x"', None, 400, "invalidFilter"),
        ("GET", "/Users?startIndex=99999999999999999999", None, 400, "invalidValue"),
        ("GET", "/Groups?startIndex=99999999999999999999", None, 400, "invalidValue"),
        ("GET", "/Users?count=x", None, 400, "invalidValue"),
        ("GET", '/Groups?filter=meta.created gt "2020-01-01T00:00:00Z"', None, 400, "invalidFilter"),
        ("GET", '/Users?filter=userName eq "%00"', None, 400, None),
        ("GET", "/Users?filter=" + " or ".join(["title pr"] * 500), None, 400, "invalidFilter"),
        ("POST", "/Users/.search", {"attributes": ["userName"] * 101}, 400, "invalidValue"),
        ("GET", f"{path}?attributes={'title,' * 100}", None, 400, "invalidValue"),
        ("PATCH", path, {"schemas": [PATCH], "Operations": [{"op": "remove", "path": "title"}] * 1001}, 413, None),
        ("POST", "/Bulk", {"Operations": [{"method": "PATCH", "data": {"Operations": [{}] * 1001}}]}, 413, None),
        ("GET", "/Me", None, 501, None),
        ("GET", "/Nothing", None, 404, None),
        ("DELETE", "/Users", None, 405, None),
        ("POST", "/Users", {"schemas": [USER]}, 400, "invalidValue"),
        ("POST", "/Users", {"schemas": [USER], "userName": " "}, 400, "invalidValue"),
        ("POST", "/Users", {"schemas": [USER], "userName": big}, 400, "invalidValue"),
        ("POST", "/Users", {"schemas": [USER], "userName": "w", "emails": "a@b.example"}, 400, None),
        ("POST", "/Users", {"schemas": [USER], "userName": "a\0b"}, 400, None),
        ("POST", "/Users", {"schemas": [USER], "userName": "w", "emails": [{"value": "w@acme"}]}, 400, "invalidValue"),
        ("POST", "/Users", {"schemas": [USER], "userName": "w", "name": {"givenName": big[:400], "familyName": big[:400]}}, 400, None),
        ("PATCH", path, patch(op="replace", path='emails[type eq "work"].value', value="vic"), 400, "invalidValue"),
        ("POST", "/Users", [], 400, None),
        ("POST", "/Users", None, 400, None),
        ("PATCH", path, patch(op="replace", path="nothing", value=1), 400, "invalidPath"),
        ("PATCH", path, patch(op="add", path=r'emails[type eq "\u0000"].value', value="v@acme.example"), 400, "invalidFilter"),
        ("PATCH", path, patch(op="replace", path="emails[", value=1), 400, "invalidPath"),
        ("PATCH", path, patch(op="replace", path="active", value="maybe"), 400, "invalidValue"),
        ("PATCH", path, patch(op="replace", path="id", value="1"), 400, "mutability"),
        ("PATCH", path, patch(op="remove"), 400, "noTarget"),
        ("PATCH", path, patch(op="swap", path="active", value=True), 400, None),
        ("PATCH", path, patch(op="remove", path="userName"), 400, None),
        ("PATCH", path, {"schemas": [PATCH], "Operations": []}, 400, None),
        ("POST", "/Groups", {"schemas": [GROUP], "displayName": "g", "members": [{"value": 1}]}, 400, "invalidValue"),
        ("POST", "/Users", {"userName": "x" * 10_000_000}, 413, None),
        ("POST", "/Groups", {"displayName": "x" * 10_000_000}, 413, None),
        ("POST", "/Bulk", {"x": "x" * 10_000_000}, 413, None),
    ]
    for method, url, body, status, scim_type in cases:
        answer = await client.call(method, url, body)
        shown = f"{method} {url} {str(body)[:100]}: {answer.text[:300]}"
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/scim+json"), shown
        assert answer.json()["status"] == str(status)
        assert scim_type is None or answer.json()["scimType"] == scim_type, shown
        assert "\n" not in answer.json()["detail"], f"{shown}: the reader is no developer of this service"
    for attribute in ("name.givenName", 'emails[type eq "work"].value', "userName"):
        wrong = (await client.call("PATCH", path, patch(op="replace", path=attribute, value={"a": 1}))).json()
        assert wrong["detail"] == f"{attribute}: expected a text"
    assert (await client.call("POST", "/Users", {}, content_type="text/plain")).status_code == 415
    stale = await client.call("PUT", path, made | {"displayName": "V"}, if_match='W/"0.0"')
    assert stale.status_code == 412
    assert (await client.call("GET", path, None, if_none_match=made["meta"]["version"])).status_code == 304


async def test_changes_that_wait_too_long_for_others_of_their_tenant_are_refused_as_too_many(scim: ScimBench) -> None:
    """Some wait for the lock of the logins, and those beyond the tenant's share of the connections for one of these."""
    client, other = await scim.client(), await scim.client()
    ann, rest = await client.create("ann"), await scim.rest()
    users = scim.users.database
    block = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": False}]}
    bulk: dict[str, Any] = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]}
    bulk |= {"Operations": [{"method": "PATCH", "path": f"/Users/{ann['id']}", "data": block}]}
    person = {"external_id": "7", "name": "Eve", "login": "eve"}
    async with users.own_connection("test") as held, held.transaction():
        await held.execute("SELECT pg_advisory_xact_lock($1)", lock_number(people_store.CLAIMS, client.tenant))
        waiting = asyncio.gather(
            rest.call("POST", f"/v1/tenants/{client.tenant}/people", person),
            client.call("PATCH", f"/Users/{ann['id']}", block),
            *(client.call("POST", "/Bulk", bulk) for _ in range(3)),
        )
        await other.create("eve")
        answers = await waiting
    assert len(answers) > users._share
    for answer in answers:
        assert (answer.status_code, answer.headers.get("retry-after")) == (429, "2"), answer.text
        assert "Other requests are still changing what this one would read or change, so nothing was done." in answer.json()["detail"]
    assert answers[0].json()["type"] == "urn:seatpool:problem:too-many-requests"
    assert (await client.call("POST", "/Bulk", bulk)).json()["Operations"][0]["status"] == "200"


async def until_it_waits(scim: ScimBench) -> None:
    async def waits() -> bool:
        found = await scim.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(found[0][0])

    await wait_until(waits, what="the request that waits for a lock")


async def test_a_bulk_request_locks_no_person_before_the_logins(scim: ScimBench) -> None:
    """A change of a group locks people, and one of a user the logins: a change by REST locks first the logins and then people."""
    client = await scim.client()
    ann = await client.create("ann")
    group = await client.create_group("Makers")
    await scim.execute("UPDATE scim_groups SET role = 'administrator' WHERE tenant_id = $1 RETURNING 1", client.tenant)
    add = {"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": [{"value": ann["id"]}]}]}
    name = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": "Head"}]}
    bulk: dict[str, Any] = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]}
    paths = [(f"/Groups/{group['id']}", add), (f"/Users/{ann['id']}", name)]
    bulk |= {"Operations": [{"method": "PATCH", "path": path, "data": data} for path, data in paths]}
    async with scim.users.database.own_connection("test") as held, held.transaction():
        await held.execute("SELECT set_config('seatpool.tenant', $1, true)", client.tenant)
        await held.execute("SELECT pg_advisory_xact_lock($1)", lock_number(people_store.CLAIMS, client.tenant))
        asked = asyncio.ensure_future(client.call("POST", "/Bulk", bulk))
        await until_it_waits(scim)
        await held.execute("SELECT 1 FROM people WHERE tenant_id = $1 FOR UPDATE NOWAIT", client.tenant)
        await held.execute("SELECT 1 FROM scim_groups WHERE tenant_id = $1 FOR UPDATE NOWAIT", client.tenant)
    assert [each["status"] for each in (await asked).json()["Operations"]] == ["200", "200"]


async def test_a_user_who_is_deleted_leaves_no_group_before_it_is_locked(scim: ScimBench) -> None:
    """A change of a group locks first the group and then its members."""
    client = await scim.client()
    ann = await client.create("ann")
    group = await client.create_group("Makers", ann["id"])
    async with scim.users.database.own_connection("test") as held, held.transaction():
        await held.execute("SELECT set_config('seatpool.tenant', $1, true)", client.tenant)
        await held.execute("SELECT 1 FROM scim_groups WHERE tenant_id = $1 FOR UPDATE", client.tenant)
        asked = asyncio.ensure_future(client.call("DELETE", f"/Users/{ann['id']}"))
        await until_it_waits(scim)
        await held.execute("SELECT 1 FROM scim_members WHERE tenant_id = $1 FOR UPDATE NOWAIT", client.tenant)
    assert (await asked).status_code == 204
    assert not (await client.get(f"/Groups/{group['id']}"))["members"]


async def test_a_request_of_scim_is_compared_with_few_other_routes(scim: ScimBench) -> None:
    scope = {"type": "http", "method": "POST", "path": "/scim/v2/Users", "headers": [], "root_path": ""}
    fitting = [number for number, route in enumerate(scim.app.router.routes) if route.matches(dict(scope))[0] is Match.FULL]
    assert fitting[0] < 10, "each costs up to 20 µs, and there are 33 routers"


async def test_every_route_of_scim_asks_for_the_token_of_a_connection_before_it_reads_the_body(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    routes: list[Any] = list(make_router().routes)
    assert len(routes) > 15
    operator = rest.token
    for route in routes:
        for method in route.methods:
            path = route.path.replace("{resource_id}", "1").replace("{rest:path}", "x")
            for authorization in ("", "Bearer x.y.z", "Basic YTpi", f"Bearer {operator}", f"Bearer {client.token}x"):
                answer = await scim.http.request(method, path, content=b"{" * 10, headers={"authorization": authorization})
                assert answer.status_code == 401, f"{method} {path} with {authorization[:12]}"
                assert answer.headers["content-type"] == "application/scim+json"
    for right in ("users:manage", "account:read"):
        refused = await scim.http.get("/v1/tenants", headers={"authorization": f"Bearer {client.token}"})
        assert refused.status_code == 401, f"a SCIM token is none of REST, whatever the right {right}"


async def test_a_connection_has_two_tokens_at_a_time_and_a_revoked_or_expired_one_is_refused_at_once(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    first = await scim.connect(rest, tenant)
    path = f"/v1/tenants/{tenant}/scim-connections/okta"
    second = await rest.post(f"{path}/tokens", {"expires_in_days": 1})
    assert (await rest.call("POST", f"{path}/tokens", {})).json()["type"] == "urn:seatpool:problem:too-many-tokens"
    stored = await scim.execute("SELECT token_hash FROM scim_tokens WHERE tenant_id = $1", tenant)
    assert not {row[0] for row in stored} & {first.token, second["secret"]}
    shown = await rest.get(path)
    assert [token["token"] for token in shown["tokens"]][1] == second["token"]
    assert "secret" not in str(shown)
    changed = Client(scim.http, second["secret"], tenant)
    assert (await first.get("/Users"))["totalResults"] == (await changed.get("/Users"))["totalResults"] == 0
    assert (await rest.call("DELETE", f"{path}/tokens/{shown['tokens'][0]['token']}")).status_code == 204
    assert (await first.call("GET", "/Users")).status_code == 401
    another_process = Callers(scim.users.database, scim.clock)
    assert await another_process.of_token(second["secret"]) == Caller(tenant, ScimConnection("okta", version=1))
    await scim.execute("UPDATE scim_connections SET version = 7 WHERE tenant_id = $1 RETURNING 1", tenant)
    scim.clock.seconds += KNOWN_SECONDS - 1
    assert await another_process.of_token(second["secret"]) == Caller(tenant, ScimConnection("okta", version=1))
    scim.clock.seconds += 1
    assert await another_process.of_token(second["secret"]) == Caller(tenant, ScimConnection("okta", version=7)), "within ten seconds"
    scim.clock.at = NOON + timedelta(days=1)
    assert (await changed.call("GET", "/Users")).status_code == 401
    scim.clock.at = NOON
    other, others_rest = await scim.open_tenant()
    stranger = await scim.connect(others_rest, other)
    made = await changed.create("wes")
    assert (await stranger.call("GET", f"/Users/{made['id']}")).status_code == 404


async def test_a_connection_that_would_end_many_people_within_an_hour_is_stopped_until_their_number_is_confirmed(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    people = [(await client.create(f"p{number}"))["id"] for number in range(12)]

    async def block(user: str) -> int:
        operation = {"op": "replace", "path": "active", "value": False}
        answer = await client.call("PATCH", f"/Users/{user}", {"schemas": [PATCH], "Operations": [operation]})
        assert answer.status_code == 200 or answer.headers["retry-after"] == "300"
        return answer.status_code

    async def told() -> list[Any]:
        statement = (
            "SELECT convert_from(value, 'UTF8') FROM outbox WHERE tenant = $1 AND convert_from(headers, 'UTF8') LIKE '%changes_stopped%'"
        )
        return await scim.messages(tenant, statement)

    assert [await block(user) for user in people] == [200] * 5 + [503] * 7
    assert (await client.call("DELETE", f"/Users/{people[11]}")).status_code == 503
    assert await block(people[11]) == 503
    assert (await client.get(f"/Users/{people[5]}"))[SEATS]["status"] == "active", "nobody was changed"
    assert await client.create("new"), "others go on"
    assert [(each["source"], each["ended"], each["limit"]) for each in await told()] == [("scim/okta", 5, 5)]
    path = f"/v1/tenants/{tenant}/scim-connections/okta"
    assert (await rest.get(path))["would_end"] == 7
    (stopped,) = (await rest.get(f"/v1/tenants/{tenant}/stopped-scim-requests"))["items"]
    logins = {(await rest.get(f"/v1/tenants/{tenant}/people/{user}"))["login"] for user in stopped["people"]}
    assert (stopped["connection"], stopped["would_end"], logins) == ("okta", 7, {f"p{number}" for number in range(5, 12)})
    for hours, waiting in ((-25, 0), (25, 7)):
        await scim.execute(f"UPDATE scim_stopped SET at = at + interval '{hours} hours' WHERE tenant_id = $1", tenant)
        assert (await rest.get(path))["would_end"] == waiting, "a client that repeats nothing for a day has given up"
    assert (await rest.call("POST", f"{path}/confirm", {"confirm": 6})).json()["would_end"] == 7
    assert (await rest.call("POST", f"{path}/confirm", {"confirm": 7})).status_code == 204
    assert (await rest.get(f"/v1/tenants/{tenant}/stopped-scim-requests"))["items"] == []
    assert [await block(user) for user in people[5:]] == [200] * 7
    scim.clock.at = NOON + timedelta(hours=2)
    more = [(await client.create(f"q{number}"))["id"] for number in range(6)]
    assert [await block(user) for user in more] == [200] * 5 + [503]
    scim.clock.at = NOON + timedelta(hours=4)
    assert await block(more[5]) == 200
    scim.clock.at = NOON
    assert (await rest.get(path))["would_end"] == 0, "the request was let through after all"
    nothing = await rest.call("POST", f"{path}/confirm", {"confirm": 1})
    assert (nothing.status_code, "There is nothing to confirm." in nothing.json()["detail"]) == (404, True)


async def test_M12_a_preview_of_a_group_counts_everybody_beside_the_licences_and_not_only_its_members(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    await rest.put(f"/v1/tenants/{tenant}/profiles/timers", {"name": "timers", "modules": ["time"]})
    for login in ("ada", "bea"):
        await client.create(login, **{ENTERPRISE: {"department": "Makers"}})
    await scim.hr(tenant, "1", 1, login="yan")
    (yan,) = (await client.found('userName eq "yan"'))["Resources"]
    timers = await client.create_group("Timers", yan["id"])
    path = f"/v1/tenants/{tenant}/scim-connections/okta/groups/{timers['id']}?dry_run=true"
    seen = await rest.put(path, {"profile": "timers"})
    assert (seen["examined"], seen["complete"], seen["changed"]) == (1, True, 1)
    assert {each["module"]: (each["before"], each["after"]) for each in seen["modules"]} == {"time": (2, 3)}


@pytest.mark.parametrize("add_first", [True, False])
async def test_M12_a_member_who_is_swapped_for_another_gives_up_the_modules_first(scim: ScimBench, add_first: bool) -> None:
    """Otherwise a full pool would expand for a moment, or flag the new member."""
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    await rest.put(f"/v1/tenants/{tenant}/profiles/timers", {"name": "timers", "modules": ["time"]})
    old, new = await client.create("ada"), await client.create("bea")
    timers = await client.create_group("Timers", old["id"])
    await rest.put(f"/v1/tenants/{tenant}/scim-connections/okta/groups/{timers['id']}", {"profile": "timers"})
    ((former, _),) = given = await scim.needs(tenant)
    assert given == [(former, ["time"])]
    add = {"op": "add", "path": "members", "value": [{"value": new["id"]}]}
    remove = {"op": "remove", "path": f'members[value eq "{old["id"]}"]'}
    await client.patch(f"/Groups/{timers['id']}", *((add, remove) if add_first else (remove, add)))
    _, first, (user, modules) = await scim.needs(tenant)
    assert first == (former, [])
    assert (user != former, modules) == (True, ["time"])


async def test_the_members_of_a_mapped_group_get_its_profile_and_its_role(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    await rest.put(f"/v1/tenants/{tenant}/profiles/timers", {"name": "timers", "modules": ["time"]})
    await rest.put(f"/v1/tenants/{tenant}/profiles/writers", {"name": "writers", "modules": ["documents"]})
    user = await client.create("zoe", **{ENTERPRISE: {"department": "Makers"}})
    await scim.hr(tenant, "1", 1, login="yan")
    (yan,) = (await client.found('userName eq "yan"'))["Resources"]
    timers, writers = await client.create_group("Timers", user["id"], yan["id"]), await client.create_group("Writers")
    groups = f"/v1/tenants/{tenant}/scim-connections/okta/groups"
    refused = await rest.call("PUT", f"{groups}/{timers['id']}", {"role": "owner"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "body.role")
    assert (await rest.call("PUT", f"{groups}/{timers['id']}", {"profile": "nothing"})).status_code == 422
    seen = await rest.put(f"{groups}/{timers['id']}?dry_run=true", {"profile": "timers", "role": "reader"})
    assert (seen["examined"], seen["complete"], seen["changed"]) == (2, True, 2)
    assert {each["module"]: (each["before"], each["after"]) for each in seen["modules"]} == {"documents": (1, 0), "time": (1, 2)}
    assert (await rest.get(f"{groups}/{timers['id']}"))["profile"] is None, "a look changes nothing"
    await rest.put(f"{groups}/{timers['id']}", {"profile": "timers", "role": "reader"})
    await rest.put(f"{groups}/{writers['id']}", {"profile": "writers"})
    listed = (await rest.get(groups))["items"]
    assert {(each["name"], each["members"], each["profile"], each["role"]) for each in listed} == {
        ("Timers", 2, "timers", "reader"),
        ("Writers", 0, "writers", None),
    }

    async def modules(of: Any) -> list[str]:
        return [each["value"] for each in (await client.get(f"/Users/{of['id']}"))[SEATS].get("modules", ())]

    async def groups_of(login: str) -> list[str]:
        found = (await rest.get(f"/v1/tenants/{tenant}/people?text={login}"))["items"]
        shown: list[str] = (await rest.get(f"/v1/tenants/{tenant}/people/{found[0]['user']}/roles"))["group_roles"]
        return shown

    assert (await modules(user), await modules(yan)) == (["time"], ["time"])
    assert (await groups_of("zoe"), await groups_of("yan")) == (["reader"], ["reader"])
    members = {"op": "add", "path": "members", "value": [{"value": user["id"]}, {"value": yan["id"]}]}
    await client.patch(f"/Groups/{writers['id']}", members)
    assert (await modules(user), await modules(yan)) == (["documents", "time"], ["documents", "time"])
    await client.patch(f"/Users/{yan['id']}", {"op": "add", "path": "title", "value": "Boss"})
    assert await modules(yan) == ["documents", "time"], "the first change of whom HR reports keeps the groups"
    await client.patch(f"/Groups/{timers['id']}", {"op": "remove", "path": f'members[value eq "{yan["id"]}"]'})
    assert (await modules(yan), await groups_of("yan")) == (["documents"], [])
    assert (await client.call("DELETE", f"/Groups/{timers['id']}")).status_code == 204
    assert (await modules(user), await groups_of("zoe")) == (["documents"], [])
    own = (await rest.post(f"/v1/tenants/{tenant}/roles", {"name": "Auditor", "rights": ["log:read"]}))["role"]
    await rest.put(f"{groups}/{(await client.create_group('Empty'))['id']}", {"role": own})
    in_use = await rest.call("DELETE", f"/v1/tenants/{tenant}/roles/{own}", if_match='"1"')
    assert (in_use.status_code, in_use.json().get("groups")) == (409, 1), "who joins the group later gets the role"
    await rest.put(f"{groups}/{writers['id']}", {})
    assert (await modules(user), await modules(yan)) == (["documents", "time"], []), "the department decides again"


async def test_only_a_statement_about_active_lets_a_blocked_person_in_again(scim: ScimBench) -> None:
    client = await scim.client()
    user = await client.create("ann", **{ENTERPRISE: {"department": "Makers"}})
    path = f"/Users/{user['id']}"
    block = {"op": "replace", "path": "active", "value": False}
    for silent in ({}, {"active": None}):
        await client.patch(path, block)
        asked = len(await scim.needs(client.tenant))
        put = await client.call("PUT", path, {"schemas": [USER], "userName": "ann", "title": "Engineer"} | silent)
        assert (put.status_code, put.json()["active"], put.json()[SEATS]["status"]) == (200, False, "inactive")
        assert len(await scim.needs(client.tenant)) == asked
    removed = await client.patch(path, {"op": "remove", "path": "active"})
    titled = await client.patch(path, {"op": "replace", "path": "title", "value": "Boss"})
    assert (removed[SEATS]["status"], titled[SEATS]["status"]) == ("inactive", "inactive")
    assert [each["id"] for each in (await client.found("active eq false"))["Resources"]] == [user["id"]]
    assert (await client.patch(path, block | {"value": True}))[SEATS]["status"] == "active"
    assert (await client.patch(path, block | {"value": None}))[SEATS]["status"] == "active", "null states nothing"
    unstated = await client.create("bob", active=None, **{ENTERPRISE: {"department": "Makers"}})
    assert (unstated["active"], unstated[SEATS]["status"]) == (True, "active"), "null is unassigned (RFC 7643, section 2.5)"


async def test_an_address_that_no_identity_system_states_does_not_sign_in_with_the_first_role_of_a_group(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    ann, bob = await client.create("ann"), await client.create("bob", emails=[{"value": "bob@acme.example", "primary": True}])
    members = [ann["id"], bob["id"]]
    for number, login in enumerate(("ann", "bob", "cleo", "dora", "emil", "fay", "gus")):
        await scim.hr(tenant, f"{number}", 1, login=login, email="mallory@evil.example", department="Makers")
        if login not in ("ann", "bob"):
            members.append((await client.found(f'userName eq "{login}"'))["Resources"][0]["id"])
    *_, dora, emil, fay, gus = members
    blocked = await client.patch(f"/Users/{dora}", {"op": "replace", "path": "active", "value": False})
    assert blocked["emails"][0]["value"] == "mallory@evil.example", "the connection goes on to see what HR states"
    await client.patch(f"/Users/{dora}", {"op": "Replace", "value": {"active": True, f"{ENTERPRISE}:employeeNumber": "4"}})
    await client.patch(f"/Users/{emil}", {"op": "add", "path": "title", "value": "Smith"})
    await client.patch(f"/Users/{emil}", {"op": "add", "path": 'emails[type eq "work"].value', "value": "emil@acme.example"})
    await client.patch(f"/Users/{fay}", {"op": "replace", "value": {"emails": [{"value": "mallory@evil.example", "type": "work"}]}})
    whole = {"schemas": [USER], "userName": "gus", "emails": [{"value": "mallory@evil.example"}]}
    assert (await client.call("PUT", f"/Users/{gus}", whole)).status_code == 200
    group = await client.create_group("Readers", *members)
    await rest.put(f"/v1/tenants/{tenant}/scim-connections/okta/groups/{group['id']}", {"role": "reader"})

    async def signs_in(login: str) -> tuple[str, str]:
        (found,) = (await rest.get(f"/v1/tenants/{tenant}/people?text={login}"))["items"]
        shown = (await rest.get(f"/v1/tenants/{tenant}/people/{found['user']}/roles"))["sign_in"]
        return shown["login"], shown["email"]

    assert await signs_in("ann") == ("ann", ""), "SCIM states no address of Ann"
    assert await signs_in("bob") == ("bob", "bob@acme.example")
    assert await signs_in("cleo") == ("cleo", ""), "SCIM has found Cleo, and stated nothing"
    assert await signs_in("dora") == ("dora", ""), "SCIM has stated something else"
    assert await signs_in("emil") == ("emil", "emil@acme.example")
    for login in ("fay", "gus"):
        shown = await signs_in(login)
        assert shown == (login, "mallory@evil.example"), "SCIM has stated the same address"
    (dora_seen,) = (await rest.get(f"/v1/tenants/{tenant}/people?text=dora"))["items"]
    values = (await rest.get(f"/v1/tenants/{tenant}/people/{dora_seen['user']}"))["values"]
    assert {name: value["hides"] for name, value in values.items() if value["hides"]} == {}, "SCIM states no copy"


async def test_a_connection_that_refuses_users_without_a_licence_waits_for_the_decision(
    scim: ScimBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await scim.client(on_full="refuse")
    body = {"schemas": [USER, ENTERPRISE], "userName": "abe", "active": True, ENTERPRISE: {"department": "Makers"}}

    async def create(*states: str) -> httpx.Response:
        """Create the user while seats decides with these states."""
        sending = asyncio.create_task(client.call("POST", "/Users", body))
        if states:
            await wait_until(lambda: has_more(len(known)), what="the request for seats")
            last = (await scim.commands(client.tenant))[-1]
            await scim.decide(client.tenant, last["user"], last["revision"], documents=states[0], time=states[0])
        return await sending

    async def has_more(count: int) -> bool:
        return len(await scim.needs(client.tenant)) > count

    known: list[Any] = []
    for state, status in (("refused", 403), ("waiting", 403), (None, 503)):
        monkeypatch.setattr(scim.seats, "state", state)
        answer = await create()
        assert (answer.status_code, await scim.needs(client.tenant)) == (status, []), "nothing was created"
        assert state != "refused" or "documents (pool_full), time (pool_full)" in answer.json()["detail"]
    monkeypatch.setattr(scim.seats, "state", "active")
    assert (await client.get("/Users"))["totalResults"] == 0
    lost = await create("refused")  # somebody else took the licence between the question and the command
    assert (lost.status_code, (await client.get("/Users"))["totalResults"]) == (403, 0)
    known = await scim.needs(client.tenant)
    assert [modules for _, modules in known] == [["documents", "time"], []]
    monkeypatch.setattr(on_full, "WAIT_SECONDS", 0)
    late = await create()
    assert (late.status_code, "retry-after" in late.headers) == (503, True)
    last = (await scim.commands(client.tenant))[-1]
    await scim.decide(client.tenant, last["user"], last["revision"], documents="flagged", time="active")
    again = await create()
    assert (again.status_code, again.json()[SEATS]["status"]) == (201, "over_limit")
    assert len(await scim.needs(client.tenant)) == 3, "the repetition continued the same attempt"
    assert (await create()).status_code == 409
    assert [(await client.call("POST", path, {})).status_code for path in ("/Bulk", "/Bulk/", "/Bulk.scim")] == [501] * 3


async def test_nobody_is_reactivated_without_a_licence_by_a_connection_that_refuses_it(
    scim: ScimBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await scim.client(on_full="refuse")
    made = await client.create("bea", active=False, **{ENTERPRISE: {"department": "Makers"}})
    on = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "active", "value": True}]}
    monkeypatch.setattr(scim.seats, "state", "refused")
    assert (await client.call("PATCH", f"/Users/{made['id']}", on)).status_code == 403
    assert (await client.get(f"/Users/{made['id']}"))["active"] is False
    assert await scim.needs(client.tenant) == []


@pytest.mark.parametrize("case", ["HR without logins", "HR with short logins", "SCIM first"])
async def test_SCIM_and_HR_about_the_same_people_are_one_person_each(scim: ScimBench, case: str) -> None:
    people = 12
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)

    async def by_hr() -> None:
        login = {"HR with short logins": "p{}", "HR without logins": ""}.get(case, "p{}@acme.example")
        for number in range(people):
            values = {"login": login.format(number), "email": f"p{number}@acme.example", "department": "Makers"}
            await scim.hr(tenant, f"{number}", 1, **{name: value for name, value in values.items() if value})

    async def by_scim() -> None:
        for number in range(people):
            email = f"p{number}@acme.example"
            found = (await client.found(f'userName eq "{email}"'))["Resources"]
            more = {"emails": [{"value": email, "primary": True}], ENTERPRISE: {"employeeNumber": f"{number}", "department": "Makers"}}
            if found:
                put = await client.call("PUT", f"/Users/{found[0]['id']}", {"schemas": [USER, ENTERPRISE], "userName": email} | more)
                assert put.status_code == 200
            else:
                await client.create(email, **more)

    for source in (by_scim, by_hr) if case == "SCIM first" else (by_hr, by_scim):
        await source()
    asked = {user for user, modules in await scim.needs(tenant) if modules}
    listed = await client.get("/Users?count=200")
    assert (len(asked), listed["totalResults"]) == (people, people)
    assert {each["userName"] for each in listed["Resources"]} == {f"p{number}@acme.example" for number in range(people)}
    found = (await rest.get(f"/v1/tenants/{tenant}/people?status=all&limit=200"))["items"]
    assert (len(found), {each["status"] for each in found}) == (people, {"active"})


async def test_a_possible_duplicate_is_none_when_its_identity_system_takes_over_the_same_person(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    for number in range(8):
        await client.create(f"contractor{number}")
    for number in range(8):
        await scim.hr(tenant, f"{number}", 1, login=f"p{number}", department="Makers")

    async def held() -> list[str]:
        found = (await rest.get(f"/v1/tenants/{tenant}/people?status=conflict"))["items"]
        assert {each["conflict"]["reason"] for each in found} <= {"possible_duplicate"}
        return [each["login"] for each in found]

    assert await held() == ["p5", "p6", "p7"]
    asked = len([user for user, modules in await scim.needs(tenant) if modules])
    (found,) = (await client.found('userName eq "p6"'))["Resources"]
    put = await client.call("PUT", f"/Users/{found['id']}", {"schemas": [USER], "userName": "p6"})
    assert (put.status_code, put.json()[SEATS]["status"]) == (200, "active")
    await scim.hr(tenant, "7", 2, login="p7", department="Makers", name="Pia")
    assert await held() == ["p5", "p7"], "only HR knows them"
    assert len([user for user, modules in await scim.needs(tenant) if modules]) == asked + 1


async def test_a_login_that_is_given_to_a_new_hire_moves_no_resource_to_another_person(scim: ScimBench) -> None:
    client = await scim.client()
    old = await client.create("kai", externalId="k1", **{ENTERPRISE: {"department": "Makers"}})
    early = await client.call("POST", "/Users", {"schemas": [USER], "userName": "kai", "externalId": "k2"})
    assert early.status_code == 409, "a day before the holder left"
    await client.patch(f"/Users/{old['id']}", {"op": "replace", "value": {"userName": "kai.old", "active": False}})
    new = await client.create("kai", externalId="k2", **{ENTERPRISE: {"department": "Makers"}})
    assert new["id"] != old["id"]
    users = [user for user, modules in await scim.needs(client.tenant) if modules]
    assert len(users) == len(set(users)) == 2, "another person, who inherits nothing"
    assert (await client.get(f"/Users/{old['id']}"))["userName"] == "kai.old"


async def test_what_groups_give_follows_a_resource_that_is_linked_to_another_person_and_taken_out_again(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    await rest.put(f"/v1/tenants/{tenant}/profiles/timers", {"name": "timers", "modules": ["time"]})
    await scim.hr(tenant, "1", 1, login="liv")
    other = await client.create("liv.other")
    group = await client.create_group("Timers", other["id"])
    await rest.put(f"/v1/tenants/{tenant}/scim-connections/okta/groups/{group['id']}", {"profile": "timers"})
    found = {each["login"]: each["user"] for each in (await rest.get(f"/v1/tenants/{tenant}/people"))["items"]}
    people = f"/v1/tenants/{tenant}/people"
    linked = await rest.post(f"{people}/{found['liv.other']}/link", {"to": found["liv"]})
    assert [each["module"] for each in linked["modules"]] == ["time"]
    assert (await client.get(f"/Users/{other['id']}"))["userName"] == "liv.other", "the id of the resource stays"
    apart = await rest.post(f"{people}/{found['liv']}/separate", {"source": "scim/okta", "external_id": other["id"]})
    assert [each["module"] for each in apart["modules"]] == ["time"]
    assert (await rest.get(f"{people}/{found['liv']}"))["profile"] is None


async def test_what_groups_give_follows_a_resource_whose_conflict_ends(scim: ScimBench) -> None:
    """Two people share the address by which the resource is found; one of them leaves."""
    tenant, rest = await scim.open_tenant()
    client, people = await scim.connect(rest, tenant), f"/v1/tenants/{tenant}/people"
    await rest.put(f"/v1/tenants/{tenant}/profiles/timers", {"name": "timers", "modules": ["time"]})
    for who in ("1", "2"):
        await scim.hr(tenant, who, 1, login=f"hr{who}", email="office@acme.example")
    made = await client.create("kim", emails=[{"value": "office@acme.example", "primary": True}])
    group = await client.create_group("Timers", made["id"])
    await rest.put(f"/v1/tenants/{tenant}/scim-connections/okta/groups/{group['id']}", {"profile": "timers"})
    found = {each["external_id"]: each for each in (await rest.get(people))["items"]}
    assert found[made["id"]]["conflict"]["reason"] == "several_people"
    await scim.hr(tenant, "2", 2, "2026-01-31", login="hr2", email="office@acme.example")
    kim = await rest.get(f"{people}/{found['1']['user']}")
    assert (len(kim["timelines"]), kim["profile"], [each["module"] for each in kim["modules"]]) == (2, "timers", ["time"])


async def test_what_a_group_gives_is_not_overwritten_by_somebody_who_has_read_it_before(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    group = await (await scim.connect(rest, tenant)).create_group("Readers")
    path = f"/v1/tenants/{tenant}/scim-connections/okta/groups/{group['id']}"
    tag = (await rest.call("GET", path)).headers["etag"]
    changed = await rest.call("PUT", path, {"profile": "makers"}, if_match=tag)
    assert (changed.status_code, changed.headers["etag"] != tag) == (200, True)
    late = await rest.call("PUT", path, {"role": "reader"}, if_match=tag)
    assert (late.status_code, late.json()["current"]) == (412, changed.headers["etag"])
    assert (await rest.get(path))["profile"] == "makers"
    assert (await rest.call("PUT", path, {"role": "reader"})).status_code == 200, "without If-Match"


async def test_a_connection_that_is_removed_ends_its_people_and_groups_and_may_come_back_under_its_name(
    scim: ScimBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, rest = await scim.open_tenant()

    async def still_known(_: Callers, token: str) -> Caller:
        return Caller(tenant, ScimConnection("okta"))

    client, people = await scim.connect(rest, tenant), f"/v1/tenants/{tenant}/people"
    await rest.put(f"/v1/tenants/{tenant}/profiles/timers", {"name": "timers", "modules": ["time"]})
    for number in range(3):
        await scim.hr(tenant, str(number), 1, login=f"hr{number}", department="Makers")
    (first, second, _) = (await client.get("/Users"))["Resources"]
    block = {"op": "replace", "path": "active", "value": False}
    await client.patch(f"/Users/{first['id']}", block)
    await client.patch(f"/Users/{second['id']}", {"op": "replace", "path": "title", "value": "Maker"})
    own = [await client.create(f"scim{number}") for number in range(6)]
    group = await client.create_group("Timers", second["id"], own[0]["id"])
    path = f"/v1/tenants/{tenant}/scim-connections/okta"
    await rest.put(f"{path}/groups/{group['id']}", {"profile": "timers"})
    expected = {"people": 8, "groups": 1, "would_end": 6, "would_begin": 1, "limit": 5, "needs_confirmation": True}
    dry = await rest.call("DELETE", f"{path}?dry_run=true")
    assert (dry.status_code, dry.json()) == (
        200,
        expected | {"licences": {"decided": True, "expansions": [], "cost": None, **NOTHING_BACK}},
    )
    for wrong in ("", "?confirm=5"):
        assert (await rest.call("DELETE", f"{path}{wrong}")).json()["type"].endswith("import-needs-confirmation")
    assert (await client.call("GET", "/Users")).status_code == 200
    removed = await rest.call("DELETE", f"{path}?confirm=6")
    assert (removed.status_code, removed.json()) == (202, expected | {"licences": None})
    assert (await client.call("GET", "/Users")).status_code == 401
    for call in (client.call("POST", "/Users", {"schemas": [USER], "userName": "late"}), client.call("DELETE", f"/Users/{own[1]['id']}")):
        monkeypatch.setattr(Callers, "of_token", still_known)  # as in another process
        assert (await call).status_code == 401
    monkeypatch.undo()
    assert (await rest.call("PUT", path, {})).json()["type"].endswith("connection-being-removed")
    job = BulkReevaluation(scim.users.database, scim.users.tenants, scim.users.alarm)
    while await job.run_chunk(tenant):
        pass
    progress = await rest.get(removed.headers["location"])
    assert (progress["kind"], progress["status"], progress["done"], progress["total"]) == ("scim_removed", "finished", 8, 8)
    found = {each["login"]: each for each in (await rest.get(f"{people}?status=all"))["items"]}
    assert {login: each["status"] for login, each in found.items()} == {f"hr{n}": "active" for n in range(3)} | {
        f"scim{n}": "left" for n in range(6)
    }
    hr1 = await rest.get(f"{people}/{found['hr1']['user']}")
    assert (hr1["profile"], hr1["job_title"], len(hr1["timelines"])) == ("makers", "", 2)
    again = await scim.connect(rest, tenant)
    listed = (await again.get("/Users"))["Resources"]
    assert {each["userName"]: each["id"] for each in listed}["hr0"] == f"{first['id']}.1", "no id is given twice"
    assert (await again.call("GET", f"/Users/{own[0]['id']}")).status_code == 404
    assert (await again.create("scim0"))["id"] != own[0]["id"]
    assert (await rest.call("DELETE", f"/v1/tenants/{tenant}/scim-connections/absent")).status_code == 404


@pytest.mark.parametrize("whole", [True, False], ids=["connection", "users"])
async def test_M12_the_end_of_users_who_are_in_groups_requests_only_what_holds_after_it(
    scim: ScimBench, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """Otherwise a pool expands for modules that somebody requires for a moment: by the department without the group, or by the group."""
    tenant, rest = await scim.open_tenant()
    client = await scim.connect(rest, tenant)
    await rest.put(f"/v1/tenants/{tenant}/profiles/planners-only", {"name": "planners only", "modules": ["planning", "time"]})
    await scim.hr(tenant, "1", 1, login="blocked", department="Makers")
    (blocked,) = (await client.get("/Users"))["Resources"]
    await client.patch(f"/Users/{blocked['id']}", {"op": "replace", "path": "active", "value": False})
    leaver = await client.create("leaver", **{ENTERPRISE: {"department": "Makers"}})
    group = await client.create_group("Planners", blocked["id"], leaver["id"])
    path = f"/v1/tenants/{tenant}/scim-connections/okta"
    await rest.put(f"{path}/groups/{group['id']}", {"profile": "planners-only"})
    people = {each["login"]: each for each in (await rest.get(f"/v1/tenants/{tenant}/people?status=all"))["items"]}
    assert {login: each["profile"] for login, each in people.items()} == {"blocked": "planners-only", "leaver": "planners-only"}
    before, foreseen = len(await scim.needs(tenant)), expanding_by_one_each(scim, monkeypatch)
    if whole:
        seen = (await rest.call("DELETE", f"{path}?dry_run=true")).json()["licences"]
        assert seen == {"decided": True, "expansions": [{"module": "time", "licences": 1}], "cost": None, **NOTHING_BACK}
        monkeypatch.setattr(remove_connection, "COMMANDS_MAX", 1)
        many = (await rest.call("DELETE", f"{path}?dry_run=true")).json()
        shown = many["people"], many["licences"]["decided"], many["licences"]["expansions"]
        assert shown == (2, False, []), "a look holds no lock while it counts so many"
        monkeypatch.undo()
        assert len(await scim.needs(tenant)) == before, "a look requests nothing"
        assert (await rest.get(path))["people"] == 2, "a look changes nothing"
        assert (await rest.call("DELETE", path)).status_code == 202
        job = BulkReevaluation(scim.users.database, scim.users.tenants, scim.users.alarm)
        while await job.run_chunk(tenant):
            pass
    else:
        for each in (blocked, leaver):
            assert (await client.call("DELETE", f"/Users/{each['id']}")).status_code == 204
    asked = {(user, tuple(sorted(modules))) for user, modules in (await scim.needs(tenant))[before:]}
    assert asked == {(people["blocked"]["user"], ("documents", "time")), (people["leaver"]["user"], ())}
    if whole:
        assert {(each.user, tuple(sorted(each.modules))) for each in foreseen} == asked
    people = {each["login"]: each for each in (await rest.get(f"/v1/tenants/{tenant}/people?status=all"))["items"]}
    assert {login: (each["status"], each["profile"]) for login, each in people.items()} == {
        "blocked": ("active", "makers"),
        "leaver": ("left", "makers"),
    }


async def test_a_tenant_has_so_many_names_of_connections_and_no_more(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    base = f"/v1/tenants/{tenant}/scim-connections"
    for number in range(CONNECTIONS_MAX):
        await rest.put(f"{base}/c{number}", {})
    await rest.put(f"{base}/c7", {"on_full": "refuse"})

    async def one_more() -> tuple[str, int]:
        problem = (await rest.call("PUT", f"{base}/another", {})).json()
        return problem["type"], problem["connections_max"]

    refused = ("urn:seatpool:problem:too-many-connections", CONNECTIONS_MAX)
    assert await one_more() == refused
    assert (await rest.call("GET", f"{base}/another")).status_code == 404
    assert (await rest.call("DELETE", f"{base}/c7")).status_code == 202
    job = BulkReevaluation(scim.users.database, scim.users.tenants, scim.users.alarm)
    while await job.run_chunk(tenant):
        pass
    assert await one_more() == refused, "a removed connection leaves its source"
    await rest.put(f"{base}/c7", {})


async def test_parallel_requests_add_no_connection_too_many(scim: ScimBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 3)
    tenant, rest = await scim.open_tenant()
    base = f"/v1/tenants/{tenant}/scim-connections"
    answers = await asyncio.gather(*(rest.call("PUT", f"{base}/c{number}", {}) for number in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [409] * 7
    assert len((await rest.get(base))["items"]) == 3


async def copy_of(old: Client, new: Client, name: str) -> tuple[str, str]:
    """Create a user in one connection, and change it as another one does that finds it: return the ids of both."""
    address = {"value": f"{name}@acme.example", "type": "work", "primary": True}
    known = await old.create(name, displayName="Ann", emails=[address], **{ENTERPRISE: {"department": "Makers"}})
    (found,) = (await new.found(f'userName eq "{name}"'))["Resources"]
    changed = await new.patch(f"/Users/{found['id']}", {"op": "add", "path": "externalId", "value": name})
    return known["id"], changed["id"]


async def test_who_was_moved_to_another_connection_keeps_login_and_seats_when_the_first_one_deletes_the_user(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    okta, entra = await scim.connect(rest, tenant), await scim.connect(rest, tenant, "entra")
    first, second = await copy_of(okta, entra, "ann")
    await okta.patch(f"/Users/{first}", {"op": "replace", "path": "displayName", "value": "Ann Ash"})
    asked = await scim.needs(tenant)
    assert (await okta.call("DELETE", f"/Users/{first}")).status_code == 204
    (ann,) = (await rest.get(f"/v1/tenants/{tenant}/people?status=all"))["items"]
    values = (ann["status"], ann["login"], ann["email"], ann["name"], ann["department"])
    assert values == ("active", "ann", "ann@acme.example", "Ann Ash", "Makers")
    assert await scim.needs(tenant) == asked, "no seat is given up in between"
    shown = await entra.get(f"/Users/{second}")
    assert (shown["userName"], shown["displayName"], shown["externalId"]) == ("ann", "Ann Ash", "ann")
    (again,) = (await okta.found('userName eq "ann"'))["Resources"]
    assert again["id"] != first, "the deleted id is not given again"
    assert (await entra.call("DELETE", f"/Users/{second}")).status_code == 204
    (ann,) = (await rest.get(f"/v1/tenants/{tenant}/people?status=all"))["items"]
    assert (ann["status"], (await scim.needs(tenant))[-1][1]) == ("left", [])


async def test_who_was_moved_to_another_connection_keeps_login_and_seats_when_the_first_one_is_removed(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    okta, entra = await scim.connect(rest, tenant), await scim.connect(rest, tenant, "entra")
    for number in range(7):
        await copy_of(okta, entra, f"ann{number}")
    await okta.create("bob")
    path = f"/v1/tenants/{tenant}/scim-connections/okta"
    removed = (await rest.call("DELETE", path)).json()
    assert (removed["people"], removed["would_end"], removed["needs_confirmation"]) == (8, 1, False)
    job = BulkReevaluation(scim.users.database, scim.users.tenants, scim.users.alarm)
    while await job.run_chunk(tenant):
        pass
    found = {each["login"]: each["status"] for each in (await rest.get(f"/v1/tenants/{tenant}/people?status=all"))["items"]}
    assert found == {f"ann{number}": "active" for number in range(7)} | {"bob": "left"}


async def test_who_was_moved_to_another_connection_keeps_login_and_seats_when_the_first_one_says_that_the_person_leaves(
    scim: ScimBench,
) -> None:
    tenant, rest = await scim.open_tenant()
    okta, entra = await scim.connect(rest, tenant, deactivation="leaves"), await scim.connect(rest, tenant, "entra")
    first, second = await copy_of(okta, entra, "ann")
    await okta.patch(f"/Users/{first}", {"op": "replace", "path": "active", "value": False})
    assert (await entra.get(f"/Users/{second}"))[SEATS]["status"] == "active"
    (ann,) = (await rest.get(f"/v1/tenants/{tenant}/people?status=all"))["items"]
    assert (ann["login"], ann["department"]) == ("ann", "Makers")


async def test_who_was_moved_to_another_connection_keeps_login_and_seats_when_the_first_one_is_taken_out_of_the_person(
    scim: ScimBench,
) -> None:
    tenant, rest = await scim.open_tenant()
    okta, entra = await scim.connect(rest, tenant), await scim.connect(rest, tenant, "entra")
    first, second = await copy_of(okta, entra, "ann")
    (ann,) = (await rest.get(f"/v1/tenants/{tenant}/people"))["items"]
    asked = await scim.needs(tenant)
    path = f"/v1/tenants/{tenant}/people/{ann['user']}"
    other = await rest.post(f"{path}/separate", {"source": "scim/okta", "external_id": first})
    stays = await rest.get(path)
    values = (stays["status"], stays["login"], stays["email"], stays["name"], stays["department"])
    assert values == ("active", "ann", "ann@acme.example", "Ann", "Makers")
    assert await scim.needs(tenant) == asked, "no seat is given up"
    assert (other["conflict"]["reason"], other["conflict"]["people"]) == ("login_in_use", [ann["user"]]), "both have the login now"
    shown = await entra.get(f"/Users/{second}")
    assert (shown["userName"], shown["displayName"], shown[ENTERPRISE]["department"]) == ("ann", "Ann", "Makers")
    await okta.patch(f"/Users/{first}", {"op": "replace", "value": {"userName": "bob", "displayName": "Bob"}})
    other = await rest.get(f"/v1/tenants/{tenant}/people/{other['user']}")
    assert (other["login"], other["name"], other["conflict"]) == ("bob", "Bob", None)
    assert (await okta.call("DELETE", f"/Users/{first}")).status_code == 204
    stays = await rest.get(path)
    assert (stays["status"], stays["login"], stays["name"]) == ("active", "ann", "Ann")


async def test_values_that_other_sources_state_first_stay_when_a_connection_with_other_values_ends(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    okta, entra, google = [await scim.connect(rest, tenant, name) for name in ("okta", "entra", "google")]
    await scim.hr(tenant, "1", 1, login="ann", name="Ann")
    await okta.create("bob", displayName="Bob")
    own = {}
    for name in ("ann", "bob"):
        (found,) = (await google.found(f'userName eq "{name}"'))["Resources"]
        own[name] = found["id"]
        await google.patch(
            f"/Users/{found['id']}", {"op": "replace", "value": {"userName": f"{name}.g", "displayName": f"{name} of google"}}
        )
        (found,) = (await entra.found(f'userName eq "{name}"'))["Resources"]
        await entra.patch(f"/Users/{found['id']}", {"op": "add", "path": "externalId", "value": name})
    before = {each["externalId"]: each for each in (await entra.get("/Users"))["Resources"]}
    for name in ("ann", "bob"):
        assert (await google.call("DELETE", f"/Users/{own[name]}")).status_code == 204
    after = {each["externalId"]: each for each in (await entra.get("/Users"))["Resources"]}
    assert {name: (each["userName"], each["displayName"]) for name, each in after.items()} == {"ann": ("ann", "Ann"), "bob": ("bob", "Bob")}
    assert [each["meta"]["lastModified"] for each in after.values()] == [each["meta"]["lastModified"] for each in before.values()]
    (bob,) = (await okta.found('userName eq "bob"'))["Resources"]
    assert (await okta.call("DELETE", f"/Users/{bob['id']}")).status_code == 204
    found = (await rest.get(f"/v1/tenants/{tenant}/people?status=all"))["items"]
    assert {(each["login"], each["name"], each["status"]) for each in found} == {("ann", "Ann", "active"), ("bob", "Bob", "active")}


async def test_values_copied_from_two_users_of_a_connection_who_are_one_person_are_kept_when_it_is_removed(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    okta, entra = await scim.connect(rest, tenant), await scim.connect(rest, tenant, "entra")
    path = f"/v1/tenants/{tenant}/people"
    for name, more in (("ann", {}), ("ann.ash", {"title": "Head of Sales"})):
        await okta.create(name, **more)
    users = {each["login"]: each["user"] for each in (await rest.get(path))["items"]}
    await rest.post(f"{path}/{users['ann.ash']}/link", {"to": users["ann"]})
    (found,) = (await entra.get("/Users"))["Resources"]
    await entra.patch(f"/Users/{found['id']}", {"op": "add", "path": "externalId", "value": "ann"})
    await rest.call("DELETE", f"/v1/tenants/{tenant}/scim-connections/okta")
    job = BulkReevaluation(scim.users.database, scim.users.tenants, scim.users.alarm)
    while await job.run_chunk(tenant):
        pass
    (ann,) = (await rest.get(f"{path}?status=all"))["items"]
    assert (ann["login"], ann["job_title"], ann["status"]) == (found["userName"], "Head of Sales", "active")


async def test_the_preview_of_a_removal_takes_as_many_statements_for_many_people_who_were_moved_as_for_few(
    scim: ScimBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remove_connection, "COMMANDS_MAX", 0)  # of so many people seats is not asked
    tenant, rest = await scim.open_tenant()
    okta, entra = await scim.connect(rest, tenant), await scim.connect(rest, tenant, "entra")
    numbers = []
    for people in (range(2), range(2, 12)):
        for number in people:
            await copy_of(okta, entra, f"ann{number}")
        with counted_statements(scim.users.database) as found:
            preview = await rest.call("DELETE", f"/v1/tenants/{tenant}/scim-connections/okta?dry_run=true")
        assert (preview.json()["people"], preview.json()["would_end"]) == (people.stop, 0)
        numbers.append(len(found))
    assert numbers[0] == numbers[1]


async def test_who_is_taken_out_of_an_HR_entry_keeps_login_and_seats_but_no_address_that_only_HR_has_stated(scim: ScimBench) -> None:
    """No identity system has stated the address, so it must not count for the sign-in of somebody who gets a role by a group."""
    tenant, rest = await scim.open_tenant()
    okta = await scim.connect(rest, tenant)
    await scim.hr(tenant, "1", 1, login="ann", email="ann@acme.example", name="Ann", job_title="Maker", department="Makers")
    (found,) = (await okta.get("/Users"))["Resources"]
    await okta.patch(f"/Users/{found['id']}", {"op": "add", "path": "externalId", "value": "1"})
    (ann,) = (await rest.get(f"/v1/tenants/{tenant}/people"))["items"]
    asked = await scim.needs(tenant)
    path = f"/v1/tenants/{tenant}/people/{ann['user']}"
    other = await rest.post(f"{path}/separate", {"source": "hr/test", "external_id": "1"})
    stays = await rest.get(path)
    values = (stays["status"], stays["login"], stays["name"], stays["job_title"], stays["department"], stays["email"])
    assert values == ("active", "ann", "Ann", "Maker", "Makers", "")
    assert await scim.needs(tenant) == asked, "no seat is given up"
    assert (other["conflict"]["reason"], other["conflict"]["people"]) == ("login_in_use", [ann["user"]]), "both have the login now"
    shown = await okta.get(f"/Users/{found['id']}")
    assert (shown["userName"], shown["displayName"], shown[SEATS]["status"]) == ("ann", "Ann", "active")
    await scim.hr(tenant, "1", 2, login="bob", email="bob@acme.example")
    other = await rest.get(f"/v1/tenants/{tenant}/people/{other['user']}")
    assert (other["login"], other["email"], other["conflict"]) == ("bob", "bob@acme.example", None)


async def test_what_an_HR_system_states_is_no_statement_of_a_connection_when_another_one_ends(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    okta, entra = await scim.connect(rest, tenant), await scim.connect(rest, tenant, "entra")
    await scim.hr(tenant, "1", 1, login="ann", email="ann@acme.example", department="Makers")
    (found,) = (await okta.get("/Users"))["Resources"]
    for client in (okta, entra):
        await client.patch(f"/Users/{found['id']}", {"op": "add", "path": "externalId", "value": "1"})
    assert (await okta.call("DELETE", f"/Users/{found['id']}")).status_code == 204
    await scim.hr(tenant, "1", 2, login="ann", department="Makers")
    (ann,) = (await rest.get(f"/v1/tenants/{tenant}/people?status=all"))["items"]
    assert (ann["status"], ann["login"], ann["email"]) == ("active", "ann", "")


@pytest.mark.parametrize("together", [True, False], ids=["read together", "read apart"])
async def test_the_first_two_HR_reports_about_somebody_whom_SCIM_knows_lead_to_the_same_read_together_or_apart(
    scim: ScimBench, together: bool
) -> None:
    """The first one, that the person works here, is matched, and the second one, that the person has left, is about that person."""
    tenant, rest = await scim.open_tenant()
    await (await scim.connect(rest, tenant)).create("ann", **{ENTERPRISE: {"department": "Makers"}})
    messages = []
    for version, ends_on in ((1, None), (2, "2026-02-01")):
        values = {"login": "ann", "department": "Makers"}
        employment = [{"starts_on": "2020-01-01", "ends_on": ends_on}]
        body = {"external_id": "1", "version": version, "employment": employment, "attributes": [{"since": "2020-01-01"} | values]}
        report = hr_v1.PersonReported.model_validate_json(orjson.dumps(body))
        envelope = Envelope(id=ids.new_id(), source="hr/test", type=type_of(hr_v1.PersonReported), time=NOON, tenant=tenant)
        messages.append((envelope, report))
    for read in [messages] if together else [[each] for each in messages]:
        async with scim.users.database.unit_of_work(tenant) as uow:
            await held_statements.receive(await scim.users.tenants.for_write(tenant, uow), uow, read)
    async with scim.users.database.unit_of_work(tenant) as uow:
        found = await scim.users.tenants.for_write(tenant, uow)
        while held := (await held_store.lock(uow.connection, tenant, ["hr/test"])).get("hr/test"):
            await (held_statements.release if held.status == RELEASING else held_statements.evaluate)(found, uow, held)
    people = (await rest.get(f"/v1/tenants/{tenant}/people?status=all"))["items"]
    reasons = [(each["conflict"] or {}).get("reason") for each in people]
    shown = [(each["login"], each["status"], reason, len(each["timelines"])) for each, reason in zip(people, reasons, strict=True)]
    assert shown == [("ann", "left", None, 2)]
    assert len({user for user, modules in await scim.needs(tenant) if modules}) == 1, "never a second seat"


async def test_a_connection_is_removed_while_a_request_of_it_that_has_begun_waits_for_the_logins(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    await scim.connect(rest, tenant)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))"
    async with scim.users.database.unit_of_work(tenant) as uow:  # as of a PUT, PATCH or DELETE
        assert await scim_connections.is_there(uow.connection, tenant, "okta")
        number = (await uow.connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        removal = asyncio.create_task(rest.call("DELETE", f"/v1/tenants/{tenant}/scim-connections/okta"))

        async def is_waited_for() -> bool:
            return bool((await execute(scim.users.database, waits, number))[0][0])

        await wait_until(is_waited_for, what="the removal to wait for the request")
        await uow.lock(people_store.CLAIMS, tenant)
    assert (await removal).status_code == 202, "neither waits for a lock of the other"


async def test_no_id_is_given_twice_after_a_resource_was_taken_out_of_its_person_or_the_person_erased(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    client, people = await scim.connect(rest, tenant), f"/v1/tenants/{tenant}/people"
    await rest.put(f"/v1/tenants/{tenant}/profiles/timers", {"name": "timers", "modules": ["time"]})
    await scim.hr(tenant, "1", 1, login="ann")
    (ann,) = (await client.get("/Users"))["Resources"]
    first = ann["id"]
    await client.patch(f"/Users/{first}", {"op": "replace", "value": {"userName": "other", "title": "Maker"}})
    group = await client.create_group("Timers", first)
    await rest.put(f"/v1/tenants/{tenant}/scim-connections/okta/groups/{group['id']}", {"profile": "timers"})
    taken_out = await rest.post(f"{people}/{first}/separate", {"source": "scim/okta", "external_id": first})
    assert (await rest.get(f"{people}/{first}"))["profile"] is None, "the group has the resource, which is about somebody else"
    assert (await rest.get(f"{people}/{taken_out['user']}"))["profile"] == "timers"

    async def listed() -> dict[str, str]:
        return {each["id"]: each["userName"] for each in (await client.get("/Users"))["Resources"]}

    assert await listed() == {f"{first}.1": "ann", first: "other"}
    (found,) = (await client.found('userName eq "ann"'))["Resources"]
    assert (found["id"], (await client.get(f"/Users/{first}"))["userName"]) == (f"{first}.1", "other")
    assert (await client.found(f'id eq "{first}.1"'))["totalResults"] == 1
    member = {"op": "add", "path": "members", "value": [{"value": f"{first}.1"}]}
    await client.patch(f"/Groups/{group['id']}", member)
    assert (await rest.get(f"{people}/{first}"))["profile"] == "timers", "a member without a resource, whose id has a number"
    await client.patch(f"/Groups/{group['id']}", member | {"op": "remove"})
    assert (await rest.get(f"{people}/{first}"))["profile"] is None
    block = {"op": "replace", "path": "active", "value": False}
    await client.patch(f"/Users/{first}", block)
    assert (await rest.get(f"{people}/{first}"))["status"] == "active"
    assert (await client.call("DELETE", f"/Users/{first}")).status_code == 204
    assert await listed() == {f"{first}.1": "ann"}
    assert (await client.call("GET", f"/Users/{first}")).status_code == 404
    await client.patch(f"/Users/{first}.1", block)
    assert (await rest.get(f"{people}/{first}"))["status"] == "inactive"
    await rest.post(f"{people}/{first}/separate", {"source": "scim/okta", "external_id": f"{first}.1"})
    assert f"{first}.2" in await listed()
    await scim.hr(tenant, "1", 2, "2026-01-31", login="ann")
    assert f"{first}.2" not in await listed()
    await rest.post(f"{people}/{first}/erase", {})
    await scim.hr(tenant, "1", 3, login="ann")
    assert f"{first}.2" in await listed(), "hired again"


async def test_the_administrators_are_reminded_thirty_and_seven_days_before_a_token_ends(scim: ScimBench) -> None:
    tenant, rest = await scim.open_tenant()
    await scim.connect(rest, tenant)
    job = ScimTokens(scim.users.database, scim.users.alarm, scim.clock)

    async def reminded() -> list[int]:
        """Return the reminders so far, after two looks of the job."""
        await job.look()
        await job.look()
        statement = (
            "SELECT convert_from(value, 'UTF8') FROM outbox WHERE tenant = $1 AND convert_from(headers, 'UTF8') LIKE '%token_ending%'"
        )
        return sorted((each["days"] for each in await scim.messages(tenant, statement)), reverse=True)

    ends = NOON + timedelta(days=365)
    found = []
    for before in (timedelta(days=31), timedelta(days=30), timedelta(days=8), timedelta(days=7), timedelta(days=1), -timedelta(days=1)):
        scim.clock.at = ends - before
        found.append(await reminded())
    scim.clock.at = NOON
    assert found == [[], [30], [30], [30, 7], [30, 7], [30, 7]]


async def test_a_person_whose_login_another_resource_still_has_as_user_name_is_changed_after_that_resource(scim: ScimBench) -> None:
    """HR renames somebody and gives the login to a new hire before the identity provider knows: the first change was an error 500."""
    client = await scim.client()
    await scim.hr(client.tenant, "1", 1, login="ann", department="Makers")
    (ann,) = (await client.found('userName eq "ann"'))["Resources"]
    path, title = f"/Users/{ann['id']}", {"op": "replace", "path": "title", "value": "Maker"}
    await client.patch(path, title)
    await scim.hr(client.tenant, "1", 2, login="ann.old", department="Makers")
    await scim.hr(client.tenant, "2", 1, login="ANN", department="Makers")
    hired = next(each["id"] for each in (await client.get("/Users"))["Resources"] if each["id"] != ann["id"])
    body = {"schemas": [PATCH], "Operations": [title]}
    for method, sent in (("PATCH", body), ("PUT", {"schemas": [USER], "userName": "ann2"}), ("DELETE", None)):
        refused = await client.call(method, f"/Users/{hired}", sent)
        assert (refused.status_code, refused.json()["scimType"]) == (409, "uniqueness"), method
        assert ann["id"] in refused.json()["detail"]
    await client.patch(path, {"op": "replace", "path": "userName", "value": "ann.old"})
    assert (await client.patch(f"/Users/{hired}", title))["title"] == "Maker"
