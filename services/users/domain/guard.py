"""The guard against reports that would end the access of many people by mistake."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from services.users.domain.conflicts import Conflict
from services.users.domain.facts import Record
from services.users.domain.merging import Stated, days_ahead, merged_by_day
from services.users.domain.person import Person, Tenant
from services.users.domain.required_modules import NO_MODULES, Account
from services.users.domain.sources import PEOPLE_DEFAULT, PERCENT_DEFAULT
from services.users.domain.status import standing

WINDOW: Final = timedelta(hours=1)  # of the tenant's time: what a source ends within it counts together, however slowly it comes


@dataclass(frozen=True, slots=True)
class GuardLimit:
    """If more people than this, and more than this part of the tenant's people, would lose access, a confirmation is needed."""

    people: int = PEOPLE_DEFAULT
    percent: int = PERCENT_DEFAULT

    def of(self, employed: int) -> int:
        return max(self.people, employed * self.percent // 100)


@dataclass(frozen=True, slots=True)
class Endings:
    """The people whose access a source has ended within the window, those whose access it would end now, and how many both may be."""

    ended: frozenset[str]  # external ids, without a confirmation
    would_end: frozenset[str]
    limit: int

    @property
    def need_confirmation(self) -> bool:
        return bool(self.would_end) and len(self.ended | self.would_end) > self.limit


def works(record: Record | None, day: date) -> bool:
    """Return whether the person is employed on that day and not blocked by a statement."""
    if record is None or not record.employed or not record.login or not record.login_allowed:
        return False
    return record.valid_to is None or record.valid_to >= day


def ends_or_blocks(before: Stated, after: Stated, tenant: Tenant, account: Account) -> bool:
    """Return whether there is a day, today or later, on which the person works by what was stated before and not by what is stated now, or
    requires modules before and none now, for example by a move into a department without a profile."""
    days = sorted({tenant.today, *days_ahead(before, tenant.today), *days_ahead(after, tenant.today)})

    def requires(record: Record | None, day: date) -> bool:
        return standing(record, account, tenant.settings, day).required != NO_MODULES

    records = zip(days, merged_by_day(before, days), merged_by_day(after, days), strict=True)
    return any(
        (works(old, day) and not works(new, day)) or (old != new and requires(old, day) and not requires(new, day))
        for day, old, new in records
    )


def begins_conflict(old: Person, conflict: Conflict | None, today: date) -> bool:
    """Return whether a conflict begins that takes the seats of somebody who works: a person in conflict requires no module."""
    return conflict is not None and old.conflict is None and works(old.record, today)
