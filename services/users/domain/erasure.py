"""What a source may state about a person whose data were erased."""

import hashlib
from dataclasses import dataclass
from datetime import date

from services.users.domain.facts import Fact, FactType
from services.users.domain.sources import Key
from services.users.domain.timelines import Reported, Statement


@dataclass(frozen=True, slots=True)
class Erased:
    """The memory of an erased timeline: its person, and when that person left."""

    user: str
    left_on: date


def key_hash(key: Key) -> bytes:
    """Return what is kept of a source and an external id (`store.erasures` computes the same in the database)."""
    return hashlib.sha256("\x1f".join(key).encode()).digest()


def is_new_statement(statement: Statement, erased: Erased, today: date) -> bool:
    """Return whether the statement says something new: that the person works here again. What a source repeats about a leaver, such as the
    rows of a nightly import, does not bring the data back."""
    match statement:
        case Reported(report=report):
            return any(period.ends_on is None or period.ends_on >= today for period in report.periods)
        case Fact(type=FactType.HIRED | FactType.EMPLOYED):
            return statement.effective_date > erased.left_on
        case _:
            return False
