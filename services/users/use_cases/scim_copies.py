"""What a SCIM connection only copied from another one becomes its own statement when the other one ends its statements, or is taken out.

The identity provider found the person with these values, and does not send them again as long as they are equal.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from services.users.domain.known_people import KnownPeople
from services.users.domain.logins import login_key
from services.users.domain.person import Cause, Tenant, source_actor
from services.users.domain.scim_connections import ENTERPRISE, SOURCE_PREFIX
from services.users.domain.sources import Key
from services.users.domain.timelines import Entry, Reported, Timeline
from services.users.store import scim_users as store
from services.users.store.scim_users import ScimUserRow, View
from services.users.use_cases import known_people
from services.users.use_cases.people import Received
from shared.database import UnitOfWork

_FIELDS: Final = {"userName": "login", "displayName": "name", "title": "job_title", "emails": "email", "department": "department"}


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
    """Return what other connections have copied from these timelines of connections."""
    rows, received = [], []
    for key in keys:
        given = _given(known.timeline(key))
        for other, timeline in known.timelines[known.users[key]].items():
            if other.source == key.source or not other.source.startswith(SOURCE_PREFIX):
                continue
            view = View(tenant.tenant, other.source.removeprefix(SOURCE_PREFIX), other.source)
            row = await (store.lock if lock else store.get)(uow.connection, view, other.external_id)
            names = [] if row is None else [name for name in row.copied if _FIELDS[name] in given]
            if row is None or not names:
                continue
            if "userName" in names and login_key(given["login"]) != row.user_name_key:
                _, holder = await store.holders(uow.connection, view, login_key(given["login"]), known.users[key])
                names = names if holder is None else [name for name in names if name != "userName"]
            row = _with_values(replace(row, version=row.version + 1, modified_at=tenant.now), names, given)
            rows.append((view, row))
            cause = Cause(source_actor(other.source))
            received.append(Received(other.source, other.external_id, _report(timeline, row, names, given), cause, None))
    return Copies(rows, received)


def _ends(received: Received) -> bool:
    """Return whether the statement is a report of a time of employment that has ended."""
    statement = received.statement
    return isinstance(statement, Reported) and all(period.ends_on is not None for period in statement.report.periods)


def _given(timeline: Timeline) -> Mapping[str, Any]:
    return {name: value for entry in timeline.report.entries for name, value in entry.given.items()}


def _with_values(row: ScimUserRow, names: Sequence[str], given: Mapping[str, Any]) -> ScimUserRow:
    document = dict(row.document)
    for name in names:
        value = given[_FIELDS[name]]
        if name == "emails":
            row = replace(row, emails=(value.lower(),))
            document[name] = [{"value": value, "type": "work", "primary": True}]
        elif name == "department":
            document[ENTERPRISE] = {**(document.get(ENTERPRISE) or {}), name: value}
        else:
            document[name] = value
    copied = tuple(name for name in row.copied if name not in names)
    return replace(row, document=document, user_name_key=login_key(document["userName"]), copied=copied)


def _report(timeline: Timeline, row: ScimUserRow, names: Sequence[str], given: Mapping[str, Any]) -> Reported:
    own = {_FIELDS[name]: given[_FIELDS[name]] for name in names}
    report = timeline.report
    entries = tuple(Entry(entry.since, dict(sorted({**entry.given, **own}.items()))) for entry in report.entries)
    return Reported(row.version, replace(report, entries=entries or (Entry(report.periods[0].starts_on, dict(sorted(own.items()))),)))
