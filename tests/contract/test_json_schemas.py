"""The committed JSON Schemas are what the models say, and promise no less than before."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from shared.schemas import generate
from shared.schemas.registry import REGISTRY

NEW = generate.generated()
ADDED_PERSON = "seatpool.users.v1.person_added"


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_each_type_has_its_committed_schema(name: str) -> None:
    path = generate.path_of(name)
    assert path.exists(), f"{name} has no schema: make schemas"
    assert path.read_text() == generate.render(NEW[name]), f"the schema of {name} is not current: make schemas"


def test_no_schema_is_left_of_a_type_that_is_gone() -> None:
    assert generate.committed().keys() == REGISTRY.keys()


def test_within_v1_only_optional_fields_are_added() -> None:
    assert generate.problems(generate.committed(), NEW) == []


def _add_optional(schema: dict[str, Any]) -> None:
    schema["properties"]["nickname"] = {"type": "string", "default": ""}


def _add_required(schema: dict[str, Any]) -> None:
    schema["properties"]["nickname"] = {"type": "string"}
    schema["required"].append("nickname")


def _remove(schema: dict[str, Any]) -> None:
    del schema["properties"]["job_title"]


def _make_optional(schema: dict[str, Any]) -> None:
    schema["required"].remove("job_title")


def _change_type(schema: dict[str, Any]) -> None:
    schema["properties"]["version"]["type"] = "string"


def _narrow(schema: dict[str, Any]) -> None:
    schema["properties"]["login"]["maxLength"] = 10


def _change_nested(schema: dict[str, Any]) -> None:
    schema["$defs"]["Actor"]["properties"]["kind"]["type"] = "integer"


def _describe(schema: dict[str, Any]) -> None:
    schema["description"] = "Says it better."


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_add_optional, []),
        (_describe, []),
        (_add_required, ["body.nickname: is required now"]),
        (_remove, ["body.job_title: was removed"]),
        (_make_optional, ["body.job_title: is optional now, and its readers count on it"]),
        (_change_type, ["body.version: type: was 'integer', is 'string'"]),
        (_narrow, ["body.login: maxLength: was 500, is 10"]),
        (_change_nested, ["body.actor.kind: type: was 'string', is 'integer'"]),
    ],
)
def test_a_change_is_told_by_what_it_breaks(change: Callable[[dict[str, Any]], None], said: list[str]) -> None:
    old = NEW[ADDED_PERSON]
    new = copy.deepcopy(old)
    change(new)
    found = generate.breaks(old, new)
    assert [each for each in found if "job_title: is" in each or "was removed" in each or each in said] == found
    assert said == [] or said[0] in found
    assert bool(found) == bool(said)


def test_a_type_that_is_gone_is_told() -> None:
    assert generate.problems(NEW, {}) == [f"{name}: the type was removed" for name in sorted(NEW)]
