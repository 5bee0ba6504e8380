"""The decisions that led to the seats of a person."""

from fastapi import APIRouter

from services.seats.api import responses
from services.seats.api.dependencies import READ_PEOPLE, After, Owned
from services.seats.api.owner_routing import OwnerRoute
from services.seats.replay import audit_trail
from shared.errors import NotFound
from shared.web.openapi import refusals
from shared.web.rest import Limit

router = APIRouter(
    route_class=OwnerRoute, prefix="/v1/tenants/{tenant}", tags=["seats"], dependencies=[READ_PEOPLE], responses=refusals(504)
)


@router.get("/why/{user}", summary="Explain the seats of a person")
async def explain(owned: Owned, tenant: str, user: str, limit: Limit = 100, after: After = None) -> responses.Why:
    """The answer lists the decisions that led to the present state of this person, with their commands, newest first."""
    live = await owned.reached(tenant, after)
    row = responses.row_of(tenant, user, live)
    if row is None:
        raise NotFound("person")
    position = responses.position(live)
    chain, complete = await audit_trail.explain(owned.log, tenant, user, position.partition, row.offset, limit)
    return responses.Why(position=position, user=user, chain=[responses.Link(**link._asdict()) for link in chain], complete=complete)
