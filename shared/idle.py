"""Is everything of a tenant done up to its time (design, section 2)? What each service answers at `GET …/idle`: a test clock goes on
only when all of them say yes, twice in a row with the same fingerprints."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from shared.schemas.base import Instant


class IdleCheck(BaseModel):
    model_config = ConfigDict(frozen=True)

    time: Instant | None = Field(description="The tenant's time as this service knows it; null: it keeps none.")
    idle: bool
    waiting_for: tuple[str, ...] = Field(description="What is not done yet; empty: it is idle.")
    next_due: Instant | None = Field(description="When there is something to do next.")
    fingerprint: str = Field(description="Another one whenever something of the tenant was done.")

    @classmethod
    def of(cls, time: datetime | None, waiting_for: Iterable[str], next_due: datetime | None, *seen: object) -> "IdleCheck":
        """`seen`: what changes when something of this tenant is done. Nothing of another's: a busy neighbour would hold up its clock."""
        waiting = tuple(waiting_for)
        fingerprint = hashlib.sha256(repr(seen).encode()).hexdigest()[:16]
        return cls(time=time, idle=not waiting, waiting_for=waiting, next_due=next_due, fingerprint=fingerprint)
