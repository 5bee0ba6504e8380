"""How a service is doing, as every service tells it to the vendor's operators, also one without a database."""

from typing import Final

from pydantic import BaseModel, Field

from shared.schemas.base import Instant

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
    open: int = Field(description="Messages that an operator must retry or discard; in notifier also the commands that seats rejected.")
    waiting: int = Field(description="Messages that wait behind an open one of their tenant.")


class ServiceStatus(BaseModel):
    service: str
    version: str
    groups: list[GroupStatus]
    unsent: UnsentStatus
    dead_letters: DeadLettersStatus
