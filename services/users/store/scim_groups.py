"""SCIM groups and their members. No statement here reads all members of a group into this process."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Executable,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    literal_column,
    select,
    union,
)
from sqlalchemy import update as sql_update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.domain.scim_connections import SOURCE_PREFIX
from services.users.store.people import PEOPLE
from services.users.store.scim_users import FILTERED, SCIM_USERS, View, user_of
from services.users.store.timelines import TIMELINES
from shared.database.row_classes import columns_of, many, names_of, one, table_of


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group; `members` is their number. People in a group with a `profile` or a `role` get it."""

    group_id: str
    display_name: str
    external_id: str | None
    members: int
    profile: str | None
    role: str | None
    version: int
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class Membership:
    resource_id: str
    group_id: str
    display_name: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """What groups give to a person."""

    profiles: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()


GROUPS: Final = table_of("scim_groups", GroupRow, tenant_id=str, connection=str)
MEMBERS: Final = table_of("scim_members", tenant_id=str, connection=str, group_id=str, resource_id=str)

G: Final = GROUPS.c
_M: Final = MEMBERS.c
_P: Final = PEOPLE.c
_T: Final = TIMELINES.c
_TENANT: Final = bindparam("tenant", type_=Text)
_CONNECTION: Final = bindparam("of_connection", type_=Text)
_GROUP: Final = bindparam("of_group", type_=Text)
_IDS: Final = bindparam("ids", type_=ARRAY(Text))
_OWN: Final = (G.tenant_id == _TENANT) & (G.connection == _CONNECTION)
_OF_GROUP: Final = (_M.tenant_id == _TENANT) & (_M.connection == _CONNECTION) & (_M.group_id == _GROUP)
_LIST: Final = select(*columns_of(GroupRow, GROUPS)).where(_OWN)
_GET: Final = _LIST.where(G.group_id == _GROUP)
_LOCK: Final = _GET.with_for_update()
_COUNT_WITH_ROLE: Final = select(func.count()).select_from(GROUPS).where(G.tenant_id == _TENANT, G.role == bindparam("of_role", type_=Text))
_INSERT: Final = insert(GROUPS)
_SAVED: Final = names_of(GroupRow, but=("group_id", "created_at"))
_SAVE: Final = (
    sql_update(GROUPS).where(_OWN, G.group_id == _GROUP).values({name: bindparam(f"new_{name}", type_=G[name].type) for name in _SAVED})
)
_DELETE_ALL: Final = (
    delete(MEMBERS).where(_M.tenant_id == _TENANT, _M.connection == _CONNECTION),
    delete(GROUPS).where(_OWN),
)
_ROLES: Final = select(G.role).where(_OWN, G.role.is_not(None)).distinct()
_DELETE: Final = delete(GROUPS).where(_OWN, G.group_id == _GROUP)
_DELETE_MEMBERS: Final = delete(MEMBERS).where(_OF_GROUP)
_GIVEN: Final = func.unnest(_IDS).column_valued("given")
_S: Final = SCIM_USERS.c
# A user of the connection, or a person about whom it has stated nothing (`Seen.id`).
_IS_USER: Final = exists(
    select(_S.resource_id).where(_S.tenant_id == _TENANT, _S.connection == _CONNECTION, _S.resource_id == _GIVEN, _S.deleted_at.is_(None))
) | exists(select(_P.user_id).where(_P.tenant_id == _TENANT, _P.user_id == func.split_part(_GIVEN, ".", 1)))
_ADD_MEMBERS: Final = (
    insert(MEMBERS)
    .from_select(
        ["tenant_id", "connection", "group_id", "resource_id"],
        select(cast(_TENANT, Text), cast(_CONNECTION, Text), cast(_GROUP, Text), _GIVEN).where(_IS_USER).distinct(),
    )
    .on_conflict_do_nothing()
    .returning(_M.resource_id)
)
_REMOVE_MEMBERS: Final = delete(MEMBERS).where(_OF_GROUP, _M.resource_id == any_(_IDS)).returning(_M.resource_id)
_REMOVE_OTHERS: Final = delete(MEMBERS).where(_OF_GROUP, _M.resource_id.not_in(select(func.unnest(_IDS)))).returning(_M.resource_id)
_OF_MEMBERS: Final = (
    select(_M.resource_id, G.group_id, G.display_name)
    .select_from(MEMBERS.join(GROUPS, (G.tenant_id == _M.tenant_id) & (G.connection == _M.connection) & (G.group_id == _M.group_id)))
    .where(_M.tenant_id == _TENANT, _M.connection == _CONNECTION, _M.resource_id == any_(_IDS))
    .order_by(G.group_id)
)
_LEAVE_ALL: Final = (
    delete(MEMBERS)
    .where(_M.tenant_id == _TENANT, _M.connection == _CONNECTION, _M.resource_id == bindparam("of_member", type_=Text))
    .returning(_M.group_id)
)
_LOCK_OF_MEMBER: Final = (
    select(G.group_id)
    .where(
        _OWN,
        G.group_id.in_(
            select(_M.group_id).where(
                _M.tenant_id == _TENANT, _M.connection == _CONNECTION, _M.resource_id == bindparam("of_member", type_=Text)
            )
        ),
    )
    .order_by(G.group_id)
    .with_for_update()
)
_COUNT_LESS: Final = sql_update(GROUPS).where(_OWN, G.group_id == any_(_IDS)).values(members=G.members - 1, version=G.version + 1)
_USERS: Final = bindparam("users", type_=ARRAY(Text))
_OF_GROUP_ROW: Final = (G.tenant_id == _M.tenant_id) & (G.connection == _M.connection) & (G.group_id == _M.group_id)
_IS_MAPPED: Final = G.profile.is_not(None) | G.role.is_not(None)
_HAS_ITS_ID: Final = exists(
    select(_S.resource_id).where(_S.tenant_id == _M.tenant_id, _S.connection == _M.connection, _S.resource_id == _M.resource_id)
)
_NUMBERS: Final = (
    select(_S.connection, _S.resource_id.label("user_id"), literal_column("1").label("number"))
    .where(_S.tenant_id == _TENANT, _S.resource_id == any_(_USERS))
    .cte("numbers", recursive=True)
)
_IS_GIVEN: Final = exists(
    select(_S.resource_id).where(
        _S.tenant_id == _TENANT,
        _S.connection == _NUMBERS.c.connection,
        _S.resource_id == _NUMBERS.c.user_id + "." + cast(_NUMBERS.c.number, Text),
    )
)
_NEXT: Final = _NUMBERS.union_all(
    select(_NUMBERS.c.connection, _NUMBERS.c.user_id, _NUMBERS.c.number + literal_column("1")).where(_IS_GIVEN)
)
_NEXT_ID: Final = _NEXT.c.user_id + "." + cast(_NEXT.c.number, Text)
_MAPPED: Final = union(
    select(_T.user_id, G.profile, G.role)
    .select_from(
        TIMELINES.join(
            MEMBERS,
            (_M.tenant_id == _T.tenant_id) & (_M.resource_id == _T.external_id) & (_T.source == SOURCE_PREFIX + _M.connection),
        ).join(GROUPS, _OF_GROUP_ROW)
    )
    .where(_T.tenant_id == _TENANT, _T.user_id == any_(_USERS), _IS_MAPPED),
    # Somebody about whom the connection has stated nothing: the resource will have the id of the person. A resource that has the id
    # already may be about somebody else.
    select(_M.resource_id, G.profile, G.role)
    .select_from(MEMBERS.join(GROUPS, _OF_GROUP_ROW))
    .where(_M.tenant_id == _TENANT, _M.resource_id == any_(_USERS), _IS_MAPPED, ~_HAS_ITS_ID),
    # The same of a person whose id a resource has had: the next one will have a number (`Seen.id`).
    select(_NEXT.c.user_id, G.profile, G.role)
    .select_from(_NEXT.join(MEMBERS, (_M.connection == _NEXT.c.connection) & (_M.resource_id == _NEXT_ID)).join(GROUPS, _OF_GROUP_ROW))
    .where(_M.tenant_id == _TENANT, _IS_MAPPED, ~_HAS_ITS_ID),
)
_PEOPLE_OF: Final = union(
    select(_T.user_id).where(_T.tenant_id == _TENANT, _T.source == bindparam("of_source", type_=Text), _T.external_id == any_(_IDS)),
    select(_P.user_id).where(_P.tenant_id == _TENANT, _P.user_id == any_(_USERS)),
)
_MEMBER_IDS: Final = select(_M.resource_id).where(_OF_GROUP).limit(bindparam("limit", type_=BigInteger))
_MEMBER: Final = func.json_build_object("value", _M.resource_id)
_MEMBERS_JSON: Final = select(func.coalesce(cast(func.json_agg(_MEMBER), Text), "[]")).where(_OF_GROUP)


