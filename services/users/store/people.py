"""People."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    Date,
    DateTime,
    Select,
    Text,
    any_,
    bindparam,
    case,
    column,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.person import Person
from services.users.domain.roles import OWNER
from services.users.domain.sources import Key
from services.users.domain.status import USABLE
from services.users.store.module_states import MODULE_STATES
from services.users.store.person_rows import PersonRow, note_to_json, person_of, row_of
from services.users.store.timelines import TIMELINES
from shared.database.row_classes import columns_of, json_rows, many, names_of, recordset, table_of
from shared.database.unit_of_work import lock_number
from shared.schemas.position import N_MAX


@dataclass(frozen=True, slots=True)
class AnsweredRow:
    user_id: str
    answered: int


@dataclass(frozen=True, slots=True)
class NotesRow:
    user_id: str
    notes: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class View:
    """The people whom a reader with a viewset sees: those of the departments, and the reader."""

    departments: tuple[str, ...]
    reader: str


@dataclass(frozen=True, slots=True)
class Filter:
    """Which people a list shows: those with one of `statuses` to whom all the rest applies. `text` is part of one of their texts."""

    statuses: Sequence[str]
    external_id: str | None = None
    seat_state: str | None = None
    module: str | None = None  # with `seat_state`: the module that is in this state
    source: str | None = None
    kind: str | None = None
    department: str | None = None
    profile: str | None = None
    text: str | None = None
    role: str | None = None
    without: tuple[str, ...] | None = None  # login, email: only people who lack one of these
    users: tuple[str, ...] | None = None
    view: View | None = None


# The lock of transactions that may give people of a tenant a login. Take it before the rows of people and of SCIM users: such a transaction
# locks further rows when it compares logins.
CLAIMS: Final = "claims"
PEOPLE: Final = table_of("people", PersonRow, tenant_id=str, sent_at=datetime, texts=str, name_order=str, department_order=str)

_P: Final = PEOPLE.c
_M: Final = MODULE_STATES.c
_T: Final = TIMELINES.c
_TENANT: Final = bindparam("tenant", type_=Text)
_USER: Final = bindparam("user", type_=Text)
_USERS: Final = any_(bindparam("users", type_=ARRAY(Text)))
_TODAY: Final = bindparam("today", type_=Date)
_AFTER: Final = bindparam("after", type_=BigInteger)
_LIMIT: Final = bindparam("limit", type_=BigInteger)
_IS_KNOWN: Final = _P.status != literal_column("'expected'")
_COLUMNS: Final = columns_of(PersonRow, PEOPLE)

# All rows are one JSON parameter, in the order of arrival.
_GIVEN: Final = recordset(PersonRow)
_WRITTEN: Final = names_of(PersonRow, but=("arrival",))
_INSERT: Final = (
    insert(PEOPLE)
    .from_select(
        ["tenant_id", *_WRITTEN, "sent_at"],
        select(_TENANT, *(_GIVEN.c[name] for name in _WRITTEN), case((_GIVEN.c.revision > 0, func.now()), else_=null())).order_by(
            _GIVEN.c.place
        ),
    )
    .on_conflict_do_nothing(index_elements=["tenant_id", "user_id"])
)
# Only the projection writes `answered`, so that a change in another transaction does not set it back.
_CHANGED: Final = names_of(PersonRow, but=("arrival", "user_id", "answered"))
_UPDATE: Final = (
    update(PEOPLE)
    .where(_P.tenant_id == _TENANT, _P.user_id == _GIVEN.c.user_id)
    .values(
        {name: _GIVEN.c[name] for name in _CHANGED} | {"sent_at": case((_P.revision < _GIVEN.c.revision, func.now()), else_=_P.sent_at)}
    )
)
_ANSWERED: Final = recordset(AnsweredRow)
_SET_ANSWERED: Final = (
    update(PEOPLE).where(_P.tenant_id == _TENANT, _P.user_id == _ANSWERED.c.user_id).values(answered=_ANSWERED.c.answered)
)
_NOTES: Final = recordset(NotesRow)
_SET_NOTES: Final = update(PEOPLE).where(_P.tenant_id == _TENANT, _P.user_id == _NOTES.c.user_id).values(notes=_NOTES.c.notes)
_LOCK: Final = select(*_COLUMNS).where(_P.tenant_id == _TENANT, _P.user_id == _USERS).order_by(_P.user_id).with_for_update()
_GET: Final = select(*_COLUMNS).where(_P.tenant_id == _TENANT, _P.user_id == _USER, _IS_KNOWN)
_GET_MANY: Final = select(*_COLUMNS).where(_P.tenant_id == _TENANT, _P.user_id == _USERS)
_KEYS: Final = (
    func.unnest(bindparam("sources", type_=ARRAY(Text)), bindparam("external_ids", type_=ARRAY(Text)))
    .table_valued(column("source", Text()), column("external_id", Text()), name="key")
    .render_derived()
)
_NOBODIES: Final = select(_P.user_id).where(
    _P.tenant_id == _TENANT,
    tuple_(_P.source, _P.external_id).in_(select(_KEYS.c.source, _KEYS.c.external_id)),
    _P.status == literal_column("'expected'"),  # as in the partial index, which makes this fast
    _P.erased_at.is_(None),
    ~exists(select(_T.user_id).where(_T.tenant_id == _TENANT, _T.user_id == _P.user_id).correlate(PEOPLE)),
)
_ADVISORY_LOCK: Final = select(func.pg_advisory_xact_lock(bindparam("number", type_=BigInteger)))
_NEXT_INVITATION: Final = select(func.min(_P.invited_until)).where(_P.tenant_id == _TENANT, _P.invitation == literal_column("'open'"))
_NEXT_DAY: Final = select(func.min(_P.reconsider_on)).where(_P.tenant_id == _TENANT, _P.reconsider_on.is_not(None))

_STATUSES: Final = any_(bindparam("statuses", type_=ARRAY(Text)))
_EQUALS: Final = {name: bindparam(name, type_=Text) for name in ("kind", "department", "profile")}
_EXTERNAL_ID: Final = bindparam("external_id", type_=Text)
_SOURCE: Final = bindparam("source", type_=Text)
_IS_REPORTED: Final = _SOURCE.is_(None) | exists(
    select(_T.user_id).where(_T.tenant_id == _TENANT, _T.user_id == _P.user_id, _T.source == _SOURCE).correlate(PEOPLE)
)
# An array, so that the index of people by their ids is used: few people have one external id.
_HAS_EXTERNAL_ID: Final = _EXTERNAL_ID.is_(None) | (
    _P.user_id
    == any_(
        func.array(
            select(_T.user_id)
            .where(_T.tenant_id == _TENANT, _T.external_id == _EXTERNAL_ID, _SOURCE.is_(None) | (_T.source == _SOURCE))
            .scalar_subquery()
        )
    )
)
_SEAT_STATE: Final = bindparam("seat_state", type_=Text)
_MODULE: Final = bindparam("module", type_=Text)
_CHOSEN: Final = bindparam("users", type_=ARRAY(Text))
_TEXT: Final = bindparam("text", type_=Text)
_UNICODE: Final = "pg_c_utf8"  # of PostgreSQL itself: the locale of the database may know the case of ASCII letters only


def comparable(text: Any) -> Any:
    """Return a text in lower case and with composed characters: an accent can be written as a character of its own."""
    return func.lower(func.normalize(text).collate(_UNICODE))


_OF_PERSON: Final = (_M.tenant_id == _TENANT) & (_M.user_id == _P.user_id)
_REQUIRED: Final = func.unnest(_P.required_modules).table_valued(column("module", Text()), name="required").render_derived()
_ROLE: Final = bindparam("role", type_=Text)
# The first condition is that of the index of people with roles.
_HAS_ROLE: Final = (func.cardinality(_P.roles) + func.cardinality(_P.group_roles) > 0) & (
    (any_(_P.roles) == _ROLE) | (any_(_P.group_roles) == _ROLE)
)
_WITHOUT: Final = bindparam("without", type_=ARRAY(Text))
_LACKS: Final = [(any_(_WITHOUT) == literal_column(f"'{name}'")) & (_P[name] == literal_column("''")) for name in ("login", "email")]
_DEPARTMENTS: Final = bindparam("departments", type_=ARRAY(Text))
_IS_VISIBLE: Final = func.coalesce(_P.department == any_(_DEPARTMENTS), literal_column("false")) | (
    _P.user_id == bindparam("reader", type_=Text)
)
_COUNT_HIDDEN: Final = select(func.count()).where(_P.tenant_id == _TENANT, _IS_KNOWN, _P.status == _STATUSES, ~_IS_VISIBLE)
_HIDDEN_OF: Final = select(_P.user_id).where(_P.tenant_id == _TENANT, _P.user_id == _USERS, ~_IS_VISIBLE)
_IS_PENDING: Final = exists(
    select(_REQUIRED.c.module)
    .where(
        _MODULE.is_(None) | (_REQUIRED.c.module == _MODULE),
        ~exists(select(_M.module).where(_OF_PERSON, _M.module == _REQUIRED.c.module, _M.state != "released").correlate(PEOPLE, _REQUIRED)),
    )
    .correlate(PEOPLE)
)
_IS_IN_STATE: Final = exists(
    select(_M.module).where(_OF_PERSON, _M.state == _SEAT_STATE, _MODULE.is_(None) | (_M.module == _MODULE)).correlate(PEOPLE)
)
_LACKS_MODULE: Final = any_(_P.not_subscribed) == _MODULE
_HAS_MODULE: Final = or_(
    any_(_P.required_modules) == _MODULE,
    _LACKS_MODULE,
    exists(select(_M.module).where(_OF_PERSON, _M.module == _MODULE, _M.state != "released").correlate(PEOPLE)),
)
# The people to whom a filter applies, in no order.
FILTERED: Final = select(*_COLUMNS).where(
    _P.tenant_id == _TENANT,
    _IS_KNOWN,
    _P.status == _STATUSES,
    *(value.is_(None) | (_P[name] == value) for name, value in _EQUALS.items()),
    _IS_REPORTED,
    _HAS_EXTERNAL_ID,
    _CHOSEN.is_(None) | (_P.user_id == any_(_CHOSEN)),
    _TEXT.is_(None) | (func.strpos(_P.texts, comparable(_TEXT).collate("C")) > 0),
    _ROLE.is_(None) | _HAS_ROLE,
    _WITHOUT.is_(None) | or_(*_LACKS),
    _DEPARTMENTS.is_(None) | _IS_VISIBLE,
    _MODULE.is_(None) | _HAS_MODULE,
    _SEAT_STATE.is_(None)
    | case(
        (_SEAT_STATE == "pending", _IS_PENDING),
        (_SEAT_STATE == "not_subscribed", case((_MODULE.is_(None), func.cardinality(_P.not_subscribed) > 0), else_=_LACKS_MODULE)),
        else_=_IS_IN_STATE,
    ),
)
_PAGE: Final = FILTERED.where(_P.arrival > _AFTER).order_by(_P.arrival).limit(_LIMIT)


def _read_chosen(chosen: Select[Any]) -> Select[Any]:
    """Return a statement that reads the people whom `chosen` selects (user_id, position)."""
    cte: CTE = chosen.cte("chosen").prefix_with("MATERIALIZED")
    found = select(cte.c.position, *_COLUMNS).select_from(PEOPLE.join(cte, cte.c.user_id == _P.user_id))
    return found.where(_P.tenant_id == _TENANT).order_by(_P.user_id)


def _lock_chosen(chosen: Select[Any]) -> Select[Any]:
    """Return a statement that locks the people whom `chosen` selects (user_id, position), in order of their ids."""
    return _read_chosen(chosen).with_for_update(of=PEOPLE)


_DUE: Final = _read_chosen(
    select(_P.user_id, func.row_number().over(order_by=[_P.reconsider_on, _P.arrival]).label("position"))
    .where(_P.tenant_id == _TENANT, _P.reconsider_on <= _TODAY)
    .order_by("position")
    .limit(_LIMIT)
)
_LOCK_INVITED: Final = _lock_chosen(
    select(_P.user_id, func.row_number().over(order_by=[_P.invited_until, _P.arrival]).label("position"))
    .where(
        _P.tenant_id == _TENANT,
        _P.invitation == literal_column("'open'"),
        _P.invited_until <= bindparam("now", type_=DateTime(timezone=True)),
    )
    .order_by("position")
    .limit(_LIMIT)
)
_AFTER_CREATED: Final = bindparam("after_created", type_=DateTime(timezone=True))
_NEXT_CREATED: Final = (
    select(_P.user_id, func.row_number().over(order_by=[_P.created_at, _P.arrival]).label("position"))
    .where(_P.tenant_id == _TENANT, tuple_(_P.created_at, _P.arrival) > tuple_(_AFTER_CREATED, _AFTER), _IS_KNOWN)
    .order_by(_P.created_at, _P.arrival)
    .limit(_LIMIT)
)
_OWNERS: Final = (
    select(*_COLUMNS)
    .where(
        _P.tenant_id == _TENANT,
        _HAS_ROLE,
        _P.employed,
        _P.may_log_in,
        _P.login_allowed,
        _P.valid_to.is_(None) | (_P.valid_to >= _TODAY),
    )
    .order_by(_P.arrival)
)
_LOCK_AFTER, _READ_AFTER = _lock_chosen(_NEXT_CREATED), _read_chosen(_NEXT_CREATED)
_COUNT_WITH_ROLE: Final = select(func.count()).where(_P.tenant_id == _TENANT, _HAS_ROLE)
_LOCK_WITH_ROLE: Final = _lock_chosen(_NEXT_CREATED.where(_HAS_ROLE))
# A person who was refused has the place of the last decision about it in the log: offset and n as one number.
_PLACES_OF_ONE_OFFSET: Final = N_MAX + 1
_PLACE: Final = func.max(_M.record_offset * _PLACES_OF_ONE_OFFSET + _M.n)
_REFUSED: Final = (
    select(_M.user_id, _PLACE.label("position"))
    .select_from(MODULE_STATES.join(PEOPLE, (_P.tenant_id == _M.tenant_id) & (_P.user_id == _M.user_id)))
    .where(
        _M.tenant_id == _TENANT,
        _M.state.in_(("refused", "revoked")),
        (_P.status == _STATUSES) | ((_M.state == "refused") & _P.status.in_(USABLE)),  # of them, a module that is not base
    )
    .group_by(_M.user_id)
)
_UNTIL: Final = bindparam("until", type_=BigInteger)
_LOCK_REFUSED: Final = _lock_chosen(_REFUSED.having((_PLACE > _AFTER) & (_UNTIL >= _PLACE)).order_by(_PLACE).limit(_LIMIT))
_OF_REFUSED: Final = _REFUSED.subquery("refused")
_COUNT_REFUSED: Final = select(func.count(), func.coalesce(func.max(_OF_REFUSED.c.position), 0)).select_from(_OF_REFUSED)
_COUNT_REFUSED_IN: Final = select(func.count(_REFUSED.where(_M.module == bindparam("module", type_=Text)).subquery("r").c.user_id))


async def add(connection: AsyncConnection, tenant_id: str, people: Sequence[Person]) -> int:
    """Add people; return how many of them were new. People who exist already stay as they are."""
    given = {"tenant": tenant_id, "rows": json_rows([row_of(person) for person in people])}
    return (await connection.execute(_INSERT, given)).rowcount


async def lock(connection: AsyncConnection, tenant_id: str, user: str, today: date | None) -> Person | None:
    """Return the person, locked: another transaction that computes the person's next revision waits here."""
    return (await lock_many(connection, tenant_id, [user], today)).get(user)


