"""SCIM users: the resources of a connection, and the people whom it can see although only other sources know them."""

from collections.abc import Collection, Mapping, Sequence
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
    exists,
    func,
    literal_column,
    select,
    true,
    union,
)
from sqlalchemy import update as sql_update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.scim_connections import ENTERPRISE, SOURCE_PREFIX
from services.users.store.people import PEOPLE
from services.users.store.timelines import TIMELINES
from shared.database.row_classes import columns_of, json_rows, many, names_of, one, recordset, table_of


@dataclass(frozen=True, slots=True)
class ScimUserRow:
    """A resource: `document` is what the client sent, without what this service adds."""

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
    deleted: int  # resources about this person that the connection had and deleted
    resource_id: str | None
    external_id: str | None
    active: bool | None
    document: Mapping[str, Any] | None
    version: int | None
    created_at: datetime | None
    modified_at: datetime | None

    @property
    def id(self) -> str:
        """Return the id of the resource. A person without one has the id that the resource will have; no id is given twice."""
        if self.resource_id is not None:
            return self.resource_id
        return f"{self.user_id}.{self.deleted}" if self.deleted else self.user_id


SCIM_USERS: Final = table_of("scim_users", ScimUserRow, tenant_id=str, connection=str, deleted_at=datetime)

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

_GONE: Final = SCIM_USERS.alias("gone")
_GONE_OF: Final = TIMELINES.alias("gone_of")
_DELETED: Final = (
    select(func.count())
    .select_from(_GONE_OF.join(_GONE, (_GONE.c.tenant_id == _GONE_OF.c.tenant_id) & (_GONE.c.resource_id == _GONE_OF.c.external_id)))
    .where(
        _GONE_OF.c.tenant_id == P.tenant_id,
        _GONE_OF.c.user_id == P.user_id,
        _GONE_OF.c.source == _SOURCE,
        _GONE.c.connection == _CONNECTION,
        _GONE.c.deleted_at.is_not(None),
    )
    .correlate(PEOPLE)
    .scalar_subquery()
)
_SEEN: Final = PEOPLE.outerjoin(
    TIMELINES.join(
        SCIM_USERS, (S.tenant_id == _T.tenant_id) & (S.connection == _CONNECTION) & (S.resource_id == _T.external_id) & _IS_LIVE
    ),
    (_T.tenant_id == P.tenant_id) & (_T.user_id == P.user_id) & (_T.source == _SOURCE),
)
# What is shown of chosen people. It is looked up for each of them: as a join of whole tables, it would be planned for their sizes, and a
# plan that was made while they were small would be used when they are large.
_RESOURCE: Final = (
    select(*(S[name] for name in names_of(ScimUserRow, but=("user_name_key", "emails", "attempt"))))
    .select_from(TIMELINES.join(SCIM_USERS, _OF_RESOURCE))
    .where(_T.tenant_id == P.tenant_id, _T.user_id == P.user_id, S.connection == _CONNECTION, _IS_LIVE)
    .correlate(PEOPLE)
    .offset(literal_column("0"))
    .lateral("resource")
)
R: Final = _RESOURCE.c
_WITH_LOGIN: Final = P.employed & (P.login_key != literal_column("''"))
_IS_SEEN: Final = _WITH_LOGIN | S.resource_id.is_not(None)
_RENAMED: Final = {
    "person_version": P.version,
    "person_created_at": P.created_at,
    "deleted": case((R.resource_id.is_(None), _DELETED), else_=0),
    "external_id": R.external_id,
    "version": R.version,
    "created_at": R.created_at,
}
_SHOWN: Final = [(_RENAMED[name] if name in _RENAMED else P[name] if name in P else R[name]).label(name) for name in names_of(Seen)]
_ONE_OF: Final = P.user_id == any_(_USERS)
_READ: Final = (
    select(*_SHOWN)
    .select_from(PEOPLE.outerjoin(_RESOURCE, true()))
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
_TOTAL: Final = func.count().over().label("total")

_COUNT_ALL: Final = select(func.count()).select_from(PEOPLE).where(P.tenant_id == TENANT, _WITH_LOGIN)
_COUNT_PEOPLE: Final = _COUNT_ALL.where(_AFTER)
_COUNT_OTHERS: Final = (
    select(func.count())
    .select_from(PEOPLE.join(TIMELINES, (_T.tenant_id == P.tenant_id) & (_T.user_id == P.user_id)).join(SCIM_USERS, _OF_RESOURCE))
    .where(P.tenant_id == TENANT, ~_WITH_LOGIN, _AFTER, _T.source == _SOURCE, _OWN, _IS_LIVE)
)

_GET: Final = select(*columns_of(ScimUserRow, SCIM_USERS)).where(_OWN, S.resource_id == _ID, _IS_LIVE)
_LOCK: Final = _GET.with_for_update()
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
    .where(_OWN, S.resource_id == _ID)
    .values(deleted_at=bindparam("at", type_=DateTime(timezone=True)), document={}, external_id=None, emails=[], user_name_key="")
)
_RESOURCES: Final = select(_T.user_id).select_from(SCIM_USERS.join(TIMELINES, _OF_RESOURCE)).where(_OWN, _IS_LIVE)
_BY_USER_NAME: Final = union(
    select(P.user_id).where(P.tenant_id == TENANT, P.login_key == _KEY, P.employed), _RESOURCES.where(S.user_name_key == _KEY)
)
_BY_EXTERNAL_ID: Final = _RESOURCES.where(S.external_id == _KEY)
_BY_EMAIL: Final = union(
    select(P.user_id).where(P.tenant_id == TENANT, func.lower(P.email) == _KEY, P.employed),
    _RESOURCES.where(S.emails.op("@>")(bindparam("keys", type_=ARRAY(Text)))),
)
_BY_ID: Final = union(
    _RESOURCES.where(S.resource_id == _ID), select(P.user_id).where(P.tenant_id == TENANT, P.user_id == bindparam("of_user", type_=Text))
)


