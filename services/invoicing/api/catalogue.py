"""The vendor's catalogue: modules and plans."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from services.invoicing import store
from services.invoicing.api.dependencies import IdPath, Wired
from services.invoicing.api.requests import ModuleBody, PlanBody
from services.invoicing.api.responses.catalogue import ListedPlanView, ModuleView, PlanVersionView, PlanView
from services.invoicing.domain.calendar import local_day
from services.invoicing.domain.price_lists import in_turn
from services.invoicing.use_cases import catalogue
from services.invoicing.use_cases.locked_tenants import time_of
from shared.errors import NotFound
from shared.web import Cursor, Limit, Page, Principal, actor_of, authenticated, decode_cursor, encode_cursor, operator, refusals
from shared.web.rest import LIMIT_DEFAULT
from shared.web.route import CheckedRoute
from shared.web.tenant_limits import costly

ModulePath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Operator = Annotated[Principal, Depends(operator())]

router = APIRouter(route_class=CheckedRoute, tags=["catalogue"])


@router.put("/v1/modules/{module}", responses=refusals(409), summary="Define a module")
async def put_module(wiring: Wired, module: ModulePath, body: ModuleBody, principal: Operator) -> ModuleView:
    async with wiring.database.unit_of_work(None) as uow:
        await catalogue.define_module(uow, module, body, actor_of(principal), wiring.clock.now())
        found = (await store.catalogue.modules(uow.connection))[module]
    return ModuleView(**asdict(found))


@router.get("/v1/modules", summary="List the modules, in order of their names", dependencies=[Depends(authenticated)])
async def list_modules(wiring: Wired, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Page[ModuleView]:
    (after,) = decode_cursor(cursor, str) or ("",)
    async with wiring.database.unit_of_work(None) as uow:
        found = await store.catalogue.module_page(uow.connection, after, limit)
    items = [ModuleView(**asdict(module)) for module in found]
    return Page(items=items, next=encode_cursor(found[-1].module) if len(found) == limit else None)


@router.put("/v1/plans/{plan}", responses=refusals(409), summary="Define a plan and its price list")
async def put_plan(wiring: Wired, plan: IdPath, body: PlanBody, principal: Operator) -> PlanView:
    async with wiring.database.unit_of_work(None) as uow:
        return PlanView.of(await catalogue.define_plan(uow, plan, body, actor_of(principal), wiring.clock.now()))


@router.get(
    "/v1/plans",
    summary="List the plans with their prices, in order of their ids",
)
@costly
async def list_plans(
    wiring: Wired, principal: Annotated[Principal, Depends(authenticated)], cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT
) -> Page[ListedPlanView]:
    """The prices are those of today, in the tenant's time zone (without a tenant: in UTC); `later` has those that are known for later."""
    (after,) = decode_cursor(cursor, str) or ("",)
    async with wiring.database.unit_of_work(principal.tenant) as uow:
        tenant = await store.tenants.find(uow.connection, principal.tenant) if principal.tenant is not None else None
        found = await store.catalogue.plan_page(uow.connection, after, limit)
    at = time_of(tenant, wiring.clock) if tenant is not None else wiring.clock.now()
    day = local_day(at, tenant.time_zone if tenant is not None and tenant.time_zone is not None else "UTC")
    items = [ListedPlanView.of_lists(in_turn(versions, day)) for versions in found]
    return Page(items=items, next=encode_cursor(found[-1][0].plan) if len(found) == limit else None)


@router.get(
    "/v1/plans/{plan}/versions",
    responses=refusals(404),
    summary="List the versions of a plan's price list, oldest first",
    dependencies=[Depends(operator())],
)
@costly
async def list_versions(wiring: Wired, plan: IdPath, cursor: Cursor = None, limit: Limit = LIMIT_DEFAULT) -> Page[PlanVersionView]:
    """The history of the prices: who defined each version and when, from which day it holds, and what changed."""
    (after,) = decode_cursor(cursor, int) or (0,)
    async with wiring.database.unit_of_work(None) as uow:
        if await store.catalogue.plan(uow.connection, plan) is None:
            raise NotFound("plan")
        found = await store.catalogue.version_page(uow.connection, plan, after, limit)
    items = [PlanVersionView.of(each) for each in found]
    return Page(items=items, next=encode_cursor(found[-1].version) if len(found) == limit else None)