async def lock_many(
    connection: AsyncConnection, tenant_id: str, users: Sequence[str], today: date | None, due: Collection[str] = ()
) -> dict[str, Person]:
    """Return people, locked in order of their ids: every transaction uses this order, so that no two wait for each other. `due` are read as
    `due` returns them."""
    found = [PersonRow(*row) for row in await connection.execute(_LOCK, {"tenant": tenant_id, "users": list(users)})]
    return {row.user_id: person_of(row, None if row.user_id in due else today) for row in found}


async def get(connection: AsyncConnection, tenant_id: str, user: str, today: date | None) -> Person | None:
    row = (await connection.execute(_GET, {"tenant": tenant_id, "user": user})).one_or_none()
    return None if row is None else person_of(PersonRow(*row), today)


async def get_many(connection: AsyncConnection, tenant_id: str, users: Sequence[str], today: date) -> dict[str, Person]:
    """Return these people, also those who are only expected."""
    found = await many(connection, _GET_MANY, PersonRow, tenant=tenant_id, users=list(users))
    return {row.user_id: person_of(row, today) for row in found}


async def lock_linked_away(connection: AsyncConnection, tenant_id: str, keys: Collection[Key], today: date) -> list[Person]:
    """Return the people who were described by these timelines until they were linked with others, locked."""
    given = {"tenant": tenant_id, "sources": [key.source for key in keys], "external_ids": [key.external_id for key in keys]}
    users = list((await connection.execute(_NOBODIES, given)).scalars())
    return list((await lock_many(connection, tenant_id, users, today)).values())


