"""Local days and billing periods (T10, B7).

A period is [start, end) in local dates of the tenant. Its boundaries are counted from the anchor, the first period's start, never from the
previous boundary: an anchor on the 31st gives Jan 31, Feb 28, Mar 31, where counting on from February would stay on the 28th.
"""

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Term(StrEnum):
    MONTHLY = "monthly"
    ANNUAL = "annual"


MONTHS = {Term.MONTHLY: 1, Term.ANNUAL: 12}


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end): the end is the first day of the next one."""

    start: date
    end: date

    def __post_init__(self) -> None:
        assert self.start < self.end, "a period has at least one day"

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    def remaining(self, day: date) -> int:
        """Days from `day`, which counts, to the end (T10: the day of the order's approval counts)."""
        assert day in self, f"{day} is not in {self}"
        return (self.end - day).days


def boundary(anchor: date, term: Term, count: int) -> date:
    """The start of the `count`-th period from the anchor; a day the month does not have becomes its last one."""
    months = anchor.year * 12 + anchor.month - 1 + count * MONTHS[term]
    year, month = divmod(months, 12)
    last_day = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(anchor.day, last_day))


def period_at(anchor: date, term: Term, day: date) -> Period:
    """The period in which `day` lies."""
    months = (day.year - anchor.year) * 12 + day.month - anchor.month
    count = months // MONTHS[term]
    if boundary(anchor, term, count) > day:
        count -= 1
    period = Period(boundary(anchor, term, count), boundary(anchor, term, count + 1))
    assert day in period
    return period


def anchor_of(start: date, term: Term, billing_day: int | None) -> date | None:
    """Return the latest day from which a period begins on `start` and others on the billing day of their month; None: there is none.

    A contract from the 31st has a period from 28 February. Counted from 28 February, all later periods would begin on the 28th.
    """
    if billing_day is None:
        return start
    for back in range(12 * 8):  # within eight years there is a 29 February
        months = start.year * 12 + start.month - 1 - back * MONTHS[term]
        year, month = divmod(months, 12)
        if year < date.min.year:
            return None
        if calendar.monthrange(year, month + 1)[1] >= billing_day:
            anchor = date(year, month + 1, billing_day)
            return anchor if boundary(anchor, term, back) == start else None
    return None


def local_day(at: datetime, zone: str) -> date:
    return at.astimezone(ZoneInfo(zone)).date()


def start_of_day(day: date, zone: str) -> datetime:
    """The first instant of a local day, in UTC.

    Where the clock jumps over midnight, `fold=0` reads the missing hour with the offset before the jump, which is the instant of the jump
    itself; where midnight comes twice, `fold=0` is the first.
    """
    return datetime.combine(day, time(), tzinfo=ZoneInfo(zone)).astimezone(UTC)


def add_days(day: date, days: int) -> date:
    return day + timedelta(days=days)
