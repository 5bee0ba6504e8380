"""Find people by what is known about them: login, e-mail address, number, role or conflict."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Date,
    Select,
    Text,
    Update,
    any_,
    bindparam,
    exists,
    func,
    literal_column,
    select,
    true,
    union,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.conflicts import NAMED_MAX, ConflictReason
from services.users.domain.logins import login_key
from services.users.store.people import PEOPLE
from services.users.store.timelines import TIMELINES

_P: Final = PEOPLE.c
_T: Final = TIMELINES.c
_TENANT: Final = bindparam("tenant", type_=Text)
_USER: Final = bindparam("user", type_=Text)
_TODAY: Final = bindparam("today", type_=Date)
_LIMIT: Final = bindparam("limit", type_=BigInteger)
_USERS_OF_COMMAND: Final = select(_P.user_id).where(_P.tenant_id == _TENANT, _P.command_id == bindparam("command", type_=Text))
_HOLDER: Final = (
    select(_P.user_id)
    .where(_P.tenant_id == _TENANT, _P.login_key == bindparam("login_key", type_=Text), _P.employed, _P.user_id != _USER)
    .order_by(_P.conflict.is_not(None), _P.user_id)
    .limit(1)
)
_REASON: Final = _P.conflict["reason"].as_string()
# A possible duplicate is compared again when somebody has confirmed it, and not before: there may be very many.
_WAITS: Final = bindparam("held", ConflictReason.POSSIBLE_DUPLICATE.value, type_=Text) == _REASON
_KNOWN: Final = func.unnest(bindparam("known", type_=ARRAY(Text))).column_valued("known")
_IS_KNOWN: Final = exists(select(_KNOWN).where(_P.user_id == _KNOWN))
_ARE_COMPARED: Final = (_P.tenant_id == _TENANT) & _P.employed & _WAITS.is_not(true()) & ~_IS_KNOWN
_IS_IN_CONFLICT: Final = _P.conflict.is_not(None).label("in_conflict")
_WHO: Final = select(_P.user_id, _IS_IN_CONFLICT)
_HR_IDS: Final = any_(bindparam("hr_ids", type_=ARRAY(Text)))
_SOURCES: Final = (
    select(func.array_agg(aggregate_order_by(_T.source, _T.source)))
    .where(_T.tenant_id == _P.tenant_id, _T.user_id == _P.user_id)
    .correlate(PEOPLE)
    .scalar_subquery()
)


def _first_with(value: ColumnElement[str], values: str, *conditions: ColumnElement[bool]) -> Select[Any]:
    """Select the first people with each of the values, of those whom the same sources know: an HR system tells its own people apart, so
    those whom it knows must not hide others."""
    place = func.row_number().over(partition_by=(value, _SOURCES, _P.conflict.is_not(None)), order_by=_P.arrival).label("place")
    found = _WHO.add_columns(place).where(_ARE_COMPARED, *conditions, value == any_(bindparam(values, type_=ARRAY(Text)))).subquery()
    return select(found.c.user_id, found.c.in_conflict).where(found.c.place <= bindparam("named_max", NAMED_MAX, type_=BigInteger))


# Each part uses an index of its own; a disjunction would read all people.
_WITH_MARKS: Final = union(
    _first_with(_P.login_key, "logins"),
    _first_with(_P.email_key, "emails"),
    _first_with(_P.employee_number, "numbers", _P.employee_number != ""),
    _WHO.select_from(TIMELINES.join(PEOPLE, (_T.tenant_id == _P.tenant_id) & (_T.user_id == _P.user_id))).where(
        _ARE_COMPARED, _T.external_id == _HR_IDS, _T.source == any_(bindparam("hr_sources", type_=ARRAY(Text)))
    ),
)
_HAS_REASON: Final = bindparam("reason", type_=Text) == _REASON
_IS_MEANT: Final = _P.conflict_people.op("&&")(bindparam("users", type_=ARRAY(Text)))


def _reconsider(*conditions: ColumnElement[bool]) -> Update:
    """Return a statement that lets the background job look at people in conflict. They are locked in order of their ids, as everywhere."""
    of_tenant = _P.tenant_id == _TENANT
    chosen = select(_P.user_id).where(of_tenant, _P.conflict.is_not(None), *conditions).order_by(_P.user_id).with_for_update()
    ids = func.array(chosen.cte("chosen").prefix_with("MATERIALIZED").select().scalar_subquery())
    return update(PEOPLE).where(of_tenant, _P.user_id == any_(ids)).values(reconsider_on=_TODAY)


_RECONSIDER_DUPLICATES: Final = _reconsider(_HAS_REASON)
_RECONSIDER_PRIVILEGED: Final = _reconsider(_HAS_REASON, _IS_MEANT)
_RECONSIDER_PEOPLE: Final = _reconsider(_P.user_id == any_(bindparam("users", type_=ARRAY(Text))))
_IS_OF_SOURCE: Final = exists(
    select(_T.user_id).where(_T.tenant_id == _P.tenant_id, _T.user_id == _P.user_id, _T.source == bindparam("of_source", type_=Text))
)
_RECONSIDER_OF_SOURCE: Final = _reconsider(_IS_OF_SOURCE)
_WAITING_OF_SOURCE: Final = (
    select(func.count()).select_from(PEOPLE).where(_P.tenant_id == _TENANT, _P.conflict.is_not(None), _WAITS, _IS_OF_SOURCE)
)
_IN_CONFLICT_WITH: Final = select(_P.user_id, _P.conflict_people).where(_P.tenant_id == _TENANT, _P.conflict.is_not(None), _IS_MEANT)
_SIGN_IN_EMAIL: Final = func.coalesce(_P.confirmed_email, _P.email)
_EMAIL: Final = func.lower(bindparam("email", type_=Text))
_HAS_SIGN_IN_EMAIL: Final = _P.employed & (literal_column("''") != _SIGN_IN_EMAIL) & (func.lower(_SIGN_IN_EMAIL) == _EMAIL)
_KEY: Final = bindparam("login_key", type_=Text)
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
_KNOWN_DEPARTMENTS: Final = (
    select(_P.department)
    .where(_P.tenant_id == _TENANT, _P.employed, _P.department == any_(bindparam("departments", type_=ARRAY(Text))))
    .distinct()
)


async def login_holder(connection: AsyncConnection, tenant_id: str, key: str, user: str) -> str | None:
    """Return another employed person whose login has this key (domain/logins); one in conflict only if there is no other. To give somebody
    the login, call under the lock CLAIMS."""
    found = await connection.execute(_HOLDER, {"tenant": tenant_id, "login_key": key, "user": user})
    holder: str | None = found.scalar_one_or_none()
    return holder


async def with_marks(
    connection: AsyncConnection,
    tenant_id: str,
    known: Collection[str],
    logins: Sequence[str],
    emails: Sequence[str],
    numbers: Sequence[str],
    hr_ids: Sequence[str],
    hr_sources: Sequence[str],
) -> dict[str, bool]:
    """Return the employed people who have one of these logins, e-mail addresses or employee numbers, or one of these external ids in one of
    the HR systems, each with whether the person is in conflict. The known ones and possible duplicates are left out, and so are those whom
    a conflict would not name: of many people of the same sources with the same value, the first are enough."""
    given = {"known": known, "logins": logins, "emails": emails, "numbers": numbers, "hr_ids": hr_ids, "hr_sources": hr_sources}
    found = await connection.execute(_WITH_MARKS, {"tenant": tenant_id} | {name: list(values) for name, values in given.items()})
    return {row.user_id: row.in_conflict for row in found}


async def in_conflict_with(connection: AsyncConnection, tenant_id: str, users: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the people who are in conflict with one of these, each with all people who are meant."""
    found = await connection.execute(_IN_CONFLICT_WITH, {"tenant": tenant_id, "users": list(users)})
    return {row.user_id: row.conflict_people for row in found}


