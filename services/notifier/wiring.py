"""Composition root: the parts of a notifier process. Tests replace any of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.notifier.consumers import action_log, notifications
from services.notifier.settings import Settings
from services.notifier.store import action_log as log_store
from shared.clock import Clock
from shared.database import Database
from shared.messaging import Consumer


@dataclass(frozen=True, slots=True)
class Wiring:
    settings: Settings
    clock: Clock
    database: Database
    consumers: Sequence[Consumer]  # of the notifications, of the action log

    @property
    def waiting_longest(self) -> timedelta:
        return timedelta(hours=self.settings.unknown_recipient_hours)


def make_consumers(settings: Settings, database: Database, clock: Clock, first_start: datetime) -> list[Consumer]:
    """Records older than `first_start` cause no e-mail."""
    common: dict[str, Any] = {"database": database, "kafka": settings, "clock": clock}
    return [
        Consumer(
            group=notifications.GROUP,
            topics=tuple(notifications.HANDLED),
            handlers=notifications.handlers(clock, first_start),
            **common,
        ),
        Consumer(
            group=action_log.GROUP,
            topics=tuple(action_log.HANDLED),
            handlers=action_log.handlers(),
            tenant_exists=log_store.is_known_tenant,
            **common,
        ),
    ]
