"""Staged imports: people are uploaded, checked as a whole, and applied in chunks by a background job."""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from services.users.domain import imports as rules
from services.users.domain.conflicts import ConflictReason
from services.users.domain.imports import Expected, Kind
from services.users.domain.known_people import KnownPeople
from services.users.domain.logins import claimed_login, login_key
from services.users.domain.matches import of_first_report
from services.users.domain.matching import Matched
from services.users.domain.person import Person, Tenant, command_of
from services.users.domain.required_modules import must_send
from services.users.domain.sources import Key, source_of
from services.users.domain.timelines import Outcome, Report, Reported, Statement, Timeline, from_json, to_json, with_statement
from services.users.store import held_statements as held_store
from services.users.store import hr_sources, pools
from services.users.store import imports as store
from services.users.store import people as people_store
from services.users.store.imports import CheckedPerson, ImportRow, StagedKey, StagedPerson
from services.users.use_cases import erased_timelines, guard, known_people, matching
from services.users.use_cases.preview_person import licences_of, status_after
from services.users.use_cases.seats_questions import COMMANDS_MAX, SeatsQuestions, states_in
from shared import ids
from shared.database import UnitOfWork
from shared.errors import Conflict, Invalid, NotFound
from shared.schemas.base import Actor
from shared.schemas.hr_v1 import VERSION_MAX
from shared.schemas.seats_v1 import Reason

POSITIONS_MAX: Final = 1_000_000  # people of one import; those who are absent have the positions after these
AT_ONCE: Final = 250  # people in one step of the check; the event loop does other work in between
TOGETHER_MAX: Final = 5000  # whose statements one step looks at, because they share logins
NAMED_MAX: Final = 100  # people whom a report names
APPLIED: Final = (Kind.NEW, Kind.CHANGED, Kind.ABSENT)
_TWICE: Final = {"field": "external_id", "expected": "a person only once in an import"}


@dataclass(frozen=True, slots=True)
class GivenPerson:
    """One person of an upload: a report, or what is wrong with it."""

    external_id: str
    report: Report | None
    errors: Sequence[Mapping[str, str]] = ()


async def begin(tenant: Tenant, uow: UnitOfWork, source: str, *, complete: bool, absent: str, actor: Actor) -> ImportRow:
    """Raises Invalid for a source that is not allowed or has used the highest version, and Conflict while another import is running."""
    permission = await hr_sources.permission(uow.connection, tenant.tenant, source)
    if not permission.allowed:
        raise Invalid(
            "body.source", source, "a source on the allow-list for this tenant (an operator adds it: PUT /v1/operator/sources/{source})"
        )
    await hr_sources.lock(uow.connection, source)  # of two that begin at once, the second one sees the first
    await store.expire(uow.connection, tenant.tenant, source)
    running = await store.running(uow.connection, tenant.tenant, source)
    if running is not None:
        raise Conflict(
            "import-running",
            f"The import {running.import_id} of {source} is still {running.status}. Apply or delete it, or wait until it has expired: "
            "one hour after its last upload.",
            running=running.import_id,
        )
    version = await store.last_version(uow.connection, tenant.tenant, source) + 1
    if version > VERSION_MAX:
        raise Invalid("body.source", source, f"a source that has not used the highest version, {VERSION_MAX}; import from another source")
    import_id = ids.new_id()
    row = {"import_id": import_id, "source": source, "version": version, "complete": complete, "absent": absent}
    await store.add(uow.connection, tenant.tenant, row | {"actor": actor.model_dump()})
    return await get(tenant.tenant, uow, import_id)


async def get(tenant: str, uow: UnitOfWork, import_id: str, *, for_update: bool = False) -> ImportRow:
    """Raises NotFound."""
    found = await store.get(uow.connection, tenant, import_id, for_update=for_update)
    if found is None:
        raise NotFound("import", "An import expires one hour after its last upload. Begin another import.")
    return found


