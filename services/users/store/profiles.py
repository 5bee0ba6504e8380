"""The profiles of a tenant."""

from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import BigInteger, Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, many, one, replacing, table_of


@dataclass(frozen=True, slots=True)
class ProfileRow:
    profile: str
    name: str
    modules: tuple[str, ...]
    partial: bool
    version: int


PROFILES: Final = table_of("profiles", ProfileRow, tenant_id=str)

_OWN: Final = PROFILES.c.tenant_id == bindparam("tenant", type_=Text)
_ALL: Final = select(*columns_of(ProfileRow, PROFILES)).where(_OWN).order_by(PROFILES.c.profile)
_GET: Final = _ALL.where(PROFILES.c.profile == bindparam("profile", type_=Text))
_PAGE: Final = _ALL.where(PROFILES.c.profile > bindparam("after", type_=Text)).limit(bindparam("limit", type_=BigInteger))
_COUNT: Final = select(func.count()).where(_OWN)
_SAVE: Final = replacing(insert(PROFILES), ProfileRow, "tenant_id", "profile")


async def all_of(connection: AsyncConnection, tenant_id: str) -> list[ProfileRow]:
    return await many(connection, _ALL, ProfileRow, tenant=tenant_id)


async def get(connection: AsyncConnection, tenant_id: str, profile: str) -> ProfileRow | None:
    return await one(connection, _GET, ProfileRow, tenant=tenant_id, profile=profile)


async def page(connection: AsyncConnection, tenant_id: str, after: str, limit: int) -> list[ProfileRow]:
    """Return the next profiles in order of their ids."""
    return await many(connection, _PAGE, ProfileRow, tenant=tenant_id, after=after, limit=limit)


async def count(connection: AsyncConnection, tenant_id: str) -> int:
    return int((await connection.execute(_COUNT, {"tenant": tenant_id})).scalar_one())


async def save(connection: AsyncConnection, tenant_id: str, row: ProfileRow) -> None:
    """Add the profile or replace it."""
    await connection.execute(_SAVE, {"tenant_id": tenant_id} | asdict(row))
