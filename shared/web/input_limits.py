"""Limits of what callers send, checked before any route looks at it: size, media type and nesting of bodies, and values that JSON and URLs
can carry and no service can store: NUL (PostgreSQL's texts hold none), half a surrogate pair (no UTF-8 for it), numbers that JSON does not
define, integers of more than 64 bits."""

import gc
import json
import math
import re
import reprlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import accumulate, count
from operator import sub
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect, Request

from shared.errors import Refused
from shared.schemas.faults import COUNTED_MAX

BODY_MAX = 1024 * 1024
OPEN_BODY_MAX = 16 * 1024  # of routes that ask for no token
DEPTH_MAX = 64
FAULTS_MAX = 20
SHOWN_MAX = 200
_INT64 = range(-(2**63), 2**63)
# To its end or the end of the text: each match goes on where the last one ended, whatever was sent.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
# Without any of these in it, no part of a body can be a fault. (Raw control characters are no JSON.) Numbers are looked for in a copy with
# one digit, one sign and one letter of exponents: a regular expression would stop at each digit and each `e` of the body.
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])|\xed[\xa0-\xbf]")
_SUSPECT_NUMBERS = (b"0" * 19, b"e000", b"e+000", b"NaN", b"Infinity")
_NUMBERS_ALIKE = bytes.maketrans(b"123456789E-", b"000000000e+")
_TWO_OR_NONE = bytes.maketrans(b"[{]}", b"\2\2\0\0")
_WHITESPACE = b" \t\r\n"  # of JSON
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))

_OWN_PARTS = "own_parts"

F = TypeVar("F", bound=Callable[..., Any])
_Fault = dict[str, Any]


def faults(value: object, field: str) -> list[_Fault]:
    """Return the first parts of a JSON value that cannot be stored. Recursive: the value is nested within limits."""
    found: list[_Fault] = []
    _collect({field: value}, [], found)
    return found


def _collect(container: dict[str, object] | list[object], path: list[object], found: list[_Fault]) -> None:
    """Nothing is built for an element that is right: there may be hundreds of thousands."""
    items: Iterable[tuple[object, object]] = container.items() if isinstance(container, dict) else enumerate(container)
    keys_are_right = False
    for key, item in items:
        if len(found) == FAULTS_MAX:
            return
        if not keys_are_right and (expected := _expected(key)):
            found.append(_fault(path, key, expected))
            keys_are_right = True  # one fault tells of all keys of an object
        if isinstance(item, dict | list):
            path.append(key)
            _collect(item, path, found)
            path.pop()
        elif expected := _expected(item):
            found.append(_fault([*path, key], item, expected))


def _fault(path: list[object], value: object, expected: str) -> _Fault:
    return {"field": cut(".".join(cut(str(part)) for part in path)), "value": shown(value), "expected": expected}


def _expected(value: object) -> str | None:
    """None: it can be stored."""
    match value:
        case str() if "\0" in value or not _encodable(value):
            return "a text of Unicode characters without NUL"
        case bool():
            return None
        case int() if value not in _INT64:
            return "an integer of 64 bits"
        case float() if not math.isfinite(value):
            return "a number as JSON defines it"
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


def cut(value: str, most: int = SHOWN_MAX) -> str:
    """A text as an answer shows it."""
    return printable(value if len(value) <= most else value[: most - 1] + "…")


_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = SHOWN_MAX


def shown(value: object) -> object:
    """A value as an answer shows it; of an object or a list the beginning."""
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and value in _INT64):
        return value
    return cut(str(value) if isinstance(value, str | date) else _brief.repr(value))


# ------------------------------------------------------------------------------------------------------------------ requests


def check_parameters(request: Request, known: Collection[str]) -> None:
    """Raise Refused (422) naming the parts of path and query that cannot be stored, and the parameters of the query that are not `known`: a
    misspelt filter must not return everything."""
    found = faults(dict(request.path_params), "path")
    for name, value in request.query_params.multi_items():
        if name in known:
            found += faults(value, f"query.{name}")
        else:  # without its value, which may be a secret
            has = f"this route has only {', '.join(sorted(known))}" if known else "this route has none"
            found.append({"field": cut(f"query.{name}"), "value": None, "expected": f"a query parameter of this route; {has}"})
        if len(found) >= FAULTS_MAX:
            break
    if found:
        raise _refused(found)


