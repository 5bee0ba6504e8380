"""The events that users handles, and those that it ignores."""

from collections import Counter
from types import ModuleType
from typing import Any

import pytest

from services.users.consumers import hr_events, invoicing_events, seats_events
from shared.schemas.registry import REGISTRY
from shared.schemas.topics import HR_EVENTS, INVOICING_EVENTS, SEATS_EVENTS, Topic


@pytest.mark.parametrize(("module", "topic"), [(hr_events, HR_EVENTS), (seats_events, SEATS_EVENTS), (invoicing_events, INVOICING_EVENTS)])
def test_users_handles_or_ignores_each_type_of_a_topic(module: ModuleType, topic: Topic) -> None:
    """Handlers are found by the exact class of the event, so a new type is in neither list until somebody decides about it."""
    assert set(module.HANDLED) == set(module.IGNORED) == {topic}
    named = [*module.HANDLED[topic], *module.IGNORED[topic]]
    assert Counter(named) == Counter(entry.model for entry in REGISTRY.values() if entry.topic is topic)


def test_users_has_a_handler_for_each_type_that_it_handles() -> None:
    tenants: Any = None  # no handler runs
    assert set(hr_events.HrEvents(tenants).handlers()) == set(hr_events.HANDLED[HR_EVENTS])
    assert set(seats_events.SeatsEvents(tenants, lambda: None).handlers()) == set(seats_events.HANDLED[SEATS_EVENTS])
    wanted = set(invoicing_events.HANDLED[INVOICING_EVENTS])
    assert set(invoicing_events.InvoicingEvents(tenants, lambda: None).handlers()) == wanted
