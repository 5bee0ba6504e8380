"""People and the facts about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain import NOTHING, Account, Fact, FactType, Need, Note, Record, Standing, Status
from services.users.person import Person
from shared.schemas.base import format_instant

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
_LIST: Final = ", ".join(_COLUMNS)
_SELECT: Final = f"SELECT arrival, {', '.join(f'p.{name}' for name in _COLUMNS)} FROM people p"  # noqa: S608 - constants
_PLACES: Final = ", ".join(f"${i + 2}" for i in range(len(_COLUMNS)))
# A person's first fact: one statement makes both rows, or neither when the person is known already.
_INSERT: Final = f"""
WITH added AS (
    INSERT INTO people (tenant_id, {_LIST}, sent_at)
    VALUES ($1, {_PLACES}, CASE WHEN ${_COLUMNS.index("revision") + 2}::bigint > 0 THEN now() END)
    ON CONFLICT (tenant_id, user_id) DO NOTHING
    RETURNING tenant_id, user_id
)
INSERT INTO facts (tenant_id, user_id, fact_id, source, type, effective_date, sequence, given, received_at)
SELECT tenant_id, user_id, ${len(_COLUMNS) + 2}, ${len(_COLUMNS) + 3}, ${len(_COLUMNS) + 4}, ${len(_COLUMNS) + 5}::date,
       ${len(_COLUMNS) + 6}::bigint, ${len(_COLUMNS) + 7}::jsonb, now()
FROM added
"""  # noqa: S608 - constants
# `answered` is written by the projection alone, so that a change that goes on meanwhile never sets it back.
_CHANGED: Final = tuple(name for name in _COLUMNS if name not in ("user_id", "source", "external_id", "answered"))
_SET: Final = ", ".join(f"{name} = ${i + 3}" for i, name in enumerate(_CHANGED))
_UPDATE: Final = f"""
UPDATE people SET {_SET}, sent_at = CASE WHEN revision < ${_CHANGED.index("revision") + 3} THEN now() ELSE sent_at END
WHERE tenant_id = $1 AND user_id = $2
"""  # noqa: S608 - constants
_INSERT_FACT: Final = """
INSERT INTO facts (tenant_id, user_id, fact_id, source, type, effective_date, sequence, given, received_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now())
ON CONFLICT (tenant_id, user_id, fact_id) DO NOTHING
"""
# jsonb is written as text and read as Python objects: that is how the driver is set up.
_DATES: Final = frozenset({"valid_to"})


def _sent_to_json(need: Need | None) -> str | None:
    if need is None:
        return None
    hold_until = format_instant(need.hold_until) if need.hold_until else None
    content = {"modules": need.modules, "administrator": need.administrator, "priority": need.priority, "partial": need.partial}
    return orjson.dumps(content | {"hold_until": hold_until}).decode()


def _sent_from_json(content: dict[str, Any] | None) -> Need | None:
    if content is None:
        return None
    hold_until = datetime.fromisoformat(content["hold_until"]) if content["hold_until"] else None
    return Need(tuple(content["modules"]), content["administrator"], content["priority"], content["partial"], hold_until)


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
        "notes": orjson.dumps([{"type": note.type, "detail": note.detail} for note in standing.notes]).decode(),
        "need": list(standing.need.modules),
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
    record = None
    if status is not Status.EXPECTED:
        record = Record(row.employed, row.login, row.email, row.name, row.job_title, row.department, row.kind, row.valid_to)
    account = Account(row.given_profile, row.administrator, row.may_log_in, row.priority, row.hold_until, row.deactivated)
    notes = tuple(Note(note["type"], note["detail"]) for note in row.notes)
    sent = _sent_from_json(row.sent)
    # A need is sent in the transaction that stores it, so that what was sent last is what is needed, whenever anything is.
    need = sent if row.need and sent is not None else NOTHING
    expired = today is not None and row.valid_to is not None and row.valid_to < today
    may_log_in = row.employed and row.may_log_in and not row.deactivated and not expired
    return Person(
        user=row.user_id,
        source=row.source,
        external_id=row.external_id,
        created_at=row.created_at,
        record=record,
        account=account,
        standing=Standing(status, may_log_in and record is not None, row.profile, need, notes),
        reconsider_on=row.reconsider_on,
        version=row.version,
        revision=row.revision,
        answered=row.answered,
        sent=sent,
        command_id=row.command_id,
        arrival=row.arrival,
    )


async def insert(tenant: str, connection: AsyncConnection, person: Person, fact: Fact, source: str) -> bool:
    """The person with their first fact; False, and nothing done, when the person is known already."""
    values = (tenant, *_values(person).values(), *_fact_values(fact, source))
    return (await connection.exec_driver_sql(_INSERT, values)).rowcount == 1


async def lock(tenant: str, connection: AsyncConnection, user: str, today: date | None) -> Person | None:
    """The row is locked: who works out the same person's next revision waits here."""
    result = await connection.exec_driver_sql(f"{_SELECT} WHERE p.tenant_id = $1 AND p.user_id = $2 FOR UPDATE", (tenant, user))
    row = result.one_or_none()
    return None if row is None else _person(row, today)


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