def check_media_type(request: Request, wanted: str) -> None:
    """Raise Refused (415) if there is a body and it is not announced as `wanted`; parameters of the media type are ignored."""
    given = [value.partition(";")[0].strip().lower() for value in request.headers.getlist("content-type")]
    if _announces_body(request) and given != [wanted]:  # of two, a proxy may have gone by the other one
        raise Refused("media-type-not-supported", f"Send the body with `Content-Type: {wanted}`.")


def _announces_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


async def read_body(request: Request, limit: int) -> bytes:
    """Read the whole body. Raises Refused (413) as soon as it is known to be too large, and ClientDisconnect when the caller hangs up."""
    if not _announces_body(request):
        return b""
    announced = request.headers.get("content-length", "")[:20]  # digits, or the server would have refused it
    if announced.isdecimal() and int(announced) > limit:
        raise Refused("too-large", f"The body has {announced} bytes, and at most {limit} are allowed. Send less in one request.")
    body = bytearray()
    more = True
    while more:
        message = await request.receive()
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise Refused("too-large", f"The body has more than {limit} bytes, which is the limit. Send less in one request.")
    return bytes(body)


def checks_items_of(*parts: str) -> Callable[[F], F]:
    """Mark a route that checks the items of these parts of its body one by one, and lists what is wrong with them in its answer."""

    def mark(endpoint: F) -> F:
        endpoint.__dict__[_OWN_PARTS] = parts
        return endpoint

    return mark


def own_parts(endpoint: Callable[..., Any]) -> tuple[str, ...]:
    """Return the parts that `checks_items_of` names."""
    parts: tuple[str, ...] = getattr(endpoint, _OWN_PARTS, ())
    return parts


def parse_body(content: bytes, adapter: TypeAdapter[Any], unchecked: tuple[str, ...] = ()) -> Any:
    """Parse JSON once and return what `adapter` makes of it, or the parsed value where that is not valid, for FastAPI to name the fields.

    The parts of the body in `unchecked` are left to the route. Raises Refused.
    """
    value = _json(content)
    if _is_suspect(content):
        checked = {name: part for name, part in value.items() if name not in unchecked} if isinstance(value, dict) else value
        if found := faults(checked, "body"):
            raise _refused(found)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        if error.error_count() > COUNTED_MAX:  # pydantic would make an object of each
            raise _refused([_of_body(f"a body as in the API document; this body has {error.error_count()} errors")]) from None
        return value


def check_empty(content: bytes) -> None:
    """Raise Refused (422) if a body has content although the route needs none."""
    if content.translate(None, _WHITESPACE) not in (b"", b"{}"):
        raise _refused([_of_body("no body, or an empty JSON object; this route needs no body")])


def _is_suspect(content: bytes) -> bool:
    """Whether a part of a body may be a fault."""
    if _SUSPECT.search(content):
        return True
    alike = content.translate(_NUMBERS_ALIKE)
    return any(each in alike for each in _SUSPECT_NUMBERS)


def _json(content: bytes) -> Any:
    if _is_too_deep(content):
        raise _refused([_of_body(f"JSON with at most {DEPTH_MAX} levels of nesting")])
    try:
        with _no_garbage_collection():
            return json.loads(content.decode("utf-8", "surrogatepass"))
    except json.JSONDecodeError as error:
        raise _refused([_of_body(f"JSON (at character {error.pos}: {error.msg})")]) from None
    except ValueError:
        raise _refused([_of_body("JSON in UTF-8, with integers of at most 64 bits")]) from None


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """The collector would look at half a million new lists again and again: 2 s instead of 0.1 s, while nothing else happens."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _is_too_deep(content: bytes) -> bool:
    """Whether JSON has too many levels, without building any of them: only its brackets are looked at. Of what is no JSON it may say
    either."""
    if content.count(b"[") + content.count(b"{") <= DEPTH_MAX:
        return False
    brackets = _STRING.sub(b"", content).translate(_TWO_OR_NONE, _NO_BRACKET)
    levels = map(sub, accumulate(brackets), count(1))  # each bracket adds 2 or 0, minus 1
    return max(levels, default=0) > DEPTH_MAX


def _of_body(expected: str) -> _Fault:
    return {"field": "body", "value": None, "expected": expected}


def _refused(found: list[_Fault]) -> Refused:
    fields = ", ".join(str(fault["field"]) for fault in found[:5])
    return Refused("invalid", f"These fields are not valid: {fields}. For each of them, `errors` says what is expected.", errors=found)
