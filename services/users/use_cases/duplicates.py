"""Possible duplicates: a source adds many people who match nobody, while another source has as many without a match. They wait."""

from collections.abc import Mapping
from dataclasses import replace

from services.users.domain.conflicts import Conflict, ConflictReason
from services.users.domain.known_people import KnownPeople
from services.users.domain.matching import Matched
from services.users.domain.person import Tenant, source_actor
from services.users.domain.sources import Duplicates, Source, SourceKind, may_be_duplicates, source_of
from services.users.store import imports, people, people_lookups, timelines
from services.users.store import sources as store
from shared.database import UnitOfWork
from shared.errors import Conflict as Refusal
from shared.errors import NotFound
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import PossibleDuplicates


async def hold(tenant: Tenant, uow: UnitOfWork, known: KnownPeople, matched: Matched, *, lock: bool, added: int = 0) -> None:
    """Let the new people who match nobody take no seats if they may be duplicates. With `lock`, this is stored, and told once. `added` are
    others who are counted with them."""
    new: dict[str, list[str]] = {}
    for user in matched.new:
        keys = list(known.timelines[user])
        if matched.conflicts.get(user) is None and len(keys) == 1:  # else a conflict of another source ended, and it matches after all
            new.setdefault(keys[0].source, []).append(user)
    # A source whose first statements are only looked at, such as those of an import that is checked, is not stored yet.
    sources = {**known.sources, **{name: source_of(known.sources, name) for name in new}}
    if sum(source.kind != SourceKind.REST for source in sources.values()) < 2:
        return
    unmatched: Mapping[str, int] | None = None
    for name, users in new.items():
        source = sources[name]
        if source.kind == SourceKind.REST or source.duplicates != Duplicates.HOLD:
            continue
        if not source.duplicates_held:
            unmatched = await timelines.alone(uow.connection, tenant.tenant) if unmatched is None else unmatched
            counts = {other: number for other, number in unmatched.items() if sources[other].kind != SourceKind.REST}
            counts[name] = counts.get(name, 0) + added + len(users)
            other = may_be_duplicates(source, counts, await imports.employed(uow.connection, tenant.tenant) + added + len(users))
            if other is None:
                continue
            if lock:
                await store.save(uow.connection, tenant.tenant, replace(source, duplicates_held=True))
                _tell(tenant, uow, name, counts[name], other, counts[other])
        matched.conflicts.update(dict.fromkeys(users, Conflict(ConflictReason.POSSIBLE_DUPLICATE)))


def _tell(tenant: Tenant, uow: UnitOfWork, source: str, people: int, other: str, other_people: int) -> None:
    event = PossibleDuplicates(
        at=tenant.now, actor=source_actor(source), source=source, people=people, other_source=other, other_people=other_people
    )
    uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now)


async def counted_again(tenant: Tenant, uow: UnitOfWork, source: Source) -> Source:
    """Return a source whose new people took seats, and may be held from now on: those who took seats are confirmed, and the next ones are
    counted from the beginning unless others still wait. Call under CLAIMS."""
    waiting = await people_lookups.possible_duplicates(uow.connection, tenant.tenant, source.source)
    unmatched = await timelines.alone(uow.connection, tenant.tenant)
    confirmed = max(0, unmatched.get(source.source, 0) - waiting)
    return replace(source, duplicates_held=source.duplicates_held and waiting > 0, duplicates_confirmed=confirmed)


async def confirm(tenant: Tenant, uow: UnitOfWork, name: str) -> Source:
    """Let the people of the source who wait as possible duplicates take seats: a background job ends their conflicts. Raises NotFound,
    Conflict."""
    await uow.lock(people.CLAIMS, tenant.tenant)  # statements that are being applied may let more people wait
    source = (await store.all_of(uow.connection, tenant.tenant)).get(name)
    if source is None:
        raise NotFound("source")
    if not source.duplicates_held:
        raise Refusal("nothing-held", f"No people of {name} wait as possible duplicates.")
    unmatched = await timelines.alone(uow.connection, tenant.tenant)
    after = replace(source, duplicates_held=False, duplicates_confirmed=unmatched.get(name, 0))
    await store.save(uow.connection, tenant.tenant, after)
    await people_lookups.reconsider_duplicates(uow.connection, tenant.tenant, tenant.today)
    return after
