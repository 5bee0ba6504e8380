"""The ways in which a request to another service ends without what was asked for.

RestError
├── Refusal       the service said no, and why: shown on the page, beside the field that it names
├── Unavailable   the service did not answer: the part of the page that needs it says so
└── SignedOut     the reader's token is no longer valid: the reader signs in again
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

PREFIX = "urn:seatpool:problem:"


@dataclass(frozen=True, slots=True)
class FieldFault:
    """A field that a service does not accept, for example `body.items.0.quantity`."""

    field: str
    value: Any
    expected: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A refusal as problem+json. `type` is its name without the prefix; `extra` has the members beside the usual ones."""

    type: str
    status: int
    detail: str
    errors: Sequence[FieldFault] = ()
    support_contact: str | None = None
    correlation: str | None = None
    retry_after_seconds: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_stale(self) -> bool:
        """Tell whether somebody else has changed it since the form was shown."""
        return self.status == 412

    @classmethod
    def of(cls, response: httpx.Response) -> "Problem":
        """Return the problem of an answer. An answer that is none, for example that of a proxy, becomes one with the status alone."""
        try:
            body = orjson.loads(response.content)
        except orjson.JSONDecodeError:
            body = None
        found = body if isinstance(body, dict) else {}
        known = ("type", "title", "status", "detail", "instance", "correlation", "support_contact", "errors")
        faults = [each for each in found.get("errors") or () if isinstance(each, dict)]
        seconds = response.headers.get("retry-after", "")
        return cls(
            type=str(found.get("type", "")).removeprefix(PREFIX),
            status=response.status_code,
            detail=str(found.get("detail", "")),
            errors=tuple(FieldFault(str(each.get("field", "")), each.get("value"), str(each.get("expected", ""))) for each in faults),
            support_contact=found.get("support_contact"),
            correlation=found.get("correlation") or response.headers.get("x-correlation-id"),
            retry_after_seconds=int(seconds[:4]) if seconds[:4].isdecimal() else None,
            extra={name: value for name, value in found.items() if name not in known},
        )


class RestError(Exception):
    pass


class Refusal(RestError):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class Unavailable(RestError):
    """The service did not answer. `sent`: it may have done what the request asks for."""

    def __init__(self, service: str, *, sent: bool = False) -> None:
        super().__init__(service)
        self.service, self.sent = service, sent


class SignedOut(RestError):
    pass
