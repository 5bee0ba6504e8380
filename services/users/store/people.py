"""People."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from operator import attrgetter
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
    union,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.conflicts import Conflict
from services.users.domain.facts import Record
from services.users.domain.logins import login_key
from services.users.domain.merging import NO_OVERRIDES, Employment, Overrides
from services.users.domain.person import Person
from services.users.domain.required_modules import NO_MODULES, Account, Note, Release, RequiredModules
from services.users.domain.roles import OWNER
from services.users.domain.status import Standing, Status, may_sign_in, status_of
from services.users.domain.timelines import given_from_json, given_to_json
from services.users.store.module_states import MODULE_STATES
from services.users.store.timelines import TIMELINES
from shared.database.row_classes import columns_of, json_rows, many, names_of, recordset, table_of
from shared.database.unit_of_work import lock_number
from shared.fields import common_names, field_names
from shared.schemas.base import format_instant
from shared.schemas.position import N_MAX, DecisionId


@dataclass(frozen=True, slots=True)
class PersonRow:
    """The fields of `Record` and `Account` have columns of the same names, and so do most fields of `Person`."""

    user_id: str
    arrival: int  # drawn by the database
    source: str
    external_id: str
    created_at: datetime
    employed: bool
    login: str
    login_key: str
    email: str
    name: str
    job_title: str
    department: str | None
    kind: str
    valid_to: date | None
    login_allowed: bool
    employee_number: str
    given_profile: str | None
    group_profiles: tuple[str, ...]
    roles: tuple[str, ...]
    group_roles: tuple[str, ...]
    own_department: bool
    departments: tuple[str, ...] | None
    digests: bool
    rights: tuple[str, ...]
    may_log_in: bool
    priority: int
    hold_until: datetime | None
    seat_status: str
    invitation: str
    invited_until: datetime | None
    profile: str | None
    status: str
    notes: Sequence[Mapping[str, Any]]
    required_modules: tuple[str, ...]
    not_subscribed: tuple[str, ...]
    reconsider_on: date | None
    version: int
    revision: int
    answered: int
    sent: Mapping[str, Any] | None
    command_id: str | None
    overrides: Mapping[str, Any]
    conflict: Mapping[str, Any] | None
    conflict_people: tuple[str, ...]
    separated: tuple[str, ...]
    email_key: str
    left_on: date | None
    erased_at: datetime | None
    confirmed_login: str | None
    confirmed_email: str | None


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
    source: str | None = None
    kind: str | None = None
    department: str | None = None
    profile: str | None = None
    text: str | None = None
    role: str | None = None
    without: tuple[str, ...] | None = None  # login, email: only people who lack one of these
    view: View | None = None


# The lock of transactions that may give people of a tenant a login. Take it before the rows of people and of SCIM users: such a transaction
# locks further rows when it compares logins.
CLAIMS: Final = "claims"
PEOPLE: Final = table_of("people", PersonRow, tenant_id=str, sent_at=datetime, texts=str)

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
_USERS_OF_COMMAND: Final = select(_P.user_id).where(_P.tenant_id == _TENANT, _P.command_id == bindparam("command", type_=Text))
_HOLDER: Final = (
    select(_P.user_id)
    .where(_P.tenant_id == _TENANT, _P.login_key == bindparam("login_key", type_=Text), _P.employed, _P.user_id != _USER)
    .order_by(_P.conflict.is_not(None), _P.user_id)
    .limit(1)
)
_ADVISORY_LOCK: Final = select(func.pg_advisory_xact_lock(bindparam("number", type_=BigInteger)))
_NEXT_INVITATION: Final = select(func.min(_P.invited_until)).where(_P.tenant_id == _TENANT, _P.invitation == literal_column("'open'"))
_ARE_MEANT: Final = (_P.tenant_id == _TENANT) & _P.employed & _P.conflict.is_(None)
_HR_IDS: Final = any_(bindparam("hr_ids", type_=ARRAY(Text)))
# Each part uses an index of its own; a disjunction would read all people.
_WITH_MARKS: Final = union(
    select(_P.user_id).where(_ARE_MEANT, _P.login_key == any_(bindparam("logins", type_=ARRAY(Text)))),
    select(_P.user_id).where(_ARE_MEANT, _P.email_key == any_(bindparam("emails", type_=ARRAY(Text)))),
    select(_P.user_id).where(_ARE_MEANT, _P.employee_number != "", _P.employee_number == any_(bindparam("numbers", type_=ARRAY(Text)))),
    select(_P.user_id)
    .select_from(TIMELINES.join(PEOPLE, (_T.tenant_id == _P.tenant_id) & (_T.user_id == _P.user_id)))
    .where(_ARE_MEANT, _T.external_id == _HR_IDS, _T.source == any_(bindparam("hr_sources", type_=ARRAY(Text)))),
)
_RECONSIDER: Final = (
    update(PEOPLE)
    .where(_P.tenant_id == _TENANT, _P.conflict.is_not(None), _P.conflict["reason"].as_string() == bindparam("reason", type_=Text))
    .values(reconsider_on=_TODAY)
)
_IN_CONFLICT_WITH: Final = select(_P.user_id, _P.conflict_people).where(
    _P.tenant_id == _TENANT, _P.conflict.is_not(None), _P.conflict_people.op("&&")(bindparam("users", type_=ARRAY(Text)))
)
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
_TEXT: Final = bindparam("text", type_=Text)
_UNICODE: Final = "pg_c_utf8"  # of PostgreSQL itself: the locale of the database may know the case of ASCII letters only


def comparable(text: Any) -> Any:
    """Return a text in lower case and with composed characters: an accent can be written as a character of its own."""
    return func.lower(func.normalize(text).collate(_UNICODE))


_SIGN_IN_EMAIL: Final = func.coalesce(_P.confirmed_email, _P.email)
_EMAIL: Final = func.lower(bindparam("email", type_=Text))
_HAS_SIGN_IN_EMAIL: Final = _P.employed & (literal_column("''") != _SIGN_IN_EMAIL) & (func.lower(_SIGN_IN_EMAIL) == _EMAIL)
_KEY: Final = bindparam("login_key", type_=Text)
_IS_IN_CONFLICT: Final = _P.conflict.is_not(None).label("in_conflict")
# Each part uses an index of its own.
_WITH_SIGN_IN_LOGIN: Final = union(
    select(_P.user_id, _IS_IN_CONFLICT).where(_P.tenant_id == _TENANT, _P.employed, _P.login_key == _KEY, _P.confirmed_login.is_(None)),
    select(_P.user_id, _IS_IN_CONFLICT).where(_P.tenant_id == _TENANT, _P.employed, _P.confirmed_login == _KEY),
).limit(100)
# The condition on roles is that of the index of people with roles.
_WITH_EMAIL_AND_ROLE: Final = (
    select(_P.tenant_id, _P.user_id)
    .where(func.cardinality(_P.roles) + func.cardinality(_P.group_roles) > 0, _HAS_SIGN_IN_EMAIL)
    .order_by(_P.tenant_id, _P.arrival)
    .limit(_LIMIT)
)
# With row-level security, PostgreSQL does not look up `lower(email)` in an index: the function might show a row to its caller.
_WITH_SIGN_IN_EMAIL: Final = union(
    select(_P.user_id).where(
        _P.tenant_id == _TENANT,
        _P.employed,
        _P.email_key == bindparam("email_key", type_=Text),
        func.lower(_P.email) == _EMAIL,
        _P.confirmed_email.is_(None),
    ),
    select(_P.user_id).where(_P.tenant_id == _TENANT, _P.employed, func.lower(_P.confirmed_email) == _EMAIL),
).limit(_LIMIT)
_EMAILS_WITH_ROLE: Final = select(_SIGN_IN_EMAIL).where(
    _P.tenant_id == _TENANT,
    func.cardinality(_P.roles) + func.cardinality(_P.group_roles) > 0,
    (any_(_P.roles) == bindparam("role", type_=Text)) | (any_(_P.group_roles) == bindparam("role", type_=Text)),
    _P.employed,
    literal_column("''") != _SIGN_IN_EMAIL,
)
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
        ~exists(select(_M.module).where(_OF_PERSON, _M.module == _REQUIRED.c.module, _M.state != "released").correlate(PEOPLE, _REQUIRED))
    )
    .correlate(PEOPLE)
)
_IS_IN_STATE: Final = exists(select(_M.module).where(_OF_PERSON, _M.state == _SEAT_STATE).correlate(PEOPLE))
_PAGE: Final = (
    select(*_COLUMNS)
    .where(
        _P.tenant_id == _TENANT,
        _P.arrival > _AFTER,
        _IS_KNOWN,
        _P.status == _STATUSES,
        *(value.is_(None) | (_P[name] == value) for name, value in _EQUALS.items()),
        _IS_REPORTED,
        _HAS_EXTERNAL_ID,
        _TEXT.is_(None) | (func.strpos(_P.texts, comparable(_TEXT).collate("C")) > 0),
        _ROLE.is_(None) | _HAS_ROLE,
        _WITHOUT.is_(None) | or_(*_LACKS),
        _DEPARTMENTS.is_(None) | _IS_VISIBLE,
        _SEAT_STATE.is_(None)
        | case(
            (_SEAT_STATE == "pending", _IS_PENDING),
            (_SEAT_STATE == "not_subscribed", func.cardinality(_P.not_subscribed) > 0),
            else_=_IS_IN_STATE,
        ),
    )
    .order_by(_P.arrival)
    .limit(_LIMIT)
)


def _lock_chosen(chosen: Select[Any]) -> Select[Any]:
    """Return a statement that locks the people whom `chosen` selects (user_id, position), in order of their ids."""
    cte: CTE = chosen.cte("chosen").prefix_with("MATERIALIZED")
    return (
        select(cte.c.position, *_COLUMNS)
        .select_from(PEOPLE.join(cte, cte.c.user_id == _P.user_id))
        .where(_P.tenant_id == _TENANT)
        .order_by(_P.user_id)
        .with_for_update(of=PEOPLE)
    )


_LOCK_DUE: Final = _lock_chosen(
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
_LOCK_AFTER: Final = _lock_chosen(_NEXT_CREATED)
_KNOWN_DEPARTMENTS: Final = (
    select(_P.department)
    .where(_P.tenant_id == _TENANT, _P.employed, _P.department == any_(bindparam("departments", type_=ARRAY(Text))))
    .distinct()
)
_HAS_OWNER: Final = select(
    exists(
        select(_P.user_id).where(
            _P.tenant_id == _TENANT,
            _P.user_id != bindparam("but", type_=Text),
            _HAS_ROLE,
            _P.employed,
            _P.may_log_in,
            _P.login_allowed,
            _P.valid_to.is_(None) | (_P.valid_to >= _TODAY),
        )
    )
)
_COUNT_WITH_ROLE: Final = select(func.count()).where(_P.tenant_id == _TENANT, _HAS_ROLE)
_LOCK_WITH_ROLE: Final = _lock_chosen(_NEXT_CREATED.where(_HAS_ROLE))
# A person who was refused has the place of the last decision about it in the log: offset and n as one number.
_PLACES_OF_ONE_OFFSET: Final = N_MAX + 1
_PLACE: Final = func.max(_M.record_offset * _PLACES_OF_ONE_OFFSET + _M.n)
_REFUSED: Final = (
    select(_M.user_id, _PLACE.label("position"))
    .select_from(MODULE_STATES.join(PEOPLE, (_P.tenant_id == _M.tenant_id) & (_P.user_id == _M.user_id)))
    .where(_M.tenant_id == _TENANT, _M.state.in_(("refused", "revoked")), _P.status == _STATUSES)
    .group_by(_M.user_id)
)
_UNTIL: Final = bindparam("until", type_=BigInteger)
_LOCK_REFUSED: Final = _lock_chosen(_REFUSED.having((_PLACE > _AFTER) & (_UNTIL >= _PLACE)).order_by(_PLACE).limit(_LIMIT))
_OF_REFUSED: Final = _REFUSED.subquery("refused")
_COUNT_REFUSED: Final = select(func.count(), func.coalesce(func.max(_OF_REFUSED.c.position), 0)).select_from(_OF_REFUSED)
_COUNT_REFUSED_IN: Final = select(func.count(_REFUSED.where(_M.module == bindparam("module", type_=Text)).subquery("r").c.user_id))
# An import reads and writes each person several times: values are read by `attrgetter`, and written as mappings, which orjson dumps faster.
_RECORD: Final = field_names(Record)
_ACCOUNT: Final = field_names(Account)
_PERSON: Final = tuple(name for name in common_names(Person, PersonRow) if name not in ("sent", "overrides", "conflict"))
_SENT: Final = field_names(RequiredModules)
_RECORD_OF: Final = attrgetter(*_RECORD)
_ACCOUNT_OF: Final = attrgetter(*_ACCOUNT)
_PERSON_OF: Final = attrgetter(*_PERSON)
_SENT_OF: Final = attrgetter(*_SENT)
_NO_RECORD: Final = Record(employed=False)


def _sent_to_json(required: RequiredModules | None) -> dict[str, Any] | None:
    if required is None:
        return None
    content = dict(zip(_SENT, _SENT_OF(required), strict=True))
    content["hold_until"] = format_instant(required.hold_until) if required.hold_until else None
    if required.release is not None:
        release = required.release
        content["release"] = {"at": format_instant(release.at), "modules": release.modules, "leaver": release.leaver}
    return content


def _sent_from_json(content: Mapping[str, Any] | None) -> RequiredModules | None:
    if content is None:
        return None
    hold_until = datetime.fromisoformat(content["hold_until"]) if content["hold_until"] else None
    release = content.get("release")
    if release is not None:
        release = Release(datetime.fromisoformat(release["at"]), tuple(release["modules"]), release["leaver"])
    return RequiredModules(**{**content, "modules": tuple(content["modules"]), "hold_until": hold_until, "release": release})


def _note_to_json(note: Note) -> dict[str, Any]:
    content: dict[str, Any] = {"type": note.type, "detail": note.detail}
    if note.decision_id is not None:
        content |= {"reason": note.reason, "decision_id": str(note.decision_id)}
    return content


def _note_from_json(content: Mapping[str, Any]) -> Note:
    """Only a note about an answer of seats has a decision id."""
    decision_id = content.get("decision_id")
    return Note(content["type"], content["detail"], content.get("reason"), None if decision_id is None else DecisionId.parse(decision_id))


def _overrides_to_json(overrides: Overrides) -> dict[str, Any]:
    if overrides is NO_OVERRIDES:
        return {}
    employment = overrides.employment
    if employment is None:
        return {"values": given_to_json(overrides.values)} if overrides.values else {}
    end = employment.sources_end
    days = {"since": employment.since.isoformat(), "sources_end": end.isoformat() if end is not None else None}
    return {"values": given_to_json(overrides.values), "employment": {"employed": employment.employed} | days}


def _overrides_from_json(content: Mapping[str, Any]) -> Overrides:
    if not content:
        return NO_OVERRIDES
    employment, found = content.get("employment"), None
    if employment is not None:
        end = employment["sources_end"]
        since, sources_end = date.fromisoformat(employment["since"]), date.fromisoformat(end) if end is not None else None
        found = Employment(employment["employed"], since, sources_end)
    return Overrides(given_from_json(content["values"]), found)


def _row(person: Person) -> dict[str, Any]:
    """Return the fields of `PersonRow`."""
    standing = person.standing
    row: dict[str, Any] = {
        "user_id": person.user,
        "login_key": login_key(person.record.login) if person.record is not None else "",
        "profile": standing.profile,
        "status": standing.status,
        "notes": [_note_to_json(note) for note in person.notes],
        "required_modules": standing.required.modules,
        "rights": standing.rights,
        "not_subscribed": standing.not_subscribed,
        "sent": _sent_to_json(person.sent),
        "overrides": _overrides_to_json(person.overrides),
        "conflict": None if person.conflict is None else {"reason": person.conflict.reason, "by": person.conflict.by},
        "conflict_people": () if person.conflict is None else person.conflict.people,
        "email_key": login_key(person.record.email) if person.record is not None else "",
    }
    row.update(zip(_PERSON, _PERSON_OF(person), strict=True))
    row.update(zip(_RECORD, _RECORD_OF(person.record or _NO_RECORD), strict=True))
    row.update(zip(_ACCOUNT, _ACCOUNT_OF(person.account), strict=True))
    return row


def _person(row: PersonRow, today: date | None) -> Person:
    """`today` is the tenant's: it tells whether a login has ended. Without it, the login is taken as not ended."""
    status = Status(row.status)
    record, account = Record(*_RECORD_OF(row)), Account(*_ACCOUNT_OF(row))
    found = [_note_from_json(note) for note in row.notes]
    notes = tuple(note for note in found if note.decision_id is None)
    sent = _sent_from_json(row.sent)
    # Required modules are sent in the transaction that stores them, so those sent last are those required, if there are any.
    required = sent if row.required_modules and sent is not None else NO_MODULES
    is_known = status is not Status.EXPECTED
    day, lacks = today or date.min, bool(row.not_subscribed)
    _, may_log_in = status_of(record, account, day, requires_modules=required != NO_MODULES, lacks_modules=lacks)
    may_log_in = may_log_in and is_known and status is not Status.CONFLICT
    signs_in = is_known and may_sign_in(record, account, row.rights, day)
    return Person(
        user=row.user_id,
        record=record if is_known else None,
        account=account,
        standing=Standing(status, may_log_in, row.profile, required, notes, row.rights, signs_in, row.not_subscribed),
        sent=sent,
        overrides=_overrides_from_json(row.overrides),
        conflict=None if row.conflict is None else Conflict(row.conflict["reason"], row.conflict["by"], row.conflict_people),
        not_done=next((note for note in found if note.decision_id is not None), None),
        **dict(zip(_PERSON, _PERSON_OF(row), strict=True)),
    )


