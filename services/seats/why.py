"""The chain of decisions and commands behind a person's present state, followed by `prev` through the log."""

import asyncio
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from services.seats.engine.commands import UNREAD_HEADERS
from services.seats.engine.history import ANSWER_SECONDS_MAX, History
from services.seats.views import Answer, PositionView
from shared.errors import NotFound
from shared.schemas import topics
from shared.schemas.base import format_instant
from shared.schemas.envelope import Envelope


class Link(BaseModel):
    """One command and what it decided about the person."""

    partition: int
    offset: int
    command: dict[str, Any]
    decisions: list[dict[str, Any]]


class Why(Answer):
    user: str
    chain: list[Link]
    complete: bool  # false: it goes on before the last link


async def explain(history: History, tenant: str, user: str, position: PositionView, offset: int, limit: int) -> Why:
    """From the decision at `offset` back, newest first, at most `limit` links, and fewer where they take longer than an answer may.
    `position`: as the person is read."""
    chain: list[Link] = []
    end = asyncio.get_running_loop().time() + ANSWER_SECONDS_MAX
    at: int | None = offset
    async with history.kept() as kept:
        while at is not None and len(chain) < limit:
            link, at = await _link(kept, tenant, user, position.partition, at)
            chain.append(link)
            if asyncio.get_running_loop().time() >= end:
                break
    return Why(position=position, user=user, chain=chain, complete=at is None)


async def _link(history: History, tenant: str, user: str, partition: int, offset: int) -> tuple[Link, int | None]:
    """The link at this offset, and the offset of the one before it."""
    command: Any = None
    async for record in history.records(history.commands, partition, offset, offset + 1):
        command = record
    if command is None:
        raise NotFound("command at that position")
    prefix = f"{topics.SEATS_COMMANDS.name}/{partition}/{offset}/"
    decisions: dict[str, dict[str, Any]] = {}
    previous: int | None = None
    # A decision's record bears the partition's clock at its command, so the broker finds where to begin by time.
    begin = await history.offset_at(history.events, partition, command.timestamp)
    async for envelope, place, body, _ in history.decisions(partition, begin):
        if envelope.id.startswith(prefix):
            if envelope.tenant == tenant and user in (body.get("user"), body.get("from_user")):
                decisions.setdefault(envelope.id, {"id": envelope.id, "type": envelope.type, "data": body})
                prev = body.get("prev" if body.get("user") == user else "from_prev")
                previous = prev["offset"] if prev else previous
        elif place[0] > offset:
            break
    return Link(partition=partition, offset=offset, command=_command(command), decisions=list(decisions.values())), previous


def _command(record: Any) -> dict[str, Any]:
    # What the engine does not read of a command may be anything.
    headers = [(name, value) for name, value in record.headers if name not in UNREAD_HEADERS]
    envelope = Envelope.from_headers(headers, record.timestamp)
    shown = {"id": envelope.id, "source": envelope.source, "type": envelope.type, "time": format_instant(envelope.time)}
    return shown | {"data": from_json(record.value)}