async def page(connection: AsyncConnection, tenant_id: str, chosen: Filter, after: int, limit: int, today: date) -> list[Person]:
    """Return the next people in order of arrival."""
    given = parameters_of(tenant_id, chosen) | {"after": after, "limit": limit}
    return [person_of(PersonRow(*row), today) for row in await connection.execute(_PAGE, given)]


def parameters_of(tenant_id: str, chosen: Filter) -> dict[str, Any]:
    """Return the parameters of `FILTERED`."""
    view = chosen.view
    given = {"tenant": tenant_id} | asdict(replace(chosen, view=None))
    return given | {"departments": view.departments if view else None, "reader": view.reader if view else None}


async def count_hidden(connection: AsyncConnection, tenant_id: str, statuses: Sequence[str], view: View) -> int:
    """Return how many people with these statuses the reader does not see. Other filters do not count: the number would tell whether a
    hidden person has a certain name or address."""
    given = {"tenant": tenant_id, "statuses": statuses, "departments": view.departments, "reader": view.reader}
    return int((await connection.execute(_COUNT_HIDDEN, given)).scalar_one())


async def hidden_of(connection: AsyncConnection, tenant_id: str, users: Collection[str], view: View) -> frozenset[str]:
    """Return those of these people whom the reader does not see."""
    if not users:
        return frozenset()
    given = {"tenant": tenant_id, "users": sorted(users), "departments": view.departments, "reader": view.reader}
    return frozenset((await connection.execute(_HIDDEN_OF, given)).scalars())


