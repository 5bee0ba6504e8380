"""What a source may state about a person whose data were erased."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from services.users.domain.facts import BEGINNINGS, Fact, FactType
from services.users.domain.sources import Key
from services.users.domain.timelines import Reported, Statement


@dataclass(frozen=True, slots=True)
class Erased:
    """The memory of an erased timeline: its person, and the day after which a hire says something new."""

    user: str
    hires_known_until: date


def key_hash(key: Key) -> bytes:
    """Return what is kept of a source and an external id (`store.erasures` computes the same in the database)."""
    return hashlib.sha256("\x1f".join(key).encode()).digest()


def hires_known_until(left_on: date, facts: Iterable[Fact]) -> date:
    """Return the day after which a hire says something new about a person who counts as one who has left from `left_on` on.

    It is the last day of employment. Somebody who was hired on `left_on` and did not come has that hire already.
    """
    hired = any(fact.type in BEGINNINGS and fact.effective_date == left_on for fact in facts)
    return left_on if hired or left_on == date.min else left_on - timedelta(days=1)


def is_new_statement(statement: Statement, erased: Erased, today: date) -> bool:
    """Return whether the statement says something new: that the person works here again. What a source repeats about a leaver, such as the
    rows of a nightly import, does not bring the data back."""
    match statement:
        case Reported(report=report):
            return any(period.ends_on is None or period.ends_on >= today for period in report.periods)
        case Fact(type=FactType.HIRED | FactType.EMPLOYED):
            return statement.effective_date > erased.hires_known_until
        case _:
            return False
