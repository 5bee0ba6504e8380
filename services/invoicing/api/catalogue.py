"""The vendor's catalogue: modules and plans."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path

from services.invoicing import store
from services.invoicing.api.dependencies import IdPath, Wired
from services.invoicing.api.requests import ModuleBody, PlanBody
from services.invoicing.api.responses import ModuleView, PlanView
from services.invoicing.use_cases import catalogue
from shared.web import Page, Principal, actor_of, authenticated, operator, refusals
from shared.web.route import CheckedRoute

ModulePath = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Operator = Annotated[Principal, Depends(operator())]

router = APIRouter(route_class=CheckedRoute, tags=["catalogue"])


@router.put("/v1/modules/{module}", responses=refusals(409), summary="Define a module")
async def put_module(wiring: Wired, module: ModulePath, body: ModuleBody, principal: Operator) -> ModuleView:
    async with wiring.database.unit_of_work(None) as uow:
        await catalogue.define_module(uow, module, body, actor_of(principal), wiring.clock.now())
        found = (await store.catalogue.modules(uow.connection))[module]
    return ModuleView(**asdict(found))


@router.get("/v1/modules", summary="List the modules", dependencies=[Depends(authenticated)])
async def list_modules(wiring: Wired) -> Page[ModuleView]:
    async with wiring.database.unit_of_work(None) as uow:
        return Page(items=[ModuleView(**asdict(module)) for module in (await store.catalogue.modules(uow.connection)).values()])


@router.put("/v1/plans/{plan}", responses=refusals(409), summary="Define a plan and its price list")
async def put_plan(wiring: Wired, plan: IdPath, body: PlanBody, principal: Operator) -> PlanView:
    async with wiring.database.unit_of_work(None) as uow:
        return PlanView.of(await catalogue.define_plan(uow, plan, body, actor_of(principal), wiring.clock.now()))


@router.get("/v1/plans", summary="List the plans with their prices", dependencies=[Depends(authenticated)])
async def list_plans(wiring: Wired) -> Page[PlanView]:
    async with wiring.database.unit_of_work(None) as uow:
        return Page(items=[PlanView.of(plan) for plan in await store.catalogue.plans(uow.connection)])