async def save(connection: AsyncConnection, tenant_id: str, people: Sequence[Person]) -> None:
    """Save changed people. Call under their locks."""
    if people:
        await connection.execute(_UPDATE, {"tenant": tenant_id, "rows": json_rows([row_of(person) for person in people])})


async def set_answered(connection: AsyncConnection, tenant_id: str, answered: Mapping[str, int]) -> None:
    """Save the last revision that seats answered for each of these people. Call under their locks."""
    if answered:
        rows = [AnsweredRow(user, revision) for user, revision in answered.items()]
        await connection.execute(_SET_ANSWERED, {"tenant": tenant_id, "rows": json_rows(rows)})


async def set_notes(connection: AsyncConnection, tenant_id: str, people: Sequence[Person]) -> None:
    """Save the notes of these people. Call under their locks."""
    if people:
        rows = [NotesRow(person.user, [note_to_json(note) for note in person.notes]) for person in people]
        await connection.execute(_SET_NOTES, {"tenant": tenant_id, "rows": json_rows(rows)})


async def _found(connection: AsyncConnection, statement: Select[Any], given: Mapping[str, Any], today: date | None) -> list[Person]:
    """Return the people whom a statement of `_lock_chosen` or `_read_chosen` finds, in order of their positions."""
    found = sorted(await connection.execute(statement, given), key=lambda row: row.position)
    return [person_of(PersonRow(*row[1:]), today) for row in found]


