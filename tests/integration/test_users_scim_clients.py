"""SCIM as identity providers use it: the requests of their public test suites, on the real application of users, with PostgreSQL.

Sources, of which only the order and the shape of the requests are used: the guides of Okta "Test your SCIM API" and "Test your Okta
integration" (the suites SPEC Test and CRUD Test) and its SCIM 2.0 reference; the guide of Microsoft to a SCIM endpoint for Entra, and the
overview of the tests in AzureAD/SCIMReferenceCode.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.scim import ENTERPRISE, GROUP, PATCH, USER, Client, ScimBench, scim
from tests.support.statements import counted_statements

__all__ = ["scim"]

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
JSON = {"content_type": "application/scim+json; charset=utf-8", "accept": "application/scim+json"}


async def ask(client: Client, method: str, path: str, expected: int, body: Any = None) -> dict[str, Any]:
    """Send a request as Okta sends it, and return the answer."""
    response = await client.call(method, path, body, **JSON)
    assert response.status_code == expected, f"{method} {path}: {response.status_code} {response.text}"
    return response.json() if response.content else {}


async def patch(client: Client, path: str, *operations: Mapping[str, Any], name: str = "Operations", expected: int = 200) -> dict[str, Any]:
    return await ask(client, "PATCH", path, expected, {"schemas": [PATCH], name: list(operations)})


def okta_user(name: str, **more: Any) -> dict[str, Any]:
    given, family = name.split(".")
    return {
        "schemas": [USER],
        "userName": f"{name}@acme.example",
        "name": {"givenName": given, "familyName": family},
        "emails": [{"primary": True, "value": f"{name}@acme.example", "type": "work"}],
        "displayName": f"{given} {family}",
        "locale": "en-US",
        "externalId": f"00u-{name}",
        "groups": [],
        "password": "1mz050nq",
        "active": True,
    } | more


async def test_okta_spec_test(scim: ScimBench) -> None:
    client = await scim.client()
    await ask(client, "POST", "/Users", 201, okta_user("first.user"))
    page = await ask(client, "GET", "/Users?count=1&startIndex=1", 200)
    assert (page["schemas"], page["itemsPerPage"], page["startIndex"], page["totalResults"]) == ([LIST], 1, 1, 1)
    (first,) = page["Resources"]
    assert all((first["id"], first["name"]["familyName"], first["name"]["givenName"], first["userName"], first["emails"][0]["value"]))
    assert first["active"] is True
    assert (await ask(client, "GET", f"/Users/{first['id']}", 200))["id"] == first["id"]
    nobody = await ask(client, "GET", '/Users?filter=userName eq "nobody@atko.example"', 200)
    assert (nobody["schemas"], nobody["totalResults"]) == ([LIST], 0)
    unknown = await ask(client, "GET", "/Users/00919288221112222", 404)
    assert (unknown["schemas"], unknown["status"], bool(unknown["detail"])) == ([ERROR], "404", True)
    made = await ask(client, "POST", "/Users", 201, okta_user("random.runscope"))
    assert (made["active"], made["schemas"][0], made["userName"]) == (True, USER, "random.runscope@acme.example")
    assert (made["name"]["familyName"], made["name"]["givenName"]) == ("runscope", "random")
    again = await ask(client, "GET", f"/Users/{made['id']}", 200)
    assert (again["userName"], again["name"]) == (made["userName"], made["name"])
    await ask(client, "POST", "/Users", 409, okta_user("random.runscope"))
    assert (await ask(client, "GET", "/Groups?count=100&startIndex=1", 200))["schemas"] == [LIST]


async def test_okta_crud_test(scim: ScimBench) -> None:
    client, by_name = await scim.client(), '/Users?filter=userName eq "ada.lint@acme.example"&startIndex=1&count=100'
    assert (await ask(client, "GET", by_name, 200))["totalResults"] == 0
    made = await ask(client, "POST", "/Users", 201, okta_user("ada.lint"))
    path = f"/Users/{made['id']}"
    assert [each["id"] for each in (await ask(client, "GET", by_name, 200))["Resources"]] == [made["id"]]
    shown = await ask(client, "GET", path, 200)
    changed = shown | {"name": {"givenName": "Adelaide", "familyName": "lint"}, "displayName": "Adelaide lint"}
    assert (await ask(client, "PUT", path, 200, changed))["name"]["givenName"] == "Adelaide"
    assert (await ask(client, "GET", path, 200))["displayName"] == "Adelaide lint"
    assert (await patch(client, path, {"op": "replace", "value": {"active": False}}))["active"] is False
    (deactivated,) = (await ask(client, "GET", by_name, 200))["Resources"]
    assert (deactivated["active"], deactivated["id"]) == (False, made["id"])
    assert (await ask(client, "PUT", path, 200, deactivated | {"active": True}))["active"] is True
    assert (await patch(client, path, {"op": "replace", "value": {"active": False}}))["active"] is False
    assert (await ask(client, "GET", path, 200))["active"] is False


async def test_okta_pushes_a_group_and_its_members_in_pages(scim: ScimBench) -> None:
    client = await scim.client()
    ids = [(await ask(client, "POST", "/Users", 201, okta_user(f"m.{number}")))["id"] for number in range(7)]
    assert (await ask(client, "GET", '/Groups?filter=displayName eq "Makers"&startIndex=1&count=100', 200))["totalResults"] == 0
    group = await ask(client, "POST", "/Groups", 201, {"schemas": [GROUP], "displayName": "Makers", "members": []})
    path = f"/Groups/{group['id']}"
    for begin in range(0, 7, 3):
        page = [{"value": each, "display": each} for each in ids[begin : begin + 3]]
        await patch(client, path, {"op": "add", "path": "members", "value": page}, expected=204)
    assert {each["value"] for each in (await ask(client, "GET", path, 200))["members"]} == set(ids)
    rename = {"op": "replace", "value": {"id": group["id"], "displayName": "Planners"}}
    remove = {"op": "remove", "path": f'members[value eq "{ids[0]}"]'}
    await patch(client, path, rename, remove, expected=204)
    shown = await ask(client, "GET", path, 200)
    assert (shown["displayName"], {each["value"] for each in shown["members"]}) == ("Planners", set(ids[1:]))
    await patch(client, path, {"op": "replace", "path": "members", "value": [{"value": ids[0], "display": "x"}]}, expected=204)
    assert [each["value"] for each in (await ask(client, "GET", path, 200))["members"]] == [ids[0]]
    await ask(client, "DELETE", path, 204)


def entra_user(name: str, **more: Any) -> dict[str, Any]:
    return {
        "schemas": [USER, ENTERPRISE],
        "externalId": f"ext-{name}",
        "userName": f"{name}@acme.example",
        "active": True,
        "emails": [{"primary": True, "type": "work", "value": f"{name}@acme.example"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": f"{name} Last", "familyName": "Last", "givenName": name},
        "roles": [],
    } | more


async def test_entra_validator_on_users(scim: ScimBench) -> None:
    client = await scim.client()
    made = await ask(client, "POST", "/Users", 201, entra_user("eve"))
    boss = await ask(client, "POST", "/Users", 201, entra_user("boss"))
    path = f"/Users/{made['id']}"
    assert (await ask(client, "POST", "/Users", 409, entra_user("eve")))["scimType"] == "uniqueness"
    for name in ("eve@acme.example", "EVE@Acme.example"):
        assert [each["id"] for each in (await ask(client, "GET", f'/Users?filter=userName eq "{name}"', 200))["Resources"]] == [made["id"]]
    joined = 'externalId eq "ext-eve" and userName eq "eve@acme.example"'
    for scim_filter in ('emails[type eq "work"].value eq "eve@acme.example"', 'externalId eq "ext-eve"', joined):
        assert (await ask(client, "GET", f"/Users?filter={scim_filter}", 200))["totalResults"] == 1, scim_filter
    assert (await ask(client, "GET", '/Users?filter=userName eq "non-existent user"', 200))["totalResults"] == 0
    replaced = await patch(
        client,
        path,
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "new@acme.example"},
        {"op": "Replace", "path": "name.familyName", "value": "Newlast"},
        {"op": "Add", "path": 'addresses[type eq "work"].locality', "value": "Aarhus"},
        {"op": "Replace", "path": f"{ENTERPRISE}:department", "value": "Sales"},
    )
    assert (replaced["emails"][0]["value"], replaced["name"]["familyName"]) == ("new@acme.example", "Newlast")
    assert (replaced["addresses"][0]["locality"], replaced[ENTERPRISE]["department"]) == ("Aarhus", "Sales")
    dotted = {
        "displayName": "Eve L",
        "name.givenName": "Eva",
        'emails[type eq "work"].value': "e@acme.example",
        f"{ENTERPRISE}:costCenter": "9",
    }
    flat = await patch(client, path, {"op": "replace", "value": dotted})
    assert (flat["displayName"], flat["name"]["givenName"], flat["emails"][0]["value"]) == ("Eve L", "Eva", "e@acme.example")
    assert flat[ENTERPRISE]["costCenter"] == "9"
    assert (await patch(client, path, {"op": "Replace", "path": "userName", "value": "eva@acme.example"}))["id"] == made["id"]
    for value in (
        boss["id"],
        {"value": boss["id"]},
        [{"value": boss["id"]}],
        [{"$ref": f"http://users/scim/v2/Users/{boss['id']}", "value": boss["id"]}],
    ):
        managed = await patch(client, path, {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": value})
        assert managed[ENTERPRISE]["manager"] == {"value": boss["id"]}, value
    assert "manager" not in (await patch(client, path, {"op": "Remove", "path": f"{ENTERPRISE}:manager"}))[ENTERPRISE]
    for value in (False, "False", "false"):
        for name in ("Operations", "operations"):
            off = await patch(client, path, {"op": "Replace", "path": "active", "value": value}, name=name)
            assert off["active"] is False
        disabled = await ask(client, "GET", '/Users?filter=userName eq "eva@acme.example"', 200)
        assert [each["active"] for each in disabled["Resources"]] == [False], "soft-deleted, and still found"
        assert (await patch(client, path, {"op": "replace", "value": {"active": "True"}}))["active"] is True
    await ask(client, "DELETE", path, 204)
    await ask(client, "DELETE", path, 404)
    await ask(client, "GET", path, 404)


async def test_entra_validator_on_groups(scim: ScimBench) -> None:
    client = await scim.client()
    ids = [(await ask(client, "POST", "/Users", 201, entra_user(f"m{number}")))["id"] for number in range(3)]
    body = {"schemas": [GROUP, "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"], "externalId": "g1"}
    group = await ask(client, "POST", "/Groups", 201, body | {"displayName": "Group One", "meta": {"resourceType": "Group"}})
    path = f"/Groups/{group['id']}"
    for query in ('filter=displayName eq "group one"', 'filter=externalId eq "g1"'):
        (found,) = (await ask(client, "GET", f"/Groups?excludedAttributes=members&{query}", 200))["Resources"]
        assert (found["id"], "members" in found) == (group["id"], False)
    add = [{"op": "Add", "path": "members", "value": [{"$ref": None, "value": each}]} for each in ids]
    await patch(client, path, *add, name="operations", expected=204)
    with counted_statements(scim.users.database) as statements:
        shown = await ask(client, "GET", f"{path}?excludedAttributes=members", 200)
    assert ("members" in shown, [each for each in statements if "scim_members" in each]) == (False, []), "no member is read"
    await patch(client, path, {"op": "Replace", "path": "displayName", "value": "Renamed"}, expected=204)
    await patch(client, path, {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": ids[0]}]}, expected=204)
    await patch(client, path, {"op": "Remove", "path": f'members[value eq "{ids[1]}"]'}, expected=204)
    shown = await ask(client, "GET", path, 200)
    assert (shown["displayName"], [each["value"] for each in shown["members"]]) == ("Renamed", [ids[2]])
    await ask(client, "DELETE", path, 204)
    await ask(client, "DELETE", path, 404)
    await ask(client, "GET", path, 404)


def requests_of(name: str, user: str, manager: str, group: str) -> list[tuple[str, str, Any, int]]:
    """Return requests as other clients spell them, each with the number of results, or the status of its answer."""
    path, members = f"/Users/{user}", f"/Groups/{group}"

    def patched(*operations: Mapping[str, Any]) -> dict[str, Any]:
        return {"schemas": [PATCH], "Operations": list(operations)}

    found: dict[str, list[tuple[str, str, Any, int]]] = {
        "OneLogin": [
            ("GET", "/Users?filter=userName+eq+%22ann%40acme.example%22", None, 1),
            (
                "PUT",
                path,
                {"schemas": [USER, ENTERPRISE], "userName": "ann@acme.example", "active": "true", ENTERPRISE: {"manager": ""}},
                200,
            ),
            ("PATCH", members, patched({"op": "add", "path": "members", "value": [{"value": user}]}), 204),
            ("PATCH", members, patched({"op": "remove", "path": f'members[value eq "{user}"]'}), 204),
        ],
        "JumpCloud": [
            ("GET", '/Users?filter=userName eq "ann@acme.example"&startIndex=1&count=1', None, 1),
            ("PUT", path, {"schemas": [USER], "userName": "ann@acme.example", "active": False, "id": user, "meta": {}}, 200),
            ("PATCH", members, patched({"op": "replace", "path": "members", "value": [{"Value": user, "display": "Ann"}]}), 204),
            ("PATCH", members, patched({"op": "replace", "value": {"displayName": "Makers", "id": group}}), 204),
        ],
        "Entra": [
            ("GET", f'/Users?filter=id eq "{user}" and manager eq "{manager}"&attributes=id', None, 1),
            ("GET", f'/Users?filter=id eq "{user}" and {ENTERPRISE}:manager eq "{manager}"&attributes=id', None, 1),
            ("GET", f'/Users?filter=id eq "{manager}" and manager eq "{user}"&attributes=id', None, 0),
            ("GET", f'/Groups?excludedAttributes=members&filter=id eq "{group}" and members eq "{manager}"', None, 1),
            ("GET", f'/Groups?excludedAttributes=members&filter=id eq "{group}" and members[value eq "{manager}"]', None, 1),
            ("GET", f'/Groups?excludedAttributes=members&filter=id eq "{group}" and members eq "{user}"', None, 0),
        ],
        "SailPoint": [
            ("GET", "/serviceproviderconfig", None, 200),
            ("GET", "/schemas", None, 200),
            ("GET", "/resourcetypes", None, 200),
            ("GET", "/Users?startIndex=&count=", None, 2),
            ("GET", "/Users?Filter=userName%20eq%20%22nobody%22&StartIndex=1", None, 0),
            ("GET", '/Groups?filter=displayName pr and not (displayName eq "x")', None, 1),
            ("GET", '/Groups?filter=not (externalId eq "x") and members pr', None, 1),
            ("GET", '/Groups?filter=displayName ew "KERS" and displayName ne "x"', None, 1),
        ],
        "Ping": [
            ("GET", '/Users?filter=(userName eq "ann@acme.example")', None, 1),
            ("GET", '/Users?filter=employeeNumber eq "007" or department eq "and manager eq 1"', None, 1),
            ("PATCH", path, patched({"op": "replace", "value": {"name.familyName": "Ash", f"{ENTERPRISE}:department": "Makers"}}), 200),
            ("PATCH", path, patched({"op": "replace", "path": "emails", "value": [{"value": " Ann Ash <ann@acme.example> "}]}), 200),
            ("GET", f'/Users?filter={ENTERPRISE}:Department eq "makers" and name.familyName eq "ash"', None, 1),
        ],
    }
    return found[name]


@pytest.mark.parametrize("name", ["OneLogin", "JumpCloud", "Entra", "SailPoint", "Ping"])
async def test_other_clients_are_understood_as_they_spell_their_requests(scim: ScimBench, name: str) -> None:
    client = await scim.client()
    manager = (await client.create("boss@acme.example"))["id"]
    extension = {"employeeNumber": "007", "manager": {"value": manager}}
    user = (await client.create("ann@acme.example", **{ENTERPRISE: extension}))["id"]
    group = (await client.create_group("Makers", manager))["id"]
    for method, path, body, expected in requests_of(name, user, manager, group):
        if expected < 100:
            assert (await ask(client, method, path, 200))["totalResults"] == expected, path
        else:
            await ask(client, method, path, expected, body)
    if name == "Ping":
        emails = await scim.execute("SELECT email FROM people WHERE tenant_id = $1 AND email <> ''", client.tenant)
        assert [row[0] for row in emails] == ["ann@acme.example"], "the address without the name"
