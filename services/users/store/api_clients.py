"""The API clients of tenants. Of a secret, only a hash is stored."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Text, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, one, replacing, table_of


@dataclass(frozen=True, slots=True)
class ApiClientRow:
    """`secrets` are mappings with `id`, `hash` (hexadecimal) and `created_at`."""

    client: str
    name: str
    rights: tuple[str, ...]
    secrets: Sequence[Mapping[str, Any]]
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class KnownClient(ApiClientRow):
    tenant_id: str


CLIENTS: Final = table_of("api_clients", KnownClient)

_TENANT: Final = bindparam("tenant", type_=Text)
_OWN: Final = CLIENTS.c.tenant_id == _TENANT
_IS_CLIENT: Final = CLIENTS.c.client == bindparam("of_client", type_=Text)
_ALL: Final = select(*columns_of(ApiClientRow, CLIENTS)).where(_OWN).order_by(CLIENTS.c.client)
_LOCK: Final = _ALL.where(_IS_CLIENT).with_for_update()
_GET: Final = _ALL.where(_IS_CLIENT)
_FIND: Final = select(*columns_of(KnownClient, CLIENTS)).where(_IS_CLIENT)
_PAGE: Final = _ALL.where(CLIENTS.c.client > bindparam("after", type_=Text)).limit(bindparam("limit", type_=BigInteger))
_COUNT: Final = select(func.count()).where(_OWN)
_SAVE: Final = replacing(insert(CLIENTS), ApiClientRow, "client", where=_OWN)
_DELETE: Final = delete(CLIENTS).where(_OWN, _IS_CLIENT)


async def find(connection: AsyncConnection, client: str) -> KnownClient | None:
    """Return the client of this id, of any tenant: a token request need not name the tenant."""
    return await one(connection, _FIND, KnownClient, of_client=client)


async def get(connection: AsyncConnection, tenant_id: str, client: str) -> ApiClientRow | None:
    return await one(connection, _GET, ApiClientRow, tenant=tenant_id, of_client=client)


async def lock(connection: AsyncConnection, tenant_id: str, client: str) -> ApiClientRow | None:
    """Return the client, locked for a change."""
    return await one(connection, _LOCK, ApiClientRow, tenant=tenant_id, of_client=client)


async def page(connection: AsyncConnection, tenant_id: str, after: str, limit: int) -> list[ApiClientRow]:
    """Return the next clients in order of their ids, which is the order of their creation."""
    return await many(connection, _PAGE, ApiClientRow, tenant=tenant_id, after=after, limit=limit)


async def count(connection: AsyncConnection, tenant_id: str) -> int:
    return int((await connection.execute(_COUNT, {"tenant": tenant_id})).scalar_one())


async def save(connection: AsyncConnection, tenant_id: str, row: ApiClientRow) -> None:
    """Add the client or replace it."""
    await connection.execute(_SAVE, {"tenant": tenant_id, "tenant_id": tenant_id} | asdict(row))


async def remove(connection: AsyncConnection, tenant_id: str, client: str) -> None:
    await connection.execute(_DELETE, {"tenant": tenant_id, "of_client": client})
