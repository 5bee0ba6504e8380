"""What a SCIM connection only copied becomes its own statement when the connection that stated it ends, or its source is taken out.

The identity provider found the person with these values, and does not send them again as long as they are equal.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from services.users.domain.facts import Record
from services.users.domain.known_people import KnownPeople
from services.users.domain.logins import login_key
from services.users.domain.merging import Stated, stated
from services.users.domain.person import Cause, Tenant, source_actor
from services.users.domain.scim_connections import COPIED, SOURCE_PREFIX, with_values
from services.users.domain.sources import Key
from services.users.domain.timelines import Reported, Timeline
from services.users.store import scim_users as store
from services.users.store.scim_users import ScimUserRow, View
from services.users.use_cases import known_people
from services.users.use_cases.people import Received
from shared.database import UnitOfWork


@dataclass(frozen=True, slots=True)
class Copies:
    """Resources of other connections that state from now on what they have copied, and the statements."""

    rows: Sequence[tuple[View, ScimUserRow]] = ()
    received: Sequence[Received] = ()

    async def save(self, uow: UnitOfWork) -> None:
        for view, row in self.rows:
            await store.save(uow.connection, view, row)


async def of_ended(
    tenant: Tenant, uow: UnitOfWork, endings: Sequence[Received], known: KnownPeople | None = None, *, lock: bool = True
) -> Copies:
    """Return what other connections have copied from those of these statements that end what their connection states. `lock`: the
    resources are to be saved; call under the lock CLAIMS."""
    ended = [Key(each.source, each.external_id) for each in endings if _ends(each)]
    if not ended:
        return Copies()
    return await of_keys(tenant, uow, ended, known or await known_people.load(tenant, uow, ended), lock=lock)


async def of_keys(tenant: Tenant, uow: UnitOfWork, keys: Collection[Key], known: KnownPeople, *, lock: bool = True) -> Copies:
    """Return what connections have copied from these timelines. `lock`: as above."""
    rows, received = [], []
    for source, copied in _copied_from(tenant, keys, known).items():
        view = View(tenant.tenant, source.removeprefix(SOURCE_PREFIX), source)
        stored = await store.get_many(uow.connection, view, copied, lock=lock)
        for resource_id, row in stored.items():
            user, timeline = known.users[Key(source, resource_id)], known.timeline(Key(source, resource_id))
            record = known.stated(user).on(tenant.today) or Record(employed=False)
            names = [name for name in row.copied if COPIED[name] in copied[resource_id] and getattr(record, COPIED[name])]
            if "userName" in names and login_key(record.login) != row.user_name_key:
                _, holder = await store.holders(uow.connection, view, login_key(record.login), user)
                names = names if holder is None else [name for name in names if name != "userName"]
            if not names:
                continue
            row = _with_values(replace(row, version=row.version + 1, modified_at=tenant.now), names, record)
            rows.append((view, row))
            cause = Cause(source_actor(source))
            received.append(Received(source, resource_id, _report(timeline, row, names, record), cause, None))
    return Copies(rows, received)


def _copied_from(tenant: Tenant, keys: Collection[Key], known: KnownPeople) -> dict[str, dict[str, set[str]]]:
    """Return the fields that the person has from these timelines, for each resource of another source: by source and external id."""
    found: dict[str, dict[str, set[str]]] = {}
    for key in keys:
        timelines = known.timelines[known.users[key]]
        others = [other for other in timelines if other.source != key.source and other.source.startswith(SOURCE_PREFIX)]
        given = _given(tenant, stated({key: timelines[key]}, known.sources), stated(timelines, known.sources)) if others else set[str]()
        if not key.source.startswith(SOURCE_PREFIX):
            given.discard("email")  # one that only a sender of HR data has stated must not count as one of the identity system
        for other in others:
            found.setdefault(other.source, {}).setdefault(other.external_id, set()).update(given)
    return found


def _given(tenant: Tenant, alone: Stated, merged: Stated) -> set[str]:
    """Return the fields whose value is that of this timeline: another source, or another timeline of this one, may state a value that goes
    before it, and that one was copied."""
    own, person = alone.on(tenant.today), merged.on(tenant.today)
    if own is None or person is None or (person.employed and not own.employed):
        return set()
    return {name for name in COPIED.values() if getattr(own, name) == getattr(person, name)}


def _ends(received: Received) -> bool:
    """Return whether the statement is a report of a time of employment that has ended."""
    statement = received.statement
    return isinstance(statement, Reported) and all(period.ends_on is not None for period in statement.report.periods)


def _with_values(row: ScimUserRow, names: Collection[str], record: Record) -> ScimUserRow:
    document, copied = with_values(row.document, record, names), tuple(name for name in row.copied if name not in names)
    emails = (record.email.lower(),) if "emails" in names else row.emails
    return replace(row, document=document, user_name_key=login_key(document["userName"]), emails=emails, copied=copied)


def _report(timeline: Timeline, row: ScimUserRow, names: Collection[str], record: Record) -> Reported:
    own = {COPIED[name]: getattr(record, COPIED[name]) for name in names}
    entries = tuple(replace(entry, given=dict(sorted({**entry.given, **own}.items()))) for entry in timeline.report.entries)
    return Reported(row.version, replace(timeline.report, entries=entries))
