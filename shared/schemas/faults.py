"""The faults of a value that a model refused, for any number of faults, and in words for readers who do not know pydantic."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from pydantic import ValidationError

FAULTS_MAX = 20
COUNTED_MAX = 1000  # pydantic makes an object of a kilobyte of every fault at once; a body of 1 MiB can have a million


class WrongFields(ValueError):
    """A validator that looks at more than one field raises it. `fields` has the value of each field to change, by its path in what is
    validated, for example `limits.2.module`: its fault is one of these fields, and not of the whole model."""

    def __init__(self, fields: Mapping[str, object], expected: str) -> None:
        super().__init__(expected)
        self.fields = fields


def first_faults(error: ValidationError) -> list[dict[str, Any]]:
    """Return the first of `error.errors()` by field; if there are too many, one fault that says how many."""
    if error.error_count() > COUNTED_MAX:
        return [{"type": "missing", "loc": (), "msg": f"a valid value, not {error.error_count()} faults", "input": None}]
    return [each for fault in error.errors(include_url=False)[:FAULTS_MAX] for each in _by_field(fault)]


def _by_field(fault: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a fault for each field that `WrongFields` names; any other fault as it is."""
    content = {name: value for name, value in fault.items() if name != "ctx"}
    error = fault.get("ctx", {}).get("error")
    if not isinstance(error, WrongFields):
        yield content
        return
    for path, value in error.fields.items():
        parts = (int(part) if part.isdecimal() else part for part in path.split("."))
        yield content | {"loc": (*fault["loc"], *parts), "input": value}


# pydantic adds the kind of each alternative of a union to the place of its faults: `literal['own']`, `function-after[check(), list[str]]`.
_ALTERNATIVE: Final = re.compile(r"[a-z][a-z-]*\[.*\]", re.DOTALL)


def place_of(fault: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Return the place of a fault in what was sent."""
    return tuple(part for part in fault["loc"] if isinstance(part, int) or not _ALTERNATIVE.fullmatch(part))


def field_of(fault: Mapping[str, Any]) -> str:
    """Return the place of a fault as the name of a field, for example `body.items.0.count`; nothing for the whole value."""
    return ".".join(map(str, place_of(fault)))


def once_per_field(faults: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one fault per field, with `expected`. A value that fits no alternative of a union has a fault for each; where one alternative
    names a part of the value, it is the one that was meant."""
    found: dict[tuple[str | int, ...], dict[str, Any]] = {}
    for fault in chain.from_iterable(map(_by_field, faults)):
        known, words = found.setdefault(place_of(fault), {**fault, "expected": ""}), expected_by(fault)
        if words not in known["expected"]:
            known["expected"] = f"{known['expected']} or {words}" if known["expected"] else words
    outer = {place[:length] for place in found for length in range(len(place))}
    return [fault for place, fault in found.items() if place not in outer or _ALTERNATIVE.fullmatch(str(fault["loc"][-1])) is None]


_DATE, _INSTANT = "a date, for example 2026-03-01", "an instant with a time zone, for example 2026-03-01T12:00:00Z"
_BY_TYPE: Final[Mapping[str, str]] = {
    "missing": "a value: the field is required",
    "extra_forbidden": "no field with this name",
    "string_type": "a text",
    "string_unicode": "a text in UTF-8",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "datetime_type": _INSTANT,
    "datetime_parsing": _INSTANT,
    "datetime_from_date_parsing": _INSTANT,
    "timezone_aware": _INSTANT,
    "json_invalid": "valid JSON",
}
# Other texts of pydantic, which have a number or the allowed values in them.
_REWORDED: Final[Sequence[tuple[re.Pattern[str], str]]] = (
    (re.compile(r"(?:Value error|Assertion failed), (?:expected )?(.+?)(?: expected)?", re.DOTALL), r"\1"),
    (re.compile(r"String should have at (most|least) (\d+) (characters?)"), r"a text of at \1 \2 \3"),
    (re.compile(r"String should match pattern '(.+)'", re.DOTALL), r"a text that matches the pattern \1"),
    (re.compile(r"\w+ should have at (most|least) (\d+) (items?) after validation.*"), r"at \1 \2 \3"),
    (re.compile(r"Input should be ((?:greater|less) than .+)"), r"a number \1"),
    (re.compile(r"Input should be (.+)", re.DOTALL), r"\1"),
)


def expected_by(fault: Mapping[str, Any]) -> str:
    """Return what is expected instead of the value of a fault, as a noun that completes "Expected: …"."""
    if fault["type"] in _BY_TYPE and not (fault["type"] == "missing" and not fault["loc"]):
        return _BY_TYPE[fault["type"]]
    return reworded(str(fault["msg"]))


def reworded(text: str) -> str:
    """Return a text of pydantic as a noun that completes "Expected: …"; any other text as it is."""
    for pattern, words in _REWORDED:
        if found := pattern.fullmatch(text):
            return found.expand(words)
    return text