@dataclass(frozen=True, slots=True)
class View:
    """A connection, which sees the people of its tenant in its own way."""

    tenant: str
    connection: str
    source: str

    @property
    def given(self) -> dict[str, Any]:
        return {"tenant": self.tenant, "of_connection": self.connection, "of_source": self.source}


def _user_of(resource_id: str) -> str:
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
    rows = list(await connection.execute(choose, view.given | given))
    return await of_people(connection, view, [row.user_id for row in rows]), int(rows[0].total) if rows else None


async def page_of_all(connection: AsyncConnection, view: View, after: int, skip: int, limit: int) -> list[Seen]:
    """Return people in order of arrival, without counting them."""
    users = (await connection.execute(_CHOOSE, view.given | {"after": after, "skip": skip, "limit": limit})).scalars()
    return await of_people(connection, view, list(users))


async def of_people(connection: AsyncConnection, view: View, users: Sequence[str]) -> list[Seen]:
    """Return those of these people whom the connection sees, in order of arrival."""
    return await many(connection, _READ, Seen, **view.given, users=list(users)) if users else []


async def count_of_all(connection: AsyncConnection, view: View, after: int) -> int:
    """Return how many people follow after the arrival `after`."""
    given = view.given | {"after": after}
    found = [await connection.execute(_COUNT_PEOPLE if after >= 0 else _COUNT_ALL, given), await connection.execute(_COUNT_OTHERS, given)]
    return sum(int(each.scalar_one()) for each in found)


async def by_id(connection: AsyncConnection, view: View, resource_id: str) -> Seen | None:
    """Return the user with this id, as a resource or as a person without one."""
    given = view.given | {"of_id": resource_id, "of_user": _user_of(resource_id)}
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
    given = view.given | {"of_key": value, "keys": [value], "of_id": value, "of_user": _user_of(value)}
    statement = statements[name]
    wanted = statement.compile().params
    return list((await connection.execute(statement, {key: given[key] for key in wanted})).scalars())


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


async def names_in_use(connection: AsyncConnection, view: View, keys: Collection[str]) -> set[str]:
    """Return those of the keys (domain/logins) that employed people or resources have. Call under the lock CLAIMS."""
    given = {"tenant": view.tenant, "of_connection": view.connection, "keys": list(keys)}
    return set((await connection.execute(_NAMES_IN_USE, given)).scalars())


async def add(connection: AsyncConnection, view: View, rows: Sequence[ScimUserRow]) -> None:
    await connection.execute(_INSERT, {"tenant": view.tenant, "of_connection": view.connection, "rows": json_rows(rows)})


async def save(connection: AsyncConnection, view: View, row: ScimUserRow) -> None:
    """Save a changed resource. Call under its lock."""
    given = {f"new_{name}": value for name, value in asdict(row).items() if name not in ("resource_id", "created_at")}
    await connection.execute(_SAVE, given | {"tenant": view.tenant, "of_connection": view.connection, "of_id": row.resource_id})


async def delete(connection: AsyncConnection, view: View, resource_id: str, at: datetime) -> None:
    """Delete the resource, and keep only that its id was given. Call under its lock."""
    await connection.execute(_DELETE, {"tenant": view.tenant, "of_connection": view.connection, "of_id": resource_id, "at": at})
