"""The audit trail of a person: the decisions and commands behind the present state, followed by `prev` through the log."""

import asyncio
from typing import Any, NamedTuple

from pydantic_core import from_json

from services.seats.engine.commands import UNREAD_HEADERS
from services.seats.replay.log_reader import ANSWER_SECONDS_MAX, LogReader
from shared.errors import NotFound
from shared.schemas.base import format_instant
from shared.schemas.envelope import Envelope


class Link(NamedTuple):
    """A command and what it decided about the person."""

    partition: int
    offset: int
    command: dict[str, Any]
    decisions: list[dict[str, Any]]


async def explain(log: LogReader, tenant: str, user: str, partition: int, offset: int, limit: int) -> tuple[list[Link], bool]:
    """Follow the chain from the decision at `offset` back, newest first. It has at most `limit` links, and fewer where they take longer
    than an answer may. The flag says whether the chain is complete."""
    chain: list[Link] = []
    end = asyncio.get_running_loop().time() + ANSWER_SECONDS_MAX
    at: int | None = offset
    async with log.kept() as kept:
        while at is not None and len(chain) < limit:
            link, at = await _link(kept, tenant, user, partition, at)
            chain.append(link)
            if asyncio.get_running_loop().time() >= end:
                break
    return chain, at is None


async def _link(log: LogReader, tenant: str, user: str, partition: int, offset: int) -> tuple[Link, int | None]:
    """Return the link at this offset, and the offset of the previous one."""
    command: Any = None
    async for record in log.records(log.commands, partition, offset, offset + 1):
        command = record
    if command is None:
        raise NotFound("command at that position")
    decisions: dict[str, dict[str, Any]] = {}
    previous: int | None = None
    # The record of a decision has the time of its command, so the broker finds by time where to begin.
    begin = await log.offset_at(log.events, partition, command.timestamp)
    async for envelope, order, body, _ in log.decisions(partition, begin):
        if order[0] == offset:
            if envelope.tenant == tenant and user in (body.get("user"), body.get("from_user")):
                decisions.setdefault(envelope.id, {"id": envelope.id, "type": envelope.type, "data": body})
                prev = body.get("prev" if body.get("user") == user else "from_prev")
                previous = prev["offset"] if prev else previous
        elif order[0] > offset:
            break
    return Link(partition=partition, offset=offset, command=_command(command), decisions=list(decisions.values())), previous


def _command(record: Any) -> dict[str, Any]:
    # The engine does not read these headers, so they can have any value.
    headers = [(name, value) for name, value in record.headers if name not in UNREAD_HEADERS]
    envelope = Envelope.from_headers(headers, record.timestamp)
    shown = {"id": envelope.id, "source": envelope.source, "type": envelope.type, "time": format_instant(envelope.time)}
    return shown | {"data": from_json(record.value)}
