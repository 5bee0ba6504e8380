"""Which events invoicing handles, and what it makes of those that are not about it."""

from collections import Counter
from types import ModuleType
from typing import Any, cast

import orjson
import pytest
from pydantic import SecretStr

from deploy.local.stack import EXAMPLE_SELLER
from services.invoicing.consumers import seats_events, users_events
from services.invoicing.settings import Settings
from services.invoicing.wiring import make_wiring
from shared.clock import SystemClock
from shared.messaging import Message
from shared.messaging.message import Record
from shared.schemas import seats_v1
from shared.schemas.envelope import Envelope
from shared.schemas.position import Position
from shared.schemas.registry import REGISTRY, type_of
from shared.schemas.topics import SEATS_EVENTS, USERS_EVENTS, Topic
from tests.support import samples
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


# Handled types that change neither licences nor money: answers that refuse, and what tells of the tenant and its clock.
OF_NO_MONEY = {
    seats_v1.TenantOpened,
    seats_v1.ClockSettled,
    seats_v1.OrderRefused,
    seats_v1.ReductionRefused,
    seats_v1.PeriodScheduled,
    seats_v1.CommandIgnored,
    seats_v1.CommandRejected,
    seats_v1.CommandFailed,
}


async def test_a_decision_that_changes_licences_or_money_is_genuine_to_invoicing() -> None:
    """So an operator cannot discard it by mistake. Asked of the group that the service really has, with one message of each type."""
    seller = {name.removeprefix("SEATPOOL_").lower(): value for name, value in EXAMPLE_SELLER.items()}
    settings = Settings.model_validate({**seller, "database_url": SecretStr("postgresql://127.0.0.1:1/none")})
    group = make_wiring(settings, SystemClock(), cast("Any", None), cast("Any", None)).consumer.group
    genuine = set()
    for topic, module in ((SEATS_EVENTS, seats_events), (USERS_EVENTS, users_events)):
        for model in module.HANDLED[topic]:
            sample = samples.committed()[type_of(model)]
            position = sample["body"].get("position", {"partition": 0, "offset": 0})
            of_decision = {"ce_id": f"seats.commands.v1/{position['partition']}/{position['offset']}/0"} if topic is SEATS_EVENTS else {}
            headers = [(name, value.encode()) for name, value in (sample["headers"] | of_decision).items()]
            key = sample["headers"]["ce_tenantid"].encode()
            item = await group.read(Record(topic, position["partition"], 0, 0, key, headers, orjson.dumps(sample["body"])))
            assert item.message is not None, (model, item.poison)
            if group.is_genuine(item):
                genuine.add(model)
    assert genuine == set(seats_events.HANDLED[SEATS_EVENTS]) - OF_NO_MONEY - set(seats_events.USE)
    assert seats_v1.PoolClosed in genuine
    assert seats_v1.LicencesAdded in genuine
