"""The next invoice as it would be today (M14, M15): what a renewal with the present numbers, prices and billing details would issue."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, datetime

from services.invoicing.domain.account import SYSTEM, Account, account, contract_after
from services.invoicing.domain.calendar import add_days, start_of_day
from services.invoicing.domain.history import Fact
from services.invoicing.domain.plan_change import anchor_with
from services.invoicing.domain.prices import FollowingPlan, lowered
from shared.schemas.invoicing_v1 import ContractChanged, DayCharged, InvoiceIssued, ModuleTotal, SubscriptionStarted, TermsApplied
from shared.schemas.position import DecisionId, Position
from shared.schemas.seats_v1 import LicenceCount, PeriodStarted


def upcoming(
    facts: Iterable[Fact],
    contract: SubscriptionStarted,
    numbers: Mapping[str, int],
    plan_version: int,
    billing_details: str,
    following: FollowingPlan | None = None,
) -> InvoiceIssued | None:
    """Return the document that the next renewal would issue; None if it would issue none, or if no period has begun.

    `numbers`: the licences of the next period by module. `following`: the plan or term that begins with it. The open day is charged first,
    then the period begins: both by the same code as when they really happen.
    """
    known = list(facts)
    present = account(known)
    if present.period is None:
        return None
    begin, last = present.period.end, DecisionId.parse(present.last_decision)
    at = start_of_day(begin, contract.time_zone)
    known += charged_day(present, contract, begin, billing_details)
    if following is not None:
        change = _change(contract, following, numbers, present.last_decision, begin, at)
        contract, plan_version = contract_after(contract, change), following.plan.version
        known += [("upcoming-list", following.plan), ("upcoming-plan", change)]
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


def charged_day(present: Account, contract: SubscriptionStarted, before: date, billing_details: str) -> list[Fact]:
    """Return the event that will charge the open day if it ends before this day."""
    if (day := present.day_to_charge(before)) is None:
        return []
    ended = DayCharged(
        at=start_of_day(add_days(day, 1), contract.time_zone),
        actor=SYSTEM,
        day=day,
        after=present.last_decision,
        subscription=contract.subscription,
        billing_details=billing_details,
    )
    return [("upcoming-day", ended)]


def _change(
    contract: SubscriptionStarted, following: FollowingPlan, numbers: Mapping[str, int], after: str, begin: date, at: datetime
) -> ContractChanged:
    """Return the event with which the scheduled plan will take effect."""
    fewer = lowered(following.plan, following.term, numbers)
    return ContractChanged(
        at=at,
        actor=SYSTEM,
        change=following.change,
        subscription=contract.subscription,
        number=1,
        after=after,
        plan=following.plan.plan,
        plan_version=following.plan.version,
        term=following.term,
        anchor=anchor_with(following.term, begin, contract.begins_on_day) if following.term != contract.term else None,
        licences=tuple(ModuleTotal(module=module, licences=number) for module, number in sorted(fewer.items())),
    )
