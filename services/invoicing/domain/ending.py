"""The end of a subscription: when its reminders are due, and what taking it back restores."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

from services.invoicing.domain.calendar import add_days
from services.invoicing.domain.ledger import Change
from services.invoicing.domain.quote import Pool, Situation

TRIAL_REMINDER_DAYS: Final = (7, 1)
REMINDER_DAYS: Final = (30, 7, 1)  # before the end, the first reminder first


def next_reminder(ends_on: date, after: date, before: Sequence[int] = REMINDER_DAYS) -> date | None:
    """Return the day of the next reminder after this day; None: there is none before the end."""
    days = (add_days(ends_on, -days) for days in before)
    return next((day for day in days if day > after), None)


def reminder_of(ends_on: date, today: date, before: Sequence[int] = REMINDER_DAYS) -> int:
    """Return the days before the end of the last reminder that is due: of several that are late, only one is sent."""
    return min(days for days in before if add_days(ends_on, -days) <= today)


def credit_of_end(situation: Situation, today: date) -> int:
    """Return the net amount that an end at once credits: the licences of today and of the later days that an invoice has charged."""
    account = situation.account
    licences = {module: pool.licences for module, pool in situation.pools.items() if pool.licences and module in account.ledgers}
    parts = {module: account.ledgers[module].parts_of(Change(today, -number)) for module, number in licences.items()}
    return -sum(part.net_minor for of_module in parts.values() for part in of_module) - account.unbilled_minor(parts)


def restored(pools: Mapping[str, Pool]) -> tuple[dict[str, int], list[str]]:
    """Return the next period's number of each pool that goes on if the ending is taken back, and the pools that close by themselves."""
    numbers = {module: min(pool.former_next_period, pool.licences) for module, pool in pools.items() if pool.former_next_period}
    return numbers, sorted(module for module, pool in pools.items() if pool.former_next_period == 0)