async def reconsider_duplicates(connection: AsyncConnection, tenant_id: str, today: date) -> None:
    """Let the background job look at the people who may be duplicates."""
    given = {"tenant": tenant_id, "reason": ConflictReason.POSSIBLE_DUPLICATE, "today": today}
    await connection.execute(_RECONSIDER_DUPLICATES, given)


async def possible_duplicates(connection: AsyncConnection, tenant_id: str, source: str) -> int:
    """Return how many people of the source wait as possible duplicates."""
    found: int = (await connection.execute(_WAITING_OF_SOURCE, {"tenant": tenant_id, "of_source": source})).scalar_one()
    return found


async def reconsider_privileged(connection: AsyncConnection, tenant_id: str, users: Sequence[str], today: date) -> None:
    """Let the background job look at those who are in conflict with these people because these were privileged."""
    given = {"tenant": tenant_id, "reason": ConflictReason.PRIVILEGED, "users": list(users), "today": today}
    await connection.execute(_RECONSIDER_PRIVILEGED, given)


async def reconsider_people(connection: AsyncConnection, tenant_id: str, users: Sequence[str], today: date) -> None:
    """Let the background job look at those of these people who are in conflict."""
    await connection.execute(_RECONSIDER_PEOPLE, {"tenant": tenant_id, "users": list(users), "today": today})


async def reconsider_of_source(connection: AsyncConnection, tenant_id: str, source: str, today: date) -> None:
    """Let the background job look at the people in conflict of whom the source has a timeline."""
    await connection.execute(_RECONSIDER_OF_SOURCE, {"tenant": tenant_id, "of_source": source, "today": today})


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
