"""The basis of every message body: frozen models, and the few value types that they consist of.

Writers forbid unknown fields (a typing error in a writer is found at once), readers ignore them (an older reader lives on when an
optional field is added): `Payload.model_validate_json(data, extra="ignore")` is the reader's call, made in `registry.parse`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    FailFast,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    validate_email,
)

# Ids are parts of row keys (`tenant|user`), in URLs and in event ids, so they hold none of `|`, `/`, `#` and no white space.
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,99}$"
Id = Annotated[str, StringConstraints(pattern=ID_PATTERN)]
ModuleName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Text = Annotated[str, StringConstraints(max_length=500)]
# The first wrong item ends the reading: the description of a megabyte of wrong ones would take half a gigabyte.
T = TypeVar("T")
Items = Annotated[tuple[T, ...], FailFast()]


_PLAIN_LOCAL_PART = re.compile(r"[a-z0-9]+(?:[._-][a-z0-9]+)*")


def _address_or_nothing(value: str) -> str:
    """Validate an e-mail address. Many people share a domain, so the domain of a plain address is validated once: this takes 40 µs, and
    each service validates the address of each person."""
    local, _, domain = value.rpartition("@")
    if value.isascii() and len(value) <= 254 and _PLAIN_LOCAL_PART.fullmatch(local):
        return f"{local}@{_domain(domain)}"
    return validate_email(value)[1] if value else value


@lru_cache(maxsize=1_024)
def _domain(domain: str) -> str:
    return validate_email(f"a@{domain}")[1].removeprefix("a@")


# Somebody without an e-mail address has an empty one.
OptionalEmail = Annotated[
    str,
    AfterValidator(_address_or_nothing),  # one type: the errors of a union name its members
    WithJsonSchema({"anyOf": [{"format": "email", "type": "string"}, {"maxLength": 0, "type": "string"}]}),
]
ExternalId = Annotated[str, StringConstraints(min_length=1, max_length=200)]  # the id of a person in a source: any text
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]


def to_milliseconds(value: datetime) -> datetime:
    """Return the instant in UTC, cut to whole milliseconds. This is the resolution of a Kafka record's time, so all copies are equal."""
    try:
        value = value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("an instant of the years 1 to 9999 in UTC expected") from error
    more = value.microsecond % 1000
    return value - timedelta(microseconds=more) if more else value


def as_id(text: str) -> str:
    """Return an external name (a token's subject, an upstream source) as an `Id`."""
    return re.sub(r"[^A-Za-z0-9._:@-]", ":", text).lstrip("._:@-")[:100] or "unknown"


def format_instant(value: datetime) -> str:
    """Return the instant as RFC 3339 in UTC with milliseconds: `2013-11-15T09:00:00.000Z`."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Instant = Annotated[AwareDatetime, AfterValidator(to_milliseconds), PlainSerializer(format_instant, return_type=str, when_used="json")]


class Payload(BaseModel):
    """The body of a message: immutable, closed for writers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Actor(Payload):
    """The actor: a person, an operator of the vendor, a service's client, an upstream source, or the rules themselves (`system`)."""

    kind: str  # user | operator | client | source | system
    id: Id


class Change(Payload):
    """One field of a state that changed; for the action log's `from` and `to`."""

    field: str
    old: str | int | bool | None = None
    new: str | int | bool | None = None


def changes_between(old: Mapping[str, str | int | bool | None], new: Mapping[str, str | int | bool | None]) -> tuple[Change, ...]:
    """Return the fields that differ. An empty text is shown as none."""
    names = dict.fromkeys((*old, *new))
    return tuple(
        Change(field=name, old=before, new=after)
        for name in names
        if (before := old.get(name) if old.get(name) != "" else None) != (after := new.get(name) if new.get(name) != "" else None)
    )
