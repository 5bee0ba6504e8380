"""The check of an import: how it would change people, before it changes anybody."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final

from services.users.domain.facts import RECORD_FIELDS, Fact, FactType, fold
from services.users.domain.facts import Kind as PersonKind
from services.users.domain.guard import begins_conflict, ends_or_blocks
from services.users.domain.known_people import KnownPeople
from services.users.domain.matching import Matched, first_employed
from services.users.domain.merging import Stated
from services.users.domain.person import Person, Tenant, as_of
from services.users.domain.required_modules import profile_of
from services.users.domain.sources import Key
from services.users.domain.timelines import Period, Report, Reported, Statement, Timeline, has_newer

UPCOMING_MAX: Final = 20  # days with changes that a report shows of one person


class Kind(StrEnum):
    """Each person of an import counts once."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    INVALID = "invalid"  # cannot be read, or is in the import twice: not changed
    ABSENT = "absent"  # the source has the person, and the complete import does not


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected effect of a statement on one person."""

    kind: Kind
    person: Person
    ends: bool  # by the guard's measure
    releases: bool  # a required module is no longer required
    change: Mapping[str, Any]  # {before, after}, for the list of changes
    before: Collection[str] = ()  # required modules, and those that will be required when they are subscribed
    after: Collection[str] = ()


def expected(tenant: Tenant, before: KnownPeople, after: KnownPeople, matched: Matched, key: Key) -> Expected:
    """Return what the statements make of the person of the timeline: `before` has the people without them, and `after` has their
    timelines."""
    user = after.users[key]
    if after.timeline(key) == before.timeline(key) and key not in matched.links:
        old = after.people.get(user) or Person(user, *key, created_at=tenant.now)
        return Expected(Kind.UNCHANGED, old, ends=False, releases=False, change={})
    return _expected(tenant, before, after, matched, after.people.get(user), Person(user, *key, created_at=tenant.now))


def expected_of_other(tenant: Tenant, before: KnownPeople, after: KnownPeople, matched: Matched, user: str) -> Expected:
    """Return what the statements make of somebody whom none of them is about."""
    known = after.people[user]
    return _expected(tenant, before, after, matched, known, known)


def _expected(tenant: Tenant, before: KnownPeople, after: KnownPeople, matched: Matched, known: Person | None, unknown: Person) -> Expected:
    old = known or unknown
    user = old.user
    stated_before, stated_after = before.stated(user) if user in before.timelines else Stated((), is_reported=False), after.stated(user)
    new = as_of(replace(after.with_settings(old), conflict=matched.conflicts.get(user, old.conflict)), stated_after, tenant)
    required_before, required_after = old.standing.required.modules, new.standing.required.modules
    wanted_before, wanted_after = (*required_before, *old.standing.not_subscribed), (*required_after, *new.standing.not_subscribed)
    return Expected(
        Kind.CHANGED
        if known is not None and before.timelines.get(user)
        else Kind.NEW,  # somebody whose timelines are all about others now is new as well
        new,
        ends=ends_or_blocks(stated_before, stated_after, tenant, old.account) or begins_conflict(old, new.conflict, tenant.today),
        releases=not set(required_before) <= set(required_after),
        change={"before": _shown(old, stated_before, tenant.today), "after": _shown(new, stated_after, tenant.today)},
        before=wanted_before,
        after=wanted_after,
    )


def absence(timeline: Timeline, source: str, version: int, begun_at: int, today: date, fact_id: str) -> Statement:
    """Return the statement that a person leaves today who is missing from a complete import. Yesterday is the last day, also of somebody
    whose employment began today: without that day, the start would be cancelled, or an older employment would be the last one."""
    if timeline.version == 0:
        return Fact(fact_id, FactType.LEFT, today, 0, {}, source)
    yesterday = today - timedelta(days=1)
    kept = [
        Period(each.starts_on, yesterday if each.ends_on is None or each.ends_on >= today else each.ends_on)
        for each in timeline.report.periods
        if each.starts_on < today
    ]
    if not kept or kept[-1].ends_on != yesterday:
        kept.append(Period(yesterday, yesterday))
    return Reported(version, Report(tuple(kept), timeline.report.entries), begun_at)


def is_absent(timeline: Timeline, source: str, begun_at: int, today: date) -> bool:
    """Return whether a person who is missing from a complete import counts as absent: the source employs the person, and has stated
    nothing about the person since the import began."""
    record = fold(timeline.facts, today)
    return record is not None and record.employed and not has_newer(timeline, source, begun_at)


def _shown(person: Person, of: Stated, today: date) -> dict[str, Any] | None:
    if not of.parts:
        return None
    now = values_on(of, today)
    upcoming = []
    known: Mapping[str, Any] = now
    for day in sorted({fact.effective_date for fact in of.facts if fact.effective_date > today})[:UPCOMING_MAX]:
        values = values_on(of, day)
        if changed := {name: value for name, value in values.items() if known.get(name) != value}:
            upcoming.append({"on": day.isoformat()} | changed)
        known = values
    standing = person.standing
    shown = {"status": standing.status.value, "profile": standing.profile, "modules": list(standing.required.modules)}
    return {"user": person.user} | shown | now | {"upcoming": upcoming}


def values_on(of: Stated, day: date) -> dict[str, Any]:
    """Return the values of that day, as JSON takes them."""
    record = of.on(day)
    if record is None:
        return {"employed": False}
    values = {name: getattr(record, name) for name in RECORD_FIELDS}
    return {"employed": record.employed} | {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}


def department_without_profile(person: Person, of: Stated, tenant: Tenant) -> str | None:
    """Return the department of an employee who has no profile, as nobody has mapped the department; empty if the employee is in none. None
    for everybody else, also in a department that is mapped to no profile. Somebody who starts later is looked at on the first day."""
    record = of.on(tenant.today)
    if record is None or not record.employed:
        record = first_employed(of, tenant.today)
    if record is None or record.kind != PersonKind.EMPLOYEE or record.department in tenant.settings.departments:
        return None
    profile, _, _ = profile_of(record, person.account, tenant.settings)
    return None if profile is not None else record.department or ""


def required_change(changes: Iterable[tuple[Collection[str], Collection[str]]]) -> Mapping[str, int]:
    """Return by how many the number of people who require each module changes; each item is (modules before, modules after)."""
    total: Counter[str] = Counter()
    for before, after in changes:
        total.update(after)
        total.subtract(before)
    return total
