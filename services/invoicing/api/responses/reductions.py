"""The bodies of responses about reductions."""

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel, Field

from services.invoicing.store.reductions import StoredReduction
from services.invoicing.use_cases.seats_questions import CONSEQUENCES
from shared.schemas.base import Instant
from shared.schemas.invoicing_v1 import (
    Amounts,
    ReductionItem,
)
from shared.schemas.seats_v1 import WouldCancel, WouldFlag


def shown_consequences(stored: Mapping[str, Any], *, named: bool) -> dict[str, Any]:
    """Return what an offer says of people. `named`: a caller who sees only some departments gets their numbers alone. An offer of an
    earlier release says nothing of reservations."""
    found = {name: stored.get(name) for name in CONSEQUENCES}
    return {name: each if named or each is None else [of | {"users": []} for of in each] for name, each in found.items()}


class ReductionView(BaseModel):
    """A reduction: what it changes, who would be flagged, and what seats decided."""

    reduction: str
    status: str = Field(description="offered (not approved yet), pending (seats has not decided yet), completed or refused")
    reason: str
    detail: dict[str, Any] = Field(description="For a refused reduction, for example how many seats have to be freed first.")
    takes_effect: str = Field(description="period_end, or now if the policy `reduce_at` of the pools is `now`")
    items: tuple[ReductionItem, ...]
    currency: str
    next_period_before: Amounts | None = Field(
        description="The price of the whole subscription for the next period, without the reduction."
    )
    next_period_after: Amounts | None
    credit_net_minor: int = Field(description="What is credited for the rest of the period, if the reduction takes effect now.")
    unbilled_net_minor: int = Field(
        0,
        description="The part of `credit_net_minor` for charges that are on no invoice yet. It is deducted from them, and is on no credit "
        "note.",
    )
    credit: str = Field(description="When the rest is credited: now (a credit note at the end of the day) or next_invoice.")
    would_flag: tuple[WouldFlag, ...] | None = Field(
        description="The people who would be flagged if nothing else changed: deactivate those who no longer need access. "
        "null: seats could not answer."
    )
    would_cancel: tuple[WouldCancel, ...] | None = Field(
        description="The invited people whose reservations would end, before anybody is flagged. null: seats could not answer."
    )
    expires_at: Instant
    approved_at: Instant | None
    decided_at: Instant | None
    approve_url: str
    status_url: str

    @classmethod
    def of(cls, tenant: str, found: StoredReduction, *, named: bool) -> "ReductionView":
        """`named`: the people who would be flagged are named. A caller who sees only some departments gets their number alone."""
        terms, detail = found.terms, orjson.loads(found.detail)
        url = f"/v1/tenants/{tenant}/reductions/{found.reduction}"
        shown = {name: getattr(found, name) for name in ("reduction", "status", "reason", "expires_at", "approved_at", "decided_at")}
        decided = {name: detail.pop(name) for name in CONSEQUENCES if name in detail}
        own = shown_consequences(terms | decided, named=named)
        own |= {"detail": detail, "approve_url": f"{url}/approve", "status_url": url}
        return cls.model_validate_json(orjson.dumps(terms | shown | own))