async def put_people(tenant: str, uow: UnitOfWork, import_id: str, first: int, people: Sequence[GivenPerson]) -> None:
    """Store people at the positions from `first` on. Raises Conflict if the import is being applied."""
    row = await _open(tenant, uow, import_id)
    if first + len(people) > POSITIONS_MAX:
        raise Invalid("path.first", first, f"at most {POSITIONS_MAX} people in one import")
    staged = [_staged(tenant, row, position, person) for position, person in enumerate(people, start=first)]
    await store.put_people(uow.connection, tenant, import_id, staged)
    await store.save(uow.connection, tenant, replace(row, status="collecting", report=None))


def _staged(tenant: str, row: ImportRow, position: int, person: GivenPerson) -> StagedPerson:
    user = ids.person_id(tenant, row.source, person.external_id)
    report, digest = (None, "") if person.report is None else (to_json(person.report), person.report.digest)
    return StagedPerson(position, person.external_id, user, digest, report, person.errors)


async def discard(tenant: str, uow: UnitOfWork, import_id: str) -> None:
    """Raises NotFound, and Conflict if the import is being applied."""
    row = await get(tenant, uow, import_id, for_update=True)
    if row.status == "applying":
        raise _cannot_change(row)
    await store.remove(uow.connection, tenant, import_id)


async def _open(tenant: str, uow: UnitOfWork, import_id: str) -> ImportRow:
    row = await get(tenant, uow, import_id, for_update=True)
    if row.status not in ("collecting", "checked"):
        raise _cannot_change(row)
    return row


def _cannot_change(row: ImportRow) -> Conflict:
    return Conflict("import-applied", f"The import {row.import_id} is {row.status}. To change people again, begin another import.")


# ------------------------------------------------------------------------------------------------------------------ the check


@dataclass
class _Found:
    """The check of an import so far. `present` are the external ids of the import, also of people who cannot be read."""

    present: Collection[str]
    leaving: set[str] = field(default_factory=set)  # external ids of people who are absent, and leave
    absent: list[Mapping[str, str]] = field(default_factory=list)
    modules: dict[str, tuple[Sequence[str], Sequence[str]]] = field(default_factory=dict)  # by person: required before and after
    asking: dict[str, tuple[str, Person, bool]] = field(default_factory=dict)  # whose command would change: (external id, person, releases)
    logins: dict[str, str] = field(default_factory=dict)  # that earlier steps have given to somebody, and the external id
    new: int = 0  # people of earlier steps who match nobody
    duplicates_held: bool = False  # new people wait as possible duplicates
    changed: set[str] = field(default_factory=set)  # people whom the import changes itself
    others: dict[str, Mapping[str, str]] = field(default_factory=dict)  # people whose status changes with theirs
    without_profile: dict[str, str] = field(default_factory=dict)  # person and department; empty: none


async def check(tenant: Tenant, uow: UnitOfWork, import_id: str, seats: SeatsQuestions) -> Mapping[str, Any]:
    """Return what the import would change, and store it with the import. Changes nobody. Raises Conflict."""
    row = await _open(tenant.tenant, uow, import_id)
    await store.clear_check(uow.connection, tenant.tenant, import_id)
    keys = await store.keys(uow.connection, tenant.tenant, import_id)
    await _check_keys(tenant, uow, row, keys)
    found, after = _Found({key.external_id for key in keys}), -1
    if row.complete:
        await _find_absent(tenant, uow, row, found)
    kinds = [Kind.ABSENT.value] if row.absent == "leave" else []
    while people := await store.unchecked(uow.connection, tenant.tenant, import_id, kinds, after, AT_ONCE):
        after = people[-1].position
        await _check_people(tenant, uow, row, people, found)
    report = await _report(tenant, uow, row, found, seats)
    changed = sum(report["counts"][kind.value] for kind in (Kind.NEW, Kind.CHANGED))
    leaving = report["counts"]["absent"] if row.absent == "leave" else 0
    await store.save(uow.connection, tenant.tenant, replace(row, status="checked", report=report, total=changed + leaving, done=0))
    return report


