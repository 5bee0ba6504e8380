"""The action that follows the last reminder of an overdue invoice, and whether a tenant can buy."""

from dataclasses import asdict, dataclass

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, one, replacing, table_of


@dataclass(frozen=True, slots=True)
class Overdue:
    """`action` is none, no_purchases or operator_decides. `blocked`: purchases are refused."""

    action: str = "none"
    blocked: bool = False


OVERDUE = table_of("overdue", Overdue, tenant_id=str)

_FIND = select(*columns_of(Overdue, OVERDUE)).where(OVERDUE.c.tenant_id == bindparam("tenant"))
_PUT = replacing(insert(OVERDUE), Overdue, "tenant_id")


async def find(connection: AsyncConnection, tenant_id: str) -> Overdue:
    return await one(connection, _FIND, Overdue, tenant=tenant_id) or Overdue()


async def put(connection: AsyncConnection, tenant_id: str, overdue: Overdue) -> None:
    await connection.execute(_PUT, {"tenant_id": tenant_id} | asdict(overdue))
