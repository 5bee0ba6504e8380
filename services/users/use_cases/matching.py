"""Match new timelines to people, and compare the logins of people who change: what is needed for it is loaded in a few statements."""

from collections.abc import Collection, Sequence

from services.users.domain.known_people import KnownPeople
from services.users.domain.logins import claimed_login, login_key
from services.users.domain.matching import HR_ID, NUMBER, Mark, Matched, Matching, gives_up, is_privileged, wanted_marks
from services.users.domain.person import Person, Tenant
from services.users.domain.sources import Key, MatchBy, SourceKind
from services.users.store import people as store
from services.users.store import people_lookups
from services.users.use_cases import duplicates, known_people
from shared.database import UnitOfWork


async def match(
    tenant: Tenant, uow: UnitOfWork, known: KnownPeople, first: Sequence[Key] = (), *, lock: bool = True, edited: str | None = None
) -> Matched:
    """Return who is linked and who is in conflict when the statements about the people of `known` hold; others who are concerned are added
    to it. `known` has the people before the statements and the timelines after them; `first` are timelines that no person has had so far.
    With `lock`, call under CLAIMS and the locks of the people. `edited` is somebody whom an administrator edits, and who stays the same
    person.
    """
    changing = [person for person in known.people.values() if _changes(tenant, known, person)]
    if not first and not changing:
        return Matched()
    if changing:
        waiting = await people_lookups.in_conflict_with(uow.connection, tenant.tenant, [person.user for person in changing])
        await _add(tenant, uow, known, waiting, lock=lock)
    marks = wanted_marks(known, first, tenant.today)
    concerned = {person.user for person in changing}
    for user, person in known.people.items():
        record = known.stated(user).on(tenant.today)
        if person.conflict is not None:
            marks |= wanted_marks(known, known.timelines[user], tenant.today)
        if (person.conflict is not None or user in concerned) and record is not None and record.employed and record.login:
            marks.add((MatchBy.LOGIN, login_key(record.login)))
    await _add(tenant, uow, known, await with_marks(tenant, uow, known, marks), lock=lock)
    privileged = {user for user, person in known.people.items() if is_privileged(person)}
    matched = Matching(known, tenant.today, privileged, edited).run(first)
    if matched.new:
        await duplicates.hold(tenant, uow, known, matched, lock=lock)
    return matched


def _changes(tenant: Tenant, known: KnownPeople, person: Person) -> bool:
    """Return whether the person gains or gives up anything by which people are compared."""
    record = known.stated(person.user).on(tenant.today)
    if person.conflict is not None:
        return True
    return claimed_login(person.record, record) is not None or gives_up(person.record, record)


async def with_marks(tenant: Tenant, uow: UnitOfWork, known: KnownPeople, marks: Collection[Mark]) -> list[str]:
    """Return the employed people who have one of these marks."""
    if not marks:
        return []
    by_kind: dict[str, list[str]] = {}
    for kind, value in sorted(marks):
        by_kind.setdefault(kind, []).append(value)
    hr_sources = [source.source for source in known.sources.values() if source.kind == SourceKind.HR]
    logins, emails, numbers, hr_ids = (by_kind.get(kind, []) for kind in (MatchBy.LOGIN, MatchBy.EMAIL, NUMBER, HR_ID))
    return await people_lookups.with_marks(uow.connection, tenant.tenant, logins, emails, numbers, hr_ids, hr_sources)


async def _add(tenant: Tenant, uow: UnitOfWork, known: KnownPeople, users: Collection[str], *, lock: bool) -> None:
    if missing := sorted(set(users) - set(known.people)):
        load = store.lock_many if lock else store.get_many
        people = await load(uow.connection, tenant.tenant, missing, tenant.today)
        known.add(await known_people.of_users(tenant, uow, list(people.values()), known.sources))
