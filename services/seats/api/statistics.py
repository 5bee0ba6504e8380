"""The statistics of a tenant."""

from typing import Any

from fastapi import APIRouter

from services.seats.api import responses
from services.seats.api.dependencies import READ, After, Owned
from services.seats.api.owner_routing import OwnerRoute
from shared.web.openapi import refusals

router = APIRouter(route_class=OwnerRoute, prefix="/v1/tenants/{tenant}", tags=["seats"], dependencies=[READ], responses=refusals(504))


@router.get("/statistics", summary="Get the statistics of a tenant")
async def get_statistics(owned: Owned, tenant: str, after: After = None) -> dict[str, Any]:
    """`flagged` counts seats at present. `revoked` and `refused` count pairs of person and module since the tenant was opened.
    `decisions` counts the events of this tenant, each once."""
    async with owned.between_batches(tenant, after) as (live, state):
        flagged = sum(pool.flagged for pool in state.pools.values())
        position = responses.position(live)
    counted = await owned.statistics.of(tenant, position.partition)
    return {"flagged": flagged, **counted, "position": position.model_dump()}
