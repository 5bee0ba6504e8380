"""Turns decisions into records of the events topic. A repeated decision is the same bytes: ids, headers and times come from the log."""

from collections.abc import Iterable
from functools import lru_cache

import orjson

from services.seats.engine.commands import Command, Head, Rejected
from services.seats.engine.decider import At, Decided, Decider, Event
from services.seats.engine.producer import Record
from shared.schemas import registry
from shared.schemas.envelope import JSON_TYPE, VENDOR_KEY, VERSION
from shared.schemas.position import DecisionId

SOURCE = registry.SEATS
_SOURCE_HEADER = ("ce_source", SOURCE.encode())
EVENT_BYTES_MAX = 900_000  # of a record batch; the events topic takes Kafka's default of 1,048,588
VALUE_BYTES_MAX = EVENT_BYTES_MAX - 10_000  # of one event; headers are a few kilobytes at most (`ATTRIBUTE_CHARACTERS_MAX`)


class TooLarge(Exception):
    """An event does not fit a record of the events topic."""


def published(decider: Decider, command: Command | Rejected, decided: Decided, at: At) -> tuple[Decided, list[Record]]:
    """Return the decision as records. One that does not fit is undone and answered: sending it would end this worker, and the next one."""
    partition, offset, clock_ms, head = at.partition, at.offset, at.clock_ms, command.head
    try:
        return decided, records(decided.events, partition=partition, offset=offset, clock_ms=clock_ms, command=head)
    except TooLarge:
        if isinstance(command, Rejected):
            raise
        answered = decider.take_back(command, at)
        return answered, records(answered.events, partition=partition, offset=offset, clock_ms=clock_ms, command=head)


def records(
    decided: Iterable[tuple[str | None, Event]], *, partition: int, offset: int, clock_ms: int, command: Head | None
) -> list[Record]:
    """Return the records, with the same headers in the same order as `Envelope.headers` (a test compares them), made once for each
    command."""
    tail: list[tuple[str, bytes]] = []
    if command is not None:
        id_ = command.id.encode()
        tail = [("ce_correlationid", command.correlation or id_), ("ce_causationid", id_)]
        if command.traceparent is not None:
            tail.append(("ce_traceparent", command.traceparent))
    prefix = DecisionId.common(partition, offset).encode()
    made: list[Record] = []
    for tenant, (type_, body, n, user) in decided:
        headers = [
            VERSION,
            ("ce_id", b"%b/%d" % (prefix, n)),
            _SOURCE_HEADER,
            _type_header(type_),
            ("ce_time", body["at"].encode()),
            JSON_TYPE,
        ]
        key = VENDOR_KEY
        if tenant is not None:
            key = tenant.encode()
            headers.append(("ce_tenantid", key))
        if user is not None:
            headers.append(("ce_subject", user.encode()))
        headers += tail
        value = _dumps(body)
        if len(value) > VALUE_BYTES_MAX:
            raise TooLarge(f"{len(value)} bytes of {type_}")
        made.append((key, value, headers, clock_ms))
    return made


_dumps = orjson.dumps


@lru_cache(maxsize=256)
def _type_header(type_: str) -> tuple[str, bytes]:
    return ("ce_type", type_.encode())
