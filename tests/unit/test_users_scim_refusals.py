"""A refusal of SCIM says which attribute is wrong and what is expected, in the words of SCIM."""

import asyncio
from typing import Any

import orjson
import pytest
from scim2_models import SCIMException
from starlette.requests import Request

from services.users.scim.limits import (
    ATTRIBUTES_MAX,
    ENTRIES_MAX,
    FILTER_CHARACTERS_MAX,
    OPERATIONS_MAX,
    PATH_CHARACTERS_MAX,
    PATHS_CHARACTERS_MAX,
    check_entries,
    check_operations,
    is_costly,
)
from services.users.scim.models import USER
from services.users.scim.parts import in_parts
from services.users.scim.service import SERVICE
from services.users.scim.statements import problem_of
from services.users.scim.users import sent
from shared.text import UNCLEAR_REFUSED
from tests.support.scim import ENTERPRISE, PATCH

HIDDEN = "a text without control characters and invisible characters expected"


def refusal(body: Any) -> str:
    """Return the detail of the refusal of a new user, or of a PATCH."""
    with SERVICE.provider, pytest.raises(SCIMException) as refused:
        _read(orjson.dumps(body), is_patch="Operations" in body)
    return str(SERVICE.error_of(refused.value).detail)


def _read(content: bytes, *, is_patch: bool) -> None:
    users, media_type = SERVICE.resource_type_at("/Users"), "application/scim+json"
    if is_patch:
        SERVICE.read_patch(users, content, media_type)
    else:
        sent(SERVICE.read_creation(users, content, media_type))


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ({"active": "x"}, "active: expected true or false"),
        ({"emails": [{"value": 7}]}, "emails.0.value: expected a text"),
        ({"name": {"givenName": 7}}, "name.givenName: expected a text"),
        ({ENTERPRISE: {"manager": 7}}, f"{ENTERPRISE}.manager: expected an object"),
        ({"displayName": "\u202e\u2800"}, "displayName: a name with a character that can be seen expected"),
        ({"name": {"givenName": "\u200b", "familyName": "\u3164"}}, "name: a name with a character that can be seen expected"),
        ({"displayName": "Ann\u202egnp.exe"}, f"displayName: {HIDDEN}"),
        ({"userName": "an\u200bn"}, f"userName: {UNCLEAR_REFUSED} expected"),
        ({"title": "\u2066Boss\u2069"}, f"title: {HIDDEN}"),
        ({"name": {"givenName": "Ann", "familyName": "A\u200fsh"}}, f"name.familyName: {HIDDEN}"),
        ({ENTERPRISE: {"department": "Sales\ufeff"}}, f"{ENTERPRISE}:department: {HIDDEN}"),
        ({"userName": None}, "Field 'userName' is required but value is missing, null or empty"),
    ],
)
def test_the_refusal_of_a_user_names_the_attribute(given: dict[str, Any], detail: str) -> None:
    assert refusal({"schemas": [USER], "userName": "ann"} | given) == detail


@pytest.mark.parametrize(
    ("operation", "detail"),
    [
        ({"op": "replace", "path": "userName", "value": None}, "userName: required attribute cannot be unassigned"),
        ({"op": "remove", "path": f"{USER}:userName"}, f"{USER}:userName: required attribute cannot be removed"),
        ({"op": "replace", "value": 7}, "the value of an operation without a path must be an object"),
        ({"op": "replace", "path": "active"}, "Operations.0: value is required for replace operations"),
        (7, "Operations.0: expected an object"),
    ],
)
def test_the_refusal_of_a_PATCH_names_the_attribute_or_the_operation(operation: Any, detail: str) -> None:
    assert refusal({"schemas": [PATCH], "Operations": [operation]}) == detail


@pytest.mark.parametrize(
    ("payload", "detail"),
    [
        ({"filter": "t" * (FILTER_CHARACTERS_MAX + 1)}, f"filter: at most {FILTER_CHARACTERS_MAX} characters expected (got 4001)"),
        ({"FILTER": "t" * (FILTER_CHARACTERS_MAX + 1)}, "filter: at most"),
        ({"attributes": "userName," * ATTRIBUTES_MAX}, f"attributes: at most {ATTRIBUTES_MAX} attributes expected (got 101)"),
        ({"excludedAttributes": ["title"] * (ATTRIBUTES_MAX + 1)}, "excludedAttributes: at most"),
    ],
)
def test_a_search_that_would_take_too_long_is_refused(payload: dict[str, Any], detail: str) -> None:
    with SERVICE.provider, pytest.raises(SCIMException) as refused:
        SERVICE.read_search([SERVICE.resource_type_at("/Users")], payload)
    assert detail in str(SERVICE.error_of(refused.value).detail)


@pytest.mark.parametrize(
    ("operations", "detail"),
    [
        ([{"op": "remove", "path": "title"}] * (OPERATIONS_MAX + 1), f"Operations: at most {OPERATIONS_MAX} operations of PATCH expected"),
        ([{"op": "remove", "Path": "e" * (PATH_CHARACTERS_MAX + 1)}], f"path: at most {PATH_CHARACTERS_MAX} characters expected"),
        ([{"op": "remove", "path": "e" * 1000}] * 101, f"and {PATHS_CHARACTERS_MAX} in all operations together"),
    ],
)
def test_a_PATCH_that_would_take_too_long_is_refused_by_itself_and_in_a_bulk_request(operations: list[Any], detail: str) -> None:
    half = len(operations) // 2
    parts = [{"method": "PATCH", "path": "/Users/1", "data": {"operations": each}} for each in (operations[:half], operations[half:])]
    for body, is_bulk in (({"operations": [], "Operations": operations}, False), ({"Operations": parts}, True)):
        with pytest.raises(SCIMException, match=detail):
            check_operations(body, is_bulk=is_bulk)