async def add(connection: AsyncConnection, tenant_id: str, people: Sequence[Person]) -> int:
    """Add people; return how many of them were new. People who exist already stay as they are."""
    given = {"tenant": tenant_id, "rows": json_rows([_row(person) for person in people])}
    return (await connection.execute(_INSERT, given)).rowcount


async def lock(connection: AsyncConnection, tenant_id: str, user: str, today: date | None) -> Person | None:
    """Return the person, locked: another transaction that computes the person's next revision waits here."""
    return (await lock_many(connection, tenant_id, [user], today)).get(user)


async def lock_many(connection: AsyncConnection, tenant_id: str, users: Sequence[str], today: date | None) -> dict[str, Person]:
    """Return people, locked in order of their ids: every transaction uses this order, so that no two wait for each other."""
    found = await connection.execute(_LOCK, {"tenant": tenant_id, "users": list(users)})
    return {person.user: person for person in (_person(PersonRow(*row), today) for row in found)}


async def get(connection: AsyncConnection, tenant_id: str, user: str, today: date | None) -> Person | None:
    row = (await connection.execute(_GET, {"tenant": tenant_id, "user": user})).one_or_none()
    return None if row is None else _person(PersonRow(*row), today)


async def get_many(connection: AsyncConnection, tenant_id: str, users: Sequence[str], today: date) -> dict[str, Person]:
    """Return these people, also those who are only expected."""
    found = await many(connection, _GET_MANY, PersonRow, tenant=tenant_id, users=list(users))
    return {row.user_id: _person(row, today) for row in found}


