"""The pools of a tenant, as seats opened them: which modules are base modules."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Text, bindparam, not_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import replacing, table_of


@dataclass(frozen=True, slots=True)
class PoolRow:
    module: str
    base: bool


POOLS: Final = table_of("pools", PoolRow, tenant_id=str)

_SAVE: Final = replacing(insert(POOLS), PoolRow, "tenant_id", "module")
_ADD_ONS: Final = select(POOLS.c.module).where(POOLS.c.tenant_id == bindparam("tenant", type_=Text), not_(POOLS.c.base))


async def save(connection: AsyncConnection, tenant_id: str, module: str, *, base: bool) -> None:
    """Save that a pool was opened."""
    await connection.execute(_SAVE, {"tenant_id": tenant_id, "module": module, "base": base})


async def add_ons(connection: AsyncConnection, tenant_id: str) -> frozenset[str]:
    """Return the modules that are known not to be base modules."""
    return frozenset((await connection.execute(_ADD_ONS, {"tenant": tenant_id})).scalars())
