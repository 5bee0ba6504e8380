"""The person that several timelines make together: each is folded alone, and then merged by the order of their sources."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Final

from services.users.domain.facts import BEGINNINGS, RECORD_FIELDS, Fact, FactType, Record, fold_by_day, next_change
from services.users.domain.sources import Key, SourceKind, Sources, source_of
from services.users.domain.timelines import Timeline

_DEFAULTS: Final = Record(employed=False)
_MERGED: Final = tuple(name for name in RECORD_FIELDS if name != "login_allowed")
_DECIDING: Final = (SourceKind.HR, SourceKind.REST, SourceKind.SCIM)  # the first kind of source that knows a person decides on employment
_EMPLOYMENT: Final = (*BEGINNINGS, FactType.LEFT)


@dataclass(frozen=True, slots=True)
class Part:
    """The facts of one timeline of a person, and the source that states them."""

    source: str
    kind: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Employment:
    """An administrator's statement that the person is employed from a day on, until `ends_on` if there is one, or is not employed. It goes
    before those of the sources until the sources state another end than `sources_end`."""

    employed: bool
    since: date
    sources_end: date | None = None
    ends_on: date | None = None  # the last day of employment

    @property
    def days(self) -> tuple[date, ...]:
        """Return the days on which the person changes by it."""
        return (self.since,) if self.ends_on is None else (self.since, self.ends_on + timedelta(days=1))

    def employs_on(self, day: date) -> bool:
        return self.employed and (self.ends_on is None or day <= self.ends_on)


@dataclass(frozen=True, slots=True)
class Overrides:
    """What administrators have set for a person whom other sources report: it goes before what these state."""

    values: Mapping[str, Any] = field(default_factory=dict)
    employment: Employment | None = None


NO_OVERRIDES: Final = Overrides()
OVERRIDE: Final = "override"  # instead of the name of a source


@dataclass(frozen=True)
class Stated:
    """All that is stated about a person: timelines in the order of their sources, and overrides.

    `is_reported`: a source has stated something about the person, even if none of it holds any more.
    """

    parts: tuple[Part, ...]
    overrides: Overrides = NO_OVERRIDES
    is_reported: bool = True
    _records: dict[date, Record | None] = field(init=False, default_factory=dict, repr=False, compare=False)

    @cached_property
    def lacks_employment(self) -> bool:
        """Return whether the sources employ the person on no day, in the past or later."""
        return self.is_reported and not any(fact.type in BEGINNINGS for part in _deciding(self.parts) for fact in part.facts)

    @property
    def never_employed(self) -> bool:
        """Return whether nothing that is stated employs the person on any day, in the past or later: the start was cancelled, or nobody
        came. Such a person counts as one who has left, but not as a leaver (M9)."""
        return self.lacks_employment and (self.overrides.employment is None or not self.overrides.employment.employed)

    @property
    def facts(self) -> tuple[Fact, ...]:
        return self.parts[0].facts if len(self.parts) == 1 else tuple(fact for part in self.parts for fact in part.facts)

    def on(self, day: date) -> Record | None:
        """Return the person as of the day; None if nobody has been employed by then. A day is computed once."""
        if day not in self._records:
            self._records[day] = next(merged_by_day(self, (day,)))
        return self._records[day]


def stated(timelines: Mapping[Key, Timeline], sources: Sources, overrides: Overrides = NO_OVERRIDES) -> Stated:
    """Return what the timelines state, in the order of their sources; overrides that have ended are left out."""
    found = [(source_of(sources, key.source), key, timeline.facts) for key, timeline in timelines.items()]
    if len(found) > 1:
        found.sort(key=lambda each: (each[0].position, each[0].arrival, each[1]))
    parts = tuple(Part(key.source, source.kind, facts) for source, key, facts in found if facts)
    return Stated(parts, overrides if overrides is NO_OVERRIDES else without_ended(overrides, parts), is_reported=bool(timelines))


def without_ended(overrides: Overrides, parts: Sequence[Part]) -> Overrides:
    """Return the overrides that still hold: one of employment ends when the sources state another end than before."""
    employment = overrides.employment
    if employment is None:
        return overrides
    end = sources_end(parts)
    if employment.employed:
        if end == employment.sources_end:
            return overrides
        employment = None if employment.ends_on is None else Employment(False, employment.ends_on + timedelta(days=1))
    # Somebody who was made a leaver stays one until the sources say so too; then nothing is left to override.
    if employment is not None and end is not None and end <= employment.since:
        employment = None
    return overrides if employment is overrides.employment else replace(overrides, employment=employment)


def sources_end(parts: Sequence[Part]) -> date | None:
    """Return the day from which on the sources that decide on employment no longer employ the person; None: there is no such day."""
    ends = []
    for part in _deciding(parts):
        last = max((fact for fact in part.facts if fact.type in _EMPLOYMENT), key=lambda fact: fact.order, default=None)
        if last is not None and last.type is not FactType.LEFT:
            return None
        if last is not None:
            ends.append(last.effective_date)
    return max(ends, default=None)


def _deciding(parts: Sequence[Part]) -> list[Part]:
    for kind in _DECIDING:
        if found := [part for part in parts if part.kind == kind]:
            return found
    return []


def merged_by_day(of: Stated, days: Sequence[date]) -> Iterator[Record | None]:
    """Yield the person as of each of these days, which ascend."""
    folded = [fold_by_day(part.facts, days, known=of.lacks_employment) for part in of.parts]
    if len(folded) == 1 and of.overrides is NO_OVERRIDES:
        yield from folded[0]
        return
    kind = next((part.kind for part in _deciding(of.parts)), None)
    deciding = [number for number, part in enumerate(of.parts) if part.kind == kind]
    for day in days:
        records = [next(each) for each in folded]
        record = _merged(records, deciding) if records or not of.lacks_employment else Record(employed=False)
        yield _overridden(record, of.overrides, day)


def record_of(part: Part, day: date, *, known: bool = False) -> Record | None:
    """Return the person as one source alone describes it on the day. `known`: also somebody who is not employed yet."""
    return next(fold_by_day(part.facts, (day,), known=known))


@dataclass(frozen=True, slots=True)
class Origin:
    """The value of a field, the source that states it, and other values that it hides, with their sources."""

    value: Any
    source: str
    hides: tuple[tuple[str, Any], ...]


def origins(of: Stated, today: date) -> dict[str, Origin]:
    """Return for each field that anybody states where its value comes from; `employed` is one of them."""
    found: dict[str, Origin] = {}
    record = of.on(today)
    alone = [(part.source, record_of(part, today, known=of.lacks_employment)) for part in of.parts]
    employed = any(each is not None and each.employed for _, each in alone)
    stating = [(source, each) for source, each in alone if each is not None and (each.employed or not employed)]
    for name in RECORD_FIELDS:
        stated_by = [(source, value) for source, each in stating if (value := getattr(each, name)) != getattr(_DEFAULTS, name)]
        _add_origin(found, name, record, stated_by, overridden=name in of.overrides.values)
    deciding = {part.source for part in _deciding(of.parts)}
    decided = [(source, each.employed) for source, each in alone if each is not None and source in deciding]
    decided.sort(key=lambda each: not each[1])  # one source that employs the person is enough
    _add_origin(found, "employed", record, decided, overridden=_employment_holds(of.overrides, today))
    return found


def _add_origin(
    found: dict[str, Origin], name: str, record: Record | None, stated_by: Sequence[tuple[str, Any]], *, overridden: bool
) -> None:
    if record is None or not (stated_by or overridden):
        return
    value = getattr(record, name)
    source = OVERRIDE if overridden else stated_by[0][0]
    found[name] = Origin(value, source, tuple((by, other) for by, other in stated_by if other != value))


def _employment_holds(overrides: Overrides, today: date) -> bool:
    return overrides.employment is not None and overrides.employment.since <= today


def _merged(records: Sequence[Record | None], deciding: Iterable[int]) -> Record | None:
    known = [record for number in deciding if (record := records[number]) is not None]
    if not known:
        return None
    employed = any(record.employed for record in known)
    # A source that has ended the person states nothing about somebody whom another one employs.
    stating = [record for record in records if record is not None and (record.employed or not employed)]
    values = {
        name: next((value for record in stating if (value := getattr(record, name)) != getattr(_DEFAULTS, name)), getattr(_DEFAULTS, name))
        for name in _MERGED
    }
    return Record(employed, **values, login_allowed=all(record.login_allowed for record in stating))


def _overridden(record: Record | None, overrides: Overrides, day: date) -> Record | None:
    if record is None or overrides is NO_OVERRIDES:
        return record
    employment = overrides.employment
    employed = employment.employs_on(day) if employment is not None and employment.since <= day else record.employed
    return replace(record, employed=employed, **overrides.values)


def left_since(of: Stated, today: date) -> date | None:
    """Return the day after the last day of employment, by what is stated today; None for somebody who is employed, or never was."""
    if of.never_employed:
        return None
    days = sorted({today, *(day for day in _days(of) if day <= today)})
    found: date | None = None
    for day, record in zip(days, merged_by_day(of, days), strict=True):
        found = None if record is None or record.employed else found or day
    return found


def last_day_ahead(of: Stated, today: date) -> date | None:
    """Return the coming last day of the present employment; None: no end is stated, or the person is not employed today."""
    record = of.on(today)
    if record is None or not record.employed:
        return None
    days = days_ahead(of, today)
    stated = zip(days, merged_by_day(of, days), strict=True)
    return next((day - timedelta(days=1) for day, then in stated if then is None or not then.employed), None)


def takes_leaving_back(before: Stated, after: Stated, today: date) -> bool:
    """Return whether the person has left by what was stated before, and by what is stated now was employed on all days since: the leaving
    was a mistake. Somebody who was hired again later has left all the same."""
    days = sorted({today, *(day for day in (*_days(before), *_days(after)) if day <= today)})
    left_on = left_since(before, today)
    if left_on is None:
        return False
    since = [day for day in days if day >= left_on]
    return all(record is not None and record.employed for record in merged_by_day(after, since))


def days_ahead(of: Stated, today: date) -> list[date]:
    """Return the days after today on which what is stated can change the person, in order."""
    return sorted(day for day in _days(of) if day > today)


def _days(of: Stated) -> set[date]:
    days = {fact.effective_date for fact in of.facts}
    ends = {fact.given.get("valid_to") for fact in of.facts} | {of.overrides.values.get("valid_to")}
    days |= {end + timedelta(days=1) for end in ends if end is not None and end < date.max}
    if of.overrides.employment is not None:
        days.update(of.overrides.employment.days)
    return days


def reconsider_on(of: Stated, record: Record | None, today: date) -> date | None:
    """Return the next local day on which time alone can change this person: a fact or an override becomes effective, or the login ends."""
    found, employment = next_change(of.facts, record, today), of.overrides.employment
    ahead = [] if employment is None else [day for day in employment.days if day > today]
    return min([*ahead, *(() if found is None else (found,))], default=None)