async def due(connection: AsyncConnection, tenant_id: str, today: date, limit: int) -> list[Person]:
    """Return the people who change by `today` because time passes. The earliest day comes first, and equal days are in order of
    arrival: they request seats in this order."""
    return await _found(connection, _DUE, {"tenant": tenant_id, "today": today, "limit": limit}, None)


async def lock_invited(connection: AsyncConnection, tenant_id: str, now: datetime, limit: int, today: date) -> list[Person]:
    """Return the people whose invitation ends by `now`, locked. The earliest end comes first."""
    return await _found(connection, _LOCK_INVITED, {"tenant": tenant_id, "now": now, "limit": limit}, today)


async def after(
    connection: AsyncConnection, tenant_id: str, created_at: datetime, arrival: int, limit: int, today: date, *, lock: bool
) -> list[Person]:
    """Return the next people who were ever hired, the oldest one first; those of one time are in order of arrival."""
    given = {"tenant": tenant_id, "after_created": created_at, "after": arrival, "limit": limit}
    return await _found(connection, _LOCK_AFTER if lock else _READ_AFTER, given, today)


async def lock_refused(
    connection: AsyncConnection, tenant_id: str, statuses: Sequence[str], after: int, until: int, limit: int, today: date
) -> tuple[list[int], list[Person]]:
    """Return the next people of these statuses who were refused or revoked, and people with seats who were refused in another module, in
    the order of these decisions, locked, with their places."""
    given = {"tenant": tenant_id, "statuses": list(statuses), "after": after, "until": until, "limit": limit}
    found = sorted(await connection.execute(_LOCK_REFUSED, given), key=lambda row: row.position)
    return [row.position for row in found], [person_of(PersonRow(*row[1:]), today) for row in found]


