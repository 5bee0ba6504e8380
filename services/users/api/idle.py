"""The idle check of a tenant."""

from fastapi import APIRouter, Depends

from services.users.api.dependencies import InContext, TenantId
from shared.idle import IdleCheck
from shared.web import access
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1", tags=["state"])


@router.get(
    "/tenants/{tenant}/idle", dependencies=[Depends(access("operator"))], summary="Check whether everything of a tenant is processed"
)
async def show_idle(tenant: TenantId, context: InContext) -> IdleCheck:
    return await context.idle(tenant)
