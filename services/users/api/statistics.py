"""What this service counts of a tenant."""

from dataclasses import asdict

from fastapi import APIRouter, Depends

from services.users.api.dependencies import InContext, TenantId
from services.users.store import module_states
from shared.web import access
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1", tags=["state"])


@router.get("/tenants/{tenant}/statistics", dependencies=[Depends(access("account:read"))], summary="Counts of this tenant")
async def show_statistics(tenant: TenantId, context: InContext) -> dict[str, int]:
    """`hired` and `active` count persons, `flagged` (person, module) now, `revoked` and `refused` (person, module) ever, `pending` persons
    whose last command is not answered."""
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        return asdict(await module_states.statistics(tenant, uow.connection))
