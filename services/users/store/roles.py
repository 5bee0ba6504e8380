"""The roles that a tenant has added to the built-in ones."""

from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import BigInteger, Text, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, one, replacing, table_of


@dataclass(frozen=True, slots=True)
class RoleRow:
    role: str
    name: str
    rights: tuple[str, ...]
    version: int


ROLES: Final = table_of("roles", RoleRow, tenant_id=str)

_TENANT: Final = bindparam("tenant", type_=Text)
_ROLE: Final = bindparam("role", type_=Text)
_OWN: Final = ROLES.c.tenant_id == _TENANT
_ALL: Final = select(*columns_of(RoleRow, ROLES)).where(_OWN).order_by(ROLES.c.role)
_GET: Final = _ALL.where(ROLES.c.role == _ROLE)
_PAGE: Final = _ALL.where(ROLES.c.role > bindparam("after", type_=Text)).limit(bindparam("limit", type_=BigInteger))
_COUNT: Final = select(func.count()).where(_OWN)
_SAVE: Final = replacing(insert(ROLES), RoleRow, "tenant_id", "role")
_DELETE: Final = delete(ROLES).where(_OWN, ROLES.c.role == _ROLE)


async def all_of(connection: AsyncConnection, tenant_id: str) -> list[RoleRow]:
    return await many(connection, _ALL, RoleRow, tenant=tenant_id)


async def get(connection: AsyncConnection, tenant_id: str, role: str) -> RoleRow | None:
    return await one(connection, _GET, RoleRow, tenant=tenant_id, role=role)


async def page(connection: AsyncConnection, tenant_id: str, after: str, limit: int) -> list[RoleRow]:
    """Return the next roles in order of their ids."""
    return await many(connection, _PAGE, RoleRow, tenant=tenant_id, after=after, limit=limit)


async def count(connection: AsyncConnection, tenant_id: str) -> int:
    return int((await connection.execute(_COUNT, {"tenant": tenant_id})).scalar_one())


async def save(connection: AsyncConnection, tenant_id: str, row: RoleRow) -> None:
    """Add the role or replace it."""
    await connection.execute(_SAVE, {"tenant_id": tenant_id} | asdict(row))


async def remove(connection: AsyncConnection, tenant_id: str, role: str) -> None:
    await connection.execute(_DELETE, {"tenant": tenant_id, "role": role})
