"""What a process of the notifier is made of: every dependency stands here once, and tests replace any."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.notifier import store
from services.notifier.handlers import LOG_GROUP, MAIL_GROUP, TOPICS, Notifications, log_handlers
from services.notifier.settings import Settings
from shared.clock import Clock
from shared.database import Database
from shared.messaging import Consumer


@dataclass(frozen=True, slots=True)
class Context:
    settings: Settings
    clock: Clock
    database: Database
    consumers: Sequence[Consumer]  # recipients and notices; the action log

    @property
    def waiting_longest(self) -> timedelta:
        return timedelta(hours=self.settings.unknown_recipient_hours)


def make_consumers(settings: Settings, database: Database, clock: Clock, mark: datetime) -> list[Consumer]:
    """`mark`: records older than it mail nothing."""
    notifications = Notifications(clock, mark)
    common: dict[str, Any] = {"database": database, "kafka": settings, "topics": TOPICS, "clock": clock}
    return [
        Consumer(group=MAIL_GROUP, handlers=notifications.handlers(), **common),
        Consumer(group=LOG_GROUP, handlers=log_handlers(), tenant_exists=store.is_logged_tenant, **common),
    ]
