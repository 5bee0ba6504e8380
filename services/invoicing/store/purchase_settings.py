"""What a tenant decided about its purchases: who approves them, and their monthly budget."""

from dataclasses import asdict, dataclass
from typing import Final

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, one, replacing, table_of

NONE: Final = "none"
ABOVE_BUDGET: Final = "above_budget"
ALWAYS: Final = "always"


@dataclass(frozen=True, slots=True)
class PurchaseSettings:
    """`second_approver` is none, above_budget or always: which purchases need the approval of a second person."""

    second_approver: str = NONE
    monthly_budget_minor: int | None = None
    ordering: str | None = None  # set by the operator; None: as the plan says


PURCHASE_SETTINGS = table_of("purchase_settings", PurchaseSettings, tenant_id=str)

_FIND = select(*columns_of(PurchaseSettings, PURCHASE_SETTINGS)).where(PURCHASE_SETTINGS.c.tenant_id == bindparam("tenant"))
_PUT = replacing(insert(PURCHASE_SETTINGS), PurchaseSettings, "tenant_id")


async def find(connection: AsyncConnection, tenant_id: str) -> PurchaseSettings:
    return await one(connection, _FIND, PurchaseSettings, tenant=tenant_id) or PurchaseSettings()


async def put(connection: AsyncConnection, tenant_id: str, settings: PurchaseSettings) -> None:
    await connection.execute(_PUT, {"tenant_id": tenant_id} | asdict(settings))