async def page(connection: AsyncConnection, tenant_id: str, chosen: Filter, after: int, limit: int, today: date) -> list[Person]:
    """Return the next people in order of arrival."""
    view = chosen.view
    given = {"tenant": tenant_id, "after": after, "limit": limit} | asdict(replace(chosen, view=None))
    given |= {"departments": view.departments if view else None, "reader": view.reader if view else None}
    return [_person(PersonRow(*row), today) for row in await connection.execute(_PAGE, given)]


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
        await connection.execute(_UPDATE, {"tenant": tenant_id, "rows": json_rows([_row(person) for person in people])})


async def set_answered(connection: AsyncConnection, tenant_id: str, answered: Mapping[str, int]) -> None:
    """Save the last revision that seats answered for each of these people. Call under their locks."""
    if answered:
        rows = [AnsweredRow(user, revision) for user, revision in answered.items()]
        await connection.execute(_SET_ANSWERED, {"tenant": tenant_id, "rows": json_rows(rows)})


async def set_notes(connection: AsyncConnection, tenant_id: str, people: Sequence[Person]) -> None:
    """Save the notes of these people. Call under their locks."""
    if people:
        rows = [NotesRow(person.user, [_note_to_json(note) for note in person.notes]) for person in people]
        await connection.execute(_SET_NOTES, {"tenant": tenant_id, "rows": json_rows(rows)})


