"""How a service with a database is doing, for the vendor's operators: what it has not read, not sent, and could not process."""

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter, Depends

from shared.database import Database
from shared.errors import Transient
from shared.messaging import DeadLetters
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters.rows import Status
from shared.messaging.relay import oldest_unsent
from shared.schemas.base import to_milliseconds
from shared.version import VERSION
from shared.web.auth import operator
from shared.web.route import CheckedRoute
from shared.web.status_answers import BROKER_SECONDS_MAX, PATH, SUMMARY, DeadLettersStatus, GroupStatus, ServiceStatus, UnsentStatus


def service_status_router(service: str, database: Database, consumers: Sequence[Consumer], dead_letters: DeadLetters) -> APIRouter:
    """Return the route that shows how a service with a database is doing."""
    router = APIRouter(route_class=CheckedRoute, tags=["operator"], dependencies=[Depends(operator())])

    @router.get(PATH, summary=SUMMARY)
    async def show_status() -> ServiceStatus:
        groups = await asyncio.gather(*map(_status_of, consumers))
        count, oldest = await oldest_unsent(database)
        letters = await dead_letters.counts()
        return ServiceStatus(
            service=service,
            version=VERSION,
            groups=list(groups),
            unsent=UnsentStatus(messages=count, oldest_at=to_milliseconds(oldest) if oldest is not None else None),
            dead_letters=DeadLettersStatus(
                open=letters.get(Status.OPEN, 0), waiting=letters.get(Status.WAITING, 0) + letters.get(Status.READY, 0)
            ),
        )

    return router


async def _status_of(consumer: Consumer) -> GroupStatus:
    try:
        async with asyncio.timeout(BROKER_SECONDS_MAX):
            behind = await consumer.behind()
    except (Transient, TimeoutError):
        return GroupStatus(group=consumer.group.name, messages_behind=None)
    return GroupStatus(
        group=consumer.group.name,
        messages_behind=sum(behind.values()),
        topics_behind={topic: count for topic, count in behind.items() if count},
    )
