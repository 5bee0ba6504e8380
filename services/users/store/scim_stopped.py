"""The users whose access a SCIM connection would have ended when the guard stopped it. A confirmation lets these requests through."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, DateTime, Text, bindparam, delete, false, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import many, table_of


@dataclass(frozen=True, slots=True)
class StoppedUser:
    connection: str
    resource_id: str
    at: datetime  # the tenant's time
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Waiting:
    """A connection whose requests wait for a confirmation: about how many users, and since when."""

    connection: str
    users: int
    since: datetime


STOPPED: Final = table_of("scim_stopped", StoppedUser, tenant_id=str)

_S: Final = STOPPED.c
_OWN: Final = (_S.tenant_id == bindparam("tenant", type_=Text)) & (_S.connection == bindparam("of_connection", type_=Text))
_OPEN: Final = _S.confirmed.is_(False) & (_S.at >= bindparam("since", type_=DateTime(timezone=True)))
_ID: Final = _S.resource_id == bindparam("of_id", type_=Text)
_INSERT: Final = insert(STOPPED)
_ADD: Final = _INSERT.on_conflict_do_update(
    index_elements=["tenant_id", "connection", "resource_id"], set_={"at": _INSERT.excluded.at, "confirmed": false()}
)
_COUNT: Final = select(func.count()).select_from(STOPPED).where(_OWN, _OPEN)
_WAITING: Final = (
    select(_S.connection, func.count().label("users"), func.min(_S.at).label("since"))
    .where(_S.tenant_id == bindparam("tenant", type_=Text), _OPEN, _S.connection > bindparam("after", type_=Text))
    .group_by(_S.connection)
    .order_by(_S.connection)
    .limit(bindparam("most", type_=BigInteger))
)
_IDS: Final = select(_S.resource_id).where(_OWN, _OPEN).order_by(_S.resource_id).limit(bindparam("most", type_=BigInteger))
_CONFIRM: Final = update(STOPPED).where(_OWN, _OPEN).values(confirmed=True)
_IS_CONFIRMED: Final = select(func.count()).select_from(STOPPED).where(_OWN, _ID, _S.confirmed)
_REMOVE: Final = delete(STOPPED).where(_OWN, _ID)
_REMOVE_ALL: Final = delete(STOPPED).where(_OWN)
_FORGET: Final = delete(STOPPED).where(_OWN, _S.at < bindparam("before", type_=DateTime(timezone=True)))


async def add(connection: AsyncConnection, tenant_id: str, name: str, resource_id: str, at: datetime) -> None:
    await connection.execute(_ADD, {"tenant_id": tenant_id, "connection": name, "resource_id": resource_id, "at": at, "confirmed": False})


async def count(connection: AsyncConnection, tenant_id: str, name: str, since: datetime) -> int:
    """Return how many users wait for a confirmation. `since`, here and below: what was asked before this time is given up."""
    return int((await connection.execute(_COUNT, {"tenant": tenant_id, "of_connection": name, "since": since})).scalar_one())


async def waiting(connection: AsyncConnection, tenant_id: str, since: datetime, after: str, most: int) -> list[Waiting]:
    """Return the next connections of a tenant that have users who wait for a confirmation, in order of their names."""
    return await many(connection, _WAITING, Waiting, tenant=tenant_id, since=since, after=after, most=most)


async def ids(connection: AsyncConnection, tenant_id: str, name: str, since: datetime, most: int) -> list[str]:
    """Return the first users who wait for a confirmation."""
    given = {"tenant": tenant_id, "of_connection": name, "since": since, "most": most}
    return list((await connection.execute(_IDS, given)).scalars())


async def confirm(connection: AsyncConnection, tenant_id: str, name: str, since: datetime) -> None:
    """Let the next request about each of the users through."""
    await connection.execute(_CONFIRM, {"tenant": tenant_id, "of_connection": name, "since": since})


async def is_confirmed(connection: AsyncConnection, tenant_id: str, name: str, resource_id: str) -> bool:
    given = {"tenant": tenant_id, "of_connection": name, "of_id": resource_id}
    return bool((await connection.execute(_IS_CONFIRMED, given)).scalar_one())


async def remove(connection: AsyncConnection, tenant_id: str, name: str, resource_id: str) -> None:
    await connection.execute(_REMOVE, {"tenant": tenant_id, "of_connection": name, "of_id": resource_id})


async def remove_all(connection: AsyncConnection, tenant_id: str, name: str) -> None:
    await connection.execute(_REMOVE_ALL, {"tenant": tenant_id, "of_connection": name})


async def forget(connection: AsyncConnection, tenant_id: str, name: str, before: datetime) -> None:
    """Forget the users about whom the connection has asked before this time."""
    await connection.execute(_FORGET, {"tenant": tenant_id, "of_connection": name, "before": before})
