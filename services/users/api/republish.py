"""Publish tenants and people again."""

from fastapi import APIRouter

from services.users.api.dependencies import InContext, Operator
from services.users.api.requests import Republish
from services.users.use_cases.republish import request_republication
from shared.web import actor_of, refusals
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1", tags=["state"])


@router.post(
    "/operator/republish",
    status_code=202,
    responses=refusals(404),
    summary="Publish tenants and people again, for a service whose database was restored",
)
async def republish(body: Republish, context: InContext, principal: Operator) -> dict[str, int]:
    """Publishes all tenants, or one. Nobody gets an e-mail about what is published again."""
    async with context.database.unit_of_work(None) as uow:
        tenants = await request_republication(body.tenant, uow, actor_of(principal))
    context.alarm.wake()
    return {"tenants": tenants}
