"""Faults say what is expected of a value in the words of the project, not in those of pydantic."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from services.users.api.requests import PersonRoles
from shared.schemas.faults import expected_by, once_per_field, place_of


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
