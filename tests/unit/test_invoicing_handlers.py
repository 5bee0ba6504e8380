"""What invoicing makes of answers that are not about it."""

from typing import Any, cast

from services.invoicing.handlers import Handlers
from shared.messaging import Message
from shared.schemas import seats_v1
from shared.schemas.envelope import Envelope
from shared.schemas.registry import type_of
from shared.schemas.topics import SEATS_EVENTS
from tests.support.messaging import NOON


async def test_the_answer_to_a_command_without_a_readable_tenant_makes_no_dead_letter() -> None:
    position = seats_v1.Position(partition=1, offset=55)
    payload = seats_v1.CommandRejected(command="x", position=position, role="answer", at=NOON, rules=1, reason="unreadable")
    envelope = Envelope(id="seats.commands.v1/1/55/0", source="seatpool/seats", type=type_of(seats_v1.CommandRejected), time=NOON)
    message = Message(envelope=envelope, payload=payload, topic=SEATS_EVENTS, partition=1, offset=7, timestamp_ms=0)
    handlers = Handlers(cast("Any", None)).all()
    await handlers[seats_v1.CommandRejected](cast("Any", None), message)
