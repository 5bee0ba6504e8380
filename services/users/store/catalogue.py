"""The vendor's catalogue: the modules with those that each of them requires, and the plans. It belongs to no tenant."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.buying import Plan, unit_price
from shared.database.row_classes import columns_of, many, names_of, one, replacing, table_of
from shared.schemas.invoicing_v1 import PlanDefined


@dataclass(frozen=True, slots=True)
class ModuleRow:
    module: str
    name: str
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlanRow:
    plan: str
    version: int
    name: str
    currency: str
    allows_extra_licences: bool
    prices: Sequence[Mapping[str, Any]]


MODULES: Final = table_of("catalogue_modules", ModuleRow)

_ALL: Final = select(*columns_of(ModuleRow, MODULES))
_SAVE: Final = replacing(insert(MODULES), ModuleRow, "module")
PLANS: Final = table_of("catalogue_plans", PlanRow)
_ALL_PLANS: Final = select(*columns_of(PlanRow, PLANS)).ext(distinct_on(PLANS.c.plan)).order_by(PLANS.c.plan, PLANS.c.version.desc())
_PLAN: Final = select(*columns_of(PlanRow, PLANS)).where(PLANS.c.plan == bindparam("of_plan"), PLANS.c.version == bindparam("of_version"))
_SAVE_PLAN: Final = insert(PLANS).on_conflict_do_nothing()


async def requires(connection: AsyncConnection) -> Mapping[str, tuple[str, ...]]:
    """Return for each module the modules that it requires."""
    return {row.module: row.requires for row in await many(connection, _ALL, ModuleRow)}


async def names(connection: AsyncConnection) -> Mapping[str, str]:
    """Return the names of the modules."""
    return {row.module: row.name for row in await many(connection, _ALL, ModuleRow)}


async def save(connection: AsyncConnection, module: ModuleRow) -> None:
    await connection.execute(_SAVE, asdict(module))


async def save_plan(connection: AsyncConnection, plan: PlanDefined) -> None:
    await connection.execute(_SAVE_PLAN, plan.model_dump(mode="json", include=set(names_of(PlanRow))))


async def plans(connection: AsyncConnection) -> Sequence[Plan]:
    """Return the plans with their newest price lists."""
    return [_plan(row) for row in await many(connection, _ALL_PLANS, PlanRow)]


async def plan(connection: AsyncConnection, name: str, version: int) -> Plan | None:
    """Return the plan with this version of its price list."""
    found = await one(connection, _PLAN, PlanRow, of_plan=name, of_version=version)
    return None if found is None else _plan(found)


def _plan(row: PlanRow) -> Plan:
    prices = [unit_price(price) for price in row.prices]
    return Plan(row.plan, row.name, row.currency, row.allows_extra_licences, prices)
