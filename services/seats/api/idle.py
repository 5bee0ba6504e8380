"""The idle check: is everything of a tenant processed up to its time?"""

from typing import Any

from fastapi import APIRouter

from services.seats.api import responses
from services.seats.api.dependencies import OPERATE, Owned
from services.seats.api.owner_routing import OwnerRoute

router = APIRouter(route_class=OwnerRoute, prefix="/v1/tenants/{tenant}", tags=["seats"], dependencies=[OPERATE])


@router.get("/idle", summary="Check whether everything of a tenant is processed")
async def check_idle(owned: Owned, tenant: str) -> dict[str, Any]:
    """seats is idle if every command of the tenant is decided and nothing is due at its time. Test clocks use this check."""
    partition = owned.live(tenant).number
    end = (await owned.worker.ends([partition]))[partition]
    async with owned.between_batches(tenant, None) as (live, state):
        return responses.idle(live, state, end - owned.worker.engine.position(partition))
