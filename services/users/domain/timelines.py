"""Everything that is stated about a person, and what a new statement of the person's source makes of it."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from services.users.domain.facts import KINDS, RECORD_FIELDS, Fact, FactType, Kind, Record, fact_of, problem_of
from shared.schemas.base import Payload
from shared.schemas.hr_v1 import DatedAttributes, HrFact, PersonFactWithdrawn, PersonReported, PersonTimeline
from shared.text import is_unseen_name

OPEN_FROM: Final = date(2900, 1, 1)  # HR systems write an open end as a day in a distant year
_DEFAULTS: Final[Mapping[str, Any]] = {name: getattr(Record(employed=False), name) for name in RECORD_FIELDS}
_ID_EXPECTED: Final = "external_id: expected a text without NUL that is not empty"
_DATES: Final = frozenset({"valid_to"})


@dataclass(frozen=True, slots=True)
class Period:
    starts_on: date
    ends_on: date | None  # the last day; None: open


@dataclass(frozen=True, slots=True)
class Entry:
    """The values that change on a day."""

    since: date
    given: Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """What a source reported about a person as a whole, in normal form: two reports that say the same are equal."""

    periods: tuple[Period, ...] = ()  # in order of time, with at least a day between two of them
    entries: tuple[Entry, ...] = ()  # in order of time, each with something that differs from what held before

    @cached_property
    def facts(self) -> tuple[Fact, ...]:
        facts = [Fact("", FactType.CHANGED, entry.since, 0, entry.given) for entry in self.entries]
        for period in self.periods:
            facts.append(Fact("", FactType.EMPLOYED, period.starts_on, 0))
            if period.ends_on is not None:
                facts.append(Fact("", FactType.LEFT, period.ends_on + timedelta(days=1), 0))
        return tuple(facts)

    @cached_property
    def digest(self) -> str:
        return hashlib.blake2b(json.dumps(to_json(self), sort_keys=True).encode(), digest_size=16).hexdigest()


NO_REPORT: Final = Report()


def report_of(payload: PersonTimeline) -> Report:
    return Report(_merged(payload), _entries(payload.attributes))


def _merged(payload: PersonTimeline) -> tuple[Period, ...]:
    """Return the days of employment: periods that overlap or follow each other without a gap are one."""
    merged: list[Period] = []
    for given in sorted(payload.employment, key=lambda each: each.starts_on):
        ends_on = _unless_open(given.ends_on)
        last = merged[-1] if merged else None
        if last is not None and (last.ends_on is None or given.starts_on <= last.ends_on + timedelta(days=1)):
            ends_on = None if ends_on is None or last.ends_on is None else max(ends_on, last.ends_on)
            merged[-1] = replace(last, ends_on=ends_on)
        else:
            merged.append(Period(given.starts_on, ends_on))
    return tuple(merged)


def _unless_open(day: date | None) -> date | None:
    return day if day is not None and day < OPEN_FROM else None


def _entries(attributes: Iterable[DatedAttributes]) -> tuple[Entry, ...]:
    """Return what changes on each day.

    A value that is repeated is no statement. HR systems write all columns again when one of them changes, which must not end a single fact.
    """
    by_day: dict[date, dict[str, Any]] = {}
    for entry in sorted(attributes, key=lambda each: each.since):
        by_day.setdefault(entry.since, {}).update(_given(entry))
    entries: list[Entry] = []
    values = dict(_DEFAULTS)
    for day, given in by_day.items():
        if new := {name: value for name, value in sorted(given.items()) if values[name] != value}:
            entries.append(Entry(day, new))
            values |= new
    return tuple(entries)


def _given(entry: DatedAttributes) -> dict[str, Any]:
    """Return the values that the entry states; what is null or empty has its default again."""
    stated = {name: getattr(entry, name) for name in entry.model_fields_set if name != "since"}
    if "may_log_in" in stated:
        stated["login_allowed"] = stated.pop("may_log_in")
    if "valid_to" in stated:
        stated["valid_to"] = _unless_open(stated["valid_to"])
    blank = {name for name, value in stated.items() if value is None or (isinstance(value, str) and not value.strip())}
    return {name: _DEFAULTS[name] if name in blank else value for name, value in stated.items()}


@dataclass(frozen=True, slots=True)
class Reported:
    """The statement of `person_reported`, or of an import.

    `begun_at`: the import began after the fact with this arrival, so the facts that arrived since then are newer than the report.
    """

    version: int
    report: Report
    begun_at: int | None = None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The statement of `person_fact_withdrawn`."""

    fact: str


Statement = Fact | Reported | Withdrawn


def statement_of(payload: Payload, message_id: str, source: str) -> Statement:
    """Return what a readable message of a source states."""
    match payload:
        case PersonReported():
            return Reported(payload.version, report_of(payload))
        case PersonFactWithdrawn():
            return Withdrawn(payload.fact)
        case HrFact():
            return fact_of(payload, message_id, source)
        case _:
            raise TypeError(type(payload).__name__)


