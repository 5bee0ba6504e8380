"""The seats of a tenant."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.seats.api import responses
from services.seats.api.dependencies import READ_PEOPLE, After, Owned
from services.seats.api.owner_routing import OwnerRoute
from shared.web.openapi import refusals
from shared.web.rest import Cursor, Limit, decode_cursor, encode_cursor

router = APIRouter(
    route_class=OwnerRoute, prefix="/v1/tenants/{tenant}", tags=["seats"], dependencies=[READ_PEOPLE], responses=refusals(504)
)

FromUser = Annotated[str | None, Query(max_length=100, description="Only the seats of this user and of those after, by their ids.")]
ToUser = Annotated[str | None, Query(max_length=100, description="Only the seats of this user and of those before, by their ids.")]


@router.get("/seats", summary="List seats")
async def list_seats(
    owned: Owned,
    tenant: str,
    module: str | None = None,
    state: responses.State | None = None,
    from_user: FromUser = None,
    to_user: ToUser = None,
    cursor: Cursor = None,
    limit: Limit = 100,
    after: After = None,
) -> responses.Seats:
    """The seats are in order of user, then module. A page can have fewer than `limit` seats: it also ends after 5,000 people."""
    start = decode_cursor(cursor, str, str) or (None if from_user is None else (from_user, ""))
    async with owned.between_batches(tenant, after) as (live, tenant_state):
        found, following = responses.page_of_seats(tenant_state, module, state, start, limit, to_user)
        next_ = None if following is None else encode_cursor(*following)
        return responses.Seats(position=responses.position(live), items=found, next=next_)
