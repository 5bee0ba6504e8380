"""The position of the last decision about a tenant's partition."""

from fastapi import APIRouter

from services.seats.api import responses
from services.seats.api.dependencies import READ, After, Owned
from services.seats.api.owner_routing import OwnerRoute
from shared.web.openapi import refusals

router = APIRouter(route_class=OwnerRoute, prefix="/v1/tenants/{tenant}", tags=["seats"], dependencies=[READ], responses=refusals(504))


@router.get("/position", summary="Get the position of the last decision")
async def get_position(owned: Owned, tenant: str, after: After = None) -> responses.PositionAnswer:
    live = await owned.reached(tenant, after)
    return responses.PositionAnswer(position=responses.position(live), rules=live.durable.marker.rules)
