"""What people own in the vendor's product, and who takes it over."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from services.users.api.dependencies import InContext, PersonManager, Reader, TenantId, UserId, locked_person, visible
from services.users.api.people_views import heir_names
from services.users.api.requests import HeirBody, OwnedItemsBody
from services.users.api.responses import HandOverView, OwnedItemsView
from services.users.domain.person import Tenant
from services.users.store import owned_items as store
from services.users.store import people as people_store
from services.users.store.owned_items import OwnedItemsRow
from services.users.use_cases import hand_over
from shared.database import UnitOfWork
from shared.web import Principal, answer, refusals
from shared.web.route import CheckedRoute

router = APIRouter(route_class=CheckedRoute, prefix="/v1/tenants/{tenant}/people/{user}", tags=["people"])

KindOfItem = Annotated[str, Path(pattern=r"^[a-z0-9-]{1,60}$", description="The kind of the items, for example `projects`.")]


async def hand_over_view(tenant: Tenant, uow: UnitOfWork, user: str, principal: Principal) -> HandOverView:
    owned = (await store.of_users(uow.connection, tenant.tenant, [user])).get(user, [])
    heirs = await store.heirs(uow.connection, tenant.tenant, [user])
    heir, names = heirs.get(user), await heir_names(tenant, uow, heirs.values(), principal)
    items = [OwnedItemsView(kind=each.kind, count=each.count, labels=list(each.labels)) for each in owned]
    return HandOverView(heir=heir, heir_name=names.get(heir or ""), items=items)


@router.put("/owned-items/{kind}", response_model=HandOverView, responses=refusals(409), summary="Set what a person owns")
async def put_owned_items(
    tenant: TenantId, user: UserId, kind: KindOfItem, body: OwnedItemsBody, context: InContext, principal: PersonManager
) -> Response:
    """The vendor's product states how many items of a kind the person owns now. When the person leaves or is deactivated, the answer and an
    e-mail list them (A22)."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        person = await locked_person(found, uow, user, principal)
        await hand_over.put_items(uow, OwnedItemsRow(tenant, person.user, kind, body.count, tuple(body.labels)))
        return answer(await hand_over_view(found, uow, user, principal))


@router.put("/heir", response_model=HandOverView, responses=refusals(409), summary="Set who takes over from a person")
async def put_heir(tenant: TenantId, user: UserId, body: HeirBody, context: InContext, principal: PersonManager) -> Response:
    """The product hands the items over to this person. Seatpool only names the heir."""
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_write(tenant, uow)
        person = await locked_person(found, uow, user, principal)
        if body.heir is not None:
            visible(await people_store.get(uow.connection, tenant, body.heir, found.today), principal)
        await hand_over.set_heir(found, uow, person, body.heir)
        return answer(await hand_over_view(found, uow, user, principal))


@router.get("/owned-items", response_model=HandOverView, summary="List what a person owns")
async def list_owned_items(tenant: TenantId, user: UserId, context: InContext, principal: Reader) -> Response:
    async with context.database.unit_of_work(tenant) as uow:
        found = await context.tenants.for_read(tenant, uow)
        visible(await people_store.get(uow.connection, tenant, user, found.today), principal)
        return answer(await hand_over_view(found, uow, user, principal))
