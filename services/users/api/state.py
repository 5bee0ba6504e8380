"""What this service counts of a tenant, whether all is done, and publishing anew."""

from dataclasses import asdict

from fastapi import APIRouter, Depends

from services.users.api.context import Body, InContext, Operator, TenantId
from services.users.store import reviews, seats
from services.users.store import tenants as store
from services.users.store.reviews import ReviewKind
from shared.errors import NotFound
from shared.idle import IdleCheck
from shared.schemas.base import Id
from shared.web import access, actor_of, refusals
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1", tags=["state"])

PAGE = 500


@router.get("/tenants/{tenant}/statistics", dependencies=[Depends(access("account:read"))], summary="Counts of this tenant")
async def show_statistics(tenant: TenantId, context: InContext) -> dict[str, int]:
    """`hired` and `active` count persons, `flagged` (person, module) now, `revoked` and `refused` (person, module) ever, `pending` persons
    whose last command is not answered."""
    async with context.database.unit_of_work(tenant) as uow:
        await context.tenants.for_read(tenant, uow)
        return asdict(await seats.statistics(tenant, uow.connection))


@router.get("/tenants/{tenant}/idle", dependencies=[Depends(access("operator"))], summary="Is all done up to the tenant's time?")
async def show_idle(tenant: TenantId, context: InContext) -> IdleCheck:
    return await context.idle(tenant)


class Republish(Body):
    tenant: Id | None = None


@router.post(
    "/operator/republish",
    status_code=202,
    responses=refusals(404),
    summary="Publish tenants and people again, for a reader that was rebuilt",
)
async def republish(body: Republish, context: InContext, principal: Operator) -> dict[str, int]:
    """All tenants, or one. Readers send no mail for what is published again."""
    cause = reviews.cause_of(actor_of(principal), None)
    tenants = 0
    async with context.database.unit_of_work(None) as uow:
        after = ""
        while rows := await store.page(body.tenant, uow.connection, after, PAGE):
            await reviews.add_many([row.tenant for row in rows], uow.connection, ReviewKind.REPUBLISH, cause)
            tenants, after = tenants + len(rows), rows[-1].tenant
    if body.tenant is not None and tenants == 0:
        raise NotFound("tenant")
    context.chores.wake()
    return {"tenants": tenants}
