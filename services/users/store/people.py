"""People and the facts about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.facts import Fact, FactType, Record
from services.users.domain.person import Person
from services.users.domain.required_modules import NO_MODULES, Account, Note, RequiredModules
from services.users.domain.status import Standing, Status, status_of
from shared.schemas.base import format_instant
from shared.schemas.position import DecisionId

_COLUMNS: Final = (
    "user_id",
    "source",
    "external_id",
    "created_at",
    "employed",
    "login",
    "email",
    "name",
    "job_title",
    "department",
    "kind",
    "valid_to",
    "given_profile",
    "administrator",
    "may_log_in",
    "priority",
    "hold_until",
    "deactivated",
    "profile",
    "status",
    "notes",
    "need",
    "reconsider_on",
    "version",
    "revision",
    "answered",
    "sent",
    "command_id",
)
_SELECT: Final = f"SELECT arrival, {', '.join(f'p.{name}' for name in _COLUMNS)} FROM people p"  # noqa: S608 - constants
_LIST: Final = ", ".join(_COLUMNS)
# Rows come as a JSON array: one statement and one parameter for one person and for five hundred. The order is that of the array, which is
# that of their arrival.
_INSERT: Final = f"""
INSERT INTO people (tenant_id, {_LIST}, sent_at)
SELECT $1, {_LIST}, CASE WHEN revision > 0 THEN now() END FROM jsonb_populate_recordset(null::people, $2::jsonb)
ON CONFLICT (tenant_id, user_id) DO NOTHING
"""  # noqa: S608 - constants
# `answered` is written by the projection alone, so that a change that goes on meanwhile never sets it back.
_CHANGED: Final = tuple(name for name in _COLUMNS if name not in ("user_id", "source", "external_id", "answered"))
_UPDATE: Final = f"""
UPDATE people p SET {", ".join(f"{name} = r.{name}" for name in _CHANGED)},
                    sent_at = CASE WHEN p.revision < r.revision THEN now() ELSE p.sent_at END
