"""Decisions as records of the events topic. A repeated decision is the same bytes: ids, headers and times come from the log."""

from collections.abc import Iterable
from functools import lru_cache

import orjson

from services.seats.engine.commands import Head
from services.seats.engine.decider import Event
from services.seats.engine.producer import Record
from shared.schemas import topics
from shared.schemas.envelope import JSON_TYPE, VENDOR_KEY, VERSION

SOURCE = "seatpool/seats"
_SOURCE_HEADER = ("ce_source", SOURCE.encode())
EVENT_BYTES_MAX = 900_000  # of a record batch; the events topic takes Kafka's default of 1,048,588


def event_id(partition: int, offset: int, n: int) -> str:
    """Of the n-th decision about the command at (partition, offset). The deployment's prefix is no part of it."""
    return f"{topics.SEATS_COMMANDS.name}/{partition}/{offset}/{n}"


def records(
    decided: Iterable[tuple[str | None, Event]], *, partition: int, offset: int, clock_ms: int, command: Head | None
) -> list[Record]:
    """The same headers in the same order as `Envelope.headers` gives (a test holds both together), made once for each command."""
    tail: list[tuple[str, bytes]] = []
    if command is not None:
        id_ = command.id.encode()
        tail = [("ce_correlationid", command.correlation or id_), ("ce_causationid", id_)]
        if command.traceparent is not None:
            tail.append(("ce_traceparent", command.traceparent))
    prefix = f"{_TOPIC}/{partition}/{offset}/".encode()
    made: list[Record] = []
    for tenant, (type_, body, n, user) in decided:
        headers = [
            VERSION,
            ("ce_id", b"%b%d" % (prefix, n)),
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
        made.append((key, _dumps(body), headers, clock_ms))
    return made


_TOPIC = topics.SEATS_COMMANDS.name
_dumps = orjson.dumps


@lru_cache(maxsize=256)
def _type_header(type_: str) -> tuple[str, bytes]:
    return ("ce_type", type_.encode())
