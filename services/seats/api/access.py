"""The modules that a person may use."""

from fastapi import APIRouter

from services.seats.api import responses
from services.seats.api.dependencies import READ_PEOPLE, After, Owned
from services.seats.api.owner_routing import OwnerRoute
from shared.errors import NotFound
from shared.web.openapi import refusals

router = APIRouter(
    route_class=OwnerRoute, prefix="/v1/tenants/{tenant}/access", tags=["seats"], dependencies=[READ_PEOPLE], responses=refusals(504)
)


@router.get("/{user}", summary="Get the seats of a person")
async def get_person(owned: Owned, tenant: str, user: str, after: After = None) -> responses.Person:
    """The answer shows all seats of the person, with their states and deadlines."""
    live = await owned.reached(tenant, after)
    row = responses.row_of(tenant, user, live)
    if row is None:
        raise NotFound("person")
    return responses.person(user, row, live)


@router.get("/{user}/{module}", summary="Check a person's access")
async def check_access(owned: Owned, tenant: str, user: str, module: str, after: After = None) -> responses.Access:
    """`allowed` says whether the person may use the module now. It is also false for an unknown person."""
    live = await owned.reached(tenant, after)
    row = responses.row_of(tenant, user, live)
    return responses.access(user, module, row, live)
