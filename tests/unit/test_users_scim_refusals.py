"""A refusal of SCIM says which attribute is wrong and what is expected, in the words of SCIM."""

from typing import Any

import orjson
import pytest
from scim2_models import SCIMException

from services.users.scim.models import USER
from services.users.scim.service import SERVICE
from services.users.scim.users import sent
from tests.support.scim import ENTERPRISE, PATCH


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
