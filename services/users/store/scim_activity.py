"""What a SCIM connection did last: its last request, its last error, and how many people it reports."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Text, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.users.store.scim_users import SCIM_USERS
from shared.database.row_classes import columns_of, one, table_of


@dataclass(frozen=True, slots=True)
class ScimActivity:
    """`last_error`: status and type of the error, for example `409 uniqueness`; it names nobody."""

    connection: str
    last_request_at: datetime
    last_error_at: datetime | None
    last_error: str | None


ACTIVITY: Final = table_of("scim_activity", ScimActivity, tenant_id=str)

_A: Final = ACTIVITY.c
_TENANT: Final = bindparam("tenant", type_=Text)
_NAME: Final = bindparam("of_connection", type_=Text)
_GET: Final = select(*columns_of(ScimActivity, ACTIVITY)).where(_A.tenant_id == _TENANT, _A.connection == _NAME)
_ADD: Final = insert(ACTIVITY)
_SAVE: Final = _ADD.on_conflict_do_update(
    index_elements=["tenant_id", "connection"],
    set_={
        "last_request_at": func.greatest(_A.last_request_at, _ADD.excluded.last_request_at),
        "last_error_at": func.coalesce(_ADD.excluded.last_error_at, _A.last_error_at),
        "last_error": func.coalesce(_ADD.excluded.last_error, _A.last_error),
    },
)
_REMOVE: Final = delete(ACTIVITY).where(_A.tenant_id == _TENANT, _A.connection == _NAME)
_U: Final = SCIM_USERS.c
_COUNT: Final = select(func.count()).select_from(SCIM_USERS).where(_U.tenant_id == _TENANT, _U.connection == _NAME, _U.deleted_at.is_(None))


async def get(connection: AsyncConnection, tenant_id: str, name: str) -> ScimActivity | None:
    return await one(connection, _GET, ScimActivity, tenant=tenant_id, of_connection=name)


async def save(connection: AsyncConnection, tenant_id: str, name: str, at: datetime, error: str | None) -> None:
    """Store a request; `error`: it was refused, and an earlier error is replaced."""
    given = {"connection": name, "last_request_at": at, "last_error_at": at if error else None, "last_error": error}
    await connection.execute(_SAVE, given | {"tenant_id": tenant_id})


async def remove(connection: AsyncConnection, tenant_id: str, name: str) -> None:
    await connection.execute(_REMOVE, {"tenant": tenant_id, "of_connection": name})


async def count_people(connection: AsyncConnection, tenant_id: str, name: str) -> int:
    """Return how many users the connection has created or taken over, without the deleted ones."""
    return int((await connection.execute(_COUNT, {"tenant": tenant_id, "of_connection": name})).scalar_one())
