"""The statistics of a tenant."""

from dataclasses import asdict

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from services.users.api.dependencies import InContext, TenantId
from services.users.store import statistics
from shared.schemas.base import Instant
from shared.web import access
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1", tags=["state"])


@router.get("/tenants/{tenant}/statistics", dependencies=[Depends(access("account:read"))], summary="Get the statistics of a tenant")
async def show_statistics(tenant: TenantId, context: InContext) -> dict[str, int]:
    """`hired`, `active` and `pending` count people; `pending` are those whose last command has no answer yet. `flagged` counts pairs of
    person and module at present, `revoked` and `refused` since the tenant was opened."""
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        return asdict(await statistics.statistics(uow.connection, tenant))


class ModuleStatistics(BaseModel):
    """How many people of a module need attention now."""

    module: str
    flagged: int = Field(description="People who are over the limit.")
    nearest_deadline: Instant | None = Field(description="When the first of them loses access.")
    last_deadline: Instant | None = Field(description="When the last of them loses access.")
    waiting: int
    refused: int


class ModuleStatisticsList(BaseModel):
    modules: list[ModuleStatistics] = Field(description="The modules with such people, in order of their names.")


@router.get(
    "/tenants/{tenant}/statistics/modules",
    dependencies=[Depends(access("account:read"))],
    summary="Get the number of people over the limit, waiting and refused, by module",
)
async def show_module_statistics(tenant: TenantId, context: InContext) -> ModuleStatisticsList:
    """Everybody is counted, also people whom a viewset hides; nobody is named."""
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        counted = await statistics.by_module(uow.connection, tenant)
    return ModuleStatisticsList(modules=[ModuleStatistics(**asdict(each)) for each in counted])
