"""SCIM users: the resources of a connection, and the people whom it can see although only other sources know them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    CompoundSelect,
    DateTime,
    Select,
    Text,
    any_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal_column,
    select,
    union,
)
from sqlalchemy import update as sql_update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.util import LRUCache

from services.users.domain.logins import login_key
from services.users.domain.scim_connections import ENTERPRISE, SOURCE_PREFIX
from services.users.store.people import PEOPLE
from services.users.store.scim_connections import CONNECTIONS
from services.users.store.timelines import TIMELINES
from shared.database.row_classes import columns_of, json_rows, many, names_of, one, recordset, table_of


@dataclass(frozen=True, slots=True)
class ScimUserRow:
    """A resource: `document` is what the client sent, without what this service adds. The attributes that are `copied` from what other
    sources state are in it as well."""

    resource_id: str
    user_name_key: str
    external_id: str | None
    emails: tuple[str, ...]  # as they are compared
    active: bool
    document: Mapping[str, Any]
    version: int
    created_at: datetime
    modified_at: datetime
    attempt: bool = False  # the connection refuses users without a licence, and seats has not decided yet
    copied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """A person as a connection sees them. The columns of the resource are null if the connection has stated nothing about the person."""

    user_id: str
    arrival: int
    status: str
    login: str
    email: str
    name: str
    job_title: str
    department: str | None
    required_modules: tuple[str, ...]
    person_version: int
    person_created_at: datetime
    next_number: int  # in the id of the person's next resource; 0: no resource of the connection has had the id of the person
    resource_id: str | None
    external_id: str | None
    active: bool | None
    document: Mapping[str, Any] | None
    version: int | None
    created_at: datetime | None
    modified_at: datetime | None

    @property
    def id(self) -> str:
        """Return the id of the resource. A person without one has the id that the resource will have; no id is given twice, also if the
        resource that had it was deleted or is about somebody else now."""
        if self.resource_id is not None:
            return self.resource_id
        return f"{self.user_id}.{self.next_number}" if self.next_number else self.user_id


SCIM_USERS: Final = table_of("scim_users", ScimUserRow, tenant_id=str, connection=str, deleted_at=datetime, display_name_key=str)

# A client invents filters, and each is a statement of its own, which takes up to 2.5 MB: they must not fill the cache of all statements.
STATEMENTS_MAX: Final = 20
FILTERED: Final[Mapping[str, Any]] = {"compiled_cache": LRUCache(STATEMENTS_MAX)}
CANDIDATES_MAX: Final = 1000  # users whom a filter by text finds faster than a look at all
P: Final = PEOPLE.c
S: Final = SCIM_USERS.c
_T: Final = TIMELINES.c
TENANT: Final = bindparam("tenant", type_=Text)
_SOURCE: Final = bindparam("of_source", type_=Text)
_CONNECTION: Final = bindparam("of_connection", type_=Text)
_ID: Final = bindparam("of_id", type_=Text)
_KEY: Final = bindparam("of_key", type_=Text)
_USERS: Final = bindparam("users", type_=ARRAY(Text))
_OWN: Final = (S.tenant_id == TENANT) & (S.connection == _CONNECTION)
_IS_LIVE: Final = S.deleted_at.is_(None)
_OF_RESOURCE: Final = (_T.tenant_id == S.tenant_id) & (_T.source == _SOURCE) & (_T.external_id == S.resource_id)

_SEEN: Final = PEOPLE.outerjoin(
    TIMELINES.join(
        SCIM_USERS, (S.tenant_id == _T.tenant_id) & (S.connection == _CONNECTION) & (S.resource_id == _T.external_id) & _IS_LIVE
    ),
    (_T.tenant_id == P.tenant_id) & (_T.user_id == P.user_id) & (_T.source == _SOURCE),
)
# What is shown of chosen people. Their timelines and resources are read first, each in one look at its table: PostgreSQL joins tables whose
# sizes it does not know yet by a look at the second one for each row of the first.
_TIMELINES: Final = (
    select(_T.user_id, _T.external_id)
    .where(_T.tenant_id == TENANT, _T.source == _SOURCE, _T.user_id == any_(_USERS))
    .cte("their_timelines")
    .prefix_with("MATERIALIZED")
)
_RESOURCES_OF: Final = (
    select(*(S[name] for name in names_of(ScimUserRow, but=("user_name_key", "emails", "attempt", "copied"))))
    .where(_OWN, S.resource_id == any_(func.array(select(_TIMELINES.c.external_id).scalar_subquery())), _IS_LIVE)
    .cte("their_resources")
    .prefix_with("MATERIALIZED")
)
_SHOWN_RESOURCES: Final = (
    select(_TIMELINES.c.user_id, *_RESOURCES_OF.c)
    .select_from(_TIMELINES.join(_RESOURCES_OF, _RESOURCES_OF.c.resource_id == _TIMELINES.c.external_id))
    .cte("resources")
    .prefix_with("MATERIALIZED")
)
R: Final = _SHOWN_RESOURCES.c
# Few people without a resource have a number: those whose id a resource has had. Each number that was given is a look at the primary key.
_NUMBERS: Final = (
    select(S.resource_id.label("user_id"), literal_column("1").label("number"))
    .where(_OWN, S.resource_id == any_(_USERS), S.resource_id.not_in(select(R.user_id)))
    .cte("numbers", recursive=True)
)
_GIVEN_ID: Final = _NUMBERS.c.user_id + "." + cast(_NUMBERS.c.number, Text)
_IS_GIVEN: Final = select(S.resource_id).where(_OWN, S.resource_id == _GIVEN_ID).correlate(_NUMBERS).scalar_subquery().is_not(None)
_TRIED: Final = _NUMBERS.union_all(select(_NUMBERS.c.user_id, _NUMBERS.c.number + literal_column("1")).where(_IS_GIVEN))
_NEXT_NUMBER: Final = func.coalesce(
    select(func.max(_TRIED.c.number)).where(_TRIED.c.user_id == P.user_id).correlate(PEOPLE).scalar_subquery(), literal_column("0")
)
_WITH_LOGIN: Final = P.employed & (P.login_key != literal_column("''"))
_IS_SEEN: Final = _WITH_LOGIN | S.resource_id.is_not(None)
_RENAMED: Final = {
    "person_version": P.version,
    "person_created_at": P.created_at,
    "next_number": case((R.resource_id.is_(None), _NEXT_NUMBER), else_=literal_column("0")),
    "external_id": R.external_id,
    "version": R.version,
    "created_at": R.created_at,
}
_SHOWN: Final = [(_RENAMED[name] if name in _RENAMED else P[name] if name in P else R[name]).label(name) for name in names_of(Seen)]
_ONE_OF: Final = P.user_id == any_(_USERS)
_READ: Final = (
    select(*_SHOWN)
    .select_from(PEOPLE.outerjoin(_SHOWN_RESOURCES, R.user_id == P.user_id))
    .where(P.tenant_id == TENANT, _ONE_OF, _WITH_LOGIN | R.resource_id.is_not(None))
    .order_by(P.arrival, R.resource_id)
)
_AFTER: Final = P.arrival > bindparam("after", type_=BigInteger)
# The people of a page are chosen first, and what is shown of them is read afterwards.
_CHOOSE: Final = (
    select(P.user_id)
    .select_from(_SEEN)
    .where(P.tenant_id == TENANT, _IS_SEEN, _AFTER)
    .order_by(P.arrival, S.resource_id)
    .offset(bindparam("skip", type_=BigInteger))
    .limit(bindparam("limit", type_=BigInteger))
)
# Everybody is chosen without that join: nearly all people have a login, and a resource is looked up for the others only.
_HAS_RESOURCE: Final = exists(
    select(S.resource_id)
    .select_from(TIMELINES.join(SCIM_USERS, _OF_RESOURCE))
    .where(_T.tenant_id == P.tenant_id, _T.user_id == P.user_id, S.connection == _CONNECTION, _IS_LIVE)
    .correlate(PEOPLE)
)
_CHOOSE_ALL: Final = (
    select(P.user_id)
    .where(P.tenant_id == TENANT, _WITH_LOGIN | _HAS_RESOURCE, _AFTER)
    .order_by(P.arrival)
    .offset(bindparam("skip", type_=BigInteger))
    .limit(bindparam("limit", type_=BigInteger))
)
_TOTAL: Final = func.count().over().label("total")

_COUNT_ALL: Final = select(func.count()).select_from(PEOPLE).where(P.tenant_id == TENANT, _WITH_LOGIN)
_COUNT_OTHERS: Final = (
    select(func.count())
    .select_from(PEOPLE.join(TIMELINES, (_T.tenant_id == P.tenant_id) & (_T.user_id == P.user_id)).join(SCIM_USERS, _OF_RESOURCE))
    .where(P.tenant_id == TENANT, ~_WITH_LOGIN, _AFTER, _T.source == _SOURCE, _OWN, _IS_LIVE)
    .scalar_subquery()
)
_COUNT_FROM_BEGIN: Final = select(_COUNT_ALL.scalar_subquery() + _COUNT_OTHERS)
_COUNT_AFTER: Final = select(_COUNT_ALL.where(_AFTER).scalar_subquery() + _COUNT_OTHERS)

_GET: Final = select(*columns_of(ScimUserRow, SCIM_USERS)).where(_OWN, S.resource_id == _ID, _IS_LIVE)
_LOCK: Final = _GET.with_for_update()
_GET_MANY: Final = (
    select(*columns_of(ScimUserRow, SCIM_USERS))
    .where(_OWN, S.resource_id == any_(bindparam("ids", type_=ARRAY(Text))), _IS_LIVE)
    .order_by(S.resource_id)
)
_LOCK_MANY: Final = _GET_MANY.with_for_update()
_NEXT_IDS: Final = (
    select(S.resource_id).where(_OWN, _IS_LIVE, S.resource_id > _ID).order_by(S.resource_id).limit(bindparam("limit", type_=BigInteger))
)
_OF_KEY: Final = select(S.resource_id).where(_OWN, S.user_name_key == _KEY, _IS_LIVE)
_HOLDER: Final = (
    select(P.user_id)
    .where(P.tenant_id == TENANT, P.login_key == _KEY, P.employed, P.user_id != bindparam("of_user", type_=Text))
    .order_by(P.user_id)
    .limit(1)
)
_KEYS: Final = any_(bindparam("keys", type_=ARRAY(Text)))
_NAMES_IN_USE: Final = union(
    select(P.login_key).where(P.tenant_id == TENANT, P.login_key == _KEYS, P.employed),
    select(S.user_name_key).where(_OWN, S.user_name_key == _KEYS, _IS_LIVE),
)
_C: Final = CONNECTIONS.c
_IS_CONNECTED: Final = exists(select(_C.connection).where(_C.tenant_id == TENANT, _C.connection == _CONNECTION))
_IN_USE: Final = select(func.array(_NAMES_IN_USE.scalar_subquery()), _IS_CONNECTED)
_HOLDERS: Final = select(_HOLDER.scalar_subquery(), _OF_KEY.scalar_subquery())
_ATTEMPT: Final = _OF_KEY.where(S.attempt)
_PERSON_OF: Final = select(_T.user_id).where(_T.tenant_id == TENANT, _T.source == _SOURCE, _T.external_id == _ID)
_OTHER: Final = TIMELINES.alias("other")
_KNOWN_TO_OTHERS: Final = select(
    exists(
        select(_OTHER.c.user_id)
        .join(TIMELINES, (_T.tenant_id == _OTHER.c.tenant_id) & (_T.user_id == _OTHER.c.user_id))
        .where(_T.tenant_id == TENANT, _T.source == _SOURCE, _T.external_id == _ID, ~_OTHER.c.source.startswith(SOURCE_PREFIX))
    )
)
_GIVEN: Final = recordset(ScimUserRow)
_INSERT: Final = insert(SCIM_USERS).from_select(
    ["tenant_id", "connection", *names_of(ScimUserRow)], select(TENANT, _CONNECTION, *columns_of(ScimUserRow, _GIVEN))
)
_MANAGER: Final = S.document[(ENTERPRISE, "manager", "value")].as_string()
_MANAGERS: Final = select(bindparam("manager", type_=Text).label("id")).cte("managers", recursive=True)
_ABOVE: Final = _MANAGERS.union(select(_MANAGER).where(_OWN, S.resource_id == _MANAGERS.c.id, _IS_LIVE, _MANAGER.is_not(None)))
_IS_ABOVE: Final = select(exists(select(_ABOVE.c.id).where(_ABOVE.c.id == _ID)))
_SAVE: Final = (
    sql_update(SCIM_USERS)
    .where(_OWN, S.resource_id == _ID)
    .values({name: bindparam(f"new_{name}", type_=S[name].type) for name in names_of(ScimUserRow, but=("resource_id", "created_at"))})
)
_DELETE: Final = (
    sql_update(SCIM_USERS)
    .where(_OWN, S.resource_id == any_(bindparam("ids", type_=ARRAY(Text))))
    .values(
        deleted_at=bindparam("at", type_=DateTime(timezone=True)), document={}, copied=[], external_id=None, emails=[], user_name_key=""
    )
)
_RESOURCES: Final = select(_T.user_id).select_from(SCIM_USERS.join(TIMELINES, _OF_RESOURCE)).where(_OWN, _IS_LIVE)
_BY_USER_NAME: Final = union(
    select(P.user_id).where(P.tenant_id == TENANT, P.login_key == _KEY, P.employed), _RESOURCES.where(S.user_name_key == _KEY)
)
_BY_EXTERNAL_ID: Final = _RESOURCES.where(S.external_id == _KEY)
_BY_EMAIL: Final = union(
    select(P.user_id).where(P.tenant_id == TENANT, P.email_key == bindparam("email_key", type_=Text), P.employed),
    _RESOURCES.where(S.emails.op("@>")(bindparam("keys", type_=ARRAY(Text)))),
)
_BY_ID: Final = union(
    _RESOURCES.where(S.resource_id == _ID), select(P.user_id).where(P.tenant_id == TENANT, P.user_id == bindparam("of_user", type_=Text))
)


_NONE: Final[ColumnElement[int]] = literal_column("0")
_OPERATORS: Final[Mapping[str, Callable[[Any, Any], ColumnElement[bool]]]] = {
    "eq": lambda text, value: text == value,
    "co": lambda text, value: func.strpos(text, value) > _NONE,
    "sw": func.starts_with,
    "ew": lambda text, value: func.right(text, func.length(value)) == value,
}
_CANDIDATES: Final = bindparam("candidates", type_=BigInteger)


def _by_text(of_person: ColumnElement[bool], of_resource: ColumnElement[bool]) -> tuple[Select[Any], Select[Any]]:
    chosen = select(S.resource_id).where(_OWN, _IS_LIVE, of_resource).limit(_CANDIDATES).scalar_subquery()
    return (
        select(P.user_id).where(P.tenant_id == TENANT, P.employed, of_person).limit(_CANDIDATES),
        select(_T.user_id).where(_T.tenant_id == TENANT, _T.source == _SOURCE, _T.external_id == any_(func.array(chosen))),
    )


# The name of a person is in `texts`, with other texts.
_BY_TEXT: Final = {
    ("userName", name): _by_text(compare(P.login_key, _KEY), compare(S.user_name_key, _KEY)) for name, compare in _OPERATORS.items()
} | {
    ("displayName", name): _by_text(func.strpos(P.texts, _KEY) > _NONE, compare(S.display_name_key, _KEY))
    for name, compare in _OPERATORS.items()
}
TEXTS: Final = frozenset(_BY_TEXT)  # attribute and operator


@dataclass(frozen=True, slots=True)
class View:
    """A connection, which sees the people of its tenant in its own way."""

    tenant: str
    connection: str
    source: str

    @property
    def given(self) -> dict[str, Any]:
        return {"tenant": self.tenant, "of_connection": self.connection, "of_source": self.source}


def user_of(resource_id: str) -> str:
    """Return the id of the person in an id of somebody without a resource (`Seen.id`)."""
    return resource_id.partition(".")[0]


async def page(
    connection: AsyncConnection,
    view: View,
    chosen: Sequence[ColumnElement[bool]],
    users: Collection[str] | None,
    after: int,
    skip: int,
    limit: int,
) -> tuple[list[Seen], int | None]:
    """Return people in order of arrival, and how many there are after `after`; None: it is not known, as the page is empty.

    `chosen` are conditions on the columns P and S; `users`, if given, are the only ones looked at.
    """
    choose = _CHOOSE.add_columns(_TOTAL).where(*chosen)
    given: dict[str, Any] = {"after": after, "skip": skip, "limit": limit}
    if users is not None:
        choose, given = choose.where(_ONE_OF), given | {"users": list(users)}
    rows = list(await connection.execute(choose, view.given | given, execution_options=FILTERED))
    return await of_people(connection, view, [row.user_id for row in rows]), int(rows[0].total) if rows else None


async def page_of_all(connection: AsyncConnection, view: View, after: int, skip: int, limit: int) -> list[Seen]:
    """Return people in order of arrival, without counting them."""
    users = (await connection.execute(_CHOOSE_ALL, view.given | {"after": after, "skip": skip, "limit": limit})).scalars()
    return await of_people(connection, view, list(users))


async def of_people(connection: AsyncConnection, view: View, users: Sequence[str]) -> list[Seen]:
    """Return those of these people whom the connection sees, in order of arrival."""
    return await many(connection, _READ, Seen, **view.given, users=list(users)) if users else []


async def count_of_all(connection: AsyncConnection, view: View, after: int) -> int:
    """Return how many people follow after the arrival `after`."""
    statement = _COUNT_AFTER if after >= 0 else _COUNT_FROM_BEGIN
    return int((await connection.execute(statement, view.given | {"after": after})).scalar_one())


async def by_id(connection: AsyncConnection, view: View, resource_id: str) -> Seen | None:
    """Return the user with this id, as a resource or as a person without one."""
    given = view.given | {"of_id": resource_id, "of_user": user_of(resource_id)}
    users = list((await connection.execute(_BY_ID, given)).scalars())
    return next((each for each in await of_people(connection, view, users) if each.id == resource_id), None)


async def by_equality(connection: AsyncConnection, view: View, name: str, value: str) -> list[str]:
    """Return the people of whom the attribute may have this value. An index answers."""
    statements: dict[str, Select[Any] | CompoundSelect[Any]] = {
        "userName": _BY_USER_NAME,
        "externalId": _BY_EXTERNAL_ID,
        "emails.value": _BY_EMAIL,
        "id": _BY_ID,
    }
    given = view.given | {"of_key": value, "keys": [value], "of_id": value, "of_user": user_of(value), "email_key": login_key(value)}
    return list((await connection.execute(statements[name], given)).scalars())


async def by_text(connection: AsyncConnection, view: View, name: str, operator: str, value: str) -> list[str] | None:
    """Return the people of whom userName or displayName may be, contain, start or end with the value; None: there are too many of them.

    The stored texts of people and of resources are looked through, each by itself, which takes less time than to join them first.
    """
    given = view.given | {"of_key": value, "candidates": CANDIDATES_MAX + 1}
    found: set[str] = set()
    for statement in _BY_TEXT[name, operator]:
        found.update((await connection.execute(statement, given)).scalars())
    return sorted(found) if len(found) <= CANDIDATES_MAX else None


async def get_many(connection: AsyncConnection, view: View, ids: Collection[str], *, lock: bool) -> dict[str, ScimUserRow]:
    """Return those of these resources that are there; with `lock`, locked as by `lock`."""
    given = {"tenant": view.tenant, "of_connection": view.connection, "ids": list(ids)}
    return {row.resource_id: row for row in await many(connection, _LOCK_MANY if lock else _GET_MANY, ScimUserRow, **given)}


async def lock(connection: AsyncConnection, view: View, resource_id: str) -> ScimUserRow | None:
    """Return the resource, locked: another request that changes it waits here."""
    return await one(connection, _LOCK, ScimUserRow, tenant=view.tenant, of_connection=view.connection, of_id=resource_id)


async def holders(connection: AsyncConnection, view: View, user_name_key: str, user: str) -> tuple[str | None, str | None]:
    """Return another employed person than `user` whose login has this key, and the resource with this name. Call under the lock CLAIMS."""
    given = {"tenant": view.tenant, "of_connection": view.connection, "of_key": user_name_key, "of_user": user}
    holder, resource = (await connection.execute(_HOLDERS, given)).one()
    return holder, resource


async def is_above(connection: AsyncConnection, view: View, resource_id: str, manager: str) -> bool:
    """Return whether the user is this manager, or a manager of that one on any level. A circle of other people ends the search."""
    given = {"tenant": view.tenant, "of_connection": view.connection, "of_id": resource_id, "manager": manager}
    return bool((await connection.execute(_IS_ABOVE, given)).scalar_one())


async def attempt(connection: AsyncConnection, view: View, user_name_key: str) -> str | None:
    """Return the resource with this name about which seats has not decided yet."""
    given = {"tenant": view.tenant, "of_connection": view.connection, "of_key": user_name_key}
    found: str | None = (await connection.execute(_ATTEMPT, given)).scalars().first()
    return found


async def person_of(connection: AsyncConnection, view: View, resource_id: str) -> str | None:
    """Return the person whom the resource is about."""
    given = {"tenant": view.tenant, "of_source": view.source, "of_id": resource_id}
    found: str | None = (await connection.execute(_PERSON_OF, given)).scalar_one_or_none()
    return found


async def is_known_to_others(connection: AsyncConnection, view: View, resource_id: str) -> bool:
    """Return whether a source that is no SCIM connection describes the person of the resource."""
    given = {"tenant": view.tenant, "of_source": view.source, "of_id": resource_id}
    return bool((await connection.execute(_KNOWN_TO_OTHERS, given)).scalar_one())


async def names_in_use(connection: AsyncConnection, view: View, keys: Collection[str]) -> set[str] | None:
    """Return those of the keys (domain/logins) that employed people or resources have; None: the connection is no longer there. Call under
    the lock CLAIMS, without which no connection is removed."""
    given = {"tenant": view.tenant, "of_connection": view.connection, "keys": list(keys)}
    names, is_connected = (await connection.execute(_IN_USE, given)).one()
    return set(names) if is_connected else None


async def add(connection: AsyncConnection, view: View, rows: Sequence[ScimUserRow]) -> None:
    await connection.execute(_INSERT, {"tenant": view.tenant, "of_connection": view.connection, "rows": json_rows(rows)})


async def save(connection: AsyncConnection, view: View, row: ScimUserRow) -> None:
    """Save a changed resource. Call under its lock."""
    given = {f"new_{name}": value for name, value in asdict(row).items() if name not in ("resource_id", "created_at")}
    await connection.execute(_SAVE, given | {"tenant": view.tenant, "of_connection": view.connection, "of_id": row.resource_id})


async def next_ids(connection: AsyncConnection, view: View, after: str, limit: int) -> list[str]:
    """Return the ids of the next resources, in order of the ids."""
    given = {"tenant": view.tenant, "of_connection": view.connection, "of_id": after, "limit": limit}
    return list((await connection.execute(_NEXT_IDS, given)).scalars())


async def delete(connection: AsyncConnection, view: View, resource_ids: Sequence[str], at: datetime) -> None:
    """Delete resources, and keep only that their ids were given. Call under their locks, or without a connection that could change them."""
    given = {"tenant": view.tenant, "of_connection": view.connection, "ids": list(resource_ids), "at": at}
    await connection.execute(_DELETE, given)