async def login_holder(connection: AsyncConnection, tenant_id: str, key: str, user: str) -> str | None:
    """Return another employed person whose login has this key (domain/logins); one in conflict only if there is no other. To give somebody
    the login, call under the lock CLAIMS."""
    found = await connection.execute(_HOLDER, {"tenant": tenant_id, "login_key": key, "user": user})
    holder: str | None = found.scalar_one_or_none()
    return holder


async def with_marks(
    connection: AsyncConnection,
    tenant_id: str,
    logins: Sequence[str],
    emails: Sequence[str],
    numbers: Sequence[str],
    hr_ids: Sequence[str],
    hr_sources: Sequence[str],
) -> list[str]:
    """Return the employed people, but for those in conflict, who have one of these logins, e-mail addresses or employee numbers, or one of
    these external ids in one of the HR systems."""
    given = {"logins": logins, "emails": emails, "numbers": numbers, "hr_ids": hr_ids, "hr_sources": hr_sources}
    found = await connection.execute(_WITH_MARKS, {"tenant": tenant_id} | {name: list(values) for name, values in given.items()})
    return list(found.scalars())


async def in_conflict_with(connection: AsyncConnection, tenant_id: str, users: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the people who are in conflict with one of these, each with all people who are meant."""
    found = await connection.execute(_IN_CONFLICT_WITH, {"tenant": tenant_id, "users": list(users)})
    return {row.user_id: row.conflict_people for row in found}


async def reconsider_duplicates(connection: AsyncConnection, tenant_id: str, reason: str, today: date) -> None:
    """Let the background job look at the people who are in conflict for this reason."""
    await connection.execute(_RECONSIDER, {"tenant": tenant_id, "reason": reason, "today": today})


async def conflicts_of(connection: AsyncConnection, tenant_id: str, users: Sequence[str]) -> dict[str, list[str]]:
    """Return, for each of these people, those in conflict who may be that person."""
    found: dict[str, list[str]] = {}
    for user, people in (await in_conflict_with(connection, tenant_id, users)).items():
        for person in people:
            found.setdefault(person, []).append(user)
    return found


async def users_of_command(connection: AsyncConnection, tenant_id: str, command: str) -> list[str]:
    """Return the people whose last command this is: one person, or the two of a replacement.

    The statement reads all people of the tenant. It is used for commands that could not be read or decided, which are rare, while an index
    would be written with every command.
    """
    return list((await connection.execute(_USERS_OF_COMMAND, {"tenant": tenant_id, "command": command})).scalars())


async def _locked(connection: AsyncConnection, statement: Select[Any], given: Mapping[str, Any], today: date | None) -> list[Person]:
    """Return the people whom a statement of `_lock_chosen` locks, in order of their positions."""
    found = sorted(await connection.execute(statement, given), key=lambda row: row.position)
    return [_person(PersonRow(*row[1:]), today) for row in found]


async def lock_due(connection: AsyncConnection, tenant_id: str, today: date, limit: int) -> list[Person]:
    """Return the people who change by `today` because time passes, locked. The earliest day comes first, and equal days are in order of
    arrival: they request seats in this order."""
    return await _locked(connection, _LOCK_DUE, {"tenant": tenant_id, "today": today, "limit": limit}, None)


async def lock_invited(connection: AsyncConnection, tenant_id: str, now: datetime, limit: int, today: date) -> list[Person]:
    """Return the people whose invitation ends by `now`, locked. The earliest end comes first."""
    return await _locked(connection, _LOCK_INVITED, {"tenant": tenant_id, "now": now, "limit": limit}, today)


async def lock_after(
    connection: AsyncConnection, tenant_id: str, created_at: datetime, arrival: int, limit: int, today: date
) -> list[Person]:
    """Return the next people who were ever hired, the oldest one first, locked; those of one time are in order of arrival."""
    given = {"tenant": tenant_id, "after_created": created_at, "after": arrival, "limit": limit}
    return await _locked(connection, _LOCK_AFTER, given, today)


async def lock_refused(
    connection: AsyncConnection, tenant_id: str, statuses: Sequence[str], after: int, until: int, limit: int, today: date
) -> tuple[list[int], list[Person]]:
    """Return the next people of these statuses who were refused or revoked, in the order of these decisions, locked, with their places."""
    given = {"tenant": tenant_id, "statuses": list(statuses), "after": after, "until": until, "limit": limit}
    found = sorted(await connection.execute(_LOCK_REFUSED, given), key=lambda row: row.position)
    return [row.position for row in found], [_person(PersonRow(*row[1:]), today) for row in found]


async def count_refused(connection: AsyncConnection, tenant_id: str, statuses: Sequence[str]) -> tuple[int, int]:
    """Return how many people `lock_refused` finds, and the place of the last one."""
    people, last = (await connection.execute(_COUNT_REFUSED, {"tenant": tenant_id, "statuses": list(statuses)})).one()
    return people, last


async def count_refused_in(connection: AsyncConnection, tenant_id: str, module: str) -> int:
    """Return how many people are refused whose refusals include this module."""
    given = {"tenant": tenant_id, "statuses": ["refused"], "module": module}
    return int((await connection.execute(_COUNT_REFUSED_IN, given)).scalar_one())


async def next_invitation(connection: AsyncConnection, tenant_id: str) -> datetime | None:
    """Return the first instant at which an open invitation ends."""
    at: datetime | None = (await connection.execute(_NEXT_INVITATION, {"tenant": tenant_id})).scalar_one()
    return at


async def lock_with_role(
    connection: AsyncConnection, tenant_id: str, role: str, created_at: datetime, arrival: int, limit: int, today: date
) -> list[Person]:
    """Return the next people who hold the role, in the order of `lock_after`, locked."""
    given = {"tenant": tenant_id, "role": role, "after_created": created_at, "after": arrival, "limit": limit}
    return await _locked(connection, _LOCK_WITH_ROLE, given, today)


async def count_with_role(connection: AsyncConnection, tenant_id: str, role: str) -> int:
    """Return how many people hold the role, whether or not they are employed."""
    return int((await connection.execute(_COUNT_WITH_ROLE, {"tenant": tenant_id, "role": role})).scalar_one())


async def has_owner(connection: AsyncConnection, tenant_id: str, today: date, but: str = "") -> bool:
    """Tell whether an owner of the tenant can sign in, other than `but`. Until this transaction ends, another one that asks waits here: two
    owners who end each other's access at once do not both succeed."""
    await connection.execute(_ADVISORY_LOCK, {"number": lock_number("owners", tenant_id)})
    return bool((await connection.execute(_HAS_OWNER, {"tenant": tenant_id, "role": OWNER, "today": today, "but": but})).scalar_one())


async def unknown_departments(connection: AsyncConnection, tenant_id: str, departments: Sequence[str]) -> list[str]:
    """Return those of the departments in which nobody is employed."""
    if not departments:
        return []
    found = set((await connection.execute(_KNOWN_DEPARTMENTS, {"tenant": tenant_id, "departments": list(departments)})).scalars())
    return [department for department in departments if department not in found]


async def with_email_and_role(connection: AsyncConnection, email: str, limit: int) -> list[tuple[str, str]]:
    """Return tenant and id of the employed people of all tenants who sign in with this e-mail address and hold a role. Call in the system's
    scope."""
    return [(row.tenant_id, row.user_id) for row in await connection.execute(_WITH_EMAIL_AND_ROLE, {"email": email, "limit": limit})]


async def emails_with_role(connection: AsyncConnection, tenant_id: str, role: str) -> list[str]:
    """Return the e-mail addresses with which the employed people sign in who hold the role."""
    return sorted(set((await connection.execute(_EMAILS_WITH_ROLE, {"tenant": tenant_id, "role": role})).scalars()))


async def with_email(connection: AsyncConnection, tenant_id: str, email: str, limit: int) -> list[str]:
    """Return the employed people who sign in with this e-mail address."""
    given = {"tenant": tenant_id, "email": email, "email_key": login_key(email), "limit": limit}
    return list((await connection.execute(_WITH_SIGN_IN_EMAIL, given)).scalars())


async def with_sign_in_login(connection: AsyncConnection, tenant_id: str, key: str) -> list[str]:
    """Return the employed people who sign in with the login of this key. Those in conflict are left out if there are others."""
    found = list(await connection.execute(_WITH_SIGN_IN_LOGIN, {"tenant": tenant_id, "login_key": key}))
    return [row.user_id for row in found if not row.in_conflict] or [row.user_id for row in found]


async def next_day(connection: AsyncConnection, tenant_id: str) -> date | None:
    """Return the first local day on which somebody changes because time passes."""
    day: date | None = (await connection.execute(_NEXT_DAY, {"tenant": tenant_id})).scalar_one()
    return day
