"""The vendor's catalogue: modules and price lists. It belongs to no tenant."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.invoicing.store import tables
from shared.database.rows import columns, lock_tables, many
from shared.schemas.invoicing_v1 import ModuleDefined, PlanDefined


@dataclass(frozen=True, slots=True)
class Module:
    module: str
    name: str
    base: bool
    requires: list[str]


_MODULES = select(*columns(Module, tables.modules)).order_by(tables.modules.c.module)
_INSERT_MODULE = insert(tables.modules)
_PUT_MODULE = _INSERT_MODULE.on_conflict_do_update(
    index_elements=["module"], set_={name: _INSERT_MODULE.excluded[name] for name in ("name", "base", "requires")}
)
_MODULE_PAGE = _MODULES.where(tables.modules.c.module > bindparam("after")).limit(bindparam("limit"))
_OF_PLAN = tables.plans.c.plan == bindparam("of_plan")
_PLANS = select(tables.plans.c.payload).where(tables.plans.c.current).order_by(tables.plans.c.plan)
_PLAN = _PLANS.where(_OF_PLAN)
_PLAN_PAGE = _PLANS.where(tables.plans.c.plan > bindparam("after")).limit(bindparam("limit"))
_VERSIONS = select(tables.plans.c.payload).where(_OF_PLAN).order_by(tables.plans.c.version)
_SUPERSEDE = update(tables.plans).where(_OF_PLAN, tables.plans.c.current).values(current=False)
_ADD_PLAN = insert(tables.plans)


async def lock(c: AsyncConnection) -> None:
    """Let other changes wait until the transaction ends: two at the same time would draw the same version of a plan."""
    await lock_tables(c, (tables.plans, tables.modules))


async def modules(c: AsyncConnection) -> dict[str, Module]:
    return {module.module: module for module in await many(c, _MODULES, Module)}


async def module_page(c: AsyncConnection, after: str, limit: int) -> list[Module]:
    """Return modules in order of their names."""
    return await many(c, _MODULE_PAGE, Module, after=after, limit=limit)


async def put_module(c: AsyncConnection, event: ModuleDefined) -> None:
    await c.execute(_PUT_MODULE, {"module": event.module, "name": event.name, "base": event.base, "requires": list(event.requires)})


async def plans(c: AsyncConnection) -> Sequence[PlanDefined]:
    """Return the plans in force."""
    return [PlanDefined.model_validate_json(payload) for payload in (await c.execute(_PLANS)).scalars()]


async def plan_page(c: AsyncConnection, after: str, limit: int) -> Sequence[PlanDefined]:
    """Return plans in force, in order of their names."""
    found = await c.execute(_PLAN_PAGE, {"after": after, "limit": limit})
    return [PlanDefined.model_validate_json(payload) for payload in found.scalars()]


async def plan(c: AsyncConnection, name: str) -> PlanDefined | None:
    found = (await c.execute(_PLAN, {"of_plan": name})).scalar_one_or_none()
    return PlanDefined.model_validate_json(found) if found is not None else None


async def versions(c: AsyncConnection, name: str) -> Sequence[PlanDefined]:
    return [PlanDefined.model_validate_json(payload) for payload in (await c.execute(_VERSIONS, {"of_plan": name})).scalars()]


async def put_plan(c: AsyncConnection, event: PlanDefined) -> None:
    await c.execute(_SUPERSEDE, {"of_plan": event.plan})
    await c.execute(_ADD_PLAN, {"plan": event.plan, "version": event.version, "current": True, "payload": event.model_dump_json()})
