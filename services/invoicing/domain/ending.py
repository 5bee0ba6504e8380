"""The end of a subscription: when its reminders are due, what an end at once is worth, and what taking it back restores."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, Final

from services.invoicing.domain.account import CREDIT_NOTE, INVOICE, SYSTEM, account
from services.invoicing.domain.calendar import add_days, local_day
from services.invoicing.domain.history import Fact
from services.invoicing.domain.quote import Pool, Situation
from services.invoicing.domain.upcoming import charged_day
from shared.schemas.invoicing_v1 import SubscriptionEnded
from shared.schemas.position import DecisionId
from shared.schemas.seats_v1 import PoolClosed

TRIAL_REMINDER_DAYS: Final = (7, 1)
REMINDER_DAYS: Final = (30, 7, 1)  # before the end, the first reminder first


def next_reminder(ends_on: date, after: date, before: Sequence[int] = REMINDER_DAYS) -> date | None:
    """Return the day of the next reminder after this day; None: there is none before the end."""
    days = (add_days(ends_on, -days) for days in before)
    return next((day for day in days if day > after), None)


def reminder_of(ends_on: date, today: date, before: Sequence[int] = REMINDER_DAYS) -> int:
    """Return the days before the end of the last reminder that is due: of several that are late, only one is sent."""
    return min(days for days in before if add_days(ends_on, -days) <= today)


def document_of_end(facts: Iterable[Fact], situation: Situation) -> tuple[int, int]:
    """Return the net amounts that an end at once credits and charges: those of the credit notes and of the invoices that it issues.

    The pools are closed now and the subscription ends: by the same code as when it really happens.
    """
    contract, details, today = situation.contract, situation.details.version, local_day(situation.at, situation.contract.time_zone)
    known = [*facts, *charged_day(situation.account, contract, today, details)]
    decision = DecisionId.parse(situation.account.last_decision)
    for module in situation.pools:
        decision = replace(decision, offset=decision.offset + 1, n=0)
        about: dict[str, Any] = {"command": "end", "position": decision.position, "role": "end", "rules": 0, "reason": "end"}
        known.append((str(decision), PoolClosed(at=situation.at, module=module, **about)))
    ended = SubscriptionEnded(
        at=situation.at,
        actor=SYSTEM,
        subscription=contract.subscription,
        decision=str(decision),
        ended_on=today,
        billing_details=details,
        at_once=True,
    )
    issued = [each for each in account([*known, ("end", ended)]).invoices if each.decision == str(decision)]
    credited, charged = (sum(each.net_minor for each in issued if each.kind == kind) for kind in (CREDIT_NOTE, INVOICE))
    return credited, charged


def restored(pools: Mapping[str, Pool]) -> tuple[dict[str, int], list[str]]:
    """Return the next period's number of each pool that goes on if the ending is taken back, and the pools that close by themselves."""
    numbers = {module: min(pool.former_next_period, pool.licences) for module, pool in pools.items() if pool.former_next_period}
    return numbers, sorted(module for module, pool in pools.items() if pool.former_next_period == 0)