async def count_refused(connection: AsyncConnection, tenant_id: str, statuses: Sequence[str]) -> tuple[int, int]:
    """Return how many people `lock_refused` finds, and the place of the last one."""
    people, last = (await connection.execute(_COUNT_REFUSED, {"tenant": tenant_id, "statuses": list(statuses)})).one()
    return people, last


async def count_refused_in(connection: AsyncConnection, tenant_id: str, module: str) -> int:
    """Return how many people were refused in this module."""
    given = {"tenant": tenant_id, "statuses": ["refused"], "module": module}
    return int((await connection.execute(_COUNT_REFUSED_IN, given)).scalar_one())


async def next_invitation(connection: AsyncConnection, tenant_id: str) -> datetime | None:
    """Return the first instant at which an open invitation ends."""
    at: datetime | None = (await connection.execute(_NEXT_INVITATION, {"tenant": tenant_id})).scalar_one()
    return at


async def lock_with_role(
    connection: AsyncConnection, tenant_id: str, role: str, created_at: datetime, arrival: int, limit: int, today: date
) -> list[Person]:
    """Return the next people who hold the role, in the order of `after`, locked."""
    given = {"tenant": tenant_id, "role": role, "after_created": created_at, "after": arrival, "limit": limit}
    return await _found(connection, _LOCK_WITH_ROLE, given, today)


async def count_with_role(connection: AsyncConnection, tenant_id: str, role: str) -> int:
    """Return how many people hold the role, whether or not they are employed."""
    return int((await connection.execute(_COUNT_WITH_ROLE, {"tenant": tenant_id, "role": role})).scalar_one())


async def owners(connection: AsyncConnection, tenant_id: str, today: date) -> list[Person]:
    """Return the owners of the tenant who can sign in. Until this transaction ends, another one that asks waits here: two owners who end
    each other's access at once do not both succeed."""
    await connection.execute(_ADVISORY_LOCK, {"number": lock_number("owners", tenant_id)})
    found = await many(connection, _OWNERS, PersonRow, tenant=tenant_id, role=OWNER, today=today)
    return [person_of(row, today) for row in found]


async def next_day(connection: AsyncConnection, tenant_id: str) -> date | None:
    """Return the first local day on which somebody changes because time passes."""
    day: date | None = (await connection.execute(_NEXT_DAY, {"tenant": tenant_id})).scalar_one()
    return day