async def _check_keys(tenant: Tenant, uow: UnitOfWork, row: ImportRow, keys: Sequence[StagedKey]) -> None:
    """Find the people who are in the import twice, and those about whom it says what the source has reported already."""
    readable = [key for key in keys if key.readable]
    times = Counter(key.external_id for key in readable)
    twice = [key.position for key in readable if times[key.external_id] > 1]
    digests = await store.unchanged_digests(uow.connection, tenant.tenant, row.source)
    unchanged = [key.position for key in readable if times[key.external_id] == 1 and digests.get(key.external_id) == key.digest]
    await store.mark_twice(uow.connection, tenant.tenant, row.import_id, twice, [_TWICE])
    await store.mark_unchanged(uow.connection, tenant.tenant, row.import_id, unchanged)


async def _check_people(tenant: Tenant, uow: UnitOfWork, row: ImportRow, people: Sequence[StagedPerson], found: _Found) -> None:
    """Save what the import would make of these people."""
    given = {Key(row.source, each.external_id): each.report for each in people}
    statements = {key: _reported(row, report) for key, report in given.items() if report is not None}
    of_erased = await erased_timelines.repeated(tenant, uow, statements)
    keys = [key for key in given if key not in of_erased]
    before = await known_people.load(tenant, uow, keys)
    if found.duplicates_held:
        held = replace(source_of(before.sources, row.source), duplicates_held=True)
        before = replace(before, sources={**before.sources, row.source: held})
    after = before.copy()
    for key in keys:
        _state(tenant, row, after, key, given[key])
    earlier, chained = await _add_concerned(tenant, uow, row, before, after, found, {key.external_id for key in given})
    first = [key for key in (*earlier, *keys) if before.is_first(key)]
    matched = await matching.match(tenant, uow, after, first, lock=False, added=found.new)
    others = await _add_before(tenant, uow, before, after, matched)
    checked = []
    for number, person in enumerate([*people, *await _without_erased(tenant, uow, row, chained)]):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        key = Key(row.source, person.external_id)
        if key in of_erased:
            checked.append(CheckedPerson(person.position, person.user_id, Kind.UNCHANGED.value, ends=False, releases=False, change={}))
            continue
        result = rules.expected(tenant, before, after, matched, key)
        kind = Kind.ABSENT.value if person.kind == Kind.ABSENT.value else result.kind.value
        match = {"match": of_first_report(matched, key, result.person.user)} if key in first and result.change else {}
        checked.append(CheckedPerson(person.position, result.person.user, kind, result.ends, result.releases, {**result.change, **match}))
        _note(found, person.external_id, result)
        if (department := rules.department_without_profile(result.person, after.stated(result.person.user), tenant)) is not None:
            found.without_profile[result.person.user] = department
    for user in (each for each in others if after.timelines[each]):  # else the person is now part of another one
        _note_other(found, rules.expected_of_other(tenant, before, after, matched, user), before.people[user])
    found.new += len(set(matched.new).intersection(after.users[key] for key in keys))
    found.duplicates_held |= any(
        conflict is not None and conflict.reason == ConflictReason.POSSIBLE_DUPLICATE for conflict in matched.conflicts.values()
    )
    await store.save_checked(uow.connection, tenant.tenant, row.import_id, checked)


async def _without_erased(tenant: Tenant, uow: UnitOfWork, row: ImportRow, people: Sequence[StagedPerson]) -> list[StagedPerson]:
    if not people:
        return []
    statements = {Key(row.source, each.external_id): _reported(row, each.report) for each in people if each.report is not None}
    erased = await erased_timelines.repeated(tenant, uow, statements)
    return [each for each in people if Key(row.source, each.external_id) not in erased]


def _reported(row: ImportRow, report: Mapping[str, Any]) -> Reported:
    return Reported(row.version, from_json(report), row.begun_at)


def _state(tenant: Tenant, row: ImportRow, known: KnownPeople, key: Key, report: Mapping[str, Any] | None) -> None:
    """Let the timeline be what the import says; without a report, the person is absent and leaves."""
    timeline = known.timeline(key)
    if report is None and not rules.is_absent(timeline, row.source, row.begun_at, tenant.today):
        return
    statement = absence(tenant, row, timeline) if report is None else _reported(row, report)
    timeline, outcome = with_statement(timeline, row.source, statement)
    if outcome is Outcome.TAKEN:
        known.put(key, timeline)


