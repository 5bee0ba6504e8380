"""The days of a company: hires, moves and leaves, and what its HR system reports on each of these days."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum

import orjson

from shared.hr_files.company import Company, Entry, Period, Person
from shared.hr_files.reports import report_of
from shared.schemas.hr_v1 import PersonReported

ONE_DAY = timedelta(days=1)


class Kind(StrEnum):
    HIRED = "hired"
    MOVED = "moved"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Happening:
    day: date  # of a leaving: the first day on which the person is not employed any more
    person: Person
    kind: Kind

    @property
    def department(self) -> str | None:
        department: str | None = self.person.values_on(self.day).get("department")
        return department


def history(company: Company) -> list[Happening]:
    """Everything the files say, in order of time; of one day in order of hire date, then id."""
    ordered = [(each.day, each.person.order, number, each) for person in company.people for number, each in enumerate(_of(person))]
    return [each for *_, each in sorted(ordered, key=lambda item: item[:3])]


def _of(person: Person) -> Iterator[Happening]:
    for period in person.periods:
        yield Happening(period.first, person, Kind.HIRED)
        for entry in person.entries:
            if period.first < entry.since <= (period.last or date.max) and _moves(person, entry):
                yield Happening(entry.since, person, Kind.MOVED)
        if period.last is not None:
            yield Happening(period.last + ONE_DAY, person, Kind.LEFT)


def _moves(person: Person, entry: Entry) -> bool:
    return entry.values.get("department") != person.values_on(entry.since - ONE_DAY).get("department")


def hired_on(company: Company, day: date) -> list[Happening]:
    """Return everybody who is employed on that day as hired on it: the company begins then."""
    return [Happening(day, person, Kind.HIRED) for person in company.people if person.employed_on(day)]


def changes_after(company: Company, day: date, until: date | None = None) -> list[Happening]:
    """Return the hires, moves and leaves after that day, in order of time. `hired_on` covers the days up to `day`."""
    return [each for each in history(company) if day < each.day and (until is None or each.day <= until)]


def reported_on(person: Person, begins: date, day: date) -> PersonReported:
    """Return what the HR system of a company that began on `begins` reports on that day: nothing before, and nothing later."""
    periods = tuple(
        Period(max(period.first, begins), period.last if period.last is not None and period.last < day else None)
        for period in person.periods
        if period.first <= day and (period.last is None or period.last >= begins)
    )
    entries = (Entry(begins, person.values_on(begins)), *(entry for entry in person.entries if begins < entry.since <= day))
    report = report_of(replace(person, periods=periods, entries=entries)) | {"version": day.toordinal()}
    return PersonReported.model_validate_json(orjson.dumps(report))
