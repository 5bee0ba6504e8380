"""Whether everything of a tenant is processed up to the tenant's time."""

from fastapi import APIRouter, Depends

from services.invoicing.api.dependencies import TenantId, Wired
from services.invoicing.use_cases import idle
from shared.idle import IdleCheck
from shared.web import access
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}", tags=["state"])


@router.get("/idle", summary="Check whether everything of a tenant is processed", dependencies=[Depends(access("operator"))])
async def check_idle(wiring: Wired, tenant: TenantId) -> IdleCheck:
    return await idle.check_idle(wiring.database, wiring.consumer, wiring.clock, tenant)
