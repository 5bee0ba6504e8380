"""The group of the action log. The log is kept in order: behind a dead letter the later messages of that tenant wait, so that `from` of
each entry is the state before it."""

from collections.abc import Mapping

from services.notifier.use_cases.record_actions import record_event
from shared.messaging import Handler
from shared.schemas.base import Payload
from shared.schemas.registry import REGISTRY
from shared.schemas.topics import INVOICING_EVENTS, SEATS_EVENTS, USERS_EVENTS, Topic

GROUP = "notifier-action-log"
# The log reads every event; `domain/action_log.py` lists those that make no entry.
HANDLED: Mapping[Topic, tuple[type[Payload], ...]] = {
    topic: tuple(entry.model for entry in REGISTRY.values() if entry.topic is topic)
    for topic in (USERS_EVENTS, SEATS_EVENTS, INVOICING_EVENTS)
}
IGNORED: Mapping[Topic, tuple[type[Payload], ...]] = dict.fromkeys(HANDLED, ())


def handlers() -> dict[type[Payload], Handler]:
    return {model: record_event for models in HANDLED.values() for model in models}
