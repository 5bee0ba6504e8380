"""Compare what the sources, users and seats say about people, some at a time in the order of their ids."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.users.domain import differences as rules
from services.users.domain.differences import Difference, DifferenceKind, Examined, Says
from services.users.domain.known_people import KnownPeople
from services.users.domain.module_states import Seat
from services.users.domain.person import Person, Tenant
from services.users.domain.sources import Source, SourceKind, source_of
from services.users.store import differences as store
from services.users.store import module_states, people
from services.users.use_cases import known_people
from services.users.use_cases.seats_questions import SeatsQuestions
from shared.database import Database

AT_ONCE: Final = 200  # people in one step; the event loop does other work in between
EXAMINED_MAX: Final = 2_000  # people of one answer
DEFAULT_KINDS: Final = tuple(kind for kind in DifferenceKind if kind is not DifferenceKind.VALUE)


@dataclass(frozen=True, slots=True)
class Differing:
    """A person with differences; None as `examined` for somebody whom users does not know."""

    user: str
    examined: Examined | None
    differences: Sequence[Difference]


@dataclass
class Counts:
    """The people examined, by what each part says about them today."""

    examined: int = 0
    by_source: Counter[str] = field(default_factory=Counter)
    blocked_by_source: Counter[str] = field(default_factory=Counter)
    employed: int = 0
    requiring: int = 0
    with_seat: int | None = 0  # None: seats did not answer
    differing: int = 0
    hidden: int = 0  # of those who differ, as the reader does not see them


@dataclass
class Comparison:
    sources: Sequence[Source] = ()
    counts: Counts = field(default_factory=Counts)
    found: list[Differing] = field(default_factory=list)
    next: str | None = None  # the last person examined, if there are more
    first: bool = True  # the page begins with the first person


@dataclass(frozen=True, slots=True)
class _Step:
    tenant: Tenant
    sources: Sequence[Source]
    users: Sequence[str]
    known: KnownPeople
    recorded: Mapping[str, Mapping[str, Seat]]


async def compare(
    database: Database,
    for_read: Callable[..., Awaitable[Tenant]],
    seats: SeatsQuestions,
    tenant_id: str,
    *,
    after: str,
    limit: int,
    kinds: Collection[DifferenceKind],
    sees: Callable[[str, str | None], bool],
) -> Comparison:
    """Compare the people after `after`, until `limit` of them differ or enough are examined. `sees` tells whom the reader sees."""
    result = Comparison(first=not after)
    while True:
        step = await _load(database, for_read, tenant_id, after)
        is_last = len(step.users) < AT_ONCE
        live = await seats.seats(tenant_id, after, None if is_last else step.users[-1]) if result.counts.with_seat is not None else None
        if live is None:
            result.counts.with_seat = None
        live = None if live is None else {user: states for user, states in live.items() if user > after}
        result.sources = step.sources
        everybody = sorted({*step.users, *(live or ())})
        for user in everybody:
            if len(result.found) == limit:
                result.next = after
                return result
            _examine(result, step, user, live, kinds, sees)
            after = user
        if is_last:
            return result
        if result.counts.examined >= EXAMINED_MAX:
            result.next = after
            return result
        await asyncio.sleep(0)


async def _load(database: Database, for_read: Callable[..., Awaitable[Tenant]], tenant_id: str, after: str) -> _Step:
    async with database.unit_of_work(tenant_id) as uow:
        tenant = await for_read(tenant_id, uow)
        users = await store.users_after(uow.connection, tenant_id, after, AT_ONCE)
        found = await people.get_many(uow.connection, tenant_id, users, tenant.today)
        known = await known_people.of_users(tenant, uow, list(found.values()))
        recorded = await module_states.load(uow.connection, tenant_id, users)
        sources = [source_of(known.sources, name) for name in await store.reporting_sources(uow.connection, tenant_id)]
    return _Step(tenant, sources, users, known, recorded)


def _examine(
    result: Comparison,
    step: _Step,
    user: str,
    live: Mapping[str, Mapping[str, str]] | None,
    kinds: Collection[DifferenceKind],
    sees: Callable[[str, str | None], bool],
) -> None:
    person = step.known.people.get(user)
    states = None if live is None else live.get(user, {})
    if person is None:
        found = [rules.unknown_person(user, states or {})]
        examined = None
    else:
        said = rules.said_about(step.known, user, step.tenant)
        examined = Examined(person, step.known.stated(user), said, step.recorded.get(user, {}), states)
        reporting = {source.kind for source in step.sources}
        found = rules.differences(step.known, examined, reporting, step.tenant)
        _count(result.counts, person, examined)
    if result.counts.with_seat is not None and states is not None:
        result.counts.with_seat += any(state in rules.USABLE for state in states.values())
    found = [each for each in found if each.kind in kinds]
    if not found:
        return
    result.counts.differing += 1
    if sees(user, None if person is None else person.department):
        result.found.append(Differing(user, examined, found))
    else:
        result.counts.hidden += 1


def _count(counts: Counts, person: Person, examined: Examined) -> None:
    counts.examined += 1
    for each in examined.said:
        if each.says in (Says.EMPLOYED, Says.BLOCKED):
            counts.by_source[each.source] += 1
        if each.says is Says.BLOCKED:
            counts.blocked_by_source[each.source] += 1
    counts.employed += person.record is not None and person.record.employed
    counts.requiring += bool(person.standing.required.modules)


def summary(result: Comparison) -> str:
    """Return the counts as a sentence."""
    counts = result.counts
    shown = (SourceKind.HR, SourceKind.SCIM)
    sources = [f"{source.source} says {counts.by_source[source.source]}" for source in result.sources if source.kind in shown]
    sources.append(f"users {counts.employed}, of whom {counts.requiring} require modules")
    sources.append("seats did not answer" if counts.with_seat is None else f"seats {counts.with_seat}")
    people = "1 person differs" if counts.differing == 1 else f"{counts.differing} people differ"
    hidden = f" ({counts.hidden} of them outside your departments)" if counts.hidden else ""
    page = "" if result.first and result.next is None else f"Of the {counts.examined} people of this page, "
    return f"{page}{', '.join(sources)}; {people}{hidden}."