def problem_in(payload: Payload) -> str | None:
    """Return the rule that a readable message of a source breaks, with the name of the field; None if it breaks none."""
    match payload:
        case HrFact():
            return problem_of(payload)
        case PersonTimeline():
            return _problem_in_report(payload)
        case PersonFactWithdrawn(external_id=external_id) if not external_id.strip() or "\0" in external_id:
            return _ID_EXPECTED
        case _:
            return None


def _problem_in_report(payload: PersonTimeline) -> str | None:
    if not payload.external_id.strip() or "\0" in payload.external_id:
        return _ID_EXPECTED
    for number, period in enumerate(payload.employment):
        if period.ends_on is not None and period.ends_on < period.starts_on:
            return f"employment.{number}.ends_on: expected a day not before starts_on, {period.starts_on} (got {period.ends_on})"
    for number, entry in enumerate(payload.attributes):
        for name in entry.model_fields_set:
            if "\0" in str(getattr(entry, name)):
                return f"attributes.{number}.{name}: expected a text without NUL"
        if is_unseen_name(entry.name or ""):
            return f"attributes.{number}.name: expected a name with a character that can be seen"
        if entry.kind and entry.kind not in KINDS:
            return f"attributes.{number}.kind: expected one of {', '.join(Kind)} (got {entry.kind!r})"
    return None


def to_json(report: Report) -> dict[str, Any]:
    """Return the report as it is stored."""
    periods = [[period.starts_on.isoformat(), period.ends_on.isoformat() if period.ends_on else None] for period in report.periods]
    entries = [[entry.since.isoformat(), given_to_json(entry.given)] for entry in report.entries]
    return {"periods": periods, "entries": entries}


def from_json(content: Mapping[str, Any]) -> Report:
    periods = (Period(date.fromisoformat(start), date.fromisoformat(end) if end else None) for start, end in content["periods"])
    entries = (Entry(date.fromisoformat(since), given_from_json(given)) for since, given in content["entries"])
    return Report(tuple(periods), tuple(entries))


def given_to_json(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in given.items()}


def given_from_json(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: date.fromisoformat(value) if name in _DATES and value is not None else value for name, value in given.items()}


class Outcome(StrEnum):
    """The outcome of a source's statement."""

    TAKEN = "taken"
    UNCHANGED = "unchanged"  # it says what was known already
    STALE = "stale"  # the source has reported a higher version, or this one
    CONFLICT = "conflict"  # the same version with other content
    UNKNOWN = "unknown"  # a fact that is withdrawn is not there (any more)


@dataclass(frozen=True, slots=True)
class Timeline:
    """All that is stated about a person: the last report of the source, the facts that came since, and the edits by REST."""

    version: int = 0  # of the last report; 0: there is none
    report: Report = NO_REPORT
    singles: tuple[Fact, ...] = field(default=())  # in order of arrival

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (*self.report.facts, *self.singles)


def with_statement(timeline: Timeline, source: str, statement: Statement) -> tuple[Timeline, Outcome]:
    match statement:
        case Reported():
            return with_report(timeline, source, statement)
        case Withdrawn():
            return without_fact(timeline, source, statement.fact)
        case Fact():
            return with_fact(timeline, statement)


def with_report(timeline: Timeline, source: str, reported: Reported) -> tuple[Timeline, Outcome]:
    """Return the timeline after `person_reported`: it replaces all that this source has stated before, and nothing else."""
    version, report = reported.version, reported.report
    if version <= timeline.version:
        conflict = version == timeline.version and report != timeline.report
        return timeline, Outcome.CONFLICT if conflict else Outcome.STALE
    others = tuple(fact for fact in timeline.singles if fact.source != source or _is_newer(fact, reported.begun_at))
    unchanged = report == timeline.report and others == timeline.singles
    return Timeline(version, report, others), Outcome.UNCHANGED if unchanged else Outcome.TAKEN


def has_newer(timeline: Timeline, source: str, begun_at: int) -> bool:
    """Return whether the source has stated a fact since the import began."""
    return any(fact.source == source and _is_newer(fact, begun_at) for fact in timeline.singles)


def _is_newer(fact: Fact, begun_at: int | None) -> bool:
    return begun_at is not None and fact.arrival > begun_at


def with_fact(timeline: Timeline, fact: Fact) -> tuple[Timeline, Outcome]:
    """Return the timeline with one more fact. A fact that is stated again is the latest of its day."""
    if fact in timeline.singles and _is_last_of_its_day(fact, timeline.singles):
        return timeline, Outcome.UNCHANGED
    return replace(timeline, singles=(*_without(timeline.singles, fact.source, fact.id), fact)), Outcome.TAKEN


def without_fact(timeline: Timeline, source: str, fact_id: str) -> tuple[Timeline, Outcome]:
    """Return the timeline after `person_fact_withdrawn`."""
    singles = _without(timeline.singles, source, fact_id)
    return replace(timeline, singles=singles), Outcome.TAKEN if singles != timeline.singles else Outcome.UNKNOWN


def _without(facts: Sequence[Fact], source: str, fact_id: str) -> tuple[Fact, ...]:
    return tuple(fact for fact in facts if (fact.source, fact.id) != (source, fact_id))


def _is_last_of_its_day(fact: Fact, facts: Sequence[Fact]) -> bool:
    return [each for each in facts if each.effective_date == fact.effective_date][-1] == fact