def _given(view: View, **values: Any) -> dict[str, Any]:
    return {"tenant": view.tenant, "of_connection": view.connection} | values


async def get(connection: AsyncConnection, view: View, group_id: str, *, lock: bool = False) -> GroupRow | None:
    """Return the group. With `lock`, another request that changes it waits here."""
    return await one(connection, _LOCK if lock else _GET, GroupRow, **_given(view, of_group=group_id))


async def page(connection: AsyncConnection, view: View, chosen: Sequence[ColumnElement[bool]], skip: int, limit: int) -> list[GroupRow]:
    """Return groups in order of creation. `chosen` are conditions on the columns G."""
    statement = _LIST.where(*chosen).order_by(G.created_at, G.group_id).offset(skip).limit(limit)
    return [GroupRow(*found) for found in await connection.execute(statement, _given(view), execution_options=FILTERED)]


async def after(connection: AsyncConnection, view: View, group_id: str, limit: int) -> list[GroupRow]:
    """Return the next groups in order of their ids."""
    statement = _LIST.where(G.group_id > group_id).order_by(G.group_id).limit(limit)
    return await many(connection, statement, GroupRow, **_given(view))


async def count(connection: AsyncConnection, view: View, chosen: Sequence[ColumnElement[bool]]) -> int:
    statement = select(func.count()).select_from(GROUPS).where(_OWN, *chosen)
    return int((await connection.execute(statement, _given(view), execution_options=FILTERED)).scalar_one())