async def _add_concerned(
    tenant: Tenant, uow: UnitOfWork, row: ImportRow, before: KnownPeople, after: KnownPeople, found: _Found, here: set[str]
) -> tuple[list[Key], list[StagedPerson]]:
    """Add what the import says about others: under another external id about one of these people, and about those who have a login that
    somebody is given. They may give it up in another step, also because they are absent and leave. Return those who were given such a login
    by an earlier step, and those whom this step can check as well, because everybody whom they concern was added, too."""
    earlier: dict[Key, None] = {}
    chained: list[StagedPerson] = []
    stated = set(after.timelines)  # the people of this step at first, then those whom the last turn added
    while len(here) <= TOGETHER_MAX:
        changes = [(before.people.get(user), after.stated(user).on(tenant.today)) for user in stated]
        claimed = [login for person, record in changes if (login := claimed_login(person.record if person else None, record))]
        holders = await store.holders(uow.connection, tenant.tenant, row.source, claimed) if claimed else set[str]()
        given = {found.logins[login] for login in claimed if login in found.logins}
        wanted = sorted((holders | given | {key.external_id for key in after.users if key.source == row.source}) - here)
        if not wanted:
            return list(earlier), [each for each in chained if not before.is_first(Key(row.source, each.external_id))]
        here |= set(wanted)
        staged = await store.readable(uow.connection, tenant.tenant, row.import_id, wanted)
        keys = [Key(row.source, who) for who in wanted if who in staged or who in found.leaving]
        others = await known_people.load(tenant, uow, [key for key in keys if key not in after.users])
        before.add(others.copy())
        after.add(others)
        for key in keys:
            person = staged.get(key.external_id)
            _state(tenant, row, after, key, person.report if person is not None else None)
        earlier |= {key: None for key in keys if key.external_id in given}
        chained += [each for each in staged.values() if each.kind is None]
        stated = {after.users[key] for key in keys}
    return list(earlier), []


async def _add_before(tenant: Tenant, uow: UnitOfWork, before: KnownPeople, after: KnownPeople, matched: Matched) -> list[str]:
    """Add to `before` those with whom somebody is linked, and those whose conflict begins or ends; return all of these."""
    changed = [user for user, conflict in matched.conflicts.items() if user in after.people and after.people[user].conflict != conflict]
    linked = [link.user for link in matched.links.values() if link.user in after.people]
    concerned = list(dict.fromkeys([*changed, *linked]))
    if missing := [after.people[user] for user in concerned if user not in before.timelines]:
        before.add(await known_people.of_users(tenant, uow, missing, before.sources))
    return concerned


def absence(tenant: Tenant, row: ImportRow, timeline: Timeline) -> Statement:
    """Return the statement that a person leaves today who is missing from the import."""
    return rules.absence(timeline, row.source, row.version, row.begun_at, tenant.today, f"absent-{row.import_id}")


def _note(found: _Found, external_id: str, result: Expected) -> None:
    if result.kind is Kind.UNCHANGED:
        return
    found.changed.add(result.person.user)
    record = result.person.record
    if record is not None and record.employed and record.login and result.person.conflict is None:
        found.logins.setdefault(login_key(record.login), external_id)
    _note_modules(found, external_id, result)


def _note_modules(found: _Found, external_id: str, result: Expected) -> None:
    user = result.person.user
    found.modules[user] = (tuple(result.before), tuple(result.after))
    if must_send(result.person.standing.required, result.person.sent) and len(found.asking) <= COMMANDS_MAX:
        found.asking[user] = (external_id, result.person, result.releases)


def _note_other(found: _Found, result: Expected, old: Person) -> None:
    """Note somebody whom the import does not change itself: a conflict with one of its people begins or ends."""
    user, now = result.person.user, result.person.standing.status
    if user in found.changed or now == old.standing.status:
        return
    found.others[user] = {
        "user": user,
        "external_id": old.external_id,
        "source": old.source,
        "before": old.standing.status.value,
        "after": now.value,
    }
    _note_modules(found, old.external_id, result)


