"""Who has to approve a purchase: one person, or a second one as well."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from services.invoicing.domain.quote import Refusal
from shared.schemas.base import Actor
from shared.schemas.invoicing_v1 import QuoteIssued

PERSON: Final = "user"
_OTHERS: Final = {"operator": "An operator of the vendor"}  # who they are in a refusal; all others are API clients


@dataclass(frozen=True, slots=True)
class Approval:
    """Somebody approved a quote with this amount."""

    by: Actor
    at: datetime
    quote: str
    gross_minor: int


def requester_of(quote: QuoteIssued) -> Actor:
    """Return who requested a purchase: of an estimate, who sent the request, and not who approved the estimate."""
    return quote.requested_by or quote.actor


def is_second_approver(by: Actor, requested_by: Actor) -> bool:
    """Return whether this actor can be the second approver: a person who did not request the purchase, and no API client."""
    return by.kind == PERSON and by != requested_by


def second_refusal(requested_by: Actor, given: Sequence[Approval], by: Actor) -> Refusal | None:
    """Return why this approval does not complete the order beside the one that was given. The two are by different identities, and at
    least one of them is by a person who did not request the purchase."""
    names = {"requested_by": requested_by.id, "approved_by": [each.by.id for each in given]}
    if any(each.by == by for each in given):
        detail = "You have approved this quote already. A second person with the right account:buy has to approve it as well."
        return Refusal("second-approver-needed", detail, names)
    if is_second_approver(by, requested_by) or any(is_second_approver(each.by, requested_by) for each in given):
        return None
    who = _OTHERS.get(by.kind, "An API client") if by.kind != PERSON else "The person who requested a purchase"
    detail = f"{who} cannot be its second approver. A person with the right account:buy who did not request the purchase has to approve it."
    return Refusal("second-approver-needed", detail, names)
