"""The vendor's catalogue: modules and price lists. It belongs to no tenant."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import attrgetter

from sqlalchemy import bindparam, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.row_classes import columns_of, lock_tables, many, replacing, table_of
from shared.database.together import OF_NO_TENANT
from shared.schemas.invoicing_v1 import ModuleDefined, PlanDefined


@dataclass(frozen=True, slots=True)
class Module:
    module: str
    name: str
    base: bool
    requires: tuple[str, ...]


PLANS = table_of("plans", plan=str, version=int, current=bool, payload=str)
MODULES = table_of("modules", Module)

_MODULES = select(*columns_of(Module, MODULES)).order_by(MODULES.c.module).execution_options(**{OF_NO_TENANT: True})
_PUT_MODULE = replacing(insert(MODULES), Module, "module")
_MODULE_PAGE = _MODULES.where(MODULES.c.module > bindparam("after")).limit(bindparam("limit"))
_OF_PLAN = PLANS.c.plan == bindparam("of_plan")
_PLANS = select(PLANS.c.payload).where(PLANS.c.current).order_by(PLANS.c.plan).execution_options(**{OF_NO_TENANT: True})
_PLAN = _PLANS.where(_OF_PLAN)
_NAME_PAGE = select(PLANS.c.plan).where(PLANS.c.current, PLANS.c.plan > bindparam("after")).order_by(PLANS.c.plan).limit(bindparam("limit"))
_OF_PLANS = select(PLANS.c.payload).where(PLANS.c.plan.in_(_NAME_PAGE)).order_by(PLANS.c.plan, PLANS.c.version)
_VERSIONS = select(PLANS.c.payload).where(_OF_PLAN).order_by(PLANS.c.version).execution_options(**{OF_NO_TENANT: True})
_VERSION_PAGE = _VERSIONS.where(PLANS.c.version > bindparam("after")).limit(bindparam("limit"))
_ALL_VERSIONS = select(PLANS.c.payload).order_by(PLANS.c.plan, PLANS.c.version).execution_options(**{OF_NO_TENANT: True})
_SUPERSEDE = update(PLANS).where(_OF_PLAN, PLANS.c.current).values(current=False)
_ADD_PLAN = insert(PLANS)


@lru_cache(maxsize=100)
def _plan_of(payload: str) -> PlanDefined:
    """A price list is read for each document, and there are few of them."""
    return PlanDefined.model_validate_json(payload)


async def lock(connection: AsyncConnection) -> None:
    """Let other changes wait until the transaction ends: two at the same time would draw the same version of a plan."""
    await lock_tables(connection, PLANS, MODULES)


async def modules(connection: AsyncConnection) -> dict[str, Module]:
    return {module.module: module for module in await many(connection, _MODULES, Module)}


async def module_page(connection: AsyncConnection, after: str, limit: int) -> list[Module]:
    """Return modules in order of their names."""
    return await many(connection, _MODULE_PAGE, Module, after=after, limit=limit)


async def put_module(connection: AsyncConnection, event: ModuleDefined) -> None:
    await connection.execute(_PUT_MODULE, {"module": event.module, "name": event.name, "base": event.base, "requires": event.requires})


async def plans(connection: AsyncConnection) -> Sequence[PlanDefined]:
    """Return the newest price list of each plan; it may hold from a later day on."""
    return [_plan_of(payload) for payload in (await connection.execute(_PLANS)).scalars()]


async def plan_page(connection: AsyncConnection, after: str, limit: int) -> list[list[PlanDefined]]:
    """Return every version of the price lists of some plans, for each plan in their order. The plans are in order of their ids."""
    found = await connection.execute(_OF_PLANS, {"after": after, "limit": limit})
    return [list(versions) for _, versions in groupby(map(_plan_of, found.scalars()), key=attrgetter("plan"))]


async def plan(connection: AsyncConnection, name: str) -> PlanDefined | None:
    found = (await connection.execute(_PLAN, {"of_plan": name})).scalar_one_or_none()
    return _plan_of(found) if found is not None else None


async def versions(connection: AsyncConnection, name: str) -> Sequence[PlanDefined]:
    return [_plan_of(payload) for payload in (await connection.execute(_VERSIONS, {"of_plan": name})).scalars()]


async def version_page(connection: AsyncConnection, name: str, after: int, limit: int) -> Sequence[PlanDefined]:
    """Return versions of the price list of a plan, in their order."""
    found = await connection.execute(_VERSION_PAGE, {"of_plan": name, "after": after, "limit": limit})
    return [_plan_of(payload) for payload in found.scalars()]


async def all_versions(connection: AsyncConnection) -> Sequence[PlanDefined]:
    """Return every version of every plan's price list, those of a plan in their order."""
    return [_plan_of(payload) for payload in (await connection.execute(_ALL_VERSIONS)).scalars()]


async def put_plan(connection: AsyncConnection, event: PlanDefined) -> None:
    await connection.execute(_SUPERSEDE, {"of_plan": event.plan})
    await connection.execute(_ADD_PLAN, {"plan": event.plan, "version": event.version, "current": True, "payload": event.model_dump_json()})