async def _find_absent(tenant: Tenant, uow: UnitOfWork, row: ImportRow, found: _Found) -> None:
    """List the people whom the source employs and who are not in the import; with `absent` = leave, they leave today."""
    employed = await store.employed_of(uow.connection, tenant.tenant, row.source)
    missing = [person for person in employed if person.external_id not in found.present]
    position = POSITIONS_MAX
    for begin in range(0, len(missing), AT_ONCE):
        people = missing[begin : begin + AT_ONCE]
        known = await known_people.load(tenant, uow, [Key(row.source, each.external_id) for each in people])
        absent = [
            StagedPerson(position + number, each.external_id, each.user_id, "", None, (), kind=Kind.ABSENT.value)
            for number, each in enumerate(people)
            if rules.is_absent(known.timeline(Key(row.source, each.external_id)), row.source, row.begun_at, tenant.today)
        ]
        position += len(people)
        named = [{"user": each.user_id, "external_id": each.external_id} for each in absent]
        found.absent += named[: NAMED_MAX - len(found.absent)]
        found.leaving |= {each.external_id for each in absent} if row.absent == "leave" else set()
        await store.add_absent(uow.connection, tenant.tenant, row.import_id, absent)
        await asyncio.sleep(0)


async def _report(tenant: Tenant, uow: UnitOfWork, row: ImportRow, found: _Found, seats: SeatsQuestions) -> Mapping[str, Any]:
    counts = await store.counts(uow.connection, tenant.tenant, row.import_id)
    people = {kind.value: counts[kind.value].people if kind.value in counts else 0 for kind in Kind}
    would_end = sum(count.ends for count in counts.values())
    limit = await guard.limit_of(tenant, uow, row.source)
    invalid = await store.page(uow.connection, tenant.tenant, row.import_id, [Kind.INVALID.value], -1, NAMED_MAX)
    others = [other for user, other in found.others.items() if user not in found.changed]
    return {
        "counts": people | {"leaving": would_end, "others": len(others)},
        "absent": found.absent,
        "others": others[:NAMED_MAX],
        "invalid": [{"index": each.position, "external_id": each.external_id, "errors": list(each.errors)} for each in invalid],
        "modules": await _modules(tenant, uow, found, seats),
        "seats": await _decisions(tenant, uow, found, seats),
        "without_profile": await _without_profile(tenant, uow, row, found),
        "guard": {"would_end": would_end, "limit": limit, "needs_confirmation": would_end > limit},
    }


async def _without_profile(tenant: Tenant, uow: UnitOfWork, row: ImportRow, found: _Found) -> Mapping[str, Any]:
    """Return how many employees of the import have no profile, by department: they require no modules."""
    numbers = Counter(found.without_profile.values())
    for department, people in await store.unchanged_without_profile(uow.connection, tenant.tenant, row):
        if department not in tenant.settings.departments:
            numbers[department or ""] += people
    starters = await store.unchanged_starters(uow.connection, tenant.tenant, row)
    for begin in range(0, len(starters), AT_ONCE):
        found_people = await people_store.get_many(uow.connection, tenant.tenant, starters[begin : begin + AT_ONCE], tenant.today)
        known = await known_people.of_users(tenant, uow, list(found_people.values()))
        of_each = (rules.department_without_profile(each, known.stated(user), tenant) for user, each in found_people.items())
        numbers.update(department for department in of_each if department is not None)
        await asyncio.sleep(0)
    most = sorted(numbers.items(), key=lambda each: (-each[1], each[0]))
    departments = [{"department": department or None, "people": people} for department, people in most[:NAMED_MAX]]
    return {"people": numbers.total(), "departments": departments}


async def _modules(tenant: Tenant, uow: UnitOfWork, found: _Found, seats: SeatsQuestions) -> list[Mapping[str, Any]]:
    """Return for each module how many people require it before and after, and what there is."""
    required = await store.required_counts(uow.connection, tenant.tenant)
    change = rules.required_change(found.modules.values())
    pools = await seats.pools(tenant.tenant)
    modules: list[Mapping[str, Any]] = []
    for module in sorted({*required, *change, *(pools or ())}):
        before, pool = required.get(module, 0), None if pools is None else pools.get(module)
        counts = {"licences": None, "available": None} if pool is None else {"licences": pool.licences, "available": pool.available}
        modules.append({"module": module, "required_before": before, "required": before + change.get(module, 0)} | counts)
    return modules


