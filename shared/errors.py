"""The error tree.

    SeatpoolError
    ├── Refused      expected: a rule says no. REST: 409 or 422 problem+json (404 NotFound, 403 Forbidden, 401 Unauthenticated)
    │   ├── NotFound
    │   ├── Forbidden
    │   ├── Unauthenticated
    │   ├── Invalid      422: names the field, the value and what would be right
    │   └── Conflict     409
    ├── Transient    a short failure (database, broker, SMTP): retried with backoff, stops nothing else
    │   └── Busy         other work on the same data took too long; REST: 429
    └── Poison       a message that cannot be read or breaks a rule: becomes a dead letter with its reason
Everything else is a bug: it ends the process, and its supervisor restarts it. But an error while one message is handled makes
that message a dead letter, because the error would come again at every start. The map to HTTP lives in `shared.web.problems` alone.
"""


class SeatpoolError(Exception):
    pass


class Refused(SeatpoolError):
    """`type` is the stable name of the refusal (the last part of the problem's `type` URI); `extra` goes into the problem as it is."""

    def __init__(self, type: str, detail: str, **extra: object) -> None:  # noqa: A002 - RFC 9457's own name
        super().__init__(detail)
        self.type, self.detail, self.extra = type, detail, extra


class NotFound(Refused):
    def __init__(self, what: str, remedy: str = "Check the ids in the path.") -> None:
        super().__init__("not-found", f"The service found no {what}. {remedy}")


class Forbidden(Refused):
    pass


class Unauthenticated(Refused):
    pass


class Conflict(Refused):
    pass


class Invalid(Refused):
    def __init__(self, field: str, value: object, expected: str) -> None:
        super().__init__(
            "invalid",
            f"The value of {field} is not valid. Expected: {expected}.",
            errors=[{"field": field, "value": value, "expected": expected}],
        )
        self.field, self.value, self.expected = field, value, expected


class Transient(SeatpoolError):
    pass


class Busy(Transient):
    pass


class Poison(SeatpoolError):
    """A message that cannot be processed. `reason` is a stable word for lists and counters, `detail` is for the person who corrects it.

    A detail may quote the message, so it is kept with the dead letter, for operators. Logs show `rule` instead: which field
    broke which rule, without values.
    """

    def __init__(self, reason: str, detail: str, *, rule: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail, self.rule = reason, detail, rule
