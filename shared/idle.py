"""The idle check, `GET …/idle`: is everything of a tenant processed up to its time? A test clock goes on only when all services
answer yes, twice in a row with the same fingerprints."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from shared.schemas.base import Instant


class IdleCheck(BaseModel):
    """The answer of an idle check."""

    model_config = ConfigDict(frozen=True)

    time: Instant | None = Field(description="The time of the tenant as this service knows it; null if the service keeps none.")
    idle: bool
    waiting_for: tuple[str, ...] = Field(description="What is not processed yet; empty if the service is idle.")
    next_due: Instant | None = Field(description="The next time at which the service has something to do.")
    fingerprint: str = Field(description="It changes whenever the service processes something of the tenant.")

    @classmethod
    def of(cls, time: datetime | None, waiting_for: Iterable[str], next_due: datetime | None, *seen: object) -> "IdleCheck":
        """Return the answer. `seen`: values that change when something of this tenant is processed. If another tenant changed them, a busy
        tenant would delay the clocks of the others."""
        waiting = tuple(waiting_for)
        fingerprint = hashlib.sha256(repr(seen).encode()).hexdigest()[:16]
        return cls(time=time, idle=not waiting, waiting_for=waiting, next_due=next_due, fingerprint=fingerprint)
