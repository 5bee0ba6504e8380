"""List how the people of a source are matched with those of other sources, or would be."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from services.users.domain.matches import Match, Matches
from services.users.domain.matching import wanted_marks
from services.users.domain.person import Person, Tenant
from services.users.domain.sources import Key, source_of
from services.users.store import matches as store
from services.users.store import people as people_store
from services.users.use_cases import known_people, matching
from shared.database import UnitOfWork


@dataclass(frozen=True, slots=True)
class MatchedPerson:
    key: Key
    person: Person
    match: Match


async def page(
    tenant: Tenant, uow: UnitOfWork, source: str, after: str, limit: int, *, again: bool, match_by: Collection[str] | None
) -> tuple[list[MatchedPerson], Mapping[str, Person], bool]:
    """Return the next employed people of the source by their external ids, the others who are named, and whether there may be more.

    With `again`, as if the source reported them now for the first time, and used `match_by`. Changes nobody.
    """
    keys = await store.employed_after(uow.connection, tenant.tenant, source, after, limit)
    known = await known_people.load(tenant, uow, [Key(source, external_id) for external_id in keys])
    if match_by is not None:
        settings = replace(source_of(known.sources, source), match_by=tuple(match_by))
        known = replace(known, sources={**known.sources, source: settings})
    own = [Key(source, external_id) for external_id in keys]
    others = {user for key in own if (conflict := known.people[known.users[key]].conflict) is not None for user in conflict.people}
    if again:
        found_by_marks = await matching.with_marks(tenant, uow, known, wanted_marks(known, own, tenant.today))
        others |= {user for user, in_conflict in found_by_marks.items() if not in_conflict}
    if missing := sorted(others - set(known.people)):
        people = await people_store.get_many(uow.connection, tenant.tenant, missing, tenant.today)
        known.add(await known_people.of_users(tenant, uow, list(people.values()), known.sources))
    matches = Matches(known, tenant)
    found = [MatchedPerson(key, known.people[known.users[key]], matches.again(key) if again else matches.present(key)) for key in own]
    return found, known.people, len(keys) == limit