async def count_with_role(connection: AsyncConnection, tenant_id: str, role: str) -> int:
    """Return how many groups of all connections of a tenant give this role."""
    return int((await connection.execute(_COUNT_WITH_ROLE, {"tenant": tenant_id, "of_role": role})).scalar_one())


def has_member(resource_id: str) -> ColumnElement[bool]:
    """Return the condition that a group has the member."""
    return exists(
        select(_M.resource_id).where(
            _M.tenant_id == G.tenant_id, _M.connection == G.connection, _M.group_id == G.group_id, _M.resource_id == resource_id
        )
    )


async def add(connection: AsyncConnection, view: View, row: GroupRow) -> None:
    await connection.execute(_INSERT, asdict(row) | {"tenant_id": view.tenant, "connection": view.connection})


async def save(connection: AsyncConnection, view: View, row: GroupRow) -> None:
    """Save a changed group. Call under its lock."""
    values = {f"new_{name}": getattr(row, name) for name in _SAVED}
    await connection.execute(_SAVE, _given(view, of_group=row.group_id) | values)


async def remove(connection: AsyncConnection, view: View, group_id: str) -> None:
    """Remove the group with its members. Call under its lock."""
    for statement in (_DELETE_MEMBERS, _DELETE):
        await connection.execute(statement, _given(view, of_group=group_id))


async def roles_of_all(connection: AsyncConnection, view: View) -> set[str]:
    """Return the roles that groups of the connection give."""
    return set(await _ids(connection, _ROLES, view))


async def remove_all(connection: AsyncConnection, view: View) -> None:
    """Remove all groups of the connection with their members."""
    for statement in _DELETE_ALL:
        await connection.execute(statement, _given(view))


async def add_members(connection: AsyncConnection, view: View, group_id: str, ids: Collection[str]) -> list[str]:
    """Add members; return those who were none. Ids that no user has are ignored. Call under the group's lock."""
    return await _ids(connection, _ADD_MEMBERS, view, of_group=group_id, ids=list(ids))


async def remove_members(connection: AsyncConnection, view: View, group_id: str, ids: Collection[str]) -> list[str]:
    """Remove members; return those who were some. Call under the group's lock."""
    return await _ids(connection, _REMOVE_MEMBERS, view, of_group=group_id, ids=list(ids))


async def remove_others(connection: AsyncConnection, view: View, group_id: str, ids: Collection[str]) -> list[str]:
    """Remove all other members; return them. Call under the group's lock."""
    return await _ids(connection, _REMOVE_OTHERS, view, of_group=group_id, ids=list(ids))


async def leave_all(connection: AsyncConnection, view: View, resource_id: str) -> bool:
    """Remove somebody from all groups; return False if there were none. Groups are locked before their members, as by changes of them."""
    await _ids(connection, _LOCK_OF_MEMBER, view, of_member=resource_id)
    groups = await _ids(connection, _LEAVE_ALL, view, of_member=resource_id)
    if groups:
        await connection.execute(_COUNT_LESS, _given(view, ids=groups))
    return bool(groups)


async def of_members(connection: AsyncConnection, view: View, ids: Sequence[str]) -> dict[str, list[Membership]]:
    """Return the groups of each of these users."""
    found: dict[str, list[Membership]] = {}
    for each in await many(connection, _OF_MEMBERS, Membership, **_given(view, ids=list(ids))):
        found.setdefault(each.resource_id, []).append(each)
    return found


async def mapped_to(connection: AsyncConnection, tenant_id: str, users: Collection[str]) -> dict[str, Mapped]:
    """Return the profiles and roles that groups of all connections give to each of these people."""
    found = list(await connection.execute(_MAPPED, {"tenant": tenant_id, "users": list(users)}))
    return {
        user: Mapped(
            tuple(sorted({row.profile for row in found if row.user_id == user and row.profile is not None})),
            tuple(sorted({row.role for row in found if row.user_id == user and row.role is not None})),
        )
        for user in {row.user_id for row in found}
    }


async def people_of(connection: AsyncConnection, view: View, ids: Collection[str]) -> list[str]:
    """Return the people of these members, in order of their ids."""
    given = {"tenant": view.tenant, "of_source": view.source, "ids": list(ids), "users": [user_of(each) for each in ids]}
    return sorted((await connection.execute(_PEOPLE_OF, given)).scalars())


async def member_ids(connection: AsyncConnection, view: View, group_id: str, limit: int) -> list[str]:
    """Return members of a group, at most `limit`."""
    return await _ids(connection, _MEMBER_IDS, view, of_group=group_id, limit=limit)


async def members_json(connection: AsyncConnection, view: View, group_id: str) -> str:
    """Return the members as a JSON array, which the database builds: there may be 100,000."""
    return str((await connection.execute(_MEMBERS_JSON, _given(view, of_group=group_id))).scalar_one())


async def _ids(connection: AsyncConnection, statement: Executable, view: View, **values: Any) -> list[str]:
    return list((await connection.execute(statement, _given(view, **values))).scalars())
