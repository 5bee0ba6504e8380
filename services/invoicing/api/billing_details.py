"""Who is billed, and how it is taxed."""

from fastapi import APIRouter, Depends, Response

from services.invoicing import store
from services.invoicing.api.dependencies import Buyer, IdPath, TenantId, Wired, wait_for_tenant
from services.invoicing.api.requests import TAX_FIELDS, BillingDetailsBody
from services.invoicing.api.responses.billing_details import BillingDetailsVersionView, BillingDetailsView
from services.invoicing.store.billing_details import BillingDetails
from services.invoicing.use_cases.billing_details import change_billing_details
from services.invoicing.use_cases.locked_tenants import lock_tenant
from shared.errors import Forbidden, NotFound
from shared.schemas.rights import OPERATOR
from shared.web import IfMatch, access, actor_of, answer, check_if_match, etag, refusals
from shared.web.route import AsideRoute

router = APIRouter(route_class=AsideRoute, prefix="/v1/tenants/{tenant}/billing-details", tags=["account"])


@router.put("", response_model=BillingDetailsView, responses=refusals(409, 412), summary="Set the billing details")
async def put_billing_details(
    wiring: Wired, tenant: TenantId, body: BillingDetailsBody, principal: Buyer, if_match: IfMatch = None
) -> Response:
    """The buyer sets company, address, invoice e-mail address and numbers. Only the vendor's operator sets how the tenant is taxed. If you
    send `If-Match`, it is checked; `"0"` fits as long as there are no billing details."""
    forbidden = next((name for name in TAX_FIELDS if name in body.model_fields_set and not principal.may(OPERATOR)), None)
    if forbidden is not None:
        detail = f"Only a token with the right {OPERATOR} may set body.{forbidden}. Leave it out; then your tax stays as it is."
        raise Forbidden("no-right", detail, right=OPERATOR, field=f"body.{forbidden}")
    await wait_for_tenant(wiring, tenant)
    async with wiring.database.unit_of_work(tenant) as uow:
        if if_match is not None:
            await lock_tenant(uow, tenant, wiring.clock)
            known = await store.billing_details.in_force(uow.connection, tenant)
            check_if_match(if_match, known.version if known else 0)
        await change_billing_details(uow, tenant, body, actor_of(principal), settings=wiring.settings, clock=wiring.clock)
        found = await store.billing_details.in_force(uow.connection, tenant)
    assert found is not None
    return _shown(found)


def _shown(found: BillingDetails) -> Response:
    return answer(BillingDetailsView.of(found), headers={"etag": etag(found.version)})


@router.get("", response_model=BillingDetailsView, summary="Get the billing details", dependencies=[Depends(access("account:read"))])
async def get_billing_details(wiring: Wired, tenant: TenantId) -> Response:
    async with wiring.database.unit_of_work(tenant) as uow:
        found = await store.billing_details.in_force(uow.connection, tenant)
    if found is None:
        raise NotFound("billing details")
    return _shown(found)


@router.get("/{version}", summary="Get a version of the billing details", dependencies=[Depends(access("account:read"))])
async def get_version(wiring: Wired, tenant: TenantId, version: IdPath) -> BillingDetailsVersionView:
    """Each document names the version that it was made with. Each change makes a version."""
    async with wiring.database.unit_of_work(tenant) as uow:
        found = await store.billing_details.find(uow.connection, tenant, version)
        before = await store.billing_details.before(uow.connection, tenant, version)
    if found is None:
        raise NotFound("version of the billing details")
    of_before = BillingDetailsView.of(before) if before else None
    return BillingDetailsVersionView(**BillingDetailsView.of(found).model_dump(), before=of_before)
