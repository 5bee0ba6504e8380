"""The pools of a tenant."""

from fastapi import APIRouter

from services.seats.api import responses
from services.seats.api.dependencies import READ, After, Owned
from services.seats.api.owner_routing import OwnerRoute
from shared.errors import NotFound
from shared.web.openapi import refusals
from shared.web.rest import LIMIT_MAX, Cursor, Limit, decode_cursor, encode_cursor

router = APIRouter(
    route_class=OwnerRoute, prefix="/v1/tenants/{tenant}/pools", tags=["seats"], dependencies=[READ], responses=refusals(504)
)


@router.get("", summary="List pools")
async def list_pools(owned: Owned, tenant: str, cursor: Cursor = None, limit: Limit = LIMIT_MAX, after: After = None) -> responses.Pools:
    """The pools are in order of their modules."""
    (start,) = decode_cursor(cursor, str) or ("",)
    async with owned.between_batches(tenant, after) as (live, state):
        modules = sorted(module for module in state.pools if module > start)
        items = [responses.pool(state.pools[module]) for module in modules[:limit]]
        following = encode_cursor(modules[limit - 1]) if len(modules) > limit else None
        return responses.Pools(position=responses.position(live), items=items, next=following)


@router.get("/{module}", summary="Get a pool")
async def get_pool(owned: Owned, tenant: str, module: str, after: After = None) -> responses.PoolAnswer:
    async with owned.between_batches(tenant, after) as (live, state):
        if module not in state.pools:
            raise NotFound("pool")
        return responses.PoolAnswer(position=responses.position(live), **responses.pool(state.pools[module]).model_dump())
