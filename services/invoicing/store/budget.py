"""What purchases and expansions add to the recurring net amount, by calendar month."""

from dataclasses import asdict, dataclass
from datetime import date

from sqlalchemy import BigInteger, Date, bindparam, cast, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import table_of


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """`source` is an order or a decision of seats. `month` is the first day of the month."""

    source: str
    month: date
    net_minor: int


BUDGET_USES = table_of("budget_uses", BudgetUse, tenant_id=str)

_OWN = BUDGET_USES.c.tenant_id == bindparam("tenant")
_ADD = insert(BUDGET_USES).on_conflict_do_nothing()
_REMOVE = delete(BUDGET_USES).where(_OWN, BUDGET_USES.c.source == bindparam("of_source"))
_USED = select(cast(func.coalesce(func.sum(BUDGET_USES.c.net_minor), 0), BigInteger)).where(
    _OWN, BUDGET_USES.c.month == bindparam("of_month", type_=Date)
)


async def add(connection: AsyncConnection, tenant_id: str, use: BudgetUse) -> None:
    """Count a purchase or an expansion, once."""
    await connection.execute(_ADD, {"tenant_id": tenant_id} | asdict(use))


async def remove(connection: AsyncConnection, tenant_id: str, source: str) -> None:
    await connection.execute(_REMOVE, {"tenant": tenant_id, "of_source": source})


async def used_minor(connection: AsyncConnection, tenant_id: str, month: date) -> int:
    return int((await connection.execute(_USED, {"tenant": tenant_id, "of_month": month})).scalar_one())
