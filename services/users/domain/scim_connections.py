"""SCIM connections of a tenant: their names, settings and tokens."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

SOURCE_PREFIX: Final = "scim/"
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
# What a resource is filled with when a connection first changes somebody whom only other sources know, and the fields of the person.
COPIED: Final[Mapping[str, str]] = {
    "userName": "login",
    "displayName": "name",
    "title": "job_title",
    "emails": "email",
    "department": "department",
}
KEY_START: Final = "spscim_"
CONNECTIONS_MAX: Final = 50  # names that a tenant has used; a source with its people stays known after its connection is removed
TOKENS_MAX: Final = 2  # valid at a time: the old one and the new one while a client changes over
DAYS_DEFAULT: Final = 365
DAYS_MAX: Final = 730
WARNED_DAYS: Final = (30, 7)  # before the end of a token


class OnFull(StrEnum):
    """What a connection does when no licence is free for a new user."""

    CREATE = "create"  # the user is created without a licence
    REFUSE = "refuse"  # the request is refused


class Deactivation(StrEnum):
    """What `active: false` of a connection means."""

    SUSPENDS = "suspends"  # the login is blocked, and the person stays employed
    LEAVES = "leaves"  # the employment ends


@dataclass(frozen=True, slots=True)
class ScimConnection:
    """A SCIM client of a tenant. `user_types` maps values of the attribute `userType` to kinds of people."""

    connection: str
    on_full: str = OnFull.CREATE
    deactivation: str = Deactivation.SUSPENDS
    user_types: dict[str, str] = field(default_factory=dict)
    version: int = 0

    @property
    def source(self) -> str:
        return source_of(self.connection)


@dataclass(frozen=True, slots=True)
class ScimToken:
    token_id: str
    connection: str
    created_at: datetime
    expires_at: datetime


def source_of(connection: str) -> str:
    """Return the name of the source that makes the statements of the connection."""
    return f"{SOURCE_PREFIX}{connection}"


def with_values(document: Mapping[str, Any], person: Any, names: Iterable[str] = tuple(COPIED)) -> dict[str, Any]:
    """Return the document of a user with these attributes, as far as the person, who has the fields of COPIED, has a value."""
    found = dict(document)
    for name in names:
        value = getattr(person, COPIED[name])
        if value and name == "emails":
            found[name] = [{"value": value, "type": "work", "primary": True}]
        elif value and name == "department":
            found[ENTERPRISE] = {**(found.get(ENTERPRISE) or {}), name: value}
        elif value:
            found[name] = value
    return found


def token_hash(token: str) -> str:
    """Return the form in which a token is stored. A token is random, so a slow hash would protect nothing more."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def due_warning(expires_at: datetime, warned: int, now: datetime) -> int | None:
    """Return the number of days before its end of which a token's warning is due; `warned` is that of the last warning, 0 if none.

    A warning that is late is left out if the next one is due as well.
    """
    due = [days for days in WARNED_DAYS if now >= expires_at - timedelta(days=days)]
    if not due or now >= expires_at or (warned and min(due) >= warned):
        return None
    return min(due)
