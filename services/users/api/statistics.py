"""The statistics of a tenant."""

from dataclasses import asdict

from fastapi import APIRouter, Depends

from services.users.api.dependencies import InContext, TenantId
from services.users.store import statistics
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
