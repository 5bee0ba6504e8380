"""Which events invoicing handles, and what it makes of those that are not about it."""

from collections import Counter
from types import ModuleType
from typing import Any, cast

import pytest

from services.invoicing.consumers import seats_events, users_events
from shared.messaging import Message
from shared.schemas import seats_v1
from shared.schemas.envelope import Envelope
from shared.schemas.position import Position
from shared.schemas.registry import REGISTRY, type_of
from shared.schemas.topics import SEATS_EVENTS, USERS_EVENTS, Topic
from tests.support.messaging import NOON


async def test_the_answer_to_a_command_without_a_readable_tenant_makes_no_dead_letter() -> None:
    position = Position(partition=1, offset=55)
    payload = seats_v1.CommandRejected(command="x", position=position, role="answer", at=NOON, rules=1, reason="unreadable")
    envelope = Envelope(id="seats.commands.v1/1/55/0", source="seatpool/seats", type=type_of(seats_v1.CommandRejected), time=NOON)
    message = Message(envelope=envelope, payload=payload, topic=SEATS_EVENTS, partition=1, offset=7, timestamp_ms=0)
    await seats_events.HANDLERS[seats_v1.CommandRejected](cast("Any", None), message)


@pytest.mark.parametrize(("module", "topic"), [(seats_events, SEATS_EVENTS), (users_events, USERS_EVENTS)], ids=["seats", "users"])
def test_invoicing_handles_or_ignores_each_type_of_a_topic_that_it_reads(module: ModuleType, topic: Topic) -> None:
    """Handlers are found by the exact class of the event, so a new type is in neither list until somebody decides about it."""
    assert module.HANDLED.keys() == module.IGNORED.keys() == {topic}
    named = [*module.HANDLED[topic], *module.IGNORED[topic]]
    assert Counter(named) == Counter(entry.model for entry in REGISTRY.values() if entry.topic is topic)


def test_every_handled_type_has_a_handler() -> None:
    assert set(seats_events.handlers(cast("Any", None))) == set(seats_events.HANDLED[SEATS_EVENTS])
    assert set(users_events.HANDLERS) == set(users_events.HANDLED[USERS_EVENTS])
