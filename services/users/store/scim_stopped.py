"""The users whose access a SCIM connection would have ended when the guard stopped it. A confirmation lets these requests through."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import DateTime, Text, bindparam, delete, false, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import table_of


@dataclass(frozen=True, slots=True)
class StoppedUser:
    connection: str
    resource_id: str
    at: datetime  # the tenant's time
    confirmed: bool


STOPPED: Final = table_of("scim_stopped", StoppedUser, tenant_id=str)

_S: Final = STOPPED.c
_OWN: Final = (_S.tenant_id == bindparam("tenant", type_=Text)) & (_S.connection == bindparam("of_connection", type_=Text))
_OPEN: Final = _S.confirmed.is_(False)
_ID: Final = _S.resource_id == bindparam("of_id", type_=Text)
_INSERT: Final = insert(STOPPED)
_ADD: Final = _INSERT.on_conflict_do_update(
    index_elements=["tenant_id", "connection", "resource_id"], set_={"at": _INSERT.excluded.at, "confirmed": false()}
)
_COUNT: Final = select(func.count()).select_from(STOPPED).where(_OWN, _OPEN)
_CONFIRM: Final = update(STOPPED).where(_OWN, _OPEN).values(confirmed=True)
_IS_CONFIRMED: Final = select(func.count()).select_from(STOPPED).where(_OWN, _ID, _S.confirmed)
_REMOVE: Final = delete(STOPPED).where(_OWN, _ID)
_FORGET: Final = delete(STOPPED).where(_OWN, _S.at < bindparam("before", type_=DateTime(timezone=True)))


async def add(connection: AsyncConnection, tenant_id: str, name: str, resource_id: str, at: datetime) -> None:
    await connection.execute(_ADD, {"tenant_id": tenant_id, "connection": name, "resource_id": resource_id, "at": at, "confirmed": False})


async def count(connection: AsyncConnection, tenant_id: str, name: str) -> int:
    """Return how many users wait for a confirmation."""
    return int((await connection.execute(_COUNT, {"tenant": tenant_id, "of_connection": name})).scalar_one())


async def confirm(connection: AsyncConnection, tenant_id: str, name: str) -> None:
    """Let the next request about each of the users through."""
    await connection.execute(_CONFIRM, {"tenant": tenant_id, "of_connection": name})


async def is_confirmed(connection: AsyncConnection, tenant_id: str, name: str, resource_id: str) -> bool:
    given = {"tenant": tenant_id, "of_connection": name, "of_id": resource_id}
    return bool((await connection.execute(_IS_CONFIRMED, given)).scalar_one())


async def remove(connection: AsyncConnection, tenant_id: str, name: str, resource_id: str) -> None:
    await connection.execute(_REMOVE, {"tenant": tenant_id, "of_connection": name, "of_id": resource_id})


async def forget(connection: AsyncConnection, tenant_id: str, name: str, before: datetime) -> None:
    """Forget the users about whom the connection has asked before this time."""
    await connection.execute(_FORGET, {"tenant": tenant_id, "of_connection": name, "before": before})
