"""The next invoice as it would be today (M14, M15): what a renewal with the present numbers, prices and billing details would issue."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from services.invoicing.domain.account import SYSTEM, account
from services.invoicing.domain.calendar import add_days, start_of_day
from services.invoicing.domain.history import Fact
from shared.schemas.invoicing_v1 import DayCharged, InvoiceIssued, SubscriptionStarted, TermsApplied
from shared.schemas.position import DecisionId, Position
from shared.schemas.seats_v1 import LicenceCount, PeriodStarted


def upcoming(
    facts: Iterable[Fact], contract: SubscriptionStarted, numbers: Mapping[str, int], plan_version: int, billing_details: str
) -> InvoiceIssued | None:
    """Return the document that the next renewal would issue; None if it would issue none, or if no period has begun.

    `numbers`: the licences of the next period by module. The open day is charged first, then the period begins: both by the same code as
    when they really happen.
    """
    known = list(facts)
    present = account(known)
    if present.period is None:
        return None
    begin, last = present.period.end, DecisionId.parse(present.last_decision)
    at = start_of_day(begin, contract.time_zone)
    if (day := present.day_to_charge(begin)) is not None:
        ended = DayCharged(
            at=start_of_day(add_days(day, 1), contract.time_zone),
            actor=SYSTEM,
            day=day,
            after=present.last_decision,
            subscription=contract.subscription,
            billing_details=billing_details,
        )
        known.append(("upcoming-day", ended))
    decision = replace(last, offset=last.offset + 1, n=0)
    terms = TermsApplied(
        at=at,
        actor=SYSTEM,
        decision=str(decision),
        subscription=contract.subscription,
        plan=contract.plan,
        plan_version=plan_version,
        billing_details=billing_details,
    )
    started = PeriodStarted(
        command="upcoming",
        position=Position(partition=decision.partition, offset=decision.offset),
        role="upcoming",
        at=at,
        rules=0,
        reason="upcoming",
        starts_at=at,
        licences=tuple(LicenceCount(module=module, quantity=number) for module, number in sorted(numbers.items()) if number),
    )
    known += [("upcoming-terms", terms), (str(decision), started)]
    return next((each for each in account(known).invoices if each.decision == str(decision)), None)