async def update(tenant: str, connection: AsyncConnection, person: Person) -> None:
    """Call under the person's lock."""
    values = _values(person)
    await connection.exec_driver_sql(_UPDATE, (tenant, person.user, *(values[name] for name in _CHANGED)))


async def add_fact(tenant: str, connection: AsyncConnection, user: str, fact: Fact, source: str) -> None:
    await connection.exec_driver_sql(_INSERT_FACT, (tenant, user, *_fact_values(fact, source)))


def _fact_values(fact: Fact, source: str) -> tuple[object, ...]:
    given = {name: value.isoformat() if isinstance(value, date) else value for name, value in fact.given.items()}
    return (fact.id, source, fact.type.value, fact.effective_date, fact.sequence, orjson.dumps(given).decode())


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


async def lock_due(tenant: str, connection: AsyncConnection, today: date, limit: int) -> list[Person]:
    """Those whom time alone changes by `today`, the earliest first, equal days in order of arrival: they ask for seats in this order."""
    result = await connection.exec_driver_sql(
        f"{_SELECT} WHERE p.tenant_id = $1 AND p.reconsider_on <= $2 ORDER BY p.reconsider_on, p.arrival LIMIT $3 FOR UPDATE",
        (tenant, today, limit),
    )
    return [_person(row, None) for row in result]


async def lock_after(tenant: str, connection: AsyncConnection, arrival: int, limit: int, today: date) -> list[Person]:
    """The next people in order of arrival, all that were ever hired."""
    result = await connection.exec_driver_sql(
        f"{_SELECT} WHERE p.tenant_id = $1 AND p.arrival > $2 AND p.status <> 'expected' ORDER BY p.arrival LIMIT $3 FOR UPDATE",
        (tenant, arrival, limit),
    )
    return [_person(row, today) for row in result]


async def lock_without_seat(tenant: str, connection: AsyncConnection, module: str, arrival: int, limit: int, today: date) -> list[Person]:
    """The next people in order of arrival who need `module` and have no seat of it (one that waits is a seat, design section 4)."""
    result = await connection.exec_driver_sql(
        f"{_SELECT} WHERE p.tenant_id = $1 AND p.arrival > $3 AND $2 = ANY(p.need) AND NOT EXISTS (SELECT FROM person_modules m"
        " WHERE m.tenant_id = $1 AND m.user_id = p.user_id AND m.module = $2 AND m.state IN ('active', 'flagged', 'held', 'waiting'))"
        " ORDER BY p.arrival LIMIT $4 FOR UPDATE OF p",
        (tenant, module, arrival, limit),
    )
    return [_person(row, today) for row in result]


async def next_day(tenant: str, connection: AsyncConnection) -> date | None:
    """The first local day on which time alone changes somebody."""
    result = await connection.exec_driver_sql(
        "SELECT min(reconsider_on) FROM people WHERE tenant_id = $1 AND reconsider_on IS NOT NULL", (tenant,)
    )
    day: date | None = result.scalar_one()
    return day