async def _decisions(tenant: Tenant, uow: UnitOfWork, found: _Found, seats: SeatsQuestions) -> Mapping[str, Any]:
    """Return what seats would decide about each person whose modules change, if these are few enough to ask."""
    if not found.asking:
        return {"decided": True, "detail": "No person would require other modules.", "people": []}
    if len(found.asking) > COMMANDS_MAX:
        detail = f"More than {COMMANDS_MAX} people would require other modules, so it was not decided person by person. See `modules`."
        return {"decided": False, "detail": detail, "people": []}
    asking = sorted(found.asking.values(), key=lambda each: not each[2])
    decisions = await seats.what_if(
        tenant.tenant, [command_of(replace(person, revision=person.revision + 1), Reason.CHANGED.value, ()) for _, person, _ in asking]
    )
    if decisions is None:
        detail = "seats did not answer, so it was not decided person by person. See `modules`, or check the import again."
        return {"decided": False, "detail": detail, "people": []}
    add_ons = await pools.add_ons(uow.connection, tenant.tenant)
    people = []
    for (external_id, person, _), events in zip(asking, decisions, strict=True):
        states = states_in(events)
        status = status_after(tenant, person, states, add_ons).value
        people.append({"user": person.user, "external_id": external_id, "status": status, "modules": states})
    licences = await licences_of(tenant, uow, [event for events in decisions for event in events])
    return {"decided": True, "detail": "seats decided on a copy of its state.", "people": people, **licences}


# ------------------------------------------------------------------------------------------------------------------ applying


async def apply(tenant: Tenant, uow: UnitOfWork, import_id: str, confirm: int | None) -> ImportRow:
    """Let the background job apply a checked import. Raises Conflict if it is not checked, or the guard stops it."""
    row = await get(tenant.tenant, uow, import_id, for_update=True)
    if row.status in ("applying", "applied"):
        return row
    if row.status == "failed":
        raise _cannot_change(row)
    if row.report is None or row.status != "checked":
        raise Conflict("import-not-checked", "The import was not checked after the last upload. Check it, and then apply it.")
    found = row.report["guard"]
    if found["needs_confirmation"] and confirm != found["would_end"]:
        raise guard.needs_confirmation(found["would_end"], found["limit"])
    if (await held_store.lock(uow.connection, tenant.tenant, [row.source])).get(row.source) is not None:
        raise Conflict(
            "events-held",
            f"HR events of {row.source} were sent before this import and are still held. Confirm or discard them first (`held-events`).",
        )
    row = replace(row, status="applying")
    await store.save(uow.connection, tenant.tenant, row)
    return row


async def fail(tenant: str, uow: UnitOfWork, import_id: str, error: str) -> None:
    """End an import that cannot be applied. The people whom it has changed stay changed."""
    row = await get(tenant, uow, import_id, for_update=True)
    failure = (
        f"An internal error ({error}) stopped the import after {row.done} of {row.total} people. They stay changed, and nobody else was "
        f"changed. Import the same data again. If that fails as well, give the operator the id of this import, {row.import_id}."
    )
    await store.save(uow.connection, tenant, replace(row, status="failed", failure=failure))


async def tell_stopped(tenant: Tenant, uow: UnitOfWork, import_id: str) -> None:
    """Publish, once after each check, that the guard stopped the import."""
    row = await get(tenant.tenant, uow, import_id, for_update=True)
    if row.status != "checked" or row.report is None or row.report["guard"].get("told"):
        return
    stopped = row.report["guard"]
    guard.tell(tenant, uow, row.source, stopped["would_end"], stopped["limit"], import_id=import_id)
    await store.save(uow.connection, tenant.tenant, replace(row, report={**row.report, "guard": {**stopped, "told": True}}))