FROM jsonb_populate_recordset(null::people, $2::jsonb) r
WHERE p.tenant_id = $1 AND p.user_id = r.user_id
"""  # noqa: S608 - constants
_INSERT_FACTS: Final = """
INSERT INTO facts (tenant_id, user_id, fact_id, source, type, effective_date, sequence, given, received_at)
SELECT $1, user_id, fact_id, source, type, effective_date, sequence, given, now() FROM jsonb_populate_recordset(null::facts, $2::jsonb)
ON CONFLICT (tenant_id, user_id, fact_id) DO NOTHING
"""
# jsonb is written as text and read as Python objects: that is how the driver is set up.
_DATES: Final = frozenset({"valid_to"})


def _sent_to_json(required: RequiredModules | None) -> dict[str, Any] | None:
    if required is None:
        return None
    content = {name: getattr(required, name) for name in ("modules", "administrator", "priority", "partial")}
    return content | {"hold_until": format_instant(required.hold_until) if required.hold_until else None}


def _sent_from_json(content: dict[str, Any] | None) -> RequiredModules | None:
    if content is None:
        return None
    hold_until = datetime.fromisoformat(content["hold_until"]) if content["hold_until"] else None
    return RequiredModules(tuple(content["modules"]), content["administrator"], content["priority"], content["partial"], hold_until)


def _note_to_json(note: Note) -> dict[str, Any]:
    content: dict[str, Any] = {"type": note.type, "detail": note.detail}
    if note.decision_id is not None:
        content |= {"reason": note.reason, "place": [note.decision_id.partition, note.decision_id.offset, note.decision_id.n]}
    return content


def _note_from_json(content: dict[str, Any]) -> Note:
    """Only what seats answered has a place."""
    place = content.get("place")
    return Note(content["type"], content["detail"], content.get("reason"), None if place is None else DecisionId(*place))


def _values(person: Person) -> dict[str, Any]:
    record, account, standing = person.record or Record(employed=False), person.account, person.standing
    return {
        "user_id": person.user,
        "source": person.source,
        "external_id": person.external_id,
        "created_at": person.created_at,
        "employed": record.employed,
        "login": record.login,
        "email": record.email,
        "name": record.name,
        "job_title": record.job_title,
        "department": record.department,
        "kind": record.kind,
        "valid_to": record.valid_to,
        "given_profile": account.given_profile,
        "administrator": account.administrator,
        "may_log_in": account.may_log_in,
        "priority": account.priority,
        "hold_until": account.hold_until,
        "deactivated": account.deactivated,
        "profile": standing.profile,
        "status": standing.status.value,
        "notes": [_note_to_json(note) for note in person.notes],
        "need": standing.required.modules,
        "reconsider_on": person.reconsider_on,
        "version": person.version,
        "revision": person.revision,
        "answered": person.answered,
        "sent": _sent_to_json(person.sent),
        "command_id": person.command_id,
    }


def _person(row: Any, today: date | None) -> Person:
    """`today` (the tenant's) tells whether a login has ended; without it, it is taken as not ended."""
    status = Status(row.status)
    record = Record(row.employed, row.login, row.email, row.name, row.job_title, row.department, row.kind, row.valid_to)
    account = Account(row.given_profile, row.administrator, row.may_log_in, row.priority, row.hold_until, row.deactivated)
    found = [_note_from_json(note) for note in row.notes]
    notes = tuple(note for note in found if note.decision_id is None)
    sent = _sent_from_json(row.sent)
    # A need is sent in the transaction that stores it, so that what was sent last is what is needed, whenever anything is.
    required = sent if row.need and sent is not None else NO_MODULES
    is_known = status is not Status.EXPECTED
    _, may_log_in = status_of(record, account, today or date.min)
    return Person(
        user=row.user_id,
        source=row.source,
        external_id=row.external_id,
        created_at=row.created_at,
        record=record if is_known else None,
        account=account,
        standing=Standing(status, may_log_in and is_known, row.profile, required, notes),
        reconsider_on=row.reconsider_on,
        version=row.version,
        revision=row.revision,
        answered=row.answered,
        sent=sent,
        command_id=row.command_id,
        not_done=next((note for note in found if note.decision_id is not None), None),
        arrival=row.arrival,
    )


def _json(rows: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(rows).decode()


async def insert(tenant: str, connection: AsyncConnection, people: Sequence[Person]) -> int:
    """How many of them were not known yet; the others stay as they are."""
    return (await connection.exec_driver_sql(_INSERT, (tenant, _json([_values(person) for person in people])))).rowcount


async def lock(tenant: str, connection: AsyncConnection, user: str, today: date | None) -> Person | None:
    """The row is locked: who works out the same person's next revision waits here."""
    return (await lock_many(tenant, connection, [user], today)).get(user)


async def lock_many(tenant: str, connection: AsyncConnection, users: Sequence[str], today: date | None) -> dict[str, Person]:
    """In order of their ids, as everybody who locks several does, so that no two wait for each other."""
    result = await connection.exec_driver_sql(
        f"{_SELECT} WHERE p.tenant_id = $1 AND p.user_id = ANY($2::text[]) ORDER BY p.user_id FOR UPDATE", (tenant, list(users))
    )
    return {row.user_id: _person(row, today) for row in result}


async def get(tenant: str, connection: AsyncConnection, user: str, today: date | None) -> Person | None:
    result = await connection.exec_driver_sql(
        f"{_SELECT} WHERE p.tenant_id = $1 AND p.user_id = $2 AND p.status <> 'expected'", (tenant, user)
    )
    row = result.one_or_none()
    return None if row is None else _person(row, today)


@dataclass(frozen=True, slots=True)
class Filter:
    status: str | None = None
    external_id: str | None = None
    seat_state: str | None = None


_PAGE: Final = f"""
{_SELECT} WHERE p.tenant_id = $1 AND p.arrival > $2 AND p.status <> 'expected'
  AND ($4::text IS NULL OR p.status = $4) AND ($5::text IS NULL OR p.external_id = $5)
  AND ($6::text IS NULL OR CASE WHEN $6 = 'pending' THEN EXISTS (
          SELECT FROM unnest(p.need) AS needed (module) WHERE NOT EXISTS (
              SELECT FROM person_modules m WHERE m.tenant_id = $1 AND m.user_id = p.user_id AND m.module = needed.module
                                             AND m.state <> 'released'))
      ELSE EXISTS (SELECT FROM person_modules m WHERE m.tenant_id = $1 AND m.user_id = p.user_id AND m.state = $6) END)
ORDER BY p.arrival LIMIT $3
"""  # noqa: S608 - constants


async def page(tenant: str, connection: AsyncConnection, chosen: Filter, after: int, limit: int, today: date) -> list[Person]:
    """In order of arrival, from `after` on."""
    result = await connection.exec_driver_sql(_PAGE, (tenant, after, limit, chosen.status, chosen.external_id, chosen.seat_state))
    return [_person(row, today) for row in result]


async def update(tenant: str, connection: AsyncConnection, people: Sequence[Person]) -> None:
    """Call under their locks."""
    if people:
        await connection.exec_driver_sql(_UPDATE, (tenant, _json([_values(person) for person in people])))


async def set_answered(tenant: str, connection: AsyncConnection, answered: Mapping[str, int]) -> None:
    """user -> the last revision that seats answered. Call under their locks."""
    if answered:
        await connection.exec_driver_sql(
            "UPDATE people p SET answered = r.answered FROM unnest($2::text[], $3::bigint[]) AS r (user_id, answered)"
            " WHERE p.tenant_id = $1 AND p.user_id = r.user_id",
            (tenant, list(answered), list(answered.values())),
        )


async def set_notes(tenant: str, connection: AsyncConnection, people: Sequence[Person]) -> None:
    """Call under their locks."""
    if people:
        notes = [orjson.dumps([_note_to_json(note) for note in person.notes]).decode() for person in people]
        await connection.exec_driver_sql(
            "UPDATE people p SET notes = r.notes::jsonb FROM unnest($2::text[], $3::text[]) AS r (user_id, notes)"
            " WHERE p.tenant_id = $1 AND p.user_id = r.user_id",
            (tenant, [person.user for person in people], notes),
        )


async def user_of_command(tenant: str, connection: AsyncConnection, command: str) -> str | None:
    """Whose last need this command said. Looks at all people of the tenant: it is asked of commands that could not be read or decided,
    which are rare, while an index would be written at every need."""
    result = await connection.exec_driver_sql("SELECT user_id FROM people WHERE tenant_id = $1 AND command_id = $2", (tenant, command))
    user: str | None = result.scalar_one_or_none()
    return user


async def add_facts(tenant: str, connection: AsyncConnection, facts: Sequence[tuple[str, Fact, str]]) -> None:
    """(user, fact, the source that said it) each."""
    rows = [
        {
            "user_id": user,
            "fact_id": fact.id,
            "source": source,
            "type": fact.type.value,
            "effective_date": fact.effective_date,
            "sequence": fact.sequence,
            "given": fact.given,
        }
        for user, fact, source in facts
    ]
    if rows:
        await connection.exec_driver_sql(_INSERT_FACTS, (tenant, _json(rows)))


async def facts(tenant: str, connection: AsyncConnection, users: Sequence[str]) -> dict[str, list[Fact]]:
    """All facts of each of these people."""
    result = await connection.exec_driver_sql(
        "SELECT user_id, fact_id, type, effective_date, sequence, given FROM facts WHERE tenant_id = $1 AND user_id = ANY($2::text[])",
        (tenant, list(users)),
    )
    found: dict[str, list[Fact]] = {user: [] for user in users}
    for row in result:
        given = {name: date.fromisoformat(value) if name in _DATES and value is not None else value for name, value in row.given.items()}
        found[row.user_id].append(Fact(row.fact_id, FactType(row.type), row.effective_date, row.sequence, given))
    return found


async def _lock_chosen(
    tenant: str, connection: AsyncConnection, chosen: str, parameters: tuple[object, ...], today: date | None
) -> list[Person]:
    """Those that `chosen` selects (user_id, place), locked in order of their ids and returned in order of place."""
    statement = (
        f"WITH chosen AS MATERIALIZED ({chosen}) {_SELECT} JOIN chosen USING (user_id)"
        " WHERE p.tenant_id = $1 ORDER BY p.user_id FOR UPDATE OF p"
    )
    result = await connection.exec_driver_sql(statement.replace("SELECT arrival,", "SELECT place, arrival,"), (tenant, *parameters))
    return [_person(row, today) for row in sorted(result, key=lambda row: row.place)]


async def lock_due(tenant: str, connection: AsyncConnection, today: date, limit: int) -> list[Person]:
    """Those whom time alone changes by `today`, the earliest first, equal days in order of arrival: they ask for seats in this order."""
    chosen = (
        "SELECT user_id, row_number() OVER (ORDER BY reconsider_on, arrival) AS place FROM people"
        " WHERE tenant_id = $1 AND reconsider_on <= $2 ORDER BY place LIMIT $3"
    )
    return await _lock_chosen(tenant, connection, chosen, (today, limit), None)


async def lock_after(tenant: str, connection: AsyncConnection, arrival: int, limit: int, today: date) -> list[Person]:
    """The next people in order of arrival, all that were ever hired."""
    chosen = (
        "SELECT user_id, arrival AS place FROM people WHERE tenant_id = $1 AND arrival > $2 AND status <> 'expected'"
        " ORDER BY arrival LIMIT $3"
    )
    return await _lock_chosen(tenant, connection, chosen, (arrival, limit), today)


async def lock_without_seat(tenant: str, connection: AsyncConnection, module: str, arrival: int, limit: int, today: date) -> list[Person]:
    """The next people in order of arrival who need `module` and have no seat of it (one that waits is a seat, design section 4)."""
    chosen = (
        "SELECT n.user_id, n.arrival AS place FROM people n WHERE n.tenant_id = $1 AND n.arrival > $3 AND $2 = ANY(n.need)"
        " AND NOT EXISTS (SELECT FROM person_modules m WHERE m.tenant_id = $1 AND m.user_id = n.user_id AND m.module = $2"
        " AND m.state IN ('active', 'flagged', 'held', 'waiting')) ORDER BY n.arrival LIMIT $4"
    )
    return await _lock_chosen(tenant, connection, chosen, (module, arrival, limit), today)


async def next_day(tenant: str, connection: AsyncConnection) -> date | None:
    """The first local day on which time alone changes somebody."""
    result = await connection.exec_driver_sql(
        "SELECT min(reconsider_on) FROM people WHERE tenant_id = $1 AND reconsider_on IS NOT NULL", (tenant,)
    )
    day: date | None = result.scalar_one()
    return day