_MANY = [{"value": f"{number}@acme.example"} for number in range(ENTRIES_MAX + 1)]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"schemas": [USER], "userName": "ann", "Emails": _MANY}, "Emails"),
        ({"Operations": [{"op": "add", "path": "emails", "value": _MANY}]}, "emails"),
        ({"Operations": [{"op": "add", "path": f'{USER}:emails[type eq "work"]', "value": _MANY}]}, f'{USER}:emails[type eq "work"]'),
        ({"Operations": [{"op": "add", "value": {"addresses": _MANY}}]}, "addresses"),
        ({"Operations": [{"method": "PUT", "path": "/Users/1", "data": {"phoneNumbers": _MANY}}]}, "phoneNumbers"),
    ],
)
def test_an_attribute_with_too_many_values_is_refused_before_models_are_made(body: Any, named: str) -> None:
    with pytest.raises(SCIMException) as refused:
        check_entries(body)
    assert refused.value.detail == f"{named}: at most {ENTRIES_MAX} values expected (got {ENTRIES_MAX + 1})"


def test_members_of_groups_and_attributes_that_are_not_stored_have_any_number_of_values() -> None:
    check_entries({"schemas": [USER], "emails": _MANY[:-1], "entitlements": _MANY, "members": _MANY})
    check_entries({"Operations": [{"op": "add", "path": "members", "value": _MANY}, {"op": "add", "value": {"members": _MANY}}]})


@pytest.mark.parametrize("text", [r"\u0000", r"work\u0000", r"\ud800"])
@pytest.mark.parametrize(
    ("endpoint", "path"),
    [("/Users", 'emails[type eq "%s"].value'), ("/Users", 'addresses[not (type eq "%s")].locality'), ("/Groups", 'members[value eq "%s"]')],
)
def test_a_path_of_a_patch_that_selects_by_a_text_that_cannot_be_stored_is_refused(endpoint: str, path: str, text: str) -> None:
    """A value that is not there yet is added with what selects it."""
    patch = {"schemas": [PATCH], "Operations": [{"op": "add", "path": path % text, "value": "a@acme.example"}]}
    with SERVICE.provider, pytest.raises(SCIMException, match="a value is not allowed; expected a text of Unicode characters without NUL"):
        SERVICE.read_patch(SERVICE.resource_type_at(endpoint), orjson.dumps(patch), "application/scim+json")


@pytest.mark.parametrize("path", ["emails[", 'emails[type eq "\\u00"].value'])
def test_a_path_of_a_patch_that_cannot_be_parsed_is_refused(path: str) -> None:
    patch = {"schemas": [PATCH], "Operations": [{"op": "add", "path": path, "value": "a@acme.example"}]}
    with SERVICE.provider, pytest.raises(SCIMException):
        SERVICE.read_patch(SERVICE.resource_type_at("/Users"), orjson.dumps(patch), "application/scim+json")


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "costly"),
    [
        ("GET", "/Users", "", {}, False),
        ("GET", "/Users", "filter=" + "x" * 500, {}, False),
        ("GET", "/Users", "filter=" + "x" * 501, {}, True),
        ("POST", "/Users/.search", "", {}, True),
        ("POST", "/Users", "", {"content-length": "16384"}, False),
        ("POST", "/Users", "", {"content-length": "16385"}, True),
        ("GET", "/groups/1", "", {}, True),
        ("GET", "/Groups", "excludedAttributes=members", {}, False),
        ("GET", "/Groups", "excludedAttributes=meta, members", {}, False),
        ("GET", "/Groups", "excludedAttributes=members.value", {}, True),
        ("GET", "/Groups", "attributes=", {}, True),
        ("GET", "/Groups", "attributes=,", {}, True),
        ("GET", "/Groups", "attributes=nomembers", {}, False),
        ("GET", "/Groups", "ATTRIBUTES=displayName", {}, False),
        ("GET", "/Groups", "attributes=displayName,members.value", {}, True),
        ("PATCH", "/Groups/1", "", {}, False),
        ("PATCH", "/Groups/1", "attributes=members", {}, True),
        ("PUT", "/Groups/1", "", {"content-length": "16385"}, True),
        ("DELETE", "/Groups/1", "", {}, True),
        ("POST", "/Bulk", "", {}, True),
    ],
)
def test_few_requests_of_a_tenant_that_take_much_work_are_answered_at_a_time(
    method: str, path: str, query: str, headers: dict[str, str], costly: bool
) -> None:
    scope = {"type": "http", "method": method, "path": f"/scim/v2{path}", "query_string": query.encode()}
    given = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert is_costly(Request(scope | {"headers": given})) is costly


async def test_between_parts_of_work_that_takes_long_a_process_does_what_else_is_due() -> None:
    done: list[str] = []

    async def work() -> None:
        async for text in in_parts(["0", "1", "2", "3"], at_once=2):
            done.extend(text)

    async def other() -> None:
        done.append("other")

    await asyncio.gather(work(), other())
    assert done == ["0", "1", "other", "2", "3"]


def test_a_name_that_was_stored_before_it_was_forbidden_keeps_nobody_from_changing_the_rest() -> None:
    stored: dict[str, Any] = {"userName": "ann", "displayName": "Ann\u200e", ENTERPRISE: {"department": "Sales\u200b"}}
    assert problem_of(stored | {"active": False}, stored) is None
    assert problem_of(stored | {"title": "Boss\u200e"}, stored) == f"title: {HIDDEN}"
    assert problem_of(stored, {}) == f"displayName: {HIDDEN}"
