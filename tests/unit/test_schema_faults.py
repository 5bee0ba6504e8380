"""Faults say what is expected of a value in the words of the project, not in those of pydantic."""

import ast
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.users.api.requests import PersonRoles
from shared.schemas.faults import WrongFields, expected_by, field_of, first_faults, once_per_field, place_of


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("an even number")
    return value


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("expected an odd number")
    return value


class Sample(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field("", min_length=2, max_length=4, pattern="^[a-z]+$")
    number: int = Field(1, ge=1)
    flag: bool = False
    day: date = date(2026, 1, 1)
    at: AwareDatetime = datetime.fromisoformat("2026-01-01T00:00:00Z")
    many: list[int] = Field([], max_length=1)
    pairs: dict[str, int] = {}
    part: "Sample | None" = None
    choice: Literal["a", "b"] = "a"
    even: Annotated[int, AfterValidator(_even)] = 2
    odd: Annotated[int, AfterValidator(_odd)] = 1


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"text": None}, "a text"),
        ({"text": "a"}, "a text of at least 2 characters"),
        ({"text": "abcde"}, "a text of at most 4 characters"),
        ({"text": "A1"}, "a text that matches the pattern ^[a-z]+$"),
        ({"number": "x"}, "a whole number"),
        ({"number": 1.5}, "a whole number"),
        ({"number": 0}, "a number greater than or equal to 1"),
        ({"flag": 7}, "true or false"),
        ({"day": "soon"}, "a date, for example 2026-03-01"),
        ({"at": "2026-01-01T00:00:00"}, "an instant with a time zone, for example 2026-03-01T12:00:00Z"),
        ({"many": 1}, "a list"),
        ({"many": [1, 2]}, "at most 1 item"),
        ({"pairs": 1}, "an object"),
        ({"part": 1}, "an object"),
        ({"choice": "c"}, "'a' or 'b'"),
        ({"even": 3}, "an even number"),
        ({"odd": 2}, "an odd number"),
        ({"other": 1}, "no field with this name"),
    ],
)
def test_a_fault_says_what_is_expected(given: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Sample.model_validate(given)
    assert [expected_by(fault) for fault in map(dict, caught.value.errors())] == [expected]


def test_a_missing_field_is_required() -> None:
    class Needs(BaseModel):
        name: str

    with pytest.raises(ValidationError) as caught:
        Needs.model_validate({})
    assert expected_by(dict(caught.value.errors()[0])) == "a value: the field is required"


@pytest.mark.parametrize(
    ("viewset", "faults"),
    [
        (3, {("viewset",): "'own' or a list"}),
        ("all", {("viewset",): "'own' or a list"}),
        ([1], {("viewset", 0): "a text"}),
        (["x"] * 101, {("viewset",): "'own' or at most 100 items"}),
    ],
)
def test_a_value_of_several_kinds_is_named_by_its_field_and_says_once_what_is_expected(viewset: Any, faults: dict[Any, str]) -> None:
    with pytest.raises(ValidationError) as caught:
        PersonRoles.model_validate({"roles": [], "viewset": viewset})
    assert {place_of(fault): fault["expected"] for fault in once_per_field(map(dict, caught.value.errors()))} == faults


class Range(BaseModel):
    least: int
    most: int

    @model_validator(mode="after")
    def _in_order(self) -> "Range":
        if self.most < self.least:
            raise WrongFields({"most": self.most}, "a number that is not below least")
        return self


class Ranges(BaseModel):
    ranges: list[Range]

    @model_validator(mode="after")
    def _once(self) -> "Ranges":
        for place, each in enumerate(self.ranges):
            if each in self.ranges[:place]:
                fields = {f"ranges.{place}.least": each.least, f"ranges.{place}.most": each.most}
                raise WrongFields(fields, "each range only once")
        return self


@pytest.mark.parametrize(
    ("ranges", "faults"),
    [
        ([(1, 2), (5, 3)], [("ranges.1.most", 3, "a number that is not below least")]),
        ([(1, 2), (1, 2)], [("ranges.1.least", 1, "each range only once"), ("ranges.1.most", 2, "each range only once")]),
    ],
)
def test_a_check_of_several_fields_names_those_to_change_with_their_values(
    ranges: list[tuple[int, int]], faults: list[tuple[str, int, str]]
) -> None:
    with pytest.raises(ValidationError) as caught:
        Ranges.model_validate({"ranges": [{"least": least, "most": most} for least, most in ranges]})
    for found in (once_per_field(map(dict, caught.value.errors())), once_per_field(first_faults(caught.value))):
        assert [(field_of(fault), fault["input"], fault["expected"]) for fault in found] == faults


ROOT = Path(__file__).parents[2]


def _checks_of_models() -> Iterator[tuple[Path, ast.FunctionDef]]:
    for file in (file for folder in ("cli", "services", "shared") for file in sorted((ROOT / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef) and any("model_validator" in ast.unparse(each) for each in node.decorator_list):
                yield file, node


def test_every_check_of_several_fields_names_the_fields() -> None:
    """Any other error would be a fault of the whole body, which may contain personal data."""
    checks = list(_checks_of_models())
    assert len(checks) > 10, "the test has found the checks"
    raised = [(file, node.exc) for file, check in checks for node in ast.walk(check) if isinstance(node, ast.Raise) and node.exc]
    other = [f"{file}:{each.lineno}" for file, each in raised if not ast.unparse(each).startswith("WrongFields(")]
    assert other == []
