"""Remove a SCIM connection: its tokens and groups end at once, and a background job ends what it states about people."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from services.users.domain.guard import works
from services.users.domain.known_people import KnownPeople
from services.users.domain.person import Cause, Tenant
from services.users.domain.roles import rights_of_roles
from services.users.domain.scim_connections import SOURCE_PREFIX, ScimConnection
from services.users.domain.sources import Key
from services.users.domain.timelines import Entry, Period, Report, Reported, Statement, Timeline, with_statement
from services.users.store import people as people_store
from services.users.store import reevaluations, scim_activity, scim_stopped, scim_users
from services.users.store import scim_connections as store
from services.users.store import scim_groups as groups_store
from services.users.store.reevaluations import ReevaluationKind
from services.users.store.scim_users import View
from services.users.use_cases import guard, held_statements, known_people, people, rights, scim_copies, scim_groups
from services.users.use_cases.people import Received
from services.users.use_cases.seats_questions import COMMANDS_MAX
from shared.database import UnitOfWork
from shared.errors import Conflict
from shared.schemas.base import Actor
from shared.schemas.registry import USERS
from shared.schemas.users_v1 import ScimConnectionRemoved

AT_ONCE: Final = 250  # people in one transaction, or in one step of the preview


@dataclass(frozen=True, slots=True)
class Removal:
    """The effect of the removal. `would_end`: people who would lose access, of whom at most `limit` do so without a confirmation;
    `would_begin`: people whose login only this connection blocks."""

    people: int
    groups: int
    would_end: int
    would_begin: int
    limit: int

    @property
    def needs_confirmation(self) -> bool:
        return self.would_end > self.limit


async def preview(tenant: Tenant, uow: UnitOfWork, connection: ScimConnection) -> Removal:
    """Return what the removal would lead to. Nothing is changed."""
    view, after = View(tenant.tenant, connection.connection, connection.source), ""
    number = would_end = would_begin = 0
    while ids := await scim_users.next_ids(uow.connection, view, after, AT_ONCE):
        number, after = number + len(ids), ids[-1]
        known = await known_people.load(tenant, uow, [Key(view.source, each) for each in ids])
        received = _endings(tenant, known, view.source, ids, Cause(Actor(kind="system", id="users")))
        copies = await scim_copies.of_ended(tenant, uow, received, known, lock=False)
        would_end += len(await held_statements.ended_by(tenant, uow, received, copies.received))
        would_begin += _let_in(tenant, known, received, copies.received)
        await asyncio.sleep(0)  # other requests are served meanwhile
    groups = await groups_store.count(uow.connection, view, [])
    return Removal(number, groups, would_end, would_begin, await guard.limit_of(tenant, uow, view.source))


def _endings(tenant: Tenant, known: KnownPeople, source: str, ids: list[str], cause: Cause) -> list[Received]:
    """Return the statements that the connection ends today with each of these resources, as DELETE of SCIM does."""
    return [Received(source, each, _ended(known.timeline(Key(source, each)), tenant.today), cause, None) for each in ids]


def _ended(timeline: Timeline, today: date) -> Statement:
    """Return the report that yesterday was the last day of somebody whom the connection employs."""
    report, last = timeline.report, today - timedelta(days=1)
    if any(period.ends_on is None or period.ends_on > last for period in report.periods):
        since = min(report.periods[0].starts_on, last)
        given = {name: value for entry in report.entries for name, value in entry.given.items() if name != "login_allowed"}
        report = Report((Period(since, last),), (Entry(since, dict(sorted(given.items()))),))
    return Reported(timeline.version + 1, report)


def _let_in(tenant: Tenant, known: KnownPeople, received: list[Received], copied: Sequence[Received]) -> int:
    after, today = known.copy(), tenant.today
    for each in (*received, *copied):
        key = Key(each.source, each.external_id)
        after.put(key, with_statement(known.timeline(key), each.source, each.statement)[0])
    users = {known.users[Key(each.source, each.external_id)] for each in received}
    return sum(not works(known.stated(user).on(today), today) and works(after.stated(user).on(today), today) for user in users)


async def remove(tenant: Tenant, uow: UnitOfWork, connection: ScimConnection, confirm: int | None, cause: Cause) -> tuple[Removal, str]:
    """Remove the connection; return what follows, and the re-evaluation that ends what it states. Raises Conflict if more people would
    lose access than the guard allows and `confirm` is not their number, and Forbidden for groups with a role that the caller may not
    take away."""
    await store.lock(uow.connection, tenant.tenant, connection.connection)
    view = View(tenant.tenant, connection.connection, connection.source)
    if cause.authority is not None:
        rights.check_sees_everybody(cause.authority)
        given = await groups_store.roles_of_all(uow.connection, view)
        rights.check_covered(
            cause.authority, rights_of_roles(given, tenant.settings.roles), "The roles that groups of the connection give have"
        )
    found = await preview(tenant, uow, connection)
    if found.needs_confirmation and confirm != found.would_end:
        raise guard.needs_confirmation(found.would_end, found.limit)
    # First the row, for which requests of the connection wait, or whose end this waits for: they take the lock after it. Under the lock no
    # user is created.
    await store.remove(uow.connection, tenant.tenant, connection.connection)
    await uow.lock(people_store.CLAIMS, tenant.tenant)
    await groups_store.remove_all(uow.connection, view)
    await scim_stopped.remove_all(uow.connection, tenant.tenant, connection.connection)
    await scim_activity.remove(uow.connection, tenant.tenant, connection.connection)
    by = reevaluations.cause_of(cause.actor, None)
    ending = await reevaluations.add(
        uow.connection, tenant.tenant, ReevaluationKind.SCIM_REMOVED, by, connection.connection, total=found.people
    )
    if found.groups:  # also of people about whom the connection has stated nothing; after the others, who then have left
        await reevaluations.add(uow.connection, tenant.tenant, ReevaluationKind.GROUPS, by)
    event = ScimConnectionRemoved(
        at=tenant.now, actor=cause.actor, connection=connection.connection, people=found.people, groups=found.groups
    )
    uow.publish(event, source=USERS, tenant=tenant.tenant, time=tenant.now)
    return found, ending


async def preview_at_once(tenant: Tenant, uow: UnitOfWork, connection: ScimConnection, actor: Actor) -> tuple[Removal, bool]:
    """Remove the connection, and end what it states and what its groups give. Return what follows, and True. If they are more people
    than seats is asked about, do nothing: a look holds no lock while it counts so many. Roll back the transaction afterwards."""
    found = await preview(tenant, uow, connection)
    if found.people > COMMANDS_MAX:
        return found, False
    view, cause = View(tenant.tenant, connection.connection, connection.source), Cause(actor)
    users = await groups_store.people_of(uow.connection, view, await scim_users.next_ids(uow.connection, view, "", COMMANDS_MAX))
    await remove(tenant, uow, connection, found.would_end, cause)
    await end_chunk(tenant, uow, connection.connection, actor)
    await scim_groups.people_changed(tenant, uow, users, cause)
    return found, True


async def check_is_removed(tenant: str, uow: UnitOfWork, connection: str) -> None:
    """Raise Conflict while a former connection of this name is being removed: it would take the new one's people along."""
    if await reevaluations.is_open(uow.connection, tenant, ReevaluationKind.SCIM_REMOVED, connection):
        raise Conflict(
            "connection-being-removed",
            f"What the former connection {connection} has stated about people is being ended. Try again in a moment.",
        )


async def end_chunk(tenant: Tenant, uow: UnitOfWork, connection: str, actor: Actor) -> int:
    """End what the removed connection states about the next people; return how many they were."""
    await uow.lock(people_store.CLAIMS, tenant.tenant)
    view = View(tenant.tenant, connection, SOURCE_PREFIX + connection)
    ids = await scim_users.next_ids(uow.connection, view, "", AT_ONCE)
    if ids:
        known = await known_people.load(tenant, uow, [Key(view.source, each) for each in ids])
        received = _endings(tenant, known, view.source, ids, Cause(actor))
        copies = await scim_copies.of_ended(tenant, uow, received, known)
        await copies.save(uow)
        await people.apply_statements(tenant, uow, [*copies.received, *received], together=True, left_groups=True)
        await scim_users.delete(uow.connection, view, ids, tenant.now)
    return len(ids)
