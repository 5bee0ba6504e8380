"""Small conventions of all routes: pages, versions, answers."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Final, Generic, TypeVar

import orjson
from fastapi import Header, Query, Response
from pydantic import BaseModel, BeforeValidator, Field

from shared.errors import Invalid, Refused
from shared.schemas.base import Instant

LIMIT_DEFAULT, LIMIT_MAX = 100, 200

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="The maximum number of items on a page.")]
Cursor = Annotated[str | None, Query(max_length=500, description="The `next` of the previous page.")]
MARK_CHARACTERS: Final = 32
IfMatch = Annotated[str | None, Header(alias="If-Match", description="The ETag that you read, or `*` for any version.")]


_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _day(value: object) -> object:
    """Pydantic reads a number as seconds since 1970, and takes midnight of any time zone for a date: mistakes of the caller."""
    if isinstance(value, int | float) or (isinstance(value, str) and not _DATE.fullmatch(value)):
        raise ValueError("a date without a time in the format YYYY-MM-DD, such as 2026-01-31")
    return value


def _moment(value: object) -> object:
    if isinstance(value, int | float) or (isinstance(value, str) and not _DATE.match(value)):
        raise ValueError("a time in the format of RFC 3339 with its offset, such as 2026-01-31T09:00:00Z")
    return value


Day = Annotated[date, BeforeValidator(_day)]
Moment = Annotated[Instant, BeforeValidator(_moment)]


class PositionView(BaseModel):
    """A position in seats.commands.v1: partition and offset of a command. The offset is -1 where no command was decided yet."""

    partition: int
    offset: int


class Page(BaseModel, Generic[T]):
    items: list[T]
    next: str | None = Field(None, description="The `cursor` of the next page; null on the last page.")


def encode_cursor(*keys: str | int) -> str:
    """Where the next page begins: the sort keys of the last item. Opaque to callers."""
    return base64.urlsafe_b64encode(orjson.dumps(keys)).decode().rstrip("=")


def decode_cursor(cursor: str | None, *types: type[str] | type[int]) -> tuple[Any, ...] | None:
    """The keys, of these types; None without a cursor. Raises Invalid."""
    if cursor is None:
        return None
    try:
        keys = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError) as error:
        raise Invalid("query.cursor", cursor[:100], "the `next` of an earlier page") from error
    if not isinstance(keys, list) or len(keys) != len(types) or not all(map(_is_key, keys, types)):
        raise Invalid("query.cursor", cursor[:100], "the `next` of an earlier page")
    return tuple(keys)


def _is_key(key: object, type_: type) -> bool:
    """Tell whether the database can compare this key. A cursor may be invented."""
    return type(key) is type_ and (abs(key) < 2**63 if isinstance(key, int) else "\0" not in str(key))


def mark_of(values: Mapping[str, Any]) -> str:
    """Return what differs between two states of a resource that has no version: the ETag of these values."""
    return hashlib.sha256(orjson.dumps(values, option=orjson.OPT_SORT_KEYS)).hexdigest()[:MARK_CHARACTERS]


def etag(version: int | str) -> str:
    return f'"{version}"'


def check_if_match(given: str | None, version: int | str, *parts: int | str) -> None:
    """For edits: refuses (428) without If-Match, and (412) when somebody else changed it since it was read. `parts`: versions of parts of
    the resource that have all that the edit changes; any of them fits as well."""
    if given is None:
        raise Refused(
            "precondition-required", "The header If-Match is missing. Read the resource, and send its ETag in If-Match with your change."
        )
    if given.strip() != "*" and {etag(version), *map(etag, parts)}.isdisjoint(map(str.strip, given.split(","))):
        raise Refused(
            "precondition-failed",
            "The resource was changed after you read it. Read it again, and send your change with its new ETag in If-Match.",
            current=etag(version),
        )


def answer(content: BaseModel | Mapping[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    body = content.model_dump_json().encode() if isinstance(content, BaseModel) else orjson.dumps(dict(content))
    return Response(body, status, headers=dict(headers or {}), media_type="application/json")
