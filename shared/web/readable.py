"""What JSON and URLs can carry and no service can keep, refused before any route looks at it: NUL (PostgreSQL's texts hold none), half a
surrogate pair (no UTF-8 for it), numbers that are none, integers of more than 64 bits."""

import math
from collections.abc import Iterator
from typing import Any

from fastapi import Request

from shared.errors import Refused

_INT64 = range(-(2**63), 2**63)
SHOWN_MAX = 200


def faults(value: object, field: str) -> Iterator[dict[str, Any]]:
    """One for each part of a JSON value that cannot be kept: its path, what was given, what would be right. No recursion: the depth is the
    caller's to choose."""
    left: list[tuple[str, object]] = [(field, value)]
    while left:
        path, part = left.pop()
        match part:
            case dict():
                left.extend((f"{path}.{key}", item) for key, item in reversed(part.items()))
                wrong = next((expected for key in part if (expected := _expected(key))), None)
            case list():
                left.extend((f"{path}.{index}", item) for index, item in reversed(list(enumerate(part))))
                wrong = None
            case _:
                wrong = _expected(part)
        if wrong:
            yield {"field": printable(path), "value": printable(str(part))[:SHOWN_MAX], "expected": wrong}


def _expected(value: object) -> str | None:
    """None: it can be kept."""
    match value:
        case str() if "\0" in value or not _encodable(value):
            return "a text of Unicode characters, without NUL"
        case bool():
            return None
        case int() if value not in _INT64:
            return "an integer of 64 bits"
        case float() if not math.isfinite(value):
            return "a number that JSON has"
    return None


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def printable(value: str) -> str:
    """The same, with what UTF-8 cannot say as `?`."""
    return value.encode(errors="replace").decode()


async def readable(request: Request) -> None:
    """For all routes of an application, ahead of their own checks. Raises Refused (422), naming every field.

    A route that answers for parts of its body one by one names their places in `judges` (`body.events`): they are left to it.
    """
    judges = getattr(getattr(request.scope.get("route"), "endpoint", None), "judges", ())
    found = [fault for name, value in request.path_params.items() for fault in faults(value, f"path.{name}")]
    found += [fault for name, value in request.query_params.multi_items() for fault in faults(value, f"query.{name}")]
    found += faults(await _body(request, judges), "body")
    if found:
        fields = ", ".join(str(fault["field"]) for fault in found[:5])
        raise Refused("invalid", f"Not valid: {fields}.", errors=found)


async def _body(request: Request, judges: tuple[str, ...]) -> object:
    """What is no JSON is refused by the routes that read it, in their own words."""
    if "form" in request.headers.get("content-type", "") or not await request.body():
        return None
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        return None
    if isinstance(body, dict) and judges:
        return {name: value for name, value in body.items() if f"body.{name}" not in judges}
    return body
