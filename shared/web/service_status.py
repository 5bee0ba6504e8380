"""How a service is doing, for the vendor's operators: what it has not read, not sent, and could not process."""

import asyncio
from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from shared.database import Database
from shared.errors import Transient
from shared.messaging.consumer import Consumer
from shared.messaging.dead_letters import rows
from shared.messaging.dead_letters.rows import Status
from shared.messaging.relay import oldest_unsent
from shared.schemas.base import Instant, to_milliseconds
from shared.version import VERSION
from shared.web.auth import operator
from shared.web.route import CheckedRoute

PATH: Final = "/v1/operator/status"
SUMMARY: Final = "Show what the service has not read, not sent, and could not process"
BROKER_SECONDS_MAX: Final = 3.0


class GroupStatus(BaseModel):
    """A consumer group, with all its processes."""

    group: str
    messages_behind: int | None = Field(description="Messages of its topics that it has not read; null: the broker does not answer.")
    topics_behind: dict[str, int] = Field({}, description="The same for each topic that has some.")


class UnsentStatus(BaseModel):
    messages: int = Field(description="Messages that are stored with their changes, and that the broker has not acknowledged.")
    oldest_at: Instant | None = Field(description="When the oldest of them was stored.")


class DeadLettersStatus(BaseModel):
    open: int = Field(description="Messages that an operator must retry or discard.")
    waiting: int = Field(description="Messages that wait behind an open one of their tenant.")


class ServiceStatus(BaseModel):
    service: str
    version: str
    groups: list[GroupStatus]
    unsent: UnsentStatus
    dead_letters: DeadLettersStatus


def service_status_router(service: str, database: Database, consumers: Sequence[Consumer]) -> APIRouter:
    """Return the route that shows how a service with a database is doing."""
    router = APIRouter(route_class=CheckedRoute, tags=["operator"], dependencies=[Depends(operator())])

    @router.get(PATH, summary=SUMMARY)
    async def show_status() -> ServiceStatus:
        groups = await asyncio.gather(*map(_status_of, consumers))
        count, oldest = await oldest_unsent(database)
        async with database.unit_of_work(None) as uow:
            letters = await rows.counts(uow)
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
